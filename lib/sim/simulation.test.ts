/**
 * A few seeds of each kind of run, and those that once found something, so that no commit breaks a promise unseen.
 * `bun run sim` runs thousands.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import type { Mistake } from "../base/mistakes.ts";
import { drawProfile, profileNames } from "./profile.ts";
import { repeatCommand, runSeed, type RunOptions } from "./run.ts";

// Much work, and often others beside it.
setDefaultTimeout(60_000);

/** Chosen so that they are of every kind; see the test below. */
const seeds = [1, 4, 6, 11, 24];
const foundUrl = new URL("../../fixtures/seeds/found.txt", import.meta.url);

/** Empty when the run kept every promise, else what was broken and how to see it again. */
function failureOf(seed: number, choice: RunOptions = {}): { readonly failure: string; readonly acknowledged: number } {
  const { failure, acknowledged } = runSeed(seed, choice);
  return { failure: failure === null ? "" : `${failure.message}: ${repeatCommand(seed, choice)}`, acknowledged };
}

describe("simulated clusters keep every promise", () => {
  for (const profile of profileNames) {
    for (const policy of ["available", "quorum"] as const) {
      test(`${profile}, ${policy}`, () => {
        let acknowledged = 0;
        for (const seed of seeds) {
          const run = failureOf(seed, { profile, policy });
          expect(run.failure).toBe("");
          acknowledged += run.acknowledged;
        }
        expect(acknowledged).toBeGreaterThan(0);
      });
    }
  }

  const found = readFileSync(foundUrl, "utf8").split("\n");
  for (const line of found.filter((each) => each !== "" && !each.startsWith("#"))) {
    const [, seed = "", name = "", changes, what = ""] = /^(\d+)\s+(\w+)(\+changes)?\s+(.+)$/.exec(line) ?? [];
    test(`seed ${seed}, which found: ${what}`, () => {
      const profile = profileNames.find((each) => each === name);
      expect(profile).toBeDefined();
      expect(failureOf(Number(seed), { profile, changes: changes !== undefined }).failure).toBe("");
    });
  }
});

describe("the judge notices", () => {
  // Those that show at once; `bun run sim --mutations` has them all.
  const quick: readonly Mistake[] = [
    ...(["commit on one disk", "ack before fsync", "volatile promise", "attempt taken for formed"] as const),
    ...(["append supersedes", "half is a majority", "commit without act", "copies of the config"] as const),
    ...(["forks forgotten", "hung one waits", "ack after failed fsync", "expiry beside forks"] as const),
    ...(["missed is not pushed", "unheard counts as seen", "unanswered not sent again"] as const),
    "waits for the dead",
  ];
  for (const mistake of quick) {
    test(mistake, () => {
      let seed = 1;
      while (seed <= 40 && runSeed(seed, { mistake }).failure === null) seed++;
      expect(seed).toBeLessThanOrEqual(40);
    });
  }
});

test("the few seeds are of every kind: real logs and quick ones, the real chat and a small state", () => {
  const profiles = seeds.map((seed) => drawProfile(seed));
  for (const kind of ["wal", "chat", "encoded"] as const) {
    expect(new Set(profiles.map((each) => each[kind]))).toEqual(new Set([true, false]));
  }
  expect(new Set(profiles.map(({ replicas }) => replicas)).size).toBeGreaterThan(2);
});

test("some clients of the chat are the real library, and some profiles are about them", () => {
  const drawn = Array.from({ length: 1000 }, (_, seed) => drawProfile(seed));
  const withLibrary = drawn.filter(({ library }) => library !== null);
  expect(withLibrary.length).toBeGreaterThan(10);
  expect(withLibrary.every(({ chat }) => chat)).toBeTrue();
  expect(drawn.some(({ chat, library }) => chat && library === null)).toBeTrue();
  expect(seeds.every((seed) => drawProfile(seed, { profile: "sessions" }).library !== null)).toBeTrue();
});

test("sessions expire in some of the runs, with the chat and without", () => {
  const expiring = Array.from({ length: 400 }, (_, at) => at + 1).filter((seed) => drawProfile(seed).expiry !== null);
  for (const chat of [true, false]) {
    let expiries = 0;
    for (const seed of expiring.filter((each) => drawProfile(each).chat === chat).slice(0, 10)) {
      const { failure, tally } = runSeed(seed);
      expect(failure).toBeNull();
      expiries += tally.expiries;
    }
    expect(expiries).toBeGreaterThan(0);
  }
});

test("a disk that was replaced comes back in some of the runs, and in none that was looked at before", () => {
  const returning = (from: number): number[] =>
    Array.from({ length: 100 }, (_, at) => from + at).filter((seed) => drawProfile(seed).disksReturn);
  expect(returning(699_999_900)).toEqual([]);
  let count = 0;
  for (const seed of returning(700_000_000).slice(0, 10)) {
    const print = (line: string): void => {
      if (line.includes("gets a disk back")) count++;
    };
    expect(runSeed(seed, { print }).failure).toBeNull();
  }
  expect(count).toBeGreaterThan(0);
});

test("a run is a function of its seed", () => {
  for (const seed of [3, 4, 5]) {
    const one = runSeed(seed);
    const other = runSeed(seed, { traceLines: 10 });
    expect(one.hash).toBe(other.hash);
    expect(one.events).toBe(other.events);
  }
  expect(runSeed(3, { profile: "sessions" }).hash).toBe(runSeed(3, { profile: "sessions", traceLines: 10 }).hash);
  expect(runSeed(6).hash).not.toBe(runSeed(7).hash);
});
