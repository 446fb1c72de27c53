/** Ranges against a plain set. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { SequenceRanges } from "./sequence-ranges.ts";

test("holds what was added, in the fewest ranges, and tells which ranges changed", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 60 }), (seqs) => {
      const ranges = new SequenceRanges();
      const set = new Set<number>();
      const written = new Map<number, number>();
      for (const seq of seqs) {
        const changed: number[] = [];
        ranges.add(seq, (first) => changed.push(first));
        set.add(seq);
        // What the table does with it.
        for (const first of changed) {
          const last = ranges.lastOf(first);
          if (last === null) written.delete(first);
          else written.set(first, last);
        }
      }
      for (let seq = 1; seq <= 41; seq++) expect(ranges.has(seq)).toBe(set.has(seq));
      const fewest = [...set].filter((seq) => !set.has(seq - 1)).sort((one, other) => one - other);
      expect(ranges.ranges.map(({ first }) => first)).toEqual(fewest);
      expect([...written].sort(([one], [other]) => one - other)).toEqual(
        ranges.ranges.map(({ first, last }) => [first, last]),
      );
    }),
  );
});
