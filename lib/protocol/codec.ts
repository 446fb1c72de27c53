/**
 * Frames, commands and log entries to bytes and back, derived from the tables in `messages.ts`, `commands.ts` and
 * `entries.ts`: `compile.ts` makes plain values of them, `cbor-x` makes CBOR of those. On the way back a scan comes
 * first. Decoding is strict (README, "Encoding"). Pure; knows no connection and no record.
 *
 * Aliasing: byte strings that can be longer than 64 bytes (records, ops, commands) are views into the bytes given to a
 * decoder, and `FrameReader` may hand out views into a chunk: copy what is kept for long. Shorter ones (tokens, hashes,
 * digests, cluster ids) and everything else are copies. What an encoder returns belongs to the caller alone.
 */
import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import { counted } from "../base/words.ts";
import { decodePlain, decodePlains, describePlain, encodePlain, type Plain } from "./cbor.ts";
import { explain } from "./cbor-explain.ts";
import { Scanner, type ScanFault } from "./cbor-scan.ts";
import { commands, type Command } from "./commands.ts";
import { compile, compileFields, exactly, fault, itemsOf, uintFromPlain, type CompiledFields } from "./compile.ts";
import { entries, type EntryPayload } from "./entries.ts";
import { frames, protocolMagic, type Frame, type FrameOf } from "./messages.ts";
import { ProtocolError } from "./protocol-error.ts";
import { uint, type Definition, type Description, type Field } from "./schema.ts";

export { ProtocolError };

/** Bytes of the length in front of every frame: u32, big-endian. */
export const framePrefixBytes = 4;

interface Codec extends CompiledFields {
  readonly type: string;
  readonly number: number;
  readonly fields: readonly Field[];
  /** Items of the array on the wire, the number in front included if there is one. */
  readonly length: number;
  /** Items that it and the arrays in it can have together. */
  readonly itemsMax: number;
}

interface Table {
  readonly what: string;
  /** Items in front of the fields: one if numbered, else none. */
  readonly offset: number;
  /** How many items the value with this number in front can have; none if there is no such value. */
  readonly itemsMax: (number: number) => number;
  readonly byType: ReadonlyMap<string, Codec>;
  readonly byNumber: ReadonlyMap<number, Codec>;
}

function compileTable(what: string, table: Readonly<Record<string, Definition>>, numbered: boolean): Table {
  const offset = numbered ? 1 : 0;
  const codecs = Object.entries(table).map(([type, definition]): Codec => {
    const fields: Field[] = Object.entries(definition.fields).map(([name, schema]) => ({ name, schema }));
    return {
      type,
      number: definition.number,
      fields,
      length: fields.length + offset,
      itemsMax: fields.reduce((sum, { schema }) => sum + itemsOf(schema), offset),
      ...compileFields(fields, type, 1),
    };
  });
  const byNumber = new Map(codecs.map((codec) => [codec.number, codec]));
  return {
    what,
    offset,
    itemsMax: (number) => byNumber.get(number)?.itemsMax ?? 0,
    byType: new Map(codecs.map((codec) => [codec.type, codec])),
    byNumber,
  };
}

const frameTable = compileTable("frame", frames, true);
const commandTable = compileTable("command", commands, true);
const entryTable = compileTable("entry", entries, false);

const anyUint = uint();
/** Any number of anything: what is known of an array before it is known which frame it is. */
const anyArray: Description = { kind: "list", of: anyUint, max: Infinity };

const scanner = new Scanner();

function encodeValue(table: Table, value: { readonly type: string }, reserved: number): Uint8Array {
  const codec = table.byType.get(value.type);
  if (codec === undefined) throw new ProtocolError("internal", `there is no ${table.what} named ${value.type}`);
  const items: Plain[] = table.offset === 0 ? [] : [codec.number];
  codec.toPlain(value as Record<string, unknown>, items);
  return encodePlain(items, reserved);
}

/** `kind`: what the value must be, if it does not begin with a number that tells. */
function decodeValue(table: Table, bytes: Uint8Array, kind: Codec | null): Record<string, unknown> {
  const what = kind?.type ?? table.what;
  const found = scanner.scan(bytes, kind?.itemsMax ?? table.itemsMax);
  if (found !== null) throw refusal(table, bytes, kind, found);
  const left = bytes.length - scanner.end;
  const plain = decodePlain(left > 0 ? bytes.subarray(0, scanner.end) : bytes);
  if (!Array.isArray(plain)) throw fault(what, `is ${describePlain(plain)} where an array belongs`);
  restoreMarked(plain);
  const codec = kind ?? codecOf(table, plain);
  if (plain.length !== codec.length) throw wrongLength(codec, plain.length);
  const value: Record<string, unknown> = { type: codec.type };
  codec.fromPlain(plain, table.offset, value);
  if (left > 0)
    throw fault(
      codec.type,
      `is followed by ${counted(left, "byte")} that ${left === 1 ? "belongs" : "belong"} to nothing`,
    );
  return value;
}

/** Puts back the texts of the last scan that cbor-x has shortened. */
function restoreMarked(items: Plain[]): void {
  for (const { path, text: whole } of scanner.marked) {
    let array = items;
    for (const place of path.slice(0, -1)) array = array[place] as Plain[];
    array[path.at(-1) as number] = whole;
  }
}

/** The first items of an array, as many as given, which must be sound. */
function decodeFirst(bytes: Uint8Array, count: number): Plain[] {
  if (count === 0) return [];
  const found = scanner.scan(bytes, count, count);
  assert(found === null, "what comes before a fault is sound");
  const items = decodePlains(bytes.subarray(scanner.innerStart, scanner.end));
  restoreMarked(items);
  return items;
}

