/**
 * One end of a simulated connection: what it has sent and the other end has not got, and how it comes to an end. Behaves
 * as `lib/io/tcp.ts` does; what TCP leaves open is drawn. Knows no frames.
 */
import type { Connection, ConnectionHandlers } from "../base/transport.ts";
import type { Party, Stream, Streams } from "./streams.ts";

/** As the real transport: how long a connection that is being closed waits for the other side. */
const lingerMs = 1000;

type Stage =
  | "open"
  /** Closed by its owner: what is queued goes out, then this side ends. */
  | "closing"
  /** This side has ended and waits for the other one. */
  | "shut"
  | "closed";

export class StreamEnd implements Connection {
  readonly isLocal = false;
  other: StreamEnd = this;
  #handlers: ConnectionHandlers | null = null;
  #stage: Stage = "open";
  /** Sent, and not arrived. */
  #out: Uint8Array[] = [];
  #outBytes = 0;
  #isReading = true;
  #scheduled = false;
  #reason: string | null = null;
  /** The other side has ended its stream in good order. */
  #ended = false;
  #overflowed = false;

  constructor(
    private readonly streams: Streams,
    private readonly stream: () => Stream,
    readonly party: Party,
    readonly remote: string,
    /** Whether the machine at this end is there to say that nobody listens any more. */
    private readonly answers: () => boolean,
  ) {}

  begin(handlers: ConnectionHandlers): void {
    this.#handlers = handlers;
  }

  get isOver(): boolean {
    return this.#stage === "closed";
  }

