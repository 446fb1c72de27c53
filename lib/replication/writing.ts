/**
 * Writing within an installed view: the primary appends and sends, members append and ack, what is on every member's
 * disk commits. Also how ops reach the primary. Starts no view and leaves none.
 * (Viewstamped Replication Revisited §4.1, with the ack of every member instead of a majority.)
 */
import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import { decodeEntry, encodeEntry } from "../protocol/codec.ts";
import type { OpEntry } from "../protocol/entries.ts";
import type { FrameOf, Member } from "../protocol/messages.ts";
import { joinRecords, recordKind, splitRecords } from "../protocol/record.ts";
import type { Core } from "./core.ts";
import { isSame } from "./formation.ts";
import { keyOf, type Installed, type PendingOp, type Progress } from "./state.ts";

/** So many ops are a batch, whatever is under way. */
const batchOpsEnough = 32;
/** Ops that nobody could take for this long are refused. */
const unavailableMs = 5_000;

// ---- ops on their way into the log

/**
 * Ops that this replica brings into the log, in order: of its clients, of others that it relays, of its forks. One that
 * is already pending is not taken twice. `basis`: whoever has prepared them had applied no more than the log up to
 * here; Infinity for what others keep, or the fork that it is of.
 */
export function accept(core: Core, ops: readonly OpEntry[], basis: number): void {
  for (const op of ops) {
    const key = keyOf(op);
    const known = core.pending.get(key);
    if (known !== undefined) {
      // A client of this replica waits for what was relayed: it stays as long as what was prepared for that. What is of a fork
      // here stays with the ops before it there: when they go they are merged anew.
      if (basis < known.basis && core.merging?.ops.has(key) !== true) Object.assign(known, { op, basis });
      continue;
    }
    if (core.pending.size === 0) core.pendingProgressMs = core.nowMs;
    const pending: PendingOp = { op, basis, sinceMs: core.nowMs, sent: false };
    core.pending.set(key, pending);
    core.unsent.push(pending);
  }
  flush(core);
}

/**
 * Appends (primary) or forwards (everyone else) what has not been sent in this view. What arrives while the own disk is
 * busy goes into the next batch: one append, one frame to each member, one round of acks for all of it. The primary also
 * lets a few ops gather while others are under way, for a tick at most, however long the acks of those take. Everyone else
 * waits for the own disk a tick at most: what others write may keep that busy for ever, where it is slower than the primary's.
 */
export function flush(core: Core, ticked = false): void {
  const count = core.unsent.length + core.relayed.length;
  if (count === 0) return;
  const mayForward = ticked && !core.isServingPrimary && !core.left;
  if (core.writes.length > 0 && !mayForward) return;
  if (core.isServingPrimary) {
    // What the base holds of the pending ops leaves them when it is delivered.
    if (core.delivered < core.commit) return;
    if (!ticked && core.commit < core.log.lastIndex && count < batchOpsEnough) return;
    const own = core.unsent.filter((each) => isPending(core, each));
    for (const each of own) each.sent = true;
    const ops = [...core.relayed, ...own.map(({ op }) => op)];
    core.relayed = [];
    core.unsent = [];
    propose(core, ops);
    return;
  }
  const target = forwardTarget(core);
  if (target !== null) forward(core, target);
}

/** Not when it has come out of the log, was dropped or refused, be the same asked for again since. */
const isPending = (core: Core, pending: PendingOp): boolean => core.pending.get(keyOf(pending.op)) === pending;

/** A new view, or doubt about what arrived: everything pending is sent again, in order, as a new stream. */
export function resendPending(core: Core): void {
  core.stream++;
  core.streamNext = 0;
  core.unsent = [...core.pending.values()];
  core.pendingProgressMs = core.nowMs;
  flush(core);
}

/**
 * The primary of the view this replica is in or follows; a member of it where the primary cannot be reached. Nobody before it
 * is known that what was applied here, from which the ops were prepared, is of the lineage of the view that is followed; of
 * that there is but one under `quorum`.
 */
function forwardTarget(core: Core): { view: number; pid: number } | null {
  if (core.serving && core.installed !== null) return { view: core.installed.view, pid: core.installed.primary.pid };
  const { following, fetch } = core;
  if (following === null) return null;
  const mayHaveLeft = core.options.policy === "available" && fetch?.isOnLineage !== true;
  if (mayHaveLeft && !globalThis.mistaken?.("pending crosses over")) return null;
  const members = following.members.filter((member) => !core.detector.suspectsMember(member));
  const primary = members.find(({ pid }) => pid === following.view % 256);
  const via = primary ?? members[0];
  return via === undefined ? null : { view: following.view, pid: via.pid };
}

