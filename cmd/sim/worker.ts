/** A thread that runs seeds, one after the other, as it is told, and answers each with what came of it. */
import type { Mistake } from "../../lib/base/mistakes.ts";
import type { ProfileName } from "../../lib/sim/profile.ts";
import type { Policy } from "../../lib/protocol/messages.ts";
import { runSeed, type RunResult } from "../../lib/sim/run.ts";

/** What a run is to be like; plain data, so that it can be sent to a thread. */
export interface Choice {
  readonly profile?: ProfileName | undefined;
  readonly policy?: Policy | undefined;
  readonly replicas?: number | undefined;
  readonly changes?: boolean | undefined;
  readonly mistake?: Mistake | undefined;
  readonly aim?: Mistake | undefined;
}

export interface Job {
  readonly from: number;
  readonly seeds: number;
  /** Stop at the first seed that fails. */
  readonly untilFailure: boolean;
  readonly choice: Choice;
}

/** Of a run: what the statistics need. */
export type Report = Pick<RunResult, "failure" | "acknowledged" | "viewsFormed" | "struck" | "changes" | "tally"> & {
  readonly seed: number;
};

declare const self: Worker;

self.onmessage = ({ data: { from, seeds, untilFailure, choice } }: MessageEvent<Job>) => {
  const reports: Report[] = [];
  for (let seed = from; seed < from + seeds; seed++) {
    const { failure, acknowledged, viewsFormed, struck, changes, tally } = runSeed(seed, choice);
    reports.push({ seed, failure, acknowledged, viewsFormed, struck, changes, tally });
    if (untilFailure && failure !== null) break;
  }
  self.postMessage(reports);
};
