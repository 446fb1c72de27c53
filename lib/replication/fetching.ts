/**
 * Bringing this log onto another's, by asking for what follows the last point that both hold: serves a candidate that
 * lacks its base, a member that lacks what comes before a VIEW entry, and a learner. One fetch at a time.
 */
import { assert } from "../base/assert.ts";
import { formatView, viewPid } from "../protocol/ids.ts";
import { limits } from "../base/limits.ts";
import type { FrameOf, Member, Position } from "../protocol/messages.ts";
import { joinRecords, splitRecords, type LogRecord } from "../protocol/record.ts";
import type { Core } from "./core.ts";
import { isSame } from "./formation.ts";
import { commonIndex } from "./lineage.ts";
import type { Fetch } from "./state.ts";
import { isAwaitingView } from "./suspicion.ts";

/** For a view that was promised: brings the log to `target`, in place of whatever was fetched before. */
export function fetchBase(core: Core, from: Member, target: Position, done: () => void): void {
  start(core, { from: from.pid, process: from, target, done });
}

/** Follows the end of another's log for ever; `progress` runs when more of it is known to be committed. */
export function fetchForEver(core: Core, from: Member, progress: () => void): void {
  start(core, { from: from.pid, process: from, target: null, done: progress });
}

function start(core: Core, what: Pick<Fetch, "from" | "process" | "target" | "done">): void {
  core.portion.begin();
  core.fetch = {
    ...what,
    nonce: 0,
    after: core.log.last,
    end: 0,
    sentMs: 0,
    waiting: false,
    askMs: 0,
    isOnLineage: false,
  };
  ask(core);
}

function ask(core: Core): void {
  const { fetch } = core;
  assert(fetch !== null, "a fetch is under way");
  fetch.nonce = core.random.below(2 ** 32);
  fetch.sentMs = core.nowMs;
  fetch.waiting = true;
  fetch.askMs = core.nowMs + core.options.heartbeatMs / 4;
  const { nonce, after } = fetch;
  core.send(fetch.from, { type: "fetch", nonce, after, bytesMax: core.portion.size });
}

/** Asks again when an answer got lost, and for news when there was none. */
export function tickFetching(core: Core): void {
  const { fetch } = core;
  if (fetch === null) return;
  if (core.nowMs < (fetch.waiting ? fetch.sentMs + core.options.timeoutMs / 2 : fetch.askMs)) return;
  if (fetch.waiting) core.portion.lost();
  ask(core);
}

/**
 * Asks for what follows, after a rest as long as the last answer took: who learns has time, and whoever it learns from has
 * clients to serve.
 */
function goOn(core: Core, fetch: Fetch): void {
  fetch.askMs = 2 * core.nowMs - fetch.sentMs;
  if (fetch.askMs <= core.nowMs) ask(core);
}

/** Anyone answers for what its log holds, whatever its role. */
export function onFetch(core: Core, from: Member, message: FrameOf<"fetch">): void {
  const { log } = core;
  if (log.heldBelowBase(message.after)) {
    const { views, attempts, ...rest } = log.beginning(core.options.policy, limits.viewTableMax);
    const beginning = { ...rest, views: [...views], attempts: [...attempts] };
    core.send(from.pid, { type: "compacted", nonce: message.nonce, serves: servedView(core), ...beginning });
    return;
  }
  if (!log.holds(message.after)) {
    const index = Math.min(message.after.index, log.lastIndex);
    const views = log.viewTable(index, limits.viewTableMax);
    core.send(from.pid, { type: "diverged", nonce: message.nonce, lastIndex: log.lastIndex, views });
    return;
  }
  const lastIndex = Math.max(message.after.index, givenEnd(core, from));
  const read = log.read(message.after.index + 1, Math.min(message.bytesMax, limits.entriesBytesMax));
  const records = read.slice(0, lastIndex - message.after.index);
  const end = message.after.index + records.length;
  core.send(from.pid, {
    type: "entries",
    nonce: message.nonce,
    previous: message.after,
    commit: log.decided(core.commit, end),
    lastIndex,
    serves: servedView(core),
    records: joinRecords(records),
  });
}

/**
 * The ACT of a view that is not known to have formed is for its members only: whoever else has it takes the view for formed,
 * though those who were to serve in it may know that it never has. Under `quorum`, where an ACT is withdrawn, also when that view
 * is being made no more: then it is for the one who makes the next, who needs it for its base. Under `available` what may be
 * acknowledged is kept from nobody then.
 */
