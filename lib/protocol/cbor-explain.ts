/**
 * Says what a scan found wrong as one would who reads the bytes with the schema in hand: frame, field, fault. Only
 * runs when something is refused. Pure.
 */
import { counted } from "../base/words.ts";
import { describeByte, falseByte, majorArray, majorBytes, majorText, majorUint, nullByte, trueByte } from "./cbor.ts";
import type { ScanFault } from "./cbor-scan.ts";
import { belongs, exactly, fault, longestOf } from "./compile.ts";
import type { ProtocolError } from "./protocol-error.ts";
import type { Description } from "./schema.ts";

/**
 * The error for a fault that is at the place of `schema`, named `path`, or within it; `level` is how many of the
 * fault's arrays are around that place.
 */
export function explain(found: ScanFault, schema: Description, path: string, level: number): ProtocolError {
  if (schema.kind === "optional") return explain(found, schema.of, path, level);
  const index = found.path[level];
  if (index === undefined) return explainItem(found, schema, path);
  const count = found.counts[level] ?? 0;
  if (schema.kind === "list") return tooLong(count, schema, path) ?? explain(found, schema.of, `${path}[]`, level + 1);
  if (schema.kind === "struct") {
    const field = schema.fields[index];
    if (count !== schema.fields.length || field === undefined) return wrongCount(count, schema.fields.length, path);
    return explain(found, field.schema, `${path}.${field.name}`, level + 1);
  }
  return fault(path, `is an array where ${belongs(schema)} belongs`);
}

/** The error for the item itself. */
function explainItem(found: ScanFault, schema: Description, path: string): ProtocolError {
  const { argument, first, reason } = found;
  if (reason === "missing") return fault(path, "is missing: the bytes end before it");
  if (!fits(first, schema)) return fault(path, `is ${describeByte(first)} where ${belongs(schema)} belongs`);
  switch (reason) {
    case "indefinite":
      return fault(path, "has an indefinite length");
    case "forbidden":
    case "malformed":
      return fault(path, "is not CBOR");
    case "huge":
      return fault(path, "is an integer above 2^53 - 1");
    case "utf8":
      return wrongBytes(argument, schema, path) ?? fault(path, "is not valid UTF-8");
    case "cut":
      return wrongBytes(argument, schema, path) ?? fault(path, "is cut off");
    case "items":
    case "depth":
      if (schema.kind === "list") return tooLong(argument, schema, path) ?? fault(path, tooMuch);
      if (schema.kind === "struct") return wrongCount(argument, schema.fields.length, path);
      return fault(path, tooMuch);
  }
}

const tooMuch = "has more in it than any frame has";

const wrongCount = (count: number, expected: number, path: string): ProtocolError =>
  fault(path, `has ${counted(count, "field")}; ${exactly(expected)}`);

function tooLong(count: number, schema: Extract<Description, { kind: "list" }>, path: string): ProtocolError | null {
  return count > schema.max ? fault(path, `has ${count} items; at most ${schema.max} are allowed`) : null;
}

/** What is wrong with a string of this length (-1: unknown), complete or not, where its schema alone tells. */
function wrongBytes(length: number, schema: Description, path: string): ProtocolError | null {
  if (length < 0) return null;
  if (schema.kind === "text" || schema.kind === "oneOf") {
    const max = schema.kind === "text" ? schema.maxBytes : longestOf(schema.values);
    return length > max ? fault(path, `has ${length} bytes; at most ${max} are allowed`) : null;
  }
  const exact = schema.kind === "uuid" ? 16 : schema.kind === "hash64" ? 8 : length;
  return length === exact ? null : fault(path, `has ${counted(length, "byte")}; ${exactly(exact)}`);
}

/** Whether an item that begins with this byte could be of this schema. */
function fits(first: number, schema: Description): boolean {
  const major = first >> 5;
  switch (schema.kind) {
    case "uint":
      return major === majorUint;
    case "bool":
      return first === falseByte || first === trueByte;
    case "text":
    case "oneOf":
      return major === majorText;
    case "bytes":
    case "uuid":
    case "hash64":
      return major === majorBytes;
    case "optional":
      return first === nullByte || fits(first, schema.of);
    case "list":
    case "struct":
      return major === majorArray;
  }
}
