/** How `chatd chat` ends when nobody watches: flags that contradict each other, no server, output that cannot be written. */
import { beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { closeSync, existsSync, openSync } from "node:fs";
import { freePorts } from "../cluster/ports.ts";
import { ensureBuilt, executable } from "../tasks/build.ts";

// Real processes: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

beforeAll(() => ensureBuilt());

/** Where nobody serves. */
const nowhere = `127.0.0.1:${freePorts(1)[0]}`;

async function chat(words: readonly string[], input: string, stdout: number | "pipe" = "pipe") {
  const command = [executable, "chat", "--server", nowhere, ...words];
  const child = Bun.spawn(command, { stdin: Buffer.from(input), stdout, stderr: "pipe" });
  const [errors, exitCode] = await Promise.all([new Response(child.stderr).text(), child.exited]);
  return { exitCode, errors };
}

test.each(["--user=alice", "--plain", "--idle-logout=5"])("--json is refused with %s", async (flag) => {
  const { exitCode, errors } = await chat(["--json", flag], "");
  expect(exitCode).toBe(64);
  expect(errors).toMatch(/^chatd: option '--json' cannot be used with option '--.*; see chatd chat --help\n$/);
});

test("lines in a pipe that reach no server end it with 69, and say which was tried", async () => {
  const { exitCode, errors } = await chat(["--give-up-ms", "200"], "alice\npassword of alice\n");
  expect(exitCode).toBe(69);
  expect(errors).toContain(`no server could be reached for 200 ms: ${nowhere} refused the connection`);
});

test("no input at all is done at once", async () => {
  const { exitCode, errors } = await chat([], "");
  expect(exitCode).toBe(0);
  expect(errors).toContain("nothing to do");
});

test.skipIf(!existsSync("/dev/full")).each([[["--json"]], [["--plain"]]])(
  "output that cannot be written ends %p with 74",
  async (words) => {
    const full = openSync("/dev/full", "w");
    const { exitCode, errors } = await chat(words, '{"do":"status"}\n', full);
    closeSync(full);
    expect(exitCode).toBe(74);
    expect(errors).toContain("cannot write to stdout: ENOSPC");
  },
);
