/**
 * The ports through which everything outside `lib/io` and `lib/sim` reaches a network and a clock.
 * Types only. Byte streams: framing is `lib/protocol`'s job.
 */

/** What the owner of a connection is told. Handlers are synchronous and never throw. */
export interface ConnectionHandlers {
  /** Bytes in order of arrival; the buffer is the handler's to keep. */
  data(chunk: Uint8Array): void;
  /**
   * The connection is gone, exactly once, whoever closed it. `reason` is one readable phrase. `ended`: the other side
   * finished its stream in good order, so that nothing it sent is missing. `overflowed`: this side has cut it, since too
   * much was queued for a reader that does not keep up.
   */
  closed(reason: string, ended?: boolean, overflowed?: boolean): void;
  /** The send queue has emptied after `queuedBytes` had been above zero. */
  drained?(): void;
}

/** One byte stream between two ends. */
export interface Connection {
  /** The other end as `host:port`, for messages. */
  readonly remote: string;
  /** Both ends have the same host: whoever is there is on this machine, by whichever name it has reached it. */
  readonly isLocal: boolean;
  /** Bytes accepted by `send` that the system has not taken yet. */
  readonly queuedBytes: number;
  /** Queues bytes; all sends of one turn of the event loop become one write. Never blocks; a no-op once closed. */
  send(bytes: Uint8Array): void;
  /** Stops reading (back-pressure) or goes on. */
  pause(): void;
  resume(): void;
  /** Sends what is queued, then closes; what still arrives is dropped. A reader that never takes it loses it. */
  close(): void;
  /** Closes at once; what is queued is lost. `closed` may be called within this call. */
  terminate(): void;
}

export interface Listener {
  /** The bound address, with the real port when 0 was asked for. */
  readonly host: string;
  readonly port: number;
  stop(): void;
}

/** Why a connection could not be made. `refused` means that the host answered and nothing listens there. */
export class ConnectError extends Error {
  override readonly name = "ConnectError";
  constructor(
    message: string,
    readonly refused: boolean,
  ) {
    super(message);
  }
}

export interface Transport {
  /** Throws an `Error` naming the address when it cannot be bound. */
  listen(host: string, port: number, accept: (connection: Connection) => ConnectionHandlers): Promise<Listener>;
  /** Rejects with {@link ConnectError} when refused, unreachable or slower than `timeoutMs`. */
  connect(
    host: string,
    port: number,
    timeoutMs: number,
    handlers: (connection: Connection) => ConnectionHandlers,
  ): Promise<Connection>;
}

export interface Clock {
  /** Milliseconds, monotonic, origin arbitrary. */
  monotonicMs(): number;
  /** Milliseconds since the Unix epoch; may jump. */
  wallMs(): number;
  /** Calls `callback` once after `delayMs`; the returned function cancels. */
  setTimer(delayMs: number, callback: () => void): () => void;
}
