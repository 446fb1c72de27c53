/** Golden frames: the rows under the last printed line for states of the screen. */
import { expect, test } from "bun:test";
import { draftOf } from "./editor.ts";
import { buildFrame, type FrameState } from "./frame.ts";
import { width } from "./layout.ts";
import type { ShownMessage } from "./surface.ts";
import { makeTheme } from "./theme.ts";

const theme = makeTheme({ colour: false, unicode: true });
const ascii = makeTheme({ colour: false, unicode: false });
const message = (text: string): ShownMessage => ({ from: "alice", to: "bob", own: true, text, when: "14:02" });

const typing: FrameState = {
  outgoing: [],
  standing: null,
  asked: { kind: "line", label: "alice → bob", field: false, secret: false, draft: draftOf("hello") },
  hint: null,
};

test("the question is the last row but for a hint, with the cursor in it", () => {
  const hint = { tone: "warning", text: "press Ctrl-C again to quit" } as const;
  expect(buildFrame({ ...typing, hint }, theme, 80, 24)).toEqual({
    rows: ["alice → bob › hello", "press Ctrl-C again to quit"],
    cursor: { row: 0, column: 19 },
  });
});

test("messages on their way and what holds for a while stand above it, however many they are", () => {
  const outgoing = Array.from({ length: 30 }, (_, at) => message(`message ${at}\nwith a second line`));
  const standing = { tone: "warning", text: "○ not connected" } as const;
  expect(buildFrame({ ...typing, outgoing, standing }, theme, 40, 12)).toEqual({
    rows: [
      "→ bob: message 0 with a seco… · sending…",
      "→ bob: message 1 with a seco… · sending…",
      "… and 28 more waiting to be sent",
      "○ not connected",
      "alice → bob › hello",
    ],
    cursor: { row: 4, column: 19 },
  });
});

test("in a low window the question stays and the rest gives way", () => {
  const outgoing = [message("one"), message("two"), message("three")];
  const frame = buildFrame({ ...typing, outgoing }, theme, 40, 3);
  expect(frame.rows).toEqual(["→ bob: one · sending…", "alice → bob › hello"]);
});

test("long names leave room to type, and show to whom it goes", () => {
  const label = `${"a".repeat(32)} → ${"b".repeat(15)}`;
  const asked = { kind: "line", label, field: false, secret: false, draft: draftOf("x".repeat(100)) } as const;
  const frame = buildFrame({ ...typing, asked }, theme, 40, 12);
  expect(frame.rows[0]).toBe(`…a → ${"b".repeat(15)} › …${"x".repeat(14)}`);
  expect(width(frame.rows[0] ?? "")).toBeLessThan(40);
});

test("without Unicode the same is spelled in ASCII", () => {
  const asked = { kind: "line", label: "Password", field: true, secret: true, draft: draftOf("pass") } as const;
  expect(buildFrame({ ...typing, asked }, ascii, 40, 12).rows).toEqual(["Password: ****"]);
  const choice = { kind: "choice", label: "Sure?", options: ["No", "Yes"], chosen: 1 } as const;
  expect(buildFrame({ ...typing, asked: choice }, ascii, 40, 12)).toEqual({
    rows: ["Sure?", "  No", "> Yes"],
    cursor: { row: 2, column: 0 },
  });
});
