/**
 * The bytes of a log beside what they mean, for people who debug the format: headers whole, payloads with the bytes of
 * passwords, tokens and (unless asked for) bodies left out. Knows no files and no flags.
 */
import { commands } from "../../lib/protocol/commands.ts";
import { formatView } from "../../lib/protocol/ids.ts";
import { ProtocolError } from "../../lib/protocol/protocol-error.ts";
import { recordHeaderBytes, recordKind, type LogRecord } from "../../lib/protocol/record.ts";
import type { Description } from "../../lib/protocol/schema.ts";
import type { InspectedDamage, InspectedRecord, InspectedSegment } from "../../lib/log/reader.ts";
import { decodeSegmentHeader, segmentHeaderBytes } from "../../lib/log/segment.ts";
import { chainText, commandOf, damageText, entryOf, kindOf, opOf, textLine } from "./log-lines.ts";

const bytesPerLine = 8;

/** A field of a header: where it stands, how long it is, its name and what it says. */
type Field = readonly [offset: number, length: number, name: string, says: (data: DataView) => string];

const u32 = (at: number) => (data: DataView) => String(data.getUint32(at, true));
const u64 = (at: number) => (data: DataView) => String(data.getBigUint64(at, true));
const hex32 = (at: number) => (data: DataView) => data.getUint32(at, true).toString(16).padStart(8, "0");
const view = (at: number) => (data: DataView) => formatView(Number(data.getBigUint64(at, true)));
const chain = (at: number) => (data: DataView) => chainText(data.getBigUint64(at, true));
const nothing = (): string => "";

/** `lib/log/README.md`, "Segment header". */
const segmentFields: readonly Field[] = [
  [0, 8, "magic", (data) => asText(data, 0, 8)],
  [8, 4, "format version", u32(8)],
  [12, 4, "size of the file", u32(12)],
  [16, 16, "cluster id", nothing],
  [32, 16, "replica uuid", nothing],
  [48, 8, "segment number", u64(48)],
  [56, 8, "index before", u64(56)],
  [64, 8, "view before", view(64)],
  [72, 8, "chain before", chain(72)],
  [80, 4, "previous segment ends", u32(80)],
  [84, 4, "flags", (data) => segmentFlags(data.getUint32(84, true))],
  [124, 4, "checksum", hex32(124)],
];

/** `lib/log/README.md`, "Records". */
const recordFields: readonly Field[] = [
  [0, 4, "payload length", u32(0)],
  [4, 4, "checksum", hex32(4)],
  [8, 1, "kind", (data) => `${data.getUint8(8)} ${kindOf({ kind: data.getUint8(8) })}`],
  [9, 1, "version", (data) => String(data.getUint8(9))],
  [10, 2, "flags", (data) => ((data.getUint16(10, true) & 1) === 0 ? "none" : "may be skipped")],
  [12, 4, "cluster tag", hex32(12)],
  [16, 8, "index", u64(16)],
  [24, 8, "view", view(24)],
  [32, 8, "chain", chain(32)],
];

export function rawSegment({ name, content }: Pick<InspectedSegment, "name" | "content">): string[] {
  const bytes = content?.subarray(0, segmentHeaderBytes) ?? new Uint8Array(0);
  if (bytes.length < segmentHeaderBytes) return [`${name}: it has no header`];
  const state = decodeSegmentHeader(bytes) === null ? ", not sound" : "";
  return [`${name}: segment header, ${segmentHeaderBytes} bytes${state}`, ...fieldLines(segmentFields, bytes, 0)];
}

export function rawRecord(item: InspectedRecord, bodies: boolean): string[] {
  const { record, offset, file, place } = item;
  const { bytes, payload } = record;
  const title = `${file}+${offset}: ${kindOf(record)}, ${bytes.length} bytes${place === "live" ? "" : `, ${place}`}`;
  const hidden = hiddenBytes(record, bodies);
  const lines = ["", title, ...fieldLines(recordFields, bytes, offset)];
  // A gap holds nothing, and up to a mebibyte of it.
  const shown = record.kind === recordKind.gap ? 0 : payload.length;
  for (let at = 0; at < shown; at += bytesPerLine) {
    const name = at === 0 ? `payload, ${payload.length} bytes` : "";
    lines.push(hexLine(offset + recordHeaderBytes + at, shownHex(payload, hidden, at), name));
  }
  const padding = bytes.subarray(recordHeaderBytes + payload.length);
  if (padding.length > 0) {
    const at = recordHeaderBytes + payload.length;
    lines.push(hexLine(offset + at, spaced(padding.toHex()), "padding"));
  }
  lines.push(`= ${textLine(item, { bodies, columns: Infinity }).trim().replace(/ {2,}/g, "  ")}`);
  return lines;
}

