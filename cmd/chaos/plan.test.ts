/** The same seed, the same plan; every kind of fault comes up. */
import { describe, expect, test } from "bun:test";
import { describeStrike, describeWound, planOf, type Round } from "./plan.ts";

const users = ["alice", "bob", "carol"];

function rounds(seed: number, count: number): Round[] {
  const plan = planOf(seed, users.length);
  return Array.from({ length: count }, () => plan.next().value);
}

describe("a plan", () => {
  test("depends on nothing but the seed", () => {
    expect(rounds(7, 20)).toEqual(rounds(7, 20));
    expect(rounds(7, 20)).not.toEqual(rounds(8, 20));
  });

  test("has every kind of strike and wound sooner or later, each within its round and said in words", () => {
    const many = rounds(1, 400);
    const strikes = many.flatMap((round) => round.strikes.map(({ strike }) => strike));
    expect(new Set(strikes.map(({ kind }) => kind)).size).toBe(14);
    expect(new Set(many.map(({ wound }) => wound?.kind)).size).toBe(5);
    for (const { strikes: each, lengthMs } of many) {
      for (const { atMs } of each) expect(atMs).toBeLessThan(lengthMs);
    }
    for (const strike of strikes) expect(describeStrike(strike, users)).not.toContain("undefined");
    for (const { wound } of many) if (wound !== null) expect(describeWound(wound)).toContain(`replica ${wound.pid}`);
  });

  test("damages one disk at a time: the others hold what it held", () => {
    for (const { strikes } of rounds(2, 100)) {
      expect(strikes.filter(({ strike }) => ["flip", "truncate", "wipe"].includes(strike.kind))).toEqual([]);
    }
  });
});
