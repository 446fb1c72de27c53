/**
 * Looks at a log without changing or locking anything, also while a server writes it: its records segment by segment,
 * past whatever is damaged, and then what state it is in. One pass; no more than one segment is in memory, and 28 bytes
 * an entry.
 */
import { assert } from "../base/assert.ts";
import { decodeRecord, type LogRecord } from "../protocol/record.ts";
import type { DamageFault } from "./assembly.ts";
import type { Disk } from "./disk.ts";
import { RecordWalk } from "./scan.ts";
import { logFormatVersion, offsetOf, positionOf, segmentName, segmentOf, type SegmentHeader } from "./segment.ts";
import { SegmentReader } from "./segment-reader.ts";
import { Supersession } from "./supersession.ts";
import { segmentsOn, surveySteps, type Survey, type SurveyStep } from "./survey.ts";

/**
 * `live`: in the logical log, or a local record · `superseded`: another took its place, or the log began anew without
 * it · `unlinked`: it stands behind damage and does not follow on what is before · `torn`: behind the place where a
 * write did not finish.
 */
export type Place = "live" | "superseded" | "unlinked" | "torn";

export interface InspectedRecord {
  readonly file: string;
  readonly offset: number;
  readonly record: LogRecord;
  readonly place: Place;
}

export interface InspectedDamage {
  readonly file: string;
  readonly offset: number;
  /** What stands there, as far as it does; good until the next item is asked for. */
  readonly content: Uint8Array;
  readonly bytes: number;
  readonly fault: DamageFault;
  /** The end of a write that did not finish, not damage to what was durable. */
  readonly torn: boolean;
}

export type InspectedItem = InspectedRecord | InspectedDamage;

/** `clean` · `torn`: the next start will go on from the last good record · `corrupt` · `unknown`: of a newer format. */
export type LogState = "clean" | "torn" | "corrupt" | "unknown";

export interface DamagePlace {
  readonly file: string;
  readonly offset: number;
  readonly bytes: number;
  readonly fault: DamageFault;
}

/** What is to be said of a log as a whole. Views are numbers; indexes are those of the logical log. */
export interface LogVerdict {
  readonly state: LogState;
  readonly segments: number;
  /** Where the log begins; above 1 when what stood before was deleted, or is not looked at. */
  readonly first: number;
  /** `first − 1` if it holds no entry. */
  readonly last: number;
  readonly firstView: number;
  readonly lastView: number;
  /** Entries on disk that are not in the logical log. */
  readonly superseded: number;
  readonly promised: number;
  readonly commit: number;
  /** How many replicas the cluster had when this log last heard; null if it does not say. */
  readonly replicas: number | null;
  /** Each with the first entry that may be missing. */
  readonly damage: readonly (DamagePlace & { readonly index: number })[];
  readonly torn: DamagePlace | null;
  /** What this build does not know, in words. */
  readonly unknown: readonly string[];
}

/** One segment of a log that is being looked at. Its items are good until the next one is looked at. */
export class InspectedSegment {
  readonly number: number;
  readonly name: string;
  /** Null if it is absent or not sound. */
  readonly header: SegmentHeader | null;
  /** Null if it is absent. */
  readonly content: Uint8Array | null;

  constructor(
    readonly step: SurveyStep,
    readonly supersession: Supersession,
  ) {
    this.number = step.found.number;
    this.name = step.found.name;
    this.header = step.found.header;
    this.content = step.bytes;
  }

  /** The end of a write that did not finish, or is under way. */
  get isTorn(): boolean {
    return this.step.tail?.torn != null;
  }

  /** Every record in the order on disk, with the bytes between that are none. */
  *items(): Generator<InspectedItem, void, undefined> {
    const { found, tail } = this.step;
    const { name: file, range } = found;
    const { header, content } = this;
    const hurt = this.#damageAt(0);
    if (hurt !== null) yield this.#damage(0, hurt.to, hurt.fault, false);
    if (content === null || (header !== null && header.formatVersion > logFormatVersion)) return;
    const tornFrom = tail?.torn?.from ?? Infinity;
    const walk = new RecordWalk(content, range);
    while (walk.next()) {
      const { record, from: offset, to, fault } = walk;
      if (record === null) {
        yield this.#damage(offset, to, fault, offset >= tornFrom);
        continue;
      }
      const stray = this.#damageAt(offset);
      if (stray !== null) yield this.#damage(offset, stray.to, stray.fault, false);
      yield { file, offset, record, place: this.#place(record, offset, tornFrom) };
    }
  }

  #place(record: LogRecord, offset: number, tornFrom: number): Place {
    if (offset >= tornFrom) return "torn";
    const { index } = record;
    if (index === 0) return "live";
    const position = positionOf(this.number, offset);
    if (this.supersession.covers(position, index)) return "superseded";
    if (this.step.found.unlinked.has(offset)) return "unlinked";
    // What has come since the glance at all headers is seen here, as far as it stands in this segment.
    const { index: log } = this.step.assembly;
    return log.has(index) && log.position(index) === position ? "live" : "superseded";
  }

