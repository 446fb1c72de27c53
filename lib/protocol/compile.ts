/**
 * Turns schemas into conversions, once, at load: between values as the project has them and plain ones as CBOR has
 * them (`cbor.ts`). What is accepted either way is exactly what the schema says. Pure; defines no frame, sees no byte
 * of CBOR.
 */
import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import { counted } from "../base/words.ts";
import { describePlain, type Plain } from "./cbor.ts";
import { ProtocolError } from "./protocol-error.ts";
import type { Description, Field } from "./schema.ts";

/** Throws `ProtocolError` when the value is not of the schema's type or range. */
type ToPlain = (value: unknown) => Plain;
/** Throws `ProtocolError` when the plain value is not what the schema says. */
type FromPlain = (plain: Plain | undefined) => unknown;
type Values = Record<string, unknown>;

interface Compiled {
  readonly toPlain: ToPlain;
  readonly fromPlain: FromPlain;
}

/** Fields one after the other, within an array that may have an item in front of them. */
export interface CompiledFields {
  readonly toPlain: (value: Values, into: Plain[]) => void;
  /** `from` has as many items as there are fields, from `offset` on. */
  readonly fromPlain: (from: readonly Plain[], offset: number, into: Values) => void;
}

/** Byte strings that can be no longer than this are copied out of the bytes read; longer ones are views into them. */
const copiedBytesMax = 64;

const uint32Max = 0xffff_ffff;
const canonicalUuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** How many there must be, in the words of a fault. */
export const exactly = (count: number): string => `exactly ${count} ${count === 1 ? "belongs" : "belong"} here`;

/** The sentence is "<path> <what>", e.g. "send.text has 5000 bytes; at most 4096 are allowed". */
export const fault = (path: string, what: string): ProtocolError => new ProtocolError("frame", `${path} ${what}`);

/** What a schema says must stand at its place. */
export function belongs(schema: Description): string {
  switch (schema.kind) {
    case "uint":
      return "an unsigned integer";
    case "bool":
      return "false or true";
    case "text":
    case "oneOf":
      return "a text string";
    case "bytes":
    case "uuid":
    case "hash64":
      return "a byte string";
    case "optional":
      return belongs(schema.of);
    case "list":
    case "struct":
      return "an array";
  }
}

/** How many items the arrays of a value of this schema can have together, this one included. */
export function itemsOf(schema: Description): number {
  switch (schema.kind) {
    case "optional":
      return itemsOf(schema.of);
    case "list":
      return 1 + schema.max * itemsOf(schema.of);
    case "struct":
      return schema.fields.reduce((sum, field) => sum + itemsOf(field.schema), 1);
    default:
      return 1;
  }
}

/** `path` is how errors name the value, e.g. `send.text`. `depth` counts the arrays around it. */
export function compile(schema: Description, path: string, depth: number): Compiled {
  assert(depth <= limits.frameDepthMax, "no schema nests deeper than a frame may");
  switch (schema.kind) {
    case "uint":
      return compileUint(schema.max, path);
    case "bool":
      return {
        toPlain(value) {
          if (typeof value !== "boolean") throw fault(path, "must be a boolean");
          return value;
        },
        fromPlain(plain) {
          if (typeof plain !== "boolean") throw unexpected(path, plain, schema);
          return plain;
        },
      };
    case "text":
      return compileText(schema, path);
    case "bytes":
      return compileBytes(schema, path);
    case "uuid":
      return compileUuid(path);
    case "hash64":
      return compileHash64(path);
    case "oneOf":
      return compileOneOf(schema, path);
    case "optional": {
      const { toPlain, fromPlain } = compile(schema.of, path, depth);
      return {
        toPlain: (value) => (value === null ? null : toPlain(value)),
        fromPlain: (plain) => (plain === null ? null : fromPlain(plain)),
      };
    }
    case "list":
      return compileList(schema, path, depth);
    case "struct":
      return compileStruct(schema, path, depth);
  }
}

const unexpected = (path: string, plain: Plain | undefined, schema: Description): ProtocolError =>
  fault(path, `is ${describePlain(plain)} where ${belongs(schema)} belongs`);

/** An unsigned integer as a number. What was written in 64 bits comes from cbor-x as a bigint, whatever its value. */
export function uintFromPlain(plain: Plain | undefined, path: string): number {
  if (typeof plain === "number") return plain;
  if (typeof plain === "bigint") return Number(plain);
  throw fault(path, `is ${describePlain(plain)} where an unsigned integer belongs`);
}

