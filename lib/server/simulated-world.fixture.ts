/**
 * Real replicas and chat on a simulated network and clock, so that minutes pass in moments: they can be killed and cut off
 * from one another. With them clients of bare frames, and those of the client library.
 */
import { Database } from "bun:sqlite";
import { ConnectError, type Transport } from "../base/transport.ts";
import { createClient } from "../client/client.ts";
import { Life, MemoryDisk } from "../client/private-files.fixture.ts";
import type { ChatClient } from "../client/types.ts";
import { openChat } from "../chat/chat.ts";
import type { Configured, FrameOf, Policy } from "../protocol/messages.ts";
import { recordKind } from "../protocol/record.ts";
import type { StateMachine } from "../protocol/state-machine.ts";
import type { Standing } from "../replication/events.ts";
import { ByteNetwork, type Pair } from "../sim/byte-network.ts";
import { portionsOf } from "../sim/fork-portions.ts";
import { sha256 } from "./cluster.fixture.ts";
import { clusterIdOf } from "./identity.ts";
import { ReplicaNode, type NodeLog } from "./node.ts";
import { hostOf, password, SimulatedClient } from "./simulated-client.fixture.ts";

export const addressOf = (pid: number): string => `${hostOf(pid)}:1`;
export const randomBytes = (length: number): Uint8Array => crypto.getRandomValues(new Uint8Array(length));

/** A log that is durable after a moment and gone with the process. */
class MemoryLog implements NodeLog {
  readonly recovered = {
    promised: 0,
    beginning: null,
    isKnown: false,
    views: new Float64Array(0),
    chains: new BigUint64Array(0),
    commit: 0,
    damaged: false,
  };
  readonly #entries: Uint8Array[] = [];
  /** What was superseded and is not merged yet. */
  #forks: Uint8Array[] = [];

  constructor(
    private readonly world: SimulatedWorld,
    private readonly persisted: (sequence: number) => void,
  ) {}

  append(sequence: number, records: readonly Uint8Array[]): void {
    for (const bytes of records) {
      const index = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(16, true));
      if (bytes[8] === recordKind.merged) this.#forks = [];
      if (index > 0) this.#forks.push(...this.#entries.splice(index - 1, Infinity, bytes));
    }
    this.world.network.setTimer(this.world.syncMs, () => this.persisted(sequence));
  }

  read(fromIndex: number): Uint8Array[] {
    return this.#entries.slice(fromIndex - 1, fromIndex + 63);
  }

  orphans(): IterableIterator<readonly Uint8Array[]> {
    return portionsOf(this.#forks.filter((bytes) => bytes[8] === recordKind.op));
  }

  get hasForks(): boolean {
    return this.#forks.length > 0;
  }

  compactable(): null {
    return null;
  }

  compact(): void {}

  beginAnew(): void {}

  repaired(): void {}

  lostItsEnd(): void {}

  close(done: (error: Error | null) => void): void {
    done(null);
  }
}

export class SimulatedWorld {
  readonly network = new ByteNetwork();
  readonly states = new Map<number, StateMachine>();
  readonly nodes = new Map<number, ReplicaNode>();
  readonly said: string[] = [];
  /** How long a log takes to be durable. */
  syncMs = 1;
  readonly #config: Configured[];
  /** Replicas whose process is gone: nothing they would do happens. */
  readonly #dead = new Set<number>();

  /** Connections between replicas, and who reaches whom; null as long as everybody does. */
  readonly #links: { readonly pair: Pair; readonly pids: readonly number[] }[] = [];
  #sides: readonly (readonly number[])[] | null = null;
  readonly #lives = new Map<ChatClient, Life>();

