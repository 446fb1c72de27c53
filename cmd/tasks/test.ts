/**
 * The one gate (`bun run test`): install, build, types, format, lint, dead code, every test. A stage that fails does not
 * hide what the later ones find, unless they cannot run without it. The last line counts everything: each stage before
 * the tests as one, and every test. Imports no package.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureBuilt } from "./build.ts";
import { ensureInstalled } from "./install.ts";
import { deadCodeCommand, lintCommand } from "./lint.ts";
import { bun, run } from "./run.ts";

/** What one stage adds to the last line. */
interface Count {
  passed: number;
  failed: number;
  skipped: number;
}

interface Stage {
  readonly name: string;
  /** Names of stages without which this one cannot run. */
  readonly needs: readonly string[];
  run(): Promise<Count>;
}

const passed: Count = { passed: 1, failed: 0, skipped: 0 };
const failed: Count = { passed: 0, failed: 1, skipped: 0 };

const command = (words: readonly string[]) => async (): Promise<Count> => ((await run(words)) === 0 ? passed : failed);

const stages: readonly Stage[] = [
  { name: "install", needs: [], run: async () => (await ensureInstalled(), passed) },
  { name: "build", needs: ["install"], run: async () => (await ensureBuilt(), passed) },
  { name: "types", needs: ["install"], run: command([bun, "check", "--no-script"]) },
  { name: "format", needs: [], run: command([bun, "fmt", "--no-script", "--check"]) },
  { name: "lint", needs: ["install"], run: command(lintCommand) },
  { name: "dead code", needs: ["install"], run: command(deadCodeCommand) },
  { name: "tests", needs: ["install"], run: runTests },
];

/** Runs `bun test`, which reports to this terminal, and counts its results from its report file. */
async function runTests(): Promise<Count> {
  const directory = await mkdtemp(join(tmpdir(), "chatd-test-"));
  const report = join(directory, "report.xml");
  try {
    const flags = ["--timeout=60000", "--reporter=junit", `--reporter-outfile=${report}`];
    const exitCode = await run([bun, "test", ...flags, ...Bun.argv.slice(2)]);
    const count = countTests(await readFile(report, "utf8").catch(() => ""));
    // An error outside of any test, or a run that broke off, is in no report.
    if (exitCode !== 0 && count.failed === 0) count.failed = 1;
    return count;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** The totals in the first element of a JUnit report. */
function countTests(report: string): Count {
  const head = /<testsuites [^>]*>/.exec(report)?.[0] ?? "";
  const number = (name: string): number => Number(new RegExp(` ${name}="(\\d+)"`).exec(head)?.[1] ?? 0);
  const failures = number("failures") + number("errors");
  return { passed: number("tests") - failures - number("skipped"), failed: failures, skipped: number("skipped") };
}

async function main(): Promise<void> {
  const total: Count = { passed: 0, failed: 0, skipped: 0 };
  const broken: string[] = [];
  for (const stage of stages) {
    const missing = stage.needs.find((need) => broken.includes(need));
    const started = performance.now();
    console.log(`\n── ${stage.name}${missing ? `: not run, ${missing} failed` : ""}`);
    const count = missing ? failed : await stage.run().catch(explain);
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    if (!missing) console.log(`── ${stage.name}: ${count.failed === 0 ? "ok" : "FAILED"} (${seconds} s)`);
    if (count.failed > 0) broken.push(stage.name);
    total.passed += count.passed;
    total.failed += count.failed;
    total.skipped += count.skipped;
  }
  console.log(broken.length === 0 ? "\nall stages passed" : `\nfailed: ${broken.join(", ")}`);
  const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : "";
  console.log(`${total.passed} passed, ${total.failed} failed${skipped}`);
  process.exitCode = total.failed === 0 ? 0 : 1;
}

function explain(error: unknown): Count {
  console.error(error instanceof Error ? error.message : error);
  return failed;
}

await main();
