/** What a log knows of its own disk, of which its segments tell when those that showed it are gone. */
import { expect, test } from "bun:test";
import { encodeEntry } from "../protocol/codec.ts";
import type { Position } from "../protocol/fields.ts";
import { makeView } from "../protocol/ids.ts";
import { decodeRecord, recordKind } from "../protocol/record.ts";
import { Lineage, readBegin } from "./lineage.ts";

const uuid = (digit: number): string => `${digit}0000000-0000-4000-8000-000000000000`;

/** The next view, led by `leader`, with these disks under the pids 1 and 2. */
function view(lineage: Lineage, number: number, leader: number, disks: readonly [number, number]): void {
  const config = disks.map((digit, at) => ({ pid: at + 1, address: `replica-${at + 1}:1538`, uuid: uuid(digit) }));
  const members = config.map(({ pid, uuid: on }) => ({ pid, uuid: on, incarnation: 1 }));
  const of = makeView(number, leader);
  const entry = { type: "view", view: of, parent: 0, epoch: number, policy: "quorum", members, config } as const;
  const payload = encodeEntry({ ...entry, awaiting: [] });
  lineage.take({ kind: recordKind.view, index: 2 * number - 1, view: of, payload });
  lineage.take({ kind: recordKind.act, index: 2 * number, view: of, payload: encodeEntry({ type: "act", view: of }) });
}

test("a disk that was replaced does not know any more which views its pid has led, until it has led one again", () => {
  const lineage = new Lineage(uuid(2));
  view(lineage, 1, 1, [1, 2]);
  expect(lineage.isKnown).toBe(true);
  view(lineage, 2, 1, [1, 3]);
  expect(lineage.isKnown).toBe(false);
  view(lineage, 3, 1, [1, 2]);
  expect(lineage.isKnown).toBe(false);
  view(lineage, 4, 2, [1, 2]);
  expect(lineage.isKnown).toBe(true);
});

test("nor when its log begins anew behind the view that tells", () => {
  const other = new Lineage(uuid(1));
  view(other, 1, 1, [1, 2]);
  view(other, 2, 1, [1, 3]);
  const end: Position = { index: 4, view: makeView(2, 1), chain: 1n };
  const lineage = new Lineage(uuid(2));
  view(lineage, 1, 1, [1, 2]);
  lineage.begin(other.beginning(end));
  expect(lineage.isKnown).toBe(false);
});

test("of views that failed to form for hours the newest of those that say the same stand at the head of a segment", () => {
  const lineage = new Lineage(uuid(2));
  view(lineage, 1, 1, [1, 2]);
  const config = [1, 2].map((pid) => ({ pid, address: `replica-${pid}:1538`, uuid: uuid(pid) }));
  for (let number = 2; number <= 1_500; number++) {
    const of = makeView(number, 1);
    const members = config.map(({ pid, uuid: on }) => ({ pid, uuid: on, incarnation: number }));
    const entry = { type: "view", view: of, parent: 0, epoch: 1, policy: "quorum", members, config } as const;
    const payload = encodeEntry({ ...entry, awaiting: [] });
    lineage.take({ kind: recordKind.view, index: number + 1, view: of, payload });
  }
  const beginning = lineage.beginning({ index: 1_501, view: makeView(1_500, 1), chain: 1n });
  expect(beginning.attempts.map(({ view: of }) => of)).toEqual([makeView(1, 1), makeView(1_500, 1)]);
  const begin = decodeRecord(lineage.record(1, beginning, 0), 0);
  expect(typeof begin === "string" ? begin : readBegin(begin)?.attempts).toEqual([...beginning.attempts]);
});
