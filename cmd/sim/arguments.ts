/** The command line of `bun run sim`, and what is wrong with it. */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { mistakes, type Mistake } from "../../lib/base/mistakes.ts";
import { profileNames, type ProfileName } from "../../lib/sim/profile.ts";
import type { Choice } from "./worker.ts";

export const usage = `Runs simulated clusters under faults, one per seed, and checks every promise.

  bun run sim                              100 seeds from 1
  bun run sim --seeds 5000 --from 1        as many as you have time for
  bun run sim --seeds 300000 --state FILE  a long hunt; the same command goes on where it was broken off
  bun run sim --seed 42 --trace            one run, every line of it
  bun run sim --mutations                  makes each known mistake: is it noticed?

  --seeds N      how many seeds (100)
  --from S       the first seed (1)
  --seed S       this seed only
  --profile P    ${profileNames.join(", ")} (drawn)
  --policy P     available, quorum (drawn)
  --replicas N   1 to 7 (drawn)
  --changes      the config changes while it runs (drawn)
  --mistake M    make this mistake; with --mutations: this one only
  --threads N    runs side by side (one per core)
  --state FILE   note what is done in this file
  --stop N       stop after N failures (10)
  --tail N       lines of trace shown for a failure (60)
  --trace        print the whole trace
  --help

Mistakes:
${Object.keys(mistakes)
  .map((name) => `  ${name}`)
  .join("\n")}
`;

export interface Arguments {
  readonly from: number;
  readonly seeds: number;
  readonly stop: number;
  readonly tail: number;
  readonly threads: number;
  readonly trace: boolean;
  readonly mutations: boolean;
  readonly state: string | null;
  readonly choice: Choice;
}

const text = { type: "string" } as const;
const flag = { type: "boolean" } as const;
const options = {
  ...{ seeds: text, from: text, seed: text, profile: text, policy: text, replicas: text, mistake: text },
  ...{ threads: text, state: text, stop: text, tail: text, trace: flag, changes: flag, mutations: flag, help: flag },
};

/** The arguments, or what to print instead: {@link usage} itself when that was asked for. */
export function readArguments(args: readonly string[]): Arguments | string {
  const wrong = (what: string): string => `${what}\n\n${usage}`;
  let values: Record<string, string | boolean | undefined>;
  try {
    ({ values } = parseArgs({ args: [...args], options }));
  } catch (error) {
    return wrong(error instanceof Error ? error.message : String(error));
  }
  if (values.help === true) return usage;
  const numberOf = (name: string, fallback: number): number => {
    const value = values[name];
    return value === undefined ? fallback : typeof value === "string" && /^[0-9]+$/.test(value) ? Number(value) : NaN;
  };
  const seed = numberOf("seed", -1);
  const numbers = {
    from: seed >= 0 || Number.isNaN(seed) ? seed : numberOf("from", 1),
    seeds: seed >= 0 ? 1 : numberOf("seeds", 100),
    stop: numberOf("stop", 10),
    tail: numberOf("tail", 60),
    threads: numberOf("threads", availableParallelism()),
  };
  const replicas = numberOf("replicas", 0);
  if (Object.values(numbers).some(Number.isNaN) || Number.isNaN(replicas)) return wrong("A number is not one.");
  if (numbers.threads < 1) return wrong("There must be a thread to run on.");
  const { profile, policy, mistake, state } = values;
  if (profile !== undefined && !isProfile(profile)) return wrong(`There is no profile "${profile}".`);
  if (policy !== undefined && policy !== "available" && policy !== "quorum") {
    return wrong(`There is no policy "${policy}".`);
  }
  if (mistake !== undefined && !isMistake(mistake)) return wrong(`"${mistake}" is none of the known mistakes.`);
  return {
    ...numbers,
    trace: values.trace === true,
    mutations: values.mutations === true,
    state: typeof state === "string" ? state : null,
    choice: {
      profile,
      policy,
      mistake,
      changes: values.changes === true || undefined,
      replicas: replicas === 0 ? undefined : replicas,
    },
  };
}

const isProfile = (name: unknown): name is ProfileName => profileNames.some((each) => each === name);
const isMistake = (name: unknown): name is Mistake => typeof name === "string" && Object.hasOwn(mistakes, name);
