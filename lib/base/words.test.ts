/** Grammar of what is generated. */
import { expect, test } from "bun:test";
import { counted, withArticle, quoted } from "./words.ts";

test("one thing is singular, all other counts are plural", () => {
  expect([0, 1, 2].map((count) => counted(count, "byte"))).toEqual(["0 bytes", "1 byte", "2 bytes"]);
});

test("an article fits the word that follows", () => {
  expect(["inboxCount frame", "error frame", "ask frame", "logout frame"].map(withArticle)).toEqual([
    "an inboxCount frame",
    "an error frame",
    "an ask frame",
    "a logout frame",
  ]);
});

test("what is quoted is as it is where it is short, and never longer than a message has room for", () => {
  expect(quoted('a "b"')).toBe('"a \\"b\\""');
  for (const character of ["a", "\u0001", "\uD800", "𝄞"]) {
    const text = quoted(character.repeat(300));
    expect(text).toContain("…");
    expect(Buffer.byteLength(text)).toBeLessThan(500);
  }
});
