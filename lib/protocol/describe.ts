/**
 * Frames, commands, log entries and records as one line of text, for `inspect-log` and debug logs. Derived from the
 * schemas: fields marked secret are never shown, message bodies only when asked for, and nothing shown can move a
 * terminal's cursor. Pure.
 */
import { counted } from "../base/words.ts";
import { decodeCommand, decodeEntry, ProtocolError } from "./codec.ts";
import { commands, type Command } from "./commands.ts";
import { entries, type EntryPayload } from "./entries.ts";
import { formatOpId, formatView } from "./ids.ts";
import { frames, type Frame, type OpId, type Position } from "./messages.ts";
import type { LogRecord } from "./record.ts";
import type { Definition, Description, Field } from "./schema.ts";

export interface DescribeOptions {
  /** Shows what people wrote. Default: its length only. */
  readonly bodies?: boolean;
}

type Values = Readonly<Record<string, unknown>>;

/** Longer byte strings are told by their length. */
const shownBytesMax = 32;
const shownItemsMax = 16;

/** E.g. `send request=5 seq=3 oldest=3 to="bob" text=(5 bytes)`. */
export function describeFrame(frame: Frame, options: DescribeOptions = {}): string {
  return describe(frames[frame.type], frame, options);
}

/** E.g. `createAccount user="bob" passwordHash=(secret)`. */
export function describeCommand(command: Command, options: DescribeOptions = {}): string {
  return describe(commands[command.type], command, options);
}

/** E.g. `act view=3.1`; an op is shown with the command in it: `op <id> oldest=1 at=… : logout`. */
export function describeEntry(entry: EntryPayload, options: DescribeOptions = {}): string {
  if (entry.type !== "op") return describe(entries[entry.type], entry, options);
  const { session, seq, command, ...rest } = entry;
  const { session: _session, seq: _seq, command: _command, ...fields } = entries.op.fields;
  const about = describe({ ...entries.op, fields }, rest, options);
  return `${about.replace(/^op/, `op ${formatOpId({ session, seq })}`)}: ${describeOpaqueCommand(command, options)}`;
}

/** The payload of a record, by its kind. Says so, instead of throwing, when it cannot be read. */
export function describeRecord(record: LogRecord, options: DescribeOptions = {}): string {
  try {
    return describeEntry(decodeEntry(record.kind, record.payload), options);
  } catch (error) {
    if (error instanceof ProtocolError) {
      return `kind ${record.kind}, ${counted(record.payload.length, "byte")}, unreadable: ${error.message}`;
    }
    throw error;
  }
}

function describeOpaqueCommand(bytes: Uint8Array, options: DescribeOptions): string {
  try {
    return describeCommand(decodeCommand(bytes), options);
  } catch (error) {
    if (error instanceof ProtocolError)
      return `command of ${counted(bytes.length, "byte")}, unreadable: ${error.message}`;
    throw error;
  }
}

function describe(definition: Definition, value: Values & { readonly type: string }, options: DescribeOptions): string {
  let text = value.type;
  for (const { name, schema } of fieldsOf(definition)) text += ` ${name}=${show(schema, value[name], options)}`;
  return text;
}

/** A log of a million records asks for the same few a million times. */
const knownFields = new WeakMap<Definition, readonly Field[]>();

function fieldsOf(definition: Definition): readonly Field[] {
  const known = knownFields.get(definition);
  if (known !== undefined) return known;
  const fields = Object.entries(definition.fields).map(([name, schema]) => ({ name, schema }));
  knownFields.set(definition, fields);
  return fields;
}

function show(schema: Description, value: unknown, options: DescribeOptions): string {
  switch (schema.kind) {
    case "uint":
      return schema.as === "view" ? formatView(value as number) : String(value);
    case "bool":
    case "uuid":
    case "oneOf":
      return String(value);
    case "hash64":
      return (value as bigint).toString(16).padStart(16, "0");
    case "text":
      if (schema.secret) return "(secret)";
      if (schema.body && options.bodies !== true) return `(${counted(Buffer.byteLength(value as string), "byte")})`;
      return quote(value as string);
    case "bytes": {
      const bytes = value as Uint8Array;
      if (schema.secret) return "(secret)";
      return bytes.length > shownBytesMax ? `(${bytes.length} bytes)` : bytes.toHex();
    }
    case "optional":
      return value === null ? "-" : show(schema.of, value, options);
    case "list": {
      const items = value as readonly unknown[];
      const shown = items.slice(0, shownItemsMax).map((item) => show(schema.of, item, options));
      if (items.length > shownItemsMax) shown.push(`${items.length - shownItemsMax} more`);
      return `[${shown.join(", ")}]`;
    }
    case "struct": {
      if (schema.name === "op-id") return formatOpId(value as OpId);
      if (schema.name === "position") return describePosition(value as Position);
      const fields = value as Values;
      return `{${schema.fields.map((field) => `${field.name}=${show(field.schema, fields[field.name], options)}`).join(" ")}}`;
    }
  }
}

/** `index@view:chain`. */
function describePosition(position: Position): string {
  return `${position.index}@${formatView(position.view)}:${position.chain.toString(16).padStart(16, "0")}`;
}

/** Quoted, with control and direction-changing characters escaped, so that it can go to any terminal. */
export function quote(text: string): string {
  return JSON.stringify(text).replace(
    // JSON has escaped what lies below U+0020 already.
    /[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
