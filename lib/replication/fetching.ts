/**
 * Bringing this log onto another's, by asking for what follows the last point that both hold: serves a candidate that
 * lacks its base, a member that lacks what comes before a VIEW entry, and a learner. One fetch at a time.
 */
import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import type { FrameOf, Member, Position } from "../protocol/messages.ts";
import { joinRecords, splitRecords } from "../protocol/record.ts";
import type { Core } from "./core.ts";

const viewTableMax = 4096;

/** Begins (in place of whatever was fetched before). `target` null: follow the end of the other's log for ever. */
export function startFetch(core: Core, from: number, target: Position | null, done: () => void): void {
  core.fetch = { from, nonce: 0, after: core.log.last, target, sentMs: 0, waiting: false, done };
  ask(core);
}

function ask(core: Core): void {
  const { fetch } = core;
  assert(fetch !== null, "a fetch is under way");
  fetch.nonce = core.random.below(2 ** 32);
  fetch.sentMs = core.nowMs;
  fetch.waiting = true;
  core.send(fetch.from, { type: "fetch", nonce: fetch.nonce, after: fetch.after });
}

/** Asks again when an answer got lost, and for news when there was none. */
export function tickFetching(core: Core): void {
  const { fetch } = core;
  if (fetch === null) return;
  const patienceMs = fetch.waiting ? core.options.timeoutMs / 2 : core.options.heartbeatMs / 4;
  if (core.nowMs - fetch.sentMs >= patienceMs) ask(core);
}

/** Anyone answers for what its log holds, whatever its role. */
export function onFetch(core: Core, from: Member, message: FrameOf<"fetch">): void {
  const { log } = core;
  if (!log.holds(message.after)) {
    const index = Math.min(message.after.index, log.lastIndex);
    const views = log.viewTable(index, viewTableMax);
    core.send(from.pid, { type: "diverged", nonce: message.nonce, lastIndex: log.lastIndex, views });
    return;
  }
  const records = log.read(message.after.index + 1, limits.batchBytesMax);
  core.send(from.pid, {
    type: "entries",
    nonce: message.nonce,
    previous: message.after,
    commit: core.commit,
    lastIndex: log.lastIndex,
    records: joinRecords(records),
  });
}

export function onDiverged(core: Core, from: Member, message: FrameOf<"diverged">): void {
  const { fetch } = core;
  if (fetch === null || fetch.from !== from.pid || fetch.nonce !== message.nonce) return;
  const below = fetch.after.index - 1;
  assert(below >= 0, "every log holds the point before its first entry");
  fetch.after = core.log.position(core.log.commonIndex(message.views, message.lastIndex, below));
  ask(core);
}

export function onEntries(core: Core, from: Member, message: FrameOf<"entries">): void {
  const { fetch } = core;
  if (fetch === null || fetch.from !== from.pid || fetch.nonce !== message.nonce) return;
  fetch.waiting = false;
  if (!core.log.holds(message.previous)) return;
  const all = splitRecords(message.records);
  if (all === null) {
    core.say("error", `replica ${from.pid} sent records that are damaged: asking again`);
    return;
  }
  const { target } = fetch;
  const records = target === null ? all : all.filter((record) => record.index <= target.index);
  const { added, keptIndex } = core.log.extend(message.previous, records, "allowed");
  const lastIndex = records.at(-1)?.index ?? message.previous.index;
  core.superseded(keptIndex);
  if (added.length > 0) core.persist(added);
  fetch.after = core.log.position(lastIndex);
  if (target === null) {
    if (lastIndex < message.lastIndex) ask(core);
    // Learning: both logs are the same up to here, and a formed view's commit holds for everyone on its lineage.
    if (core.advanceCommit(Math.min(message.commit, lastIndex))) fetch.done();
    return;
  }
  if (lastIndex >= target.index) {
    assert(core.log.holds(target), "what was fetched leads to the point that was aimed at");
    core.fetch = null;
    fetch.done();
  } else {
    ask(core);
  }
}
