/**
 * Records of a log as lines, for people and for scripts. Knows no files and no flags. Passwords and tokens are in no
 * line; what people wrote only when asked for.
 */
import { counted } from "../../lib/base/words.ts";
import { decodeCommand, decodeEntry } from "../../lib/protocol/codec.ts";
import type { Command } from "../../lib/protocol/commands.ts";
import { describeCommand, describeEntry, quote } from "../../lib/protocol/describe.ts";
import type { EntryPayload, OpEntry } from "../../lib/protocol/entries.ts";
import { formatOpId, formatView } from "../../lib/protocol/ids.ts";
import { ProtocolError } from "../../lib/protocol/protocol-error.ts";
import { recordKind, type LogRecord } from "../../lib/protocol/record.ts";
import type { FollowedChange } from "../../lib/log/follower.ts";
import type { InspectedDamage, InspectedRecord, Place } from "../../lib/log/reader.ts";
import { truncate } from "../../lib/tui/layout.ts";

const kindNames = new Map<number, string>(Object.entries(recordKind).map(([name, kind]) => [kind, name]));

/** The kinds that `--kind` takes. */
export const kinds: readonly string[] = [...kindNames.values()];

export const kindOf = ({ kind }: Pick<LogRecord, "kind">): string => kindNames.get(kind) ?? `kind-${kind}`;

/** What a record holds; why not, if it cannot be read. */
export function entryOf(record: LogRecord): EntryPayload | ProtocolError {
  return orProtocolError(() => decodeEntry(record.kind, record.payload));
}

/** The op of an OP record; null if it is none or cannot be read. */
export function opOf(record: LogRecord): OpEntry | null {
  if (record.kind !== recordKind.op) return null;
  const entry = entryOf(record);
  return !(entry instanceof ProtocolError) && entry.type === "op" ? entry : null;
}

export const commandOf = (op: OpEntry): Command | ProtocolError => orProtocolError(() => decodeCommand(op.command));

function orProtocolError<T>(decode: () => T): T | ProtocolError {
  try {
    return decode();
  } catch (error) {
    if (error instanceof ProtocolError) return error;
    throw error;
  }
}

/** A record with what is in it, decoded once. */
interface Decoded {
  readonly entry: EntryPayload | ProtocolError | null;
  readonly op: OpEntry | null;
  readonly command: Command | ProtocolError | null;
}

function decode(record: LogRecord): Decoded {
  if (record.kind === recordKind.gap || !kindNames.has(record.kind)) return { entry: null, op: null, command: null };
  const entry = entryOf(record);
  const op = !(entry instanceof ProtocolError) && entry.type === "op" ? entry : null;
  return { entry, op, command: op === null ? null : commandOf(op) };
}

function about(record: LogRecord, { entry, op, command }: Decoded, bodies: boolean): string {
  if (record.kind === recordKind.gap) return `${record.bytes.length} damaged bytes stood here`;
  if (entry === null) return `${record.payload.length} bytes of a kind that this build does not know`;
  if (entry instanceof ProtocolError) return `${record.payload.length} bytes, unreadable: ${entry.message}`;
  if (op === null || command === null) return describeEntry(entry, { bodies }).slice(entry.type.length + 1);
  if (command instanceof ProtocolError) {
    return `command of ${op.command.length} bytes, unreadable: ${command.message}`;
  }
  const merged = op.origAt === op.at ? "" : ` (first accepted ${time(op.origAt)})`;
  return describeCommand(command, { bodies }) + merged;
}

