/** What the logical log can tell about views and about who was in them. */
import { expect, test } from "bun:test";
import { limits } from "../base/limits.ts";
import { decodeFrame, encodeEntry, encodeFrame, framePrefixBytes } from "../protocol/codec.ts";
import type { EntryPayload } from "../protocol/entries.ts";
import { makeView } from "../protocol/ids.ts";
import type { Member } from "../protocol/messages.ts";
import { decodeRecord, encodeRecord, recordKind } from "../protocol/record.ts";
import { ReplicatedLog } from "./log.ts";

const uuid = (digit: number): string => `${digit}0000000-0000-4000-8000-000000000000`;
const disk = (pid: number, digit: number): Member => ({ pid, uuid: uuid(digit), incarnation: 1 });

function emptyLog(read: (fromIndex: number) => Uint8Array[] = () => []): ReplicatedLog {
  const nothing = { views: new Float64Array(0), chains: new BigUint64Array(0) };
  const found = { promised: 0, beginning: null, isKnown: false, ...nothing, commit: 0, damaged: false };
  return new ReplicatedLog(found, { read, orphans: () => [].values(), hasForks: false, compactable: () => null });
}

function append(log: ReplicatedLog, view: number, entry: EntryPayload): void {
  const header = { kind: recordKind[entry.type], clusterTag: 1, index: log.lastIndex + 1, view };
  const { bytes } = encodeRecord({ ...header, payload: encodeEntry(entry) }, log.chainAt(log.lastIndex));
  const record = decodeRecord(bytes, 0);
  if (typeof record === "string") throw new Error(record);
  log.append(record);
}

function appendView(log: ReplicatedLog, view: number, members: readonly Member[], away: readonly Member[] = []): void {
  const config = [...members, ...away].map(({ pid, uuid: on }) => ({ pid, address: `replica-${pid}:1538`, uuid: on }));
  append(log, view, {
    ...{ type: "view", view, parent: log.lastView, epoch: 1, policy: "quorum", members: [...members] },
    ...{ config, awaiting: [] },
  });
  append(log, view, { type: "act", view });
}

const op = (seq: number): EntryPayload => {
  const command = new Uint8Array(1);
  return { type: "op", session: uuid(9), seq, oldest: 1, at: 1, origAt: 1, digest: new Uint8Array(8), command };
};

test("a disk that replaces one that has led is not taken for it, nor is that one when it is back", () => {
  const log = emptyLog();
  appendView(log, makeView(1, 1), [disk(1, 1), disk(2, 2), disk(3, 3)]);
  appendView(log, makeView(2, 2), [disk(1, 1), disk(2, 2), disk(3, 3)]);
  expect(log.knows(disk(2, 2))).toBe(true);
  appendView(log, makeView(3, 1), [disk(1, 1), disk(2, 4), disk(3, 3)]);
  expect(log.knows(disk(2, 2))).toBe(false);
  expect(log.knows(disk(3, 3))).toBe(true);
  expect(log.knows(disk(2, 4))).toBe(false);
  // Who was away may know of views that the other disk had followed, and gone on from.
  appendView(log, makeView(4, 2), [disk(2, 4), disk(3, 3)], [disk(1, 1)]);
  expect(log.knows(disk(2, 4))).toBe(false);
  appendView(log, makeView(5, 2), [disk(1, 1), disk(2, 4), disk(3, 3)]);
  expect(log.knows(disk(2, 4))).toBe(true);
  appendView(log, makeView(6, 1), [disk(1, 1), disk(2, 2), disk(3, 3)]);
  expect(log.knows(disk(2, 2))).toBe(false);
  log.compact(log.lastIndex, disk(2, 2));
  expect(log.knows(disk(2, 2))).toBe(false);
  appendView(log, makeView(7, 2), [disk(1, 1), disk(2, 2), disk(3, 3)]);
  expect(log.knows(disk(2, 2))).toBe(true);
});

test("what a later view may have carried over is on the disks of its members, for all that is known", () => {
  const log = emptyLog();
  appendView(log, makeView(1, 1), [disk(1, 1), disk(2, 2), disk(3, 3)]);
  append(log, makeView(1, 1), op(1));
  append(log, makeView(1, 1), op(2));
  expect([1, 2, 4].map((index) => log.copies(index))).toEqual([0, 3, 3]);
  appendView(log, makeView(2, 1), [disk(1, 1), disk(2, 2)]);
  append(log, makeView(2, 1), op(3));
  // Indexes: VIEW 1, ACT 2, ops 3 and 4, VIEW 5, ACT 6, op 7.
  expect([2, 4, 5, 6, 7].map((index) => log.copies(index))).toEqual([2, 2, 2, 2, 2]);
  appendView(log, makeView(3, 1), [disk(1, 1), disk(2, 2), disk(3, 3)]);
  expect([4, 7, 9].map((index) => log.copies(index))).toEqual([2, 2, 3]);
});

