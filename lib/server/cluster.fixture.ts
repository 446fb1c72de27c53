/**
 * Replicas for tests, composed as `serve` composes them but within this process: real sockets on free ports, real logs
 * and real chat state in a temporary directory. And a client made of bare frames, to misbehave with.
 */
import { Database } from "bun:sqlite";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { limits } from "../base/limits.ts";
import type { Connection } from "../base/transport.ts";
import { openChat, snapshotRefusal, type Chat } from "../chat/chat.ts";
import { createClient } from "../client/client.ts";
import type { ChatClient } from "../client/types.ts";
import { nextTurn, systemClock } from "../io/clock.ts";
import { openDisk } from "../io/disk.ts";
import { openStateFiles, prepareStateFiles, type OpenStateFiles } from "../io/state-files.ts";
import { tcpTransport } from "../io/tcp.ts";
import { openLog } from "../log/wal.ts";
import { decodeFrame, encodeFrame } from "../protocol/codec.ts";
import { FrameReader } from "../protocol/frame-reader.ts";
import {
  protocolMagic,
  type Configured,
  type Frame,
  type FrameOf,
  type FrameType,
  type Policy,
} from "../protocol/messages.ts";
import type { AnswerElsewhere } from "./client-connection.ts";
import { clusterIdOf } from "./identity.ts";
import { ReplicaNode, type NodeOptions } from "./node.ts";

export const host = "127.0.0.1";
export const sha256 = (bytes: Uint8Array): Uint8Array => new Bun.CryptoHasher("sha256").update(bytes).digest();

