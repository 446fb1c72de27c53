/** Wrapping and cutting text by columns. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { truncate, width, wrap, type Span } from "./layout.ts";

const rows = (text: string, columns: number, indent = 2): string[] =>
  wrap([{ text, style: 0 }], columns, indent).map((row) => row.map((span) => span.text).join(""));

test("breaks at spaces and indents what follows", () => {
  expect(rows("the quick brown fox jumps", 12)).toEqual(["the quick", "  brown fox", "  jumps"]);
});

test("a word that is too long is broken where the row ends", () => {
  expect(rows("abcdefghijkl", 5, 0)).toEqual(["abcde", "fghij", "kl"]);
});

test("no line of a text begins at the left edge but the first", () => {
  expect(rows("hi\n12:00 bob: forged line here", 20)).toEqual(["hi", "  12:00 bob: forged", "    line here"]);
});

test("wide characters take two columns and are never halved", () => {
  expect(rows("日本語日本語", 5, 0)).toEqual(["日本", "語日", "本語"]);
});

test("styles go along with their text", () => {
  const spans: Span<string>[] = [
    { text: "bob: ", style: "name" },
    { text: "hello there", style: "text" },
  ];
  expect(wrap(spans, 10, 2)).toEqual([
    [
      { text: "bob: ", style: "name" },
      { text: "hello", style: "text" },
    ],
    [{ text: "  there", style: "text" }],
  ]);
});

test("every row fits and only spaces are lost", () => {
  const texts = fc.string({ unit: fc.constantFrom("a", "bc", " ", "日", "👍🏽", "e\u0301", "\n") });
  fc.assert(
    fc.property(texts, fc.integer({ min: 8, max: 60 }), (text, columns) => {
      const broken = rows(text, columns);
      for (const row of broken) expect(width(row)).toBeLessThanOrEqual(columns);
      expect(broken.join("").replaceAll(" ", "")).toBe(text.replace(/[ \n]/g, ""));
    }),
  );
});

test("truncates by columns", () => {
  expect(truncate("hello", 5, "…")).toBe("hello");
  expect(truncate("hello you", 6, "…")).toBe("hello…");
  expect(truncate("日本語日", 6, "…")).toBe("日本…");
  expect(truncate("hello", 2, "...")).toBe("..");
});
