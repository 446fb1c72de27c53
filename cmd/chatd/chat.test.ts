/** How `chatd chat` ends when nobody watches: flags that contradict each other, no server, output that cannot be written. */
import { beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, closeSync, existsSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { commandNames } from "../../lib/tui/json-commands.ts";
import { freePorts } from "../cluster/ports.ts";
import { ensureBuilt, executable } from "../tasks/build.ts";

// Real processes: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

beforeAll(() => ensureBuilt());

/** Where nobody serves. */
const nowhere = `127.0.0.1:${freePorts(1)[0]}`;

async function chat(
  words: readonly string[],
  input: string,
  stdout: number | "pipe" = "pipe",
  environment: Readonly<Record<string, string>> = {},
) {
  const command = [executable, "chat", "--server", nowhere, ...words];
  const env = { ...process.env, CHATD_PASSWORD: "", ...environment };
  const child = Bun.spawn(command, { stdin: Buffer.from(input), stdout, stderr: "pipe", env });
  const [errors, exitCode] = await Promise.all([new Response(child.stderr).text(), child.exited]);
  return { exitCode, errors };
}

test.each(["--user=alice", "--plain", "--idle-logout=5"])("--json is refused with %s", async (flag) => {
  const { exitCode, errors } = await chat(["--json", flag], "");
  expect(exitCode).toBe(64);
  expect(errors).toMatch(/^chatd: option '--json' cannot be used with option '--.*; see chatd chat --help\n$/);
});

test("help names every command of --json, on lines of a terminal's width", () => {
  const { stdout } = Bun.spawnSync([executable, "chat", "--help"]);
  const lines = stdout.toString().split("\n");
  const from = lines.findIndex((line) => line.startsWith("Commands of --json:"));
  const to = lines.findIndex((line) => line.startsWith("Lines of the chat:"));
  expect(lines.slice(from, to).join(" ")).toBe(`Commands of --json: ${commandNames.join(" ")}.`);
  expect(lines.slice(from, to).filter((line) => line.length > 120)).toEqual([]);
});

const once = ["--user", "alice"];
test.each([
  [[...once, "--send", "bob"], "--send NAME needs a text after it"],
  [[...once, "--send", "bob", "hi", "there"], "the text of --send is one argument: put it in quotes (2 were given)"],
  [["--send", "bob", "hi"], "--user NAME is needed"],
  [[...once, "--send", "bob", "hi", "--read"], "'--send <NAME>' cannot be used with option '--read'"],
  [[...once, "--send", "bob", "hi", "--follow"], "'--send <NAME>' cannot be used with option '--follow'"],
  [[...once, "--read", "--idle-logout", "5"], "'--idle-logout <SECONDS>' is for a chat"],
  [[...once, "--read"], "a password is needed: it is in --password-file FILE, --password-fd N or CHATD_PASSWORD"],
  [[...once, "--send", "bob", "-", "--password-fd", "0"], "cannot both come from stdin"],
  [[...once, "--read", "--password-fd", "3", "--password-file", "x"], "cannot be used with option '--password-"],
  [[...once, "--password-file", "x"], "go with --send, --read or --follow"],
  [[...once, "hi"], '"hi" is left over'],
])("%p is refused", async (words, reason) => {
  const { exitCode, errors } = await chat(words, "");
  expect(exitCode).toBe(64);
  expect(errors).toContain(reason);
});

test.each([[["--password", "hunter22"]], [["--password=hunter22"]]])(
  "a password as an argument is refused, and not repeated: %p",
  async (words) => {
    const { exitCode, errors } = await chat([...once, "--read", ...words], "");
    expect(exitCode).toBe(64);
    expect(errors).toContain("never taken from an argument");
    expect(errors).not.toContain("hunter22");
  },
);

test("a password that cannot be read ends it with 1, and the file is named", async () => {
  const { exitCode, errors } = await chat([...once, "--read", "--password-file", "no/such/file"], "");
  expect(exitCode).toBe(1);
  expect(errors).toStartWith("chatd: cannot read the password from no/such/file: ENOENT");
});

test("a place that is not private ends --send with 73", async () => {
  const home = mkdtempSync(join(tmpdir(), "chatd-shared-"));
  chmodSync(home, 0o777);
  const environment = { XDG_STATE_HOME: home, CHATD_PASSWORD: "correct horse" };
  const { exitCode, errors } = await chat([...once, "--send", "bob", "hi"], "", "pipe", environment);
  rmSync(home, { recursive: true });
  expect(exitCode).toBe(73);
  expect(errors).toMatch(/^chatd: everybody can write to .*: nothing private is kept there; .*XDG_STATE_HOME\n$/);
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
