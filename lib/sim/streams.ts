/**
 * The byte streams between simulated clients and replicas: connections that take their time, arrive in pieces of any
 * size, stall, are reset, fall silent, and end in the middle of a frame when a process dies. `Transport` over virtual
 * time, with what TCP leaves open decided by the seed. Knows no frames.
 */
import { ConnectError, type Connection, type ConnectionHandlers } from "../base/transport.ts";
import { StreamEnd } from "./stream-end.ts";
import type { Random } from "./random.ts";
import type { Simulator } from "./simulator.ts";

/** A process at one end of streams. */
export interface Party {
  /** Runs something in the process: at once, when it goes on after a pause, or never. */
  turn(action: () => void): void;
}

/** A machine that replicas listen on. */
export interface StreamHost {
  readonly pid: number;
  readonly powered: boolean;
  /** Whoever listens there now. */
  readonly listener: (Party & { accept(connection: Connection): ConnectionHandlers }) | null;
}

/** How bytes travel between a client and whomever it talks to. */
export interface StreamQuality {
  readonly delayMsMean: number;
  /** Pieces are mostly no longer; Infinity: whatever has been sent arrives as one. */
  readonly pieceBytesMax: number;
  /** So many bytes on their way are taken by the system, the others are queued. */
  readonly systemBytes: number;
  /** More queued bytes than this, and the connection is cut by who sends. */
  readonly queueBytesMax: number;
}

/** The machine of a client. */
export interface StreamClient {
  readonly number: number;
  readonly powered: boolean;
  readonly party: Party;
  quality: StreamQuality;
}

/** Both ends of one connection. */
export interface Stream {
  readonly client: StreamClient;
  readonly host: StreamHost;
  readonly clientEnd: StreamEnd;
  readonly hostEnd: StreamEnd;
  /** Nothing gets through any more, and nobody is told. */
  frozen: boolean;
}

export class Streams {
  /** Those on which something may still happen, in the order in which they were made. */
  readonly #open = new Set<Stream>();
  readonly #hosts = new Map<string, StreamHost>();
  /** Between which nothing gets through for now: how many faults have cut them. */
  readonly #cuts = new Map<string, number>();

  constructor(
    readonly simulator: Simulator,
    readonly random: Random,
  ) {}

  add(address: string, host: StreamHost): void {
    this.#hosts.set(address, host);
  }

  connect(
    client: StreamClient,
    address: string,
    timeoutMs: number,
    handlers: (connection: Connection) => ConnectionHandlers,
  ): Promise<Connection> {
    const { simulator } = this;
    return new Promise((resolve, reject) => {
      let settled = false;
      const refuse = (message: string, refused: boolean): void => {
        client.party.turn(() => {
          settled = true;
          reject(new ConnectError(`${address} ${message}`, refused));
        });
      };
      simulator.after(timeoutMs, () => refuse(`did not answer within ${timeoutMs} ms`, false));
      simulator.after(2 * this.delayMs(client), () => {
        const host = this.#hosts.get(address);
        if (host === undefined || !host.powered || this.#isCut(client, host)) return;
        const { listener } = host;
        if (listener === null) return refuse("refused the connection", true);
        const stream = this.#make(client, host, listener, address);
        listener.turn(() => stream.hostEnd.begin(listener.accept(stream.hostEnd)));
        client.party.turn(() => {
          if (settled) return stream.clientEnd.terminate();
          settled = true;
          stream.clientEnd.begin(handlers(stream.clientEnd));
          resolve(stream.clientEnd);
        });
      });
    });
  }

  /** How long the next bytes of this client, or to it, are on their way. */
  delayMs({ quality }: StreamClient): number {
    return 0.05 + this.random.around(quality.delayMsMean);
  }

  /** The connections of a client that stand. */
  of(client: StreamClient): Stream[] {
    return [...this.#open].filter((stream) => stream.client === client);
  }

  /** Nothing gets through to this client on a connection that it still holds for good. */
  isUnaware(client: StreamClient): boolean {
    return this.of(client).some(({ frozen, clientEnd }) => frozen && !clientEnd.isOver);
  }

  /** Both ends learn that the connection is gone; what was on its way arrives up to any byte. */
  reset(stream: Stream): void {
    stream.clientEnd.die(true);
    stream.hostEnd.die(true);
  }

  /** A process is gone: with its machine, or leaving that to say so. */
  died(party: Party, machineStays: boolean): void {
    for (const { clientEnd, hostEnd } of [...this.#open]) {
      for (const end of [clientEnd, hostEnd]) if (end.party === party) end.vanish(machineStays);
    }
  }

  /** Nothing gets through between these two, or it does again as far as this fault goes. */
  cut(client: StreamClient, pid: number, cut: boolean): void {
    const key = keyOf(client, pid);
    this.#cuts.set(key, (this.#cuts.get(key) ?? 0) + (cut ? 1 : -1));
    if (!cut) this.goOn();
  }

  healAll(): void {
    this.#cuts.clear();
    this.goOn();
  }

  /** Whether what an end has sent cannot arrive now. */
  isBlocked({ frozen, client, host }: Stream): boolean {
    return frozen || this.#isCut(client, host);
  }

  /** Nothing will happen on it any more. */
  ended(stream: Stream): void {
    if (stream.clientEnd.isOver && stream.hostEnd.isOver) this.#open.delete(stream);
  }

  #make(client: StreamClient, host: StreamHost, listener: Party, address: string): Stream {
    const clientEnd: StreamEnd = new StreamEnd(
      this,
      () => stream,
      client.party,
      address,
      () => client.powered,
    );
    const remote = `client-${client.number}:1`;
    const hostEnd: StreamEnd = new StreamEnd(
      this,
      () => stream,
      listener,
      remote,
      () => host.powered,
    );
    clientEnd.other = hostEnd;
    hostEnd.other = clientEnd;
    const stream: Stream = { client, host, clientEnd, hostEnd, frozen: false };
    this.#open.add(stream);
    return stream;
  }

  #isCut(client: StreamClient, { pid }: StreamHost): boolean {
    return (this.#cuts.get(keyOf(client, pid)) ?? 0) > 0;
  }

  /** What is on its way tries again. */
  goOn(): void {
    for (const { clientEnd, hostEnd } of this.#open) {
      clientEnd.goOn();
      hostEnd.goOn();
    }
  }
}

const keyOf = ({ number }: StreamClient, pid: number): string => `${number}/${pid}`;