  get queuedBytes(): number {
    return Math.max(0, this.#outBytes - this.stream().client.quality.systemBytes);
  }

  send(bytes: Uint8Array): void {
    if (this.#stage !== "open" || bytes.length === 0) return;
    this.#out.push(Uint8Array.from(bytes));
    this.#outBytes += bytes.length;
    if (this.queuedBytes > this.stream().client.quality.queueBytesMax) {
      this.#reason = `it reads too slowly: ${this.queuedBytes} bytes were waiting for it`;
      this.#overflowed = true;
      this.#stage = "shut";
      // Not within the sender's call: it may be in the middle of telling many.
      this.streams.simulator.after(0, () => this.party.turn(() => this.terminate()));
      return;
    }
    this.goOn();
  }

  pause(): void {
    this.#isReading = false;
  }

  resume(): void {
    this.#isReading = true;
    this.other.goOn();
  }

  close(): void {
    if (this.#stage !== "open") return;
    this.#stage = "closing";
    this.#reason ??= "closed here";
    // What arrives from now on is dropped.
    this.resume();
    this.#later(lingerMs, () => this.terminate());
    this.goOn();
  }

  terminate(): void {
    if (this.#stage === "closed") return;
    this.#reason ??= "closed here";
    this.#resetOther();
    this.#finish(this.#reason);
  }

  /** What is still to arrive is on its way again. */
  goOn(): void {
    if (this.#scheduled || this.#stage === "closed" || this.#stage === "shut") return;
    if (this.#outBytes === 0 && this.#stage !== "closing") return;
    this.#scheduled = true;
    const { streams } = this;
    streams.simulator.after(streams.delayMs(this.stream().client), () => {
      this.#scheduled = false;
      this.#deliver();
    });
  }

  /** The way between is gone; `told`: what was on its way arrives up to any byte, and then this side learns of it. */
  die(told: boolean): void {
    if (this.#stage === "closed") return;
    if (told) this.other.#takeUpTo(this.#cutOut());
    this.#later(0, () => this.#finish("connection reset by the other side"));
  }

  /** The process is gone, and hears nothing more. Its machine says so if it stays: any part of what it had sent arrives. */
  vanish(machineStays: boolean): void {
    if (this.#stage === "closed") return;
    this.#handlers = null;
    if (machineStays) this.#resetOther();
    this.#close();
  }

  #deliver(): void {
    const { other, streams } = this;
    if (this.#stage === "closed" || this.#stage === "shut" || streams.isBlocked(this.stream())) return;
    if (other.#stage === "closed") {
      if (other.answers()) this.#later(0, () => this.#finish("connection reset by the other side"));
      return;
    }
    if (!other.#isReading) return;
    if (this.#outBytes > 0) {
      const wasQueued = this.queuedBytes > 0;
      other.#takeUpTo(this.#piece());
      if (wasQueued && this.queuedBytes === 0) this.#later(0, () => this.#drained());
    }
    if (this.#outBytes > 0) return this.goOn();
    if (this.#stage !== "closing") return;
    this.#stage = "shut";
    if (other.#stage === "shut") {
      this.#later(0, () => this.#finish(this.#reason ?? ""));
      other.#later(0, () => other.#finish(other.#reason ?? ""));
    } else {
      other.#later(0, () => other.#otherEnded());
    }
  }

  #drained(): void {
    if (this.#stage === "open") this.#handlers?.drained?.();
  }

  /** The other side has ended its stream: what is queued here may still be sent. */
  #otherEnded(): void {
    if (this.#stage !== "open") return;
    this.#ended = true;
    this.#stage = "closing";
    this.#reason = "closed by the other side";
    this.#later(lingerMs, () => this.terminate());
    this.goOn();
  }

  /** Bytes have come this far; the process gets them when it runs. */
  #takeUpTo(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const { trace } = this.streams.simulator;
    trace.mix(bytes.length);
    this.party.turn(() => {
      if (this.#stage === "open") this.#handlers?.data(bytes);
    });
  }

  #resetOther(): void {
    const { other, streams } = this;
    if (other.#stage === "closed") return;
    const last = this.#cutOut();
    streams.simulator.after(streams.delayMs(this.stream().client), () => {
      // Who is not reached finds out when it sends something.
      if (streams.isBlocked(this.stream()) || other.#stage === "closed") return;
      other.#takeUpTo(last);
      other.#later(0, () => other.#finish("connection reset by the other side"));
    });
  }

  /** The beginning of what has been sent and has not arrived, up to any byte. The rest is lost. */
  #cutOut(): Uint8Array {
    const { random } = this.streams;
    const all = this.#take(this.#outBytes);
    return random.chance(0.4) ? all : all.subarray(0, random.below(all.length + 1));
  }

  #piece(): Uint8Array {
    const { random } = this.streams;
    const { pieceBytesMax } = this.stream().client.quality;
    const whole = pieceBytesMax === Infinity || random.chance(0.2);
    return this.#take(whole ? this.#outBytes : 1 + random.below(Math.min(this.#outBytes, pieceBytesMax)));
  }

  #take(count: number): Uint8Array {
    const taken = new Uint8Array(count);
    let at = 0;
    let whole = 0;
    for (; at < count; whole++) {
      const bytes = this.#out[whole] as Uint8Array;
      const left = count - at;
      taken.set(bytes.length <= left ? bytes : bytes.subarray(0, left), at);
      at += Math.min(bytes.length, left);
      if (bytes.length <= left) continue;
      this.#out[whole] = bytes.subarray(left);
      break;
    }
    if (whole > 0) this.#out.splice(0, whole);
    this.#outBytes -= count;
    return taken;
  }

  #later(delayMs: number, action: () => void): void {
    const { simulator } = this.streams;
    if (delayMs === 0) this.party.turn(action);
    else simulator.after(delayMs, () => this.party.turn(action));
  }

  #finish(reason: string): void {
    if (this.#stage === "closed") return;
    const ended = this.#ended && this.#reason === "closed by the other side";
    this.#close();
    this.#handlers?.closed(this.#reason ?? reason, ended, this.#overflowed);
  }

  #close(): void {
    this.#stage = "closed";
    this.#out = [];
    this.#outBytes = 0;
    this.streams.ended(this.stream());
  }
}
