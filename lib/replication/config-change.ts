/**
 * Changing the config by one replica: from which view that may be done, with whom, and what comes of it. Pure functions
 * of views and promises. Whether anybody wants a change, and when it is tried, is `membership.ts`'s business.
 */
import type { Attempt, Configured, Member, Policy } from "../protocol/messages.ts";
import type { ConfigChange } from "./events.ts";
import type { PromiseGiven } from "./formation.ts";

/** A change, and the formed view from which it was asked for. */
export interface WantedChange {
  readonly change: ConfigChange;
  readonly fromView: number;
}

/** What is looked at of the view that a change starts from. */
type FromView = Pick<Attempt, "members" | "config" | "awaiting">;

/** The config with the change. The uuid of who is added follows when it has become a member. */
export function changed(config: readonly Configured[], change: ConfigChange): readonly Configured[] {
  const others = config.filter(({ pid }) => pid !== change.pid);
  if (change.kind === "remove") return others;
  return [...others, { pid: change.pid, address: change.address, uuid: null }].sort((a, b) => a.pid - b.pid);
}

/** Why this view is none to change the config from; null when it is one. */
export function viewObstacle(view: FromView, change: ConfigChange): string | null {
  if (change.kind === "remove" && change.acceptLoss) return null;
  if (isProvisional(view)) {
    return "the view is provisional: a replica that may hold more has not been heard since all stopped";
  }
  if (!holdMajority(view.members, view.config)) {
    return `only ${view.members.length} of the ${view.config.length} replicas of the config are members of the view`;
  }
  return null;
}

/** MUST NOT be changed from: what the absent hold would be less than what a later config decides without them. */
const isProvisional = (view: FromView): boolean =>
  view.awaiting.length > 0 && !globalThis.mistaken?.("changes while provisional");

/** Whether there is a majority of the old config and of the new one without whom is removed (`quorum`). */
export function majorityStays(view: FromView, change: ConfigChange): boolean {
  const config = changed(view.config, change);
  const stay = view.members.filter(({ pid }) => change.kind === "add" || pid !== change.pid);
  const added = change.kind === "add" ? 1 : 0;
  return 2 * stay.length > view.config.length && 2 * (stay.length + added) > config.length;
}

const holdMajority = (members: readonly Member[], config: readonly Configured[]): boolean =>
  2 * members.filter((member) => isIn(config, member)).length > config.length;

const isIn = (config: readonly Configured[], { pid, uuid }: Member): boolean =>
  config.some((each) => each.pid === pid && each.uuid === uuid);

export interface Circumstances {
  readonly policy: Policy;
  /** The greatest view known to have formed. */
  readonly last: Attempt;
  /** The last attempt in the base. */
  readonly inherited: Attempt;
  /** S. */
  readonly promises: readonly PromiseGiven[];
  /** Who promised and cannot vote, as the log is damaged, but holds what is needed to be a member. */
  readonly mending: readonly PromiseGiven[];
  /** Whether the base is near enough for this replica to be a member at once. */
  readonly isNear: (promise: PromiseGiven) => boolean;
}

/** Why the view that is being formed goes without the change; null when it brings it. */
export function lapses(wanted: WantedChange, circumstances: Circumstances): string | null {
  const { change, fromView } = wanted;
  const { policy, last, inherited, promises, mending, isNear } = circumstances;
  if (inherited.epoch > last.epoch) return "an earlier change is carried on first";
  if (change.kind === "remove" && change.acceptLoss) return policy === "available" ? null : "the policy is quorum";
  if (last.view !== fromView) return "another view has formed since it was asked for";
  const obstacle = viewObstacle(last, change) ?? viewObstacle({ ...last, awaiting: inherited.awaiting }, change);
  if (obstacle !== null) return obstacle;
  const replaced = promises.find(({ from }) =>
    last.config.some(({ pid, uuid }) => pid === from.pid && uuid !== from.uuid),
  );
  if (replaced !== undefined) return `the disk of replica ${replaced.from.pid} was replaced: that comes first`;
  // What it holds that the others of a majority do not was never acknowledged.
  if (change.kind === "remove" && policy === "quorum") return null;
  // A newcomer has no vote anyway; and its log is mended by the view that it becomes a member of.
  const subjects = change.kind === "add" ? [...promises, ...mending] : promises;
  const subject = subjects.find(({ from }) => from.pid === change.pid);
  if (subject === undefined) return `replica ${change.pid} has not promised the view`;
  if (change.kind === "add" && !isNear(subject)) return `replica ${change.pid} has fallen behind`;
  return null;
}
