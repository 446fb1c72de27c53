/**
 * State transfer: a replica whose state cannot be built from its log any more, or only in a long time, takes a copy of a
 * peer's. The log itself is always fetched as far back as the peer holds it (`fetching.ts`): a snapshot only takes the
 * place of applying. So it is installed when the log here holds, on disk, the very entry at which it was taken; one off
 * the lineage never is. The same holds for the own state, where its place cannot be read in a damaged log. Here is
 * decided from whom, what and when; the bytes are the affair of whoever runs the orders.
 */
import { limits } from "../base/limits.ts";
import type { SnapshotName } from "../protocol/fields.ts";
import type { FrameOf, Member, Position } from "../protocol/messages.ts";
import type { StateReport } from "../protocol/state-files.ts";
import type { Core } from "./core.ts";
import type { StateFound, Transfer } from "./state.ts";

/** A snapshot that nobody has asked for this long is deleted. */
const unusedMs = 30_000;
/**
 * Who has offered none for so long (making one takes its time), or one that the log does not come to, is given up for
 * another.
 */
const patienceMs = 20_000;
/** Who has one that cannot be read here is left alone for so long: until then somebody may have started a newer build. */
const unreadableMs = 60_000;

// ---- who needs one

/** Once a tick: whether one is needed, from whom, and what to ask for. */
export function tickSnapshots(core: Core): void {
  const { snapshots, nowMs } = core;
  const { made } = snapshots;
  if (made !== null && nowMs - made.askedMs > unusedMs) {
    snapshots.made = null;
    core.order({ type: "drop" });
  }
  const { transfer, kept } = snapshots;
  if (kept !== null) return tickKept(core, kept);
  if (transfer === null) {
    if (isNeeded(core)) begin(core);
    return;
  }
  if (transfer.stage === "installing") return;
  if (!core.stateless && !isWorthIt(core)) return giveUp(core, "it is not needed any more");
  if (transfer.snapshot !== null && isUseless(core, transfer.snapshot))
    return giveUp(core, "the log went on without it");
  if (transfer.stage === "whole") return installOrTryAnother(core, transfer);
  if (transfer.stage === "checking") return;
  const patience = transfer.snapshot === null ? patienceMs : 2 * core.options.timeoutMs;
  if (core.detector.suspects(transfer.from) || nowMs - transfer.progressMs > patience || isAskedInVain(core, transfer))
    return changeGiver(core, transfer);
  const lostMs = Math.max(core.options.timeoutMs / 2, 2 * core.options.heartbeatMs);
  if (nowMs < transfer.askMs || nowMs - transfer.askedMs < lostMs) return;
  // How long it takes to make one says nothing of the way.
  if (transfer.stage === "fetching" && transfer.askedMs >= 0) snapshots.portion.lost();
  ask(core, transfer);
}

/** The own state, which waits for the log to be fetched anew: it has come as far, or goes on without it. */
function tickKept(core: Core, kept: StateFound): void {
  const { snapshots, log } = core;
  const { position, clock } = kept;
  const isWholeAgain = !core.damaged || core.refetched;
  if (isWholeAgain && isUseless(core, kept)) {
    snapshots.kept = null;
    if (log.base.index > 0) return core.loseState(`index ${position.index} is not on the lineage of the log`);
    core.say(
      "warn",
      `the state at index ${position.index} is not on the lineage of the log: building it again from that`,
    );
    core.stateless = false;
    core.rewind();
  } else if (isLogged(core, position)) {
    snapshots.kept = null;
    goOnFrom(core, position, clock);
    core.say("info", `goes on from the state at index ${position.index}: the log has been fetched as far again`);
  }
}

const isLogged = ({ durableIndex, log }: Core, position: Position): boolean =>
  durableIndex >= position.index && log.holds(position);

/** What is applied now: it is in the log. */
function goOnFrom(core: Core, { index }: Position, clock: number): void {
  core.delivered = index;
  core.stateClock = clock;
  core.stateless = false;
  core.commit = Math.max(core.commit, index);
  core.copies = core.log.copies(core.commit);
}

