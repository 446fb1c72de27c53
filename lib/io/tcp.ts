/**
 * The real `Transport`: TCP by `Bun.listen` and `Bun.connect`. Owns the queue of bytes that the system has not taken, its
 * cap, half-open connections, and the time limits on connecting and closing. Knows nothing of what the bytes mean.
 *
 * What Bun leaves to its user: `write` takes only a part when the buffer is full and is a system call each time; `end`
 * closes both directions and resets the connection if input is unread; without `allowHalfOpen` queued bytes are lost when
 * the other side ends; connecting has no time limit, and every failure of it is called ECONNREFUSED (see `refusal.ts`).
 */
import type { Socket } from "bun";
import { formatAddress } from "../base/address.ts";
import { limits } from "../base/limits.ts";
import {
  ConnectError,
  type Connection,
  type ConnectionHandlers,
  type Listener,
  type Transport,
} from "../base/transport.ts";
import { isRefused } from "./refusal.ts";

export interface TcpOptions {
  /** Bytes queued towards a reader that does not keep up, above which it is disconnected. */
  readonly queueBytesMax?: number;
  /** How long a connection that is being closed waits for the other side to take what is queued and to close as well. */
  readonly lingerMs?: number;
  /**
   * Connections that a listener takes at once; further ones it closes. Without room for them the system would say again and again
   * that they wait, and the process do nothing else. Default: any number.
   */
  readonly acceptedMax?: number;
  /** A listener has begun to close what is too many. */
  readonly full?: () => void;
}

