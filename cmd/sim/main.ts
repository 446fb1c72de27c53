/**
 * `bun run sim`: runs seeds of the simulated cluster, and for each that fails prints what was broken, the end of its
 * trace and the one command that repeats it. Exit status: 0 all seeds passed, 1 some failed, 64 wrong usage.
 */
import { parseArgs } from "node:util";
import { profileNames, type ProfileName } from "../../lib/sim/profile.ts";
import { repeatCommand, runSeed, type RunOptions } from "../../lib/sim/run.ts";

const usage = `Runs simulated clusters under faults, one per seed, and checks every promise.

  bun run sim                          100 seeds from 1
  bun run sim --seeds 5000 --from 1    as many as you have time for
  bun run sim --seed 42 --trace        one run, every line of it

  --seeds N      how many seeds (100)
  --from S       the first seed (1)
  --seed S       this seed only
  --profile P    ${profileNames.join(", ")} (drawn)
  --policy P     available, quorum (drawn)
  --replicas N   1 to 7 (drawn)
  --changes      the config changes while it runs (drawn)
  --stop N       stop after N failures (10)
  --tail N       lines of trace shown for a failure (60)
  --trace        print the whole trace
  --help
`;

interface Arguments {
  readonly from: number;
  readonly seeds: number;
  readonly stop: number;
  readonly tail: number;
  readonly trace: boolean;
  readonly choice: RunOptions;
}

function readArguments(args: readonly string[]): Arguments | string {
  let values: Record<string, string | boolean | undefined>;
  try {
    const text = { type: "string" } as const;
    ({ values } = parseArgs({
      args: [...args],
      options: {
        seeds: text,
        from: text,
        seed: text,
        profile: text,
        policy: text,
        replicas: text,
        stop: text,
        tail: text,
        trace: { type: "boolean" },
        changes: { type: "boolean" },
        help: { type: "boolean" },
      },
    }));
  } catch (error) {
    return `${error instanceof Error ? error.message : String(error)}\n\n${usage}`;
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
  };
  const replicas = numberOf("replicas", 0);
  if (Object.values(numbers).some(Number.isNaN) || Number.isNaN(replicas)) return `A number is not one.\n\n${usage}`;
  const { profile, policy } = values;
  if (profile !== undefined && !isProfile(profile)) return `There is no profile "${profile}".\n\n${usage}`;
  if (policy !== undefined && policy !== "available" && policy !== "quorum") {
    return `There is no policy "${policy}".\n\n${usage}`;
  }
  return {
    ...numbers,
    trace: values.trace === true,
    choice: {
      profile,
      policy,
      replicas: replicas === 0 ? undefined : replicas,
      changes: values.changes === true || undefined,
    },
  };
}

const isProfile = (name: unknown): name is ProfileName => profileNames.some((each) => each === name);

function main(): number {
  const args = readArguments(Bun.argv.slice(2));
  if (typeof args === "string") {
    console.log(args);
    return args === usage ? 0 : 64;
  }
  const failed: { readonly seed: number; readonly rule: string }[] = [];
  const startedMs = performance.now();
  let acknowledged = 0;
  let views = 0;
  let changes = 0;
  let ran = 0;
  for (let seed = args.from; seed < args.from + args.seeds; seed++) {
    const print = args.trace ? (line: string): void => console.log(line) : undefined;
    const result = runSeed(seed, print === undefined ? args.choice : { ...args.choice, print });
    ran++;
    acknowledged += result.acknowledged;
    views += result.viewsFormed;
    changes += result.changes;
    if (result.failure !== null) {
      failed.push({ seed, rule: result.failure.rule });
      report(seed, args);
      if (failed.length >= args.stop) break;
    }
    if (ran % 100 === 0 && args.seeds > 100) {
      const perSecond = (ran * 1_000) / (performance.now() - startedMs);
      console.log(`${ran} seeds, ${failed.length} failed, ${perSecond.toFixed(1)}/s`);
    }
  }
  const seconds = (performance.now() - startedMs) / 1_000;
  console.log(
    `${ran} seed${ran === 1 ? "" : "s"} from ${args.from}: ${failed.length} failed; ${views} views formed, ` +
      `${changes} changes of the config, ${acknowledged} ops acknowledged; ${seconds.toFixed(1)} s`,
  );
  for (const { seed, rule } of failed) console.log(`  ${rule.padEnd(16)} ${repeatCommand(seed, args.choice)}`);
  return failed.length === 0 ? 0 : 1;
}

/** Runs the seed again with a trace: the first run built no text. */
function report(seed: number, args: Arguments): void {
  const { failure, traceTail, profile } = runSeed(seed, { ...args.choice, traceLines: args.tail });
  const { name, policy, replicas } = profile;
  if (!args.trace) for (const line of traceTail) console.log(line);
  console.log(`\nFAILED seed ${seed} (${name}, ${policy}, ${replicas} replicas)`);
  if (failure === null) console.log("the run passed when it was repeated: it is not deterministic");
  else
    console.log(failure.rule === "AssertionError" || failure.rule.endsWith("Error") ? failure.stack : failure.message);
  console.log(`  ${repeatCommand(seed, args.choice)} --trace\n`);
}

process.exitCode = main();
