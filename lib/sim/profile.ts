/**
 * What a run is like: policy, size, timing, and which faults strike how often. Drawn anew for each seed (swarm testing:
 * a run with few kinds of fault finds what one with all of them hides). Data only; `faults.ts` brings them about.
 */
import type { Policy } from "../protocol/messages.ts";
import { drawLibrary, unhurried, type LibraryProfile } from "./library-profile.ts";
import type { LinkQuality } from "./network.ts";
import { retentionDefault, type Retention } from "../replication/events.ts";
import { Random } from "./random.ts";

export const profileNames = [
  "crash",
  "total",
  "provisional",
  "pause",
  "disk",
  "partition",
  "lossy",
  "wipe",
  "lasting",
  "swarm",
  "sessions",
] as const;
export type ProfileName = (typeof profileNames)[number];

/** Those drawn when none is chosen; `sessions` comes about in others too. */
const drawnNames = profileNames.filter((name) => name !== "sessions");

/**
 * `one`: every committed entry is in every later view, for the whole run. `one-until-provisional`: until a view is
 * attempted without those who may hold more, and says so. `lineages`: `available` may fork, each lineage is judged by itself, and
 * nothing acknowledged may be missing after the heal.
 */
export type Order = "one" | "one-until-provisional" | "lineages";

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
  /** Where clients are the library, on byte streams to the real server side; null: they hand their ops to a service. */
  readonly library: LibraryProfile | null;
  /** How long a client waits for an answer before it goes elsewhere. */
  readonly patienceMs: number;
  /** Before the heal one link stays cut for long, and everyone must be served nevertheless. */
  readonly lasting: boolean;
  readonly order: Order;
  /** Ops of a session are applied in the order of their seqs. */
  readonly sessionOrder: boolean;
  readonly retention: Retention;
  /** Disks that were replaced may come back; and disks are replaced also while the config changes. */
  readonly disksReturn: boolean;
  /** Changes of the config while it runs; null: there are none. */
  readonly operator: OperatorProfile | null;
  /** Sessions that nobody uses expire; null: they never do. */
  readonly expiry: ExpiryProfile | null;
}

/** When sessions expire, and how clients leave them behind. */
export interface ExpiryProfile {
  /** For how long a session stays that nobody uses, by the clock of the log. */
  readonly unusedMs: number;
  /** Replicas look after sessions so many times a tick, not once a second. */
  readonly sweepsPerTick: number;
  /** How probably a client that waits for nothing leaves, and for how long it is away. */
  readonly leaving: number;
  readonly awayMs: number;
}

/** What an operator does to the config, and how it is hindered. */
export interface OperatorProfile {
  /** Numbers of replicas between which the config goes to and fro. */
  readonly sizes: readonly number[];
  /** Mean time between the end of one change and the next. */
  readonly pauseMs: number;
  /** For how long a change is asked for. */
  readonly patienceMs: number;
  /** Whether replicas are removed in whatever state. */
  readonly acceptsLoss: boolean;
  /** Instead of all else two replicas are told to remove each other, so that the sides of a partition part for good. */
  readonly estranges: boolean;
  /** How probably somebody dies around the view that may bring a change. */
  readonly deadly: number;
  /** By how much rarer other faults are, so that changes succeed at all. */
  readonly calm: number;
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
  /** A partition that lasts until both sides have made up their minds. */
  readonly split: number;
  readonly oneWay: number;
  readonly partial: number;
  /** Messages between two replicas take long. */
  readonly slowLink: number;
  /** Some of the messages between two replicas come once more, long after. */
  readonly stale: number;
  readonly slowDisk: number;
  readonly hungDisk: number;
  /** Every disk hangs for a while. */
  readonly allHang: number;
  /** A sync, a write or a read fails, or a write falls short. */
  readonly failedDisk: number;
  /** No room is left, for a while. */
  readonly fullDisk: number;
  /** A machine stops, and a durable bit changes. */
  readonly rot: number;
  readonly wipe: number;
  /** A disk that was replaced comes back in the place of the one that replaced it. */
  readonly restore: number;
  /** The wall clock of a machine jumps, either way. */
  readonly clock: number;
  /** A client is never heard of again. */
  readonly vanish: number;
  /** A client goes elsewhere without a reason. */
  readonly move: number;
  /** A client sends everything again on the same connection. */
  readonly retry: number;
}

