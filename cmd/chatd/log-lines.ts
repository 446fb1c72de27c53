/**
 * Records of a log as lines, for people and for scripts. Knows no files and no flags. Passwords and tokens are in no
 * line; what people wrote only when asked for.
 */
import { decodeCommand, decodeEntry } from "../../lib/protocol/codec.ts";
import { describeCommand, describeRecord } from "../../lib/protocol/describe.ts";
import type { OpEntry } from "../../lib/protocol/entries.ts";
import { formatOpId, formatView } from "../../lib/protocol/ids.ts";
import { ProtocolError } from "../../lib/protocol/protocol-error.ts";
import { recordKind, type LogRecord } from "../../lib/protocol/record.ts";
import type { InspectedDamage, InspectedRecord } from "../../lib/log/reader.ts";

const kindNames = new Map<number, string>(Object.entries(recordKind).map(([name, kind]) => [kind, name]));

/** The kinds that `--kind` takes. */
export const kinds: readonly string[] = [...kindNames.values()];

export const kindOf = ({ kind }: LogRecord): string => kindNames.get(kind) ?? `kind-${kind}`;

/** The op of an OP record; null if it is none or cannot be read. */
export function opOf(record: LogRecord): OpEntry | null {
  if (record.kind !== recordKind.op) return null;
  try {
    const entry = decodeEntry(record.kind, record.payload);
    return entry.type === "op" ? entry : null;
  } catch (error) {
    if (error instanceof ProtocolError) return null;
    throw error;
  }
}

function about(record: LogRecord, op: OpEntry | null, bodies: boolean): string {
  if (record.kind === recordKind.gap) return `${record.bytes.length} damaged bytes stood here`;
  if (op === null) {
    const text = describeRecord(record, { bodies });
    return text.startsWith(`${kindOf(record)} `) ? text.slice(kindOf(record).length + 1) : text;
  }
  try {
    const merged = op.origAt === op.at ? "" : ` (first accepted ${time(op.origAt)})`;
    return describeCommand(decodeCommand(op.command), { bodies }) + merged;
  } catch (error) {
    if (error instanceof ProtocolError) return `command of ${op.command.length} bytes, unreadable: ${error.message}`;
    throw error;
  }
}

const time = (at: number): string => (at <= 8.64e15 ? new Date(at).toISOString() : `${at} ms`);
const marks = { live: " ", superseded: "~", torn: "!" } as const;

export const textHeader =
  `${"index".padStart(10)}  ${"view".padEnd(8)} ${"kind".padEnd(8)} ${"session/seq".padEnd(43)} ` +
  `${"time".padEnd(24)} ${"bytes".padStart(7)}  what`;

/** `~` marks what is superseded, `!` what a write left that did not finish. */
export function textLine({ record, place }: InspectedRecord, bodies: boolean): string {
  const op = opOf(record);
  const index = record.index === 0 ? "-" : String(record.index);
  const view = record.view === 0 ? "-" : formatView(record.view);
  const id = op === null ? "" : formatOpId(op);
  const at = op === null ? "" : time(op.at);
  return (
    `${marks[place]}${index.padStart(9)}  ${view.padEnd(8)} ${kindOf(record).padEnd(8)} ` +
    `${id.padEnd(43)} ${at.padEnd(24)} ${String(record.bytes.length).padStart(7)}  ${about(record, op, bodies)}`
  );
}

export function jsonLine({ file, offset, record, place }: InspectedRecord, bodies: boolean): string {
  const op = opOf(record);
  return JSON.stringify({
    index: record.index,
    view: formatView(record.view),
    kind: kindOf(record),
    chain: record.chain.toString(16).padStart(16, "0"),
    ...(op === null ? {} : { op: formatOpId(op), at: op.at }),
    file,
    offset,
    bytes: record.bytes.length,
    superseded: place === "superseded",
    ...(place === "torn" ? { torn: true } : {}),
    what: about(record, op, bodies),
  });
}

export function damageText({ file, offset, bytes, fault, torn }: InspectedDamage): string {
  const state = torn ? "torn" : "corrupt";
  return `${torn ? "!" : "#"} ${state}: ${bytes} bytes at offset ${offset} of ${file} are no part of the log (${fault})`;
}

export function damageJson({ file, offset, bytes, fault, torn }: InspectedDamage): string {
  return JSON.stringify({ kind: torn ? "torn" : "corrupt", file, offset, bytes, fault });
}
