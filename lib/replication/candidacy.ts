/**
 * The candidate's side of a view change: it asks, collects promises, brings the base, installs the view and, when all its
 * members have it on disk, says so: ASK, JOIN, NEWVIEW, ACT. When to start one is `suspicion.ts`'s, whether one may form
 * `formation.ts`'s business; what the others answer is in `view-change.ts`.
 * (Viewstamped Replication Revisited §4.2, with a member list as in Oki & Liskov 1988 §4 and an attempt told from a
 * formed view as in Yeger-Lotem, Keidar, Dolev 1997.)
 */
import { assert } from "../base/assert.ts";
import { encodeEntry } from "../protocol/codec.ts";
import type { ViewEntry } from "../protocol/entries.ts";
import type { FrameOf, Member } from "../protocol/messages.ts";
import { recordKind } from "../protocol/record.ts";
import type { WantedChange } from "./config-change.ts";
import type { Core } from "./core.ts";
import { fetchBase } from "./fetching.ts";
import { isSame, judge, type Formation, type PromiseGiven } from "./formation.ts";
import { appendView, ownPromise, withdrawAct } from "./installing.ts";
import { isReplaced } from "./log.ts";
import { canBeGiven, logGoesOnFrom } from "./snapshots.ts";
import type { Candidacy } from "./state.ts";
import { appendAndSend } from "./writing.ts";

/** So many timeouts members that install the view are waited for, and a base or state of which nothing more comes. */
const patienceTimeouts = 30;

/** Entries that a member may lack when it is taken into a view: the view waits while it fetches them. */
export const behindEntriesMax = 2_000;

/**
 * Begins an own attempt. A primary that only changes its members need not ask: it hears itself; nor who was asked by an
 * operator to take over from the primary.
 */
export function startCandidacy(core: Core, why: string, asks: boolean, wanted: WantedChange | null): void {
  core.candidacy = {
    stage: "asking",
    why,
    wanted,
    nonce: core.random.below(2 ** 32),
    view: 0,
    leaps: false,
    startedMs: core.nowMs,
    sentMs: -Infinity,
    go: new Set(),
    promises: new Map(),
    removes: null,
    members: [],
    formation: null,
    fetched: 0,
    beyondBase: new Set(),
    newView: null,
    okay: new Set(),
    obstacle: "",
  };
  if (asks) tickCandidacy(core);
  else startJoining(core, core.candidacy);
}

export function abandon(core: Core, why: string, retryAfterMs: number): void {
  if (core.candidacy === null) return;
  core.say("debug", `gave up an attempt (${core.candidacy.why}): ${why}`);
  if (core.candidacy.stage === "fetching") core.fetch = null;
  core.candidacy = null;
  core.retryMs =
    core.nowMs + retryAfterMs + core.random.below(Math.max(1, Math.min(retryAfterMs, core.options.heartbeatMs)));
}

/**
 * The others may only not have noticed yet, so the first refusals are soon asked again; who is refused on and on (it
 * alone does not hear the primary) asks more and more seldom.
 */
function refusedWaitMs(core: Core): number {
  const { heartbeatMs, timeoutMs } = core.options;
  return Math.min(timeoutMs / 2, (heartbeatMs / 4) * 2 ** core.refusals++);
}

/** Sends again what was not answered; gives up what takes too long. */
export function tickCandidacy(core: Core): void {
  const { candidacy } = core;
  if (candidacy === null) return;
  const resend = core.nowMs - candidacy.sentMs >= core.options.heartbeatMs;
  if (resend) candidacy.sentMs = core.nowMs;
  const tookMs = core.nowMs - candidacy.startedMs;
  switch (candidacy.stage) {
    case "asking": {
      const { nonce } = candidacy;
      const lastActView = core.log.lastFormed()?.view ?? 0;
      const silent = core.peerPids().filter((pid) => !candidacy.go.has(pid) && !core.detector.suspects(pid));
      if (silent.length === 0) startJoining(core, candidacy);
      else if (tookMs > 2 * core.options.timeoutMs) abandon(core, `no answer from ${silent.join(", ")}`, 0);
      else if (resend) for (const pid of silent) core.send(pid, { type: "ask", nonce, epoch: core.epoch, lastActView });
      return;
    }
    case "joining": {
      if (resend) sendJoins(core, candidacy);
      consider(core, candidacy);
      return;
    }
    case "fetching":
    case "installing": {
      noteProgress(core, candidacy);
      // Whoever holds the base need not be a member.
      const holder =
        candidacy.stage === "fetching" && core.fetch !== null ? candidacy.formation?.baseHolder : undefined;
      const needed = holder === undefined ? candidacy.members : [...candidacy.members, holder];
      const gone = needed.find((member) => core.detector.suspectsMember(member));
      const isOverdue = core.nowMs - candidacy.startedMs > patienceTimeouts * core.options.timeoutMs;
      if (gone !== undefined) abandon(core, `replica ${gone.pid} was lost meanwhile`, 0);
      else if (candidacy.stage === "fetching" && isOverdue) abandon(core, "the base or its state did not come", 0);
      else if (candidacy.stage === "fetching") installWithState(core, candidacy);
      else if (isOverdue) abandon(core, "a member did not install the view", 0);
      else if (resend) sendNewView(core, candidacy);
      return;
    }
  }
}

