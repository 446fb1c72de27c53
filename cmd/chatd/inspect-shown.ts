/**
 * Which records `chatd inspect-log` shows, and in which of its forms. Reads no log.
 */
import type { FollowedChange } from "../../lib/log/follower.ts";
import type { InspectedItem, InspectedRecord, InspectedSegment, LogVerdict } from "../../lib/log/reader.ts";
import { formatView } from "../../lib/protocol/ids.ts";
import type { LogRecord } from "../../lib/protocol/record.ts";
import { complain } from "./failure.ts";
import type { InspectFlags } from "./inspect-flags.ts";
import { outputColumns, type Output } from "./inspect-output.ts";
import {
  changeJson,
  changeText,
  damageJson,
  damageText,
  jsonOf,
  kindOf,
  opOf,
  textHeader,
  textLine,
  type LineStyle,
} from "./log-lines.ts";
import { rawDamage, rawJson, rawRecord, rawSegment } from "./log-raw.ts";

export const isFiltered = ({ from, to, kind, view, op }: InspectFlags): boolean =>
  from !== undefined || to !== undefined || kind !== undefined || view !== undefined || op !== undefined;

export function isWanted(record: LogRecord, { from, to, kind, view, op }: InspectFlags): boolean {
  if ((from !== undefined || to !== undefined) && record.index === 0) return false;
  if (from !== undefined && record.index < from) return false;
  if (to !== undefined && record.index > to) return false;
  if (kind !== undefined && !kind.includes(kindOf(record))) return false;
  if (view !== undefined && record.view !== view) return false;
  if (op === undefined) return true;
  const found = opOf(record);
  return found !== null && found.session.startsWith(op.session) && (op.seq === null || found.seq === op.seq);
}

/** The flags that filter, as they are typed. */
function filtersText({ from, to, kind, view, op }: InspectFlags): string {
  const words: string[] = [];
  if (from !== undefined) words.push(`--from ${from}`);
  if (to !== undefined) words.push(`--to ${to}`);
  if (kind !== undefined) words.push(`--kind ${kind.join(",")}`);
  if (view !== undefined) words.push(`--view ${formatView(view)}`);
  if (op !== undefined) words.push(`--op ${op.session}${op.seq === null ? "" : `/${op.seq}`}`);
  return words.join(" ");
}

/** What is shown of records, in the form that was asked for. */
export class Shown {
  readonly #style: LineStyle;
  readonly #isFiltered: boolean;
  #count = 0;

  constructor(
    readonly flags: InspectFlags,
    readonly output: Output,
  ) {
    this.#style = { bodies: flags.showBodies === true, columns: outputColumns() };
    this.#isFiltered = isFiltered(flags);
  }

  get isEnough(): boolean {
    return this.#count >= (this.flags.limit ?? Infinity);
  }

  begin(): void {
    if (this.flags.json !== true && this.flags.raw !== true) this.output.line(textHeader(this.#style));
  }

  segment(segment: Pick<InspectedSegment, "name" | "content">): void {
    if (this.flags.raw !== true || this.flags.json === true || this.#isFiltered) return;
    for (const line of rawSegment(segment)) this.output.line(line);
  }

  item(item: InspectedItem): void {
    const { json, raw } = this.flags;
    if ("fault" in item) {
      if (this.#isFiltered) return;
      if (json === true) this.output.line(damageJson(item));
      else for (const line of raw === true ? rawDamage(item) : [damageText(item)]) this.output.line(line);
      return;
    }
    if (!isWanted(item.record, this.flags)) return;
    this.#count++;
    for (const line of this.#lines(item)) this.output.line(line);
  }

  /** What happened to entries that were shown, as a line of its own. */
  change(change: FollowedChange): void {
    const { kind, view, op, json } = this.flags;
    if (kind !== undefined || view !== undefined || op !== undefined) return;
    this.output.line(json === true ? changeJson(change) : changeText(change));
  }

  /** Says so when nothing was found, and why if that is because the log begins later or ends before. */
  sayIfNothing({ first, last }: LogVerdict): void {
    const { from, to } = this.flags;
    if (this.#count > 0 || !this.#isFiltered) return;
    if (to !== undefined && to < first) complain(`the log begins at index ${first}: what stood before was deleted`);
    else if (from !== undefined && from > last) complain(`the log ends at index ${last}`);
    else {
      const read = last < first ? "no entry" : `the entries ${first} to ${last}`;
      complain(`no record matches ${filtersText(this.flags)}: what was read holds ${read}`);
    }
  }

  #lines(item: InspectedRecord): string[] {
    const { json, raw } = this.flags;
    const { bodies } = this.#style;
    if (json === true) {
      return [
        JSON.stringify(raw === true ? { ...jsonOf(item, bodies), ...rawJson(item, bodies) } : jsonOf(item, bodies)),
      ];
    }
    return raw === true ? rawRecord(item, bodies) : [textLine(item, this.#style)];
  }
}
