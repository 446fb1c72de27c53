/**
 * Many seeds, side by side. What is done is noted in a file, if one is named, so that a hunt that was broken off goes
 * on where it was. Each failure is shown at once, with the end of its trace and the command that repeats it.
 */
import { existsSync } from "node:fs";
import { readFile, rename, writeFile } from "node:fs/promises";
import { isHeld, lockFile } from "../../lib/io/lock.ts";
import { repeatCommand, runSeed } from "../../lib/sim/run.ts";
import type { Arguments } from "./arguments.ts";
import { Pool } from "./pool.ts";
import { add, describeTotals, newTotals, type Totals } from "./totals.ts";
import type { Report } from "./worker.ts";

const blockSeeds = 25;
const progressMs = 10_000;

/** What the file holds. Blocks are counted from `from`. */
interface Progress {
  readonly from: number;
  /** A longer hunt goes on from a shorter one, if that did not end within a block. */
  seeds: number;
  readonly choice: Arguments["choice"];
  /** All blocks below this one are done, and these. */
  doneBelow: number;
  done: number[];
  totals: Totals;
}

/** True if no seed failed. Throws when the state file is another hunt's, or another process hunts with it. */
export async function hunt(args: Arguments): Promise<boolean> {
  claim(args);
  const progress = await resume(args);
  const { totals } = progress;
  const blocks = Math.ceil(args.seeds / blockSeeds);
  const done = new Set(progress.done);
  if (totals.seeds > 0) console.log(`going on behind ${totals.seeds} seeds that are done`);
  const before = totals.seeds;
  const pool = new Pool(Math.min(args.threads, blocks));
  const startedMs = performance.now();
  let saidMs = startedMs;
  let next = progress.doneBelow;
  const line = async (): Promise<void> => {
    while (next < blocks && totals.failed.length < args.stop) {
      const block = next++;
      if (done.has(block)) continue;
      const from = args.from + block * blockSeeds;
      const seeds = Math.min(blockSeeds, args.from + args.seeds - from);
      for (const report of await pool.run({ from, seeds, untilFailure: false, choice: args.choice })) {
        add(totals, report);
        if (report.failure !== null) show(report, args);
      }
      done.add(block);
      while (done.delete(progress.doneBelow)) progress.doneBelow++;
      progress.done = [...done];
      const nowMs = performance.now();
      if (nowMs - saidMs < progressMs) continue;
      saidMs = nowMs;
      await note(args, progress);
      const perSecond = ((totals.seeds - before) * 1_000) / (nowMs - startedMs);
      console.log(`${totals.seeds} of ${args.seeds} seeds, ${totals.failed.length} failed, ${perSecond.toFixed(1)}/s`);
    }
  };
  try {
    await Promise.all(Array.from({ length: pool.size }, line));
  } finally {
    pool.close();
  }
  await note(args, progress);
  const seconds = (performance.now() - startedMs) / 1_000;
  const ran = totals.seeds - before;
  console.log(
    `${totals.seeds} seed${totals.seeds === 1 ? "" : "s"} from ${args.from}: ${totals.failed.length} failed; ` +
      `${ran} in ${seconds.toFixed(1)} s, ${(ran / seconds).toFixed(1)}/s`,
  );
  console.log(describeTotals(totals));
  for (const { seed, rule } of totals.failed) console.log(`  ${rule.padEnd(16)} ${repeatCommand(seed, args.choice)}`);
  return totals.failed.length === 0;
}

/** For as long as this process lives: of two that note their progress in one file each would undo the other's. */
function claim({ state }: Arguments): void {
  if (state === null) return;
  const lock = lockFile(`${state}.lock`);
  if (!isHeld(lock)) return;
  const holder = lock.heldBy === null ? "another process" : `process ${lock.heldBy}`;
  throw new Error(`${state} is in use: ${holder} hunts with it; wait for it, end it, or name another file`);
}

async function resume({ state, from, seeds, choice }: Arguments): Promise<Progress> {
  if (state === null || !existsSync(state)) {
    return { from, seeds, choice, doneBelow: 0, done: [], totals: newTotals() };
  }
  const found: Progress = JSON.parse(await readFile(state, "utf8"));
  if (found.from !== from || JSON.stringify(found.choice) !== JSON.stringify(choice)) {
    throw new Error(`${state} belongs to another hunt, from ${found.from}: name another file, or remove it`);
  }
  if (found.seeds !== seeds && found.seeds % blockSeeds !== 0) {
    throw new Error(`${state} is for ${found.seeds} seeds: only one for a multiple of ${blockSeeds} can be prolonged`);
  }
  found.seeds = seeds;
  return found;
}

async function note({ state }: Arguments, progress: Progress): Promise<void> {
  if (state === null) return;
  await writeFile(`${state}.new`, JSON.stringify(progress));
  await rename(`${state}.new`, state);
}

/** Runs the seed again with a trace: the first run built no text. */
export function show({ seed }: Pick<Report, "seed">, { choice, tail, trace }: Arguments): void {
  const { failure, traceTail, profile } = runSeed(seed, { ...choice, traceLines: tail });
  const { name, policy, replicas } = profile;
  if (!trace) for (const line of traceTail) console.log(line);
  console.log(`\nFAILED seed ${seed} (${name}, ${policy}, ${replicas} replicas)`);
  if (failure === null) console.log("the run passed when it was repeated: it is not deterministic");
  else console.log(failure.rule.endsWith("Error") ? failure.stack : failure.message);
  console.log(`  ${repeatCommand(seed, choice)} --trace\n`);
}