export const noFaults: Faults = {
  crash: 0,
  power: 0,
  midway: 0,
  viewChange: 0,
  total: 0,
  goodbye: 0,
  pause: 0,
  partition: 0,
  split: 0,
  oneWay: 0,
  partial: 0,
  slowLink: 0,
  stale: 0,
  slowDisk: 0,
  hungDisk: 0,
  allHang: 0,
  failedDisk: 0,
  fullDisk: 0,
  rot: 0,
  wipe: 0,
  restore: 0,
  clock: 0,
  vanish: 0,
  move: 0,
  retry: 0,
};

export interface ProfileChoice {
  readonly profile?: ProfileName | undefined;
  readonly policy?: Policy | undefined;
  readonly replicas?: number | undefined;
  /** Whether the config changes; drawn when not said. */
  readonly changes?: boolean | undefined;
  /** What else is to be as given here. */
  readonly fixed?: Partial<Profile> | undefined;
}

/** The run of a seed, with what the caller has fixed. Fixing something does not change what else is drawn. */
export function drawProfile(seed: number, choice: ProfileChoice = {}): Profile {
  const random = new Random(seed);
  const drawnName = random.pick(drawnNames);
  const drawnPolicy: Policy = random.chance(0.5) ? "available" : "quorum";
  const drawnReplicas = random.pick([1, 2, 3, 3, 3, 3, 3, 3, 4, 5]);
  const name = choice.profile ?? drawnName;
  const policy = choice.policy ?? drawnPolicy;
  const replicas = choice.replicas ?? drawnReplicas;
  const heartbeatMs = random.pick([50, 100]);
  const timeoutMs = heartbeatMs * random.pick([6, 10]);
  const lossy = name === "lossy" || (name === "swarm" && random.chance(0.3));
  const delayMsMean = random.pick([0.2, 0.5, 2]);
  const fireMs = timeoutMs * random.pick([5, 8, 15]);
  const clients = 1 + random.below(4);
  const opsPerClient = Math.ceil(random.pick([150, 150, 200, 300]) / clients);
  const window = random.pick([1, 1, 4, 16]);
  const drawnFaults = drawFaults(random, name);
  const faults = choice.fixed?.faults ?? drawnFaults;
  const order = orderOf(name, policy, faults, lossy);
  const stale = policy === "quorum" || order === "lineages" ? drawStale(seed) : 0;
  const replacing = order === "one" && policy === "available" ? {} : drawReplacing(seed, faults);
  const operator = drawOperator(seed, choice, { name, policy, order, timeoutMs, fireMs });
  const drawn = {
    seed,
    name,
    policy,
    replicas,
    clients,
    opsPerClient,
    window,
    // So that there is work until the end of the fire.
    thinkMs: (random.pick([0.6, 1]) * fireMs * window) / opsPerClient,
    heartbeatMs,
    timeoutMs,
    recoveryWaitMs: order === "one" && policy === "available" ? 1e12 : timeoutMs * random.pick([1, 4, 10]),
    tickMs: random.pick([15, 20]),
    fireMs,
    faultMs: (fireMs / random.pick([8, 15, 30])) * (operator?.calm ?? 1),
    faults: { ...faults, ...(stale === 0 ? {} : { stale }), ...replacing },
    link: {
      delayMsMin: 0.05,
      delayMsMean,
      loss: lossy ? random.pick([0.01, 0.05, 0.2]) : 0,
      duplication: lossy ? random.pick([0, 0.05, 0.2]) : 0,
      reordering: lossy ? random.pick([0, 0.05, 0.2]) : 0,
      lateMsMean: random.pick([10 * delayMsMean, 50, timeoutMs]),
    },
    syncMs: random.pick([0.2, 1, 5]),
    encoded: random.chance(0.1),
    wal: random.chance(0.5),
    chat: random.chance(0.1),
    patienceMs: timeoutMs * random.pick([1, 2, 4, 8]),
    lasting: name === "lasting" && replicas > 2,
    order,
    sessionOrder: order === "one",
    retention: drawRetention(seed, operator),
    disksReturn: "restore" in replacing,
    operator,
    expiry: drawExpiry(seed, timeoutMs),
  };
  const library = drawLibrary(seed, drawn, choice.fixed);
  return {
    ...drawn,
    library,
    ...(library === null ? {} : { ...unhurried(drawn, library), expiry: null }),
    ...choice.fixed,
  };
}