function compileUint(max: number, path: string): Compiled {
  return {
    toPlain(value) {
      if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0 || value > max) {
        throw fault(path, `must be an integer from 0 to ${max}`);
      }
      return value > uint32Max ? BigInt(value) : value;
    },
    fromPlain(plain) {
      const value = uintFromPlain(plain, path);
      if (value > max) throw fault(path, `is ${value}; at most ${max} is allowed`);
      return value;
    },
  };
}

/** The length of a text in UTF-8, if it could be above `max` at all; else 0. */
const bytesIfLong = (text: string, max: number): number => (text.length * 3 > max ? Buffer.byteLength(text) : 0);

function compileText(schema: Extract<Description, { kind: "text" }>, path: string): Compiled {
  const { maxBytes } = schema;
  return {
    toPlain(value) {
      if (typeof value !== "string") throw fault(path, "must be text");
      // The number of units first: a text of any length must not cost time.
      const length = value.length > maxBytes ? value.length : bytesIfLong(value, maxBytes);
      if (length > maxBytes) throw fault(path, `has ${length} bytes or more; at most ${maxBytes} are allowed`);
      // cbor-x would write lone surrogates as they are.
      return value.toWellFormed();
    },
    fromPlain(plain) {
      if (typeof plain !== "string") throw unexpected(path, plain, schema);
      const length = bytesIfLong(plain, maxBytes);
      if (length > maxBytes) throw fault(path, `has ${length} bytes; at most ${maxBytes} are allowed`);
      return plain;
    },
  };
}

function compileBytes(schema: Extract<Description, { kind: "bytes" }>, path: string): Compiled {
  const { minBytes, maxBytes } = schema;
  const check = (length: number): void => {
    if (length > maxBytes) throw fault(path, `has ${length} bytes; at most ${maxBytes} are allowed`);
    if (length < minBytes) throw fault(path, `has ${counted(length, "byte")}; at least ${minBytes} are needed`);
  };
  const copied = maxBytes <= copiedBytesMax;
  return {
    toPlain(value) {
      if (!(value instanceof Uint8Array)) throw fault(path, "must be bytes");
      check(value.length);
      return value;
    },
    fromPlain(plain) {
      if (!(plain instanceof Uint8Array)) throw unexpected(path, plain, schema);
      check(plain.length);
      return copied ? plain.slice() : plain;
    },
  };
}

/** A byte string of exactly `length` bytes. */
function exactBytes(plain: Plain | undefined, length: number, path: string): Uint8Array {
  if (!(plain instanceof Uint8Array)) {
    throw fault(path, `is ${describePlain(plain)} where a byte string belongs`);
  }
  if (plain.length !== length) throw fault(path, `has ${counted(plain.length, "byte")}; ${exactly(length)}`);
  return plain;
}

function compileUuid(path: string): Compiled {
  return {
    toPlain(value) {
      if (typeof value !== "string") throw fault(path, "must be a uuid in canonical form");
      return uuidBytes.get(value) ?? newUuidBytes(value, path);
    },
    fromPlain(plain) {
      const hex = exactBytes(plain, 16, path).toHex();
      return uuidTexts.get(hex) ?? newUuidText(hex);
    },
  };
}

/** Of uuids decoded of late, by their digits: one text each, which is hashed and compared in many a table. */
const uuidTexts = new Map<string, string>();

function newUuidText(hex: string): string {
  if (uuidTexts.size === uuidsKept) uuidTexts.clear();
  const uuid = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  uuidTexts.set(hex, uuid);
  return uuid;
}

/** Of uuids encoded of late: those of replicas and sessions stand in one message after the other. In memory of their own. */
const uuidBytes = new Map<string, Uint8Array>();
const uuidsKept = 4_096;
let uuidSpace = new ArrayBuffer(0);

function newUuidBytes(uuid: string, path: string): Uint8Array {
  if (!canonicalUuid.test(uuid)) throw fault(path, "must be a uuid in canonical form");
  if (uuidBytes.size === 0 || uuidBytes.size === uuidsKept) {
    uuidBytes.clear();
    uuidSpace = new ArrayBuffer(16 * uuidsKept);
  }
  const bytes = new Uint8Array(uuidSpace, 16 * uuidBytes.size, 16);
  bytes.setFromHex(uuid.slice(0, 8) + uuid.slice(9, 13) + uuid.slice(14, 18) + uuid.slice(19, 23) + uuid.slice(24));
  uuidBytes.set(uuid, bytes);
  return bytes;
}

