/** Framing: streams cut anywhere, frames of any length, limits, memory. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decodeFrame, encodeFrame, ProtocolError } from "./codec.ts";
import { FrameReader } from "./frame-reader.ts";
import type { Frame } from "./messages.ts";

const stream: readonly Frame[] = [
  { type: "hello", magic: "chatd", version: 1, software: "test" },
  { type: "ping", nonce: 1 },
  { type: "send", request: 1, seq: 1, oldest: 1, to: "bob", text: "x".repeat(300) },
  { type: "goodbye", reason: "" },
];
const bytes = Buffer.concat(stream.map(encodeFrame));

/** Feeds the chunks and returns the frames, decoded at once, as a connection does. */
function read(chunks: readonly Uint8Array[], max = 1000): Frame[] {
  const reader = new FrameReader(() => max);
  const frames: Frame[] = [];
  for (const chunk of chunks) reader.push(chunk, (payload) => frames.push(decodeFrame(payload)));
  return frames;
}

describe("FrameReader", () => {
  test("finds the frames wherever the stream is cut once", () => {
    for (let at = 0; at <= bytes.length; at++) {
      expect(read([bytes.subarray(0, at), bytes.subarray(at)])).toEqual([...stream]);
    }
  });

  test("finds the frames wherever the stream is cut twice", () => {
    for (let first = 0; first <= bytes.length; first += 3) {
      for (let second = first; second <= bytes.length; second += 5) {
        const chunks = [bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)];
        expect(read(chunks)).toEqual([...stream]);
      }
    }
  });

  test("finds the frames byte by byte", () => {
    expect(read(Array.from(bytes, (byte) => Uint8Array.of(byte)))).toEqual([...stream]);
  });

  test("finds frames of any length in chunks of any length", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 20_000 }), { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 9_000 }), { minLength: 1, maxLength: 20 }),
        (lengths, cuts) => {
          const payloads = lengths.map((length, number) => new Uint8Array(length).fill(number + 1));
          const whole = Buffer.concat(payloads.flatMap((payload) => [prefix(payload.length), payload]));
          const reader = new FrameReader(() => 20_000);
          const found: Uint8Array[] = [];
          for (let at = 0, turn = 0; at < whole.length; turn++) {
            const next = at + (cuts[turn % cuts.length] as number);
            // A fresh copy each time: nothing may rely on an earlier chunk's memory staying as it was.
            const chunk = Uint8Array.from(whole.subarray(at, next));
            reader.push(chunk, (payload) => found.push(payload.slice()));
            chunk.fill(0xee);
            at = next;
          }
          expect(found.length).toBe(payloads.length);
          for (const [number, payload] of payloads.entries()) {
            expect(Buffer.compare(found[number] ?? new Uint8Array(0), payload)).toBe(0);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  test("the longest frame allowed passes, one byte more does not", () => {
    expect(() => new FrameReader(() => 1000).push(prefix(1000), () => {})).not.toThrow();
    expect(() => new FrameReader(() => 1000).push(prefix(1001), () => {})).toThrow(
      new ProtocolError("frame", "a frame has 1001 bytes; from 1 to 1000 bytes are allowed"),
    );
  });

  test("a frame that is too long is refused at its prefix, before any of it is kept", () => {
    const reader = new FrameReader(() => 1000);
    const found: Uint8Array[] = [];
    const chunk = Buffer.concat([encodeFrame({ type: "ping", nonce: 1 }), prefix(0xffff_ffff)]);
    expect(() => reader.push(chunk, (payload) => found.push(payload))).toThrow("a frame has 4294967295 bytes");
    expect(found.length).toBe(1);
    expect(() => reader.push(encodeFrame({ type: "ping", nonce: 2 }), (payload) => found.push(payload))).toThrow(
      ProtocolError,
    );
    expect(found.length).toBe(1);
  });

  test("an empty frame is refused", () => {
    expect(() => new FrameReader(() => 1000).push(prefix(0), () => {})).toThrow("a frame is empty");
  });

  test("the limit may change with a frame, also within one chunk", () => {
    let max = 100;
    const reader = new FrameReader(() => max);
    const lengths: number[] = [];
    reader.push(Buffer.concat([prefix(100), new Uint8Array(100), prefix(5000), new Uint8Array(5000)]), (payload) => {
      lengths.push(payload.length);
      max = 5000;
    });
    expect(lengths).toEqual([100, 5000]);
  });

  test("a promised length costs no memory before the bytes come", () => {
    const readers: FrameReader[] = [];
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 0; i < 100; i++) {
      const reader = new FrameReader(() => 4 * 1024 * 1024);
      reader.push(Buffer.concat([prefix(4 * 1024 * 1024), new Uint8Array(10)]), () => {});
      readers.push(reader);
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(readers.length * 16 * 1024);
  });
});

function prefix(length: number): Uint8Array {
  const result = new Uint8Array(4);
  new DataView(result.buffer).setUint32(0, length);
  return result;
}
