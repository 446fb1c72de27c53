/** What the scan in front of cbor-x lets pass, what it refuses, and where it says that the fault is. */
import { describe, expect, test } from "bun:test";
import * as cborg from "cborg";
import fc from "fast-check";
import { limits } from "../base/limits.ts";
import { decodePlain } from "./cbor.ts";
import { Scanner, type ScanFault } from "./cbor-scan.ts";

const scanner = new Scanner();
const scan = (hex: string, itemsMax = 100, innerMax?: number): ScanFault | null =>
  scanner.scan(Uint8Array.fromHex(hex), itemsMax, innerMax);
const where = (hex: string): string => {
  const found = scan(hex);
  return found === null ? "sound" : [found.reason, ...found.path].join(" ");
};

describe("the scan", () => {
  test("finds every item that is in no frame, and its place", () => {
    const cases: Readonly<Record<string, string>> = {
      "00": "sound",
      "1bffffffffffffffff": "huge",
      "1b001fffffffffffff": "sound",
      "20": "forbidden",
      "83013805f6": "forbidden 1",
      a0: "forbidden",
      c100: "forbidden",
      "8200d9010280": "forbidden 1",
      f7: "forbidden",
      f814: "forbidden",
      e0: "forbidden",
      f93c00: "forbidden",
      "82f4fb3ff0000000000000": "forbidden 1",
      ff: "forbidden",
      "9fff": "indefinite",
      "815f4100ff": "indefinite 0",
      "817f6161ff": "indefinite 0",
      "811c": "malformed 0",
      "815d": "malformed 0",
      "83f4f5f6": "sound",
      "": "missing",
      "8200": "cut",
      "820018": "cut 1",
      "82005b00000000000000": "cut 1",
      "81830001": "cut 0",
      "828101820061": "cut 1 1",
      "82820042ff": "cut 0 1",
      "828100": "missing 1",
      "820062c328": "utf8 1",
      "838080828180": "missing 2 1",
    };
    for (const [hex, expected] of Object.entries(cases)) expect(`${hex}: ${where(hex)}`).toBe(`${hex}: ${expected}`);
  });

  test("says what the item is and how long the arrays around it are", () => {
    expect(scan("830182000506")).toBeNull();
    expect(scan("83018200c105")).toEqual({
      reason: "forbidden",
      first: 0xc1,
      argument: -1,
      path: [1, 1],
      counts: [3, 2],
    });
    expect(scan("82017818ff")).toEqual({ reason: "cut", first: 0x78, argument: 24, path: [1], counts: [2] });
  });

  test("follows arrays to the limit of depth", () => {
    const nested = (depth: number): string => "81".repeat(depth) + "00";
    expect(scan(nested(limits.frameDepthMax))).toBeNull();
    expect(scan(nested(limits.frameDepthMax + 1))?.reason).toBe("depth");
    expect(scan(nested(100_000))?.path.length).toBe(limits.frameDepthMax);
  });

  test("counts the items of all arrays together", () => {
    expect(scan("83018200018101", 6)).toBeNull();
    expect(scan("83018200018101", 5)).toMatchObject({ reason: "items", path: [2] });
    expect(scan("83018200018101", 4)).toMatchObject({ reason: "items", path: [1] });
    expect(scan("83018200018101", 2)).toMatchObject({ reason: "items", path: [] });
  });

  test("asks how many items there may be when it has read the number", () => {
    const bytes = Uint8Array.fromHex("83078200018101");
    const asked: number[] = [];
    const answer = (items: number) => (number: number) => {
      asked.push(number);
      return items;
    };
    expect(scanner.scan(bytes, answer(6))).toBeNull();
    expect(scanner.scan(bytes, answer(5))).toMatchObject({ reason: "items", path: [2] });
    expect(scanner.scan(bytes, answer(2))).toMatchObject({ reason: "items", path: [1] });
    expect(asked).toEqual([7, 7, 7]);
    // No number, no items: not within what stands in its place, nor behind it.
    expect(scanner.scan(Uint8Array.fromHex("82810001"), answer(9))).toMatchObject({ reason: "items", path: [0] });
    expect(scanner.scan(Uint8Array.fromHex("82617800"), answer(9))).toMatchObject({ reason: "items", path: [1] });
    expect(asked).toEqual([7, 7, 7]);
  });

  test("looks at the first items alone if told so, and at nothing behind the end", () => {
    expect(scan("8401656368617464c1ff", 2, 2)).toBeNull();
    expect([scanner.innerStart, scanner.end, scanner.innerCount]).toEqual([1, 8, 4]);
    expect(scan("8401656368617464c1ff", 3, 3)).toMatchObject({ reason: "forbidden", path: [2] });
    expect(scan("81810005ff")).toBeNull();
    expect(scanner.end).toBe(3);
    expect(scan("05c1")).toBeNull();
    expect([scanner.end, scanner.innerCount]).toEqual([1, -1]);
  });

  test("finds texts that begin with a byte order mark", () => {
    const text = `\ufeff${"x".repeat(100)}`;
    expect(scanner.scan(cborg.encode([1, [2, text, "x"], text]), 100)).toBeNull();
    expect(scanner.marked).toEqual([
      { path: [1, 1], text },
      { path: [2], text },
    ]);
    expect(scan("00")).toBeNull();
    expect(scanner.marked).toEqual([]);
  });

  test("lets pass only what cbor-x and cborg read, and both as the same", () => {
    const strict = { strict: false, allowIndefinite: false, allowUndefined: false, allowNaN: false } as const;
    const heads = fc.constantFrom(
      0,
      5,
      0x18,
      0x19,
      0x1b,
      0x41,
      0x58,
      0x61,
      0x62,
      0x78,
      0x80,
      0x81,
      0x82,
      0x83,
      0x98,
      0xf4,
      0xf6,
    );
    const soup = fc.array(fc.oneof({ weight: 5, arbitrary: heads }, fc.integer({ min: 0, max: 255 })), {
      maxLength: 24,
    });
    let sound = 0;
    fc.assert(
      fc.property(soup, (numbers) => {
        const bytes = Uint8Array.from(numbers);
        if (scanner.scan(bytes, 100) !== null) return;
        sound++;
        const item = bytes.slice(0, scanner.end);
        const asNumbers = (_: string, value: unknown): unknown => (typeof value === "bigint" ? Number(value) : value);
        expect(JSON.stringify(decodePlain(item), asNumbers)).toBe(
          JSON.stringify(cborg.decode(item, strict), asNumbers),
        );
      }),
      { numRuns: 3000 },
    );
    expect(sound).toBeGreaterThan(300);
  });
});
