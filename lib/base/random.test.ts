/** The seeded generator: its sequence is a promise, its ranges hold. */
import { describe, expect, test } from "bun:test";
import { Random } from "./random.ts";

const words = (seed: number, count: number): number[] => {
  const random = new Random(seed);
  return Array.from({ length: count }, () => random.uint32());
};

describe("Random", () => {
  test("equal seeds give equal sequences, on every machine and in every version", () => {
    expect(words(7, 100)).toEqual(words(7, 100));
    // Seeds are written down in fixtures: the sequence is a promise.
    expect(words(1, 4)).toEqual([573063952, 3268221502, 703077755, 2308299391]);
  });

  test("every bit of the seed counts", () => {
    const first = new Set<number>();
    for (let bit = 0; bit < 53; bit++) first.add(new Random(2 ** bit).uint53());
    first.add(new Random(0).uint53());
    expect(first.size).toBe(54);
  });

  test("below covers its range evenly and never leaves it", () => {
    const random = new Random(3);
    const counts = new Array<number>(10).fill(0);
    for (let i = 0; i < 10_000; i++) {
      const value = random.below(10);
      counts[value] = (counts[value] ?? NaN) + 1;
    }
    expect(counts).toHaveLength(10);
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });

  test("uint53 is a safe integer that uses its upper bits", () => {
    const random = new Random(5);
    let greatest = 0;
    for (let i = 0; i < 1000; i++) {
      const value = random.uint53();
      expect(Number.isSafeInteger(value)).toBe(true);
      greatest = Math.max(greatest, value);
    }
    expect(greatest).toBeGreaterThan(2 ** 52);
  });

  test("chance 0 never, 1 always, 0.25 about every fourth time", () => {
    const random = new Random(9);
    let hits = 0;
    for (let i = 0; i < 10_000; i++) {
      expect(random.chance(0)).toBe(false);
      expect(random.chance(1)).toBe(true);
      if (random.chance(0.25)) hits++;
    }
    expect(Math.abs(hits - 2500)).toBeLessThan(250);
  });

  test("pick picks everything there is, and refuses when there is nothing", () => {
    const random = new Random(11);
    expect(new Set(Array.from({ length: 100 }, () => random.pick(["a", "b", "c"]))).size).toBe(3);
    expect(() => random.pick([])).toThrow(RangeError);
  });
});
