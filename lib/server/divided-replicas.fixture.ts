/**
 * Replicas that can be cut from one another while their clients stay, and clients of the library on either side: real
 * replicas and chat; the network, the clock and the log are simulated.
 */
import { Database } from "bun:sqlite";
import { ConnectError, type Transport } from "../base/transport.ts";
import { openChat } from "../chat/chat.ts";
import { createClient } from "../client/client.ts";
import type { ChatClient } from "../client/types.ts";
import type { Configured } from "../protocol/messages.ts";
import { recordKind } from "../protocol/record.ts";
import { ByteNetwork, type Pair } from "../sim/byte-network.ts";
import { sha256 } from "./cluster.fixture.ts";
import { clusterIdOf } from "./identity.ts";
import { ReplicaNode, type NodeLog } from "./node.ts";

export const password = "correct horse";
export const randomBytes = (length: number): Uint8Array => crypto.getRandomValues(new Uint8Array(length));

/** A log that is durable after a millisecond; what is replaced stays as a fork until it is merged. */
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
  #forks: Uint8Array[] = [];

  constructor(
    private readonly network: ByteNetwork,
    private readonly persisted: (sequence: number) => void,
  ) {}

  append(sequence: number, records: readonly Uint8Array[]): void {
    for (const bytes of records) {
      const index = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(16, true));
      if (bytes[8] === recordKind.merged) this.#forks = [];
      if (index > 0) this.#forks.push(...this.#entries.splice(index - 1, Infinity, bytes));
    }
    this.network.setTimer(1, () => this.persisted(sequence));
  }

  read(fromIndex: number): Uint8Array[] {
    return this.#entries.slice(fromIndex - 1, fromIndex + 63);
  }

  orphans(): Uint8Array[] {
    return this.#forks.filter((bytes) => bytes[8] === recordKind.op);
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

  close(done: (error: Error | null) => void): void {
    done(null);
  }
}

export const addressOf = (pid: number): string => `10.0.0.${pid}:1`;

export class DividedReplicas {
  readonly network = new ByteNetwork();
  readonly nodes = new Map<number, ReplicaNode>();
  readonly #config: Configured[];
  readonly #between: Pair[] = [];
  #isCut = false;

  private constructor(size: number) {
    this.#config = Array.from({ length: size }, (_, at) => ({ pid: at + 1, address: addressOf(at + 1), uuid: null }));
  }

  static async of(size: number): Promise<DividedReplicas> {
    const replicas = new DividedReplicas(size);
    for (let pid = 1; pid <= size; pid++) await replicas.#start(pid);
    await replicas.#serve(size);
    return replicas;
  }

  /** Each replica goes on alone. */
  async cut(): Promise<void> {
    this.#isCut = true;
    for (const pair of this.#between) pair.frozen = true;
    await this.#serve(1);
  }

  async heal(): Promise<void> {
    this.#isCut = false;
    for (const pair of this.#between.splice(0)) pair.cut("reset");
    await this.#serve(this.nodes.size);
  }

  /** Of the library, logged in on this replica. */
  async signedIn(pid: number, user: string): Promise<ChatClient> {
    const ports = { transport: this.network.transport, clock: this.network, randomBytes };
    const client = createClient({ servers: [addressOf(pid)] }, ports);
    await this.done(client.request({ type: "createAccount", user, password }));
    await this.done(client.request({ type: "login", user, password }));
    return client;
  }

  async done<T>(promise: Promise<T>): Promise<T> {
    let isDone = false;
    const mark = (): void => void (isDone = true);
    promise.then(mark, mark);
    await this.until(() => isDone);
    return promise;
  }

  /** Lets simulated time pass, and real time for what runs on threads, until it holds. */
  async until(condition: () => boolean, withinMs = 60_000): Promise<void> {
    const endMs = this.network.nowMs + withinMs;
    while (!(await this.network.run(5, condition))) {
      if (this.network.nowMs > endMs) throw new Error("waited in vain");
      await Bun.sleep(1);
    }
  }

  #serve(copies: number): Promise<void> {
    return this.until(() =>
      [...this.nodes.values()].every(({ standing }) => standing.ready && standing.copies === copies),
    );
  }

  async #start(pid: number): Promise<void> {
    const { network } = this;
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
        transport: this.#transport,
        clock: network,
        schedule: (callback) => void network.setTimer(0, callback),
        sha256,
        openLog: (persisted) => new MemoryLog(network, persisted),
        stateFiles: () => ({ run: () => {} }),
        openState: () => openChat(new Database(":memory:")),
        log: () => {},
        ready: () => {},
        fatal: (message) => {
          throw new Error(message);
        },
      },
    );
    this.nodes.set(pid, node);
  }

  /** Of the replicas: that of clients is not cut. */
  readonly #transport: Transport = {
    listen: (host, port, accept) => this.network.transport.listen(host, port, accept),
    connect: async (host, port, timeoutMs, handlers) => {
      if (this.#isCut) {
        await new Promise<void>((resolve) => void this.network.setTimer(timeoutMs, resolve));
        throw new ConnectError("no answer", false);
      }
      const connection = await this.network.transport.connect(host, port, timeoutMs, handlers);
      const pair = this.network.connections.find(({ client }) => client === connection);
      if (pair !== undefined) this.#between.push(pair);
      return connection;
    },
  };
}