/** Not before seeds that were looked at when there was this fault: those of fixtures/seeds show what they showed. */
function drawStale(seed: number): number {
  const random = new Random(seed + 2 ** 45);
  return seed >= 275_000_000 && random.chance(0.3) ? random.pick([1, 2, 4]) : 0;
}

/**
 * Disks that are replaced and come back, in runs that promise nothing that a lost disk could break. Not before seeds that
 * were looked at when there was this fault, see `drawStale`.
 */
function drawReplacing(seed: number, { wipe }: Faults): Partial<Faults> {
  const random = new Random(seed + 2 ** 47);
  if (seed < 700_000_000 || !random.chance(0.3)) return {};
  return { wipe: Math.max(wipe, random.pick([1, 2])), restore: random.pick([1, 2, 4]) };
}

/** Drawn from a stream of its own, in which no seed of fixtures/seeds has any: those runs show what they showed. */
function drawExpiry(seed: number, timeoutMs: number): ExpiryProfile | null {
  const random = new Random(seed + 2 ** 49 + 2 ** 41);
  if (random.chance(0.75)) return null;
  const unusedMs = timeoutMs * random.pick([0.2, 1, 3]);
  return {
    unusedMs,
    sweepsPerTick: random.pick([1, 6, 30]),
    leaving: random.pick([0, 0.02, 0.1]),
    awayMs: unusedMs * random.pick([1, 3]),
  };
}

/**
 * In half of the runs logs are shortened all the time, and states copied for next to nothing. Not where two sides of a
 * partition may remove each other in whatever state: both may have deleted what the other would need to follow.
 */
function drawRetention(seed: number, operator: OperatorProfile | null): Retention {
  const random = new Random(seed + 2 ** 44);
  if (random.chance(0.5) || operator?.acceptsLoss === true) return { ...retentionDefault, compactMs: Infinity };
  return {
    laggardEntries: random.pick([0, 20, 100]),
    snapshotBehindEntries: random.pick([10, 40, 1e9]),
    snapshotBytesPerSecond: random.pick([500, 1e6]),
    compactMs: random.pick([20, 500]),
  };
}

/** Drawn from a stream of its own, so that it changes nothing of a run without it. */
function drawOperator(
  seed: number,
  { changes }: ProfileChoice,
  run: Pick<Profile, "name" | "policy" | "order" | "timeoutMs" | "fireMs">,
): OperatorProfile | null {
  const random = new Random(seed + 2 ** 42);
  const drawn = random.chance(0.25);
  const acceptsLoss = random.chance(0.4);
  if (!(changes ?? drawn) || run.name === "lasting") return null;
  return {
    sizes: random.pick([
      [3, 5, 3],
      [1, 3, 5],
      [1, 2, 3],
      [2, 3, 4],
    ]),
    pauseMs: random.pick([0.02, 0.05, 0.2]) * run.fireMs,
    patienceMs: run.timeoutMs * random.pick([4, 10, 20]),
    // Where one order is promised, nothing may be lost.
    acceptsLoss: acceptsLoss && run.policy === "available" && run.order !== "one",
    estranges: false,
    deadly: random.pick([0, 0.3, 0.6]),
    calm: random.pick([1, 2, 5]),
  };
}