function isNeeded(core: Core): boolean {
  return core.stateless || isWorthIt(core);
}

/** Fetching the state takes about a sixth of the time that applying all it was built of takes. */
const applyCost = 6;

/** Applying what is missing would take longer than fetching a copy. Only who is in no view has the time for it. */
function isWorthIt(core: Core): boolean {
  if (core.following === null) return false;
  const end = Math.max(core.commit, core.fetch?.end ?? 0);
  const missing = end - core.delivered;
  return missing > core.retention.snapshotBehindEntries && applyCost * missing > end;
}

/**
 * The entry at which it was taken is not the one in the log here, nor can it come there: the log has begun anew behind it, or
 * goes on in a later view already, on another lineage.
 */
function isUseless({ log }: Core, { position }: { readonly position: Position }): boolean {
  if (position.index > log.lastIndex) return log.lastView > position.view;
  return position.index < log.base.index || !log.holds(position);
}

/** The log goes on from `index`, into a view that was promised: a state from behind that is of another lineage. */
export function logGoesOnFrom(core: Core, index: number): void {
  const { transfer } = core.snapshots;
  if (transfer === null || transfer.stage === "installing") return;
  if ((transfer.snapshot?.position.index ?? 0) > index) giveUp(core, "the view goes on without it");
}

/** From somebody, the next one after `not`. */
function begin(core: Core, not = 0): void {
  const from = chooseGiver(core, not);
  if (from === null) return;
  const { nowMs } = core;
  const transfer: Transfer = {
    ...{ from, snapshot: null, stage: "asking", nonce: 0, offset: 0 },
    ...{ progressMs: nowMs, askMs: nowMs, askedMs: -Infinity },
  };
  core.snapshots.transfer = transfer;
  core.snapshots.portion.begin();
  ask(core, transfer);
}

/** Its state was emptied, or replaced with its disk, after it had been chosen: two who need one would wait for each other. */
function isAskedInVain(core: Core, { snapshot, from }: Transfer): boolean {
  return snapshot === null && !hasWhatIsNeeded(core, from) && chooseGiver(core, from) !== null;
}

/**
 * As far as is known: it has a state, which may have come as far as is needed here, and not too far for the view in the
 * making.
 */
function hasWhatIsNeeded(core: Core, pid: number): boolean {
  const heartbeat = core.detector.fresh(pid);
  if (core.candidacy?.beyondBase.has(pid) === true) return false;
  if ((core.snapshots.unreadable.get(pid) ?? 0) > core.nowMs) return false;
  return (heartbeat?.stateIndex ?? -1) >= leastIndex(core);
}

/** Whether anybody is known who has it. */
export const canBeGiven = (core: Core): boolean => chooseGiver(core, 0) !== null;

/**
 * Whoever the log is fetched from has the state that belongs to it; else a member, or anyone who is heard, such as one that was
 * removed and learns all the same; the next one after `not`.
 */
function chooseGiver(core: Core, not: number): number | null {
  const wanted = [
    core.fetch?.from,
    core.candidacy?.formation?.baseHolder.pid,
    core.promisedTo,
    ...(core.following?.members ?? core.installed?.entry.members ?? []).map(({ pid }) => pid),
    ...core.peerPids(),
    ...core.detector.hears(),
  ];
  const able = [...new Set(wanted)].filter((pid) => pid !== undefined && hasWhatIsNeeded(core, pid));
  return able[(able.indexOf(not) + 1) % able.length] ?? null;
}

/** What has been fetched is of use if the other has the identical snapshot; else it will offer its own. */
function changeGiver(core: Core, transfer: Transfer): void {
  transfer.from = chooseGiver(core, transfer.from) ?? transfer.from;
  core.snapshots.portion.begin();
  transfer.progressMs = core.nowMs;
  ask(core, transfer);
}

function giveUp(core: Core, why: string): void {
  core.say("debug", `the snapshot is given up: ${why}`);
  core.snapshots.transfer = null;
  core.order({ type: "discard" });
}

