/**
 * One connection to one replica, from dialling to its end: framing, hello and welcome, pings, silence. It answers the
 * frames that concern the connection itself and hands the others to its owner. Must not know sessions or ops.
 */
import { parseAddress } from "../base/address.ts";
import { limits } from "../base/limits.ts";
import { withArticle } from "../base/words.ts";
import type { Connection } from "../base/transport.ts";
import { decodeFrame, encodeFrame, ProtocolError } from "../protocol/codec.ts";
import { FrameReader } from "../protocol/frame-reader.ts";
import { protocolMagic, type Frame, type FrameOf } from "../protocol/messages.ts";
import { errorFrame } from "../protocol/protocol-error.ts";
import type { ClientPorts } from "./types.ts";

export interface LinkSettings {
  readonly connectTimeoutMs: number;
  readonly silenceMs: number;
  readonly software: string;
}

/** Where the replica stands, from its welcome or the latest placement. */
export type Place = Omit<FrameOf<"placement">, "type">;

/** Whoever holds the link now: first the search, then the client. Nothing is called after `lost` or `drop()`. */
export interface LinkOwner {
  /** The server's welcome has arrived and its version is spoken here; `place` is set. */
  welcomed(link: Link): void;
  /** `place` has changed. */
  placed(link: Link): void;
  /** A frame that is not about the connection itself. */
  frame(link: Link, frame: Frame): void;
  /** A ping has had no answer for a third of the silence, nor has anything else come: see {@link Link.isQuiet}. */
  quiet(link: Link): void;
  /** The connection could not be made, ended, or was given up. `reason` is a phrase without the address. */
  lost(link: Link, reason: string): void;
}

/** Any will do: whatever arrives shows that the server lives, so that nobody looks which ping a pong answers. */
const pingNonce = 1;

/** How long a connection that was told why it is refused may take to close. */
const refusedLingerMs = 1000;

export class Link {
  readonly address: string;
  owner: LinkOwner;
  place: Place | null = null;
  /** Of the cluster the replica belongs to, 16 bytes; empty before the welcome. */
  cluster: Uint8Array = new Uint8Array(0);
  /** It has ended because the session was opened on another connection later. */
  replaced = false;

  readonly #ports: ClientPorts;
  readonly #settings: LinkSettings;
  readonly #reader = new FrameReader(() => limits.replicaFrameBytesMax);
  readonly #eachPayload = (payload: Uint8Array): void => this.#received(payload);
  #connection: Connection | null = null;
  #over = false;
  #onClosed: (() => void) | null = null;
  #cancelTimer: () => void = () => {};
  /** Since the last tick. */
  #heard = false;
  #quietTicks = 0;

  constructor(address: string, owner: LinkOwner, settings: LinkSettings, ports: ClientPorts) {
    this.address = address;
    this.owner = owner;
    this.#settings = settings;
    this.#ports = ports;
  }

  /** Begins to connect. The owner is told, never within this call. */
  start(): void {
    const { connectTimeoutMs } = this.#settings;
    const target = parseAddress(this.address);
    if (target === null) {
      this.#cancelTimer = this.#ports.clock.setTimer(0, () => this.#end("is not of the form host:port"));
      return;
    }
    this.#ports.transport
      .connect(target.host, target.port, connectTimeoutMs, (connection) => ({
        data: (chunk) => this.#data(connection, chunk),
        closed: (reason) => this.#closed(connection, reason),
      }))
      .then(
        (connection) => this.#connected(connection),
        (error: unknown) => this.#end(error instanceof Error ? error.message : String(error)),
      );
  }

  /** Nothing has come since the last ping but one. */
  get isQuiet(): boolean {
    return this.#quietTicks > 0 && !this.#heard;
  }

