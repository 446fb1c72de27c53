/** Choosing from a page: by id while items come and go, marks, keys, and the rows that are made of it. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { key } from "./keys.ts";
import { width } from "./layout.ts";
import { chosenAt, isPicked, nothingChosen, press, worked, type Choice } from "./list.ts";
import { buildPage } from "./page-frame.ts";
import type { Item, Page } from "./surface.ts";
import { makeTheme } from "./theme.ts";

const item = (id: string, more: Partial<Item> = {}): Item => ({ id, left: [{ text: id, style: "plain" }], ...more });

function pageOf(ids: readonly string[], more: Partial<Page> = {}): Page {
  const items = ids.map((id) => item(id));
  return {
    title: "List",
    aside: "",
    lines: [],
    items,
    start: "first",
    marks: true,
    keys: [{ name: "d", label: "deletes" }],
    ...more,
  };
}

function pressed(page: Page, choice: Choice, ...names: string[]): Choice {
  return names.reduce((now, name) => {
    const outcome = press(page, now, name === " " ? key(" ", { text: " " }) : key(name), 3);
    if (outcome === null || isPicked(outcome)) throw new Error(`${name} chose`);
    return outcome;
  }, choice);
}

test("the choice stays with its item when others come before it, and with its place when it goes", () => {
  const choice = pressed(pageOf(["a", "b", "c"]), nothingChosen, "down");
  expect(chosenAt(pageOf(["x", "y", "a", "b"]), choice)).toBe(3);
  expect(chosenAt(pageOf(["a", "c"]), choice)).toBe(1);
  expect(chosenAt(pageOf(["a"]), choice)).toBe(0);
  expect(chosenAt(pageOf([]), choice)).toBe(-1);
});

test("a page begins with its first or its last item, and page keys stop at the ends", () => {
  expect(chosenAt(pageOf(["a", "b"], { start: "last" }), nothingChosen)).toBe(1);
  const page = pageOf(["a", "b", "c", "d", "e"]);
  expect(pressed(page, nothingChosen, "pagedown", "pagedown").id).toBe("e");
  expect(pressed(page, nothingChosen, "end", "pageup", "pageup").id).toBe("a");
  expect(pressed(pageOf([]), nothingChosen, "down", "pageup")).toEqual(nothingChosen);
});

test("keys work on what is marked, in the order shown, or else on the one chosen", () => {
  const page = pageOf(["a", "b", "c"]);
  expect(press(page, pressed(page, nothingChosen, "down"), key("d", { text: "d" }), 3)).toEqual({
    type: "key",
    name: "d",
    ids: ["b"],
  });
  const marked = pressed(page, nothingChosen, "end", " ", "home", " ");
  expect(worked(page, marked)).toEqual(["a", "c"]);
  expect(worked(pageOf(["c", "b"]), marked)).toEqual(["c"]);
  expect(press(page, marked, key("x", { text: "x" }), 3)).toBeNull();
});

test("a page fills the window exactly, shows what is chosen, and no row is too wide", () => {
  const theme = makeTheme({ colour: false, unicode: true });
  const text = fc.string({ unit: "grapheme", maxLength: 120 });
  const items = fc.array(fc.record({ text, right: text, wraps: fc.boolean(), apart: fc.boolean() }), { maxLength: 30 });
  const windows = fc.record({ columns: fc.integer({ min: 12, max: 100 }), rows: fc.integer({ min: 6, max: 30 }) });
  fc.assert(
    fc.property(items, windows, fc.array(text, { maxLength: 5 }), fc.nat(), (given, { columns, rows }, said, at) => {
      const page = pageOf([], {
        items: given.map((each, number) => ({
          id: String(number),
          left: [{ text: `${number} ${each.text}`, style: "plain" }],
          ...(each.wraps ? { wraps: true } : { right: [{ text: each.right, style: "dim" }] }),
          ...(each.apart ? { apart: true } : {}),
        })),
      });
      const chosen = given.length === 0 ? 0 : at % given.length;
      const choice = { ...nothingChosen, id: String(chosen), at: chosen };
      const notes = said.map((each) => ({ tone: "dim", text: each }) as const);
      const state = { page, choice, notes, outgoing: 0, standing: null, asked: null, hint: null };
      const frame = buildPage(state, theme, columns, rows);
      expect(frame.rows).toHaveLength(rows);
      for (const row of frame.rows) expect(width(row)).toBeLessThanOrEqual(columns);
      if (given.length === 0) return;
      expect(frame.rows[frame.cursor?.row ?? -1]).toStartWith("›");
    }),
    { numRuns: 200 },
  );
});