function compileHash64(path: string): Compiled {
  return {
    toPlain(value) {
      if (typeof value !== "bigint" || value < 0n || value >= hash64End) throw fault(path, "must be a 64-bit hash");
      const bytes = takeBytes(8);
      viewOf(bytes).setBigUint64(0, value);
      return bytes;
    },
    fromPlain: (plain) => viewOf(exactBytes(plain, 8, path)).getBigUint64(0),
  };
}

const hash64End = 1n << 64n;
const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset);

let spare = new ArrayBuffer(0);
let spareTaken = 0;

/**
 * A few bytes of zeros, never handed out twice. A view into memory that many share costs cbor-x a fraction of what
 * memory of its own would: to ask a small array for its buffer, as cbor-x does, makes the runtime move it.
 */
function takeBytes(length: number): Uint8Array {
  if (spare.byteLength - spareTaken < length) {
    spare = new ArrayBuffer(spareBytes);
    spareTaken = 0;
  }
  const taken = new Uint8Array(spare, spareTaken, length);
  spareTaken += length;
  return taken;
}

const spareBytes = 8192;

function compileOneOf(schema: Extract<Description, { kind: "oneOf" }>, path: string): Compiled {
  const { values } = schema;
  const known = new Set(values);
  const longest = longestOf(values);
  return {
    toPlain(value) {
      if (typeof value !== "string" || !known.has(value)) throw fault(path, `must be one of ${values.join(", ")}`);
      return value;
    },
    fromPlain(plain) {
      if (typeof plain !== "string") throw unexpected(path, plain, schema);
      if (known.has(plain)) return plain;
      const length = Buffer.byteLength(plain);
      if (length > longest) throw fault(path, `has ${length} bytes; at most ${longest} are allowed`);
      throw fault(path, `is none of ${values.join(", ")}`);
    },
  };
}

/** The length of the longest choice in bytes. */
export const longestOf = (values: readonly string[]): number => Math.max(...values.map((value) => value.length));

function compileList(schema: Extract<Description, { kind: "list" }>, path: string, depth: number): Compiled {
  const { max } = schema;
  const { toPlain, fromPlain } = compile(schema.of, `${path}[]`, depth + 1);
  const check = (length: number): void => {
    if (length > max) throw fault(path, `has ${length} items; at most ${max} are allowed`);
  };
  return {
    toPlain(value) {
      if (!Array.isArray(value)) throw fault(path, "must be a list");
      check(value.length);
      // Not map(), which passes over holes and keeps subclasses.
      const items: Plain[] = [];
      for (const item of value) items.push(toPlain(item));
      return items;
    },
    fromPlain(plain) {
      if (!Array.isArray(plain)) throw unexpected(path, plain, schema);
      check(plain.length);
      return plain.map((item) => fromPlain(item));
    },
  };
}

function compileStruct(schema: Extract<Description, { kind: "struct" }>, path: string, depth: number): Compiled {
  const { toPlain, fromPlain } = compileFields(schema.fields, path, depth + 1);
  const count = schema.fields.length;
  return {
    toPlain(value) {
      if (typeof value !== "object" || value === null) throw fault(path, "must be an object");
      const items: Plain[] = [];
      toPlain(value as Values, items);
      return items;
    },
    fromPlain(plain) {
      if (!Array.isArray(plain)) throw unexpected(path, plain, schema);
      if (plain.length !== count) throw fault(path, `has ${counted(plain.length, "field")}; ${exactly(count)}`);
      const value: Values = {};
      fromPlain(plain, 0, value);
      return value;
    },
  };
}

/** `path` is the name of what they are fields of. */
export function compileFields(fields: readonly Field[], path: string, depth: number): CompiledFields {
  const names = fields.map(({ name }) => name);
  const compiled = fields.map(({ name, schema }) => compile(schema, `${path}.${name}`, depth));
  const toPlains = compiled.map(({ toPlain }) => toPlain);
  const fromPlains = compiled.map(({ fromPlain }) => fromPlain);
  return {
    toPlain(value, into) {
      for (let i = 0; i < names.length; i++) into.push((toPlains[i] as ToPlain)(value[names[i] as string]));
    },
    fromPlain(from, offset, into) {
      for (let i = 0; i < names.length; i++) into[names[i] as string] = (fromPlains[i] as FromPlain)(from[offset + i]);
    },
  };
}
