/**
 * Writes CBOR items, each in its shortest form, into one growing buffer. Knows no schema and checks no range: that is
 * `compile.ts`'s job. Pure.
 */
import { falseByte, majorArray, majorBytes, majorText, majorUint, nullByte, trueByte } from "./cbor.ts";

/** What fits is written here and copied out; what does not gets a buffer of its own. */
const scratchBytes = 64 * 1024;
const two32 = 0x1_0000_0000;

const utf8Encoder = new TextEncoder();
const eight = new Uint8Array(8);
const eightView = new DataView(eight.buffer);

/** Writes items one after the other. One writer serves for everything, since no frame is inside another. */
export class Writer {
  private readonly scratch = new Uint8Array(scratchBytes);
  private bytes = this.scratch;
  private position = 0;

  /** Starts over, leaving `reserved` bytes in front to be filled in by the caller. */
  start(reserved: number): void {
    this.bytes = this.scratch;
    this.position = reserved;
  }

  /** What was written since `start`, in a buffer of its own. */
  finish(): Uint8Array {
    const written = this.bytes;
    if (written === this.scratch) return written.slice(0, this.position);
    this.bytes = this.scratch;
    return written.subarray(0, this.position);
  }

  private reserve(length: number): void {
    const needed = this.position + length;
    if (needed <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(needed + 1024, this.bytes.length * 2));
    larger.set(this.bytes.subarray(0, this.position));
    this.bytes = larger;
  }

  private head(major: number, value: number): void {
    this.reserve(9);
    const { bytes } = this;
    let at = this.position;
    const top = major << 5;
    if (value < 24) {
      bytes[at++] = top | value;
    } else if (value < 0x100) {
      bytes[at++] = top | 24;
      bytes[at++] = value;
    } else if (value < 0x1_0000) {
      bytes[at++] = top | 25;
      bytes[at++] = value >>> 8;
      bytes[at++] = value;
    } else {
      if (value < two32) {
        bytes[at++] = top | 26;
      } else {
        const high = Math.floor(value / two32);
        bytes[at++] = top | 27;
        bytes[at++] = high >>> 24;
        bytes[at++] = high >>> 16;
        bytes[at++] = high >>> 8;
        bytes[at++] = high;
      }
      bytes[at++] = value >>> 24;
      bytes[at++] = value >>> 16;
      bytes[at++] = value >>> 8;
      bytes[at++] = value;
    }
    this.position = at;
  }

  /** A safe integer from 0. */
  uint(value: number): void {
    this.head(majorUint, value);
  }

  array(length: number): void {
    this.head(majorArray, length);
  }

  simple(value: boolean | null): void {
    this.reserve(1);
    this.bytes[this.position++] = value === null ? nullByte : value ? trueByte : falseByte;
  }

  byteString(value: Uint8Array): void {
    this.head(majorBytes, value.length);
    this.reserve(value.length);
    this.bytes.set(value, this.position);
    this.position += value.length;
  }

  /** Writes text as UTF-8 (lone surrogates become U+FFFD) and returns its length in bytes. */
  text(value: string): number {
    const { length } = value;
    // The head's length is known only afterwards, unless three bytes a unit cannot change how many bytes it takes.
    this.reserve(9 + 3 * length);
    const { bytes } = this;
    const start = this.position;
    if (length < 24) {
      let at = start + 1;
      let ascii = true;
      for (let i = 0; i < length; i++) {
        const unit = value.charCodeAt(i);
        if (unit > 0x7f) {
          ascii = false;
          break;
        }
        bytes[at++] = unit;
      }
      if (ascii) {
        bytes[start] = (majorText << 5) | length;
        this.position = at;
        return length;
      }
    }
    const guess = length < 24 ? 1 : length < 0x100 ? 2 : length < 0x1_0000 ? 3 : 5;
    const { written } = utf8Encoder.encodeInto(value, bytes.subarray(start + guess));
    const actual = written < 24 ? 1 : written < 0x100 ? 2 : written < 0x1_0000 ? 3 : 5;
    if (actual !== guess) bytes.copyWithin(start + actual, start + guess, start + guess + written);
    this.head(majorText, written);
    this.position += written;
    return written;
  }

  /** 16 bytes from canonical text; false (and nothing sound written) if `value` is not in that form. */
  uuid(value: string): boolean {
    this.reserve(17);
    const { bytes } = this;
    let at = this.position;
    bytes[at++] = (majorBytes << 5) | 16;
    if (value.length !== 36) return false;
    let faults = 0;
    for (let i = 0; i < 36;) {
      if (i === 8 || i === 13 || i === 18 || i === 23) {
        if (value.charCodeAt(i) !== 0x2d) return false;
        i++;
      }
      const high = nibble(value.charCodeAt(i));
      const low = nibble(value.charCodeAt(i + 1));
      faults |= high | low;
      bytes[at++] = (high << 4) | low;
      i += 2;
    }
    this.position = at;
    return faults < 16;
  }

  /** 8 bytes, big-endian. */
  hash64(value: bigint): void {
    this.reserve(9);
    this.bytes[this.position] = (majorBytes << 5) | 8;
    eightView.setBigUint64(0, value);
    for (let i = 0; i < 8; i++) this.bytes[this.position + 1 + i] = eight[i] as number;
    this.position += 9;
  }
}

/** The value of a lower-case hexadecimal digit, 16 for anything else. */
function nibble(unit: number): number {
  if (unit >= 0x30 && unit <= 0x39) return unit - 0x30;
  if (unit >= 0x61 && unit <= 0x66) return unit - 0x57;
  return 16;
}