function ask(core: Core, transfer: Transfer): void {
  transfer.nonce = core.random.below(2 ** 32);
  transfer.askedMs = core.nowMs;
  const { nonce, snapshot, offset } = transfer;
  const { size: bytesMax } = core.snapshots.portion;
  core.send(transfer.from, { type: "snapshotFetch", nonce, snapshot, offset, bytesMax, least: leastIndex(core) });
}

/** An older one is of no use: the log does not reach back to it, or the state is further. */
const leastIndex = (core: Core): number => (core.stateless ? core.log.base.index : core.delivered + 1);

export function onSnapshotOffer(core: Core, from: Member, { nonce, snapshot }: FrameOf<"snapshotOffer">): void {
  const { transfer } = core.snapshots;
  if (transfer === null || transfer.from !== from.pid || transfer.nonce !== nonce) return;
  if (transfer.stage !== "asking" && transfer.stage !== "fetching") return;
  const { index } = snapshot.position;
  if (isUseless(core, snapshot) || index < leastIndex(core)) return;
  const { candidacy } = core;
  if (candidacy?.formation != null && index > candidacy.formation.base.index) {
    candidacy.beyondBase.add(from.pid);
    if (canBeGiven(core)) changeGiver(core, transfer);
    return;
  }
  transfer.progressMs = core.nowMs;
  const megabytes = (snapshot.sizeBytes / 1e6).toFixed(1);
  core.say("info", `fetching a snapshot of the state at index ${index} from replica ${from.pid}: ${megabytes} MB`);
  transfer.snapshot = snapshot;
  transfer.stage = "fetching";
  transfer.offset = 0;
  core.order({ type: "receive" });
  ask(core, transfer);
}

export function onSnapshotPart(core: Core, from: Member, message: FrameOf<"snapshotPart">): void {
  const { transfer } = core.snapshots;
  if (transfer === null || transfer.from !== from.pid || transfer.nonce !== message.nonce) return;
  const { snapshot } = transfer;
  const { offset, bytes } = message;
  if (transfer.stage !== "fetching" || snapshot === null || offset !== transfer.offset || bytes.length === 0) return;
  if (offset + bytes.length > snapshot.sizeBytes) return;
  core.order({ type: "write", offset, bytes });
  core.snapshots.portion.answered(bytes.length, core.nowMs - transfer.askedMs, core.options.timeoutMs);
  transfer.offset += bytes.length;
  transfer.progressMs = core.nowMs;
  transfer.nonce = -1;
  if (transfer.offset === snapshot.sizeBytes) {
    transfer.stage = "checking";
    core.order({ type: "finish", snapshot, check: ++core.snapshots.checks });
    return;
  }
  // Throttled by asking late: the giver has clients to serve.
  const waitMs = (1_000 * bytes.length) / core.retention.snapshotBytesPerSecond;
  transfer.askMs = Math.max(transfer.askMs, core.nowMs - 50) + waitMs;
  transfer.askedMs = -Infinity;
  if (core.nowMs >= transfer.askMs) ask(core, transfer);
}

/**
 * All of it is here, and the log has not come to its place. If nobody is known to bring that on so far, its giver may be the only
 * one who knows of it, and unable to read it; the state of another may stand where the log is.
 */
function installOrTryAnother(core: Core, transfer: Transfer): void {
  installWhenLogged(core, transfer);
  if (transfer.stage === "installing") return;
  const { fetch } = core;
  const end = fetch === null ? 0 : Math.max(fetch.end, fetch.target?.index ?? 0);
  if (end >= (transfer.snapshot?.position.index ?? 0)) transfer.progressMs = core.nowMs;
  if (core.nowMs - transfer.progressMs <= patienceMs) return;
  const other = chooseGiver(core, transfer.from);
  if (other === null || other === transfer.from) return;
  giveUp(core, "nobody brings the log to its place");
  begin(core, transfer.from);
}

function installWhenLogged(core: Core, transfer: Transfer): void {
  const { snapshot } = transfer;
  if (snapshot === null || !isLogged(core, snapshot.position)) return;
  transfer.stage = "installing";
  core.order({ type: "install" });
}

