/** Which refusals keep an op out of a merge. */
import { describe, expect, test } from "bun:test";
import type { OpEntry } from "../protocol/entries.ts";
import type { CommittedEntry, OpResult } from "../protocol/state-machine.ts";
import { ToldRefusals } from "./told-refusals.ts";

const session = "00000000-0000-4000-8000-000000000001";
const digest = new Uint8Array(8);
const op = (seq: number, origAt = 5): OpEntry => ({
  ...{ session, seq, oldest: 1, at: 5, origAt, digest, command: new Uint8Array(1) },
});
const refused: OpResult = { type: "refused", code: "name-taken", message: "" };
const done: OpResult = { type: "done", index: 1, view: 1, duplicate: false, count: 0 };

function note(refusals: ToldRefusals, noted: OpEntry, result: OpResult | null, isFinal = false): void {
  const entries: CommittedEntry[] = [
    { index: 1, view: 1, chain: 0n, op: null },
    { index: 2, view: 1, chain: 0n, op: noted },
  ];
  refusals.note(entries, [{ session, seq: noted.seq, digest, result }], () => isFinal);
}

describe("an op that was refused", () => {
  test("is known by its content too", () => {
    const refusals = new ToldRefusals();
    note(refusals, op(1), refused);
    expect([refusals.has(op(1)), refusals.has(op(2))]).toEqual([true, false]);
    expect(refusals.has({ ...op(1), digest: new Uint8Array(8).fill(1) })).toBe(false);
  });

  test.each([4, 6])("is owed as the copy that was asked for on another side, whenever that was: %p", (origAt) => {
    const refusals = new ToldRefusals();
    note(refusals, op(1), refused);
    note(refusals, op(1, origAt), refused);
    expect([refusals.has(op(1)), refusals.has(op(1, origAt))]).toEqual([true, false]);
    note(refusals, op(1, origAt), done);
    expect([refusals.has(op(1)), refusals.has(op(1, origAt))]).toEqual([true, false]);
  });

  test("is not held when every disk has it, or when the refusal says nothing of it", () => {
    const refusals = new ToldRefusals();
    note(refusals, op(1), refused, true);
    for (const code of ["unknown", "unauthorized"] as const) note(refusals, op(2), { ...refused, code });
    note(refusals, op(3), null);
    expect(refusals.isEmpty).toBe(true);
  });
});

test("the oldest are forgotten when there are too many", () => {
  const refusals = new ToldRefusals(2);
  for (const seq of [1, 2, 3]) note(refusals, op(seq), refused);
  expect([1, 2, 3].map((seq) => refusals.has(op(seq)))).toEqual([false, true, true]);
});