/** A long log or a large state may take its time, as long as it comes. */
function noteProgress(core: Core, candidacy: Candidacy): void {
  if (candidacy.stage !== "fetching") return;
  const fetched = core.log.lastIndex + (core.snapshots.transfer?.offset ?? 0);
  if (fetched === candidacy.fetched) return;
  candidacy.fetched = fetched;
  candidacy.startedMs = core.nowMs;
}

export function onAskReply(core: Core, from: Member, message: FrameOf<"askReply">): void {
  core.saw(message.maxSeen);
  const { candidacy } = core;
  if (candidacy?.stage !== "asking" || candidacy.nonce !== message.nonce) return;
  if (message.verdict !== "go") {
    abandon(core, `replica ${from.pid}: ${message.verdict}`, refusedWaitMs(core));
    return;
  }
  candidacy.go.add(from.pid);
  tickCandidacy(core);
}

function startJoining(core: Core, candidacy: Candidacy): void {
  candidacy.leaps = isForgetful(core);
  const view = core.nextView(candidacy.leaps);
  candidacy.stage = "joining";
  candidacy.view = view;
  candidacy.startedMs = core.nowMs;
  candidacy.sentMs = core.nowMs;
  core.fetch = null;
  core.following = null;
  if (candidacy.wanted !== null && core.wish !== null) core.wish.attempted = view;
  withdrawAct(core);
  core.promise(view, () => {
    if (core.candidacy !== candidacy || core.promised !== view) return;
    candidacy.promises.set(core.self.pid, { from: core.self, message: ownPromise(core) });
    consider(core, candidacy);
  });
  core.promisedTo = core.self.pid;
  sendJoins(core, candidacy);
}

/**
 * A disk that replaced another under its pid does not remember which views its forerunner has started, nor does one that
 * comes back those of its successor: it leaps until it has led one that lacked no replica, and so is greater than all that
 * anybody knew. That it has led one without those who were away proves nothing (they may know of greater ones, and the other
 * disk have started the next), nor that it has promised a view of its pid: it may have followed one of the other's.
 */
const isForgetful = (core: Core): boolean => core.maxSeen > 0 && (core.isReplaced || !core.log.knows(core.self));

function sendJoins(core: Core, candidacy: Candidacy): void {
  const lastActView = core.log.lastFormed()?.view ?? 0;
  const removes = leftOut(core, candidacy);
  for (const pid of invited(core, candidacy)) {
    if (candidacy.promises.has(pid)) continue;
    core.send(pid, { type: "join", view: candidacy.view, epoch: core.epoch, lastActView, removes });
  }
}

/**
 * Who is removed by this view: whoever an operator wants removed, or whose removal was begun by a view of this log, or as
 * others tell with their promises, and is carried on. The JOIN of that one may not have told it, if the loss was
 * accepted, and it MUST NOT go on alone as one who has everything (`available`).
 */
function leftOut({ log, options }: Core, { wanted, removes }: Candidacy): number | null {
  if (removes !== null) return removes;
  if (wanted?.change.kind === "remove") return wanted.change.pid;
  if (options.policy !== "available") return null;
  const attempts = log.attempts();
  const begun = attempts.at(-1)?.config ?? [];
  return attempts[0]?.config.find(({ pid }) => !begun.some((each) => each.pid === pid))?.pid ?? null;
}

/**
 * Who is asked for a promise: the electorate, who is being added, and whoever stands in a config that only others know
 * of: without those the view would not be formed.
 */
function invited(core: Core, { wanted, promises }: Candidacy): ReadonlySet<number> {
  const pids = new Set(core.peerPids());
  if (wanted?.change.kind === "add") pids.add(wanted.change.pid);
  for (const { message } of promises.values()) {
    for (const { config } of message.attempts) for (const { pid } of config) pids.add(pid);
  }
  pids.delete(core.self.pid);
  return pids;
}

