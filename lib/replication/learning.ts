/**
 * What a replica does that finds a formed view without itself: it follows that view's log as a learner until the
 * primary takes it in; and what the primary does to take it in. A lesser view is never followed on a heartbeat alone.
 */
import { formatView } from "../protocol/ids.ts";
import type { FrameOf, Member } from "../protocol/messages.ts";
import { abandon, behindEntriesMax } from "./candidacy.ts";
import type { Core } from "./core.ts";
import type { Heartbeat } from "./detector.ts";
import { fetchForEver } from "./fetching.ts";
import { compareLogs, isSame } from "./formation.ts";
import type { Installed } from "./state.ts";
import { hearsPrimary, isAwaitingView, isOutdated } from "./suspicion.ts";
import { flush, resendPending } from "./writing.ts";

type Standing = Pick<Heartbeat, "installed" | "formed" | "epoch" | "members">;

/** A heartbeat tells of a formed view. If this replica is not in it: yield to it, probe it, or let it be. */
export function onHeardOfView(core: Core, from: Member, heard: Heartbeat): void {
  const { following } = core;
  if (heard.installed === core.unfollowable) return;
  if (!heard.formed || heard.installed === 0 || heard.members.some((member) => isSame(member, core.self))) return;
  if (following !== null && following.view === heard.installed) {
    following.heardMs = core.nowMs;
    // Others are in a view as long as this one follows it: whoever is missed later has been missed since then at most.
    core.unformedSinceMs = core.nowMs;
    return;
  }
  leaveWhatIsOver(core, heard);
  if (!heard.hears.includes(core.self.pid) && hasCompany(core, heard)) return;
  const busy = isBusy(core);
  if (busy && core.promised > heard.installed) return;
  if (compareToOwn(core, heard) >= 0 || (globalThis.mistaken?.("yields to a heartbeat") && isAdrift(core)))
    follow(core, from, heard);
  // Under `quorum` no view goes on beside a greater log, so there is nothing to ask.
  else if (core.options.policy === "available" && isAdrift(core) && !isOutdated(core, heard)) probe(core, from.pid);
}

/**
 * Under `quorum` a view that has formed without this replica is the end of the one that it is in, whether or not it can follow:
 * a majority has promised not to ack in that any more. It MUST NOT speak for it, to a client whose session is of the later one.
 */
function leaveWhatIsOver(core: Core, heard: Heartbeat): void {
  const { installed, options } = core;
  if (options.policy !== "quorum" || installed === null || installed.view >= heard.installed) return;
  core.say("debug", `view ${formatView(installed.view)} is over: view ${formatView(heard.installed)} has formed`);
  if (core.candidacy?.view === installed.view) abandon(core, "it is over", 0);
  core.unformedSinceMs = core.nowMs;
  core.installed = null;
  core.coolDown();
}

/**
 * Whether another replica outside that view can be reached both ways. Then this one does not give way to a view that is
 * deaf to it: nothing can be learnt there, and one replica with a broken link would silence all the others.
 */
function hasCompany(core: Core, heard: Heartbeat): boolean {
  return core.peerPids().some((pid) => {
    const isIn = heard.members.some((member) => member.pid === pid);
    return !isIn && core.detector.fresh(pid)?.hears.includes(core.self.pid) === true;
  });
}

/** A view is being made, by this replica or by one that it gave its promise. */
function isBusy(core: Core): boolean {
  const { candidacy } = core;
  return isAwaitingView(core) || (candidacy !== null && candidacy.stage !== "asking" && candidacy.obstacle === "");
}

/** In no view that goes on, and none in the making. */
const isAdrift = (core: Core): boolean => core.following === null && !hearsPrimary(core) && !isBusy(core);

/**
 * The view heard of, against the greatest one this replica hears and against its log: who learns may have fetched entries of
 * a greater view than the one that it follows, and does not go back to one between them.
 */
function compareToOwn(core: Core, heard: Standing): number {
  const { installed, following, log, options } = core;
  const theirs = { epoch: heard.epoch, view: heard.installed, index: 0 };
  const logged = { epoch: core.epoch, view: log.lastView, index: 0 };
  const own =
    installed !== null && hearsPrimary(core)
      ? { epoch: installed.entry.epoch, view: installed.view, index: 0 }
      : following !== null
        ? { epoch: following.epoch, view: following.view, index: 0 }
        : logged;
  const greatest = compareLogs(options.policy, logged, own) > 0 ? logged : own;
  return compareLogs(options.policy, theirs, greatest);
}

function follow(core: Core, via: Member, heard: Standing): void {
  abandon(core, `view ${formatView(heard.installed)} has formed`, 0);
  if (core.installed !== null) core.unformedSinceMs = core.nowMs;
  core.leaveView();
  core.reasonSinceMs = null;
  core.following = { view: heard.installed, epoch: heard.epoch, members: heard.members, heardMs: core.nowMs };
  if (heard.installed > core.promised) core.promise(heard.installed, () => {});
  core.say("info", `learning the log of view ${formatView(heard.installed)} from replica ${via.pid}`);
  learnFrom(core, via);
  resendPending(core);
}

