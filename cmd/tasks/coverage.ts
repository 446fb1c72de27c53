/**
 * `bun run coverage`: runs the tests of the log and of replication, the scenarios and a few simulated runs of each kind,
 * and lists the lines of `lib/replication` and `lib/log` that none of them reached. A line that cannot be reached says so
 * where it stands, in a comment `unreachable: why`, and is not listed. The rest of the ways to start it: `--help`.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { bun, root, runQuietly } from "./run.ts";

const usage = `Lists the lines of lib/replication and lib/log that nothing reaches which runs in tests.

  bun run coverage            the tests of both folders, the scenarios, and a few simulated runs of each kind
  bun run coverage --stories  the scenarios and the simulated runs alone

  --stories   without the tests of the folders: what only those reach is listed too
  --help

It takes one to a few minutes. Ends with 0 when every line is reached, with 1 when one is not or a test fails, and with 2
when it is not started as above.
`;

const stories = ["lib/sim/scenarios.test.ts", "lib/sim/simulation.test.ts", "lib/sim/damaged-replica.test.ts"];
/** `lib/server/node`: what a replica tells of its connections. */
const tests = ["lib/replication", "lib/log", "lib/server/node.test.ts", ...stories];
const measured = /^lib\/(replication|log)\/(?!.*\.(test|fixture|contract)\.ts$)/;

/** A line of the product, and how often it was run. */
interface MeasuredLine {
  readonly file: string;
  readonly number: number;
  readonly text: string;
  readonly count: number;
}

/** What a report in lcov's format says of the measured files, without what is only punctuation. */
function measuredLines(report: string): MeasuredLine[] {
  const found: MeasuredLine[] = [];
  let file = "";
  let source: string[] = [];
  for (const line of report.split("\n")) {
    const [, name] = /^SF:(.*)$/.exec(line) ?? [];
    if (name !== undefined) {
      file = name;
      source = measured.test(file) ? readFileSync(join(root, file), "utf8").split("\n") : [];
    }
    const [, number = "", count = ""] = /^DA:(\d+),(\d+)/.exec(line) ?? [];
    const text = source[Number(number) - 1] ?? "";
    // What says of itself that it cannot be reached (there or in the line above) is not counted.
    const isExplained = [text, source[Number(number) - 2] ?? ""].some((each) => each.includes("unreachable: "));
    if (/\w/.test(text) && !isExplained) found.push({ file, number: Number(number), text, count: Number(count) });
  }
  return found;
}

/** Files that nothing has even loaded: the report does not know of them. */
function unloaded(lines: readonly MeasuredLine[]): string[] {
  const loaded = new Set(lines.map(({ file }) => file));
  const all = [...new Bun.Glob("lib/{replication,log}/*.ts").scanSync(root)];
  return all.filter((file) => measured.test(file) && !loaded.has(file)).sort();
}

async function main(args: readonly string[]): Promise<number> {
  let onlyStories = false;
  try {
    const flag = { type: "boolean" } as const;
    const { values } = parseArgs({ args: [...args], options: { stories: flag, help: flag } });
    if (values.help === true) {
      console.log(usage);
      return 0;
    }
    onlyStories = values.stories === true;
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
    return 2;
  }
  const folder = mkdtempSync(join(tmpdir(), "chatd-coverage-"));
  try {
    const report = ["--coverage", "--coverage-reporter=lcov", `--coverage-dir=${folder}`];
    const { exitCode, output } = await runQuietly([
      ...[bun, "test", "--timeout=600000", "--only-failures", ...report],
      ...(onlyStories ? stories : tests),
    ]);
    if (exitCode !== 0) {
      console.error(`${output}\na test failed: which lines are reached is not known before all of them pass`);
      return 1;
    }
    const lines = measuredLines(readFileSync(join(folder, "lcov.info"), "utf8"));
    const unreached = lines.filter(({ count }) => count === 0);
    for (const { file, number, text } of unreached) console.log(`${file}:${number}: ${text.trim()}`);
    const missing = unloaded(lines);
    for (const file of missing) console.log(`${file}: nothing has loaded it`);
    console.log(`${lines.length} lines of lib/replication and lib/log, ${unreached.length} of them never reached`);
    return unreached.length + missing.length === 0 ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

process.exitCode = await main(Bun.argv.slice(2));
