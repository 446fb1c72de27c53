/**
 * The ports `Transport` and `Clock` in memory: byte streams over virtual time that can be split anywhere, cut after any
 * byte, frozen (a half-open connection) or swallowed by a host that is gone. For tests of code above those ports.
 * Deterministic: time passes only within {@link ByteNetwork.run}, and equal times happen in the order scheduled.
 */
import { ConnectError, type Clock, type Connection, type ConnectionHandlers } from "../base/transport.ts";
import type { Listener, Transport } from "../base/transport.ts";

/** How often promises get their turn after each event: more than any chain of `then` in the code under test is long. */
const microtaskTurns = 12;

interface Scheduled {
  readonly atMs: number;
  action: (() => void) | null;
}

export class ByteNetwork implements Clock {
  nowMs = 0;
  /** One way. */
  latencyMs = 1;
  /** Cuts a chunk into the pieces in which it arrives. */
  split: (chunk: Uint8Array) => Uint8Array[] = (chunk) => [chunk];
  /** Bytes delivered in both directions since the start. */
  delivered = 0;
  /** Every connection that was made, in order. */
  readonly connections: Pair[] = [];
  readonly dialled: { readonly address: string; readonly atMs: number }[] = [];

  readonly #queue: Scheduled[] = [];
  readonly #listeners = new Map<string, (connection: Connection) => ConnectionHandlers>();
  readonly #silent = new Set<string>();
  #cutAfter: number | null = null;

  readonly transport: Transport = {
    listen: async (host, port, accept): Promise<Listener> => {
      const address = `${host}:${port}`;
      if (this.#listeners.has(address)) throw new Error(`cannot listen on ${address}: it is in use`);
      this.#listeners.set(address, accept);
      return { host, port, stop: () => void this.#listeners.delete(address) };
    },
    connect: (host, port, timeoutMs, handlers) => this.#connect(`${host}:${port}`, timeoutMs, handlers),
  };

  monotonicMs(): number {
    return this.nowMs;
  }

  wallMs(): number {
    return Math.floor(1_700_000_000_000 + this.nowMs);
  }

  setTimer(delayMs: number, callback: () => void): () => void {
    const scheduled: Scheduled = { atMs: this.nowMs + Math.max(0, delayMs), action: callback };
    // After everything that is due at the same time or earlier.
    let at = this.#queue.length;
    while (at > 0 && (this.#queue[at - 1]?.atMs ?? 0) > scheduled.atMs) at--;
    this.#queue.splice(at, 0, scheduled);
    return () => {
      scheduled.action = null;
    };
  }

  /** Lets `forMs` pass, or less when `until` holds earlier; whether it did (true without it). */
  async run(forMs: number, until?: () => boolean): Promise<boolean> {
    const endMs = this.nowMs + forMs;
    for (;;) {
      for (let turn = 0; turn < microtaskTurns; turn++) await Promise.resolve();
      if (until?.() === true) return true;
      const next = this.#queue[0];
      if (next === undefined || next.atMs > endMs) {
        this.nowMs = endMs;
        return until === undefined;
      }
      this.#queue.shift();
      this.nowMs = next.atMs;
      next.action?.();
    }
  }

  /** A silent address neither accepts nor refuses: its machine is gone. Its connections stay as they are. */
  setSilent(address: string, silent: boolean): void {
    if (silent) this.#silent.add(address);
    else this.#silent.delete(address);
  }

  /** The connection on which the n-th byte from now is delivered ends with that byte. */
  cutAfter(bytes: number): void {
    this.#cutAfter = this.delivered + bytes;
  }

  /** How many bytes may be delivered at once; `cut` when the connection ends after them. */
  allowance(bytes: number): { readonly bytes: number; readonly cut: boolean } {
    if (this.#cutAfter === null || this.delivered + bytes < this.#cutAfter) return { bytes, cut: false };
    const allowed = this.#cutAfter - this.delivered;
    this.#cutAfter = null;
    return { bytes: allowed, cut: true };
  }

  #connect(
    address: string,
    timeoutMs: number,
    handlers: (connection: Connection) => ConnectionHandlers,
  ): Promise<Connection> {
    this.dialled.push({ address, atMs: this.nowMs });
    return new Promise((resolve, reject) => {
      if (this.#silent.has(address)) {
        const message = `did not answer within ${timeoutMs} ms`;
        this.setTimer(timeoutMs, () => reject(new ConnectError(`${address} ${message}`, false)));
        return;
      }
      this.setTimer(2 * this.latencyMs, () => {
        const accept = this.#listeners.get(address);
        if (accept === undefined) return reject(new ConnectError(`${address} refused the connection`, true));
        const pair = new Pair(this, address);
        this.connections.push(pair);
        pair.server.handlers = accept(pair.server);
        pair.client.handlers = handlers(pair.client);
        resolve(pair.client);
      });
    });
  }
}

/** Both ends of one connection. */
export class Pair {
  readonly client: End;
  readonly server: End;
  /** Nothing arrives any more, and nobody is told. */
  frozen = false;

  constructor(network: ByteNetwork, address: string) {
    this.client = new End(network, this, address);
    this.server = new End(network, this, "client");
    this.client.other = this.server;
    this.server.other = this.client;
  }

  /** Both ends learn that the connection is gone. */
  cut(reason: string): void {
    this.client.ended(reason);
    this.server.ended(reason);
  }
}

export class End implements Connection {
  handlers: ConnectionHandlers | null = null;
  other: End | null = null;
  readonly isLocal = false;
  closed = false;
  queuedBytes = 0;
  #closing = false;

  constructor(
    private readonly network: ByteNetwork,
    private readonly pair: Pair,
    readonly remote: string,
  ) {}

  send(bytes: Uint8Array): void {
    if (this.closed || this.#closing) return;
    for (const piece of this.network.split(Uint8Array.from(bytes))) {
      this.network.setTimer(this.network.latencyMs, () => this.#deliver(piece));
    }
  }

  pause(): void {
    throw new Error("back-pressure is not simulated");
  }

  resume(): void {}

  close(): void {
    this.#closing = true;
    this.network.setTimer(this.network.latencyMs, () => {
      if (!this.pair.frozen) this.pair.cut("closed");
    });
  }

  terminate(): void {
    if (this.closed) return;
    this.ended("terminated here");
    this.network.setTimer(this.network.latencyMs, () => {
      if (!this.pair.frozen) this.other?.ended("closed by the other side");
    });
  }

  ended(reason: string): void {
    if (this.closed) return;
    this.closed = true;
    this.handlers?.closed(reason);
  }

  #deliver(piece: Uint8Array): void {
    // What was sent before a graceful close still arrives; what a terminated end had queued does not.
    if (this.closed || this.other === null || this.other.closed || this.pair.frozen) return;
    const { bytes, cut } = this.network.allowance(piece.length);
    this.network.delivered += bytes;
    if (bytes > 0) this.other.handlers?.data(piece.subarray(0, bytes));
    if (cut) this.pair.cut("cut");
  }
}