/**
 * `available` keeps one order as long as silence means death and nobody goes on without those who may hold more: where
 * neither can happen the run is judged by one order, and the recovery wait never ends. It forks where replicas that live
 * suspect each other, or go on without one that may hold more.
 */
function orderOf(name: ProfileName, policy: Policy, faults: Faults, lossy: boolean): Order {
  if (policy === "quorum") return "one";
  const { partition, split, oneWay, partial, slowLink, rot, wipe } = faults;
  if (lossy || name === "lasting" || partition + split + oneWay + partial + slowLink > 0) return "lineages";
  return name === "provisional" || name === "swarm" || rot + wipe > 0 ? "one-until-provisional" : "one";
}

function drawFaults(random: Random, name: ProfileName): Faults {
  const weight = (): number => random.pick([0, 1, 1, 3]);
  const dying = { crash: 1 + weight(), power: weight(), midway: weight(), viewChange: weight(), goodbye: weight() };
  const rarely = (): number => random.pick([0, 0, 1]);
  const clients = { clock: rarely(), vanish: rarely(), move: rarely(), retry: rarely() };
  switch (name) {
    case "crash":
      return { ...noFaults, ...dying, ...clients };
    case "total":
    case "provisional":
      return { ...noFaults, ...dying, ...clients, total: 1 + weight(), slowDisk: rarely() };
    case "pause":
      return {
        ...noFaults,
        ...clients,
        crash: weight(),
        viewChange: random.pick([0, 1]),
        total: rarely(),
        pause: 3,
      };
    case "disk":
      return {
        ...noFaults,
        ...clients,
        crash: weight(),
        power: weight(),
        viewChange: random.pick([0, 1]),
        slowDisk: 1,
        hungDisk: 1 + weight(),
        allHang: rarely(),
        failedDisk: weight(),
        fullDisk: rarely(),
      };
    case "partition":
      return {
        ...noFaults,
        ...clients,
        crash: weight(),
        pause: rarely(),
        partition: 2,
        split: 1,
        oneWay: weight(),
        partial: weight(),
        slowLink: rarely(),
      };
    case "lossy":
      return { ...noFaults, ...dying, ...clients, total: random.pick([0, 1]), slowLink: rarely() };
    case "wipe":
      return {
        ...noFaults,
        ...dying,
        ...clients,
        wipe: random.pick([0, 1, 2]),
        rot: random.pick([0, 1, 2]),
        failedDisk: random.pick([0, 1]),
      };
    case "lasting":
      return { ...noFaults, ...clients, crash: 1, power: rarely(), pause: rarely(), partial: rarely() };
    case "swarm":
      return drawSwarm(random);
    case "sessions":
      return drawSessions(random);
  }
}

/** What moves sessions from replica to replica. */
function drawSessions(random: Random): Faults {
  const weight = (): number => random.pick([0, 1, 1, 2]);
  const apart = random.chance(0.3);
  return {
    ...noFaults,
    ...{ crash: 1 + weight(), power: weight(), midway: weight(), goodbye: weight(), pause: weight() },
    ...{ partition: apart ? 1 : 0, slowDisk: random.pick([0, 0, 1]), total: random.pick([0, 0, 1]) },
  };
}

/** Each kind with the same chance, however they go together. */
function drawSwarm(random: Random): Faults {
  const drawn: { -readonly [kind in keyof Faults]: number } = { ...noFaults, crash: 1 };
  for (const kind of Object.keys(noFaults) as (keyof Faults)[]) {
    if (kind === "stale" || kind === "restore") continue;
    if (random.chance(0.3)) drawn[kind] = random.pick([1, 1, 2]);
  }
  return drawn;
}
