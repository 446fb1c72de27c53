/** Counts over a log: how many records and bytes of each kind, first and last index and time. */
import type { InspectedItem } from "../../lib/log/reader.ts";
import { kindOf, opOf, time } from "./log-lines.ts";

interface Count {
  records: number;
  bytes: number;
  superseded: number;
}

export class LogStatistics {
  readonly #kinds = new Map<string, Count>();
  #first = Infinity;
  #last = 0;
  #firstAt = Infinity;
  #lastAt = 0;
  #damagedBytes = 0;

  add(item: InspectedItem): void {
    if ("fault" in item) {
      this.#damagedBytes += item.bytes;
      return;
    }
    const { record, place } = item;
    const kind = kindOf(record);
    let count = this.#kinds.get(kind);
    if (count === undefined) this.#kinds.set(kind, (count = { records: 0, bytes: 0, superseded: 0 }));
    count.records++;
    count.bytes += record.bytes.length;
    if (place === "superseded" || place === "unlinked") count.superseded++;
    if (place !== "live" || record.index === 0) return;
    this.#first = Math.min(this.#first, record.index);
    this.#last = Math.max(this.#last, record.index);
    const at = opOf(record)?.at;
    if (at === undefined) return;
    this.#firstAt = Math.min(this.#firstAt, at);
    this.#lastAt = Math.max(this.#lastAt, at);
  }

  lines(json: boolean): string[] {
    const kinds = [...this.#kinds].sort(([left], [right]) => left.localeCompare(right));
    const span = {
      first: this.#last === 0 ? null : this.#first,
      last: this.#last === 0 ? null : this.#last,
      firstAt: this.#lastAt === 0 ? null : this.#firstAt,
      lastAt: this.#lastAt === 0 ? null : this.#lastAt,
    };
    if (json) {
      const report = { report: "stats", ...span, damagedBytes: this.#damagedBytes, kinds: Object.fromEntries(kinds) };
      return [JSON.stringify(report)];
    }
    const lines = [`${"kind".padEnd(8)} ${"records".padStart(8)} ${"bytes".padStart(11)} ${"superseded".padStart(10)}`];
    for (const [kind, { records, bytes, superseded }] of kinds) {
      lines.push(
        `${kind.padEnd(8)} ${String(records).padStart(8)} ${String(bytes).padStart(11)} ${String(superseded).padStart(10)}`,
      );
    }
    if (this.#damagedBytes > 0) lines.push(`${this.#damagedBytes} bytes are damaged or torn`);
    if (span.first !== null) lines.push(`index ${span.first} to ${span.last}`);
    if (span.firstAt !== null && span.lastAt !== null) lines.push(`time ${time(span.firstAt)} to ${time(span.lastAt)}`);
    return lines;
  }
}