function forward(core: Core, target: { view: number; pid: number }): void {
  const ops: Uint8Array[] = [];
  let length = 0;
  const queue = core.unsent;
  core.unsent = [];
  if (core.stream === 0) core.stream = 1;
  const send = (): void => {
    core.send(target.pid, {
      type: "forward",
      view: target.view,
      stream: core.stream,
      first: core.streamNext,
      ops: ops.slice(),
    });
    core.streamNext += ops.length;
    ops.length = 0;
    length = 0;
  };
  for (const pending of queue) {
    if (!isPending(core, pending)) continue;
    const bytes = encodeEntry({ type: "op", ...pending.op });
    if (ops.length > 0 && (length + bytes.length > limits.batchBytesMax || ops.length === 4096)) send();
    pending.sent = true;
    ops.push(bytes);
    length += bytes.length;
  }
  if (ops.length > 0) send();
}

/** Ops of another replica's clients. Taken in the order of its stream, or relayed by a member that is not primary. */
export function onForward(core: Core, from: Member, message: FrameOf<"forward">): void {
  const { installed } = core;
  if (!core.serving || installed === null || installed.view !== message.view) return;
  let taken = installed.streams.get(from.pid);
  if (taken === undefined || taken.incarnation !== from.incarnation || taken.stream < message.stream) {
    taken = { incarnation: from.incarnation, stream: message.stream, next: 0 };
    installed.streams.set(from.pid, taken);
  }
  if (message.stream < taken.stream) return;
  if (message.first > taken.next && !globalThis.mistaken?.("gap in forwarding")) return;
  const fresh = message.ops.slice(Math.max(0, taken.next - message.first));
  taken.next += fresh.length;
  const ops: OpEntry[] = [];
  for (const bytes of fresh) {
    const op = decodeEntry(recordKind.op, bytes);
    assert(op.type === "op", "an OP payload is an op");
    ops.push(op);
  }
  if (installed.isPrimary) {
    core.relayed.push(...ops);
    flush(core);
  } else {
    accept(core, ops, Infinity);
  }
}

/** Primary: appends ops and sends them to every member in one batch. */
function propose(core: Core, ops: readonly OpEntry[]): void {
  const installed = core.installed;
  assert(core.isServingPrimary && installed !== null, "only the primary of a formed view appends ops");
  const records: Uint8Array[] = [];
  for (const op of ops) {
    const key = keyOf(op);
    if (core.inFlight.has(key)) continue;
    core.inFlight.add(key);
    const nowAt = Math.max(core.lastAt, core.wallMs);
    // What a fork held is told from what is new by its two times, also where the clock of the log stands still.
    const at = nowAt === op.origAt ? nowAt + 1 : nowAt;
    core.lastAt = at;
    const payload = encodeEntry({ type: "op", ...op, at, origAt: op.origAt === 0 ? at : op.origAt });
    const record = core.nextRecord(recordKind.op, installed.view, payload);
    core.log.append(record);
    records.push(record.bytes);
  }
  if (records.length > 0) appendAndSend(core, installed, records);
}

// ---- the primary

/** Persists records just appended to the log and sends them at once, in parallel with the own fsync. */
export function appendAndSend(core: Core, installed: Installed, records: readonly Uint8Array[]): void {
  if (core.commit >= core.log.lastIndex - records.length) installed.progressMs = core.nowMs;
  core.persist(records);
  for (const progress of installed.progress.values()) sendRecords(core, installed, progress);
}

/** Pipelines: never waits for an ack before sending the next batch, within a bound. */
function sendRecords(core: Core, installed: Installed, progress: Progress): void {
  if (progress.matchIndex === core.log.lastIndex) return;
  const { window, underWay } = progress;
  let underWayBytes = bytesOf(underWay);
  while (progress.nextIndex <= core.log.lastIndex && underWayBytes < window.size) {
    const batch = core.log.read(progress.nextIndex, Math.min(window.size, limits.batchBytesMax));
    const records = joinRecords(batch);
    core.send(progress.member.pid, {
      type: "append",
      view: installed.view,
      previous: core.log.position(progress.nextIndex - 1),
      commit: core.commit,
      records,
    });
    progress.nextIndex += batch.length;
    progress.toldCommit = core.commit;
    underWayBytes += records.length;
    underWay.push({ index: progress.nextIndex - 1, bytes: records.length, sentMs: core.nowMs });
  }
}

const bytesOf = (underWay: Progress["underWay"]): number => underWay.reduce((sum, { bytes }) => sum + bytes, 0);

