/**
 * The data directory of a replica that an older build wrote (`fixtures/state`), under today's: its users find everything
 * where it was. One of a newer build is refused.
 */
import { Database } from "bun:sqlite";
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openChat } from "../../lib/chat/chat.ts";
import { stateVersion } from "../../lib/chat/schema.ts";
import { openDisk } from "../../lib/io/disk.ts";
import { readIdentity } from "../../lib/io/data-directory.ts";
import { openLog } from "../../lib/log/wal.ts";
import { decodeEntry } from "../../lib/protocol/codec.ts";
import { decodeRecord } from "../../lib/protocol/record.ts";
import type { CommittedEntry } from "../../lib/protocol/state-machine.ts";

// Real processes and disks on a busy machine: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

const folder = mkdtempSync(join(tmpdir(), "chatd-migration-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const main = join(import.meta.dir, "main.ts");
const fixture = new URL("../../fixtures/state/version-2/", import.meta.url).pathname;

/** A copy of the fixture. */
function dataDirectory(name: string): string {
  const path = join(folder, name);
  mkdirSync(join(path, "log"), { recursive: true, mode: 0o700 });
  for (const file of ["identity.json", "incarnation"]) writeFileSync(join(path, file), readFileSync(fixture + file));
  const unpacked = (file: string) => Bun.gunzipSync(readFileSync(`${fixture}${file}.gz`));
  writeFileSync(join(path, "state.sqlite"), unpacked("state.sqlite"));
  writeFileSync(join(path, "log", "00000001.wal"), unpacked("00000001.wal"));
  return path;
}

function freePort(): number {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  listener.stop(true);
  return listener.port;
}

/** A replica on this directory, and the port it listens at once it is ready. */
async function serve(path: string) {
  const listen = `127.0.0.1:${freePort()}`;
  const words = ["--pid", "1", "--peers", "1=127.0.0.1:1538", "--listen", listen, "--data", path];
  const child = Bun.spawn([process.execPath, main, "serve", ...words], { stdout: "pipe", stderr: "pipe" });
  let output = "";
  const decoder = new TextDecoder();
  for await (const chunk of child.stdout) {
    output += decoder.decode(chunk, { stream: true });
    if (output.includes("\n")) break;
  }
  const port = /listen=127\.0\.0\.1:(\d+)/.exec(output)?.[1];
  return { child, port, errors: () => child.stderr.text() };
}

/** What one who signs in is answered, line by line. */
async function ask(port: string, lines: readonly object[]): Promise<Record<string, unknown>[]> {
  const input = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
  const cmd = [process.execPath, main, "chat", "--json", "--server", `127.0.0.1:${port}`];
  const child = Bun.spawn(cmd, { stdin: new TextEncoder().encode(input), stdout: "pipe", stderr: "inherit" });
  const events = (await child.stdout.text()).trimEnd().split("\n");
  return events.map((line): Record<string, unknown> => JSON.parse(line)).filter(({ event }) => event === "reply");
}

test("a data directory of version 2 goes on under today's build", async () => {
  const path = dataDirectory("version-2");
  const replica = await serve(path);
  try {
    if (replica.port === undefined) throw new Error(`it did not start: ${await replica.errors()}`);
    const bob = await ask(replica.port, [
      { do: "login", user: "Bob", password: "password of Bob" },
      { do: "messages" },
      { do: "open", count: 200 },
      { do: "send", to: "alice", text: "still there" },
    ]);
    expect(bob[0]).toMatchObject({ ok: true, inbox: 3 });
    const texts = (reply: Record<string, unknown> = {}) => (reply["messages"] as { text: string }[]).map((m) => m.text);
    const lunch = (n: number) => `lunch number ${n} at the café?`;
    expect(texts(bob[1])).toEqual(["hello dave", "Yes, the usual place", lunch(3), lunch(2), lunch(1)]);
    expect(texts(bob[2])).toEqual([lunch(5), lunch(6), "goodbye from carol"]);
    expect(bob[3]).toMatchObject({ ok: true, copies: 1 });
    const alice = await ask(replica.port, [
      { do: "login", user: "alice", password: "password of alice" },
      { do: "open", count: 200 },
    ]);
    expect(texts(alice[1])).toEqual(["Yes, the usual place", "not settled: one", "still there"]);
  } finally {
    replica.child.kill("SIGTERM");
  }
  expect(await replica.child.exited).toBe(0);
  expect(await replica.errors()).toContain(`bringing the state from version 2 to version ${stateVersion}`);
});

test("the state that was brought up to date is the one that today's build makes of the same log", () => {
  const path = dataDirectory("digest");
  const migrated = openChat(new Database(join(path, "state.sqlite"), { readwrite: true, strict: true }));
  const owner = readIdentity(path);
  if (owner === null) throw new Error("the fixture says whose it is");
  const handlers = { persisted: () => {}, failed: (error: Error) => expect.unreachable(error.message) };
  const log = openLog(openDisk(join(path, "log")), { cluster: owner.cluster, replica: owner.replica }, handlers);
  const entries: CommittedEntry[] = [];
  while (entries.length < migrated.applied.index) {
    for (const bytes of log.read(entries.length + 1, 1024 * 1024)) {
      const record = decodeRecord(bytes, 0);
      if (typeof record === "string") throw new Error(record);
      const entry = decodeEntry(record.kind, record.payload);
      const op = entry.type === "op" ? entry : null;
      entries.push({ index: record.index, view: record.view, chain: record.chain, op });
    }
  }
  const built = openChat(new Database(":memory:"));
  built.apply(entries.slice(0, migrated.applied.index));
  expect(migrated.digest()).toBe(built.digest());
});

test("a state of a newer build ends it with 73, and is left alone", async () => {
  const path = dataDirectory("newer");
  const file = join(path, "state.sqlite");
  const database = new Database(file, { readwrite: true, strict: true });
  database.run(`PRAGMA user_version = ${stateVersion + 1}`);
  database.close();
  const before = readFileSync(file);
  const replica = await serve(path);
  expect(await replica.child.exited).toBe(73);
  const said = (await replica.errors()).trimEnd().split("\n");
  expect(said.at(-1)).toContain(
    `the state has version ${stateVersion + 1}; this chatd reads versions up to ${stateVersion}: start a newer chatd`,
  );
  expect(Buffer.compare(readFileSync(file), before)).toBe(0);
});
