/**
 * The part of CBOR (RFC 8949) that frames are made of: unsigned integers, byte and text strings, arrays of definite
 * length, false, true and null. Nothing else is written (`cbor-writer.ts`) or read (`cbor-reader.ts`). What both share.
 */
import { ProtocolError } from "./protocol-error.ts";

export const majorUint = 0;
export const majorBytes = 2;
export const majorText = 3;
export const majorArray = 4;
export const falseByte = 0xf4;
export const trueByte = 0xf5;
export const nullByte = 0xf6;

export const majorNames = [
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

/** The sentence is "<path> <what>", e.g. "send.text has 5000 bytes; at most 4096 are allowed". */
export const fault = (path: string, what: string): ProtocolError => new ProtocolError("frame", `${path} ${what}`);