export function onAppendOk(core: Core, from: Member, message: FrameOf<"appendOk">): void {
  const { installed } = core;
  if (installed?.isPrimary !== true || installed.view !== message.view) return;
  // Of a view that is over: its entries may have left this log.
  if (installed.view !== core.promised) return;
  const progress = installed.progress.get(from.pid);
  if (progress === undefined || !isSame(progress.member, from)) return;
  assert(message.durableIndex <= core.log.lastIndex, "a member acks only what the primary has sent");
  if (message.durableIndex > progress.matchIndex) {
    progress.matchIndex = message.durableIndex;
    progress.nextIndex = Math.max(progress.nextIndex, message.durableIndex + 1);
    progress.progressMs = core.nowMs;
    measure(core, progress);
  }
  if (message.resendAfter !== null && core.nowMs - progress.resentMs > core.options.heartbeatMs) {
    progress.nextIndex = Math.max(progress.matchIndex, Math.min(message.resendAfter, core.log.lastIndex)) + 1;
    progress.underWay = [];
    progress.resentMs = core.nowMs;
  }
  commitWhatIsEverywhere(core);
  if (progress.nextIndex <= core.log.lastIndex) sendRecords(core, installed, progress);
}

/** How long what is under way takes says how much of it there may be. */
function measure({ nowMs, options }: Core, progress: Progress): void {
  const { underWay, window, matchIndex } = progress;
  const acked = underWay.findLast(({ index }) => index <= matchIndex);
  if (acked === undefined) return;
  progress.tookMs = nowMs - acked.sentMs;
  window.answered(bytesOf(underWay), progress.tookMs, options.timeoutMs);
  progress.underWay = underWay.filter(({ index }) => index > matchIndex);
}

/**
 * commit = the smallest durable index over all members; it moves into a view only with its ACT.
 * MUST NOT count anything that is not on a disk, nor a process that is not a member.
 */
export function commitWhatIsEverywhere(core: Core): void {
  const { installed } = core;
  if (installed?.isPrimary !== true || installed.view !== core.promised) return;
  let everywhere = core.durableIndex;
  if (!globalThis.mistaken?.("commit on one disk"))
    for (const { matchIndex } of installed.progress.values()) everywhere = Math.min(everywhere, matchIndex);
  if (everywhere < installed.actIndex && !globalThis.mistaken?.("commit without act")) return;
  if (!core.advanceCommit(everywhere)) return;
  installed.progressMs = core.nowMs;
  if (!installed.formed) {
    formed(core, installed);
  }
}

/** At the end of a step: tells the commit to members that no append of this step has told it. */
export function tellCommit(core: Core): void {
  const { installed } = core;
  if (!core.isServingPrimary || installed === null) return;
  for (const progress of installed.progress.values()) {
    if (progress.toldCommit >= core.commit) continue;
    progress.toldCommit = core.commit;
    core.send(progress.member.pid, { type: "commit", view: installed.view, commit: core.commit });
  }
}

/** The ACT has committed, as far as this replica knows: the view serves. */
function formed(core: Core, installed: Installed): void {
  installed.formed = true;
  installed.formedMs = core.nowMs;
  // Not by late news, when it has told a later view without having heard of this one: that may have formed without it.
  if (installed.view === core.promised) core.hot = true;
  core.reasonSinceMs = null;
  if (core.damaged) {
    core.damaged = false;
    core.effects.push({ type: "repaired" });
  }
  if (installed.isPrimary) core.lastAt = Math.max(core.log.lastOpAt(), core.stateClock);
  core.say("info", `view ${installed.view >> 8}.${installed.primary.pid} formed`);
  core.inFlight.clear();
  resendPending(core);
}

/** Sends again what a member has not acked for a while; notices when nothing moves. */
export function tickWriting(core: Core): void {
  const { installed } = core;
  if (installed?.isPrimary === true && installed.view === core.promised) {
    if (core.commit === core.log.lastIndex) installed.progressMs = core.nowMs;
    for (const progress of installed.progress.values()) {
      if (progress.matchIndex === core.log.lastIndex) {
        progress.progressMs = core.nowMs;
        continue;
      }
      const quietMs = core.nowMs - Math.max(progress.progressMs, progress.resentMs);
      if (quietMs <= Math.max(2 * core.options.heartbeatMs, 2 * progress.tookMs)) continue;
      progress.nextIndex = progress.matchIndex + 1;
      progress.resentMs = core.nowMs;
      progress.window.lost();
      progress.underWay = [];
      sendRecords(core, installed, progress);
    }
  }
  if (isLost(core)) resendPending(core);
  else flush(core, true);
  refuseUnavailable(core);
}