function givenEnd({ options, installed, promised, commit, joinedBy, log }: Core, to: Member): number {
  const last = log.attempts().at(-1);
  if (last?.formed !== true || last.index < commit) return log.lastIndex;
  const isBeingMade = installed?.view === last.view && promised === last.view;
  const isForNext = joinedBy !== null && isSame(joinedBy, to);
  return isBeingMade || (options.policy === "quorum" && !isForNext) ? last.index : log.lastIndex;
}

const servedView = ({ serving, installed }: Core): number => (serving ? (installed?.view ?? 0) : 0);

/** Of the very process that was asked: the next one under its pid may hold less, and a fork. */
const isAnswer = ({ process, nonce }: Fetch, teller: Member, message: { readonly nonce: number }): boolean =>
  nonce === message.nonce && isSame(process, teller);

export function onDiverged(core: Core, from: Member, message: FrameOf<"diverged">): void {
  const { fetch } = core;
  if (fetch === null || !isAnswer(fetch, from, message)) return;
  fetch.waiting = false;
  if (fetch.target === null && isOver(core)) return;
  const below = fetch.after.index - 1;
  const common = commonIndex(core.log.outline, message, below);
  const isOff = common < core.log.base.index && !globalThis.mistaken?.("followed from below the floor");
  if (isOff) return refuseToFollow(core, from);
  fetch.after = core.log.position(common);
  ask(core);
}

/** The log goes on where the other's begins: what stands between was deleted there, and is not needed here. */
export function onCompacted(core: Core, from: Member, message: FrameOf<"compacted">): void {
  const { fetch, log } = core;
  if (fetch === null || !isAnswer(fetch, from, message)) return;
  fetch.waiting = false;
  const { position, policy, views, attempts } = message;
  const same = commonIndex(log.outline, { views, lastIndex: position.index });
  const isOff = same < log.base.index && !globalThis.mistaken?.("followed from below the floor");
  const common = Math.max(same, log.base.index);
  if (isOff || position.index <= log.base.index) return refuseToFollow(core, from);
  if (log.holds(position)) {
    fetch.after = position;
  } else {
    if (fetch.target === null && !core.stateless && !isGoingOn(core, message)) return askPrimary(core, fetch);
    core.say("info", `replica ${from.pid} has its log from index ${position.index + 1} on: going on from there`);
    core.beginAnew({ position, policy, views, attempts }, common);
    coolDownWithout(core);
    core.saw(position.view);
    fetch.after = log.last;
  }
  ask(core);
}

/**
 * MUST NOT follow a lineage that departs from this log below its floor: what stands there is final. The side that can
 * yields; and this one starts a greater view, so that the other one notices.
 */
function refuseToFollow(core: Core, from: Member): void {
  const isBase = core.fetch?.target != null;
  core.fetch = null;
  // That of another view, which was promised meanwhile: of the one that is followed it says nothing.
  if (isBase) return;
  const view = core.following?.view ?? 0;
  core.following = null;
  if (view === 0) return;
  core.unfollowable = view;
  core.unformedSinceMs = core.nowMs;
  const floor = core.log.base.index;
  core.say(
    "error",
    `view ${formatView(view)}, heard of from replica ${from.pid}, departs from this log before index ${floor}, up to ` +
      `which it is final: not followed`,
  );
}

