/**
 * `bun run demo`: a tour that needs no terminal. Two accounts talk while replicas are killed under them; at the end every
 * replica is asked alone whether everything acknowledged is there exactly once. Exits 0 only if it is. Works in a
 * temporary directory and on free ports, and leaves nothing behind. Imports no package before they are installed.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureBuilt } from "../tasks/build.ts";
import { flagsOrEnd } from "../tasks/flags.ts";
import { Cluster } from "./cluster.ts";
import { faultsAt, faultsOnDisk, passwordOf } from "./inquiry.ts";
import { JsonClient } from "./json-client.ts";
import { Ledger } from "./ledger.ts";
import { runToEnd } from "./lifetime.ts";

const usage = `A tour that needs no terminal: two accounts talk while replicas are killed under them, half a minute long.

  bun run demo

  --help

It works in a temporary directory and on free ports, and leaves nothing behind.
Exit status: 0 everything acknowledged is there exactly once, 1 it is not, 64 usage.
`;

const users = ["alice", "bob"] as const;
type User = (typeof users)[number];

/** How many messages each of the two keeps on their way while the load runs. */
const inFlight = 8;
const loadBeforeKillMs = 1500;
const loadAfterKillMs = 1500;
/** Far more than anything here takes: what is not done by then is stuck. */
const stepTimeoutMs = 20_000;
const demoTimeoutMs = 120_000;

const say = (line: string): void => console.log(line);
const step = (line: string): void => say(`\n▸ ${line}`);
const other = (user: User): User => (user === "alice" ? "bob" : "alice");

class Demo {
  readonly #cluster: Cluster;
  readonly #ledger = new Ledger();
  readonly #clients = new Map<User, JsonClient>();

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** Resolves with what turned out wrong. */
  async run(): Promise<string[]> {
    step("three replicas start");
    await this.#start();
    step("alice signs in at replica 1, bob at replica 3; they talk");
    await this.#signIn("alice", 1);
    await this.#signIn("bob", 3);
    await this.#talk("alice", "hi bob, are you there?");
    await this.#talk("bob", "I am. Which machine are you on?");
    await this.#talk("alice", "replica 1. I hear they are going to kill it.");

    step("both send without a pause, and kill -9 hits the primary");
    await this.#killPrimaryUnderLoad();
    step("again: both send, and kill -9 hits the next primary");
    await this.#killPrimaryUnderLoad();
    await this.#talk("bob", "one machine left, and we still talk");

    step("kill -9 of the last one too; then all three start again");
    await this.#cluster.losePower();
    await this.#start();
    await this.#talk("alice", "everything still there?");
    for (const client of this.#clients.values()) await client.end();
    return this.#check();
  }

  async #start(): Promise<void> {
    const started = performance.now();
    const lines = await this.#cluster.start();
    const elapsedMs = Math.round(performance.now() - started);
    for (const line of lines) say(`  replica ${line.pid} is ${line.role} of view ${line.view} on ${line.listen}`);
    say(`  all ready ${elapsedMs} ms after their start`);
  }

  async #signIn(user: User, pid: number): Promise<void> {
    const others = this.#cluster.pids.filter((candidate) => candidate !== pid);
    const client = new JsonClient(this.#cluster.addresses([pid, ...others]), { keeper: this.#cluster.keeper });
    this.#clients.set(user, client);
    await client.signIn(user, passwordOf(user));
  }

