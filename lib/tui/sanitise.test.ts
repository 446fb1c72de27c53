/** Hostile text becomes harmless, real text stays. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { cleanInput, sanitise, sanitiseLine } from "./sanitise.ts";

test("escape sequences become visible text instead of taking effect", () => {
  expect(sanitise("\x1b[2J\x1b]0;owned\x07red", true)).toBe("␛[2J␛]0;owned␇red");
  expect(sanitise("\x1b[31m", false)).toBe("^[[31m");
  expect(sanitise("\x7f\x00", true)).toBe("␡␀");
  expect(sanitise("\x9b31m", true)).toBe("\ufffd31m");
});

test("what moves the cursor or breaks a line becomes a plain newline or spaces", () => {
  expect(sanitise("a\r\nb\rc\vd\u2028e\u0085f", true)).toBe("a\nb\nc\nd\ne\nf");
  expect(sanitise("a\tb", true)).toBe("a    b");
  expect(sanitiseLine("a\nb", true)).toBe("a b");
});

test("direction overrides, isolates and invisible fillers are dropped", () => {
  expect(sanitise("exe.\u202egpj.\u2066x\u2069", true)).toBe("exe.gpj.x");
  expect(sanitise("a\u200b\u2060\ufeff\u00adb", true)).toBe("ab");
  expect(sanitise("a\u{e0061}\u{e0062}b", true)).toBe("ab");
  expect(sanitise("a\u200e\u200f\u061c\u180e\u115f\u1160\u3164\uffa0\u034fb", true)).toBe("ab");
  expect(sanitise("a \u200d\u200c\ufe0f b\u200d\u200dc", true)).toBe("a  bc");
});

test("real text in any script stays as it is", () => {
  for (const text of [
    "שלום עולם",
    "مرحبا",
    "می‌خواهم",
    "नमस्ते",
    "日本語",
    "é e\u0301",
    "👩‍👩‍👧 👍🏽 🇫🇷 ❤️",
    "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "1️⃣",
    "葛\u{e0100}",
  ]) {
    expect(sanitise(text, true)).toBe(text);
  }
});

test("a tower of combining marks is cut", () => {
  expect(sanitise(`a${"\u0301".repeat(500)}b`, true)).toBe(`a${"\u0301".repeat(8)}b`);
});

test("on a terminal without UTF-8 nothing but ASCII is left, and nothing is lost", () => {
  expect(sanitise("café 😀", false)).toBe("caf\\u{e9} \\u{1f600}");
});

test("no control character, override or lone surrogate ever comes through", () => {
  // eslint-disable-next-line no-control-regex
  const bad = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\p{Bidi_Control}]/u;
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.array(fc.integer({ min: 0, max: 0xffff })), (text, units) => {
      const hostile = text + String.fromCharCode(...units);
      const safe = sanitise(hostile, true);
      expect(bad.test(safe)).toBe(false);
      expect(safe.isWellFormed()).toBe(true);
      expect(sanitise(safe, true)).toBe(safe);
      expect(/^[\n\x20-\x7e]*$/.test(sanitise(hostile, false))).toBe(true);
    }),
  );
});

test("typed and pasted text loses its control characters but not its lines", () => {
  expect(cleanInput("a\x1b[31mb\r\nc\td\x07")).toBe("a[31mb\nc\td");
});