export async function until(condition: () => boolean, what = "a condition"): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited 20 s in vain for ${what}`);
    await Bun.sleep(2);
  }
}

export function freePorts(count: number): number[] {
  const listeners = Array.from({ length: count }, () => Bun.listen({ hostname: host, port: 0, socket: { data() {} } }));
  const ports = listeners.map(({ port }) => port);
  for (const listener of listeners) listener.stop(true);
  return ports;
}

let lastIncarnation = 1000;

/** A few replicas and what they have said. */
export class TestCluster {
  readonly directory = mkdtempSync(join(tmpdir(), "chatd-server-"));
  readonly peers: readonly Configured[];
  readonly nodes = new Map<number, ReplicaNode>();
  readonly said: string[] = [];
  readonly ready: number[] = [];
  readonly fatal: string[] = [];
  readonly #policy: Policy;
  readonly #uuids = new Map<number, string>();
  readonly #files = new Map<number, OpenStateFiles>();
  /** Of replicas that are started from now on. */
  transport = tcpTransport();
  /** Of the logs of replicas that are started from now on. */
  segmentBytes = limits.segmentBytes;
  /** Who answers the questions that may take long, of replicas that are started from now on. */
  answerElsewhere: AnswerElsewhere | null = null;

  constructor(size: number, policy: Policy = "available") {
    this.#policy = policy;
    this.peers = freePorts(size).map((port, at) => ({ pid: at + 1, address: `${host}:${port}`, uuid: null }));
  }

  address(pid: number): string {
    return this.peers[pid - 1]?.address ?? "";
  }

  port(pid: number): number {
    return Number(this.address(pid).split(":")[1]);
  }

  async start(pid: number, overrides: Partial<NodeOptions> = {}): Promise<ReplicaNode> {
    const directory = join(this.directory, String(pid));
    mkdirSync(directory, { recursive: true });
    const uuid = this.#uuids.get(pid) ?? crypto.randomUUID();
    this.#uuids.set(pid, uuid);
    const cluster = overrides.cluster ?? clusterIdOf(this.peers, sha256);
    const options: NodeOptions = {
      self: { pid, uuid, incarnation: ++lastIncarnation },
      peers: this.peers,
      founds: true,
      listen: { host, port: this.port(pid) },
      cluster,
      policy: this.#policy,
      heartbeatMs: 30,
      timeoutMs: 400,
      recoveryWaitMs: 1500,
      software: "chatd test",
      seed: pid,
      ...overrides,
    };
    const statePath = join(directory, "state.sqlite");
    prepareStateFiles(statePath);
    let files: OpenStateFiles | null = null;
    const node = await ReplicaNode.start(options, {
      transport: this.transport,
      clock: systemClock,
      schedule: nextTurn,
      sha256,
      openLog: (persisted) => {
        const failed = (error: Error): void => void this.fatal.push(error.message);
        const owner = { cluster, replica: uuid };
        return openLog(openDisk(directory), owner, { persisted, failed }, { segmentBytes: this.segmentBytes });
      },
      stateFiles: (hooks) => {
        files = openStateFiles({
          ...hooks,
          path: statePath,
          openState: () => openState(statePath),
          refusal: snapshotRefusal,
          openNothing: () => openChat(new Database(":memory:")),
          failed: (error) => void this.fatal.push(error.message),
          log: (level, message) => void this.said.push(`${pid} ${level}: ${message}`),
        });
        return files;
      },
      openState: () => openState(statePath),
      ...(this.answerElsewhere === null ? {} : { answerElsewhere: this.answerElsewhere }),
      log: (level, message) => void this.said.push(`${pid} ${level}: ${message}`),
      ready: () => void this.ready.push(pid),
      fatal: (message) => void this.fatal.push(`${pid}: ${message}`),
    });
    this.nodes.set(pid, node);
    if (files !== null) this.#files.set(pid, files);
    return node;
  }

  async startAll(): Promise<void> {
    for (const { pid } of this.peers) await this.start(pid);
    await until(() => this.peers.every(({ pid }) => this.ready.includes(pid)), "all replicas to be ready");
  }

  async stop(pid: number): Promise<void> {
    const node = this.nodes.get(pid);
    this.nodes.delete(pid);
    await node?.stop();
    await this.#files.get(pid)?.stop();
    this.#files.delete(pid);
  }

  /** Its disk is replaced by an empty one; it does not run. */
  wipe(pid: number): void {
    rmSync(join(this.directory, String(pid)), { recursive: true, force: true });
    this.#uuids.delete(pid);
  }

  /** The file of its state is gone; it does not run. */
  forgetState(pid: number): void {
    const directory = join(this.directory, String(pid));
    for (const name of readdirSync(directory)) if (name.startsWith("state")) rmSync(join(directory, name));
  }

  /** Segments of its log, by name. */
  segments(pid: number): string[] {
    return readdirSync(join(this.directory, String(pid))).filter((name) => name.endsWith(".wal"));
  }

  client(pid: number, software = "test"): ChatClient {
    return createClient(
      { servers: [this.address(pid)], software },
      {
        transport: tcpTransport(),
        clock: systemClock,
        randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
      },
    );
  }

  async close(): Promise<void> {
    await Promise.all([...this.nodes.keys()].map((pid) => this.stop(pid)));
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** As `serve` opens it. */
function openState(path: string): Chat {
  const database = new Database(path);
  database.run("PRAGMA busy_timeout = 5000");
  return openChat(database, { checkpointPages: 0 });
}

/** A client that sends what it is told to, and keeps what comes. */
export class RawClient {
  readonly frames: Frame[] = [];
  closed: string | null = null;
  ended = false;
  #connection: Connection | null = null;
  readonly #reader = new FrameReader(() => 8 * 1024 * 1024);

  static async connect(port: number): Promise<RawClient> {
    const client = new RawClient();
    await tcpTransport().connect(host, port, 2000, (connection) => {
      client.#connection = connection;
      return {
        data: (chunk) => client.#reader.push(chunk, (payload) => void client.frames.push(decodeFrame(payload))),
        closed: (reason, ended = false) => {
          client.closed = reason;
          client.ended = ended;
        },
      };
    });
    return client;
  }

  /** Connects and says hello. */
  static async greeted(port: number): Promise<RawClient> {
    const client = await RawClient.connect(port);
    client.send({ type: "hello", magic: protocolMagic, version: 1, software: "raw" });
    await client.next("welcome");
    return client;
  }

  /** With a session of its own. */
  static async opened(port: number, session: string = crypto.randomUUID()): Promise<RawClient> {
    const client = await RawClient.greeted(port);
    client.open({ session });
    await client.next("sessionOpened");
    return client;
  }

  open(fields: Partial<FrameOf<"openSession">>): void {
    const defaults = { request: 1, token: new Uint8Array(16).fill(7), create: true };
    const seen = { lastView: 0, lastIndex: 0, lastMessageIndex: 0 };
    this.send({ type: "openSession", session: crypto.randomUUID(), ...defaults, ...seen, ...fields });
  }

  send(...frames: Frame[]): void {
    for (const frame of frames) this.#connection?.send(encodeFrame(frame));
  }

  bytes(...bytes: number[]): void {
    this.#connection?.send(Uint8Array.from(bytes));
  }

  raw(bytes: Uint8Array): void {
    this.#connection?.send(bytes);
  }

  get connection(): Connection {
    if (this.#connection === null) throw new Error("not connected");
    return this.#connection;
  }

  /** The next frame of that type, from where the last one was found; waits for it. */
  async next<T extends FrameType>(type: T): Promise<FrameOf<T>> {
    let found: Frame | undefined;
    await until(() => {
      if (this.closed !== null && !this.frames.some((frame) => frame.type === type)) {
        throw new Error(
          `closed (${this.closed}) while waiting for ${type}; got ${this.frames.map((frame) => frame.type).join()}`,
        );
      }
      const at = this.frames.findIndex((frame) => frame.type === type);
      if (at >= 0) [found] = this.frames.splice(at, 1);
      return found !== undefined;
    }, `a ${type} frame`);
    return found as FrameOf<T>;
  }

  terminate(): void {
    this.#connection?.terminate();
  }
}
