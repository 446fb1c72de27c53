/**
 * Text that others wrote to do harm, to the cell: on the journal, on home and on a page it takes the place it is given and
 * no other. The real program in a pseudo-terminal.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { graphemes } from "./layout.ts";
import { shownName } from "./names.ts";
import { Pty } from "./pty.fixture.ts";

setDefaultTimeout(30_000);

const esc = "\x1b";
/** Name, text, and the cells that it may become: one string a cell. */
const hostile: readonly [what: string, text: string, cells: readonly string[]][] = [
  ["clearing the screen", `${esc}[2J${esc}[1;1Hgone`, graphemes("␛[2J␛[1;1Hgone")],
  [
    "a title, a bell and a hyperlink",
    `${esc}]0;root\x07${esc}]8;;http://x\x07y`,
    graphemes("␛]0;root␇␛]8;;http://x␇y"),
  ],
  ["controls of one byte beyond ASCII", "\x9b31mred\x85\x90q", graphemes("�31mred")],
  ["the other screen, raw", `${esc}[?1049l${esc}c`, graphemes("␛[?1049l␛c")],
  ["overrides of direction", "pay \u202eecila\u2066\u2069 now\u200b\ufeff", graphemes("pay ecila now")],
  ["a tower of marks", `x${"\u0301".repeat(2047)}y`, [`x${"\u0301".repeat(8)}`, "y"]],
  ["marks on nothing", "\u0301".repeat(2048), [`\u25cc${"\u0301".repeat(8)}`]],
  ["a carriage return", "safe\r09:31 carol: forged", graphemes("safe")],
  ["backspaces", "good\b\b\b\bevil", graphemes("good␈␈␈␈evil")],
];

describe.each(hostile)("%s", (_what, text, cells) => {
  test("on the journal", async () => {
    await using pty = new Pty();
    await pty.talk("mia");
    await pty.see("mia is away");
    pty.type("half");
    await pty.prompt("bob → mia › half");
    const { row } = pty.cursor;
    pty.happen({ do: "message", from: "mia", text });
    pty.happen({ do: "message", from: "mia", text: "the end" });
    await pty.see("mia: the end");
    // What is behind the name and the colon.
    const shown = pty.cells(row);
    const begins = [...graphemes("09:30 mia: "), ...cells];
    expect(shown.slice(0, begins.length)).toEqual(begins);
    expect(new Set(shown.slice(begins.length))).toEqual(new Set([""]));
    const rows = pty.rows.slice(row);
    expect(rows[0]?.startsWith("09:30 mia: ")).toBe(true);
    // A line of its own is indented: it cannot pass for another message.
    for (const each of rows.slice(1, -1))
      expect(each === "" || each.startsWith("  ") || each.includes("the end") || each.startsWith("bob →")).toBe(true);
    expect(pty.cursorRow).toBe("bob → mia › half");
    expect(pty.raw).not.toContain("\x07");
  });
});

test("on home and on a page every row stays where it is", async () => {
  await using pty = new Pty();
  await pty.signIn();
  await pty.see("mia 1 new hello");
  for (const [, text] of hostile) pty.happen({ do: "message", from: "mia", text });
  pty.happen({ do: "message", from: "mia", text: `${esc}[2J\r\n\u202eevil${"\u0301".repeat(2000)}` });
  await pty.until("it has come", () => pty.rows.some((row) => row.includes(`${hostile.length + 2} new`)));
  const at = pty.rows.findIndex((row) => row.includes("mia"));
  expect(pty.cells(at).slice(0, 26)).toEqual(
    graphemes("› ○ mia  11 new  ␛[2J evil").map((cell, place) => (place === 25 ? `l${"\u0301".repeat(8)}` : cell)),
  );
  expect(pty.rows[0]).toStartWith("chatd · bob");
  expect(pty.rows.at(-1)).toStartWith("Enter opens");
  pty.type("/to mia\r");
  await pty.prompt("bob → mia ›");
  pty.type("\x1b[5~");
  await pty.until(
    "the page is there",
    () => pty.rows.at(-1)?.startsWith("Space marks") === true && pty.text.includes("evil"),
  );
  expect(pty.rows[0]).toStartWith("mia");
  for (const row of pty.rows.slice(1, -1)) expect(row).toMatch(/^(?:$|[ ›] {2}(?:09:30 mia: |  ))/);
});

test("a name that looks Latin and is not says so, everywhere", async () => {
  await using pty = new Pty();
  await pty.signIn();
  // Cyrillic letters.
  const name = "\u0441\u0430\u0433\u043e";
  pty.happen({ do: "message", from: name, text: "it is me, carol" });
  await pty.see(`${name} [Cyrillic] 1 new`);
  pty.type("/to mia\r");
  await pty.prompt("bob → mia ›");
  pty.happen({ do: "message", from: name, text: "again" });
  await pty.see(`${name} [Cyrillic]: again (Tab opens)`);
  expect(shownName("carol")).toBe("carol");
  expect(shownName("\u043c\u0430\u0440\u0438\u044f")).toBe("\u043c\u0430\u0440\u0438\u044f");
  expect(shownName("\u039f\u03a4\u03a4\u039f-7")).toBe("\u039f\u03a4\u03a4\u039f-7 [Greek]");
});
