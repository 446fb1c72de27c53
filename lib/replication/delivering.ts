/**
 * Handing what is committed to the state machine, in log order and once; and what that settles here: an op that comes out
 * of the log waits no more. Does not decide what is committed.
 */
import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import { decodeEntry } from "../protocol/codec.ts";
import { decodeRecord, recordKind } from "../protocol/record.ts";
import type { CommittedEntry } from "../protocol/state-machine.ts";
import type { Core } from "./core.ts";
import { keyOf } from "./state.ts";

/**
 * Hands committed entries to the state machine, a batch a step, so that a long replay does not starve the rest.
 * MUST NOT hand over what is not on this disk, as it may be at a learner: after a crash the state would be ahead of the log, and
 * of no use where that does not reach back to build it again; and it may be the last one.
 */
export function deliver(core: Core): void {
  const end = globalThis.mistaken?.("state ahead of the log") ? core.commit : Math.min(core.commit, core.durableIndex);
  if (core.stateless || core.snapshots.holdsUpApplying || core.delivered >= end) return;
  core.copies = core.log.copies(core.commit);
  if (globalThis.mistaken?.("copies of the config")) core.copies = core.config.length;
  const entries: CommittedEntry[] = [];
  while (core.delivered < end && entries.length < limits.applyBatchEntriesMax) {
    const room = limits.applyBatchEntriesMax - entries.length;
    for (const bytes of core.log.read(core.delivered + 1, limits.batchBytesMax).slice(0, room)) {
      if (core.delivered >= end) break;
      entries.push(committed(core, bytes));
      core.delivered++;
    }
  }
  const replayed = entries.findIndex(({ index }) => index > core.replayedIndex);
  core.effects.push({ type: "committed", entries, replayed: replayed < 0 ? entries.length : replayed });
  if (core.delivered < end) core.effects.push({ type: "continue" });
}

function committed(core: Core, bytes: Uint8Array): CommittedEntry {
  const record = decodeRecord(bytes, 0);
  assert(typeof record !== "string" && record.index === core.delivered + 1, "the log reads back whole and in order");
  const { index, view, chain } = record;
  if (record.kind !== recordKind.op) return { index, view, chain, op: null };
  const op = decodeEntry(record.kind, record.payload);
  assert(op.type === "op", "an OP record holds an op");
  const key = keyOf(op);
  if (core.pending.delete(key)) core.pendingProgressMs = core.nowMs;
  core.inFlight.delete(key);
  // Not when a client asks for it again: whose session is closed is refused what a fork has done for it.
  if (core.merging?.ops.get(key)?.origAt === op.origAt) core.merging.ops.delete(key);
  core.stateClock = Math.max(core.stateClock, op.at);
  return { index, view, chain, op };
}
