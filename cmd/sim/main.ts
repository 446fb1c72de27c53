/**
 * `bun run sim`: runs seeds of the simulated cluster, and for each that fails prints what was broken, the end of its
 * trace and the one command that repeats it. Exit status: 0 all seeds passed, 1 some failed, 64 wrong usage.
 */
import { mistakes, type Mistake } from "../../lib/base/mistakes.ts";
import { runSeed } from "../../lib/sim/run.ts";
import { readArguments, usage, type Arguments } from "./arguments.ts";
import { hunt, show } from "./hunt.ts";
import { runMutations } from "./mutations.ts";

async function main(): Promise<number> {
  const args = readArguments(Bun.argv.slice(2));
  if (typeof args === "string") {
    console.log(args);
    return args === usage ? 0 : 64;
  }
  if (args.mutations) {
    const { mistake } = args.choice;
    const names = mistake === undefined ? (Object.keys(mistakes) as Mistake[]) : [mistake];
    return (await runMutations(names, args.threads, args.from)) ? 0 : 1;
  }
  if (args.trace) return traced(args) ? 0 : 1;
  return (await hunt(args)) ? 0 : 1;
}

/** Every line of each seed. */
function traced(args: Arguments): boolean {
  let passed = true;
  for (let seed = args.from; seed < args.from + args.seeds; seed++) {
    const { failure } = runSeed(seed, { ...args.choice, print: (line) => console.log(line) });
    if (failure === null) continue;
    passed = false;
    show({ seed }, args);
  }
  return passed;
}

process.exitCode = await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  return 1;
});
