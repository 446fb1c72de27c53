/** CBOR by cbor-x, as this project uses it: who owns which memory, and the forms that it must and must not write. */
import { describe, expect, test } from "bun:test";
import * as cborg from "cborg";
import { decodePlain, decodePlains, encodePlain, type Plain } from "./cbor.ts";

/** Values around every size at which memory is found in another way. */
const sizes = [
  0, 1, 23, 24, 255, 256, 2000, 6000, 8000, 32_000, 32_768, 32_769, 60_000, 65_530, 65_536, 70_000, 300_000,
];
const values: readonly Plain[][] = [
  ...sizes.map((size) => [5, new Uint8Array(size).fill(size)]),
  ...sizes.map((size) => [5, "x".repeat(size)]),
  ...sizes.map((size) => [5, "€".repeat(size)]),
  // Long enough for memory of its own, and then too much besides.
  ...sizes.map((size) => [new Uint8Array(40_000).fill(1), "ß".repeat(size)]),
  ...sizes.map((size) => [1, [new Uint8Array(size).fill(2), new Uint8Array(size).fill(3)], "end"]),
  Array.from({ length: 30_000 }, (_, i) => i),
];

describe("what is written", () => {
  test("is what another encoder writes, whatever its size", () => {
    for (const value of values) expect(Buffer.compare(encodePlain(value, 0), cborg.encode(value)) === 0).toBeTrue();
  });

  test("is never written over by what is written later", () => {
    const written = [0, 4].flatMap((reserved) => values.map((value) => encodePlain(value, reserved)));
    const copies = written.map((bytes) => new Uint8Array(bytes));
    for (const value of values.toReversed()) encodePlain(value, 4);
    for (let i = 0; i < 20_000; i++) encodePlain([i, "filling whatever is shared"], 0);
    expect(written.every((bytes, i) => Buffer.compare(bytes, copies[i] as Uint8Array) === 0)).toBeTrue();
    expect(new Set(written.map((bytes) => bytes.buffer)).size).toBe(written.length);
  });

  test("is not in much more memory than it needs, and in no Buffer", () => {
    for (const value of values) {
      const bytes = encodePlain(value, 4);
      expect(bytes.constructor).toBe(Uint8Array);
      expect(bytes.buffer.byteLength - bytes.length).toBeLessThan(10_000);
    }
  });

  test("begins behind what is reserved", () => {
    for (const value of values) {
      const bytes = encodePlain(value, 4);
      expect([...bytes.subarray(0, 4)]).toEqual([0, 0, 0, 0]);
      expect(Buffer.compare(bytes.subarray(4), encodePlain(value, 0)) === 0).toBeTrue();
    }
  });

  test("has integers as integers, up to 32 bits as numbers and above as bigints", () => {
    expect(encodePlain([23, 24, 2 ** 32 - 1, 2n ** 32n, 2n ** 53n - 1n], 0).toHex()).toBe(
      "8517" + "1818" + "1affffffff" + "1b0000000100000000" + "1b001fffffffffffff",
    );
  });

  test("survives an encoding that failed", () => {
    const before = encodePlain([1, "before"], 0);
    const fails = [new Uint8Array(40_000), (() => 1) as unknown as Plain];
    expect(() => encodePlain(fails, 0)).toThrow();
    expect(() => encodePlain(fails.slice(1), 0)).toThrow();
    const after = encodePlain([2, "after"], 0);
    expect([decodePlain(before), decodePlain(after)]).toEqual([
      [1, "before"],
      [2, "after"],
    ]);
  });
});

describe("what is read", () => {
  test("has byte strings that are views into what was given, and no Buffers", () => {
    const bytes = Buffer.from(encodePlain([1, new Uint8Array(3).fill(7)], 0));
    const [, read] = decodePlain(bytes) as [number, Uint8Array];
    expect(read.constructor).toBe(Uint8Array);
    bytes.fill(9);
    expect([...read]).toEqual([9, 9, 9]);
  });

  test("leaves what was given as it was", () => {
    const bytes = encodePlain([1, "text"], 0);
    decodePlain(bytes);
    decodePlains(bytes);
    expect(Object.keys(bytes)).toEqual(bytes.keys().map(String).toArray());
  });

  test("one after the other", () => {
    expect(decodePlains(Uint8Array.fromHex("05" + "6178" + "8101"))).toEqual([5, "x", [1]]);
    expect(decodePlains(new Uint8Array(0))).toEqual([]);
  });
});
