/**
 * `bun start`: everything from a fresh clone to a chat. Installs, builds, runs three replicas on this machine with their
 * data where `chatd serve` keeps it, and opens the chat in this terminal; without a terminal it stays until told to end.
 * Ends what it started, however it ends. Imports no package before they are installed.
 */
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { ensureBuilt, executable } from "../tasks/build.ts";
import { flagsOrEnd } from "../tasks/flags.ts";
import { Cluster, type Place } from "./cluster.ts";
import { Keeper } from "./kept.ts";
import { runToEnd } from "./lifetime.ts";

const usage = `Installs, builds, runs three replicas on this machine and opens the chat in this terminal.

  bun start

  --help

Replicas that run already are used, and one that is missing is started. They end with the chat that started them, once
nobody else is connected; what was written stays. Without a terminal they run until SIGINT or SIGTERM.

  CHATD_PEERS     where they serve: PID=HOST:PORT,…
  XDG_STATE_HOME  below it, in chatd/PID, is the data of each (~/.local/state)
`;

const defaultPeers = "1=127.0.0.1:1538,2=127.0.0.1:2538,3=127.0.0.1:3538";
/** How long the chat, and then the replicas, may take to end when asked. */
const graceMs = 4000;
/** Between two looks who else is connected. */
const lookMs = 300;
/** A replica that does not answer may be about to: whoever started the others has this long to start it, too. */
const startingMs = 1000;

flagsOrEnd("bun start", usage, {});
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

/** The replicas that do not answer; throws when an address is taken by somebody else. */
async function missing(wanted: readonly Place[]): Promise<Place[]> {
  const { whoServes } = await import("./survey.ts");
  const occupants = await Promise.all(wanted.map(({ address }) => whoServes(address)));
  const taken: string[] = [];
  const absent: Place[] = [];
  wanted.forEach((place, at) => {
    const occupant = occupants[at];
    if (occupant === undefined || occupant.kind === "nobody") absent.push(place);
    else if (occupant.kind === "stranger") taken.push(`${place.address} is held by ${occupant.name}`);
    else if (!wanted.every(({ address }) => occupant.addresses.includes(address))) {
      const others = occupant.addresses.join(", ");
      taken.push(`${place.address} is held by replica ${occupant.pid} of another cluster: ${others}`);
    }
  });
  if (taken.length > 0) {
    const remedy = "End it, or choose other addresses with CHATD_PEERS=1=HOST:PORT,2=…,3=….";
    throw new Error(`Cannot start: ${taken.join("; ")}. ${remedy}`);
  }
  return absent;
}

/** What runs because of this script, and its end. */
class Session {
  readonly #keeper = new Keeper();
  #cluster: Cluster | null = null;
  #chat: Bun.Subprocess | null = null;
  #stopping = false;
  #isWaiting = false;

  get isChatting(): boolean {
    return this.#chat !== null;
  }

  /** Replicas run because of this script. */
  get isServing(): boolean {
    return this.#cluster?.pids.some((pid) => this.#cluster?.isRunning(pid)) ?? false;
  }

  /** The person here has left, others have not. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** Runs some of the cluster's replicas. */
  async serve(wanted: readonly Place[], own: readonly Place[]): Promise<void> {
    const started = performance.now();
    this.#cluster = new Cluster(wanted, [], this.#keeper);
    await this.#cluster.start(...own.map(({ pid }) => pid));
    const which = own.length === 1 ? `replica ${own[0]?.pid} is` : `${own.length} replicas are`;
    say(`${which} ready after ${Math.round(performance.now() - started)} ms`);
    for (const { pid, address, dataDirectory, stderrFile } of own) {
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

  /** The replicas end with this script: not while somebody else talks through them, unless told to. */
  async waitForOthers(servers: readonly string[]): Promise<void> {
    this.#isWaiting = true;
    const { clientsAt } = await import("./survey.ts");
    const count = async (): Promise<number> =>
      (await Promise.all(servers.map((address) => clientsAt(address)))).reduce((sum, each) => sum + each, 0);
    // The chat that has just ended may still be counted.
    for (let looks = 0; looks < 3 && (await count()) > 0; looks++) await Bun.sleep(lookMs);
    let said = 0;
    for (let others = await count(); others > 0; others = await count()) {
      const who = others === 1 ? "1 other client is" : `${others} other clients are`;
      if (others !== said) say(`${who} still connected: the replicas stay until then. Ctrl-C ends them now.`);
      said = others;
      await Bun.sleep(lookMs);
    }
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

/** Runs the replicas that nobody runs. True when some ran already. */
async function serveMissing(wanted: readonly Place[]): Promise<boolean> {
  let absent = await missing(wanted);
  if (absent.length > 0 && absent.length < wanted.length) {
    await Bun.sleep(startingMs);
    absent = await missing(wanted);
  }
  if (absent.length === wanted.length) {
    await session.serve(wanted, wanted);
    return false;
  }
  say(
    `already served at ${wanted
      .filter((place) => !absent.includes(place))
      .map(({ address }) => address)
      .join(", ")}`,
  );
  if (absent.length === 0) return true;
  say(`not running: replica ${absent.map(({ pid }) => pid).join(", replica ")}; starting`);
  await session.serve(wanted, absent).catch((error: unknown) => {
    // The others serve: no reason not to chat.
    console.error(error instanceof Error ? error.message : error);
  });
  return true;
}

async function main(): Promise<number> {
  await ensureBuilt({ progress: say });
  const wanted = places();
  const servers = wanted.map((place) => place.address);
  const isAttached = await serveMissing(wanted);
  if (inTerminal) {
    const code = await session.chat(servers);
    if (code === 0 && !isAttached) await session.waitForOthers(servers);
    return code;
  }
  if (!session.isServing) return 0;
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
    return inTerminal && !session.isWaiting ? undefined : 0;
  },
  // Ctrl-C in the chat goes to the whole group and is the chat's to answer.
  ignores: (signal) => signal === "SIGINT" && session.isChatting,
});
