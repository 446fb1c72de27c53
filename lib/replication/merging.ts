/**
 * Merge: what this replica's disk holds beside the lineage is proposed again like a client's ops, under the old ids. Apply
 * drops what is there already. Only `available` can have acknowledged it. Chooses no lineage.
 */
import { decodeEntry } from "../protocol/codec.ts";
import type { OpEntry } from "../protocol/entries.ts";
import { decodeRecord, recordKind } from "../protocol/record.ts";
import { keyOf, type Core } from "./core.ts";
import { accept } from "./writing.ts";

/**
 * Once in each formed view that this replica is in, when it has applied what that view holds; and so in a view of a
 * config without it, which it follows to give what it has.
 */
export function proposeOrphans(core: Core): void {
  if (core.options.policy !== "available" || core.delivered < core.commit) return;
  const view = mergesInto(core);
  if (view === 0 || core.orphansSoughtIn === view) return;
  core.orphansSoughtIn = view;
  const ops = orphanedOps(core);
  core.merging.clear();
  for (const op of ops) core.merging.add(keyOf(op));
  if (ops.length === 0) return;
  core.say("warn", `merging ${ops.length} op${ops.length === 1 ? "" : "s"} of a fork into the lineage`);
  accept(core, ops);
}

/** Whether nothing is left beside the lineage on the disk of this member of the view. */
export function isMerged(core: Core, pid: number): boolean {
  if (pid !== core.self.pid) return core.detector.fresh(pid)?.merged === true;
  if (core.options.policy !== "available") return core.serving;
  return core.serving && core.orphansSoughtIn === core.installed?.view && core.merging.size === 0;
}

/** The view into which orphans are to be proposed; 0 for none. */
function mergesInto(core: Core): number {
  const { following } = core;
  if (core.serving) return core.installed?.view ?? 0;
  const isDonor = following !== null && !core.isConfigured && core.log.lastFormed()?.view === following.view;
  return isDonor ? following.view : 0;
}

function orphanedOps(core: Core): OpEntry[] {
  const ops: OpEntry[] = [];
  if (globalThis.mistaken?.("forks forgotten")) return ops;
  for (const bytes of core.reader.orphans()) {
    const record = decodeRecord(bytes, 0);
    if (typeof record === "string" || record.kind !== recordKind.op) continue;
    const op = decodeEntry(record.kind, record.payload);
    if (op.type === "op") ops.push(op);
  }
  return ops;
}
