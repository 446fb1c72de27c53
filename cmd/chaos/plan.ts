/**
 * What strikes whom and when, drawn from the seed alone: the same seed gives the same plan on every machine, though what
 * the replicas make of it depends on their timing. Pure: carries nothing out.
 */
import { Random } from "../../lib/base/random.ts";
import type { CutKind } from "../cluster/links.ts";

/** What passes again after `forMs`. Replicas are named by their pids. */
export type Strike =
  | { readonly kind: "kill" | "stop" | "freeze" | "fill"; readonly pid: number; readonly forMs: number }
  /** Cut off from all others, both ways. */
  | { readonly kind: "isolate"; readonly pid: number; readonly cut: CutKind; readonly forMs: number }
  /** Two that do not reach each other, while the third reaches both. */
  | {
      readonly kind: "separate";
      readonly pid: number;
      readonly other: number;
      readonly cut: CutKind;
      readonly forMs: number;
    }
  /** Nothing of `pid` reaches `other`; the other direction is fine. */
  | {
      readonly kind: "mute";
      readonly pid: number;
      readonly other: number;
      readonly cut: CutKind;
      readonly forMs: number;
    }
  | {
      readonly kind: "slow";
      readonly pid: number;
      readonly other: number;
      readonly delayMs: number;
      readonly forMs: number;
    }
  | { readonly kind: "narrow"; readonly pid: number; readonly bitsPerSecond: number; readonly forMs: number }
  | { readonly kind: "reset"; readonly pid: number; readonly other: number }
  /** All at one moment; each comes back after a time of its own, in the order of pids. */
  | { readonly kind: "power"; readonly backAfterMs: readonly number[] }
  | { readonly kind: "client-kill" | "client-end" | "client-freeze"; readonly user: number; readonly forMs: number };

export type StrikeKind = Strike["kind"];

/** What happens to the disk of a replica that was killed, while the others hold all that it holds. */
export type Wound = {
  readonly pid: number;
  readonly kind: "flip" | "truncate" | "wipe" | "forget-state";
  /** Where, as parts of what is there. */
  readonly places: readonly number[];
  readonly awayMs: number;
};

/** Begins with all replicas together and nothing wrong, and ends so: what is wrong then is a bug. */
export interface Round {
  readonly number: number;
  readonly wound: Wound | null;
  readonly strikes: readonly { readonly atMs: number; readonly strike: Strike }[];
  readonly lengthMs: number;
}

const pids = [1, 2, 3];
const strikeKinds: readonly StrikeKind[] = [
  ...(["kill", "stop", "freeze", "fill", "isolate", "separate", "mute", "slow", "narrow", "reset", "power"] as const),
  ...(["client-kill", "client-end", "client-freeze"] as const),
];
const woundKinds: readonly Wound["kind"][] = ["flip", "flip", "truncate", "truncate", "wipe", "forget-state"];

/** The rounds of a seed, without end. `users` is the number of those who chat. */
export function* planOf(seed: number, users: number): Generator<Round, never> {
  const random = new Random(seed);
  for (let number = 1; ; number++) yield drawRound(random, number, users);
}

function drawRound(random: Random, number: number, users: number): Round {
  const lengthMs = 2000 + random.below(8000);
  const wound = random.chance(0.35) ? drawWound(random) : null;
  // A few kinds at a time: what they do to each other shows more than a little of everything.
  const kinds = [0, 1, 2, 3].map(() => random.pick(strikeKinds));
  const count = random.chance(0.1) ? 0 : 1 + random.below(9);
  const strikes = Array.from({ length: count }, () => ({
    atMs: random.below(lengthMs),
    strike: drawStrike(random, random.pick(kinds), users),
  }));
  return { number, wound, lengthMs, strikes: strikes.toSorted((a, b) => a.atMs - b.atMs) };
}

