/**
 * CBOR (RFC 8949) by `cbor-x`, for the part of it that frames are made of: unsigned integers, byte and text strings,
 * arrays of definite length, false, true and null. Knows no schema. What is read must have passed `cbor-scan.ts`:
 * cbor-x alone follows tags, has no limit of depth, and lets invalid UTF-8 pass. Pure, but for a buffer nobody sees.
 */
import { Encoder } from "cbor-x/index-no-eval";

/** What frames look like to a CBOR library. Integers above 2^32 - 1 are bigints, since cbor-x makes floats of others. */
export type Plain = number | bigint | string | boolean | null | Uint8Array | Plain[];

/** What fits is written here and copied out. */
const scratchBytes = 64 * 1024;
/** Room for all that is not a byte string in a value with long ones; what needs more is copied once more. */
const roomBytes = 8 * 1024;

/** `useBuffer` is documented ("Arena Allocation"), but missing in the library's types. */
type ArenaEncoder = Encoder & { useBuffer(buffer: Uint8Array): void };

const coder = new Encoder({ useRecords: false, variableMapSize: true, tagUint8Array: false }) as ArenaEncoder;
// A Buffer, since cbor-x writes long texts with a method that only Buffers have.
const scratch = Buffer.alloc(scratchBytes);

/**
 * The items as an array in CBOR's shortest form, behind `reserved` bytes for the caller to fill in. The bytes are the
 * caller's own: if no buffer were given to it, cbor-x would hand out views into memory shared by many results.
 */
export function encodePlain(items: readonly Plain[], reserved: number): Uint8Array {
  const long = lengthOfBytes(items);
  if (long > scratchBytes / 2) return encodeLong(items, reserved, long);
  coder.useBuffer(scratch);
  const written = coder.encode(items);
  const bytes = new Uint8Array(reserved + written.length);
  bytes.set(written, reserved);
  return bytes;
}

/** The same in memory made for it, so that long byte strings (records) are copied once. */
function encodeLong(items: readonly Plain[], reserved: number, length: number): Uint8Array {
  const memory = Buffer.alloc(reserved + length + roomBytes);
  coder.useBuffer(memory.subarray(reserved));
  const written = coder.encode(items);
  coder.useBuffer(scratch);
  const whole = reserved + written.length;
  if (written.buffer === memory.buffer) return new Uint8Array(memory.buffer, memory.byteOffset, whole);
  const bytes = new Uint8Array(whole);
  bytes.set(written, reserved);
  return bytes;
}

function lengthOfBytes(items: readonly Plain[]): number {
  let length = 0;
  for (const item of items) if (item instanceof Uint8Array) length += item.length;
  return length;
}

/** The one item that `bytes`, found sound by a scan, are. Byte strings are views into `bytes`, never Buffers. */
export function decodePlain(bytes: Uint8Array): Plain {
  return coder.decode(plainView(bytes)) as Plain;
}

/** The items, found sound by a scan, that `bytes` are one after the other. The same holds for their byte strings. */
export function decodePlains(bytes: Uint8Array): Plain[] {
  const items: Plain[] = [];
  if (bytes.length > 0) coder.decodeMultiple(plainView(bytes), (item: Plain) => void items.push(item));
  return items;
}

/**
 * A view for the decoder alone: sockets hand out Buffers, whose slice() does not copy, and cbor-x leaves a property on
 * what it reads.
 */
const plainView = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);

export const majorUint = 0;
export const majorBytes = 2;
export const majorText = 3;
export const majorArray = 4;
export const falseByte = 0xf4;
export const trueByte = 0xf5;
export const nullByte = 0xf6;

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

/** What an item beginning with this byte is. */
export function describeByte(first: number): string {
  if (first === falseByte || first === trueByte) return "a boolean";
  if (first === nullByte) return "null";
  if (first === 0xff) return "a stop code";
  if (first >= 0xf9 && first <= 0xfb) return "a float";
  return majorNames[first >> 5] ?? "nothing";
}

/** What a value is, in the same words. */
export function describePlain(value: Plain | undefined): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (typeof value === "boolean") return "a boolean";
  if (typeof value === "string") return majorNames[majorText];
  if (typeof value === "object") return majorNames[Array.isArray(value) ? majorArray : majorBytes];
  return majorNames[majorUint];
}
