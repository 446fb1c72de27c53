/**
 * Frames, commands and log entries to bytes and back, derived from the tables in `messages.ts`, `commands.ts` and
 * `entries.ts`. Decoding is strict (README, "Encoding"). Pure; knows no connection and no record.
 *
 * Aliasing: byte strings that can be longer than 64 bytes (records, ops, commands) are views into the bytes given to a
 * decoder, and `FrameReader` may hand out views into a chunk: copy what is kept for long. Shorter ones (tokens, hashes,
 * digests, cluster ids) and everything else are copies.
 */
import { limits } from "../base/limits.ts";
import { Reader } from "./cbor-reader.ts";
import { Writer } from "./cbor-writer.ts";
import { commands, type Command } from "./commands.ts";
import { compileFields } from "./compile.ts";
import { entries, type EntryPayload } from "./entries.ts";
import { frames, protocolMagic, type Frame, type FrameOf } from "./messages.ts";
import { ProtocolError } from "./protocol-error.ts";
import type { Definition, Field } from "./schema.ts";

export { ProtocolError };

/** Bytes of the length in front of every frame: u32, big-endian. */
export const framePrefixBytes = 4;

interface Codec {
  readonly type: string;
  readonly number: number;
  /** Items of the array on the wire, the number in front included if there is one. */
  readonly length: number;
  readonly encode: (writer: Writer, value: Record<string, unknown>) => void;
  readonly decode: (reader: Reader, into: Record<string, unknown>) => void;
}

interface Table {
  readonly what: string;
  readonly byType: Map<string, Codec>;
  readonly byNumber: Map<number, Codec>;
}

function compileTable(what: string, table: Readonly<Record<string, Definition>>, numbered: boolean): Table {
  const byType = new Map<string, Codec>();
  const byNumber = new Map<number, Codec>();
  for (const [type, definition] of Object.entries(table)) {
    const fields: Field[] = Object.entries(definition.fields).map(([name, schema]) => ({ name, schema }));
    const codec: Codec = {
      type,
      number: definition.number,
      length: fields.length + (numbered ? 1 : 0),
      ...compileFields(fields, type, 1),
    };
    byType.set(type, codec);
    byNumber.set(definition.number, codec);
  }
  return { what, byType, byNumber };
}

const frameTable = compileTable("frame", frames, true);
const commandTable = compileTable("command", commands, true);
const entryTable = compileTable("entry", entries, false);

const writer = new Writer();

function encodeNumbered(table: Table, value: { readonly type: string }, reserved: number): Uint8Array {
  const codec = table.byType.get(value.type);
  if (codec === undefined) throw new ProtocolError("internal", `there is no ${table.what} named ${value.type}`);
  writer.start(reserved);
  writer.array(codec.length);
  writer.uint(codec.number);
  codec.encode(writer, value);
  return writer.finish();
}

function decodeNumbered(table: Table, bytes: Uint8Array): Record<string, unknown> {
  const reader = new Reader(bytes);
  const length = reader.array(table.what);
  if (length === 0) throw new ProtocolError("frame", `${table.what} is an empty array`);
  const number = reader.uint(`${table.what} number`);
  const codec = table.byNumber.get(number);
  if (codec === undefined) throw new ProtocolError("frame", `${table.what} number ${number} is not known`);
  if (length !== codec.length) throw wrongLength(codec, length);
  const value: Record<string, unknown> = { type: codec.type };
  codec.decode(reader, value);
  reader.end(codec.type);
  return value;
}

const wrongLength = (codec: Codec, length: number): ProtocolError =>
  new ProtocolError("frame", `${codec.type} has ${length} elements; exactly ${codec.length} belong here`);

/** A frame as it goes over the wire, length prefix included. Throws `ProtocolError` if a value breaks its schema. */
export function encodeFrame(frame: Frame): Uint8Array {
  const bytes = encodeNumbered(frameTable, frame, framePrefixBytes);
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
  return decodeNumbered(frameTable, payload) as Frame;
}

/**
 * The first frame on a connection, as its acceptor reads it. Throws `ProtocolError` with code `unexpected` (not a
 * hello), `protocol` (not this protocol), `version` (naming both versions; told from the first three elements alone,
 * whatever follows them) or `frame`.
 */
export function readHello(payload: Uint8Array): FrameOf<"hello"> | FrameOf<"peerHello"> {
  const reader = new Reader(payload);
  const length = reader.array("hello");
  const number = length === 0 ? 0 : reader.uint("hello number");
  if (number !== frames.hello.number && number !== frames.peerHello.number) {
    throw new ProtocolError("unexpected", "the first frame on a connection must be hello or peerHello");
  }
  if (length < 3) throw new ProtocolError("frame", `hello has ${length} elements; it begins with three`);
  const magic = reader.text("hello.magic", 16);
  if (magic !== protocolMagic) throw new ProtocolError("protocol", `hello.magic is not "${protocolMagic}"`);
  const version = reader.uint("hello.version");
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
  return encodeNumbered(commandTable, command, 0);
}

/** The command in an OP entry. Throws `ProtocolError`. */
export function decodeCommand(bytes: Uint8Array): Command {
  return decodeNumbered(commandTable, bytes) as Command;
}

/** The payload of a log record: an array of the fields, without the number, which is the record's kind. */
export function encodeEntry(entry: EntryPayload): Uint8Array {
  const codec = entryTable.byType.get(entry.type);
  if (codec === undefined) throw new ProtocolError("internal", `there is no entry named ${entry.type}`);
  writer.start(0);
  writer.array(codec.length);
  codec.encode(writer, entry as Record<string, unknown>);
  return writer.finish();
}

/** The payload of a record of this kind. Throws `ProtocolError`; `command` aliases `payload`. */
export function decodeEntry(kind: number, payload: Uint8Array): EntryPayload {
  const codec = entryTable.byNumber.get(kind);
  if (codec === undefined) throw new ProtocolError("frame", `record kind ${kind} is not known`);
  const reader = new Reader(payload);
  const length = reader.array(codec.type);
  if (length !== codec.length) throw wrongLength(codec, length);
  const value: Record<string, unknown> = { type: codec.type };
  codec.decode(reader, value);
  reader.end(codec.type);
  return value as EntryPayload;
}