function drawWound(random: Random): Wound {
  const kind = random.pick(woundKinds);
  const places = Array.from({ length: kind === "flip" ? 1 + random.below(3) : 1 }, () => random.fraction());
  return { pid: random.pick(pids), kind, places, awayMs: random.below(3000) };
}

function drawStrike(random: Random, kind: StrikeKind, users: number): Strike {
  const pid = random.pick(pids);
  const other = random.pick(pids.filter((each) => each !== pid));
  // Most faults are short, some longer than every timeout.
  const forMs = random.chance(0.5) ? random.below(1500) : 1000 + random.below(6000);
  const cut = random.pick(["drop", "reject"] as const);
  switch (kind) {
    case "kill":
    case "stop":
    case "freeze":
    case "fill":
      return { kind, pid, forMs };
    case "isolate":
      return { kind, pid, cut, forMs };
    case "separate":
    case "mute":
      return { kind, pid, other, cut, forMs };
    case "slow":
      return { kind, pid, other, delayMs: 1 + random.below(random.chance(0.7) ? 50 : 900), forMs };
    case "narrow":
      return { kind, pid, bitsPerSecond: random.pick([128_000, 512_000, 2_000_000]), forMs };
    case "reset":
      return { kind, pid, other };
    case "power":
      return { kind, backAfterMs: pids.map(() => random.below(random.chance(0.7) ? 1000 : 5000)) };
    case "client-kill":
    case "client-end":
    case "client-freeze":
      return { kind, user: random.below(users), forMs };
  }
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
const how: Readonly<Record<CutKind, string>> = { drop: "in silence", reject: "with rejections" };

/** One line for the timeline; `names` are those of the users. */
export function describeStrike(strike: Strike, names: readonly string[]): string {
  switch (strike.kind) {
    case "kill":
      return `kill -9 of replica ${strike.pid}, back after ${seconds(strike.forMs)}`;
    case "stop":
      return `replica ${strike.pid} is told to stop, back after ${seconds(strike.forMs)}`;
    case "freeze":
      return `replica ${strike.pid} stands still for ${seconds(strike.forMs)}`;
    case "fill":
      return `the disk of replica ${strike.pid} is full for ${seconds(strike.forMs)}`;
    case "isolate":
      return `replica ${strike.pid} is cut off ${how[strike.cut]} for ${seconds(strike.forMs)}`;
    case "separate":
      return `replicas ${strike.pid} and ${strike.other} are cut from each other ${how[strike.cut]} for ${seconds(strike.forMs)}`;
    case "mute":
      return `nothing from replica ${strike.pid} reaches ${strike.other}, ${how[strike.cut]}, for ${seconds(strike.forMs)}`;
    case "slow":
      return `${strike.delayMs} ms more between replicas ${strike.pid} and ${strike.other} for ${seconds(strike.forMs)}`;
    case "narrow":
      return `the link of replica ${strike.pid} carries ${strike.bitsPerSecond / 1_000} kbit/s for ${seconds(strike.forMs)}`;
    case "reset":
      return `the connections between replicas ${strike.pid} and ${strike.other} are reset`;
    case "power":
      return `all lose power; back after ${strike.backAfterMs.map(seconds).join(", ")}`;
    case "client-kill":
      return `kill -9 of the client of ${names[strike.user]}, another after ${seconds(strike.forMs)}`;
    case "client-end":
      return `${names[strike.user]} leaves for ${seconds(strike.forMs)}`;
    case "client-freeze":
      return `the client of ${names[strike.user]} stands still for ${seconds(strike.forMs)}`;
  }
}

export function describeWound({ pid, kind, places, awayMs }: Wound): string {
  const what = {
    flip: `${places.length === 1 ? "one bit" : `${places.length} bits`} of its log changed`,
    truncate: "its log cut short",
    wipe: "its disk replaced by an empty one",
    "forget-state": "the file of its state removed",
  }[kind];
  return `replica ${pid} is killed, ${what}, back after ${seconds(awayMs)}`;
}
