/**
 * What a run is like: policy, size, timing, and which faults strike how often. Drawn anew for each seed (swarm testing:
 * a run with few kinds of fault finds what one with all of them hides). Data only; `faults.ts` brings them about.
 */
import type { Policy } from "../protocol/messages.ts";
import type { Order } from "./checkers.ts";
import type { LinkQuality } from "./network.ts";
import { Random } from "./random.ts";

export const profileNames = ["crash", "total", "provisional", "pause", "disk", "partition", "lossy", "wipe"] as const;
export type ProfileName = (typeof profileNames)[number];

export interface Profile {
  readonly seed: number;
  readonly name: ProfileName;
  readonly policy: Policy;
  readonly replicas: number;
  readonly clients: number;
  readonly opsPerClient: number;
  readonly window: number;
  readonly thinkMs: number;
  readonly heartbeatMs: number;
  readonly timeoutMs: number;
  readonly recoveryWaitMs: number;
  readonly tickMs: number;
  /** How long faults strike, in virtual milliseconds. */
  readonly fireMs: number;
  /** Mean time between faults. */
  readonly faultMs: number;
  readonly faults: Faults;
  readonly link: LinkQuality;
  /** Mean time of an fdatasync. */
  readonly syncMs: number;
  /** Whether every message really becomes bytes on its way. */
  readonly encoded: boolean;
  /** Whether the log is the real one, on a simulated disk. */
  readonly wal: boolean;
  /** Whether the state is the chat's, in SQLite. */
  readonly chat: boolean;
  readonly order: Order;
  /** Ops of a session are applied in the order of their seqs. */
  readonly sessionOrder: boolean;
}

/** Relative weights; 0: this kind does not strike in this run. */
export interface Faults {
  /** A process dies, its host answers "refused"; it comes back. */
  readonly crash: number;
  /** A machine loses power: silence, and SQLite may lose its last transactions. */
  readonly power: number;
  /** A process dies in the midst of running its effects. */
  readonly midway: number;
  /** A process dies just around the next step of a view change: a promise, a VIEW, an ACT. */
  readonly viewChange: number;
  /** All at once. */
  readonly total: number;
  readonly goodbye: number;
  readonly pause: number;
  readonly partition: number;
  readonly oneWay: number;
  readonly partial: number;
  readonly slowDisk: number;
  readonly hungDisk: number;
  /** A sync or a write fails, or a write falls short. */
  readonly failedDisk: number;
  /** A machine stops, and a durable bit changes. */
  readonly rot: number;
  readonly wipe: number;
}

const none: Faults = {
  crash: 0,
  power: 0,
  midway: 0,
  viewChange: 0,
  total: 0,
  goodbye: 0,
  pause: 0,
  partition: 0,
  oneWay: 0,
  partial: 0,
  slowDisk: 0,
  hungDisk: 0,
  failedDisk: 0,
  rot: 0,
  wipe: 0,
};

export interface ProfileChoice {
  readonly profile?: ProfileName | undefined;
  readonly policy?: Policy | undefined;
  readonly replicas?: number | undefined;
}

/** The run of a seed, with what the caller has fixed. Fixing something does not change what else is drawn. */
export function drawProfile(seed: number, choice: ProfileChoice = {}): Profile {
  const random = new Random(seed);
  const drawnName = random.pick(profileNames);
  const drawnPolicy: Policy = random.chance(0.5) ? "available" : "quorum";
  const drawnReplicas = random.pick([1, 2, 3, 3, 3, 3, 3, 3, 5, 5]);
  const name = choice.profile ?? drawnName;
  const policy = choice.policy ?? drawnPolicy;
  const heartbeatMs = random.pick([50, 100]);
  const timeoutMs = heartbeatMs * random.pick([6, 10]);
  const lossy = name === "lossy" ? random.pick([0.01, 0.05, 0.2]) : 0;
  const delayMsMean = random.pick([0.2, 0.5, 2]);
  const fireMs = random.pick([5_000, 10_000, 20_000]);
  const opsPerClient = random.pick([10, 50, 50, 200]);
  const window = random.pick([1, 1, 4, 16]);
  const order = orderOf(name, policy);
  return {
    seed,
    name,
    policy,
    replicas: choice.replicas ?? drawnReplicas,
    clients: 1 + random.below(4),
    opsPerClient,
    window,
    // So that there is work until the end of the fire.
    thinkMs: (random.pick([0.5, 1]) * fireMs * window) / opsPerClient,
    heartbeatMs,
    timeoutMs,
    recoveryWaitMs: neverWaits(name, policy) ? 1e12 : timeoutMs * random.pick([1, 4, 10]),
    tickMs: random.pick([10, 20]),
    fireMs,
    faultMs: random.pick([200, 500, 1_500]),
    faults: drawFaults(random, name),
    link: {
      delayMsMin: 0.05,
      delayMsMean,
      loss: lossy,
      duplication: name === "lossy" ? random.pick([0, 0.05, 0.2]) : 0,
      reordering: name === "lossy" ? random.pick([0, 0.05, 0.2]) : 0,
      lateMsMean: random.pick([10 * delayMsMean, 50, timeoutMs]),
    },
    syncMs: random.pick([0.2, 1, 5]),
    encoded: random.chance(0.3),
    wal: random.chance(0.5),
    chat: random.chance(0.1),
    order,
    sessionOrder: order === "one",
  };
}

/**
 * `available` keeps one order as long as silence means death and nobody goes on without those who may hold more: where
 * neither can happen the run is judged by one order, and the recovery wait never ends.
 */
function neverWaits(name: ProfileName, policy: Policy): boolean {
  return policy === "available" && (name === "crash" || name === "total" || name === "pause" || name === "disk");
}

/** `available` forks where replicas that live suspect each other, or go on without one that may hold more. */
function orderOf(name: ProfileName, policy: Policy): Order {
  if (policy === "quorum" || neverWaits(name, policy)) return "one";
  return name === "provisional" || name === "wipe" ? "one-until-provisional" : "lineages";
}

function drawFaults(random: Random, name: ProfileName): Faults {
  const weight = (): number => random.pick([0, 1, 1, 3]);
  const dying = { crash: 1 + weight(), power: weight(), midway: weight(), viewChange: weight(), goodbye: weight() };
  switch (name) {
    case "crash":
      return { ...none, ...dying };
    case "total":
    case "provisional":
      return { ...none, ...dying, total: 1 + weight() };
    case "pause":
      return { ...none, crash: weight(), viewChange: random.pick([0, 1]), total: random.pick([0, 0, 1]), pause: 3 };
    case "disk":
      return {
        ...none,
        crash: weight(),
        power: weight(),
        viewChange: random.pick([0, 1]),
        slowDisk: 1,
        hungDisk: 1 + weight(),
        failedDisk: weight(),
      };
    case "partition":
      return {
        ...none,
        crash: weight(),
        pause: random.pick([0, 0, 1]),
        partition: 2,
        oneWay: weight(),
        partial: weight(),
      };
    case "lossy":
      return { ...none, ...dying, total: random.pick([0, 1]) };
    case "wipe":
      return {
        ...none,
        ...dying,
        wipe: random.pick([0, 1, 2]),
        rot: random.pick([0, 1, 2]),
        failedDisk: random.pick([0, 1]),
      };
  }
}
