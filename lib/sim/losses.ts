/**
 * Which disks a run may lose, or get back, without breaking a promise: what may strike it, not what strikes it.
 */
import type { Configured } from "../protocol/messages.ts";
import type { Oracle } from "./checkers.ts";
import type { SimulatedNode } from "./node.ts";
import type { Operator } from "./operator.ts";
import type { Profile } from "./profile.ts";

/** The run, as far as that depends on it. */
export interface StruckRun {
  readonly oracle: Oracle;
  readonly profile: Profile;
  readonly nodes: readonly SimulatedNode[];
  readonly operator: Operator | null;
}

/**
 * A disk may be lost without breaking a promise only while the disks known to the cluster stay a majority. In
 * `available` an acknowledgement that stood for the lost disks alone is excused.
 */
export function mayBeWiped(run: StruckRun, node: SimulatedNode): boolean {
  const { nodes } = run;
  const config = run.oracle.latestConfig;
  if (config === null || config.length === 1 || run.oracle.disks > 25) return false;
  const { disksReturn } = run.profile;
  // The config that is attempted may be the one that has to do without this disk.
  if (!disksReturn && (run.operator?.busy === true || run.oracle.isChanging)) return false;
  // Who has given its own state up for another's has nothing to go on from until it has that one.
  if (!nodes.some((other) => other !== node && other.applied.applied.index > 0)) return false;
  if (!config.some(({ pid }) => pid === node.pid)) return false;
  // Whichever of these comes into force, a majority of it must be left: see "Not promised" in `lib/replication`.
  const configs = disksReturn ? [config, ...run.oracle.attempted.configs] : [config];
  return configs.every((each) => canDoWithout(run, node, each));
}

function canDoWithout(run: StruckRun, node: SimulatedNode, config: readonly Configured[]): boolean {
  const isConfigured = (each: SimulatedNode): boolean => config.some(({ pid }) => pid === each.pid);
  const isSound = ({ log, uuid }: SimulatedNode): boolean =>
    !log.damaged && config.some((each) => each.uuid === uuid) && run.oracle.knowsItself(log);
  const lost = run.nodes.filter((each) => isConfigured(each) && (each === node || !isSound(each)));
  if (run.profile.policy === "quorum") return 2 * lost.length < config.length;
  return lost.length <= Math.max(1, (config.length - 1) / 2);
}

/**
 * The disk that is there now is lost with it, unless the one that comes back is the one that counts, or neither does: a
 * replica that was removed has given what it held.
 */
export function mayBeRestored(run: StruckRun, node: SimulatedNode, uuid: string): boolean {
  const { latestConfig, attempted } = run.oracle;
  if (latestConfig === null) return false;
  const configs = [latestConfig, ...attempted.configs];
  if (configs.every((each) => each.some((other) => other.uuid === uuid))) return true;
  return configs.every((each) => !each.some(({ pid }) => pid === node.pid)) || mayBeWiped(run, node);
}
