/** One connection to a replica in the words of the wire protocol: one frame out, the frame that answers it back. */
import { limits } from "../../lib/base/limits.ts";
import { parseAddress } from "../../lib/base/address.ts";
import type { Connection } from "../../lib/base/transport.ts";
import { tcpTransport } from "../../lib/io/tcp.ts";
import { decodeFrame, encodeFrame } from "../../lib/protocol/codec.ts";
import { FrameReader } from "../../lib/protocol/frame-reader.ts";
import { protocolMagic, type Frame, type FrameOf } from "../../lib/protocol/messages.ts";

const transport = tcpTransport();
const connectTimeoutMs = 1500;

export class Exchange {
  readonly #waiting: { readonly answers: (frame: Frame) => boolean; readonly take: (frame: Frame | null) => void }[] =
    [];
  #open = true;

  private constructor(private readonly connection: Connection) {}

  /** Null unless a replica at this address says that it serves. */
  static async begin(address: string): Promise<Exchange | null> {
    const parsed = parseAddress(address);
    if (parsed === null) throw new Error(`${address} is not HOST:PORT`);
    let exchange: Exchange | null = null;
    const reader = new FrameReader(() => limits.replicaFrameBytesMax);
    try {
      const connection = await transport.connect(parsed.host, parsed.port, connectTimeoutMs, () => ({
        data: (chunk) => reader.push(chunk, (payload) => exchange?.take(decodeFrame(payload))),
        closed: () => exchange?.lost(),
      }));
      exchange = new Exchange(connection);
    } catch {
      return null;
    }
    const hello = { magic: protocolMagic, version: limits.protocolVersion, software: "bun run chaos" } as const;
    const welcome = await exchange.ask<FrameOf<"welcome">>(
      { type: "hello", ...hello },
      ({ type }) => type === "welcome" || type === "error",
    );
    if (welcome?.type === "welcome" && welcome.ready) return exchange;
    exchange.end();
    return null;
  }

  /** The first frame for which `answers` holds; null when the connection ends first, or after `withinMs`. */
  async ask<F extends Frame>(frame: Frame, answers: (frame: Frame) => boolean, withinMs = 3000): Promise<F | null> {
    if (!this.#open) return null;
    const answer = Promise.withResolvers<Frame | null>();
    this.#waiting.push({ answers, take: answer.resolve });
    this.connection.send(encodeFrame(frame));
    const timer = setTimeout(() => answer.resolve(null), withinMs);
    const found = await answer.promise;
    clearTimeout(timer);
    return found as F | null;
  }

  end(): void {
    this.#open = false;
    this.connection.terminate();
  }

  private take(frame: Frame): void {
    if (frame.type === "ping") return this.connection.send(encodeFrame({ type: "pong", nonce: frame.nonce }));
    const at = this.#waiting.findIndex(({ answers }) => answers(frame));
    if (at >= 0) for (const { take } of this.#waiting.splice(at, 1)) take(frame);
  }

  private lost(): void {
    this.#open = false;
    for (const { take } of this.#waiting.splice(0)) take(null);
  }
}
