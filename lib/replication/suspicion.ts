/**
 * When to start a view: who is missed, who leads, whose turn it is. Never whether a view may form.
 */
import { viewPid } from "../protocol/ids.ts";
import type { Core } from "./core.ts";
import type { ConfigChange } from "./events.ts";
import type { Installed } from "./state.ts";

/**
 * To hear the primary: heartbeats (or writes) of the installed view from the process that leads it, while promised ==
 * installed, and not marked `stuck`. A primary hears itself.
 */
export function hearsPrimary(core: Core): boolean {
  const { installed } = core;
  if (installed === null || installed.view !== core.promised) return false;
  if (installed.isPrimary) return !isStuck(core);
  return installed.primaryStuckSinceMs === null && isPrimaryHeard(core, installed);
}

const isPrimaryHeard = ({ detector, nowMs, options }: Core, { primary, primaryHeardMs }: Installed): boolean =>
  !detector.suspectsMember(primary) && nowMs - primaryHeardMs <= options.timeoutMs;

/** The primary has for one timeout neither committed nor formed what was outstanding. */
export function isStuck(core: Core): boolean {
  const { installed } = core;
  return installed?.isPrimary === true && core.nowMs - installed.progressMs > core.options.timeoutMs;
}

/** What an ASK is answered by: a primary that is heard, be it followed or led by, or a view that is being made. */
export function hearsView(core: Core): boolean {
  return hearsPrimary(core) || mayRidItself(core) || followsPrimary(core) || isAwaitingView(core);
}

/**
 * A primary that is heard, and stuck because of a member that does not hear it, perhaps the very one that asks, has yet
 * to be told so by that one's next heartbeat: it is left the time to go on without it.
 */
function mayRidItself(core: Core): boolean {
  const { installed, promised, nowMs, options } = core;
  if (installed === null || installed.view !== promised || installed.primaryStuckSinceMs === null) return false;
  return isPrimaryHeard(core, installed) && nowMs - installed.primaryStuckSinceMs <= 3 * options.heartbeatMs;
}

/** A learner hears the very process that leads the view it follows. That other members speak of it is not enough. */
function followsPrimary(core: Core): boolean {
  const { following, detector } = core;
  const primary = following?.members.find(({ pid }) => pid === viewPid(following.view));
  if (following == null || primary === undefined || detector.suspectsMember(primary)) return false;
  const heartbeat = detector.fresh(primary.pid);
  return heartbeat?.installed === following.view && heartbeat.formed && !heartbeat.stuck;
}

/** A view was promised to somebody who is still at it. */
export function isAwaitingView(core: Core): boolean {
  if (core.installed?.view === core.promised || core.promisedTo === core.self.pid || core.promisedTo === 0)
    return false;
  if (viewPid(core.promised) !== core.promisedTo || core.detector.suspects(core.promisedTo)) return false;
  const { timeoutMs, recoveryWaitMs, policy } = core.options;
  const patienceMs = policy === "quorum" ? 3 * timeoutMs : recoveryWaitMs + 3 * timeoutMs;
  return core.nowMs - core.promisedHeardMs <= timeoutMs && core.nowMs - core.promisedMs <= patienceMs;
}

/** `isUrgent`: nobody need look twice. */
export interface Reason {
  readonly why: string;
  readonly isUrgent: boolean;
  /** The change of config that the view is for. */
  readonly change: ConfigChange | null;
}

const urgent = (why: string): Reason => ({ why, isUrgent: true, change: null });

/**
 * Why a view should be started now by whoever's turn it is; null when there is no reason. `due`: a change of the config
 * that this replica may make now, `admissible`: a replica that may be taken in.
 */
export function reasonToStart(core: Core, due: ConfigChange | null, admissible: number | null): Reason | null {
  const { installed } = core;
  if (installed !== null && installed.view === core.promised && installed.isPrimary) {
    const lost = installed.entry.members.find((member) => core.detector.suspectsMember(member));
    if (lost !== undefined) return urgent(`replica ${lost.pid} is lost`);
    const deaf = isStuck(core) ? installed.entry.members.find(({ pid }) => holdsUp(core, installed, pid)) : undefined;
    if (deaf !== undefined)
      return urgent(`replica ${deaf.pid} does not hear the primary, and holds up what it is sent`);
    if (!installed.formed) return isStuck(core) ? urgent("the view does not form") : null;
    if (due !== null) return changing(due);
    if (admissible !== null) return urgent(`replica ${admissible} has caught up`);
    const cold = installed.entry.members.find((member) => isCold(core, installed, member.pid));
    if (cold !== undefined) return { why: `replica ${cold.pid} was away`, isUrgent: false, change: null };
    return awaitsInVain(installed) ? urgent("another disk is in the place of the one that was awaited") : null;
  }
  if (installed !== null && installed.view === core.promised) {
    // One that is stuck because of a member that it is about to leave out is left the time for that.
    const isStuckOnly = installed.primaryStuckSinceMs !== null && !core.detector.suspectsMember(installed.primary);
    const why = `primary ${installed.primary.pid} is ${isStuckOnly ? "stuck" : "lost"}`;
    const isAwaited = globalThis.mistaken?.("waits for the dead") && !core.detector.alive(installed.primary.pid);
    if (!hearsPrimary(core)) return isAwaited ? null : { why, isUrgent: !isStuckOnly, change: null };
    return due === null ? null : changing(due);
  }
  if (core.following !== null || isAwaitingView(core)) return null;
  return mayStartCold(core) ? urgent("no view is formed") : null;
}

