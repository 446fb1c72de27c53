/** The draws that only simulations need: in range, repeatable, independent after a fork. */
import { expect, test } from "bun:test";
import { Random } from "./random.ts";

test("a fork draws its own numbers, and the same ones for the same seed", () => {
  const draw = (seed: number): number[] => {
    const random = new Random(seed);
    const fork = random.fork();
    return [random.uint32(), fork.uint32(), random.uint32(), fork.uint32()];
  };
  expect(draw(7)).toEqual(draw(7));
  expect(new Set([...draw(7), ...draw(8)]).size).toBe(8);
});

test("draws keep to their range", () => {
  const random = new Random(1);
  let sum = 0;
  for (let round = 0; round < 10_000; round++) {
    const drawn = random.between(5, 6);
    expect(drawn >= 5 && drawn < 6).toBe(true);
    sum += random.around(3);
  }
  expect(sum / 10_000).toBeGreaterThan(2.8);
  expect(sum / 10_000).toBeLessThan(3.2);
});

test("uuids are canonical and distinct", () => {
  const random = new Random(3);
  const seen = new Set(Array.from({ length: 1_000 }, () => random.uuid()));
  expect(seen.size).toBe(1_000);
  for (const uuid of seen) expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/);
});

test("shuffling keeps the items", () => {
  const items = Array.from({ length: 50 }, (_, at) => at);
  const shuffled = new Random(4).shuffle([...items]);
  expect(shuffled).not.toEqual(items);
  expect(shuffled.toSorted((a, b) => a - b)).toEqual(items);
});