test("what a later view carried over is decided only together with its ACT", () => {
  const log = emptyLog();
  appendView(log, makeView(1, 1), [disk(1, 1), disk(2, 2), disk(3, 3)]);
  append(log, makeView(1, 1), op(1));
  append(log, makeView(1, 1), op(2));
  appendView(log, makeView(2, 1), [disk(1, 1), disk(2, 2)]);
  append(log, makeView(2, 1), op(3));
  // Indexes: VIEW 1, ACT 2, ops 3 and 4, VIEW 5, ACT 6, op 7.
  expect(log.decided(4, 1)).toBe(0);
  expect(log.decided(4, 3)).toBe(3);
  expect(log.decided(3, 4)).toBe(3);
  expect(log.decided(6, 4)).toBe(2);
  expect(log.decided(6, 5)).toBe(2);
  expect(log.decided(7, 6)).toBe(6);
  // Of what lies beyond the log nobody here knows the views.
  expect(log.decided(9, 7)).toBe(6);
});

test("of a long log only the newest records are kept in memory; the rest is read from disk", () => {
  const written: Uint8Array[] = [];
  const asked: number[] = [];
  const log = emptyLog((from) => {
    asked.push(from);
    return written.slice(from - 1, from);
  });
  const view = makeView(1, 1);
  appendView(log, view, [disk(1, 1)]);
  written.push(...log.read(1, Infinity));
  const large = { ...op(1), command: new Uint8Array(8_000) };
  for (let index = 3; index <= 2_500; index++) {
    append(log, view, large);
    written.push(log.read(index, 1)[0] as Uint8Array);
  }
  log.trim();
  expect(asked).toEqual([]);
  expect(log.read(2_400, 1)[0]).toEqual(written[2_399] as Uint8Array);
  expect(asked).toEqual([]);
  expect(log.read(10, 1)[0]).toEqual(written[9] as Uint8Array);
  expect(asked).toEqual([10]);
  expect(log.lastOpAt()).toBe(1);
});

test("of views that failed to form for hours as many are told as a message holds: the newest of those that say the same", () => {
  const all = [disk(1, 1), disk(2, 2), disk(3, 3)];
  const config = all.map(({ pid, uuid: on }) => ({ pid, address: `replica-${pid}:1538`, uuid: on }));
  const log = emptyLog();
  appendView(log, makeView(1, 1), all);
  append(log, makeView(1, 1), op(1));
  const attempt = (number: number, members: readonly Member[]): void => {
    const view = makeView(number, 1);
    const same = { parent: log.lastView, epoch: 1, policy: "available", config } as const;
    append(log, view, { type: "view", view, ...same, members: [...members], awaiting: [] });
  };
  attempt(2, [disk(1, 1), disk(3, 3)]);
  // Started again each time.
  for (let number = 3; number < 1_503; number++) attempt(number, [disk(1, 1), { ...disk(2, 2), incarnation: number }]);
  const told = [makeView(1, 1), makeView(2, 1), makeView(1_502, 1)];
  const views = log.attempts().map(({ view }) => view);
  expect(views).toEqual(told);
  expect(log.attempts().map(({ formed }) => formed)).toEqual([true, false, false]);

  // The log may be shortened among them, and another one begin behind that.
  log.compact(1_000, disk(1, 1));
  const middle = log.position(1_000);
  const beginning = log.beginning("available", limits.viewTableMax);
  expect(beginning.attempts.map(({ view }) => view)).toEqual([...told.slice(0, 2), middle.view]);
  const frame = { type: "compacted", nonce: 1, serves: 0, ...beginning } as const;
  const sent = { ...frame, views: [...beginning.views], attempts: [...beginning.attempts] };
  expect(decodeFrame(encodeFrame(sent).subarray(framePrefixBytes))).toEqual(sent);
  const other = emptyLog();
  other.beginAnew(beginning, 0);
  expect(other.attempts().map(({ view }) => view)).toEqual([...told.slice(0, 2), middle.view]);
  expect(other.copies(1_000)).toBe(3);
  expect(other.decided(1_000, 1_000)).toBe(1_000);
  expect(other.beginning("available", limits.viewTableMax)).toEqual(beginning);
  const records = log.read(1_001, Infinity).map((bytes) => decodeRecord(bytes, 0));
  for (const record of records) if (typeof record !== "string") other.append(record);
  expect(other.attempts()).toEqual(log.attempts());
  other.compact(1_200, disk(1, 1));
  expect(other.attempts()).toEqual(log.attempts());
  expect(other.beginning("available", limits.viewTableMax)).toMatchObject({ position: log.position(1_200) });
});