  private constructor(
    size: number,
    private readonly policy: Policy,
  ) {
    this.#config = Array.from({ length: size }, (_, at) => ({
      pid: at + 1,
      address: addressOf(at + 1),
      uuid: null,
    }));
  }

  static async of(size: number, policy: Policy = "available"): Promise<SimulatedWorld> {
    const world = new SimulatedWorld(size, policy);
    for (let pid = 1; pid <= size; pid++) await world.#start(pid);
    await world.until(() => [...world.nodes.values()].every(({ standing }) => standing.ready));
    return world;
  }

  async #start(pid: number): Promise<void> {
    const { network } = this;
    const state = openChat(new Database(":memory:"));
    this.states.set(pid, state);
    const alive =
      <T extends unknown[]>(work: (...values: T) => void) =>
      (...values: T): void => {
        if (!this.#dead.has(pid)) work(...values);
      };
    const node = await ReplicaNode.start(
      {
        self: { pid, uuid: `00000000-0000-4000-8000-00000000000${pid}`, incarnation: 10 + pid },
        peers: this.#config,
        founds: true,
        listen: { host: hostOf(pid), port: 1 },
        cluster: clusterIdOf(this.#config, sha256),
        policy: this.policy,
        heartbeatMs: 100,
        timeoutMs: 1000,
        recoveryWaitMs: 10_000,
        software: "test",
        seed: pid,
      },
      {
        transport: this.#transportOf(pid),
        clock: {
          monotonicMs: () => network.nowMs,
          wallMs: () => network.wallMs(),
          setTimer: (delayMs, callback) => network.setTimer(delayMs, alive(callback)),
        },
        schedule: (callback) => void network.setTimer(0, alive(callback)),
        sha256,
        openLog: (persisted) => new MemoryLog(this, alive(persisted)),
        stateFiles: () => ({ run: () => {} }),
        openState: () => state,
        log: (level, message) => void this.said.push(`${pid} ${level}: ${message}`),
        ready: () => {},
        fatal: (message) => {
          throw new Error(message);
        },
      },
    );
    this.nodes.set(pid, node);
  }

  /** The process is gone at once, and its connections with it. */
  kill(pid: number): void {
    this.#dead.add(pid);
    this.nodes.get(pid)?.listener?.stop();
    for (const pair of this.network.connections) {
      if (pair.client.remote === addressOf(pid)) pair.cut("the process is gone");
    }
  }

  /** These replicas and all others do not reach one another any more; their clients reach no other replica than before. */
  cut(...apart: number[]): void {
    this.split(
      apart,
      this.#config.map(({ pid }) => pid).filter((pid) => !apart.includes(pid)),
    );
  }

  /** Those of one side reach one another, and nobody else; their clients reach no other replica than before. */
  split(...sides: readonly (readonly number[])[]): void {
    this.#sides = sides;
    for (const { pair, pids } of this.#links) {
      if (this.#isCut(pids)) pair.frozen = true;
      else if (pair.frozen) pair.cut("reset");
    }
  }

  /** Of two: cuts them from one another until each serves alone. */
  async apart(pid: number): Promise<void> {
    this.cut(pid);
    await this.until(() => this.#servesWith(1));
  }

  /** The replicas reach one another again; waits until all serve together. */
  async heal(): Promise<void> {
    const links = this.#links.filter(({ pair }) => pair.frozen);
    this.#sides = null;
    for (const { pair } of links) pair.cut("reset");
    await this.until(() => this.#servesWith(this.nodes.size), 60_000);
  }

  /** Whether these, or all, serve in views of so many. */
  #servesWith(copies: number, pids: readonly number[] = [...this.nodes.keys()]): boolean {
    return pids.every((pid) => {
      const { ready, copies: own, members } = this.standing(pid);
      return ready && own === copies && members.length === copies;
    });
  }

  /** Waits until these serve together, and nobody with them. */
  async serve(...pids: number[]): Promise<void> {
    await this.until(() => this.#servesWith(pids.length, pids), 60_000);
  }

  standing(pid: number): Standing {
    const node = this.nodes.get(pid);
    if (node === undefined) throw new RangeError(`there is no replica ${pid}`);
    return node.standing;
  }

  #isCut(pids: readonly number[]): boolean {
    return this.#sides?.some((side) => pids.every((pid) => side.includes(pid))) === false;
  }

  #transportOf(pid: number): Transport {
    const { network } = this;
    return {
      listen: (...all) => network.transport.listen(...all),
      connect: async (host, port, timeoutMs, handlers) => {
        const pids = [pid, Number(host.split(".").at(-1))];
        if (this.#isCut(pids)) return this.#silence(timeoutMs);
        const connection = await network.transport.connect(host, port, timeoutMs, handlers);
        const pair = network.connections.find(({ client }) => client === connection);
        if (pair !== undefined) this.#links.push({ pair, pids });
        return connection;
      },
    };
  }

  async #silence(timeoutMs: number): Promise<never> {
    await new Promise<void>((resolve) => void this.network.setTimer(timeoutMs, resolve));
    throw new ConnectError("no answer", false);
  }

  /** A client of the library, that begins at this replica. */
  library(pid: number): ChatClient {
    const life = new Life(new MemoryDisk(), this.network);
    const transport: Transport = {
      listen: (...all) => life.transport.listen(...all),
      connect: (host, port, timeoutMs, handlers) =>
        this.#sides !== null && host !== hostOf(pid)
          ? this.#silence(timeoutMs)
          : life.transport.connect(host, port, timeoutMs, handlers),
    };
    const client = createClient({ servers: [addressOf(pid)] }, { transport, clock: life.clock, randomBytes });
    this.#lives.set(client, life);
    return client;
  }

  /** The process of a client of the library is gone at once. */
  killClient(client: ChatClient): void {
    this.#lives.get(client)?.kill();
  }

  /** A client of the library, logged in to a new account. */
  async signedIn(pid: number, user: string): Promise<ChatClient> {
    const client = this.library(pid);
    await this.done(client.request({ type: "createAccount", user, password }));
    await this.done(client.request({ type: "login", user, password }));
    return client;
  }

  /** Lets simulated time pass until it is settled. */
  async done<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const mark = (): void => void (isSettled = true);
    promise.then(mark, mark);
    await this.until(() => isSettled);
    return promise;
  }

  /** Lets simulated time pass, and real time for what runs on threads, until it holds. */
  async until(condition: () => boolean, withinMs = 20_000): Promise<void> {
    const endMs = this.network.nowMs + withinMs;
    while (!(await this.network.run(5, condition))) {
      if (this.network.nowMs > endMs) throw new Error("waited in vain");
      await Bun.sleep(1);
    }
  }

  attached(pid: number): string[] {
    return (
      this.states
        .get(pid)
        ?.attachments()
        .map(({ session }) => session) ?? []
    );
  }

  async client(pid: number, session: string = crypto.randomUUID(), seen: Partial<FrameOf<"openSession">> = {}) {
    const client = new SimulatedClient(this, session);
    await client.connect(pid);
    client.hello(seen);
    client.opened = await client.next("sessionOpened");
    return client;
  }
}

/** The replica's end of the last connection that was made. */
export function serverEndOf(world: SimulatedWorld) {
  const pair = world.network.connections.at(-1);
  if (pair === undefined) throw new Error("there is a connection");
  return pair.server;
}

/** Of so many replicas: alice at the first, bob at another, who has got a first message from her. */
export async function aliceAndBob(replicas: number, bobPid: number, text: string) {
  const world = await SimulatedWorld.of(replicas);
  const alice = await world.client(1);
  const bob = await world.client(bobPid);
  await alice.signIn("alice");
  await bob.signIn("bob");
  alice.op({ type: "send", to: "bob", text });
  await world.until(() => bob.texts.length === 1);
  return { world, alice, bob };
}

/** A client whose session stands; what it was told of that is put aside. */
export async function connected(world: SimulatedWorld, pid: number, session: string): Promise<SimulatedClient> {
  const client = new SimulatedClient(world, session);
  await client.connect(pid);
  client.hello();
  await client.next("sessionOpened");
  client.frames.length = 0;
  return client;
}
