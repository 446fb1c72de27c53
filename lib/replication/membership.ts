/**
 * Adding and removing replicas while the cluster runs. A change of the config is a view change: here is decided which
 * replica makes it, when it may be tried, and what whoever asked for it is told. What a view makes of it is
 * `config-change.ts`'s and `formation.ts`'s business.
 */
import { parseAddress } from "../base/address.ts";
import { limits } from "../base/limits.ts";
import { quoted } from "../base/words.ts";
import { formatView, viewPid } from "../protocol/ids.ts";
import { majorityStays, viewObstacle } from "./config-change.ts";
import type { Core } from "./core.ts";
import type { ChangeReport, ConfigChange, Event } from "./events.ts";
import { hasCaughtUp } from "./learning.ts";
import { isMerged } from "./merging.ts";
import type { Installed, Wish } from "./state.ts";

/** A wish that was not repeated for this long is dropped: whoever asked for it is gone. */
export const wishMs = 3_000;

/** An operator asks for a change, for the first time or again: it is remembered, and answered with how far it is. */
export function onChange(core: Core, event: Extract<Event, { type: "change" }>): void {
  const { request, change, answers } = event;
  core.effects.push({ type: "changeReport", request, report: report(core, change, answers) });
}

/** The change that this replica may make now, if somebody still wants one. */
export function dueChange(core: Core): ConfigChange | null {
  const { wish, installed } = core;
  if (wish === null || wish.attempted !== 0 || !core.serving || installed === null) return null;
  const { change } = wish;
  if (makerOf(core, installed, change) !== core.self.pid || isInForce(installed, change)) return null;
  return refusal(core, installed, change) === null && obstacle(core, installed, wish) === null ? change : null;
}

/** Once a tick: forgets what nobody asks for any more, and notices that this replica was removed. */
export function tickMembership(core: Core): void {
  const { wish } = core;
  if (wish !== null && !isUnderWay(core, wish)) {
    const isDone = core.serving && core.installed !== null && isInForce(core.installed, wish.change);
    if (isDone || core.nowMs - wish.askedMs > wishMs) core.wish = null;
  }
  const { isConfigured } = core;
  if (core.wasConfigured && !isConfigured) {
    const view = formatView(core.log.lastFormed()?.view ?? 0);
    // What it alone has is lost to the others if it is stopped before; `merging.ts` says when that is over.
    const gives = core.options.policy === "available" && core.reader.hasForks;
    const may = gives ? "it may be stopped once it says that what it alone holds has been merged" : "it may be stopped";
    core.say("warn", `replica ${core.self.pid} has been removed from the cluster by view ${view}: ${may}`);
  }
  core.wasConfigured = isConfigured && core.log.lastFormed() !== null;
}

const told = (state: ChangeReport["state"], reason = "", view = 0, ask = 0): ChangeReport => ({
  state,
  reason,
  view,
  ask,
});

function report(core: Core, change: ConfigChange, answers: boolean): ChangeReport {
  const { installed, following } = core;
  const known = core.wish !== null && takesOver(change, core.wish.change) ? core.wish : null;
  if (known !== null && isUnderWay(core, known)) {
    known.askedMs = core.nowMs;
    return told("attempting", "", known.attempted);
  }
  if (following !== null) return told("elsewhere", "", 0, viewPid(following.view));
  if (!core.serving || installed === null) return told("elsewhere", "no view is formed");
  if (isInForce(installed, change)) return inForce(installed, change);
  const refused = refusal(core, installed, change);
  if (refused !== null) return told("refused", refused);
  const maker = makerOf(core, installed, change);
  const waits = (reason: string): ChangeReport => told("waiting", reason, installed.view);
  if (maker === null) return waits(`replica ${change.pid} is the only member of the view`);
  if (maker !== core.self.pid) return told("elsewhere", "", 0, maker);
  if (known !== null && known.attempted !== 0) {
    core.wish = null;
    if (isEqual(known.change, change)) {
      return told("lapsed", `view ${formatView(installed.view)} has formed without it`, known.attempted);
    }
  }
  if (core.wish !== null && known === null) {
    const { kind, pid } = core.wish.change;
    return waits(`another change is under way: ${kind === "add" ? "adding" : "removing"} replica ${pid}`);
  }
  core.wish = { change, askedMs: core.nowMs, attempted: 0, answers };
  return waits(obstacle(core, installed, core.wish) ?? "");
}