function learnFrom(core: Core, from: Member): void {
  fetchForEver(core, from, () => flush(core));
}

/**
 * Keeps learning from a member that can be reached; forgets a view of which nobody is heard any more. Who hears it but
 * is not heard stays with it: to start a view would be of no use, for nobody would hear that either.
 */
export function tickLearning(core: Core): void {
  const { following, fetch } = core;
  if (following === null) return;
  const heard = following.members.filter((member) => !core.detector.isGone(member));
  if (heard.length === 0 || core.nowMs - following.heardMs > core.options.timeoutMs) {
    core.say("info", `lost sight of view ${formatView(following.view)}`);
    core.following = null;
    core.fetch = null;
    core.unformedSinceMs = core.nowMs;
    return;
  }
  const reachable = heard.filter(({ pid }) => !core.detector.suspects(pid));
  const from = reachable.length > 0 ? reachable : heard;
  // The base of a view, for as long as who starts that is still at it.
  const isBringing = fetch?.target != null && core.nowMs - core.promisedHeardMs <= core.options.timeoutMs;
  const learning = isBringing || (fetch?.target === null && from.some(({ pid }) => pid === fetch.from));
  const [first] = from;
  if (!learning && first !== undefined) learnFrom(core, first);
}

// ---- probes: a late heartbeat may speak of a view long gone

function probe(core: Core, pid: number): void {
  if (core.probe !== null && core.nowMs - core.probe.sentMs < core.options.heartbeatMs) return;
  core.probe = { pid, nonce: core.random.below(2 ** 32), sentMs: core.nowMs };
  core.send(pid, { type: "probe", nonce: core.probe.nonce });
}

export function onProbe(core: Core, from: Member, message: FrameOf<"probe">): void {
  const { installed, log } = core;
  core.send(from.pid, {
    type: "probeReply",
    nonce: message.nonce,
    installed: installed?.view ?? 0,
    formed: core.serving && hearsPrimary(core),
    hot: core.hot,
    epoch: installed?.entry.epoch ?? 0,
    lastIndex: log.lastIndex,
    lastView: log.lastView,
    members: installed?.entry.members ?? [],
  });
}

export function onProbeReply(core: Core, from: Member, message: FrameOf<"probeReply">): void {
  if (core.probe?.pid !== from.pid || core.probe.nonce !== message.nonce) return;
  core.probe = null;
  if (!message.formed || !message.hot || !isAdrift(core)) return;
  if (message.members.some((member) => isSame(member, core.self))) return;
  follow(core, from, message);
}

// ---- the primary

/** A learner of the config that has caught up and is heard both ways, if there is one to be taken in now. */
export function admissible(core: Core): number | null {
  const { installed } = core;
  if (installed === null) return null;
  for (const { pid } of installed.entry.config) {
    if (!hasCaughtUp(core, installed, pid)) continue;
    const admission = core.admissions.get(pid) ?? { atMs: -Infinity, waitMs: 0 };
    if (core.nowMs - admission.atMs < admission.waitMs) continue;
    return pid;
  }
  return null;
}

/** Whether this replica is a learner near the end of the log of this view, and heard both ways. */
export function hasCaughtUp(core: Core, installed: Installed, pid: number): boolean {
  const heartbeat = core.detector.fresh(pid);
  const member = core.detector.member(pid);
  if (heartbeat === null || member === null || !heartbeat.hears.includes(core.self.pid)) return false;
  if (installed.entry.members.some((each) => isSame(each, member))) return false;
  const { lastView, durableIndex } = heartbeat;
  const isNear = lastView === installed.view && durableIndex + behindEntriesMax / 4 >= core.log.lastIndex;
  // Over a narrow link it would be some time before it has even those few: so long the others would wait for it.
  const isSoonThere = durableIndex >= endBefore(core, installed);
  return heartbeat.role === "learner" && isNear && isSoonThere && heartbeat.stateIndex !== null;
}

/** With each heartbeat the primary remembers where its log ends. */
export function noteEnd({ installed, log, nowMs, options }: Core): void {
  if (installed?.isPrimary !== true) return;
  const { ends } = installed;
  ends.push({ atMs: nowMs, index: log.lastIndex });
  while (ends[1] !== undefined && ends[1].atMs <= nowMs - options.timeoutMs / 2) ends.shift();
}

/** Where the log ended half a timeout ago; in a view that is younger, where that begins. */
function endBefore({ nowMs, options }: Core, { ends, actIndex }: Installed): number {
  const [first] = ends;
  return first !== undefined && first.atMs <= nowMs - options.timeoutMs / 2 ? first.index : actIndex;
}

/** Notes an admission: one that keeps flapping waits longer each time, up to half a minute. */
export function noteAdmission(core: Core, pid: number): void {
  const last = core.admissions.get(pid);
  const flapping = last !== undefined && core.nowMs - last.atMs < 60_000;
  const waitMs = flapping ? Math.min(30_000, Math.max(1_000, last.waitMs * 2)) : 0;
  core.admissions.set(pid, { atMs: core.nowMs, waitMs });
}