/** What an array with these items is; a number must be in front. */
function codecOf(table: Table, items: readonly Plain[]): Codec {
  if (items.length === 0) throw new ProtocolError("frame", `${table.what} is an empty array`);
  const number = uintFromPlain(items[0], `${table.what} number`);
  const codec = table.byNumber.get(number);
  if (codec === undefined) throw new ProtocolError("frame", `${table.what} number ${number} is not known`);
  return codec;
}

const wrongLength = (codec: Codec, length: number): ProtocolError =>
  new ProtocolError("frame", `${codec.type} has ${counted(length, "element")}; ${exactly(codec.length)}`);

/** What is wrong, as far as can be told, with bytes that a scan refused. */
function refusal(table: Table, bytes: Uint8Array, kind: Codec | null, found: ScanFault): ProtocolError {
  const [place] = found.path;
  if (place === undefined && kind !== null && found.reason === "items") return wrongLength(kind, found.argument);
  if (place === undefined) return explain(found, anyArray, kind?.type ?? table.what, 0);
  if (place < table.offset) return explain(found, anyUint, `${table.what} number`, 1);
  const codec = kind ?? codecOf(table, decodeFirst(bytes, 1));
  const field = codec.fields[place - table.offset];
  const length = found.counts[0] ?? 0;
  if (length !== codec.length || field === undefined) return wrongLength(codec, length);
  return explain(found, field.schema, `${codec.type}.${field.name}`, 1);
}

/** A frame as it goes over the wire, length prefix included. Throws `ProtocolError` if a value breaks its schema. */
export function encodeFrame(frame: Frame): Uint8Array {
  const bytes = encodeValue(frameTable, frame, framePrefixBytes);
  const length = bytes.length - framePrefixBytes;
  if (length > limits.replicaFrameBytesMax) {
    throw new ProtocolError(
      "frame",
      `${frame.type} has ${length} bytes; at most ${limits.replicaFrameBytesMax} are allowed`,
    );
  }
  bytes[0] = length >>> 24;
  bytes[1] = length >>> 16;
  bytes[2] = length >>> 8;
  bytes[3] = length;
  return bytes;
}

/** The frame in a payload (without length prefix). Throws `ProtocolError`; see above for what aliases `payload`. */
export function decodeFrame(payload: Uint8Array): Frame {
  return decodeValue(frameTable, payload, null) as Frame;
}

/** Number, magic and version: the same in every version of the protocol. */
const helloItems = 3;

/**
 * The first frame on a connection, as its acceptor reads it. Throws `ProtocolError` with code `unexpected` (not a
 * hello), `protocol` (not this protocol), `version` (naming both versions; told from the first three elements alone,
 * whatever follows them) or `frame`.
 */
export function readHello(payload: Uint8Array): FrameOf<"hello"> | FrameOf<"peerHello"> {
  const found = scanner.scan(payload, helloItems, helloItems);
  const length = scanner.innerCount;
  if (found !== null && found.path.length === 0) throw explain(found, anyArray, "hello", 0);
  if (length < 0) {
    const plain = decodePlain(payload.subarray(0, scanner.end));
    throw fault("hello", `is ${describePlain(plain)} where an array belongs`);
  }
  const items = decodeFirst(payload, found?.path[0] ?? Math.min(length, helloItems));
  const item = (place: number, schema: Description, path: string): unknown => {
    if (found !== null && place >= items.length) throw explain(found, schema, path, 1);
    return compile(schema, path, 1).fromPlain(items[place]);
  };
  const number = length === 0 ? 0 : item(0, anyUint, "hello number");
  if (number !== frames.hello.number && number !== frames.peerHello.number) {
    throw new ProtocolError("unexpected", "the first frame on a connection must be hello or peerHello");
  }
  if (length < helloItems)
    throw new ProtocolError("frame", `hello has ${counted(length, "element")}; it begins with three`);
  const magic = item(1, frames.hello.fields.magic, "hello.magic");
  if (magic !== protocolMagic) throw new ProtocolError("protocol", `hello.magic is not "${protocolMagic}"`);
  const version = item(2, anyUint, "hello.version") as number;
  if (version < limits.protocolVersionOldest || version > limits.protocolVersion) {
    throw new ProtocolError("version", versionMessage(version));
  }
  return decodeFrame(payload) as FrameOf<"hello"> | FrameOf<"peerHello">;
}

function versionMessage(theirs: number): string {
  const newest: number = limits.protocolVersion;
  const oldest: number = limits.protocolVersionOldest;
  const ours = oldest === newest ? `version ${newest}` : `versions ${oldest} to ${newest}`;
  return `you speak protocol version ${theirs}; this replica speaks ${ours}`;
}

/** A command as it travels in an OP entry. Throws `ProtocolError` if a value breaks its schema. */
export function encodeCommand(command: Command): Uint8Array {
  return encodeValue(commandTable, command, 0);
}

/** The command in an OP entry. Throws `ProtocolError`. */
export function decodeCommand(bytes: Uint8Array): Command {
  return decodeValue(commandTable, bytes, null) as Command;
}

/** The payload of a log record: an array of the fields, without the number, which is the record's kind. */
export function encodeEntry(entry: EntryPayload): Uint8Array {
  return encodeValue(entryTable, entry, 0);
}

/** The payload of a record of this kind. Throws `ProtocolError`; `command` aliases `payload`. */
export function decodeEntry(kind: number, payload: Uint8Array): EntryPayload {
  const codec = entryTable.byNumber.get(kind);
  if (codec === undefined) throw new ProtocolError("frame", `record kind ${kind} is not known`);
  return decodeValue(entryTable, payload, codec) as EntryPayload;
}
