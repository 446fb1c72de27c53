/** What a simulated replica stands in: the run's clock, network, judge and counters; and what it is started with. */
import type { Configured, Member } from "../protocol/messages.ts";
import type { ReplicaOptions } from "../replication/events.ts";
import type { Oracle } from "./checkers.ts";
import type { Network } from "./network.ts";
import type { SimulatedNode } from "./node.ts";
import type { Profile } from "./profile.ts";
import type { Random } from "./random.ts";
import type { SnapshotLibrary } from "./simulated-state.ts";
import type { Simulator } from "./simulator.ts";
import type { StateStore, Storage } from "./storage.ts";
import type { Streams } from "./streams.ts";

/** What happened in a run, for its statistics. */
export interface Tally {
  /** Times that a replica proposed what a fork held. */
  merges: number;
  /** Damaged logs that were made whole. */
  repairs: number;
  /** Snapshots installed. */
  stateTransfers: number;
  /** Times that a part of a log was deleted. */
  compactions: number;
  /** Sessions that have expired. */
  expiries: number;
}

/** What a replica is started with. */
export interface Flags {
  readonly peers: readonly Configured[];
  readonly founds: boolean;
}

export interface Surroundings {
  readonly simulator: Simulator;
  readonly random: Random;
  readonly network: Network;
  readonly oracle: Oracle;
  readonly profile: Profile;
  readonly cluster: Uint8Array;
  readonly clusterTag: number;
  /** Between clients and replicas; null where clients hand over their ops. */
  readonly streams: Streams | null;
  readonly newStorage: () => Storage;
  readonly newState: () => StateStore;
  readonly snapshots: SnapshotLibrary;
  readonly tally: Tally;
  /** A process has ended, or stands still. */
  readonly disturbed: () => void;
  /** Whether losing this replica's disk now would lose no promise. */
  readonly wipeable: (node: SimulatedNode) => boolean;
  /** Whether the disk with this uuid could take the place of its own, which is lost with that. */
  readonly restorable: (node: SimulatedNode, uuid: string) => boolean;
  /** What one whose disk was replaced is started with, where the config has changed; null: as before. */
  readonly replacementFlags: (pid: number) => Flags | null;
  /** Told of every record that a replica asks its log to append. */
  readonly written: (pid: number, records: readonly Uint8Array[]) => void;
}

export function replicaOptions(
  { profile, clusterTag }: Surroundings,
  self: Member,
  flags: Flags,
  seed: number,
): ReplicaOptions {
  const { policy, heartbeatMs, timeoutMs, recoveryWaitMs, retention } = profile;
  return { self, policy, ...flags, clusterTag, heartbeatMs, timeoutMs, recoveryWaitMs, retention, seed };
}