/** An address cannot be bound. */
export class ListenError extends Error {
  override readonly name = "ListenError";
  constructor(
    message: string,
    readonly code: "in-use" | "not-here" | "denied" | "other",
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** What one write hands over at most: many small sends are copied together into it. */
const scratch = new Uint8Array(256 * 1024);

const nothing = new Uint8Array(0);

/** Connections with something to write, flushed together once per turn of the event loop. */
let dirty: TcpConnection[] = [];
function flushAll(): void {
  const connections = dirty;
  dirty = [];
  for (const connection of connections) connection.flush();
}

interface Holder {
  connection: TcpConnection | null;
}

type Stage =
  | "open"
  /** Closed by its owner: what is queued goes out, then this side ends. */
  | "closing"
  /** This side has ended and waits for the other one. */
  | "shut"
  | "closed";

class TcpConnection implements Connection {
  readonly remote: string;
  readonly isLocal: boolean;
  queuedBytes = 0;

  readonly #socket: Socket<Holder>;
  readonly #queueBytesMax: number;
  readonly #lingerMs: number;
  #handlers: ConnectionHandlers | null = null;
  #stage: Stage = "open";
  /** Chunks from `#head` on are queued; the first of them without its first `#taken` bytes. */
  #chunks: Uint8Array[] = [];
  #head = 0;
  #taken = 0;
  #scheduled = false;
  /** The system's buffer is full; `drain` will be called. */
  #blocked = false;
  /** The other side has ended its stream. */
  #ended = false;
  #reason: string | null = null;
  #overflowed = false;
  #linger: ReturnType<typeof setTimeout> | null = null;
  /** What is to be told of the end, when it came before anybody could be told. */
  #untold: Parameters<ConnectionHandlers["closed"]> | null = null;

  constructor(socket: Socket<Holder>, options: Required<TcpOptions>) {
    this.#socket = socket;
    this.#queueBytesMax = options.queueBytesMax;
    this.#lingerMs = options.lingerMs;
    // Undefined, whatever the types say, when the other end has hung up before it was accepted.
    const address: string | undefined = socket.remoteAddress;
    this.remote = address === undefined ? "a peer that is gone" : formatAddress(address, socket.remotePort);
    this.isLocal = address !== undefined && address === socket.localAddress;
  }

  start(handlers: ConnectionHandlers): void {
    this.#handlers = handlers;
    if (this.#untold !== null) handlers.closed(...this.#untold);
  }

  send(bytes: Uint8Array): void {
    if (this.#stage !== "open" || bytes.length === 0) return;
    this.#chunks.push(bytes);
    this.queuedBytes += bytes.length;
    if (this.queuedBytes > this.#queueBytesMax) {
      this.#reason = `it reads too slowly: ${this.queuedBytes} bytes were waiting for it`;
      this.#overflowed = true;
      this.#stage = "shut";
      this.#dropQueue();
      // Not within the sender's call: it may be in the middle of telling many.
      queueMicrotask(() => this.#abort());
      return;
    }
    if (this.#scheduled || this.#blocked) return;
    this.#scheduled = true;
    if (dirty.push(this) === 1) setImmediate(flushAll);
  }

  pause(): void {
    if (this.#stage === "open" && !this.#ended) this.#socket.pause();
  }

  resume(): void {
    if (this.#stage === "open") this.#socket.resume();
  }

  close(): void {
    if (this.#stage !== "open") return;
    this.#stage = "closing";
    this.#reason ??= "closed here";
    // A paused socket would not notice the other side's end; what arrives from now on is dropped.
    this.#socket.resume();
    this.#lingerOnly();
    this.flush();
  }

  terminate(): void {
    this.#reason ??= "closed here";
    this.#abort();
  }

  /** Writes until the queue is empty or the system's buffer is full. */
  flush(): void {
    this.#scheduled = false;
    while (this.queuedBytes > 0 && this.#stage !== "closed") {
      const bytes = this.#gather();
      const written = this.#socket.write(bytes);
      if (written < 0) {
        // Nothing reaches the other side any more. Input may still be waiting; after it the system says `close`.
        this.#dropQueue();
        if (this.#stage !== "open") this.#abort();
        return;
      }
      this.#advance(written);
      this.#blocked = written < bytes.length;
      if (this.#blocked) return;
    }
    if (this.queuedBytes === 0) this.#emptied();
  }

  // What Bun tells.

  received(chunk: Uint8Array): void {
    if (this.#stage === "open") this.#handlers?.data(chunk);
  }

  drain(): void {
    if (!this.#blocked) return;
    this.#blocked = false;
    this.flush();
  }

  /** The other side has ended its stream: what is queued may still be sent. */
  otherEnded(): void {
    this.#ended = true;
    if (this.#stage === "open") {
      this.#stage = "closing";
      this.#reason = "closed by the other side";
      this.#lingerOnly();
      this.flush();
    } else if (this.#stage === "shut") {
      this.#socket.end();
    }
  }

  gone(error: Error | undefined): void {
    if (this.#stage === "closed") return;
    const ended = this.#ended && this.#reason === "closed by the other side";
    this.#stage = "closed";
    this.#dropQueue();
    if (this.#linger !== null) clearTimeout(this.#linger);
    const lost = error === undefined ? "connection lost" : "connection reset by the other side";
    const end = [this.#reason ?? lost, ended, this.#overflowed] as const;
    if (this.#handlers === null) this.#untold = [...end];
    else this.#handlers.closed(...end);
  }

  #emptied(): void {
    if (this.#stage === "open") {
      this.#handlers?.drained?.();
    } else if (this.#stage === "closing") {
      this.#stage = "shut";
      // `shutdown` ends only this direction; `end` would reset the connection if there is input, and lose what was sent.
      if (this.#ended) this.#socket.end();
      else this.#socket.shutdown();
    }
  }

  #abort(): void {
    if (this.#stage === "closed") return;
    this.#dropQueue();
    this.#socket.terminate();
    this.gone(undefined);
  }

  #lingerOnly(): void {
    this.#linger ??= setTimeout(() => this.#abort(), this.#lingerMs);
  }

  /** The next bytes to write: one chunk as it is, or several small ones copied together. */
  #gather(): Uint8Array {
    const first = this.#chunks[this.#head] as Uint8Array;
    const rest = this.#taken === 0 ? first : first.subarray(this.#taken);
    if (rest.length === this.queuedBytes || rest.length >= scratch.length) return rest;
    let length = 0;
    for (let at = this.#head; at < this.#chunks.length; at++) {
      const chunk = at === this.#head ? rest : (this.#chunks[at] as Uint8Array);
      if (length + chunk.length > scratch.length) break;
      scratch.set(chunk, length);
      length += chunk.length;
    }
    return scratch.subarray(0, length);
  }

  #advance(written: number): void {
    this.queuedBytes -= written;
    if (this.queuedBytes === 0) return this.#dropQueue();
    let left = written + this.#taken;
    for (;;) {
      const { length } = this.#chunks[this.#head] as Uint8Array;
      if (left < length) break;
      left -= length;
      // Let go of at once: a queue that never empties would keep all it has sent since, many times what it may hold.
      this.#chunks[this.#head++] = nothing;
    }
    this.#taken = left;
    if (this.#head < 1024) return;
    this.#chunks.splice(0, this.#head);
    this.#head = 0;
  }

  #dropQueue(): void {
    this.#chunks = [];
    this.#head = 0;
    this.#taken = 0;
    this.queuedBytes = 0;
  }
}

/** TCP with NODELAY (Bun's default). A listener on port 0 gets a free port. */
export function tcpTransport(options: TcpOptions = {}): Transport {
  const settings: Required<TcpOptions> = {
    queueBytesMax: options.queueBytesMax ?? limits.sendQueueBytesMax,
    lingerMs: options.lingerMs ?? 1000,
    acceptedMax: options.acceptedMax ?? Infinity,
    full: options.full ?? (() => {}),
  };
  return {
    listen: async (host, port, accept) => listen(host, port, accept, settings),
    connect: (host, port, timeoutMs, handlers) => connect(host, port, timeoutMs, handlers, settings),
  };
}

/** The events of a socket, once it has a connection. */
const events = {
  data: (socket: Socket<Holder>, chunk: Uint8Array) => socket.data.connection?.received(chunk),
  drain: (socket: Socket<Holder>) => socket.data.connection?.drain(),
  end: (socket: Socket<Holder>) => socket.data.connection?.otherEnded(),
  close: (socket: Socket<Holder>, error?: Error) => socket.data.connection?.gone(error),
  /** A handler threw: an invariant is broken, and the process must hear of it. */
  error: (_socket: Socket<Holder>, error: Error) =>
    void setImmediate(() => {
      throw error;
    }),
  binaryType: "uint8array",
} as const;

function listen(
  host: string,
  port: number,
  accept: (connection: Connection) => ConnectionHandlers,
  settings: Required<TcpOptions>,
): Listener {
  const { acceptedMax, full } = settings;
  let accepted = 0;
  let isFull = false;
  try {
    const listener = Bun.listen<Holder>({
      // By name Bun would bind one of its addresses only, and not say which.
      hostname: host === "localhost" ? "127.0.0.1" : host,
      port,
      exclusive: true,
      allowHalfOpen: true,
      data: { connection: null },
      socket: {
        ...events,
        open(socket) {
          if (accepted >= acceptedMax) {
            socket.terminate();
            if (!isFull) full();
            isFull = true;
            return;
          }
          accepted++;
          const connection = new TcpConnection(socket, settings);
          socket.data = { connection };
          connection.start(accept(connection));
        },
        close(socket, error) {
          // Null: it was one too many.
          if (socket.data.connection === null) return;
          accepted--;
          if (accepted < 0.9 * acceptedMax) isFull = false;
          events.close(socket, error);
        },
      },
    });
    return { host, port: listener.port, stop: () => listener.stop() };
  } catch (error) {
    throw listenError(formatAddress(host, port), error);
  }
}

function listenError(address: string, error: unknown): ListenError {
  const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
  // Bun has no code for a name that nobody knows.
  const isUnknown = code.includes("Failed to listen at");
  const cannot = `cannot listen on ${address}`;
  if (code === "EADDRINUSE") return new ListenError(`${cannot}: the port is in use`, "in-use", { cause: error });
  if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND" || isUnknown)
    return new ListenError(`${cannot}: this machine has no such address`, "not-here", { cause: error });
  if (code === "EACCES" || code === "EPERM")
    return new ListenError(`${cannot}: not permitted`, "denied", { cause: error });
  return new ListenError(`${cannot}: ${code}`, "other", { cause: error });
}

function connect(
  host: string,
  port: number,
  timeoutMs: number,
  handlers: (connection: Connection) => ConnectionHandlers,
  settings: Required<TcpOptions>,
): Promise<Connection> {
  const address = formatAddress(host, port);
  return new Promise((resolve, reject) => {
    let waiting = true;
    const timer = setTimeout(() => {
      waiting = false;
      reject(new ConnectError(`${address} did not answer within ${timeoutMs} ms`, false));
    }, timeoutMs);
    const opened = (socket: Socket<Holder>): void => {
      if (!waiting) {
        // Too late: Bun cannot be told to stop connecting.
        socket.terminate();
        return;
      }
      clearTimeout(timer);
      const connection = new TcpConnection(socket, settings);
      socket.data = { connection };
      connection.start(handlers(connection));
      resolve(connection);
    };
    const failed = async (error: unknown): Promise<void> => {
      if (!waiting) return;
      const refused = await isRefused(host, port);
      if (!waiting) return;
      clearTimeout(timer);
      reject(new ConnectError(explain(address, error, refused), refused));
    };
    const socket = { ...events, open: opened, connectError: () => {} };
    Bun.connect<Holder>({ hostname: host, port, allowHalfOpen: true, data: { connection: null }, socket }).catch(
      failed,
    );
  });
}

function explain(address: string, error: unknown, refused: boolean): string {
  if (refused) return `${address} refused the connection`;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "ENOTFOUND" || code.startsWith("EAI_")) return `${address}: no such host`;
  return `${address} cannot be reached`;
}
