/** The editor of one line, and the window that shows it. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { draftOf, edit, emptyDraft, insert, view, type Draft, type WindowOptions } from "./editor.ts";
import { key, type Key } from "./keys.ts";
import { width } from "./layout.ts";

const ctrl = (name: string): Key => key(name, { ctrl: true });
const meta = (name: string): Key => key(name, { meta: true });

function press(draft: Draft, ...keys: Key[]): Draft {
  return keys.reduce((now, each) => edit(now, each) ?? now, draft);
}

const options: WindowOptions = { columns: 20, unicode: true, newline: "⏎", ellipsis: "…" };

test("moves and removes whole characters as people see them", () => {
  const family = draftOf("a👩‍👩‍👧e\u0301");
  expect(press(family, key("backspace")).text).toBe("a👩‍👩‍👧");
  expect(press(family, key("left"), key("backspace")).text).toBe("ae\u0301");
  expect(press(family, key("home"), key("right"), key("delete")).text).toBe("ae\u0301");
});

test("words, cutting and pasting back", () => {
  const draft = draftOf("one two three");
  expect(press(draft, ctrl("w")).text).toBe("one two ");
  expect(press(draft, ctrl("w"), ctrl("a"), ctrl("y")).text).toBe("threeone two ");
  expect(press(draft, meta("b"), meta("b"), ctrl("k")).text).toBe("one ");
  expect(press(draft, meta("b"), ctrl("u")).text).toBe("three");
  expect(press(draft, key("home"), meta("f"), meta("d")).text).toBe("one three");
});

test("Alt-Enter begins a new line, which shows as a mark", () => {
  const draft = press(draftOf("one"), meta("return"), key("", { text: "two" }));
  expect(draft.text).toBe("one\ntwo");
  expect(view(draft, options).text).toBe("one⏎two");
});

test("keys that edit nothing are left to others", () => {
  for (const name of ["up", "down", "return", "escape", "tab"]) expect(edit(emptyDraft, key(name))).toBeNull();
});

test("a long draft shows the part around the cursor", () => {
  const draft = draftOf("abcdefghijklmnopqrstuvwxyz");
  expect(view(draft, options)).toEqual({ text: "…jklmnopqrstuvwxyz", column: 18 });
  expect(view({ ...draft, cursor: 0 }, options)).toEqual({ text: "abcdefghijklmnopqrs…", column: 0 });
});

test("a secret shows only how long it is", () => {
  expect(view(draftOf("päss👍🏽"), { ...options, mask: "•" }).text).toBe("•••••");
});

test("the window fits, holds the cursor, and keys never break a character", () => {
  const texts = fc.string({ unit: fc.constantFrom("a", " ", "日", "👩‍👩‍👧", "e\u0301", "\n", "\x1b", "\t") });
  const keys = fc.array(
    fc.constantFrom(key("left"), key("right"), key("backspace"), key("delete"), ctrl("w"), ctrl("y"), meta("b")),
  );
  fc.assert(
    fc.property(texts, keys, fc.integer({ min: 4, max: 40 }), (text, pressed, columns) => {
      const draft = press(insert(emptyDraft, text), ...pressed);
      const window = view(draft, { ...options, columns });
      expect(width(window.text)).toBeLessThanOrEqual(columns);
      expect(window.column).toBeGreaterThanOrEqual(0);
      expect(window.column).toBeLessThan(columns);
      expect(draft.cursor).toBeLessThanOrEqual(draft.text.length);
      expect(draft.text.isWellFormed()).toBe(true);
    }),
  );
});
