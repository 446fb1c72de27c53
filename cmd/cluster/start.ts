/**
 * `bun start`: everything from a fresh clone to a chat. Installs, builds, runs three replicas on this machine with their
 * data where `chatd serve` keeps it, and opens the chat in this terminal; without a terminal it stays until told to end.
 * Ends what it started, however it ends. Imports no package before they are installed.
 */
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { ensureBuilt, executable } from "../tasks/build.ts";
import { Cluster, type Place } from "./cluster.ts";
import { Keeper } from "./kept.ts";
import { runToEnd } from "./lifetime.ts";

const defaultPeers = "1=127.0.0.1:1538,2=127.0.0.1:2538,3=127.0.0.1:3538";
/** How long the chat, and then the replicas, may take to end when asked. */
const graceMs = 4000;

const inTerminal = process.stdin.isTTY && process.stdout.isTTY;
/** Progress. */
const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** Where each replica runs: the default ports, or what CHATD_PEERS says, as for `chatd serve`. */
function places(): Place[] {
  const state = process.env["XDG_STATE_HOME"] ?? "";
  const home = join(isAbsolute(state) ? state : join(homedir(), ".local", "state"), "chatd");
  return (process.env["CHATD_PEERS"] ?? defaultPeers).split(",").map((peer) => {
    const [, pid = "", address = ""] = /^(\d+)=(.+)$/.exec(peer.trim()) ?? [];
    if (pid === "") throw new Error(`CHATD_PEERS: ${JSON.stringify(peer)} is not PID=HOST:PORT`);
    const stderrFile = join(home, `serve-${pid}.log`);
    return { pid: Number(pid), address, dataDirectory: join(home, pid), stderrFile };
  });
}

/** True when the cluster is served already; throws when its addresses are taken by somebody else. */
async function isServed(wanted: readonly Place[]): Promise<boolean> {
  const { whoServes } = await import("./survey.ts");
  const occupants = await Promise.all(wanted.map(({ address }) => whoServes(address)));
  let served = false;
  const taken: string[] = [];
  occupants.forEach((occupant, at) => {
    const address = wanted[at]?.address ?? "";
    if (occupant.kind === "stranger") taken.push(`${address} is held by ${occupant.name}`);
    if (occupant.kind !== "replica") return;
    if (wanted.every((place) => occupant.addresses.includes(place.address))) served = true;
    else
      taken.push(`${address} is held by replica ${occupant.pid} of another cluster: ${occupant.addresses.join(", ")}`);
  });
  if (taken.length > 0) {
    const remedy = "End it, or choose other addresses with CHATD_PEERS=1=HOST:PORT,2=…,3=….";
    throw new Error(`Cannot start: ${taken.join("; ")}. ${remedy}`);
  }
  return served;
}

/** What runs because of this script, and its end. */
class Session {
  readonly #keeper = new Keeper();
  #cluster: Cluster | null = null;
  #chat: Bun.Subprocess | null = null;
  #stopping = false;

  get isChatting(): boolean {
    return this.#chat !== null;
  }

  async serve(wanted: readonly Place[]): Promise<void> {
    const started = performance.now();
    this.#cluster = new Cluster(wanted, [], this.#keeper);
    await this.#cluster.start();
    say(`${wanted.length} replicas are ready after ${Math.round(performance.now() - started)} ms`);
    for (const { pid, address, dataDirectory, stderrFile } of wanted) {
      void this.#cluster.ended(pid).then(({ exitCode, signal }) => {
        if (!this.#stopping && !inTerminal)
          say(`replica ${pid} ended with ${signal ?? `exit ${exitCode}`}: ${stderrFile}`);
      });
      say(`  replica ${pid}  ${address}  data ${dataDirectory}  log ${stderrFile}`);
    }
  }

  /** Runs the chat in this terminal; resolves with its exit code. */
  async chat(servers: readonly string[]): Promise<number> {
    const command = [executable, "chat", "--server", servers.join(",")];
    this.#chat = Bun.spawn({ cmd: command, stdio: ["inherit", "inherit", "inherit"] });
    this.#keeper.adopt(this.#chat);
    const code = await this.#chat.exited;
    this.#chat = null;
    return code;
  }

  /** The chat first, which restores the terminal; then the replicas, which finish what is in flight. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#chat?.kill("SIGTERM");
    await Promise.race([this.#chat?.exited, Bun.sleep(graceMs)]);
    await Promise.race([this.#cluster?.stop(), Bun.sleep(graceMs)]);
    await this.#keeper.close();
  }
}

const session = new Session();

async function main(): Promise<number> {
  await ensureBuilt({ progress: say });
  const wanted = places();
  const servers = wanted.map((place) => place.address);
  const served = await isServed(wanted);
  if (served) say(`already served at ${servers.join(", ")}`);
  else await session.serve(wanted);
  if (inTerminal) return session.chat(servers);
  if (served) return 0;
  say(`chat with: ${executable} chat --server ${servers.join(",")}`);
  say("running until SIGINT or SIGTERM");
  return new Promise(() => {});
}

await runToEnd({
  main,
  async cleanUp(reason) {
    const told = reason !== "done" && reason !== "failed";
    if (told && !inTerminal) say(`stopping (${reason})`);
    await session.stop();
    return inTerminal ? undefined : 0;
  },
  // Ctrl-C in the chat goes to the whole group and is the chat's to answer.
  ignores: (signal) => signal === "SIGINT" && session.isChatting,
});
