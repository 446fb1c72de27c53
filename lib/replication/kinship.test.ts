/** How far a log is the same as another of which one place is known: where it is known, and where it is guessed low. */
import { expect, test } from "bun:test";
import { encodeEntry } from "../protocol/codec.ts";
import type { EntryPayload } from "../protocol/entries.ts";
import { makeView } from "../protocol/ids.ts";
import type { LogBeginning } from "../protocol/log-port.ts";
import type { Member, Policy } from "../protocol/messages.ts";
import { decodeRecord, encodeRecord, recordKind } from "../protocol/record.ts";
import { commonPlace } from "./kinship.ts";
import { ReplicatedLog } from "./log.ts";

const uuid = (digit: number): string => `${digit}0000000-0000-4000-8000-000000000000`;
const memberOf = (pid: number): Member => ({ pid, uuid: uuid(pid), incarnation: 1 });
const minute = 60_000;

function emptyLog(beginning: LogBeginning | null = null): ReplicatedLog {
  const nothing = { views: new Float64Array(0), chains: new BigUint64Array(0) };
  const found = { promised: 0, beginning, isKnown: false, ...nothing, commit: 0, damaged: false };
  return new ReplicatedLog(found, {
    read: () => [],
    orphans: () => [].values(),
    hasForks: false,
    compactable: () => null,
  });
}

function append(log: ReplicatedLog, view: number, entry: EntryPayload): void {
  const header = { kind: recordKind[entry.type], clusterTag: 1, index: log.lastIndex + 1, view };
  const { bytes } = encodeRecord({ ...header, payload: encodeEntry(entry) }, log.chainAt(log.lastIndex));
  const record = decodeRecord(bytes, 0);
  if (typeof record === "string") throw new Error(record);
  log.append(record);
}

/** A view of these replicas that forms, and ops written at these times. */
function appendView(log: ReplicatedLog, view: number, pids: readonly number[], times: readonly number[]): void {
  const members = pids.map(memberOf);
  const config = members.map(({ pid, uuid: on }) => ({ pid, address: `replica-${pid}:1538`, uuid: on }));
  const policy: Policy = "available";
  append(log, view, { type: "view", view, parent: log.lastView, epoch: 1, policy, members, config, awaiting: [] });
  append(log, view, { type: "act", view });
  const same = { session: uuid(9), oldest: 1, digest: new Uint8Array(8), command: new Uint8Array(1) };
  for (const at of times) append(log, view, { type: "op", seq: log.lastIndex, at, origAt: at, ...same });
}

const together = makeView(1, 1);
const alone = makeView(2, 1);

/** View 1.1 of both is entries 1 to 7; 2.1 of replica 1 alone, 8 to 11. */
function ofTwoViews(): ReplicatedLog {
  const log = emptyLog();
  appendView(log, together, [1, 2], [0, 1, 2 * minute, 2 * minute + 1, 2 * minute + 2]);
  appendView(log, alone, [1], [3 * minute, 3 * minute]);
  return log;
}

function common(log: ReplicatedLog, index: number, view: number, upTo: number, policy: Policy = "available"): number {
  return commonPlace({ log, options: { policy, timeoutMs: 1000 } }, { index, view }, upTo).index;
}

test("what lies before a place that the log holds is the same", () => {
  const log = ofTwoViews();
  expect(commonPlace({ log, options: { policy: "available", timeoutMs: 1000 } }, { index: 9, view: alone }, 6)).toEqual(
    {
      index: 6,
      view: together,
    },
  );
  expect(common(log, 6, together, 6)).toBe(6);
});

test("a place beyond the end of its view in this log is on another way that began at that end", () => {
  expect(common(ofTwoViews(), 20, together, 25)).toBe(7);
  expect(common(ofTwoViews(), 20, together, 5)).toBe(5);
});

test("what follows a place is the same in the last view, and before it as far as was long written when its view ended", () => {
  const log = ofTwoViews();
  expect(common(log, 9, alone, 11)).toBe(11);
  expect(common(log, 2, together, 10)).toBe(4);
  expect(common(log, 6, together, 10)).toBe(6);
});

test("of a view that this log has left it is known where", () => {
  const log = ofTwoViews();
  log.supersedeAfter(6);
  appendView(log, makeView(2, 2), [2], [3 * minute]);
  expect(common(log, 11, alone, 11)).toBe(6);
  log.supersedeAfter(5);
  appendView(log, makeView(3, 2), [2], [3 * minute]);
  expect(common(log, 11, alone, 11)).toBe(5);
  expect(common(log, 9, makeView(2, 2), 9)).toBe(5);
});

test("of a view that nobody here has heard of, what was long written when its primary was last there is the same", () => {
  const log = ofTwoViews();
  appendView(log, makeView(5, 1), [1, 2], []);
  expect(common(log, 30, makeView(4, 2), 30)).toBe(4);
  expect(common(log, 30, makeView(4, 3), 30)).toBe(0);
});

test("under `quorum` all that was committed is in every log", () => {
  expect(common(ofTwoViews(), 2, together, 10, "quorum")).toBe(10);
});

test("where two ways parted stays known, or is guessed low, when the log has been shortened beyond that", () => {
  const log = ofTwoViews();
  // 2.2 is of replica 2 alone; it is merged in 3.1, and the log is shortened in that.
  log.supersedeAfter(7);
  appendView(log, makeView(2, 2), [2], [3 * minute]);
  log.supersedeAfter(7);
  appendView(log, alone, [1], [3 * minute, 3 * minute]);
  appendView(log, makeView(3, 1), [1, 2], [4 * minute, 5 * minute, 6 * minute, 7 * minute]);
  log.compact(15, memberOf(1));
  // Who has seen more of 1.1 than it has here, or something of 2.2.
  expect(common(log, 9, together, 9)).toBe(7);
  expect(common(log, 9, makeView(2, 2), 9)).toBe(7);
  // Who was last told a place of 1.1, and may have seen what came after that on either side.
  expect(common(log, 5, together, 9)).toBe(5);
  expect(common(log, 5, together, 5)).toBe(5);
  // Of one that is not known to have been in any view of this log.
  expect(common(log, 14, makeView(2, 4), 14)).toBe(0);
  expect(common(log, 14, makeView(3, 1), 14)).toBe(14);
});

test("who led a view that nobody here has heard of was in one below the base, as far as that is remembered", () => {
  const log = ofTwoViews();
  appendView(log, makeView(5, 1), [1, 2], []);
  log.membersOf(0);
  log.compact(12, memberOf(1));
  expect(common(log, 9, makeView(4, 2), 9)).toBe(1);
  expect(common(log, 11, makeView(4, 1), 11)).toBe(8);
  expect(common(log, 9, makeView(4, 3), 9)).toBe(0);
});

test("so it is in a log that has come beyond what 32 bits count", () => {
  const before = 2 ** 32;
  const position = { index: before, view: together, chain: 1n };
  const views = [{ view: together, firstIndex: before - 1 }];
  const log = emptyLog({ position, policy: "available", views, attempts: [] });
  appendView(log, makeView(2, 2), [1, 2], [0, 1, 2, 2 * minute, 2 * minute + 1]);
  appendView(log, makeView(3, 1), [1, 2], []);
  expect(common(log, before + 1, makeView(2, 2), before + 8)).toBe(before + 5);
});
