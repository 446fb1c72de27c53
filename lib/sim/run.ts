/** Runs one seed from start to verdict. What a failure was, and how to see it again, is the caller's to print. */
import { Cluster } from "./cluster.ts";
import { SimulationFailure } from "./failure.ts";
import { drawProfile, type Profile, type ProfileChoice } from "./profile.ts";
import { Trace } from "./trace.ts";

export interface RunResult {
  readonly profile: Profile;
  readonly failure: { readonly rule: string; readonly message: string; readonly stack: string } | null;
  /** Equal for equal seeds and equal code. */
  readonly hash: number;
  readonly events: number;
  readonly messages: number;
  readonly acknowledged: number;
  readonly viewsFormed: number;
  readonly struck: number;
  /** Changes of the config that came into force. */
  readonly changes: number;
  readonly virtualMs: number;
  readonly traceTail: readonly string[];
}

export interface RunOptions extends ProfileChoice {
  /** Lines of trace to keep for the result. */
  readonly traceLines?: number;
  readonly print?: (line: string) => void;
}

export function runSeed(seed: number, options: RunOptions = {}): RunResult {
  const profile = drawProfile(seed, options);
  const trace = new Trace(options.traceLines ?? 0, options.print);
  const cluster = new Cluster(profile, trace);
  let failure: RunResult["failure"] = null;
  let struck = 0;
  try {
    struck = cluster.run().struck;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const rule = error instanceof SimulationFailure ? error.rule : error.name;
    failure = { rule, message: error.message, stack: error.stack ?? "" };
  } finally {
    cluster.close();
  }
  return {
    profile,
    failure,
    hash: trace.hash,
    events: cluster.simulator.events,
    messages: cluster.network.delivered,
    acknowledged: cluster.oracle.acknowledged.size,
    viewsFormed: cluster.oracle.formed.size,
    struck,
    changes: cluster.operator?.made ?? 0,
    virtualMs: cluster.simulator.nowMs,
    traceTail: trace.tail(),
  };
}

/** The arguments of `bun run sim` that repeat a run. */
export function repeatCommand(seed: number, choice: ProfileChoice): string {
  const parts = [`bun run sim --seed ${seed}`];
  if (choice.profile !== undefined) parts.push(`--profile ${choice.profile}`);
  if (choice.policy !== undefined) parts.push(`--policy ${choice.policy}`);
  if (choice.replicas !== undefined) parts.push(`--replicas ${choice.replicas}`);
  if (choice.changes === true) parts.push("--changes");
  return parts.join(" ");
}