  /** A no-op once the link is over. */
  send(frame: Frame): void {
    if (this.#over) return;
    this.#connection?.send(encodeFrame(frame));
  }

  /** Ends the link at once; the owner hears nothing any more. */
  drop(): void {
    if (this.#over) return;
    this.#stop();
    this.#connection?.terminate();
  }

  /** Says goodbye, sends what is queued and closes; resolves when the connection is gone, after `waitMs` at the latest. */
  leave(reason: string, waitMs: number): Promise<void> {
    const connection = this.#connection;
    if (this.#over || connection === null) {
      this.drop();
      return Promise.resolve();
    }
    this.send({ type: "goodbye", reason });
    this.#stop();
    return new Promise((resolve) => {
      const cancel = this.#ports.clock.setTimer(waitMs, () => {
        connection.terminate();
        resolve();
      });
      this.#onClosed = () => {
        cancel();
        resolve();
      };
      connection.close();
    });
  }

  #connected(connection: Connection): void {
    if (this.#over) {
      connection.terminate();
      return;
    }
    this.#connection = connection;
    const { connectTimeoutMs, software } = this.#settings;
    this.send({ type: "hello", magic: protocolMagic, version: limits.protocolVersion, software });
    // A connection is not a server yet: what accepts and says nothing is given up like what does not accept.
    this.#cancelTimer = this.#ports.clock.setTimer(connectTimeoutMs, () =>
      this.#end(`accepted the connection but said nothing for ${connectTimeoutMs} ms`),
    );
  }

  #data(connection: Connection, chunk: Uint8Array): void {
    if (this.#over) return;
    this.#connection ??= connection;
    this.#heard = true;
    try {
      this.#reader.push(chunk, this.#eachPayload);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.refuse("protocol", error.message);
    }
  }

  #closed(connection: Connection, reason: string): void {
    this.#connection ??= connection;
    this.#onClosed?.();
    this.#end(reason);
  }

  #received(payload: Uint8Array): void {
    if (this.#over) return;
    const frame = decodeFrame(payload);
    switch (frame.type) {
      case "ping":
        return this.send({ type: "pong", nonce: frame.nonce });
      case "pong":
        return;
      case "error":
        this.replaced = frame.code === "replaced";
        return this.#end(explainError(frame));
      case "goodbye":
        return this.#end(`said goodbye: ${frame.reason}`);
      case "welcome":
        return this.#welcomed(frame);
      case "placement": {
        const { type: _, ...place } = frame;
        this.place = place;
        return this.owner.placed(this);
      }
      default:
        if (this.place === null)
          return this.refuse("unexpected", `${withArticle(frame.type)} frame before the welcome`);
        return this.owner.frame(this, frame);
    }
  }

  #welcomed(frame: FrameOf<"welcome">): void {
    const { protocolVersion, protocolVersionOldest } = limits;
    if (this.place !== null) return this.refuse("unexpected", "a second welcome");
    if (frame.version > protocolVersion || frame.version < protocolVersionOldest) {
      return this.refuse("version", `speaks protocol version ${frame.version}, this client ${spokenHere()}`);
    }
    const { type: _type, version: _version, software: _software, cluster, ...place } = frame;
    this.place = place;
    this.cluster = Uint8Array.from(cluster);
    this.#cancelTimer();
    this.#heard = true;
    this.#tick();
    this.owner.welcomed(this);
  }

  /**
   * Every third of the silence a ping, also while there is talk: the server wants to hear of a client that only listens,
   * and the client of a server that has just stopped. Silence is counted in ticks instead of read from the clock, so that
   * a pause of this process counts as one tick and not as the server's silence.
   */
  #tick(): void {
    const { silenceMs } = this.#settings;
    this.#quietTicks = this.#heard ? 0 : this.#quietTicks + 1;
    if (this.#quietTicks >= 3) return this.#end(`was not heard for ${silenceMs} ms`);
    this.send({ type: "ping", nonce: pingNonce });
    this.#heard = false;
    this.#cancelTimer = this.#ports.clock.setTimer(silenceMs / 3, () => this.#tick());
    if (this.isQuiet) this.owner.quiet(this);
  }

  /** The server does what this client cannot accept: tell it why, and go. */
  refuse(code: FrameOf<"error">["code"], message: string): void {
    this.send(errorFrame(code, message));
    this.#stop();
    const connection = this.#connection;
    connection?.close();
    const cancel = this.#ports.clock.setTimer(refusedLingerMs, () => connection?.terminate());
    this.#onClosed = cancel;
    this.owner.lost(this, message);
  }

  #end(reason: string): void {
    if (this.#over) return;
    this.#stop();
    this.#connection?.terminate();
    this.owner.lost(this, reason);
  }

  #stop(): void {
    this.#over = true;
    this.#cancelTimer();
  }
}

function spokenHere(): string {
  return range(limits.protocolVersionOldest, limits.protocolVersion);
}

function range(oldest: number, newest: number): string {
  return oldest === newest ? `${newest}` : `${oldest} to ${newest}`;
}

function explainError(frame: FrameOf<"error">): string {
  if (frame.code !== "version") return `closed the connection (${frame.code}): ${frame.message}`;
  const there = range(frame.versionOldest, frame.versionNewest);
  return `speaks protocol version ${there}, this client ${spokenHere()}`;
}