  #client(user: User): JsonClient {
    const client = this.#clients.get(user);
    if (!client) throw new Error(`${user} is not signed in`);
    return client;
  }

  /** One message, from the sender's line to the recipient's. */
  async #talk(from: User, text: string): Promise<void> {
    const to = other(from);
    const { index, copies } = await this.#ledger.sendExactly(this.#client(from), from, to, text);
    await this.#client(to).until(`${to} gets "${text}"`, () =>
      this.#client(to).received.some((message) => message.index === index),
    );
    const where = `acknowledged by ${copies} disk${copies === 1 ? "" : "s"}`;
    say(`  ${from} → ${to}: ${text}   (${where}, ${to} reads it on replica ${this.#client(to).replica})`);
  }

  async #killPrimaryUnderLoad(): Promise<void> {
    const before = this.#ledger.size;
    let stop = false;
    const load = users.flatMap((user) =>
      Array.from({ length: inFlight }, async () => {
        while (!stop) await this.#ledger.send(this.#client(user), user, other(user), "load");
      }),
    );
    await Promise.race([Bun.sleep(loadBeforeKillMs), ...load]);
    const { primary } = await this.#client("alice").must({ do: "status" });
    const killedAtMs = performance.now();
    await this.#cluster.kill(primary);
    await Promise.race([Bun.sleep(loadAfterKillMs), ...load]);
    stop = true;
    await Promise.all(load);
    const gapMs = Math.round(this.#ledger.longestGapMs(killedAtMs - 100));
    const { primary: next, view, copies } = await this.#everySurvivorIn();
    const count = this.#ledger.size - before;
    say(`  killed replica ${primary}; replica ${next} leads view ${view}; ${copies} of 3 disks take part`);
    say(`  ${count} messages acknowledged meanwhile; failover: the longest pause between two was ${gapMs} ms`);
  }

  /** Waits until every replica that runs takes part: only then may any of them be the next to die. */
  async #everySurvivorIn() {
    const running = this.#cluster.pids.filter((pid) => this.#cluster.isRunning(pid)).length;
    for (const deadline = performance.now() + stepTimeoutMs; ; await Bun.sleep(20)) {
      const status = await this.#client("alice").must({ do: "status" });
      if (status.copies === running) return status;
      if (performance.now() > deadline) throw new Error(`only ${status.copies} of ${running} replicas take part`);
    }
  }

  /** Asks each replica alone, the others dead; then compares the logs on their disks. */
  async #check(): Promise<string[]> {
    step(`is each of the ${this.#ledger.size} acknowledged messages there, exactly once?`);
    const faults: string[] = [];
    for (const pid of this.#cluster.pids) {
      await this.#cluster.kill(...this.#cluster.pids.filter((candidate) => candidate !== pid));
      const found = await faultsAt(this.#cluster, pid, this.#ledger, users);
      say(
        `  replica ${pid}, asked alone: ${found.length === 0 ? "all there, exactly once" : `${found.length} faults`}`,
      );
      faults.push(...found);
      await this.#cluster.start();
    }
    const onDisk = await faultsOnDisk(this.#cluster);
    say(`  the three logs on disk: ${onDisk.length === 0 ? "sound, and the same entry by entry" : "see below"}`);
    return [...faults, ...onDisk];
  }
}

async function expire(): Promise<never> {
  await Bun.sleep(demoTimeoutMs);
  throw new Error(`not done after ${demoTimeoutMs / 1000} s`);
}

flagsOrEnd("bun run demo", usage, {});
await ensureBuilt({ progress: say });
const directory = await mkdtemp(join(tmpdir(), "chatd-demo-"));
const cluster = Cluster.inDirectory(directory);
/** What fails from now on does so because it was ended. */
let ending = false;

async function main(): Promise<number> {
  const startedMs = performance.now();
  const faults = await Promise.race([new Demo(cluster).run(), expire()]).catch(async (error: unknown) => {
    if (!ending) for (const pid of cluster.pids) say(`replica ${pid} said last:\n${await cluster.stderrTail(pid)}`);
    throw error;
  });
  for (const fault of faults.slice(0, 20)) say(`  ✗ ${fault}`);
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  const verdict = "every message acknowledged is there exactly once, on every replica";
  say(faults.length === 0 ? `\n✓ ${verdict} (${seconds} s)` : `\n✗ ${faults.length} faults`);
  return faults.length === 0 ? 0 : 1;
}

await runToEnd({
  main,
  async cleanUp() {
    ending = true;
    await cluster.close();
    await rm(directory, { recursive: true, force: true });
  },
});
