/**
 * Bringing this log onto another's, by asking for what follows the last point that both hold: serves a candidate that
 * lacks its base, a member that lacks what comes before a VIEW entry, and a learner. One fetch at a time.
 */
import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import type { FrameOf, Member, Position } from "../protocol/messages.ts";
import { joinRecords, splitRecords } from "../protocol/record.ts";
import type { Core, Fetch } from "./core.ts";

const viewTableMax = 4096;

/** For a view that was promised: brings the log to `target`, in place of whatever was fetched before. */
export function fetchBase(core: Core, from: number, target: Position, done: () => void): void {
  start(core, { from, target, view: core.promised, done });
}

/** Follows the end of another's log for ever; `progress` runs when more of it is known to be committed. */
export function fetchForEver(core: Core, from: number, progress: () => void): void {
  start(core, { from, target: null, view: 0, done: progress });
}

function start(core: Core, what: Pick<Fetch, "from" | "target" | "view" | "done">): void {
  core.fetch = { ...what, nonce: 0, after: core.log.last, sentMs: 0, waiting: false };
  ask(core);
}

/** Whether what is being fetched still serves a purpose. */
function isVoid(core: Core, fetch: Fetch): boolean {
  return fetch.view !== 0 && fetch.view !== core.promised;
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
  if (isVoid(core, fetch)) {
    core.fetch = null;
    return;
  }
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
  const end = message.after.index + records.length;
  core.send(from.pid, {
    type: "entries",
    nonce: message.nonce,
    previous: message.after,
    commit: log.decided(core.commit, end),
    lastIndex: log.lastIndex,
    records: joinRecords(records),
  });
}

export function onDiverged(core: Core, from: Member, message: FrameOf<"diverged">): void {
  const { fetch } = core;
  if (fetch === null || fetch.from !== from.pid || fetch.nonce !== message.nonce || isVoid(core, fetch)) return;
  const below = fetch.after.index - 1;
  assert(below >= 0, "every log holds the point before its first entry");
  fetch.after = core.log.position(core.log.commonIndex(message.views, message.lastIndex, below));
  ask(core);
}

export function onEntries(core: Core, from: Member, message: FrameOf<"entries">): void {
  const { fetch } = core;
  if (fetch === null || fetch.from !== from.pid || fetch.nonce !== message.nonce || isVoid(core, fetch)) return;
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
    else if (core.damaged && !core.refetched) refetched(core);
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

/**
 * The lineage of the view that is followed has been fetched to its end: what was unreadable stands there again. Only as
 * far as that view goes, though, and it may be over: the word of this replica counts again when a view forms with it.
 */
function refetched(core: Core): void {
  core.refetched = true;
  // Promises are not fetched: one that was behind the damage is kept by promising more than anybody can have asked for.
  core.promise(core.nextView(true), () => {});
  core.promisedTo = core.self.pid;
}
