/**
 * The mutation gate (`bun run sim --mutations`): makes each known mistake in turn, and shows how many seeds it takes the
 * judge to notice, and by which rule. A mistake that stays unnoticed for its budget of seeds fails the gate. Only what
 * passes without the mistake counts as noticed.
 */
import { mistakes, type Mistake } from "../../lib/base/mistakes.ts";
import { Pool } from "./pool.ts";
import type { Report } from "./worker.ts";

/** Seeds for one mistake. */
export const budgetSeeds = 5_000;
const blockSeeds = 25;

interface Caught {
  readonly seeds: number;
  readonly report: Report | null;
  readonly seconds: number;
}

/** Runs the gate for these mistakes, printing a line for each; true if all were caught. */
export async function runMutations(names: readonly Mistake[], threads: number, from: number): Promise<boolean> {
  const pool = new Pool(threads);
  const startedMs = performance.now();
  let missed = 0;
  try {
    console.log(`${"mistake".padEnd(30)} ${"seeds".padStart(6)} ${"seconds".padStart(8)}  caught by`);
    await Promise.all(
      names.map(async (mistake) => {
        const caught = await hunt(pool, mistake, from);
        if (caught.report === null) missed++;
        console.log(describe(mistake, caught));
      }),
    );
  } finally {
    pool.close();
  }
  const seconds = ((performance.now() - startedMs) / 1_000).toFixed(0);
  console.log(`${names.length - missed} of ${names.length} mistakes caught within ${budgetSeeds} seeds; ${seconds} s`);
  return missed === 0;
}

async function hunt(pool: Pool, mistake: Mistake, from: number): Promise<Caught> {
  let seeds = 0;
  let ms = 0;
  while (seeds < budgetSeeds) {
    const startedMs = performance.now();
    const reports = await pool.run({ from: from + seeds, seeds: blockSeeds, untilFailure: true, choice: { mistake } });
    ms += performance.now() - startedMs;
    seeds += reports.length;
    const report = reports.find(({ failure }) => failure !== null);
    if (report === undefined) continue;
    const without = { from: report.seed, seeds: 1, untilFailure: true, choice: { aim: mistake } };
    const [control] = await pool.run(without);
    if (control?.failure === null) return { seeds, report, seconds: ms / 1_000 };
  }
  return { seeds, report: null, seconds: ms / 1_000 };
}

function describe(mistake: Mistake, { seeds, report, seconds }: Caught): string {
  const head = `${mistake.padEnd(30)} ${String(seeds).padStart(6)} ${seconds.toFixed(1).padStart(8)}`;
  if (report?.failure == null) return `${head}  NOT CAUGHT: ${mistakes[mistake]}`;
  const { rule, message } = report.failure;
  return `${head}  ${message.startsWith(rule) ? message : `${rule}: ${message}`}`.slice(0, 150);
}