/** It says that it does not hear this primary, and has not got all that it was sent: that is not to be awaited. */
function holdsUp(core: Core, { progress }: Installed, pid: number): boolean {
  const isBehind = (progress.get(pid)?.matchIndex ?? Infinity) < core.log.lastIndex;
  return isBehind && core.detector.fresh(pid)?.hears.includes(core.self.pid) === false;
}

/** Of all that may hold more the disks were replaced, and that by members of this very view: it need not stay provisional. */
function awaitsInVain({ entry: { awaiting, config } }: Installed): boolean {
  return awaiting.length > 0 && !awaiting.some((awaited) => config.some(({ uuid }) => uuid === awaited));
}

function changing(change: ConfigChange): Reason {
  const verb = change.kind === "add" ? "adding" : "removing";
  return { why: `${verb} replica ${change.pid}`, isUrgent: true, change };
}

/**
 * Without a view: everyone must have been heard or be suspected first. A log without any formed view starts nothing but
 * the founding, which needs all, none of which knows a formed view.
 */
function mayStartCold(core: Core): boolean {
  const others = core.peerPids();
  const { detector } = core;
  if (others.some((pid) => !detector.alive(pid) && !detector.suspects(pid))) return false;
  // Met, but its first heartbeat is still to come: it may tell of a view that goes on.
  if (others.some((pid) => detector.alive(pid) && detector.fresh(pid) === null)) return false;
  const { options } = core;
  const waits = options.policy === "available" && core.nowMs - core.unformedSinceMs < options.recoveryWaitMs;
  if (waits && hearsOutdated(core)) return false;
  if (core.log.lastFormed() !== null) return core.neighbours.some(({ pid }) => pid === options.self.pid);
  if (!options.founds) return false;
  // A cluster that was founded alone has grown since, for all that an empty disk knows: then the others dial it soon.
  if (others.length === 0 && core.nowMs - core.unformedSinceMs < options.timeoutMs) return false;
  return others.every((pid) => detector.fresh(pid)?.lastActView === 0);
}

/**
 * Whether that view is of an earlier config than the one that this log tells, and this replica can start one of the later:
 * to yield would undo the change, and make one who was removed a member again, who has not heard of that and has gone on
 * alone after a total stop. Of those replicas the ones that are in the later config join it, and the others follow it.
 */
export function isOutdated(core: Core, { epoch }: { readonly epoch: number }): boolean {
  // Another disk in the place of one of that config may form no view of it alone.
  const isOfConfig = core.config.some(({ pid, uuid }) => pid === core.self.pid && uuid === core.self.uuid);
  return epoch < core.epoch && isOfConfig && !core.stateless && !core.damaged;
}

/**
 * Whether one whose promise is needed goes on in such a view. It serves nobody from then on, so it is left alone as long as
 * somebody would have to be waited for.
 */
function hearsOutdated(core: Core): boolean {
  return core.peerPids().some((pid) => {
    const heartbeat = core.detector.fresh(pid);
    return heartbeat?.formed === true && heartbeat.installed !== 0 && isOutdated(core, heartbeat);
  });
}

/**
 * A member that stood still or left and is back: it may have missed what the others acknowledged, so it proves nothing
 * until it has seen another view form. The primary forms one as soon as it is heard to be well.
 */
function isCold(core: Core, installed: Installed, pid: number): boolean {
  if (core.nowMs - installed.formedMs <= core.options.timeoutMs) return false;
  if (pid === core.self.pid) return !core.hot;
  const heartbeat = core.detector.fresh(pid);
  if (heartbeat === null) return false;
  // Who has promised a greater view, to one who is gone perhaps, acks nothing in this one any more.
  return !heartbeat.hot || heartbeat.installed !== installed.view || heartbeat.promised > installed.view;
}

/** How long to wait after a reason arose, so that the lowest live pid goes first. */
export function rankDelayMs(core: Core): number {
  const lower = core.peerPids().filter((pid) => pid < core.self.pid && core.detector.alive(pid)).length;
  return lower * 2 * core.options.heartbeatMs;
}
