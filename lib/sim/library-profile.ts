/**
 * What a run is like whose clients are the real library: how their bytes travel, and what strikes them and their
 * connections how often. Data only; `client-faults.ts` brings the faults about.
 */
import { limits } from "../base/limits.ts";
import type { Profile } from "./profile.ts";
import { Random } from "./random.ts";
import type { StreamQuality } from "./streams.ts";

/** Clients that are the library, and how they are hindered. */
export interface LibraryProfile {
  /** As the library takes them. */
  readonly silenceMs: number;
  readonly connectTimeoutMs: number;
  /** Accounts; fewer than clients: some have more than one session. */
  readonly accounts: number;
  readonly quality: StreamQuality;
  /** Mean time between faults that strike clients and their connections. */
  readonly faultMs: number;
  readonly faults: LibraryFaults;
  /** Whether in the end one more client falls silent, and is written to. */
  readonly endsUnheard: boolean;
}

/** Relative weights, as {@link Faults}. */
export interface LibraryFaults {
  /** A connection is reset. */
  readonly reset: number;
  /** A connection falls silent for ever, and nobody is told. */
  readonly freeze: number;
  /** For a while nothing gets through between a client and a replica. */
  readonly cut: number;
  /** For a while what a client sends and gets comes late, in small pieces. */
  readonly slow: number;
  /** A client stands still. */
  readonly standstill: number;
  /** A client is killed, loses power or quits; another session of its account takes its place. */
  readonly end: number;
}

type Drawn = Omit<Profile, "library">;

/** Drawn from a stream of its own, so that it changes nothing of a run without it. */
export function drawLibrary(seed: number, drawn: Drawn, fixed: Partial<Profile> = {}): LibraryProfile | null {
  const random = new Random(seed + 2 ** 45);
  // Such a run costs as much as several others.
  const isDrawn = random.chance(0.25);
  const isChosen = drawn.name === "sessions";
  if (fixed.library !== undefined) return fixed.library;
  if (!isChosen && !(isDrawn && (fixed.chat ?? drawn.chat))) return null;
  const weight = (): number => random.pick([0, 1, 1, 3]);
  const silenceMs = random.pick([1_000, 3_000]);
  return {
    silenceMs,
    connectTimeoutMs: random.pick([300, 1_000]),
    accounts: 2 + random.below(3),
    quality: {
      delayMsMean: random.pick([0.2, 1, 20]),
      pieceBytesMax: random.pick([Infinity, Infinity, 64, 5]),
      systemBytes: random.pick([200, 4_000, 1e6]),
      // More than a window of ops or a page of messages is long: what is sent anew at once must not cut each connection.
      queueBytesMax: random.pick([400_000, limits.sendQueueBytesMax]),
    },
    faultMs: silenceMs * random.pick([0.2, 0.5, 2]),
    faults: { reset: weight(), freeze: weight(), cut: weight(), slow: weight(), standstill: weight(), end: weight() },
    endsUnheard: random.chance(0.2),
  };
}

/**
 * Who finds out that a connection is silent, or a session lost, takes seconds: such a run lasts as long, and its replicas
 * do less in between.
 */
export function unhurried(drawn: Drawn, { accounts }: LibraryProfile): Partial<Profile> {
  const fireMs = drawn.fireMs + 10_000;
  const clients = Math.max(2, drawn.clients, accounts);
  const opsPerClient = Math.ceil(120 / clients);
  return {
    ...{ chat: true, fireMs, clients, opsPerClient, tickMs: 30, heartbeatMs: drawn.timeoutMs / 6 },
    thinkMs: (0.6 * fireMs * drawn.window) / opsPerClient,
    faultMs: (drawn.faultMs * fireMs) / drawn.fireMs,
  };
}
