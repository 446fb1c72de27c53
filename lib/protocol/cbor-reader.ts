/**
 * Reads CBOR items and refuses whatever is not the item asked for: tags, floats, negative integers, maps, indefinite
 * lengths, stop codes and other simple values never get past it, and no length is believed beyond the bytes at hand.
 * Knows no schema. Pure, but for a cache that nobody can see.
 */
import {
  describeByte,
  falseByte,
  fault,
  majorArray,
  majorBytes,
  majorNames,
  majorText,
  majorUint,
  nullByte,
  trueByte,
} from "./cbor.ts";

const utf8Decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const eight = new Uint8Array(8);
const eightView = new DataView(eight.buffer);

/** Short texts are mostly ASCII; to look costs less than to ask the decoder. */
const asciiBytesMax = 64;

const missing = "is missing: the bytes end before it";

function latin1(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.prototype.latin1Slice.call(bytes, start, end);
}

/**
 * Uuids as text. The same few sessions come again and again, so the last ones seen are kept: it spares a string each
 * time, and makes maps keyed by session find them faster.
 */
class UuidTexts {
  private readonly keys = new Uint8Array(uuidSlots * 16);
  private readonly texts = new Array<string>(uuidSlots).fill("00000000-0000-0000-0000-000000000000");
  private readonly digits = new Uint8Array(36);

  text(bytes: Uint8Array, start: number): string {
    const { keys } = this;
    const slot = hash16(bytes, start) % uuidSlots;
    const key = slot * 16;
    for (let i = 0; i < 16; i++) {
      if (keys[key + i] !== bytes[start + i]) return this.remember(bytes, start, slot);
    }
    return this.texts[slot] as string;
  }

  private remember(bytes: Uint8Array, start: number, slot: number): string {
    const { digits } = this;
    let at = 0;
    for (let i = 0; i < 16; i++) {
      if (i === 4 || i === 6 || i === 8 || i === 10) digits[at++] = 0x2d;
      const byte = bytes[start + i] as number;
      digits[at++] = hexDigit(byte >>> 4);
      digits[at++] = hexDigit(byte & 15);
      this.keys[slot * 16 + i] = byte;
    }
    const text = latin1(digits, 0, 36);
    this.texts[slot] = text;
    return text;
  }
}

const uuidSlots = 1024;
const hexDigit = (value: number): number => (value < 10 ? 0x30 + value : 0x57 + value);
const hash16 = (bytes: Uint8Array, start: number): number =>
  (((bytes[start] as number) << 8) | (bytes[start + 1] as number)) ^
  (((bytes[start + 14] as number) << 8) | (bytes[start + 15] as number));
const uuids = new UuidTexts();

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
    if (first < 0) throw fault(path, missing);
    throw fault(path, `is ${describeByte(first)} where ${majorNames[major]} belongs`);
  }

  uint(path: string): number {
    const first = this.bytes[this.position];
    if (first === undefined || first >= 24) return this.head(majorUint, path);
    this.position++;
    return first;
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
      throw fault(path, byte === undefined ? missing : `is ${describeByte(byte)} where false or true belongs`);
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
    // Never a Buffer, which sockets hand out: its slice() does not copy.
    return new Uint8Array(this.bytes.buffer, this.bytes.byteOffset + start, length);
  }

  text(path: string, maxBytes: number): string {
    const length = this.head(majorText, path);
    if (length > maxBytes) throw fault(path, `has ${length} bytes; at most ${maxBytes} are allowed`);
    const start = this.position;
    const { bytes } = this;
    if (length > bytes.length - start) throw fault(path, "is cut off");
    const end = start + length;
    this.position = end;
    if (length <= asciiBytesMax) {
      let bits = 0;
      for (let at = start; at < end; at++) bits |= bytes[at] as number;
      if (bits < 0x80) return latin1(bytes, start, end);
    }
    try {
      return utf8Decoder.decode(bytes.subarray(start, end));
    } catch {
      throw fault(path, "is not valid UTF-8");
    }
  }

  uuid(path: string): string {
    return uuids.text(this.bytes, this.expectBytes(16, path));
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
