/**
 * How far this log is the same as one of which a single place is all that is known: a client's, or that of a replica which
 * is gone. Where that cannot be known, the answer is rather too low than too high. Changes nothing.
 */
import { assert } from "../base/assert.ts";
import { decodeEntry } from "../protocol/codec.ts";
import type { EntryPayload } from "../protocol/entries.ts";
import { viewPid } from "../protocol/ids.ts";
import type { Position, ViewStart } from "../protocol/messages.ts";
import { decodeRecord } from "../protocol/record.ts";
import type { ReplicaOptions } from "./events.ts";
import { endOf } from "./lineage.ts";
import type { ReplicatedLog } from "./log.ts";

/** An entry of a log, without what would prove it: as clients name it. */
export type Place = Pick<Position, "index" | "view">;

/** What of a replica tells about this. */
interface Knowing {
  readonly log: ReplicatedLog;
  readonly options: Pick<ReplicaOptions, "policy" | "timeoutMs">;
}

/**
 * What was written so long before the last entry of a view was on the disks of all its members by then: for longer than a
 * few timeouts a view does not go on without one of them.
 */
const writtenMs = 60_000;
const writtenTimeouts = 10;

/**
 * The last place, at most at index `upTo`, that this log is known to have in common with one that went through `place`,
 * wherever that one went on to.
 */
export function commonPlace(core: Knowing, place: Place, upTo: number): Place {
  const index = Math.min(commonIndexOf(core, place, upTo), core.log.lastIndex);
  return { index, view: core.log.viewAt(index) };
}

function commonIndexOf({ log, options }: Knowing, { index, view }: Place, upTo: number): number {
  // What was committed under `quorum` is in every later log.
  if (options.policy === "quorum") return upTo;
  const agoMs = Math.max(writtenMs, writtenTimeouts * options.timeoutMs);
  const { outline } = log;
  const at = outline.views.findLastIndex((each) => each.view === view);
  if (at >= 0) {
    const end = endOf(outline, at);
    if (index > end) return Math.min(upTo, end);
    if (upTo <= index || end === log.lastIndex) return upTo;
    // Somebody may have gone on alone from there, in a view that nobody here has heard of.
    return Math.min(upTo, Math.max(index, writtenBefore(log, at, agoMs)));
  }
  const kept = log.keptOf(view);
  if (kept !== null) return Math.min(upTo, kept);
  // Whoever led that view has gone its own way since it was last a member of one of this log's.
  const shared = outline.views.findLastIndex(
    (each, i) => each.view < view && endOf(outline, i) > each.firstIndex && isMember(log, i, each.view, viewPid(view)),
  );
  return Math.min(upTo, shared < 0 ? 0 : writtenBefore(log, shared, agoMs));
}

/** Whether a replica is known to have been in a view: of one that began below the base, who led it was. */
const isMember = (log: ReplicatedLog, at: number, view: number, pid: number): boolean =>
  viewPid(view) === pid || log.membersOf(at)?.some((member) => member.pid === pid) === true;

/**
 * The last entry of a view that was written so long before the view's end; if none is known that was, where it begins. That
 * much of it stands below the base says nothing: forks that began there were merged before that was deleted, and whoever was on
 * one may still come.
 */
function writtenBefore(log: ReplicatedLog, at: number, agoMs: number): number {
  const { outline, base } = log;
  const { firstIndex } = outline.views[at] as ViewStart;
  // From its third entry on a view consists of ops, whose times never decrease.
  const firstOp = Math.max(firstIndex + 2, base.index + 1);
  const end = endOf(outline, at);
  if (end < firstOp) return firstIndex;
  const limitMs = opAt(log, end) - agoMs;
  let low = firstOp;
  let high = end;
  while (low < high) {
    const middle = low + Math.floor((high - low) / 2);
    if (opAt(log, middle) <= limitMs) low = middle + 1;
    else high = middle;
  }
  return low === firstOp ? firstIndex : low - 1;
}

/** When an op was written. */
function opAt(log: ReplicatedLog, index: number): number {
  const entry = entryAt(log, index);
  assert(entry.type === "op", "what follows the ACT of a view are ops");
  return entry.at;
}

function entryAt(log: ReplicatedLog, index: number): EntryPayload {
  const record = decodeRecord(log.read(index, 1)[0] as Uint8Array, 0);
  assert(typeof record !== "string", "the log reads back whole");
  return decodeEntry(record.kind, record.payload);
}
