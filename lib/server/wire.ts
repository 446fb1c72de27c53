/**
 * One connection as frames: cuts, decodes and encodes, answers pings, says why it closes, counts silence. Whoever owns it
 * decides what the frames mean. Knows neither clients nor replicas.
 */
import { isLoopback, parseAddress } from "../base/address.ts";
import { limits } from "../base/limits.ts";
import type { Connection, ConnectionHandlers } from "../base/transport.ts";
import { decodeFrame, encodeFrame, readHello } from "../protocol/codec.ts";
import { FrameReader } from "../protocol/frame-reader.ts";
import { frames, type Frame, type FrameOf } from "../protocol/messages.ts";
import { errorFrame, ProtocolError, type ProtocolErrorCode } from "../protocol/protocol-error.ts";
import type { Direction } from "../protocol/schema.ts";

export type Hello = FrameOf<"hello"> | FrameOf<"peerHello">;

/** Nothing but `closed` is called once the wire is over, and that exactly once. */
export interface WireOwner {
  /** Any frame but ping and pong, which are answered here. */
  frame(frame: Frame): void;
  /** `overflowed`: it was cut here, unannounced, because the other side reads too slowly. */
  closed(reason: string, overflowed: boolean): void;
  /** What was queued has been taken. */
  drained?(): void;
}

/** Who may send a frame of this type. */
export const directionOf = (frame: Frame): Direction => frames[frame.type].direction;

export class Wire implements ConnectionHandlers {
  readonly connection: Connection;
  owner: WireOwner;
  /** Longest frame accepted, in bytes. A stranger gets what a client gets. */
  frameBytesMax: number = limits.clientFrameBytesMax;
  /** Counted up by whoever watches for silence, set to 0 by everything that arrives. */
  quiet = 0;

  readonly #reader = new FrameReader(() => this.frameBytesMax);
  readonly #eachPayload = (payload: Uint8Array): void => this.#received(payload);
  #greet: ((hello: Hello) => void) | null;
  #over = false;
  #sentBytes = 0;
  /** Why this side has closed it; null when it has not. */
  refusal: string | null = null;

  /** `greet` gets the first frame if that has to be a hello (the accepting side). */
  constructor(connection: Connection, owner: WireOwner, greet: ((hello: Hello) => void) | null) {
    this.connection = connection;
    this.owner = owner;
    this.#greet = greet;
  }

  get remote(): string {
    return this.connection.remote;
  }

  /** Of the other end, without its port. */
  get host(): string {
    return parseAddress(this.remote)?.host ?? this.remote;
  }

  /** Whether the other end is on this machine. */
  get isLocal(): boolean {
    return this.connection.isLocal || isLoopback(this.host);
  }

  /** It is being closed: nothing that arrives is looked at any more. */
  get over(): boolean {
    return this.#over;
  }

  /** Bytes that the system has taken of what was sent. */
  get takenBytes(): number {
    return this.#sentBytes - this.connection.queuedBytes;
  }

  send(frame: Frame): void {
    if (!this.#over) this.sendEncoded(encodeFrame(frame));
  }

  /** The same for a frame encoded before, for many receivers. */
  sendEncoded(bytes: Uint8Array): void {
    if (this.#over) return;
    this.#sentBytes += bytes.length;
    this.connection.send(bytes);
  }

  /** Tells the other side why, and closes. */
  refuse(code: ProtocolErrorCode, message: string): void {
    this.#finish(errorFrame(code, message), `${code}: ${message}`);
  }

  /** Says goodbye and closes. */
  leave(reason: string): void {
    this.#finish({ type: "goodbye", reason }, reason);
  }

  /** Sends what is queued and closes. */
  close(): void {
    this.#over = true;
    this.connection.close();
  }

  terminate(reason: string): void {
    this.#over = true;
    this.refusal ??= reason;
    this.connection.terminate();
  }

  #finish(frame: Frame, reason: string): void {
    if (this.#over) return;
    this.send(frame);
    this.#over = true;
    this.refusal = reason;
    this.connection.close();
  }

  data(chunk: Uint8Array): void {
    this.quiet = 0;
    if (this.#over) return;
    try {
      this.#reader.push(chunk, this.#eachPayload);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.refuse(error.code, error.message);
    }
  }

  closed(reason: string, _ended = false, overflowed = false): void {
    this.#over = true;
    this.owner.closed(this.refusal ?? reason, overflowed);
  }

  drained(): void {
    if (!this.#over) this.owner.drained?.();
  }

  #received(payload: Uint8Array): void {
    if (this.#over) return;
    const greet = this.#greet;
    if (greet !== null) {
      this.#greet = null;
      greet(readHello(payload));
      return;
    }
    const frame = decodeFrame(payload);
    if (frame.type === "ping") this.send({ type: "pong", nonce: frame.nonce });
    else if (frame.type !== "pong") this.owner.frame(frame);
  }
}
