/**
 * Values of schemas for tests and golden frames: arbitrary ones, fixed ones, and their form in JSON. For tests only.
 */
import fc from "fast-check";
import type { Definition, Description } from "./schema.ts";

/** Any value a schema allows, kept small where the schema allows much. Texts are well-formed Unicode. */
export function arbitraryOf(schema: Description): fc.Arbitrary<unknown> {
  switch (schema.kind) {
    case "uint":
      return fc.oneof(
        fc.integer({ min: 0, max: Math.min(30, schema.max) }),
        fc.maxSafeNat().map((value) => Math.min(value, schema.max)),
        fc.constantFrom(...widthEdges.filter((value) => value <= schema.max), schema.max),
      );
    case "bool":
      return fc.boolean();
    case "text":
      return fc
        .oneof(
          fc.string({ unit: "grapheme-ascii" }),
          fc.string({ unit: "binary" }),
          fc.string({ minLength: 20, maxLength: 400 }),
        )
        .filter((value) => Buffer.byteLength(value) <= schema.maxBytes);
    case "bytes":
      return fc.uint8Array({ minLength: schema.minBytes, maxLength: Math.min(schema.maxBytes, schema.minBytes + 300) });
    case "uuid":
      return fc.uint8Array({ minLength: 16, maxLength: 16 }).map(uuidOf);
    case "hash64":
      return fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
    case "oneOf":
      return fc.constantFrom(...schema.values);
    case "optional":
      return fc.option(arbitraryOf(schema.of), { nil: null });
    case "list":
      return fc.array(arbitraryOf(schema.of), { maxLength: Math.min(schema.max, 5) });
    case "struct":
      return fc.record(Object.fromEntries(schema.fields.map((field) => [field.name, arbitraryOf(field.schema)])));
  }
}

/** Any value of one entry of a table. */
export function arbitraryValueOf(type: string, definition: Definition): fc.Arbitrary<{ readonly type: string }> {
  const fields = Object.entries(definition.fields).map(([name, schema]) => [name, arbitraryOf(schema)] as const);
  return fc.record({ type: fc.constant(type), ...Object.fromEntries(fields) });
}

/** Where the width of a CBOR head changes. */
const widthEdges = [0, 23, 24, 255, 256, 65535, 65536, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER];

function uuidOf(bytes: Uint8Array): string {
  return bytes.toHex().replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** A value as JSON: byte strings and 64-bit hashes as hexadecimal text. */
export function toJson(schema: Description, value: unknown): unknown {
  switch (schema.kind) {
    case "bytes":
      return (value as Uint8Array).toHex();
    case "hash64":
      return (value as bigint).toString(16).padStart(16, "0");
    case "optional":
      return value === null ? null : toJson(schema.of, value);
    case "list":
      return (value as readonly unknown[]).map((item) => toJson(schema.of, item));
    case "struct":
      return mapFields(schema.fields, value, toJson);
    default:
      return value;
  }
}

/** The value that {@link toJson} made this of. */
export function fromJson(schema: Description, json: unknown): unknown {
  switch (schema.kind) {
    case "bytes":
      return Uint8Array.fromHex(json as string);
    case "hash64":
      return BigInt(`0x${json as string}`);
    case "optional":
      return json === null ? null : fromJson(schema.of, json);
    case "list":
      return (json as readonly unknown[]).map((item) => fromJson(schema.of, item));
    case "struct":
      return mapFields(schema.fields, json, fromJson);
    default:
      return json;
  }
}

function mapFields(
  fields: readonly { readonly name: string; readonly schema: Description }[],
  value: unknown,
  convert: (schema: Description, value: unknown) => unknown,
): Record<string, unknown> {
  const values = value as Readonly<Record<string, unknown>>;
  return Object.fromEntries(fields.map(({ name, schema }) => [name, convert(schema, values[name])]));
}

/** One value of a schema, always the same: what a new golden frame begins with. `name` is the field's. */
export function sampleOf(schema: Description, name: string): unknown {
  switch (schema.kind) {
    case "uint":
      return Math.min(schema.max, schema.as === "view" ? 3 * 256 + 1 : name.length);
    case "bool":
      return true;
    case "text":
      return name.slice(0, schema.maxBytes);
    case "bytes":
      return new Uint8Array(Math.max(schema.minBytes, Math.min(schema.maxBytes, 16))).fill(name.length);
    case "uuid":
      return "7d4b0ba2-5e1f-4c5a-9f0e-1c2d3e4f5a6b";
    case "hash64":
      return 0x0123456789abcdefn;
    case "oneOf":
      return schema.values[0];
    case "optional":
      return sampleOf(schema.of, name);
    case "list":
      return schema.max === 0 ? [] : [sampleOf(schema.of, name)];
    case "struct":
      return Object.fromEntries(schema.fields.map((field) => [field.name, sampleOf(field.schema, field.name)]));
  }
}
