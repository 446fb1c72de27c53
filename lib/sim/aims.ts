/**
 * For each mistake the runs in which it shows soonest: profile, policy, weights of faults. Only the workload is aimed;
 * the judge knows no mistake. Data only.
 */
import type { Mistake } from "../base/mistakes.ts";
import type { Retention } from "../replication/events.ts";
import type { LibraryProfile } from "./library-profile.ts";
import { noFaults, type ExpiryProfile, type OperatorProfile, type ProfileChoice } from "./profile.ts";

const available = { policy: "available" } as const;
const quorum = { policy: "quorum" } as const;

/** Primaries that are cut off with a long tail that nobody else has, and then take part in what follows a total stop. */
const longTails = {
  faults: { ...noFaults, split: 2, total: 1 },
  clients: 1,
  window: 16,
  opsPerClient: 200,
  thinkMs: 20,
  patienceMs: 20_000,
  fireMs: 6_000,
  faultMs: 600,
  timeoutMs: 500,
};

/** Many changes of the config, and somebody dies around most of them. */
const deadlyChanges: OperatorProfile = {
  sizes: [2, 3],
  pauseMs: 50,
  patienceMs: 2_000,
  acceptsLoss: false,
  estranges: false,
  deadly: 0.9,
  calm: 1,
};

/** Two replicas remove each other, whatever it costs, while they are apart. */
const estranged: OperatorProfile = {
  sizes: [3],
  pauseMs: 300,
  patienceMs: 1_500,
  acceptsLoss: true,
  estranges: true,
  deadly: 0,
  calm: 1,
};

/** Logs are shortened as soon as that may be, and states copied for next to nothing. */
const hasty: Retention = {
  laggardEntries: 0,
  snapshotBehindEntries: 10,
  snapshotBytesPerSecond: 1e6,
  compactMs: 20,
};

/** Users of the library whom nothing happens to, until one falls silent. */
const unheard: LibraryProfile = {
  silenceMs: 1_000,
  connectTimeoutMs: 300,
  accounts: 3,
  quality: { delayMsMean: 1, pieceBytesMax: Infinity, systemBytes: 1e6, queueBytesMax: 1e7 },
  faultMs: 500,
  faults: { reset: 0, freeze: 0, cut: 0, slow: 0, standstill: 0, end: 0 },
  endsUnheard: true,
};

/** Connections are reset all the time. */
const restless: LibraryProfile = { ...unheard, faults: { ...unheard.faults, reset: 1 }, endsUnheard: false };

/** Sessions that clients leave behind expire as soon as that may be, about when they come back. */
const hastyExpiry: ExpiryProfile = { unusedMs: 40, sweepsPerTick: 60, leaving: 0.5, awayMs: 150 };

/** Clients that come and go, on disks so slow that something is always under way when replicas are cut off. */
const idlers = {
  library: null,
  clients: 6,
  opsPerClient: 60,
  window: 1,
  thinkMs: 20,
  syncMs: 40,
  fireMs: 6_000,
  faultMs: 400,
  timeoutMs: 300,
  heartbeatMs: 50,
  patienceMs: 300,
};

