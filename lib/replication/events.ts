/**
 * What the replicated log is told and what it asks for. `Replica.step(event)` returns effects; the driver runs them in
 * order. Types only; the core behind them knows no clock, file, socket or randomness.
 */
import type { OpEntry } from "../protocol/entries.ts";
import type { LogBeginning } from "../protocol/log-port.ts";
import type { StateOrder, StateReport } from "../protocol/state-files.ts";
import type { CommittedEntry } from "../protocol/state-machine.ts";
import type { Configured, Member, Policy, ReplicaMessage } from "../protocol/messages.ts";

/** How much of the log is kept for others, and when the state is copied instead of built from the log. */
export interface Retention {
  /** `quorum`: entries kept below what every member has, for those who are behind. */
  readonly laggardEntries: number;
  /** A learner whose state is further behind, and by a good part of all there is, takes a peer's snapshot. */
  readonly snapshotBehindEntries: number;
  /** At which a snapshot is fetched, so that the replica that sends it can go on with its work. */
  readonly snapshotBytesPerSecond: number;
  /** How often it is looked whether a part of the log can be deleted. */
  readonly compactMs: number;
}

export const retentionDefault: Retention = {
  laggardEntries: 200_000,
  snapshotBehindEntries: 50_000,
  snapshotBytesPerSecond: 16 * 1024 * 1024,
  compactMs: 1_000,
};

export interface ReplicaOptions {
  readonly self: Member;
  readonly policy: Policy;
  /** The replicas named by `--peers`, self included: they found the cluster; later the config in the log wins. */
  readonly peers: readonly Configured[];
  /** False for a newcomer, whose `peers` are those it asks: it never founds a cluster with them. */
  readonly founds: boolean;
  readonly clusterTag: number;
  readonly heartbeatMs: number;
  readonly timeoutMs: number;
  /** How long after a total stop to wait for missing replicas before going on provisionally (`available`). */
  readonly recoveryWaitMs: number;
  /** Default: {@link retentionDefault}. */
  readonly retention?: Retention;
  /** Seeds the core's own generator (nonces, jitter). */
  readonly seed: number;
}

export type Event =
  /** Time passes. `nowMs` is monotonic, `wallMs` is the wall clock for `at`. Every 10–20 ms. */
  | { readonly type: "tick"; readonly nowMs: number; readonly wallMs: number }
  /** A message from a peer, whose identity the connection's hello has established. */
  | { readonly type: "received"; readonly from: Member; readonly message: ReplicaMessage }
  /** An outgoing connection to this peer stands; its hello told who it is. */
  | { readonly type: "connected"; readonly peer: Member }
  /** The connection to a peer was lost or could not be made; `refused`: its host answered that nothing listens. */
  | { readonly type: "disconnected"; readonly pid: number; readonly refused: boolean }
  /** Every `append` effect up to this sequence is on disk. */
  | { readonly type: "persisted"; readonly sequence: number }
  /** Ops accepted from clients of this replica, in order; `at` and `origAt` are filled by the core. */
  | { readonly type: "propose"; readonly ops: readonly OpEntry[] }
  /** An operator asks for a change of the config, and asks again until it is done: answered by `changeReport`. */
  | {
      readonly type: "change";
      readonly request: number;
      readonly change: ConfigChange;
      /** Whoever is to be added has been reached at the address given; of no matter otherwise. */
      readonly answers: boolean;
    }
  /** What came of a `state` effect. */
  | { readonly type: "state"; readonly report: StateReport }
  /** After a `continue` effect: there was more to hand out. */
  | { readonly type: "continue" }
  /** The process is asked to stop: say goodbye, start no view. */
  | { readonly type: "stop" };

/** Adding or removing one replica while the cluster runs. */
export type ConfigChange =
  | { readonly kind: "add"; readonly pid: number; readonly address: string }
  /** `acceptLoss` (`available` only): whatever state it and the view are in. */
  | { readonly kind: "remove"; readonly pid: number; readonly acceptLoss: boolean };

