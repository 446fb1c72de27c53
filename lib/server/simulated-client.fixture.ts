/** A client of bare frames on a simulated network: it sends what a test says, and keeps what it is told. Judges nothing. */
import type { Connection } from "../base/transport.ts";
import { decodeFrame, encodeFrame } from "../protocol/codec.ts";
import { FrameReader } from "../protocol/frame-reader.ts";
import { protocolMagic, type Frame, type FrameOf, type FrameType } from "../protocol/messages.ts";
import type { ByteNetwork } from "../sim/byte-network.ts";

/** What it needs of the world that it is in. */
interface Surroundings {
  readonly network: ByteNetwork;
  until(condition: () => boolean, withinMs?: number): Promise<void>;
}

export const hostOf = (pid: number): string => `10.0.0.${pid}`;
export const password = "correct horse";

export class SimulatedClient {
  readonly frames: Frame[] = [];
  closed: string | null = null;
  opened: FrameOf<"sessionOpened"> | null = null;
  #connection: Connection | null = null;
  #seq = 0;

  constructor(
    private readonly world: Surroundings,
    readonly session: string,
  ) {}

  async connect(pid: number): Promise<void> {
    const reader = new FrameReader(() => 8 * 1024 * 1024);
    void this.world.network.transport.connect(hostOf(pid), 1, 1000, (connection) => {
      this.#connection = connection;
      return {
        data: (chunk) => reader.push(chunk, (payload) => void this.frames.push(decodeFrame(payload))),
        closed: (reason) => void (this.closed = reason),
      };
    });
    await this.world.until(() => this.#connection !== null);
  }

  /** Says who it is, and opens its session. */
  hello(seen: Partial<FrameOf<"openSession">> = {}): void {
    this.send({ type: "hello", magic: protocolMagic, version: 1, software: "test" });
    const places = { lastView: 0, lastIndex: 0, lastMessageIndex: 0 };
    const token = new Uint8Array(16).fill(1);
    this.send({ type: "openSession", request: 1, session: this.session, token, create: true, ...places, ...seen });
  }

  send(...frames: Frame[]): void {
    for (const frame of frames) this.#connection?.send(encodeFrame(frame));
  }

  /** Sends an op under the next number, which is that of the request too and is returned. */
  op(
    fields:
      { type: "createAccount" | "login"; user: string; password: string } | { type: "send"; to: string; text: string },
  ): number {
    const seq = ++this.#seq;
    this.send({ request: seq, seq, oldest: seq, ...fields } as Frame);
    return seq;
  }

  async signIn(user: string): Promise<void> {
    this.op({ type: "createAccount", user, password });
    this.op({ type: "login", user, password });
    await this.next("loggedIn");
  }

  async next<T extends FrameType>(type: T, withinMs = 20_000): Promise<FrameOf<T>> {
    let at = -1;
    await this.world.until(() => (at = this.frames.findIndex((frame) => frame.type === type)) >= 0, withinMs);
    return this.frames.splice(at, 1)[0] as FrameOf<T>;
  }

  async answerTo(request: number): Promise<Frame> {
    const find = (): Frame | undefined => this.frames.find((frame) => "request" in frame && frame.request === request);
    await this.world.until(() => find() !== undefined);
    return find() as Frame;
  }

  get texts(): string[] {
    return this.frames.flatMap((frame) => (frame.type === "message" ? [frame.message.text] : []));
  }

  /** The connection is lost without a word. */
  lose(): void {
    this.#connection?.terminate();
  }
}