  #damage(offset: number, to: number, fault: DamageFault, torn: boolean): InspectedDamage {
    const content = this.content?.subarray(offset, to) ?? new Uint8Array(0);
    return { file: this.name, offset, content, bytes: to - offset, fault, torn };
  }

  #damageAt(from: number) {
    const { damage } = this.step.assembly;
    if (damage.length === 0) return null;
    return damage.find((each) => each.segment === this.number && each.from === from) ?? null;
  }
}

export class LogInspection {
  readonly #disk: Disk;
  readonly #steps: Generator<SurveyStep, Survey, undefined>;
  readonly #supersession: Supersession;
  #survey: Survey | null = null;
  #lastNumber = 0;
  #cluster: Uint8Array | null = null;

  /** `only`: the numbers of the segments to look at. Throws `DiskError` if a segment cannot be read. */
  constructor(disk: Disk, only?: readonly number[]) {
    this.#disk = disk;
    this.#steps = surveySteps(disk, only === undefined ? {} : { only });
    this.#supersession = Supersession.lookAt(disk, only ?? segmentsOn(disk));
  }

  /** The next segment; null when all have been looked at. Throws `DiskError`. */
  next(): InspectedSegment | null {
    for (;;) {
      const step = this.#survey === null ? this.#steps.next() : { done: true as const, value: this.#survey };
      if (step.done === true) {
        this.#survey = step.value;
        return null;
      }
      // Once it is known that the first ones are missing all are looked at again; they have been shown.
      if (step.value.found.number <= this.#lastNumber) continue;
      this.#lastNumber = step.value.found.number;
      this.#cluster ??= step.value.found.header?.cluster ?? null;
      return new InspectedSegment(step.value, this.#supersession);
    }
  }

  /** Looks at what is left. Throws `DiskError`. */
  finish(): this {
    while (this.next() !== null);
    return this;
  }

  /** To which cluster the log belongs; null as long as no segment has said so. */
  get cluster(): Uint8Array | null {
    return this.#cluster;
  }

  /** The index, view and chain of entry `index` of the logical log, or of the one before the first; null for any other. */
  at(index: number): { readonly index: number; readonly view: number; readonly chain: bigint } | null {
    const { index: log } = this.#whole().assembly;
    if (!log.has(index) && index !== log.baseIndex) return null;
    return { index, view: log.view(index), chain: log.chain(index) };
  }

  /** Entry `index` of the logical log; null if it is not in it. Throws `DiskError` if it cannot be read any more. */
  record(index: number): Omit<InspectedRecord, "place"> | null {
    const { index: log } = this.#whole().assembly;
    if (!log.has(index)) return null;
    const reader = new SegmentReader(this.#disk);
    try {
      const position = log.position(index);
      const [bytes] = reader.read([position], [log.length(index)]);
      const record = bytes === undefined ? "end" : decodeRecord(bytes, 0);
      if (typeof record === "string") return null;
      return { file: segmentName(segmentOf(position)), offset: offsetOf(position), record };
    } finally {
      reader.close();
    }
  }

  verdict(): LogVerdict {
    const { assembly, segments, tail, unknown } = this.#whole();
    const { index, supersededCount, damage, promised, commit } = assembly;
    const first = index.baseIndex + 1;
    const last = index.lastIndex;
    const end = { index: last, view: index.view(last), chain: index.chain(last) };
    const torn = tail?.torn ?? null;
    return {
      state: unknown.length > 0 ? "unknown" : damage.length > 0 ? "corrupt" : torn !== null ? "torn" : "clean",
      segments: segments.length,
      first,
      last,
      firstView: last < first ? 0 : index.view(first),
      lastView: last < first ? 0 : index.view(last),
      superseded: supersededCount,
      promised,
      commit,
      replicas: assembly.lineage.beginning(end).attempts.at(-1)?.config.length ?? null,
      damage: damage.map(({ segment, from, to, fault, index: missing }) => {
        return { ...place(segmentName(segment), from, to, fault), index: missing };
      }),
      torn: torn === null ? null : place(segments.at(-1)?.name ?? "", torn.from, torn.to, torn.fault),
      unknown,
    };
  }

  #whole(): Survey {
    assert(this.#survey !== null, "a log is judged when all of it has been looked at");
    return this.#survey;
  }
}

function place(file: string, from: number, to: number, fault: DamageFault): DamagePlace {
  return { file, offset: from, bytes: to - from, fault };
}
