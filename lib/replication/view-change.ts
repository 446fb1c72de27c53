/**
 * The side of a view change that every replica is on: whether another may start a view, the promise that it is given, the
 * view that it brings: ASK, JOIN, NEWVIEW answered by PROMISED and VIEW_OK. What the one who starts it does is in
 * `candidacy.ts`.
 * (Viewstamped Replication Revisited §4.2, with a member list as in Oki & Liskov 1988 §4 and an attempt told from a
 * formed view as in Yeger-Lotem, Keidar, Dolev 1997.)
 */
import { assert } from "../base/assert.ts";
import { decodeEntry } from "../protocol/codec.ts";
import { formatView, viewPid } from "../protocol/ids.ts";
import type { FrameOf, Member } from "../protocol/messages.ts";
import { decodeRecord, recordKind } from "../protocol/record.ts";
import { abandon } from "./candidacy.ts";
import type { Core } from "./core.ts";
import { fetchBase } from "./fetching.ts";
import { compareLogs, isSame } from "./formation.ts";
import { appendView, ownPromise, withdrawAct } from "./installing.ts";
import { logGoesOnFrom } from "./snapshots.ts";

export function onJoin(core: Core, from: Member, message: FrameOf<"join">, laterConfig: boolean): void {
  const { view } = message;
  if (core.stopping) return;
  core.saw(view);
  // A learner may hold entries of a greater view than it has promised: none is formed below them.
  const least = Math.max(core.promised, core.log.lastView);
  if (laterConfig || view < least || viewPid(view) !== from.pid) {
    const reason = laterConfig ? "later-config" : "promised";
    core.send(from.pid, { type: "joinRefused", view, promised: least, reason });
    return;
  }
  if (view === core.promised) {
    if (!isJoinedBy(core, from)) {
      core.send(from.pid, { type: "joinRefused", view, promised: view, reason: "promised" });
      return;
    }
    if (core.installed?.view === view) return;
    // Asked once more, when the others have told that it is removed.
    coolIfRemoved(core, message);
    if (core.persistedSequence >= core.promisedSequence) core.send(from.pid, ownPromise(core));
    return;
  }
  abandon(core, `promised view ${formatView(view)}`, core.options.timeoutMs);
  // Who learns asks again: what it has told with its promise it gives up for no answer from before that.
  core.fetch = null;
  coolIfRemoved(core, message);
  withdrawAct(core);
  core.promise(view, () => {
    if (core.promised === view) core.send(from.pid, ownPromise(core));
  });
  core.promisedTo = from.pid;
  core.joinedBy = from;
  core.promisedHeardMs = core.nowMs;
}

/** Out of the config it may not go on by itself as one who has everything, nor when it hears late that its view has formed. */
function coolIfRemoved(core: Core, { removes }: FrameOf<"join">): void {
  if (removes !== core.self.pid) return;
  if (core.installed?.formed === false) core.leaveView();
  core.coolDown();
}

/**
 * MUST NOT be promised to anybody else under that pid: an earlier disk, back in its place, may start the view that the later
 * one has started. Who does not remember to whom it has promised a view promises it to nobody.
 */
const isJoinedBy = ({ joinedBy }: Core, from: Member): boolean => joinedBy !== null && isSame(joinedBy, from);

/** Valid only if this very view is promised and this very process is listed. Applied once. */
export function onNewView(core: Core, from: Member, message: FrameOf<"newView">): void {
  const { view, base } = message;
  if (view !== core.promised || !isJoinedBy(core, from) || core.persistedSequence < core.promisedSequence) return;
  // A late one: who has promised may be a learner still, and have fetched entries of a greater view since.
  if (core.log.lastView > view) return;
  // Whoever starts it may have missed the heartbeats that told of leaving, if the disk answered again at once.
  if (core.leftView === view) {
    core.send(from.pid, { type: "joinRefused", view, promised: view, reason: "promised" });
    return;
  }
  // One whose disk hangs takes no part until it answers.
  if (core.left) return;
  core.promisedHeardMs = core.nowMs;
  if (core.installed?.view === view && !globalThis.mistaken?.("newview applied again")) {
    if (core.persistedSequence >= core.installed.sequence) core.send(from.pid, { type: "viewOk", view });
    return;
  }
  // One that comes again to who has left that very view: what it has acked in it is not put back.
  const wasMember = core.log.lastView === view && core.log.lastIndex > base.index + 1;
  if (wasMember && !globalThis.mistaken?.("newview applied again")) return;
  if (core.fetch?.target != null) return;
  const record = decodeRecord(message.record, 0);
  if (typeof record === "string" || record.kind !== recordKind.view || record.index !== base.index + 1) return;
  const entry = decodeEntry(record.kind, record.payload);
  if (entry.type !== "view" || entry.view !== view) return;
  if (!entry.members.some((member) => isSame(member, core.self))) return;
  const finish = (): void => {
    assert(core.promised === view, "a base is brought for the view that is promised");
    // It may be in the log already: what is committed with it is not dropped for a moment.
    const isHeld = core.log.lastIndex > base.index && core.log.chainAt(record.index) === record.chain;
    core.supersedeAfter(isHeld ? record.index : base.index);
    // Asked again until the state is on this lineage too: a member is one who can apply what it acks. What it followed is over.
    if (core.stateless) {
      logGoesOnFrom(core, base.index);
      core.following = null;
      core.fetch = null;
      return;
    }
    appendView(core, record, entry, () => {
      if (core.installed?.view === view && core.promised === view) core.send(from.pid, { type: "viewOk", view });
    });
  };
  if (core.log.holds(base)) finish();
  else fetchBase(core, from, base, finish);
}

/**
 * May this peer start a view, as far as this replica can see? Also beside a view that is heard, if it knows a later config
 * than that one's: it may have deleted what it would need to follow, as final, and wait for this replica. Changes nothing.
 */
export function onAsk(core: Core, from: Member, message: FrameOf<"ask">, hears: boolean, laterConfig: boolean): void {
  const epoch = core.following?.epoch ?? core.installed?.entry.epoch ?? core.epoch;
  const verdict = laterConfig ? "later-config" : hears && message.epoch <= epoch ? "hear-primary" : "go";
  core.send(from.pid, { type: "askReply", nonce: message.nonce, verdict, maxSeen: core.maxSeen });
}

/** Whether a later config than the asker's is known, in which it does not stand. */
export function knowsLaterConfig(core: Core, from: Member, asker: { epoch: number; lastActView: number }): boolean {
  const last = core.log.lastFormed();
  if (last === null || last.config.some(({ pid }) => pid === from.pid)) return false;
  const theirs = { epoch: asker.epoch, view: asker.lastActView, index: 0 };
  return compareLogs(core.options.policy, { epoch: last.epoch, view: last.view, index: 0 }, theirs) > 0;
}