/** Of damaged bytes only the place of a header is shown: what follows may be what somebody wrote. */
export function rawDamage(damage: InspectedDamage): string[] {
  const { content, offset } = damage;
  const lines = ["", damageText(damage)];
  if (offset >= segmentHeaderBytes && content.length >= recordHeaderBytes) {
    lines.push(...fieldLines(recordFields, content.subarray(0, recordHeaderBytes), offset));
  }
  return lines;
}

/** The same of a record for `--json`; hidden bytes are `..`. */
export function rawJson({ record }: InspectedRecord, bodies: boolean): Record<string, unknown> {
  const { bytes, payload, flags, version, clusterTag } = record;
  const hidden = hiddenBytes(record, bodies);
  return {
    version,
    flags,
    clusterTag: clusterTag.toString(16).padStart(8, "0"),
    checksum: new DataView(bytes.buffer, bytes.byteOffset).getUint32(4, true).toString(16).padStart(8, "0"),
    header: bytes.subarray(0, recordHeaderBytes).toHex(),
    payload: record.kind === recordKind.gap ? "" : shownHex(payload, hidden, 0, payload.length).replaceAll(" ", ""),
  };
}

function fieldLines(fields: readonly Field[], bytes: Uint8Array, start: number): string[] {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return fields.flatMap(([offset, length, name, says]) => {
    const lines: string[] = [];
    for (let at = offset; at < offset + length; at += bytesPerLine) {
      const part = bytes.subarray(at, Math.min(at + bytesPerLine, offset + length));
      lines.push(hexLine(start + at, spaced(part.toHex()), at === offset ? `${name.padEnd(21)} ${says(data)}` : ""));
    }
    return lines;
  });
}

const hexLine = (offset: number, hex: string, says: string): string =>
  `${String(offset).padStart(8)}  ${hex.padEnd(3 * bytesPerLine - 1)}  ${says}`.trimEnd();

const spaced = (hex: string): string => hex.replace(/..(?=.)/g, "$& ");

function shownHex(bytes: Uint8Array, hidden: Hidden, from: number, length = bytesPerLine): string {
  const shown: string[] = [];
  for (let at = from; at < Math.min(from + length, bytes.length); at++) {
    const isHidden = hidden === "all" || hidden.some(([begin, end]) => at >= begin && at < end);
    shown.push(isHidden ? ".." : (bytes[at] ?? 0).toString(16).padStart(2, "0"));
  }
  return shown.join(" ");
}

type Hidden = "all" | readonly (readonly [from: number, to: number])[];

/** Where in the payload stands what must not be shown. Whatever is not understood is not shown. */
function hiddenBytes(record: LogRecord, bodies: boolean): Hidden {
  const { payload } = record;
  if (record.kind === recordKind.gap) return [];
  const op = opOf(record);
  if (op === null) return record.kind === recordKind.op || entryOf(record) instanceof ProtocolError ? "all" : [];
  const command = commandOf(op);
  if (command instanceof ProtocolError) return "all";
  const values: unknown[] = [];
  const given: Readonly<Record<string, unknown>> = { ...command };
  for (const [name, schema] of Object.entries(commands[command.type].fields)) {
    if (isHiddenField(schema, bodies)) values.push(given[name]);
  }
  const found: (readonly [number, number])[] = [];
  for (const value of values) {
    const bytes = typeof value === "string" ? Buffer.from(value) : value;
    if (!(bytes instanceof Uint8Array)) return "all";
    const places = placesOf(payload, bytes);
    if (bytes.length > 0 && places.length === 0) return "all";
    found.push(...places);
  }
  return found;
}

/** Whether any of what stands in a field must not be shown. Of a field of many values then none of the op is. */
function isHiddenField(schema: Description, bodies: boolean): boolean {
  switch (schema.kind) {
    case "text":
      return schema.secret || (schema.body && !bodies);
    case "bytes":
      return schema.secret;
    case "optional":
    case "list":
      return isHiddenField(schema.of, bodies);
    case "struct":
      return schema.fields.some((field) => isHiddenField(field.schema, bodies));
    default:
      return false;
  }
}

function placesOf(payload: Uint8Array, value: Uint8Array): (readonly [number, number])[] {
  const found: (readonly [number, number])[] = [];
  const haystack = Buffer.from(payload.buffer, payload.byteOffset, payload.length);
  for (let at = haystack.indexOf(value); at !== -1 && value.length > 0; at = haystack.indexOf(value, at + 1)) {
    found.push([at, at + value.length]);
  }
  return found;
}

function segmentFlags(flags: number): string {
  const names = [
    [1, "behind a gap"],
    [2, "has a BEGIN"],
    [4, "begins anew"],
  ] as const;
  const set = names.filter(([bit]) => (flags & bit) !== 0).map(([, name]) => name);
  return set.length === 0 ? "none" : set.join(", ");
}

function asText(data: DataView, from: number, length: number): string {
  const bytes = new Uint8Array(data.buffer, data.byteOffset + from, length);
  return Buffer.from(bytes)
    .toString("latin1")
    .replace(/[^ -~]/g, ".");
}
