/**
 * Turns schemas into encoders and decoders, once, at load. What a decoder accepts is exactly what its schema says, so
 * depth, number of items and memory are bounded by the schema and by the bytes at hand. Pure; defines no frame.
 */
import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import { fault } from "./cbor.ts";
import type { Reader } from "./cbor-reader.ts";
import type { Writer } from "./cbor-writer.ts";
import type { Description, Field } from "./schema.ts";

/** Throws `ProtocolError` when the value is not of the schema's type or range. */
export type Encode = (writer: Writer, value: unknown) => void;
/** Throws `ProtocolError` when the bytes are not what the schema says. */
export type Decode = (reader: Reader) => unknown;
type Values = Record<string, unknown>;

export interface Compiled {
  readonly encode: Encode;
  readonly decode: Decode;
}

/** Byte strings that can be no longer than this are copied out of the bytes read; longer ones are views into them. */
export const copiedBytesMax = 64;

/** `path` is how errors name the value, e.g. `send.text`. `depth` counts the arrays around it. */
function compile(schema: Description, path: string, depth: number): Compiled {
  assert(depth <= limits.frameDepthMax, "no schema nests deeper than a frame may");
  switch (schema.kind) {
    case "uint":
      return compileUint(schema.max, path);
    case "bool":
      return {
        encode(writer, value) {
          if (typeof value !== "boolean") throw fault(path, "must be a boolean");
          writer.simple(value);
        },
        decode: (reader) => reader.bool(path),
      };
    case "text":
      return compileText(schema.maxBytes, path);
    case "bytes":
      return compileBytes(schema.minBytes, schema.maxBytes, path);
    case "uuid":
      return {
        encode(writer, value) {
          if (typeof value !== "string" || !writer.uuid(value)) throw fault(path, "must be a uuid in canonical form");
        },
        decode: (reader) => reader.uuid(path),
      };
    case "hash64":
      return {
        encode(writer, value) {
          if (typeof value !== "bigint" || value < 0n || value >= 1n << 64n) throw fault(path, "must be a 64-bit hash");
          writer.hash64(value);
        },
        decode: (reader) => reader.hash64(path),
      };
    case "oneOf":
      return compileOneOf(schema.values, path);
    case "optional": {
      const { encode, decode } = compile(schema.of, path, depth);
      return {
        encode(writer, value) {
          if (value === null) writer.simple(null);
          else encode(writer, value);
        },
        decode: (reader) => (reader.null() ? null : decode(reader)),
      };
    }
    case "list":
      return compileList(schema.of, schema.max, path, depth);
    case "struct":
      return compileStruct(schema.fields, path, depth);
  }
}

function compileUint(max: number, path: string): Compiled {
  return {
    encode(writer, value) {
      if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0 || value > max) {
        throw fault(path, `must be an integer from 0 to ${max}`);
      }
      writer.uint(value);
    },
    decode(reader) {
      const value = reader.uint(path);
      if (value > max) throw fault(path, `is ${value}; at most ${max} is allowed`);
      return value;
    },
  };
}

function compileText(maxBytes: number, path: string): Compiled {
  return {
    encode(writer, value) {
      if (typeof value !== "string") throw fault(path, "must be text");
      // Checked before writing too: a text of any length must not cost memory.
      const length = value.length > maxBytes ? value.length : writer.text(value);
      if (length > maxBytes) throw fault(path, `has ${length} bytes or more; at most ${maxBytes} are allowed`);
    },
    decode: (reader) => reader.text(path, maxBytes),
  };
}

function compileBytes(minBytes: number, maxBytes: number, path: string): Compiled {
  const check = (length: number): void => {
    if (length > maxBytes) throw fault(path, `has ${length} bytes; at most ${maxBytes} are allowed`);
    if (length < minBytes) throw fault(path, `has ${length} bytes; at least ${minBytes} are needed`);
  };
  const copied = maxBytes <= copiedBytesMax;
  return {
    encode(writer, value) {
      if (!(value instanceof Uint8Array)) throw fault(path, "must be bytes");
      check(value.length);
      writer.byteString(value);
    },
    decode(reader) {
      const value = reader.byteString(path);
      check(value.length);
      return copied ? value.slice() : value;
    },
  };
}

function compileOneOf(values: readonly string[], path: string): Compiled {
  const known = new Set(values);
  const longest = Math.max(...values.map((value) => value.length));
  return {
    encode(writer, value) {
      if (typeof value !== "string" || !known.has(value)) throw fault(path, `must be one of ${values.join(", ")}`);
      writer.text(value);
    },
    decode(reader) {
      const value = reader.text(path, longest);
      if (!known.has(value)) throw fault(path, `is none of ${values.join(", ")}`);
      return value;
    },
  };
}

function compileList(of: Description, max: number, path: string, depth: number): Compiled {
  const { encode, decode } = compile(of, `${path}[]`, depth + 1);
  return {
    encode(writer, value) {
      if (!Array.isArray(value)) throw fault(path, "must be a list");
      if (value.length > max) throw fault(path, `has ${value.length} items; at most ${max} are allowed`);
      writer.array(value.length);
      for (const item of value) encode(writer, item);
    },
    decode(reader) {
      const length = reader.array(path);
      if (length > max) throw fault(path, `has ${length} items; at most ${max} are allowed`);
      const items: unknown[] = [];
      for (let i = 0; i < length; i++) items.push(decode(reader));
      return items;
    },
  };
}

function compileStruct(fields: readonly Field[], path: string, depth: number): Compiled {
  const { encode, decode } = compileFields(fields, path, depth + 1);
  const count = fields.length;
  return {
    encode(writer, value) {
      if (typeof value !== "object" || value === null) throw fault(path, "must be an object");
      writer.array(count);
      encode(writer, value as Values);
    },
    decode(reader) {
      const length = reader.array(path);
      if (length !== count) throw fault(path, `has ${length} fields; exactly ${count} belong here`);
      const value: Values = {};
      decode(reader, value);
      return value;
    },
  };
}

/** Fields one after the other, without an array around them. `path` is the name of what they are fields of. */
export function compileFields(
  fields: readonly Field[],
  path: string,
  depth: number,
): { encode: (writer: Writer, value: Values) => void; decode: (reader: Reader, into: Values) => void } {
  const names = fields.map((field) => field.name);
  const compiled = fields.map((field) => compile(field.schema, `${path}.${field.name}`, depth));
  const encoders = compiled.map((each) => each.encode);
  const decoders = compiled.map((each) => each.decode);
  return {
    encode(writer, value) {
      for (let i = 0; i < encoders.length; i++) (encoders[i] as Encode)(writer, value[names[i] as string]);
    },
    decode(reader, into) {
      for (let i = 0; i < decoders.length; i++) into[names[i] as string] = (decoders[i] as Decode)(reader);
    },
  };
}
