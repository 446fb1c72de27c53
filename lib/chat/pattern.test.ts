/** Shell patterns against a naive oracle, and against patterns made to be slow. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { foldCharacters } from "./names.ts";
import { parsePattern } from "./pattern.ts";

function matches(pattern: string, name: string): boolean {
  const parsed = parsePattern(pattern);
  if (typeof parsed === "string") throw new Error(parsed);
  const characters = foldCharacters(name);
  const result = parsed.matches(characters);
  // What a search by an index may rely on.
  if (result) {
    expect(characters.join("").startsWith(parsed.prefix)).toBeTrue();
    expect(characters.join("")).toContain(parsed.part);
  }
  return result;
}

test("stars, question marks and classes are those of a shell, whatever the case", () => {
  const cases: readonly [string, string, boolean][] = [
    ["", "a", false],
    ["*", "alice", true],
    ["**", "a", true],
    ["a*", "Alice", true],
    ["A*", "alice", true],
    ["*e", "alice", true],
    ["a*e", "ae", true],
    ["a*e", "a", false],
    ["*li*", "alice", true],
    ["*il*", "alice", false],
    ["?lice", "alice", true],
    ["?", "ab", false],
    ["??", "ab", true],
    ["?*?", "a", false],
    ["[a-c]*", "bob", true],
    ["[A-C]*", "bob", true],
    ["[!a-c]*", "bob", false],
    ["[!a-c]*", "dave", true],
    ["[._-]x", "-x", true],
    ["[a-]x", "-x", true],
    ["x[0-9]", "x7", true],
    ["alice", "alice", true],
    ["alice", "alicex", false],
    ["*ab*ab", "abab", true],
    ["*ab*ab", "ab", false],
    ["?", "é", true],
    ["?", "ß", true],
    ["e\u0301*", "Été", true],
    ["И*", "иван", true],
    ["a.c", "abc", false],
  ];
  for (const [pattern, name, expected] of cases) {
    expect(`${pattern} ${name} ${matches(pattern, name)}`).toBe(`${pattern} ${name} ${expected}`);
  }
});

test("a pattern that means nothing is refused with a sentence", () => {
  for (const bad of ["[", "a[b", "[]", "[!]", "[z-a]", "x".repeat(257), "\uD800"]) {
    expect(typeof parsePattern(bad)).toBe("string");
  }
});

test("agrees with a matcher that tries everything", () => {
  const naive = (pattern: string, name: string): boolean => {
    if (pattern === "") return name === "";
    if (pattern[0] === "*") return naive(pattern.slice(1), name) || (name !== "" && naive(pattern, name.slice(1)));
    return name !== "" && (pattern[0] === "?" || pattern[0] === name[0]) && naive(pattern.slice(1), name.slice(1));
  };
  const pattern = fc.string({ unit: fc.constantFrom("a", "b", "*", "?"), maxLength: 8 });
  const name = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 8 });
  fc.assert(
    fc.property(pattern, name, (p, n) => matches(p, n) === naive(p, n)),
    { numRuns: 2000 },
  );
});

test("every name that matches begins with the prefix", () => {
  const parsed = parsePattern("Alice-*x");
  expect(typeof parsed === "string" ? parsed : parsed.prefix).toBe("alice-");
});

test("hostile patterns take no more steps than name length times pattern length", () => {
  let steps = 0;
  const counting = (name: string): string[] =>
    new Proxy(foldCharacters(name), {
      get(target, key) {
        if (typeof key === "string" && /^\d+$/.test(key)) steps++;
        return Reflect.get(target, key);
      },
    });
  for (const source of ["*a".repeat(16) + "b", "*a*".repeat(80), "*" + "a".repeat(31) + "b*", "*?".repeat(31) + "b"]) {
    const parsed = parsePattern(source);
    if (typeof parsed === "string") throw new Error(parsed);
    steps = 0;
    parsed.matches(counting("a".repeat(32)));
    expect(steps).toBeLessThanOrEqual(32 * 33);
  }
});