export function onPromised(core: Core, from: Member, message: FrameOf<"promised">): void {
  const { candidacy } = core;
  if (candidacy?.stage !== "joining" || candidacy.view !== message.view) return;
  core.detector.answered(from);
  candidacy.promises.set(from.pid, { from, message });
  consider(core, candidacy);
}

export function onJoinRefused(core: Core, from: Member, message: FrameOf<"joinRefused">): void {
  core.saw(message.promised);
  const { candidacy } = core;
  if (candidacy === null || candidacy.view !== message.view) return;
  // A member that has left the view, or promised another, since it promised this one: it does not install it any more.
  const isMember = candidacy.members.some((member) => isSame(member, from));
  if (candidacy.stage === "installing" && isMember) return abandon(core, `replica ${from.pid} has left the view`, 0);
  if (candidacy.stage !== "joining") return;
  if (message.reason === "later-config")
    abandon(core, `replica ${from.pid} knows a later config`, core.options.timeoutMs);
  else if (message.promised > candidacy.view) abandon(core, `replica ${from.pid} promised a later view`, 0);
  else abandon(core, `replica ${from.pid} has promised this view before`, 0);
}

/** S and M are chosen once for a view: as soon as it may form and everyone who is alive has answered. */
function consider(core: Core, candidacy: Candidacy): void {
  if (!candidacy.promises.has(core.self.pid)) return;
  if (core.options.policy === "available") for (const { message } of candidacy.promises.values()) vouch(core, message);
  for (const [pid, { from }] of candidacy.promises) {
    if (core.detector.suspectsMember(from)) candidacy.promises.delete(pid);
  }
  const promises = [...candidacy.promises.values()];
  if (!candidacy.leaps && promises.some((each) => tellsOfAnother(core, each))) {
    core.isReplaced = true;
    return abandon(core, "another disk has stood in the place of this one", 0);
  }
  const damaged = new Set(promises.filter(({ message }) => message.damaged).map(({ from }) => from.pid));
  const verdict = judge({
    policy: core.options.policy,
    self: core.self,
    founders: core.options.founds ? core.options.peers : [],
    promises,
    suspected: (pid) => damaged.has(pid) || core.detector.suspects(pid),
    waited: core.nowMs - core.unformedSinceMs >= core.options.recoveryWaitMs,
    behindEntriesMax,
    wanted: candidacy.wanted,
  });
  // Whoever may lead has promised this view and waits a timeout for it: leave time for that, and for its own.
  if (verdict.may === "never") return abandon(core, verdict.why, 3 * core.options.timeoutMs);
  if (!verdict.may) {
    candidacy.obstacle = `waiting ${forReplicas(verdict.missing)}${verdict.why}`;
    return;
  }
  if (awaitsCooling(core, candidacy, verdict.formation)) return;
  const silent = [...invited(core, candidacy)].some(
    (pid) => !candidacy.promises.has(pid) && !core.detector.suspects(pid),
  );
  const patient = core.nowMs - candidacy.startedMs < 2 * core.options.heartbeatMs;
  if (silent && (patient || core.options.policy === "available")) return;
  candidacy.obstacle = "";
  candidacy.members = verdict.formation.members;
  const { lapsed } = verdict.formation;
  if (lapsed !== null) core.say("warn", `the view goes without the change of the config: ${lapsed}`);
  bringBase(core, candidacy, verdict.formation);
}

/**
 * Whether somebody is left out of the config who was hot when it promised, as no JOIN has told it: it is sent another one, and
 * the view waits until it has answered that, or is dead. Else it would go on alone when the others are gone (`available`).
 */
function awaitsCooling(core: Core, candidacy: Candidacy, { config }: Formation): boolean {
  if (core.options.policy !== "available") return false;
  const isLeftOut = ({ from, message }: PromiseGiven): boolean =>
    message.hot && !config.some(({ pid }) => pid === from.pid);
  const unaware = [...candidacy.promises.values()].find(isLeftOut)?.from.pid;
  if (unaware === undefined) return false;
  candidacy.removes = unaware;
  candidacy.promises.delete(unaware);
  candidacy.obstacle = `waiting for replica ${unaware}, which is removed, to promise`;
  return true;
}

/** In a view that this one has not heard of: what stands in its own log tells itself. */
const tellsOfAnother = ({ log, self }: Core, { message }: PromiseGiven): boolean =>
  message.attempts.some(({ view, config }) => view > log.lastView && isReplaced(config, self));

