/** What names, passwords and texts may be. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { foldName, knownNameFault, newNameFault, newPasswordFault, suffixedName, textFault } from "./names.ts";

describe("user names", () => {
  const sound = [
    ..."a alice Alice_1 x.y-z 007 .a -1 Zoë Ærøskøbing łukasz Ελένη Иван 田中 たなか タナカ 田中さん 김철수 金철수 מרים".split(
      " ",
    ),
    ..."محمد नरेंद्र สมชาย გიორგი ተስፋዬ ᏣᎳᎩ ทำ ٠عمر".split(" "),
    "a".repeat(32),
    "é".normalize("NFD"),
  ];
  test.each(sound)("%s can be claimed", (name) => {
    expect(newNameFault(name)).toBeNull();
  });

  const unsound = [
    "",
    "a".repeat(33),
    "with space",
    "tab\t",
    "a*",
    ".",
    "..",
    "-_.",
    "alice~2",
    "😀",
    "a\u200Bb", // zero width space
    "a\u00ADb", // soft hyphen
    "\u3164", // Hangul filler: a letter that cannot be seen
    "аlice", // Cyrillic а
    "aλ",
    "Иvan",
    "たなかあlice",
    "ｆｕｌｌ", // full width
    "ﬁn", // ligature
    "𝐚lice", // mathematical
    "a৪", // a Bengali digit that looks like 8
    "\u0301a", // a mark without a letter
    "a\u0316\u0317\u0318", // marks piled up
    "a\uD800",
  ];
  test.each(unsound)("%j cannot", (name) => {
    expect(newNameFault(name)?.code).toBe("bad-name");
  });

  test("the account that lost its name in a merge can be addressed, not claimed", () => {
    expect(knownNameFault("alice~2")).toBeNull();
    expect(knownNameFault("田中~3")).toBeNull();
    for (const name of ["~2", "alice~", "alice~0", "alice~2~3"]) expect(knownNameFault(name)?.code).toBe("bad-name");
  });

  test("differ in more than case and composition, or are the same", () => {
    const same = [
      ["Alice", "aLICE"],
      ["É", "e\u0301"],
      ["Straße", "STRASSE"],
      ["ΟΔΟΣ", "οδος"],
      ["οδοσ", "οδος"],
      ["ИВАН", "иван"],
      ["\u212Bngström", "ångström"],
      ["J\u030C", "\u01F0"],
    ];
    for (const [one = "", other = ""] of same) expect(foldName(one)).toBe(foldName(other));
    expect(foldName("alice")).not.toBe(foldName("alicé"));
  });

  test("folding a folded name changes nothing", () => {
    fc.assert(fc.property(fc.string({ unit: "grapheme" }), (name) => foldName(foldName(name)) === foldName(name)));
  });

  test("a suffix keeps within the length", () => {
    expect(suffixedName("alice", 2)).toBe("alice~2");
    expect(suffixedName("𐓏".repeat(32), 2)).toBe(`${"𐓏".repeat(30)}~2`);
    expect(suffixedName("a".repeat(32), 10)).toBe(`${"a".repeat(29)}~10`);
  });
});

test("passwords have 8 to 256 bytes", () => {
  for (const good of ["12345678", "ääää", "x".repeat(256)]) expect(newPasswordFault(good)).toBeNull();
  for (const bad of ["", "1234567", "x".repeat(257), "ä".repeat(129), "1234567\uDC00"]) {
    expect(newPasswordFault(bad)?.code).toBe("bad-password");
  }
});

test("texts have 1 to 4096 bytes", () => {
  for (const good of ["x", "x".repeat(4096), "ä".repeat(2048), "two\nlines", "😀"]) expect(textFault(good)).toBeNull();
  for (const long of ["x".repeat(4097), "ä".repeat(2049)]) expect(textFault(long)?.code).toBe("too-long");
  for (const bad of ["", "half \uD83D"]) expect(textFault(bad)?.code).toBe("bad-command");
});