function installed(core: Core, { position, clock }: Extract<StateReport, { type: "installed" }>): void {
  const { snapshots, log } = core;
  const handedOut = core.delivered;
  snapshots.transfer = null;
  core.floors.appliedDurably = position.index;
  if (!log.holds(position)) {
    // What stood there was superseded meanwhile.
    core.stateless = false;
    if (log.base.index > 0) core.loseState(`index ${position.index} has left the lineage`);
    else core.rewind();
    // What was told before comes again.
    core.replayedIndex = Math.max(core.replayedIndex, handedOut);
    return;
  }
  goOnFrom(core, position, clock);
  core.say("info", `goes on from the snapshot of the state at index ${position.index}`);
}

// ---- who has one

/** How far the state goes that others can be given; null when there is none. */
export function givenUpTo({ snapshots, stateless, delivered }: Core): number | null {
  if (snapshots.kept !== null) return snapshots.kept.position.index;
  return stateless || snapshots.holdsUpApplying ? null : delivered;
}

/**
 * Anyone gives who has a state, though its own log be damaged, for it is only taken where another's log holds its place: a
 * snapshot made before if it is on the lineage and not old, else a new one.
 */
export function onSnapshotFetch(core: Core, from: Member, message: FrameOf<"snapshotFetch">): void {
  const { snapshots, nowMs } = core;
  const upTo = givenUpTo(core);
  if (upTo === null || upTo < message.least) return;
  const { made, kept } = snapshots;
  const isSound =
    made !== null && (kept === null ? core.log.holds(made.snapshot.position) : made.snapshot.position.index === upTo);
  if (isSound && message.snapshot !== null && isSame(made.snapshot, message.snapshot)) {
    made.askedMs = nowMs;
    const { nonce, offset, bytesMax } = message;
    core.order({ type: "read", to: from.pid, nonce, offset, bytesMax: Math.min(bytesMax, limits.snapshotPartBytes) });
    return;
  }
  // However long it took to make: the next one would be no newer when it is done.
  const isNew =
    isSound &&
    made.snapshot.position.index >= message.least &&
    (!made.isOffered || upTo - made.snapshot.position.index <= core.retention.snapshotBehindEntries / 2);
  if (isNew) {
    made.askedMs = nowMs;
    made.isOffered = true;
    core.send(from.pid, { type: "snapshotOffer", nonce: message.nonce, snapshot: made.snapshot });
    return;
  }
  // Somebody else is at the one there is.
  if (isSound && nowMs - made.askedMs < 2 * core.options.timeoutMs) return;
  if (snapshots.isMaking || upTo === 0) return;
  snapshots.isMaking = true;
  snapshots.made = null;
  core.order({ type: "capture" });
}

/** What came of an order. */
export function onStateReport(core: Core, report: Exclude<StateReport, { type: "synced" }>): void {
  const { snapshots } = core;
  switch (report.type) {
    case "captured":
      snapshots.isMaking = false;
      if (report.snapshot !== null) {
        snapshots.made = { snapshot: report.snapshot, askedMs: core.nowMs, isOffered: false };
      }
      return;
    case "read": {
      const { to, nonce, offset, bytes } = report;
      core.send(to, { type: "snapshotPart", nonce, offset, bytes });
      return;
    }
    case "finished": {
      const { transfer } = snapshots;
      // A late word about one that was given up says nothing of the next.
      if (transfer?.stage !== "checking" || report.check !== snapshots.checks) return;
      if (report.verdict === "whole") {
        transfer.stage = "whole";
        return installWhenLogged(core, transfer);
      }
      if (report.verdict === "different") return giveUp(core, "what was received is not what was sent");
      snapshots.unreadable.set(transfer.from, core.nowMs + unreadableMs);
      return giveUp(core, "it cannot be read here");
    }
    case "installed":
      installed(core, report);
      return;
  }
}

const isSame = (one: SnapshotName, other: SnapshotName): boolean =>
  one.position.index === other.position.index &&
  one.position.chain === other.position.chain &&
  one.sizeBytes === other.sizeBytes &&
  Buffer.compare(one.sha256, other.sha256) === 0;