export const aims: Readonly<Record<Mistake, ProfileChoice>> = {
  "longest log wins": { profile: "partition", ...quorum, replicas: 3, fixed: longTails },
  "commit on one disk": {},
  "ack before fsync": {},
  "volatile promise": {},
  "cold one goes on alone": { profile: "total", ...available },
  "attempt taken for formed": {},
  "newview applied again": { profile: "lossy" },
  "no ask": { profile: "lasting", replicas: 3 },
  "truncates at damage": { profile: "wipe" },
  "ack after failed fsync": {
    profile: "disk",
    fixed: { wal: true, faults: { ...noFaults, failedDisk: 3, power: 3 } },
  },
  "trusts the page cache": {
    profile: "crash",
    fixed: { wal: true, faults: { ...noFaults, crash: 4, power: 4 } },
  },
  "dedup by highest seq": {
    profile: "partition",
    ...available,
    fixed: { chat: true, window: 16, faults: { ...noFaults, split: 1, move: 2 } },
  },
  "wiped disk counts": { profile: "wipe", ...quorum, fixed: { faults: { ...noFaults, crash: 2, power: 1, wipe: 3 } } },
  "append supersedes": { profile: "lossy" },
  "name resolved at apply": {
    profile: "partition",
    ...available,
    fixed: { chat: true, clients: 4, faults: { ...noFaults, split: 1, move: 1 } },
  },
  "one edit wins": {
    profile: "partition",
    ...available,
    fixed: { chat: true, clients: 4, faults: { ...noFaults, split: 1, move: 1 } },
  },
  "damaged one votes": {
    profile: "wipe",
    ...quorum,
    fixed: { wal: true, faults: { ...noFaults, crash: 3, power: 1, rot: 4 } },
  },
  "hung one waits": { profile: "disk", fixed: { faults: { ...noFaults, allHang: 2, hungDisk: 1 } } },
  "yields to a heartbeat": {
    profile: "pause",
    ...available,
    replicas: 3,
    fixed: { faults: { ...noFaults, pause: 4, crash: 2, power: 1, hungDisk: 1 }, syncMs: 1 },
  },
  "commit without act": {},
  "forks forgotten": { profile: "partition", ...available },
  "gap in forwarding": { profile: "lossy", ...quorum, fixed: { window: 16 } },
  "unavailable although sent": {
    profile: "partition",
    ...quorum,
    fixed: { patienceMs: 20_000, fireMs: 20_000, faults: { ...noFaults, partition: 3, crash: 1 } },
  },
  "hot after a pause": { profile: "pause", ...available },
  "changes while provisional": {
    profile: "provisional",
    ...available,
    replicas: 3,
    changes: true,
    fixed: { recoveryWaitMs: 500 },
  },
  "attempted config dropped": {
    profile: "total",
    ...available,
    replicas: 2,
    changes: true,
    fixed: { operator: deadlyChanges, faults: { ...noFaults, total: 2, crash: 1, viewChange: 1 }, timeoutMs: 300 },
  },
  "half is a majority": { ...quorum },
  "copies of the config": { replicas: 3 },
  "compaction past a missing replica": { profile: "partition", ...available, fixed: { retention: hasty } },
  "missed is not pushed": { profile: "sessions" },
  "unheard counts as seen": { profile: "sessions", replicas: 3, fixed: { library: unheard } },
  "unanswered not sent again": { profile: "sessions", fixed: { library: restless } },
  "expiry beside forks": { profile: "partition", ...available, fixed: { library: null, expiry: hastyExpiry } },
  "forgotten at once": {
    profile: "partition",
    ...available,
    replicas: 3,
    fixed: { ...idlers, faults: { ...noFaults, partition: 3, split: 2 }, expiry: hastyExpiry },
  },
  "waits behind its fork": {
    profile: "partition",
    ...available,
    replicas: 2,
    fixed: { opsPerClient: 3, recoveryWaitMs: 500 },
  },
  "any end is the end": {
    profile: "crash",
    ...available,
    replicas: 5,
    changes: true,
    fixed: {
      operator: { ...deadlyChanges, sizes: [2] },
      faults: { ...noFaults, crash: 2 },
      heartbeatMs: 100,
      timeoutMs: 1_000,
      opsPerClient: 100,
      thinkMs: 50,
    },
  },
  "state ahead of the log": { replicas: 3 },
  "pending crosses over": { profile: "partition", ...available, fixed: { expiry: null } },
  "waits for the dead": { replicas: 3 },
  "followed from below the floor": {
    profile: "partition",
    ...available,
    replicas: 3,
    changes: true,
    fixed: { retention: hasty, operator: estranged, recoveryWaitMs: 500, faults: { ...noFaults, split: 2 } },
  },
};
