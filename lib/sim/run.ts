/** Runs one seed from start to verdict. What a failure was, and how to see it again, is the caller's to print. */
import { makeMistake, type Mistake } from "../base/mistakes.ts";
import { aims } from "./aims.ts";
import { Cluster } from "./cluster.ts";
import { SimulationFailure } from "./failure.ts";
import type { LibraryFaults } from "./library-profile.ts";
import { drawProfile, type Faults, type Profile, type ProfileChoice } from "./profile.ts";
import type { Tally } from "./surroundings.ts";
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
  /** Faults brought about, by kind. */
  readonly struck: Readonly<Partial<Record<keyof Faults | keyof LibraryFaults, number>>>;
  /** Changes of the config that came into force. */
  readonly changes: number;
  readonly tally: Tally;
  readonly virtualMs: number;
  readonly traceTail: readonly string[];
}

export interface RunOptions extends ProfileChoice {
  /** Made all through the run, which is aimed at it as far as the caller fixes nothing. */
  readonly mistake?: Mistake | undefined;
  /** The run is the one that would be aimed at this mistake, without making it. */
  readonly aim?: Mistake | undefined;
  /** Lines of trace to keep for the result. */
  readonly traceLines?: number;
  readonly print?: (line: string) => void;
}

export function runSeed(seed: number, options: RunOptions = {}): RunResult {
  const { mistake, aim = mistake } = options;
  const profile = drawProfile(seed, aim === undefined ? options : { ...aims[aim], ...given(options) });
  const trace = new Trace(options.traceLines ?? 0, options.print);
  const cluster = new Cluster(profile, trace);
  let failure: RunResult["failure"] = null;
  try {
    makeMistake(mistake ?? null);
    cluster.run();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const rule = error instanceof SimulationFailure ? error.rule : error.name;
    failure = { rule, message: error.message, stack: error.stack ?? "" };
  } finally {
    makeMistake(null);
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
    struck: { ...cluster.chaos.struck, ...cluster.users?.chaos.struck },
    changes: cluster.operator?.made ?? 0,
    tally: cluster.tally,
    virtualMs: cluster.simulator.nowMs,
    traceTail: trace.tail(),
  };
}

/** Without what is undefined. */
function given({ profile, policy, replicas, changes }: ProfileChoice): ProfileChoice {
  return {
    ...(profile === undefined ? {} : { profile }),
    ...(policy === undefined ? {} : { policy }),
    ...(replicas === undefined ? {} : { replicas }),
    ...(changes === undefined ? {} : { changes }),
  };
}

/** The arguments of `bun run sim` that repeat a run. */
export function repeatCommand(seed: number, choice: RunOptions): string {
  const parts = [`bun run sim --seed ${seed}`];
  if (choice.profile !== undefined) parts.push(`--profile ${choice.profile}`);
  if (choice.policy !== undefined) parts.push(`--policy ${choice.policy}`);
  if (choice.replicas !== undefined) parts.push(`--replicas ${choice.replicas}`);
  if (choice.changes === true) parts.push("--changes");
  if (choice.mistake !== undefined) parts.push(`--mistake ${JSON.stringify(choice.mistake)}`);
  return parts.join(" ");
}
