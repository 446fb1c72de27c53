/**
 * For tests of many clients over minutes of simulated time: real replicas and chat, on a network, a clock and logs that
 * are simulated.
 */
import { Database } from "bun:sqlite";
import type { Connection } from "../base/transport.ts";
import { openChat } from "../chat/chat.ts";
import { decodeFrame, encodeFrame } from "../protocol/codec.ts";
import { FrameReader } from "../protocol/frame-reader.ts";
import { protocolMagic, type Configured, type Frame, type FrameOf, type FrameType } from "../protocol/messages.ts";
import type { StateMachine } from "../protocol/state-machine.ts";
import { ByteNetwork } from "../sim/byte-network.ts";
import { sha256 } from "./cluster.fixture.ts";
import { clusterIdOf } from "./identity.ts";
import { ReplicaNode, type NodeLog } from "./node.ts";

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

  constructor(
    private readonly world: World,
    private readonly persisted: (sequence: number) => void,
  ) {}

  append(sequence: number, records: readonly Uint8Array[]): void {
    for (const bytes of records) {
      const index = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(16, true));
      if (index > 0) this.#entries.splice(index - 1, Infinity, bytes);
    }
    this.world.network.setTimer(this.world.syncMs, () => this.persisted(sequence));
  }

  read(fromIndex: number): Uint8Array[] {
    return this.#entries.slice(fromIndex - 1, fromIndex + 63);
  }

  orphans(): Uint8Array[] {
    return [];
  }

  readonly hasForks = false;

  compactable(): null {
    return null;
  }

  compact(): void {}

  beginAnew(): void {}

  repaired(): void {}

  close(done: (error: Error | null) => void): void {
    done(null);
  }
}

export class World {
  readonly network = new ByteNetwork();
  readonly states = new Map<number, StateMachine>();
  readonly nodes = new Map<number, ReplicaNode>();
  readonly said: string[] = [];
  /** How long a log takes to be durable. */
  syncMs = 1;
  readonly #config: Configured[];
  /** Replicas whose process is gone: nothing they would do happens. */
  readonly #dead = new Set<number>();

  constructor(size: number) {
    this.#config = Array.from({ length: size }, (_, at) => ({
      pid: at + 1,
      address: `10.0.0.${at + 1}:1`,
      uuid: null,
    }));
  }

  static async of(size: number): Promise<World> {
    const world = new World(size);
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
        listen: { host: `10.0.0.${pid}`, port: 1 },
        cluster: clusterIdOf(this.#config, sha256),
        policy: "available",
        heartbeatMs: 100,
        timeoutMs: 1000,
        recoveryWaitMs: 10_000,
        software: "test",
        seed: pid,
      },
      {
        transport: network.transport,
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
      if (pair.client.remote === `10.0.0.${pid}:1`) pair.cut("the process is gone");
    }
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

export class SimulatedClient {
  readonly frames: Frame[] = [];
  closed: string | null = null;
  opened: FrameOf<"sessionOpened"> | null = null;
  #connection: Connection | null = null;
  #seq = 0;

  constructor(
    private readonly world: World,
    readonly session: string,
  ) {}

  async connect(pid: number): Promise<void> {
    const reader = new FrameReader(() => 8 * 1024 * 1024);
    void this.world.network.transport.connect(`10.0.0.${pid}`, 1, 1000, (connection) => {
      this.#connection = connection;
      return {
        data: (chunk) => reader.push(chunk, (payload) => void this.frames.push(decodeFrame(payload))),
        closed: (reason) => void (this.closed = reason),
      };
    });
    await this.world.until(() => this.#connection !== null);
  }

  /** Says who it is, and opens its session. */
  hello(seen: Partial<FrameOf<"openSession">> = {}): void {
    this.send({ type: "hello", magic: protocolMagic, version: 1, software: "test" });
    const places = { lastView: 0, lastIndex: 0, lastMessageIndex: 0 };
    const token = new Uint8Array(16).fill(1);
    this.send({ type: "openSession", request: 1, session: this.session, token, create: true, ...places, ...seen });
  }

  send(...frames: Frame[]): void {
    for (const frame of frames) this.#connection?.send(encodeFrame(frame));
  }

  /** Sends an op under the next number, which is that of the request too and is returned. */
  op(
    fields:
      { type: "createAccount" | "login"; user: string; password: string } | { type: "send"; to: string; text: string },
  ): number {
    const seq = ++this.#seq;
    this.send({ request: seq, seq, oldest: seq, ...fields } as Frame);
    return seq;
  }

  async signIn(user: string): Promise<void> {
    const password = "correct horse";
    this.op({ type: "createAccount", user, password });
    this.op({ type: "login", user, password });
    await this.next("loggedIn");
  }

  async next<T extends FrameType>(type: T, withinMs = 20_000): Promise<FrameOf<T>> {
    let at = -1;
    await this.world.until(() => (at = this.frames.findIndex((frame) => frame.type === type)) >= 0, withinMs);
    return this.frames.splice(at, 1)[0] as FrameOf<T>;
  }

  async answerTo(request: number): Promise<Frame> {
    const find = (): Frame | undefined => this.frames.find((frame) => "request" in frame && frame.request === request);
    await this.world.until(() => find() !== undefined);
    return find() as Frame;
  }

  get texts(): string[] {
    return this.frames.flatMap((frame) => (frame.type === "message" ? [frame.message.text] : []));
  }

  /** The connection is lost without a word. */
  lose(): void {
    this.#connection?.terminate();
  }
}

/** The replica's end of the last connection that was made. */
export function serverEndOf(world: World) {
  const pair = world.network.connections.at(-1);
  if (pair === undefined) throw new Error("there is a connection");
  return pair.server;
}

/** Of so many replicas: alice at the first, bob at another, who has got a first message from her. */
export async function aliceAndBob(replicas: number, bobPid: number, text: string) {
  const world = await World.of(replicas);
  const alice = await world.client(1);
  const bob = await world.client(bobPid);
  await alice.signIn("alice");
  await bob.signIn("bob");
  alice.op({ type: "send", to: "bob", text });
  await world.until(() => bob.texts.length === 1);
  return { world, alice, bob };
}
