/**
 * Links between replicas that can be cut without root: each replica is reached at an address where a relay listens, which
 * passes everything on. From the first frame on a connection the relay learns which replica calls, so that what passes
 * between two of them can be held back, delayed or reset, each direction for itself. What clients say always passes.
 */
import { createServer, connect, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { limits } from "../../lib/base/limits.ts";
import { decodeFrame } from "../../lib/protocol/codec.ts";
import { FrameReader } from "../../lib/protocol/frame-reader.ts";
import type { Place } from "./cluster.ts";
import type { CutKind, Links } from "./links.ts";
import { freePorts } from "./ports.ts";

const loopback = "127.0.0.1";
/** So much may wait in one direction before its sender is held up. */
const heldBytesMax = 1 << 20;

const nameOf = (from: number, to: number): string => `${from}>${to}`;

/** What is wrong with the links now. */
class Conditions {
  readonly cuts = new Map<string, CutKind>();
  readonly delaysMs = new Map<string, number>();
}

/** Bytes from one socket to another, held while the direction is cut, late while it is slow. Ends travel like bytes. */
class Direction {
  readonly #queue: { readonly bytes: Uint8Array | "end" | "reset"; readonly dueMs: number }[] = [];
  #heldBytes = 0;
  #blocked = false;
  #waits = false;

  constructor(
    readonly name: string | null,
    private readonly source: Socket,
    private readonly target: Socket,
    private readonly conditions: Conditions,
  ) {
    source.on("data", (bytes: Uint8Array) => this.push(bytes));
    source.on("end", () => this.push("end"));
    source.on("error", () => this.push("reset"));
    source.on("close", () => this.push("end"));
    target.on("drain", () => {
      this.#blocked = false;
      this.pump();
    });
  }

  push(bytes: Uint8Array | "end" | "reset"): void {
    const delayMs = this.name === null ? 0 : (this.conditions.delaysMs.get(this.name) ?? 0);
    // No byte overtakes another when a delay ends.
    const dueMs = Math.max(performance.now() + delayMs, this.#queue.at(-1)?.dueMs ?? 0);
    this.#queue.push({ bytes, dueMs });
    if (typeof bytes !== "string") this.#heldBytes += bytes.length;
    if (this.#heldBytes > heldBytesMax) this.source.pause();
    this.pump();
  }

  /** Passes on what may pass now. */
  pump(): void {
    if (this.name !== null && this.conditions.cuts.has(this.name)) return;
    for (let [head] = this.#queue; head !== undefined && !this.#blocked; [head] = this.#queue) {
      const waitMs = head.dueMs - performance.now();
      if (waitMs > 0) {
        if (!this.#waits) setTimeout(() => this.#goOn(), waitMs);
        this.#waits = true;
        return;
      }
      this.#queue.shift();
      if (head.bytes === "end") this.target.end();
      else if (head.bytes === "reset") this.target.destroy();
      else {
        this.#heldBytes -= head.bytes.length;
        this.#blocked = !this.target.write(head.bytes);
      }
    }
    if (this.#heldBytes <= heldBytesMax) this.source.resume();
  }

  #goOn(): void {
    this.#waits = false;
    this.pump();
  }
}

/** One connection that is passed on: the caller's socket, the replica's, and both directions between them. */
class Passage {
  readonly directions: readonly [Direction, Direction];

  constructor(
    readonly from: number | null,
    readonly to: number,
    readonly caller: Socket,
    readonly replica: Socket,
    conditions: Conditions,
  ) {
    this.directions = [
      new Direction(from === null ? null : nameOf(from, to), caller, replica, conditions),
      new Direction(from === null ? null : nameOf(to, from), replica, caller, conditions),
    ];
  }

  joins(one: number, other: number): boolean {
    return (this.from === one && this.to === other) || (this.from === other && this.to === one);
  }

  /** The end of this connection that belongs to a replica. */
  endAt(pid: number): Socket {
    return pid === this.to ? this.replica : this.caller;
  }

  destroy(): void {
    this.caller.destroy();
    this.replica.destroy();
  }
}

export class Relays implements Links {
  readonly kind = "relays";
  readonly flags: readonly string[] = [];
  readonly #conditions = new Conditions();
  readonly #servers: Server[] = [];
  readonly #passages = new Set<Passage>();
  readonly #ends: { readonly pid: number; readonly outside: number; readonly inside: number }[];

  private constructor(count: number) {
    const ports = freePorts(2 * count);
    this.#ends = Array.from({ length: count }, (_, at) => ({
      pid: at + 1,
      outside: ports[2 * at] ?? 0,
      inside: ports[2 * at + 1] ?? 0,
    }));
  }

  /** Relays for replicas 1 to `count`, listening. */
  static async open(count = 3): Promise<Relays> {
    const relays = new Relays(count);
    for (const { pid, outside, inside } of relays.#ends) {
      const server = createServer({ allowHalfOpen: true }, (caller) => relays.#accept(caller, pid, inside));
      relays.#servers.push(server);
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject);
        server.listen(outside, loopback, resolve);
      });
    }
    return relays;
  }

  places(directory: string): Place[] {
    return this.#ends.map(({ pid, outside, inside }) => ({
      pid,
      address: `${loopback}:${outside}`,
      listen: `${loopback}:${inside}`,
      dataDirectory: join(directory, String(pid)),
      stderrFile: join(directory, `${pid}.log`),
    }));
  }

  clientPrefix(): readonly string[] {
    return [];
  }

  /** `reject` also resets what `from` has open: whoever sends is told, whoever waits hears nothing more. */
  cut(from: number, to: number, kind: CutKind): void {
    this.#conditions.cuts.set(nameOf(from, to), kind);
    if (kind === "drop") return;
    for (const passage of this.#passages) if (passage.joins(from, to)) passage.endAt(from).destroy();
  }

  mend(from: number, to: number): void {
    if (!this.#conditions.cuts.delete(nameOf(from, to))) return;
    for (const passage of this.#passages)
      if (passage.joins(from, to)) for (const each of passage.directions) each.pump();
  }

  delay(one: number, other: number, ms: number): boolean {
    for (const name of [nameOf(one, other), nameOf(other, one)]) {
      if (ms > 0) this.#conditions.delaysMs.set(name, ms);
      else this.#conditions.delaysMs.delete(name);
    }
    return true;
  }

  narrow(): boolean {
    return false;
  }

  reset(one: number, other: number): boolean {
    for (const passage of this.#passages) if (passage.joins(one, other)) passage.destroy();
    return true;
  }

  close(): void {
    for (const server of this.#servers) server.close();
    for (const passage of this.#passages) passage.destroy();
  }

  /** Reads the first frame, which says who calls, before anything is passed on. */
  #accept(caller: Socket, to: number, port: number): void {
    const reader = new FrameReader(() => limits.replicaFrameBytesMax);
    const read: Uint8Array[] = [];
    caller.on("error", () => caller.destroy());
    const look = (bytes: Uint8Array): void => {
      read.push(bytes);
      let from: number | null | undefined;
      try {
        reader.push(bytes, (payload) => (from ??= callerOf(payload)));
      } catch {
        from = null;
      }
      if (from === undefined) return;
      caller.off("data", look);
      caller.pause();
      if (from !== null && this.#conditions.cuts.get(nameOf(from, to)) === "reject") caller.destroy();
      else this.#pass(caller, from, to, port, read);
    };
    caller.on("data", look);
  }

  #pass(caller: Socket, from: number | null, to: number, port: number, read: readonly Uint8Array[]): void {
    const replica = connect({ host: loopback, port, allowHalfOpen: true });
    const passage = new Passage(from, to, caller, replica, this.#conditions);
    this.#passages.add(passage);
    for (const socket of [caller, replica]) {
      socket.setNoDelay(true);
      socket.on("close", () => {
        if (caller.destroyed && replica.destroyed) this.#passages.delete(passage);
      });
    }
    for (const bytes of read) passage.directions[0].push(bytes);
    caller.resume();
  }
}

/** The pid in a replica's hello; null for anybody else. */
function callerOf(payload: Uint8Array): number | null {
  const frame = decodeFrame(payload);
  return frame.type === "peerHello" ? frame.pid : null;
}