/** Whom a hot one has been in a view with may be hot as well: it is not dead for not having been heard here yet. */
function vouch(core: Core, { hot, attempts }: FrameOf<"promised">): void {
  if (!hot) return;
  for (const { formed, members, view } of attempts) {
    if (!formed) continue;
    for (const member of members) if (member.pid !== core.self.pid) core.detector.formedWith(member, view);
  }
}

const forReplicas = (pids: readonly number[]): string =>
  pids.length === 0 ? "" : `for replica${pids.length === 1 ? "" : "s"} ${pids.join(", ")} `;

/** The candidate must hold the base itself before anyone is sent to fetch it. */
function bringBase(core: Core, candidacy: Candidacy, formation: Formation): void {
  const { base, baseHolder } = formation;
  candidacy.stage = "fetching";
  candidacy.startedMs = core.nowMs;
  candidacy.formation = formation;
  if (core.log.holds(base)) return installWithState(core, candidacy);
  fetchBase(core, baseHolder, base, () => {
    if (core.candidacy === candidacy && core.promised === candidacy.view) installWithState(core, candidacy);
  });
}

/** Once the log has come to the base and the state is, or can be, on its lineage: who leads must be able to apply. */
function installWithState(core: Core, candidacy: Candidacy): void {
  const { formation } = candidacy;
  if (formation === null || core.fetch !== null) return;
  if (!core.log.holds(formation.base)) return abandon(core, "the base is not where it was", 0);
  core.supersedeAfter(formation.base.index);
  for (const { message } of candidacy.promises.values()) commitDeleted(core, message);
  if (!core.stateless) return install(core, candidacy, formation);
  logGoesOnFrom(core, formation.base.index);
  // Whoever holds the base has gone on from there since it promised: asked again, it tells so.
  if (candidacy.beyondBase.size > 0 && !canBeGiven(core)) abandon(core, "there is no state from before its base", 0);
}

/**
 * What somebody has deleted is final, and so committed, though this replica has not heard of it: a member that lacks a state
 * can be given only one from behind that.
 */
function commitDeleted(core: Core, { floor, floorView }: FrameOf<"promised">): void {
  if (floor <= core.log.lastIndex && core.log.viewAt(floor) === floorView) core.advanceCommit(floor);
}

function install(core: Core, candidacy: Candidacy, formation: Formation): void {
  const { view } = candidacy;
  const { base, members, config, epoch, awaiting } = formation;
  const entry: ViewEntry = {
    view,
    parent: base.view,
    epoch,
    policy: core.options.policy,
    members: [...members],
    config: [...config],
    awaiting: [...awaiting],
  };
  const record = core.nextRecord(recordKind.view, view, encodeEntry({ type: "view", ...entry }));
  core.isReplaced = false;
  candidacy.stage = "installing";
  candidacy.startedMs = core.nowMs;
  candidacy.newView = { type: "newView", view, base, record: record.bytes };
  appendView(core, record, entry, () => {
    if (core.candidacy !== candidacy) return;
    candidacy.okay.add(core.self.pid);
    act(core, candidacy);
  });
  sendNewView(core, candidacy);
}

function sendNewView(core: Core, candidacy: Candidacy): void {
  assert(candidacy.newView !== null, "a view that is being installed has its record");
  for (const { pid } of candidacy.members) if (!candidacy.okay.has(pid)) core.send(pid, candidacy.newView);
}

export function onViewOk(core: Core, from: Member, message: FrameOf<"viewOk">): void {
  const { candidacy } = core;
  if (candidacy?.stage !== "installing" || candidacy.view !== message.view || core.promised !== message.view) return;
  if (!candidacy.members.some((member) => isSame(member, from))) return;
  core.detector.answered(from);
  candidacy.okay.add(from.pid);
  act(core, candidacy);
}

/** When ALL members have the VIEW entry on disk, and only then, the ACT says so. */
function act(core: Core, candidacy: Candidacy): void {
  const { installed } = core;
  if (installed === null || installed.view !== candidacy.view || core.promised !== candidacy.view) return;
  if (!candidacy.members.every(({ pid }) => candidacy.okay.has(pid))) return;
  core.candidacy = null;
  for (const progress of installed.progress.values()) {
    progress.matchIndex = installed.actIndex - 1;
    progress.nextIndex = installed.actIndex;
    progress.progressMs = core.nowMs;
  }
  const record = core.nextRecord(recordKind.act, installed.view, encodeEntry({ type: "act", view: installed.view }));
  core.log.append(record);
  appendAndSend(core, installed, [record.bytes]);
}