/** An attempt for it is being made by this replica. */
function isUnderWay(core: Core, { attempted }: Wish): boolean {
  if (attempted === 0) return false;
  const { candidacy, installed } = core;
  if (candidacy?.wanted != null && candidacy.view === attempted) return true;
  return installed?.view === attempted && !installed.formed && core.promised === attempted;
}

/** The primary makes a change; its own removal the lowest other member does, who takes over from it. */
function makerOf(core: Core, { primary, entry }: Installed, change: ConfigChange): number | null {
  if (change.kind === "add" || change.pid !== primary.pid) return primary.pid;
  const others = entry.members.filter((member) => member.pid !== primary.pid && !core.detector.suspectsMember(member));
  return others.some(({ pid }) => pid === core.self.pid) ? core.self.pid : (others[0]?.pid ?? null);
}

const isInForce = ({ entry }: Installed, change: ConfigChange): boolean =>
  entry.config.some(({ pid }) => pid === change.pid) === (change.kind === "add");

function inForce({ view, entry }: Installed, change: ConfigChange): ChangeReport {
  if (change.kind === "remove") return told("done", "", view);
  const { pid, address } = change;
  const present = entry.config.find((each) => each.pid === pid)?.address ?? "";
  if (present !== address) {
    return told("refused", `replica ${pid} is in the cluster already, at ${present}: remove it first`);
  }
  if (entry.members.some((member) => member.pid === pid)) return told("done", "", view);
  return told("waiting", `replica ${pid} is in the config and not yet a member of the view`, view);
}

/** Why it never can be, as things are configured. */
function refusal({ options }: Core, { entry }: Installed, change: ConfigChange): string | null {
  const { config } = entry;
  if (change.kind === "add") {
    if (parseAddress(change.address) === null) return `${quoted(change.address)} is not HOST:PORT`;
    const other = config.find(({ address }) => address === change.address);
    if (other !== undefined) return `${change.address} is the address of replica ${other.pid}`;
    return config.length >= limits.replicasMax ? `a cluster has at most ${limits.replicasMax} replicas` : null;
  }
  if (config.length === 1) return `replica ${change.pid} is the last one`;
  if (options.policy === "available") return null;
  if (change.acceptLoss)
    return "--accept-loss is for the policy available: under quorum nothing is lost with a replica";
  return config.length === 2
    ? "under quorum a cluster of two cannot become one of one: add a third replica first"
    : null;
}

/** What it has to wait for; null when it may be tried at once. */
function obstacle(core: Core, installed: Installed, { change, answers }: Wish): string | null {
  const { detector, options } = core;
  const { pid } = change;
  const ofView = viewObstacle(installed.entry, change);
  if (ofView !== null) return ofView;
  if (options.policy === "quorum" && !majorityStays(installed.entry, change)) {
    return `without replica ${pid} there is no majority of the config in the view`;
  }
  if (change.kind === "add") {
    if (!answers || !detector.alive(pid)) return `replica ${pid} does not answer at ${change.address}`;
    return hasCaughtUp(core, installed, pid) ? null : `replica ${pid} is learning the log`;
  }
  // Under `quorum` a majority holds all that was ever acknowledged, whoever is gone.
  if (change.acceptLoss || options.policy === "quorum") return null;
  const member = installed.entry.members.find((each) => each.pid === pid);
  if (member === undefined || detector.suspectsMember(member)) {
    return `replica ${pid} is not a member of the view now: what it alone may hold would be lost`;
  }
  return isMerged(core, pid) ? null : `what replica ${pid} holds of a fork is still being merged`;
}

/** The first one may stand for the second: it is the same, or the same removal by somebody who accepts more. */
const takesOver = (change: ConfigChange, wished: ConfigChange): boolean =>
  isEqual(change, wished) ||
  (change.kind === "remove" && change.acceptLoss && wished.kind === "remove" && wished.pid === change.pid);

const isEqual = (one: ConfigChange, other: ConfigChange): boolean => JSON.stringify(one) === JSON.stringify(other);