/** The same in fewer words, for a line that has an end. */
function aboutInShort(record: LogRecord, decoded: Decoded, bodies: boolean): string {
  const { entry, op, command } = decoded;
  if (command !== null && !(command instanceof ProtocolError) && command.type === "send") {
    const { to, text } = command;
    const body = bodies ? quote(text) : counted(Buffer.byteLength(text), "byte");
    const merged = op === null || op.origAt === op.at ? "" : ", merged";
    return `send to ${to.session.slice(0, 8)}/${to.seq}, ${body}${merged}`;
  }
  if (entry !== null && !(entry instanceof ProtocolError)) {
    if (entry.type === "view") {
      const awaited = entry.awaiting.length > 0 ? `, without ${entry.awaiting.length} that may hold more` : "";
      return `members ${pids(entry.members)}, after ${formatView(entry.parent)}${awaited}`;
    }
    if (entry.type === "act") return "formed";
    if (entry.type === "begin") return `${entry.views.length} views before, promised ${formatView(entry.promised)}`;
  }
  return about(record, decoded, bodies).replace(
    /\b([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g,
    "$1",
  );
}

export const pids = (members: readonly { readonly pid: number }[]): string => members.map(({ pid }) => pid).join(" ");
export const time = (at: number): string => (at <= 8.64e15 ? new Date(at).toISOString() : `${at} ms`);
export const chainText = (chain: bigint): string => chain.toString(16).padStart(16, "0");

const marks = { live: " ", superseded: "~", unlinked: "?", torn: "!" } as const satisfies Record<Place, string>;

/** How a record becomes a line. */
export interface LineStyle {
  readonly bodies: boolean;
  /** Lines are cut here; Infinity: they are as long as they are. */
  readonly columns: number;
}

/** The columns between the view and what a record says, by how much room there is. */
interface Layout {
  readonly session: number;
  readonly time: number;
  readonly bytes: number;
}

const wide: Layout = { session: 43, time: 24, bytes: 7 };
const middle: Layout = { session: 13, time: 8, bytes: 0 };
const narrow: Layout = { session: 0, time: 0, bytes: 0 };
const layoutFor = (columns: number): Layout => (columns >= 180 ? wide : columns >= 70 ? middle : narrow);

function columnsText(layout: Layout, id: string, at: string, bytes: string): string {
  return (
    (layout.session > 0 ? `${id.padEnd(layout.session)} ` : "") +
    (layout.time > 0 ? `${at.padEnd(layout.time)} ` : "") +
    (layout.bytes > 0 ? `${bytes.padStart(layout.bytes)} ` : "")
  );
}

export function textHeader({ columns }: LineStyle): string {
  const layout = layoutFor(columns);
  const [index, view, kind] = layout === wide ? [10, 8, 8] : [8, 6, 7];
  return cut(
    `${"index".padStart(index)}  ${"view".padEnd(view)} ${"kind".padEnd(kind)} ` +
      `${columnsText(layout, "session/seq", "time", "bytes")} what`,
    columns,
  );
}

/** `~` marks what is superseded, `?` what stands behind damage, `!` what a write left that did not finish. */
export function textLine({ record, place }: InspectedRecord, { bodies, columns }: LineStyle): string {
  const layout = layoutFor(columns);
  const decoded = decode(record);
  const { op } = decoded;
  const index = record.index === 0 ? "-" : String(record.index);
  const view = record.view === 0 ? "-" : formatView(record.view);
  const kind = kindOf(record);
  if (layout === wide) {
    const id = op === null ? "" : formatOpId(op);
    const at = op === null ? "" : time(op.at);
    const head = `${marks[place]}${index.padStart(9)}  ${view.padEnd(8)} ${kind.padEnd(8)} `;
    const line = head + columnsText(layout, id, at, String(record.bytes.length)) + ` ${about(record, decoded, bodies)}`;
    return cut(line, columns);
  }
  const id = op === null ? "" : `${op.session.slice(0, 8)}/${op.seq}`;
  const at = op === null ? "" : time(op.at).slice(11, 19);
  const head = `${marks[place]}${index.padStart(7)}  ${view.padEnd(6)} ${kind.padEnd(7)} `;
  return cut(`${head}${columnsText(layout, id, at, "")} ${aboutInShort(record, decoded, bodies)}`, columns);
}

/** Names and bodies may hold letters that are wider than others. */
function cut(line: string, columns: number): string {
  if (line.length * 2 <= columns) return line.trimEnd();
  if (!/^[ -~]*$/.test(line)) return truncate(line, columns, ">");
  return line.length <= columns ? line.trimEnd() : `${line.slice(0, columns - 1)}>`;
}

/** The fields of a record in JSON; documented in `lib/log/README.md`. */
export function jsonOf({ file, offset, record, place }: InspectedRecord, bodies: boolean): Record<string, unknown> {
  const decoded = decode(record);
  const { entry, op, command } = decoded;
  const isView = entry !== null && !(entry instanceof ProtocolError) && entry.type === "view";
  return {
    index: record.index,
    view: formatView(record.view),
    kind: kindOf(record),
    chain: chainText(record.chain),
    ...(op === null ? {} : { op: formatOpId(op), at: op.at }),
    ...(op === null || op.origAt === op.at ? {} : { origAt: op.origAt }),
    ...(command === null || command instanceof ProtocolError ? {} : { command: command.type }),
    ...(isView ? { parent: formatView(entry.parent), members: entry.members.map(({ pid }) => pid) } : {}),
    file,
    offset,
    bytes: record.bytes.length,
    superseded: place === "superseded",
    ...(place === "unlinked" ? { unlinked: true } : {}),
    ...(place === "torn" ? { torn: true } : {}),
    what: about(record, decoded, bodies),
  };
}

export function damageText({ file, offset, bytes, fault, torn }: InspectedDamage): string {
  const state = torn ? "torn" : "corrupt";
  return `${torn ? "!" : "#"} ${state}: ${bytes} bytes at offset ${offset} of ${file} are no part of the log (${fault})`;
}

export function damageJson({ file, offset, bytes, fault, torn }: InspectedDamage): string {
  return JSON.stringify({ kind: torn ? "torn" : "corrupt", file, offset, bytes, fault });
}

/** While a log is followed. */
export function changeText({ change, from, to }: FollowedChange): string {
  const entries = from === to ? `entry ${from}` : `entries ${from} to ${to}`;
  return change === "superseded"
    ? `~ ${entries} above: superseded by what follows`
    : `# ${entries}: deleted before they were read`;
}

export const changeJson = ({ change, from, to }: FollowedChange): string => JSON.stringify({ kind: change, from, to });
