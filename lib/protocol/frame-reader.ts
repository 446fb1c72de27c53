/**
 * Cuts a stream of bytes into frames: u32 big-endian length, then that many bytes. Owns the framing of one connection's
 * incoming side; knows nothing of what is in a frame. Pure.
 */
import { framePrefixBytes } from "./codec.ts";
import { ProtocolError } from "./protocol-error.ts";

/** A frame that arrives in pieces gets memory as its bytes come, not as its length promises. */
const firstBufferBytes = 4096;

export class FrameReader {
  private prefix = 0;
  private prefixBytes = 0;
  /** Payload length of the frame in progress, once its prefix is whole; -1 before. */
  private length = -1;
  private buffer = new Uint8Array(0);
  private filled = 0;
  private failure: ProtocolError | null = null;

  /** `maxBytes` is asked at each frame's prefix, so a limit may change with the frames before (after a hello). */
  constructor(private readonly maxBytes: () => number) {}

  /**
   * Calls `each` with every payload that is now whole, in order. A payload that lies whole in `chunk` is a view into
   * it, others have a buffer of their own. Throws `ProtocolError` (code `frame`) for a frame that is empty or too long,
   * and again at every later call: the stream is lost.
   */
  push(chunk: Uint8Array, each: (payload: Uint8Array) => void): void {
    if (this.failure !== null) throw this.failure;
    let at = 0;
    while (at < chunk.length) {
      if (this.length < 0) {
        this.prefix = this.prefix * 256 + (chunk[at++] as number);
        if (++this.prefixBytes === framePrefixBytes) this.begin();
        continue;
      }
      const missing = this.length - this.filled;
      if (this.filled === 0 && chunk.length - at >= missing) {
        const payload = chunk.subarray(at, at + missing);
        at += missing;
        this.reset();
        each(payload);
        continue;
      }
      const taken = Math.min(missing, chunk.length - at);
      this.keep(chunk.subarray(at, at + taken));
      at += taken;
      if (this.filled === this.length) {
        const payload = this.buffer.subarray(0, this.filled);
        this.reset();
        each(payload);
      }
    }
  }

  private begin(): void {
    const max = this.maxBytes();
    if (this.prefix > max || this.prefix === 0) {
      const what = this.prefix === 0 ? "a frame is empty" : `a frame has ${this.prefix} bytes`;
      this.failure = new ProtocolError("frame", `${what}; from 1 to ${max} bytes are allowed`);
      throw this.failure;
    }
    this.length = this.prefix;
  }

  private keep(bytes: Uint8Array): void {
    const needed = this.filled + bytes.length;
    if (needed > this.buffer.length) {
      const larger = new Uint8Array(Math.min(this.length, Math.max(needed, 2 * this.buffer.length, firstBufferBytes)));
      larger.set(this.buffer.subarray(0, this.filled));
      this.buffer = larger;
    }
    this.buffer.set(bytes, this.filled);
    this.filled = needed;
  }

  private reset(): void {
    this.prefix = 0;
    this.prefixBytes = 0;
    this.length = -1;
    this.filled = 0;
    this.buffer = empty;
  }
}

const empty = new Uint8Array(0);