export function onEntries(core: Core, from: Member, message: FrameOf<"entries">): void {
  const { fetch } = core;
  if (fetch === null || !isAnswer(fetch, from, message)) return;
  fetch.waiting = false;
  core.portion.answered(message.records.length, core.nowMs - fetch.sentMs, core.options.timeoutMs);
  fetch.end = message.lastIndex;
  if (!core.log.holds(message.previous)) {
    // unreachable: what cuts the log ends the fetch, or is the answer to it
    fetch.after = core.log.last;
    // unreachable: as above
    return;
  }
  const all = splitRecords(message.records);
  if (all === null) {
    core.say("error", `replica ${from.pid} sent records that are damaged: asking again`);
    return;
  }
  const { target } = fetch;
  const records = target === null ? all : all.filter((record) => record.index <= target.index);
  if (target === null && costs(core, records) && !isGoingOn(core, message)) return askPrimary(core, fetch);
  const before = core.log.lastIndex;
  const { added, keptIndex } = core.log.extend(message.previous, records, "allowed");
  const lastIndex = records.at(-1)?.index ?? message.previous.index;
  // A fetch may be quicker than the heartbeat that tells of the view.
  core.saw(core.log.lastView);
  if (keptIndex < before) core.superseded(keptIndex);
  if (added.length > 0) {
    core.persist(added);
    coolDownWithout(core);
  }
  fetch.after = core.log.position(lastIndex);
  if (target === null) {
    fetch.isOnLineage ||= lastIndex >= core.delivered && isGoingOn(core, message);
    if (lastIndex < message.lastIndex) goOn(core, fetch);
    else leaveOwnEnd(core, fetch, message);
    if (lastIndex === message.lastIndex && core.damaged && !core.refetched) refetched(core);
    // Learning: both logs are the same up to here, and a formed view's commit holds for everyone on its lineage.
    if (core.advanceCommit(Math.min(message.commit, lastIndex))) fetch.done();
    return;
  }
  if (lastIndex >= target.index || message.lastIndex < target.index) {
    core.fetch = null;
    // Its holder may have followed another view since it told of it: then it is not to be had there.
    if (core.log.holds(target)) fetch.done();
  } else if (records.length > 0) {
    ask(core);
  }
}

/** Of a view that has formed without it, if that is what came: in that one it proves nothing. */
function coolDownWithout(core: Core): void {
  if (core.log.lastFormed()?.members.some((member) => isSame(member, core.self)) !== true) core.coolDown();
}

/**
 * Under `quorum` a view is over when there is a greater one: who has fetched entries of that before it has heard of it puts
 * nothing back for one who has not heard of it either.
 */
const isOver = ({ options, following, log }: Core): boolean =>
  options.policy === "quorum" && following !== null && following.view < log.lastView;

/**
 * The log that is followed ends here, and this one goes on with a later view. If that is what the primary says, who leads
 * the view that is followed at this moment, it is a fork, and leaves the lineage though nothing takes its place yet: as it
 * would with the next op. Else its replica would not have caught up before there is one. Anybody else may only lag: then the
 * primary is asked. Not while a view may come for which this replica has told of that end.
 */
function leaveOwnEnd(core: Core, fetch: Fetch, message: FrameOf<"entries">): void {
  const { lastIndex } = message;
  const { following, log } = core;
  if (following === null || log.lastIndex === lastIndex || isAwaitingView(core) || isOver(core)) return;
  if (globalThis.mistaken?.("waits behind its fork")) return;
  if (log.viewAt(lastIndex + 1) <= following.view) return;
  const leads = fetch.from === viewPid(following.view) && isGoingOn(core, message);
  if (leads || globalThis.mistaken?.("any end is the end")) core.supersedeAfter(lastIndex);
  else askPrimary(core, fetch);
}

/** Whether who answers is in the view that is followed at the moment of its answer. */
const isGoingOn = ({ following }: Core, { serves }: { readonly serves: number }): boolean => serves === following?.view;

/**
 * Whether they take the place of entries up to the end of the log, which is of a later view than is followed, or of
 * what was applied.
 */
function costs(core: Core, records: readonly LogRecord[]): boolean {
  const { log, following } = core;
  const isLater =
    following !== null && log.lastView > following.view && !globalThis.mistaken?.("yields to a heartbeat");
  return (isLater && records.some((each) => isOther(log, each))) || costsState(core, records);
}

/** Another entry stands in its place. */
const isOther = (log: Core["log"], { index, chain }: LogRecord): boolean =>
  index <= log.lastIndex && log.chainAt(index) !== chain;

/**
 * Whether these entries make a learner give its state up. MUST NOT be done for a view that does not go on: it is not known
 * that what takes the place of what was applied will stay. And two whose logs do not reach back to build it again, who follow
 * each other, each on late news of a view that the other has left, would both be without one. Of those who follow in a
 * circle the one who was the last to leave its view keeps its state, for whoever it asks has left before it.
 */
function costsState(core: Core, records: readonly LogRecord[]): boolean {
  const { log } = core;
  if (core.stateless) return false;
  return records.some((each) => each.index <= core.delivered && isOther(log, each));
}

/** Who leads the view that is followed knows best how far it goes, and whether it goes on. */
function askPrimary(core: Core, fetch: Fetch): void {
  const { following } = core;
  const primary = following?.members.find(({ pid }) => pid === viewPid(following.view));
  if (primary === undefined || fetch.from === primary.pid || core.detector.suspectsMember(primary)) return;
  fetchForEver(core, primary, fetch.done);
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
