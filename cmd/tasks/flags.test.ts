/** The project's own scripts say what they do when asked, and refuse what they do not know, before they do anything. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bun, root } from "./run.ts";

// Each is a process of its own.
setDefaultTimeout(60_000);

/** Where whatever they did would be seen: their data, and what they put into a temporary directory. */
let directory: string;
beforeAll(async () => void (directory = await mkdtemp(join(tmpdir(), "chatd-flags-"))));
afterAll(() => rm(directory, { recursive: true, force: true }));

async function run(script: string, words: readonly string[]) {
  const env = { ...process.env, XDG_STATE_HOME: directory, TMPDIR: directory };
  const child = Bun.spawn([bun, script, ...words], { cwd: root, env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [output, errors, exitCode] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { output, errors, exitCode };
}

const scripts: [name: string, script: string][] = [
  ["bun start", "cmd/cluster/start.ts"],
  ["bun run demo", "cmd/cluster/demo.ts"],
  ["bun run build", "cmd/tasks/build.ts"],
];

describe.each(scripts)("%s", (name, script) => {
  test.each(["--help", "-h"])("prints its help with %s, and does nothing", async (flag) => {
    const { output, errors, exitCode } = await run(script, [flag]);
    expect({ errors, exitCode }).toEqual({ errors: "", exitCode: 0 });
    expect(output).toContain(`\n  ${name}`);
    expect(output.length).toBeGreaterThan(100);
    expect(await readdir(directory)).toEqual([]);
  });

  test.each([["--nonsense"], ["nonsense"], ["--help=no"]])("refuses %s in one line, and does nothing", async (word) => {
    const { output, errors, exitCode } = await run(script, [word]);
    expect({ output, exitCode }).toEqual({ output: "", exitCode: 64 });
    expect(errors).toStartWith(`${name}: `);
    expect(errors).toEndWith(`; see ${name} --help\n`);
    expect(errors.split("\n")).toHaveLength(2);
    expect(await readdir(directory)).toEqual([]);
  });
});
