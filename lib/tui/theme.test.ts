/** What a terminal can show, found out from its environment. */
import { expect, test } from "bun:test";
import { detectCapabilities, makeTheme } from "./theme.ts";

const terminal = { isTTY: true };

test("capabilities follow the environment", () => {
  const usual = { TERM: "xterm-256color", LANG: "en_GB.UTF-8" };
  expect(detectCapabilities(usual, terminal, terminal)).toEqual({ plain: false, colour: true, unicode: true });
  expect(detectCapabilities({ ...usual, NO_COLOR: "1" }, terminal, terminal).colour).toBe(false);
  expect(detectCapabilities({ ...usual, NO_COLOR: "" }, terminal, terminal).colour).toBe(true);
  expect(detectCapabilities({ ...usual, TERM: "dumb" }, terminal, terminal)).toMatchObject({
    plain: true,
    colour: false,
  });
  expect(detectCapabilities({ LANG: "C.UTF-8" }, terminal, terminal).plain).toBe(true);
  expect(detectCapabilities(usual, {}, terminal).plain).toBe(true);
  expect(detectCapabilities(usual, terminal, {}).plain).toBe(true);
});

test("the first locale variable that is set decides about the character set", () => {
  const unicode = (environment: Record<string, string>): boolean =>
    detectCapabilities({ TERM: "xterm", ...environment }, terminal, terminal).unicode;
  expect(unicode({ LC_ALL: "C", LANG: "en_GB.UTF-8" })).toBe(false);
  expect(unicode({ LC_ALL: "", LC_CTYPE: "de_DE.utf8", LANG: "C" })).toBe(true);
  expect(unicode({})).toBe(false);
});

test("colours wrap text only where there are colours", () => {
  expect(makeTheme({ colour: true, unicode: true }).paint("bad", "no")).toBe("\x1b[31mno\x1b[0m");
  expect(makeTheme({ colour: true, unicode: true }).paint("plain", "yes")).toBe("yes");
  expect(makeTheme({ colour: false, unicode: true }).paint("bad", "no")).toBe("no");
});
