/**
 * `bun run bench`: starts real replicas of the built executable in a temporary directory on this machine, and measures
 * throughput, latency, failover and start. Prints a table, or one JSON object with `--json`. Leaves nothing behind.
 * Imports no package before they are installed.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Cluster } from "../cluster/cluster.ts";
import { runToEnd } from "../cluster/lifetime.ts";
import { ensureBuilt } from "../tasks/build.ts";

const usage = `bun run bench [catch-up | state] [--json] [--seconds N] [--warm-up N] [--clients N] [--messages N]

  --json          one JSON object instead of the table
  --seconds N     how long throughput is measured (default 10)
  --warm-up N     for how many seconds before that the clients send already (default 15)
  --clients N     how many clients send at once (default 50)
  --messages N    how many messages the logs hold when the start is measured (default 100000; of state: 1000000)
  --accounts N    how many accounts the state has (default 100000)

  catch-up        only: a replica that missed so many messages (--messages), and one with an empty disk, come back under
                  load; how long that takes, and what the others get through meanwhile

  state           only: the first page of every screen, searches and the memory of a replica with a large state
                  (--messages, --accounts)`;

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: "boolean", default: false },
    seconds: { type: "string", default: "10" },
    "warm-up": { type: "string", default: "15" },
    clients: { type: "string", default: "50" },
    messages: { type: "string" },
    accounts: { type: "string", default: "100000" },
    help: { type: "boolean", default: false },
  },
});

/** Progress goes to stderr, so that stdout is the result alone. */
const say = (line: string): void => console.error(line);

function whole(name: "seconds" | "warm-up" | "clients" | "messages" | "accounts", smallest: number): number {
  const value = Number(flags[name] ?? messagesDefault);
  if (!Number.isInteger(value) || value < smallest)
    throw new Error(`--${name} is a whole number of at least ${smallest}`);
  return value;
}

async function measure(cluster: Cluster) {
  const { fill, measureAlone, measureFailover, measureStart, measureTogether } = await import("./measure.ts");
  const [seconds, warmUp] = [whole("seconds", 1), whole("warm-up", 0)];
  const [clients, messages] = [whole("clients", 2), whole("messages", 0)];
  await cluster.start();
  say("one client alone …");
  const alone = await measureAlone(cluster, Math.min(seconds, 3));
  say(`${messages} messages into the logs, then a start of all three after a loss of power …`);
  const start = await measureStart(cluster, await fill(cluster, clients, messages));
  say(`${clients} clients for ${warmUp} s to warm up, then for ${seconds} s …`);
  const throughput = await measureTogether(cluster, clients, seconds, warmUp);
  say("kill -9 of the primary under a client on the primary, then under one on a backup …");
  const failover = [await measureFailover(cluster, "primary"), await measureFailover(cluster, "backup")];
  return { processors: cpus().length, alone, throughput, start, failover };
}

async function measureOnlyState(cluster: Cluster) {
  const { measureState } = await import("./state.ts");
  return {
    processors: cpus().length,
    state: await measureState(cluster, { messages: whole("messages", 100), accounts: whole("accounts", 100), say }),
  };
}

async function tableOfState({ processors, state }: Awaited<ReturnType<typeof measureOnlyState>>): Promise<string> {
  const { stateRows } = await import("./state.ts");
  return aligned([["processors", String(processors)], ...stateRows(state)]);
}

async function measureOnlyCatchUp(cluster: Cluster) {
  const { measureCatchUp } = await import("./catch-up.ts");
  await cluster.start();
  const [seconds, warmUpSeconds] = [whole("seconds", 1), whole("warm-up", 0)];
  const [clients, messages] = [whole("clients", 2), whole("messages", 0)];
  const catchUp = await measureCatchUp(cluster, { clients, messages, seconds, warmUpSeconds, say });
  return { processors: cpus().length, catchUp };
}

async function tableOfCatchUp({
  processors,
  catchUp,
}: Awaited<ReturnType<typeof measureOnlyCatchUp>>): Promise<string> {
  const { catchUpRows } = await import("./catch-up.ts");
  return aligned([["processors", String(processors)], ...catchUpRows(catchUp)]);
}

function table({ processors, alone, throughput, start, failover }: Awaited<ReturnType<typeof measure>>): string {
  const rows: [what: string, value: string][] = [
    ["processors", String(processors)],
    [`${throughput.clients} clients: acknowledged`, `${throughput.acknowledgedPerSecond} messages/s`],
    [`${throughput.clients} clients: delivered`, `${throughput.deliveredPerSecond} messages/s`],
    [`${throughput.clients} clients: latency`, `p50 ${throughput.p50Ms} ms, p99 ${throughput.p99Ms} ms`],
    ["one client: latency", `p50 ${alone.p50Ms} ms, p99 ${alone.p99Ms} ms`],
    [`start to ready with ${start.entries} messages`, `${start.allReadyMs} ms`],
    ...failover.map(({ clientOn, longestGapMs, usualGapMs }): [string, string] => [
      `kill -9 of the primary, client on the ${clientOn}`,
      `longest gap ${longestGapMs} ms (${usualGapMs} ms before)`,
    ]),
  ];
  return aligned(rows);
}

function aligned(rows: readonly (readonly [what: string, value: string])[]): string {
  const width = Math.max(...rows.map(([what]) => what.length));
  return rows.map(([what, value]) => `${what.padEnd(width)}  ${value}`).join("\n");
}

if (flags.help) {
  console.log(usage);
  process.exit(0);
}
const [part, ...surplus] = positionals;
if (surplus.length > 0 || (part !== undefined && part !== "catch-up" && part !== "state")) {
  console.error(`bun run bench has no part "${positionals.join(" ")}"\n\n${usage}`);
  process.exit(64);
}
const messagesDefault = part === "state" ? 1_000_000 : 100_000;
await ensureBuilt({ progress: say });
const directory = await mkdtemp(join(tmpdir(), "chatd-bench-"));
const cluster = Cluster.inDirectory(directory, { count: part === "state" ? 1 : 3 });
await runToEnd({
  async main() {
    if (part === "catch-up") {
      const result = await measureOnlyCatchUp(cluster);
      console.log(flags.json ? JSON.stringify(result) : await tableOfCatchUp(result));
      return 0;
    }
    if (part === "state") {
      const result = await measureOnlyState(cluster);
      console.log(flags.json ? JSON.stringify(result) : await tableOfState(result));
      return 0;
    }
    const result = await measure(cluster);
    console.log(flags.json ? JSON.stringify(result) : table(result));
    return 0;
  },
  async cleanUp() {
    await cluster.close();
    await rm(directory, { recursive: true, force: true });
  },
});
