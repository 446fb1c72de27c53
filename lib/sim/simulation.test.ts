/** A few seeds of each kind of run, so that no commit breaks a promise unseen; `bun run sim` runs thousands. */
import { describe, expect, test } from "bun:test";
import { profileNames } from "./profile.ts";
import { repeatCommand, runSeed } from "./run.ts";

const seedsPerProfile = 12;

describe("simulated clusters keep every promise", () => {
  for (const profile of profileNames) {
    for (const policy of ["available", "quorum"] as const) {
      test(`${profile}, ${policy}`, () => {
        let acknowledged = 0;
        for (let seed = 1; seed <= seedsPerProfile; seed++) {
          const result = runSeed(seed, { profile, policy });
          const failed =
            result.failure === null ? "" : `${result.failure.message}: ${repeatCommand(seed, { profile, policy })}`;
          expect(failed).toBe("");
          acknowledged += result.acknowledged;
        }
        expect(acknowledged).toBeGreaterThan(0);
      });
    }
  }
});

test("a run is a function of its seed", () => {
  for (const seed of [3, 4, 5]) {
    const one = runSeed(seed);
    const other = runSeed(seed, { traceLines: 10 });
    expect(one.hash).toBe(other.hash);
    expect(one.events).toBe(other.events);
  }
  expect(runSeed(6).hash).not.toBe(runSeed(7).hash);
});
