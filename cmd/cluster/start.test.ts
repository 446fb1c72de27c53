/** `bun start` without a terminal, and the demo: what they print, what they keep, that nothing of them stays behind. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureBuilt } from "../tasks/build.ts";
import { bun, root } from "../tasks/run.ts";
import { JsonClient } from "./json-client.ts";
import { eachLine } from "./lines.ts";
import { freePorts, holderOf, isTaken } from "./ports.ts";

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

function environment() {
  const peers = servers.map((address, at) => `${at + 1}=${address}`).join(",");
  return { ...process.env, CHATD_PEERS: peers, XDG_STATE_HOME: directory, TERM: "xterm", LANG: "C.UTF-8" };
}

/** The same in a terminal of its own. */
function startInTerminal() {
  let text = "";
  let changed = Promise.withResolvers<void>();
  const decoder = new TextDecoder();
  const child = Bun.spawn({
    cmd: [bun, "run", "start"],
    cwd: root,
    env: environment(),
    terminal: {
      cols: 100,
      rows: 30,
      data(_, data) {
        text += decoder.decode(data, { stream: true });
        changed.resolve();
        changed = Promise.withResolvers();
      },
    },
  });
  const type = (keys: string): void => void child.terminal?.write(keys);
  const shows = async (wanted: string): Promise<void> => {
    const late = Bun.sleep(30_000).then(() => Promise.reject(new Error(`not shown: ${wanted}; but: ${text}`)));
    late.catch(() => {});
    while (!text.includes(wanted)) await Promise.race([changed.promise, late]);
  };
  return { child, type, shows };
}

/** `bun start` on ports and in a directory of its own; `lines` is what it has printed. */
function start() {
  const child = Bun.spawn({
    cmd: [bun, "run", "start"],
    cwd: root,
    env: environment(),
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

function expectNobodyServes(): Promise<void> {
  return waitFor(async () => !(await Promise.all(ports.map((port) => isTaken("127.0.0.1", port)))).includes(true));
}

async function waitFor(holds: () => Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + 30_000; !(await holds()); await Bun.sleep(20)) {
    if (performance.now() > deadline) throw new Error("waited in vain");
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

  test("starts the replica that is missing, and ends no more than that", async () => {
    const first = start();
    await first.running;
    const [, process3 = ""] = /process (\d+)/.exec(holderOf(ports[2] ?? 0) ?? "") ?? [];
    expect(process3).not.toBe("");
    process.kill(Number(process3), "SIGKILL");
    const second = start();
    await second.running;
    expect(second.lines.join("\n")).toContain("not running: replica 3; starting");
    const client = new JsonClient(servers);
    await client.until("connected", () => client.replica !== null);
    await waitFor(async () => (await client.must({ do: "status" })).copies === 3);
    process.kill(-second.child.pid, "SIGINT");
    expect(await second.child.exited).toBe(0);
    expect((await client.must({ do: "status" })).replica).toBeLessThan(3);
    await client.end();
    process.kill(-first.child.pid, "SIGINT");
    await first.child.exited;
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

describe("bun start in a terminal", () => {
  test("stays for others that are connected when its person leaves, and ends when they have", async () => {
    const { child, type, shows } = startInTerminal();
    await shows("User name");
    const other = new JsonClient(servers);
    await other.must({ do: "status" });
    type("\x04");
    await shows("1 other client is still connected");
    expect((await other.must({ do: "status" })).copies).toBe(3);
    await other.end();
    expect(await child.exited).toBe(0);
    await expectNobodyServes();
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