/** Whether what is pending has not come out of the log for so long that it may never have arrived where it was sent. */
function isLost(core: Core): boolean {
  const quietMs = core.pending.size === 0 ? 0 : core.nowMs - core.pendingProgressMs;
  if (core.isServingPrimary || quietMs <= core.options.timeoutMs / 2) {
    core.pendingEnd = null;
    return false;
  }
  // Nothing comes out of the log here before there is a state: that says nothing of what was sent.
  if (core.stateless || core.snapshots.holdsUpApplying) return false;
  if (core.following === null) return true;
  // Nor before a learner has come as far as the log went by now.
  const { fetch } = core;
  if (fetch?.target === null && fetch.end > 0) core.pendingEnd ??= fetch.end;
  return core.pendingEnd !== null && core.delivered >= core.pendingEnd;
}

/**
 * `unavailable` is final: only for what this replica has certainly given to nobody. With an op go those that follow it in
 * its session: one of them must not enter the log before it is asked for again, elsewhere.
 */
function refuseUnavailable(core: Core): void {
  if (core.unsent.length === 0) return;
  const refused: { session: string; seq: number }[] = [];
  const sessions = new Set<string>();
  for (const [key, { op, sent, sinceMs }] of core.pending) {
    if (sent && !globalThis.mistaken?.("unavailable although sent")) continue;
    if (core.nowMs - sinceMs < unavailableMs && !sessions.has(op.session)) continue;
    sessions.add(op.session);
    core.pending.delete(key);
    core.pendingProgressMs = core.nowMs;
    refused.push({ session: op.session, seq: op.seq });
  }
  if (refused.length > 0) core.effects.push({ type: "unavailable", ops: refused });
}

// ---- every other member

export function onAppend(core: Core, from: Member, message: FrameOf<"append">): void {
  const { installed } = core;
  if (installed === null || installed.isPrimary || !isSame(installed.primary, from)) return;
  if (message.view !== installed.view || message.view !== core.promised) return;
  installed.primaryHeardMs = core.nowMs;
  const ack = (resendAfter: number | null): void =>
    core.send(from.pid, { type: "appendOk", view: installed.view, durableIndex: acked(core, installed), resendAfter });
  if (message.previous.index > core.log.lastIndex) {
    ack(core.log.lastIndex);
    return;
  }
  const { log } = core;
  assert(
    log.holds(message.previous) || log.heldBelowBase(message.previous),
    "within a view the primary's log and a member's agree",
  );
  const records = splitRecords(message.records);
  if (records === null) {
    core.say("error", `replica ${from.pid} sent records that are damaged: dropped`);
    return;
  }
  if (globalThis.mistaken?.("append supersedes")) core.supersedeAfter(message.previous.index);
  // An old one, sent again: what it begins with may have been deleted here.
  const kept = records.filter(({ index }) => index > log.base.index);
  const previous = log.holds(message.previous) ? message.previous : log.base;
  const { added } = log.extend(previous, kept, "forbidden");
  const news = core.advanceCommit(message.commit);
  if (added.length > 0) core.persist(added);
  else ack(null);
  if (news) committedAsMember(core, installed);
}

/** What may be acked in this view: not before the VIEW entry itself is on disk. */
const acked = (core: Core, installed: Installed): number =>
  core.persistedSequence < installed.sequence
    ? 0
    : globalThis.mistaken?.("ack before fsync")
      ? core.log.lastIndex
      : core.durableIndex;

/** Called when own appends became durable: members ack, the primary counts itself. */
export function onDurable(core: Core): void {
  const { installed } = core;
  if (installed === null || installed.view !== core.promised) return;
  if (installed.isPrimary) {
    commitWhatIsEverywhere(core);
    return;
  }
  const durableIndex = acked(core, installed);
  if (durableIndex < installed.actIndex) return;
  core.send(installed.primary.pid, { type: "appendOk", view: installed.view, durableIndex, resendAfter: null });
}

export function onCommit(core: Core, from: Member, message: FrameOf<"commit">): void {
  const { installed } = core;
  if (installed === null || installed.isPrimary || !isSame(installed.primary, from)) return;
  if (message.view !== installed.view) return;
  installed.primaryHeardMs = core.nowMs;
  // What is fetched for the next view may have taken the place of its entries.
  if (core.log.lastView !== installed.view) return;
  if (core.advanceCommit(message.commit)) committedAsMember(core, installed);
}

function committedAsMember(core: Core, installed: Installed): void {
  if (!installed.formed && core.commit >= installed.actIndex) formed(core, installed);
}
