/**
 * Where this replica stands, in words for its driver, its clients and its peers: role, readiness, what it waits for, whom
 * it speaks to. Changes nothing.
 */
import { viewPid } from "../protocol/ids.ts";
import type { Configured } from "../protocol/messages.ts";
import type { Core } from "./core.ts";
import type { Standing } from "./events.ts";
import { isMerged } from "./merging.ts";

export function roleOf({ installed, promised, following }: Core): Standing["role"] {
  if (following !== null) return "learner";
  if (installed === null || installed.view !== promised) return "candidate";
  return installed.isPrimary ? "primary" : "backup";
}

export function stand(core: Core): Standing {
  const { installed, following } = core;
  const view = installed?.view ?? following?.view ?? 0;
  const members = installed?.entry.members ?? following?.members ?? [];
  const awaiting = installed?.entry.awaiting ?? [];
  return {
    role: roleOf(core),
    ready: isReady(core),
    view,
    primary: viewPid(view),
    provisional: awaiting.length > 0,
    copies: core.copies,
    members,
    config: core.config,
    peers: whomToDial(core),
    configured: core.isConfigured,
    awaiting,
    waitingFor: isReady(core) ? "" : waitingFor(core),
    commit: core.commit,
    lastIndex: core.log.lastIndex,
    lastView: core.log.lastView,
    settled: isSettled(core),
    merged: isMerged(core, core.self.pid),
  };
}

/** What a standing depends on, but for the ends of the log; cheap, as it is looked at after every step. */
export interface Announced {
  readonly role: Standing["role"];
  readonly view: number;
  readonly lastView: number;
  readonly wish: string;
  readonly formed: boolean;
  readonly following: number;
  readonly fetching: number;
  readonly obstacle: string;
  readonly copies: number;
  readonly ready: boolean;
  readonly alive: string;
}

export function announced(core: Core): Announced {
  const { installed, wish } = core;
  const formed = installed?.formed ?? false;
  return {
    role: roleOf(core),
    view: installed?.view ?? 0,
    lastView: core.log.lastView,
    wish: wish === null ? "" : JSON.stringify(wish.change),
    formed,
    following: core.following?.view ?? 0,
    fetching: core.fetch?.from ?? 0,
    obstacle: core.candidacy?.obstacle ?? "",
    copies: core.copies,
    ready: isReady(core),
    alive: formed ? "" : whoIsAlive(core),
  };
}

function whoIsAlive(core: Core): string {
  let pids = "";
  for (const pid of core.peerPids()) if (core.detector.alive(pid)) pids += `${pid} `;
  return pids;
}

export function isSameStanding(one: Announced, other: Announced): boolean {
  return (
    one.role === other.role &&
    one.view === other.view &&
    one.lastView === other.lastView &&
    one.wish === other.wish &&
    one.formed === other.formed &&
    one.following === other.following &&
    one.fetching === other.fetching &&
    one.obstacle === other.obstacle &&
    one.copies === other.copies &&
    one.ready === other.ready &&
    one.alive === other.alive
  );
}

/** Nobody can come back with an op of a session that it has used apart from the others. */
export function isSettled(core: Core): boolean {
  const { installed } = core;
  if (!core.isServingPrimary || installed === null || installed.entry.awaiting.length > 0) return false;
  if (globalThis.mistaken?.("expiry beside forks")) return true;
  const { config, members } = installed.entry;
  return config.every(({ pid, uuid }) => members.some((member) => member.uuid === uuid) && isMerged(core, pid));
}

/** A member of a formed view, or between two views for no longer than a timeout, however many it promises meanwhile. */
export function isReady({ installed, promised, betweenSinceMs, nowMs, options, stateless }: Core): boolean {
  if (installed?.formed !== true || stateless) return false;
  return installed.view === promised || nowMs - betweenSinceMs <= options.timeoutMs;
}

/** Who is told that this replica lives: whom it dials, and whoever speaks to it. */
export function correspondents(core: Core): readonly number[] {
  const known = core.peerPids();
  const dialled = whomToDial(core);
  const named = dialled === core.neighbours ? [] : dialled.map(({ pid }) => pid);
  const others = [...named, ...core.detector.hears()].filter((pid) => pid !== core.self.pid && !known.includes(pid));
  return others.length === 0 ? known : [...new Set([...known, ...others])];
}

/** Whom a view may need and who is being added; without a view also those of `--peers`, who may know of one. */
function whomToDial(core: Core): readonly Configured[] {
  const { neighbours, wish, options } = core;
  if (wish === null && isReady(core)) return neighbours;
  const added = wish?.change.kind === "add" ? [{ pid: wish.change.pid, address: wish.change.address, uuid: null }] : [];
  const named = isReady(core) ? [] : options.peers;
  const byPid = new Map<number, Configured>();
  for (const each of [...neighbours, ...added, ...named]) if (!byPid.has(each.pid)) byPid.set(each.pid, each);
  return [...byPid.values()];
}

/** How much of the state or the log that this replica waits for has yet to come; empty when nothing is, or that is not known. */
export function stillToCome(core: Core): string {
  const { stage, snapshot, offset } = core.snapshots.transfer ?? { stage: "asking", snapshot: null, offset: 0 };
  if (snapshot !== null && stage === "fetching") {
    return `${((snapshot.sizeBytes - offset) / 1e6).toFixed(1)} of ${(snapshot.sizeBytes / 1e6).toFixed(1)} MB`;
  }
  const end = Math.max(core.fetch?.end ?? 0, core.fetch?.target?.index ?? 0);
  const { lastIndex } = core.log;
  return end > lastIndex ? `${end - lastIndex} of ${end} entries` : "";
}

function waitingFor(core: Core): string {
  const { self, following, candidacy, options } = core;
  if (following !== null && !core.isConfigured) {
    return `replica ${self.pid} is not in the cluster's config: it follows the log and serves nobody (chatd cluster add takes it in)`;
  }
  const { from: giver, snapshot } = core.snapshots.transfer ?? { from: 0, snapshot: null };
  if (snapshot !== null) return `fetching the state of replica ${giver}`;
  if (following !== null) {
    const source = core.fetch?.from ?? null;
    return source === null ? "finding a replica that has the log" : `learning the log from replica ${source}`;
  }
  if (core.damaged) return "the log is damaged: waiting for a replica to repair it from";
  if (core.stateless) return "there is no state that goes with the log: waiting for another replica to give its own";
  if (candidacy !== null && candidacy.obstacle !== "") return candidacy.obstacle;
  const silent = core.peerPids().filter((pid) => !core.detector.alive(pid));
  const purpose = core.log.lastIndex > 0 ? "" : options.founds ? " to found the cluster" : " to learn the log";
  if (silent.length > 0) return `waiting for replica${silent.length === 1 ? "" : "s"} ${silent.join(", ")}${purpose}`;
  return "a view is being formed";
}
