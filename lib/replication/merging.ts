/**
 * Merge: what this replica's disk holds beside the lineage is proposed again like a client's ops, under the old ids,
 * until all of it has come out of the log; then a MERGED record says so on this disk. Apply drops what is there already.
 * A portion after the other: of a long partition it may be so much that to read and propose it at once would make this
 * replica, and the primary, stand still for longer than a timeout. Only `available` can have acknowledged it. Chooses no
 * lineage.
 */
import { decodeEntry, encodeEntry } from "../protocol/codec.ts";
import type { OpEntry } from "../protocol/entries.ts";
import { decodeRecord, recordKind } from "../protocol/record.ts";
import type { Core } from "./core.ts";
import { keyOf, type Merging } from "./state.ts";
import { accept } from "./writing.ts";

/**
 * Once a tick: in a formed view, when this replica has applied what that view holds; and so in a view of a config
 * without it, which it follows to give what it has.
 */
export function tickMerging(core: Core): void {
  if (core.options.policy !== "available" || globalThis.mistaken?.("forks forgotten")) return;
  if (mergesInto(core) === 0 || core.stateless || core.delivered < core.commit || !core.reader.hasForks) return;
  core.merging ??= { portions: core.reader.orphans(), ops: new Map(), owed: 0, owedBefore: null, isBegun: false };
  const { merging } = core;
  if (merging.ops.size === 0 && !takePortion(core, merging)) {
    core.merging = null;
    core.persist([core.localRecord(recordKind.merged, encodeEntry({ type: "merged" }), 0)]);
    if (!core.isConfigured)
      core.say("warn", `what replica ${core.self.pid} alone held has been merged: it may be stopped`);
    return;
  }
  // One of them may build on another that has come out of the log: cut after that, the merge begins anew with both.
  const unasked = [...merging.ops].filter(([key]) => !core.pending.has(key)).map(([, op]) => op);
  if (unasked.length > 0) accept(core, unasked, Infinity);
}

/** The next portion, when all of the one before has come out of the log. False if there is none. */
function takePortion(core: Core, merging: Merging): boolean {
  const { value: records, done } = merging.portions.next();
  if (done === true) return passAgain(core, merging);
  merging.ops = opsOf(records);
  const { size } = merging.ops;
  merging.owed += size;
  const more = merging.isBegun ? " more" : "";
  if (size > 0) core.say("warn", `merging ${size}${more} op${size === 1 ? "" : "s"} of a fork into the lineage`);
  merging.isBegun ||= size > 0;
  return true;
}

/**
 * What stood in front of the registration of its session came out of the log as of an unknown one, and is still owed when
 * that has been merged. So forks are looked through until a pass finds nothing owed, or as much as the one before: that is of
 * sessions which this lineage has forgotten.
 */
function passAgain(core: Core, merging: Merging): boolean {
  if (merging.owed === 0 || merging.owed === merging.owedBefore) return false;
  merging.portions = core.reader.orphans();
  merging.owedBefore = merging.owed;
  merging.owed = 0;
  return true;
}

/**
 * Whether nothing is left beside the lineage on the disk of this member of the view; and of this replica also where it only
 * gives what it has, to a view of a config without it.
 */
export function isMerged(core: Core, pid: number): boolean {
  if (pid !== core.self.pid) {
    const heartbeat = core.detector.fresh(pid);
    // What it told in an earlier view may have become a fork when it left that.
    return heartbeat?.merged === true && heartbeat.installed === core.installed?.view;
  }
  return mergesInto(core) !== 0 && (core.options.policy !== "available" || !core.reader.hasForks);
}

/** The view into which orphans are to be proposed; 0 for none. */
function mergesInto(core: Core): number {
  const { following } = core;
  if (core.serving) return core.installed?.view ?? 0;
  const isDonor = following !== null && !core.isConfigured && core.log.lastFormed()?.view === following.view;
  return isDonor ? following.view : 0;
}

/**
 * By key, in the order of their places: on whatever fork an op stood, its session was registered below it, though that may
 * have left the lineage later and so come behind it on the disk. One that stands in several places is one op: of those the
 * first behind the registration, for a copy in front of that came to a fork in which the session was not known yet, was refused
 * there, and was asked for again. Nothing else is moved: other sessions have built on it where it stands.
 */
function opsOf(records: readonly Uint8Array[]): Map<string, OpEntry> {
  const ops = new Map<string, OpEntry>();
  const registered = new Set<string>();
  const early = new Set<string>();
  for (const bytes of records) {
    const record = decodeRecord(bytes, 0);
    if (typeof record === "string" || record.kind !== recordKind.op) continue;
    const op = decodeEntry(record.kind, record.payload);
    if (op.type !== "op") continue;
    // Number 0 of a session is its registration.
    if (op.seq === 0) registered.add(op.session);
    const key = keyOf(op);
    const isRegistered = registered.has(op.session);
    if (isRegistered && early.delete(key)) ops.delete(key);
    if (ops.has(key)) continue;
    ops.set(key, op);
    if (!isRegistered) early.add(key);
  }
  return ops;
}
