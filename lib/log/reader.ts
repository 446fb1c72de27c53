/**
 * Looks at a log without changing or locking anything, also while a server writes it: its state in one sentence, and
 * its records one by one, past whatever is damaged. Two passes over the segments; no more than one is in memory.
 */
import { formatView } from "../protocol/ids.ts";
import type { LogRecord } from "../protocol/record.ts";
import type { DamageFault } from "./assembly.ts";
import type { Disk } from "./disk.ts";
import { RecordWalk } from "./scan.ts";
import { logFormatVersion, offsetOf, positionOf, segmentName } from "./segment.ts";
import { readSegment, survey, type Survey } from "./survey.ts";

/**
 * `live`: in the logical log, or a local record · `superseded`: on disk, but not in the logical log, because another
 * took its place or because damage stands before it · `torn`: behind the place where a write did not finish.
 */
export type Place = "live" | "superseded" | "torn";

export interface InspectedRecord {
  readonly file: string;
  readonly offset: number;
  readonly record: LogRecord;
  readonly place: Place;
}

export interface InspectedDamage {
  readonly file: string;
  readonly offset: number;
  readonly bytes: number;
  readonly fault: DamageFault;
  /** The end of a write that did not finish, not damage to what was durable. */
  readonly torn: boolean;
}

/** `clean` · `torn`: the next start will go on from the last good record · `corrupt` · `unknown`: of a newer format. */
export type LogState = "clean" | "torn" | "corrupt" | "unknown";

export class LogInspection {
  readonly #disk: Disk;
  readonly #survey: Survey;

  constructor(disk: Disk, found: Survey) {
    this.#disk = disk;
    this.#survey = found;
  }

  get isEmpty(): boolean {
    return this.#survey.segments.length === 0;
  }

  get state(): LogState {
    const { unknown, assembly, tail } = this.#survey;
    if (unknown.length > 0) return "unknown";
    if (assembly.damage.length > 0) return "corrupt";
    return tail?.torn != null ? "torn" : "clean";
  }

  /** Where the last write broke off, to see whether it moves; -1 if it did not. */
  get tornAt(): number {
    const { tail, segments } = this.#survey;
    return tail?.torn == null ? -1 : positionOf(segments.at(-1)?.number ?? 0, tail.torn.from);
  }

  /** The chain of entry `index` of the logical log; null if it is not in it. */
  chain(index: number): bigint | null {
    const { index: log } = this.#survey.assembly;
    return log.has(index) ? log.chain(index) : null;
  }

  get lastIndex(): number {
    return this.#survey.assembly.lastIndex;
  }

  /** The state in one line, with what to know of it. */
  verdict(): string {
    const { assembly, segments, tail, unknown } = this.#survey;
    const { index, supersededCount, damage } = assembly;
    const last = segments.at(-1)?.name ?? "";
    const first = index.baseIndex + 1;
    const range =
      index.lastIndex < first
        ? "no entries"
        : `entries ${first} to ${index.lastIndex}, views ${formatView(index.view(first))} to ` +
          formatView(index.view(index.lastIndex));
    const outside = damage.length > 0 ? "superseded or behind the damage" : "superseded";
    const sum =
      `${range}, ${segments.length} segment${segments.length === 1 ? "" : "s"}, ${supersededCount} ${outside}, ` +
      `promised ${formatView(assembly.promised)}, commit ${assembly.commit}`;
    switch (this.state) {
      case "clean":
        return `clean: ${sum}`;
      case "unknown":
        return `unknown: ${unknown[0]}${unknown.length > 1 ? ` (and ${unknown.length - 1} more)` : ""}`;
      case "torn":
        return (
          `torn: the last write did not finish, at offset ${offsetOf(this.tornAt)} of ${last} (${tail?.torn?.fault}); ` +
          `the next start goes on from the record before it; ${sum}`
        );
      case "corrupt": {
        const places = damage
          .slice(0, 3)
          .map(
            ({ segment, from: offset, to, fault, index: missing }) =>
              `offset ${offset} of ${segmentName(segment)} (${fault}, ${to - offset} bytes, from index ${missing} on)`,
          );
        if (damage.length > places.length) places.push(`${damage.length - places.length} more places`);
        return `corrupt: ${places.join(", ")}; the replica will repair its log from a peer; ${sum}`;
      }
    }
  }

  /** Every record in the order on disk, with the bytes between that are none. Each is good until the next is asked for. */
  *items(): Generator<InspectedRecord | InspectedDamage, void, undefined> {
    const { segments, tail } = this.#survey;
    const last = segments.at(-1);
    let buffer: Uint8Array = new Uint8Array(0);
    for (const found of segments) {
      const { name: file, number, header, range } = found;
      const absent = this.#damageAt(number, 0);
      if (absent !== null) yield { file, offset: 0, bytes: absent.to - absent.from, fault: absent.fault, torn: false };
      if (absent?.fault === "absent" || (header !== null && header.formatVersion > logFormatVersion)) continue;
      const bytes = readSegment(this.#disk, file, buffer);
      if (bytes.length > buffer.length) buffer = bytes;
      const tornFrom = found === last && tail?.torn != null ? tail.torn.from : Infinity;
      const walk = new RecordWalk(bytes, range);
      while (walk.next()) {
        const { record, from: offset, to, fault } = walk;
        // The server has gone on since the survey: what it wrote later is not judged.
        if (found === last && tail?.torn == null && offset >= found.end) break;
        if (record === null) {
          yield { file, offset, bytes: to - offset, fault, torn: offset >= tornFrom };
          continue;
        }
        const stray = this.#damageAt(number, offset);
        if (stray !== null) yield { file, offset, bytes: stray.to - stray.from, fault: stray.fault, torn: false };
        const place = offset >= tornFrom ? "torn" : this.#isLive(record, number, offset) ? "live" : "superseded";
        yield { file, offset, record, place };
      }
    }
  }

  #damageAt(segment: number, from: number) {
    if (this.#survey.assembly.damage.length === 0) return null;
    return this.#survey.assembly.damage.find((damage) => damage.segment === segment && damage.from === from) ?? null;
  }

  #isLive(record: LogRecord, segment: number, offset: number): boolean {
    if (record.index === 0) return true;
    const { index } = this.#survey.assembly;
    return index.has(record.index) && index.position(record.index) === positionOf(segment, offset);
  }
}

/** Throws `DiskError` if a segment cannot be read. `only`: the numbers of the segments to look at. */
export function inspect(disk: Disk, only?: readonly number[]): LogInspection {
  return new LogInspection(disk, survey(disk, only === undefined ? {} : { only }));
}
