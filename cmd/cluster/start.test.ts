/** `bun start` without a terminal, and the demo: what they print, what they keep, that nothing of them stays behind. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureBuilt } from "../tasks/build.ts";
import { bun, root } from "../tasks/run.ts";
import { JsonClient } from "./json-client.ts";
import { eachLine } from "./lines.ts";
import { freePorts, isTaken } from "./ports.ts";

// Real processes: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

let directory = "";
const ports = freePorts(3);
const servers = ports.map((port) => `127.0.0.1:${port}`);

beforeAll(async () => {
  await ensureBuilt();
  directory = await mkdtemp(join(tmpdir(), "chatd-start-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** `bun start` on ports and in a directory of its own; `lines` is what it has printed. */
function start() {
  const peers = servers.map((address, at) => `${at + 1}=${address}`).join(",");
  const child = Bun.spawn({
    cmd: [bun, "run", "start"],
    cwd: root,
    env: { ...process.env, CHATD_PEERS: peers, XDG_STATE_HOME: directory },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  const lines: string[] = [];
  const running = Promise.withResolvers<void>();
  const printed = eachLine(child.stdout, (line) => {
    lines.push(line);
    if (line.startsWith("running until")) running.resolve();
  });
  const errors = child.stderr.text();
  void child.exited.then(async (code) => running.reject(new Error(`exit ${code}: ${await errors}`)));
  running.promise.catch(() => {});
  return { child, lines, errors, running: running.promise, printed };
}

async function expectNobodyServes(): Promise<void> {
  for (const deadline = performance.now() + 5000; ; await Bun.sleep(20)) {
    const taken = await Promise.all(ports.map((port) => isTaken("127.0.0.1", port)));
    if (!taken.includes(true)) return;
    if (performance.now() > deadline) throw new Error(`still taken: ${taken.join()}`);
  }
}

describe("bun start without a terminal", () => {
  test("serves until told to stop, says where, and keeps its data", async () => {
    const first = start();
    await first.running;
    for (const address of servers) expect(first.lines.join("\n")).toContain(address);
    const alice = new JsonClient(servers);
    await alice.signIn("alice", "a long password");
    await alice.end();

    const second = start();
    expect(await second.child.exited).toBe(0);
    await second.printed;
    expect(second.lines.join("\n")).toContain("already served");

    process.kill(-first.child.pid, "SIGINT");
    process.kill(-first.child.pid, "SIGINT");
    await first.child.exited;
    await expectNobodyServes();

    const third = start();
    await third.running;
    const again = new JsonClient(servers);
    await again.must({ do: "login", user: "alice", password: "a long password" });
    await again.end();
    // Only the program that runs the script is told.
    third.child.kill("SIGKILL");
    await expectNobodyServes();
  });

  test("says what holds a port", async () => {
    const holder = Bun.listen({ hostname: "127.0.0.1", port: ports[1] ?? 0, socket: { data() {} } });
    try {
      const { child, errors } = start();
      expect(await child.exited).toBe(1);
      expect(await errors).toContain(`${servers[1]} is held by`);
    } finally {
      holder.stop(true);
    }
  });
});

describe("bun run demo", () => {
  test("ends with exit 0 and says that nothing was lost", async () => {
    const child = Bun.spawn({ cmd: [bun, "run", "demo"], cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    const [output, exitCode] = await Promise.all([child.stdout.text(), child.exited]);
    expect({ exitCode, output: exitCode === 0 ? "" : output }).toEqual({ exitCode: 0, output: "" });
    expect(output).toContain("exactly once, on every replica");
    expect(output.match(/failover: the longest pause between two was \d+ ms/g)).toHaveLength(2);
  });
});