/** How far a change has come, as the replica that was asked can tell. */
export interface ChangeReport {
  /**
   * `waiting`: not begun by the replica that was asked, which is in `view`. `attempting`: `view` is being formed with
   * it. `lapsed`: `view` did not form and the change is not in the config; asked again, it is tried again. `refused`:
   * it cannot be. `elsewhere`: replica `ask` is to be asked, or if that is 0 any other.
   */
  readonly state: "done" | "waiting" | "attempting" | "lapsed" | "refused" | "elsewhere";
  /** A phrase for people: what is waited for, or why not; empty when there is nothing to say. */
  readonly reason: string;
  /** The view that brings the change, in which it is in force, or from which it is waited for; 0 when there is none. */
  readonly view: number;
  readonly ask: number;
}

/** What a replica is in its cluster, for status lines, clients and tests. */
export interface Standing {
  readonly role: "primary" | "backup" | "learner" | "candidate";
  /** A member of a formed view: it serves. */
  readonly ready: boolean;
  /** The installed or followed view; 0 for none. */
  readonly view: number;
  /** 0 when unknown. */
  readonly primary: number;
  readonly provisional: boolean;
  readonly copies: number;
  readonly members: readonly Member[];
  /** In force: of the last formed view known; before there is one, the founders. */
  readonly config: readonly Configured[];
  /** Whom to dial: everyone whom a view may still need, and whoever is being added. Self may be among them. */
  readonly peers: readonly Configured[];
  /** This replica is in the config, or none is known. */
  readonly configured: boolean;
  /** Uuids of replicas that may hold more and have not been heard since a total stop. */
  readonly awaiting: readonly string[];
  /** Why it is not ready, in words, e.g. "waiting for replicas 2, 3 to found the cluster". Empty when ready. */
  readonly waitingFor: string;
  readonly commit: number;
  readonly lastIndex: number;
  /** Of the last entry. */
  readonly lastView: number;
  /** It leads a view in which no replica of the config is missing and nothing of a fork is left to be merged. */
  readonly settled: boolean;
  /** It is a member of a view, or follows one of a config without it, and nothing of a fork is left here to be merged into that. */
  readonly merged: boolean;
}

export type Effect =
  | { readonly type: "send"; readonly to: number; readonly message: ReplicaMessage }
  /** Append these records (entries and local ones) to the write-ahead log; answer `persisted` when durable. */
  | {
      readonly type: "append";
      readonly sequence: number;
      readonly records: readonly Uint8Array[];
      readonly commit: number;
    }
  /**
   * Entries became committed, in order, each exactly once unless `rewind` came between. Apply them. The first
   * `replayed` of them were handed out before a rewind: what comes of them has been told already.
   */
  | { readonly type: "committed"; readonly entries: readonly CommittedEntry[]; readonly replayed: number }
  /** Step again with `continue` as soon as other work has had its turn. */
  | { readonly type: "continue" }
  /** The applied state left the lineage: throw it away. `committed` follows again from index 1. */
  | { readonly type: "rewind" }
  /** To be done with the state as a file; answered by `state` events. */
  | { readonly type: "state"; readonly order: StateOrder }
  /** The log begins anew behind this place; what it holds after `kept` is superseded. Answer `persisted`. */
  | {
      readonly type: "beginAnew";
      readonly sequence: number;
      readonly beginning: LogBeginning;
      readonly kept: number;
    }
  /** What stands at or below `index`, which `compactable` has named, is not asked for any more: delete it. */
  | { readonly type: "compact"; readonly index: number }
  /** The damaged part of the log has been fetched again, and a view has formed with it: all of it is on disk. */
  | { readonly type: "repaired" }
  | { readonly type: "standing"; readonly standing: Standing }
  /** These ops were certainly never proposed and never will be: refuse them with `unavailable`. */
  | { readonly type: "unavailable"; readonly ops: readonly { readonly session: string; readonly seq: number }[] }
  | { readonly type: "changeReport"; readonly request: number; readonly report: ChangeReport }
  | { readonly type: "log"; readonly level: "debug" | "info" | "warn" | "error"; readonly message: string }
  /** The replica must not go on (e.g. config contradiction): say why and stop. */
  | { readonly type: "fatal"; readonly message: string };
