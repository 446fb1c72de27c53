/**
 * The part of CBOR (RFC 8949) that frames are made of: unsigned integers, byte and text strings, arrays of definite
 * length, false, true and null. Nothing else is written, and nothing else is read: tags, floats, negative integers,
 * maps, indefinite lengths and other simple values do not get past {@link Reader}. Pure; knows no schema.
 */
import { ProtocolError } from "./protocol-error.ts";

const majorUint = 0;
const majorBytes = 2;
const majorText = 3;
const majorArray = 4;
const falseByte = 0xf4;
const trueByte = 0xf5;
const nullByte = 0xf6;

const scratchBytes = 64 * 1024;
/** Frames up to this size are copied out of the scratch buffer; longer ones were written into a buffer of their own. */
const two32 = 0x1_0000_0000;

const utf8Encoder = new TextEncoder();
const utf8Decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const eight = new Uint8Array(8);
const eightView = new DataView(eight.buffer);

/** "00" … "ff". */
const hex: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** Writes items one after the other. `path` names the field in errors. One writer is reused for everything. */
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
        faults |= value.charCodeAt(i) ^ 0x2d;
        i++;
      }
      const high = nibble(value.charCodeAt(i));
      const low = nibble(value.charCodeAt(i + 1));
      faults |= high | low;
      bytes[at++] = (high << 4) | low;
      i += 2;
    }
    this.position = at;
    return faults >= 0 && faults < 16;
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

/** Reads items one after the other; refuses whatever is not the item asked for. `path` names the field in errors. */
export class Reader {
  position = 0;

  constructor(readonly bytes: Uint8Array) {}

  /** Reads an item's head of this major type and returns its argument. */
  private head(major: number, path: string): number {
    const { bytes } = this;
    const at = this.position;
    const first = at < bytes.length ? (bytes[at] as number) : -1;
    if (first >> 5 !== major) this.unexpected(first, major, path);
    const info = first & 31;
    if (info < 24) {
      this.position = at + 1;
      return info;
    }
    const width = info === 24 ? 1 : info === 25 ? 2 : info === 26 ? 4 : info === 27 ? 8 : 0;
    if (width === 0) throw fault(path, info === 31 ? "has an indefinite length" : "is not CBOR");
    if (at + 1 + width > bytes.length) throw fault(path, "is cut off");
    this.position = at + 1 + width;
    let value = 0;
    for (let i = at + 1; i < this.position; i++) value = value * 256 + (bytes[i] as number);
    if (value > Number.MAX_SAFE_INTEGER) throw fault(path, "is an integer above 2^53 - 1");
    return value;
  }

  private unexpected(first: number, major: number, path: string): never {
    if (first < 0) throw fault(path, "is missing: the bytes end before it");
    throw fault(path, `is ${describeByte(first)} where ${majorNames[major]} belongs`);
  }

  uint(path: string): number {
    return this.head(majorUint, path);
  }

  /** The number of items that follow. Each takes at least one byte, so a count that cannot be true is refused here. */
  array(path: string): number {
    const length = this.head(majorArray, path);
    if (length > this.bytes.length - this.position) throw fault(path, "is cut off");
    return length;
  }

  bool(path: string): boolean {
    const byte = this.bytes[this.position];
    if (byte !== trueByte && byte !== falseByte) {
      throw fault(path, byte === undefined ? "is missing: the bytes end before it" : notA(byte, "false or true"));
    }
    this.position++;
    return byte === trueByte;
  }

  /** Whether the next item is null; if so, it is read. */
  null(): boolean {
    if (this.bytes[this.position] !== nullByte) return false;
    this.position++;
    return true;
  }

  /** A view into the bytes being read. */
  byteString(path: string): Uint8Array {
    const length = this.head(majorBytes, path);
    const start = this.position;
    if (length > this.bytes.length - start) throw fault(path, "is cut off");
    this.position = start + length;
    return this.bytes.subarray(start, start + length);
  }

  text(path: string, maxBytes: number): string {
    const length = this.head(majorText, path);
    if (length > maxBytes) throw fault(path, `has ${length} bytes; at most ${maxBytes} are allowed`);
    const start = this.position;
    const { bytes } = this;
    if (length > bytes.length - start) throw fault(path, "is cut off");
    const end = start + length;
    this.position = end;
    if (length < 16) {
      let ascii = "";
      let at = start;
      for (; at < end; at++) {
        const byte = bytes[at] as number;
        if (byte > 0x7f) break;
        ascii += String.fromCharCode(byte);
      }
      if (at === end) return ascii;
    }
    try {
      return utf8Decoder.decode(bytes.subarray(start, end));
    } catch {
      throw fault(path, "is not valid UTF-8");
    }
  }

  uuid(path: string): string {
    const start = this.expectBytes(16, path);
    const { bytes } = this;
    let text = "";
    for (let i = 0; i < 16; i++) {
      if (i === 4 || i === 6 || i === 8 || i === 10) text += "-";
      text += hex[bytes[start + i] as number] as string;
    }
    return text;
  }

  hash64(path: string): bigint {
    const start = this.expectBytes(8, path);
    for (let i = 0; i < 8; i++) eight[i] = this.bytes[start + i] as number;
    return eightView.getBigUint64(0);
  }

  /** Where the content of a byte string of exactly this length starts. */
  private expectBytes(length: number, path: string): number {
    const found = this.head(majorBytes, path);
    if (found !== length) throw fault(path, `has ${found} bytes; exactly ${length} belong here`);
    const start = this.position;
    if (length > this.bytes.length - start) throw fault(path, "is cut off");
    this.position = start + length;
    return start;
  }

  /** Nothing may follow the last item. */
  end(path: string): void {
    const left = this.bytes.length - this.position;
    if (left > 0) throw fault(path, `is followed by ${left} bytes that belong to nothing`);
  }
}

const majorNames = [
  "an unsigned integer",
  "a negative integer",
  "a byte string",
  "a text string",
  "an array",
  "a map",
  "a tag",
  "a simple value",
] as const;

function describeByte(first: number): string {
  if (first === falseByte || first === trueByte) return "a boolean";
  if (first === nullByte) return "null";
  if (first === 0xff) return "a stop code";
  if (first >= 0xf9 && first <= 0xfb) return "a float";
  return majorNames[first >> 5] ?? "nothing";
}

const notA = (first: number, wanted: string): string => `is ${describeByte(first)} where ${wanted} belongs`;

/** The sentence is "<path> <what>", e.g. "send.text has 5000 bytes; at most 4096 are allowed". */
export const fault = (path: string, what: string): ProtocolError => new ProtocolError("frame", `${path} ${what}`);
