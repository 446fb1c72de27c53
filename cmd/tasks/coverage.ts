/**
 * `bun run coverage`: runs the tests of the log and of replication, the scenarios and a few simulated runs of each kind,
 * and lists the lines of `lib/replication` and `lib/log` that none of them reached. A line that cannot be reached says so
 * where it stands, in a comment `unreachable: why`, and is not listed. Exit status: 0 none left, 1 some.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "./run.ts";

const tests = [
  ...["lib/replication", "lib/log", "lib/sim/scenarios.test.ts", "lib/sim/simulation.test.ts"],
  // What reads a log that nobody writes, and what a replica tells of its connections.
  ...["cmd/chatd/inspect-log", "lib/server/node.test.ts", "lib/sim/damaged-replica.test.ts"],
];
const measured = /^lib\/(replication|log)\/(?!.*\.(test|fixture|contract)\.ts$)/;

/** Lines never reached, by file, of a report in lcov's format. */
function unreached(report: string): Map<string, number[]> {
  const files = new Map<string, number[]>();
  let lines: number[] = [];
  for (const line of report.split("\n")) {
    const [, file] = /^SF:(.*)$/.exec(line) ?? [];
    if (file !== undefined) files.set(file, (lines = []));
    const [, number, count] = /^DA:(\d+),(\d+)/.exec(line) ?? [];
    if (count === "0") lines.push(Number(number));
  }
  return new Map([...files].filter(([file, found]) => measured.test(file) && found.length > 0));
}

/** Without what is only punctuation, and what says of itself that it cannot be reached (there or in the line above). */
function unexplained(lines: readonly number[], source: readonly string[]): number[] {
  const text = (line: number): string => source[line - 1] ?? "";
  const isExplained = (line: number): boolean =>
    /unreachable: /.test(text(line)) || /unreachable: /.test(text(line - 1));
  return lines.filter((line) => /\w/.test(text(line)) && !isExplained(line));
}

function main(): number {
  const folder = mkdtempSync(join(tmpdir(), "chatd-coverage-"));
  try {
    const report = ["--coverage", "--coverage-reporter=lcov", `--coverage-dir=${folder}`];
    const run = Bun.spawnSync({
      cmd: [process.execPath, "test", "--timeout=600000", ...report, ...tests],
      cwd: root,
      stdout: "ignore",
      stderr: "inherit",
    });
    if (run.exitCode !== 0) return 1;
    let count = 0;
    for (const [file, lines] of unreached(readFileSync(join(folder, "lcov.info"), "utf8"))) {
      const source = readFileSync(join(root, file), "utf8").split("\n");
      for (const line of unexplained(lines, source)) {
        count++;
        console.log(`${file}:${line}: ${(source[line - 1] ?? "").trim()}`);
      }
    }
    console.log(`${count} line${count === 1 ? "" : "s"} of lib/replication and lib/log never reached`);
    return count === 0 ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

process.exitCode = main();
