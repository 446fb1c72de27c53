/**
 * Reads a whole log without changing it and says what state it is in: the one place where torn and corrupt are told
 * apart. Used by opening (`recover.ts`) and by `inspect-log` (`reader.ts`). The decision table is in `README.md`.
 */
import { assert } from "../base/assert.ts";
import { formatView } from "../protocol/ids.ts";
import { decodeRecord, type LogRecord } from "../protocol/record.ts";
import { Assembly } from "./assembly.ts";
import type { Disk } from "./disk.ts";
import { readBegin } from "./lineage.ts";
import { LogIndex } from "./log-index.ts";
import { firstClusterTag, readSync, scan, type BadFault, type ScanRange } from "./scan.ts";
import {
  clusterTagOf,
  decodeSegmentHeader,
  logFormatVersion,
  readWhole,
  segmentBytesMax,
  segmentHeaderBytes,
  segmentName,
  segmentNumber,
  type SegmentHeader,
} from "./segment.ts";

/** One segment as it was found. */
export interface SegmentFound {
  readonly number: number;
  readonly name: string;
  /** Null if it is absent or not sound. */
  readonly header: SegmentHeader | null;
  readonly range: ScanRange;
  /** Where its records end; what stands behind is not part of the log. */
  end: number;
  /** The least index of an entry in it; Infinity if there is none. */
  lowestIndex: number;
  /** Its BEGIN record can be read: the log could begin here. */
  canBegin: boolean;
  /** The offsets of entries that stand behind damage and did not follow on. */
  readonly unlinked: Set<number>;
}

/** The state of the last segment's end. */
export interface TailFound {
  /** The first bytes of a write that did not finish; null if there are none. */
  readonly torn: { readonly from: number; readonly to: number; readonly fault: BadFault | "header" } | null;
  /** It ends with a SYNC that says that everything before is durable. */
  readonly clean: boolean;
  /** Where its last SYNC stands; 0 if there is none. That one need not be durable itself. */
  readonly syncAt: number;
  /** The file is shorter than it was made. */
  readonly short: boolean;
}

export interface Survey {
  readonly segments: readonly SegmentFound[];
  readonly assembly: Assembly;
  /** Null if there is no segment. */
  readonly tail: TailFound | null;
  /** Segments and records of a format that this build does not know, in words. */
  readonly unknown: readonly string[];
}

export interface SurveyOptions {
  /** Of a record, where no segment has a sound header; else taken from those, or from the first sound record. */
  readonly clusterTag?: number;
  /** For segments whose header does not tell. */
  readonly segmentBytes?: number;
  /** Look at these segments only, as if there were no others. Default: all. */
  readonly only?: readonly number[];
  /** The uuid of the replica whose log it is, where the headers do not tell. */
  readonly replica?: string;
}

/** One segment has been looked at. What comes behind it may still change what is known of it. */
export interface SurveyStep {
  readonly found: SegmentFound;
  /** Null if it is absent. Good until the next step. */
  readonly bytes: Uint8Array | null;
  readonly assembly: Assembly;
  /** Null unless it is the last segment. */
  readonly tail: TailFound | null;
}

/** Throws `DiskError` if a file cannot be read. */
export function survey(disk: Disk, options: SurveyOptions = {}): Survey {
  const steps = surveySteps(disk, options);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** The same, one segment at a time, in the order of their numbers. */
export function* surveySteps(disk: Disk, options: SurveyOptions = {}): Generator<SurveyStep, Survey, undefined> {
  const all = segmentsOn(disk);
  const present = options.only ?? all;
  const last = present.at(-1) ?? 0;
  // Where the last one that is looked at ends is told by the one behind it.
  const told = all.includes(last + 1) ? [...present, last + 1] : present;
  const headers = new Map(told.map((number) => [number, readHeader(disk, number)]));
  const first = options.only === undefined ? firstOf(present, headers) : (present[0] ?? 1);
  const found = yield* surveyFrom(disk, headers, options, first, last);
  const { trimmedTo } = found.assembly;
  if (options.only !== undefined || first === trimmedTo) return found;
  // Those before it were deleted by nobody, so they are lost.
  const areLost = first > trimmedTo;
  // Those before it are what is left of a compaction that was cut short. The oldest of them need not be a beginning.
  const areLeft = !areLost && found.segments.some(({ number, canBegin }) => number === trimmedTo && canBegin);
  return areLost || areLeft ? yield* surveyFrom(disk, headers, options, trimmedTo, last) : found;
}

function* surveyFrom(
  disk: Disk,
  headers: ReadonlyMap<number, SegmentHeader | null>,
  options: SurveyOptions,
  first: number,
  last: number,
): Generator<SurveyStep, Survey, undefined> {
  const surveyor = new Surveyor(disk, headers, options, first);
  const { segments, assembly, unknown } = surveyor;
  for (let number = first; number <= last; number++) {
    const bytes = surveyor.look(number, number === last && !headers.has(last + 1));
    const found = segments.at(-1);
    if (number === last && options.only === undefined) surveyor.end();
    if (found !== undefined) yield { found, bytes, assembly, tail: surveyor.tail };
  }
  return { segments, assembly, tail: surveyor.tail, unknown };
}

/**
 * Compaction deletes from the front, and only before a segment that says what stood before it; which it says no more
 * when it was damaged and repaired: then all of the log was fetched again and stands behind it.
 */
function firstOf(present: readonly number[], headers: ReadonlyMap<number, SegmentHeader | null>): number {
  const first = present[0] ?? 1;
  const header = headers.get(first);
  return header == null || header.hasBegin || header.afterGap ? first : 1;
}

/** The numbers of the segments in a directory, ascending. */
export function segmentsOn(disk: Disk): number[] {
  return disk
    .list()
    .map(segmentNumber)
    .filter((number) => number !== null);
}

/** Null if it is not sound, or not that of this segment. Headers of other formats are returned. */
export function readHeader(disk: Disk, number: number): SegmentHeader | null {
  const file = disk.open(segmentName(number), "read");
  try {
    const header = decodeSegmentHeader(readWhole(file, segmentHeaderBytes));
    if (header === null || header.formatVersion > logFormatVersion) return header;
    const { sizeBytes } = header;
    return header.number === number && sizeBytes <= segmentBytesMax && sizeBytes > segmentHeaderBytes ? header : null;
  } finally {
    file.close();
  }
}

/** All bytes of a segment; see `readWhole` for `into`. Throws `DiskError`. */
export function readSegment(disk: Disk, name: string, into?: Uint8Array): Uint8Array {
  const file = disk.open(name, "read");
  try {
    return readWhole(file, segmentBytesMax, into);
  } finally {
    file.close();
  }
}

class Surveyor {
  readonly segments: SegmentFound[] = [];
  readonly unknown: string[] = [];
  readonly assembly: Assembly;
  tail: TailFound | null = null;
  readonly #clusterTag: number;
  #buffer: Uint8Array = new Uint8Array(0);

  constructor(
    readonly disk: Disk,
    readonly headers: ReadonlyMap<number, SegmentHeader | null>,
    readonly options: SurveyOptions,
    readonly first: number,
  ) {
    const sound = [...headers.values()].find((header) => header !== null);
    this.#clusterTag = sound === undefined ? (options.clusterTag ?? this.#tagOfRecords()) : clusterTagOf(sound.cluster);
    const begin = options.only === undefined ? null : headers.get(first);
    this.assembly = new Assembly(
      begin == null ? new LogIndex() : new LogIndex(begin.previousIndex, begin.previousView, begin.previousChain),
      sound?.replica ?? options.replica ?? "",
    );
  }

  /** Returns the bytes of the segment; null if it is absent. */
  look(number: number, isLast: boolean): Uint8Array | null {
    const { assembly } = this;
    const header = this.headers.get(number) ?? null;
    const knownEnd = isLast ? null : (this.headers.get(number + 1)?.previousEnd ?? null);
    const name = segmentName(number);
    const bytes = this.headers.has(number) ? this.#read(name) : null;
    const sizeBytes = header?.sizeBytes ?? Math.max(bytes?.length ?? 0, this.options.segmentBytes ?? 0);
    const range = { from: segmentHeaderBytes, knownEnd, sizeBytes, clusterTag: this.#clusterTag };
    const end = knownEnd ?? segmentHeaderBytes;
    const unlinked = new Set<number>();
    const found: SegmentFound = { number, name, header, range, end, lowestIndex: Infinity, canBegin: false, unlinked };
    this.segments.push(found);
    if (bytes === null) {
      assembly.hurt(number, 0, found.end, "absent");
    } else if (header !== null && header.formatVersion > logFormatVersion) {
      this.unknown.push(
        `segment ${name} has format version ${header.formatVersion}, this build knows up to ${logFormatVersion}`,
      );
    } else if (isLast) {
      this.#lookAtLast(found, bytes);
    } else {
      this.#begin(found, bytes);
      found.end = scan(bytes, range, {
        record: (record, offset) => this.#take(found, record, offset),
        bad: (from, to, fault) => assembly.hurt(number, from, to, fault),
      });
    }
    return bytes;
  }

  /** Nothing has followed on the gap with which the log begins: what it says of itself is not enough to go on with. */
  end(): void {
    const { assembly, first } = this;
    if (assembly.hasGap && assembly.damage.length === 0) assembly.hurt(first, 0, segmentHeaderBytes, "header");
  }

  /** Without a sound header the records alone say whose they are; 0 if there is none. */
  #tagOfRecords(): number {
    for (const number of this.headers.keys()) {
      const tag = firstClusterTag(readSegment(this.disk, segmentName(number)), segmentHeaderBytes);
      if (tag !== null) return tag;
    }
    return 0;
  }

  /** Into the same memory each time: nothing of a segment is kept. */
  #read(name: string): Uint8Array {
    const bytes = readSegment(this.disk, name, this.#buffer);
    if (bytes.length > this.#buffer.length) this.#buffer = bytes;
    return bytes;
  }

  #begin(found: SegmentFound, bytes: Uint8Array): void {
    const { assembly, options } = this;
    const { header, number } = found;
    if (header === null) return assembly.hurt(number, 0, segmentHeaderBytes, "header");
    const record = header.hasBegin ? decodeRecord(bytes, segmentHeaderBytes) : "end";
    const begin = typeof record === "string" ? null : readBegin(record);
    found.canBegin = begin !== null && !header.afterGap;
    const isAfterGap = header.afterGap && !header.hasBegin;
    const mustBegin = header.isAnew || (number === this.first && number > 1 && !isAfterGap);
    if (mustBegin && options.only === undefined) {
      if (begin === null) assembly.hurt(number, 0, segmentHeaderBytes, "header");
      else assembly.beginAt(header, begin);
    } else if (!assembly.begin(header)) {
      assembly.hurt(number, 0, segmentHeaderBytes, "chain");
    }
  }

  /**
   * Below the place where the last valid SYNC stands everything was durable: bad bytes there are damage. From there on
   * the first bad bytes are the end of what a crash left, and what follows them is not part of the log. A file that was
   * made shorter is damage anywhere, for no crash shortens a file.
   */
  #lookAtLast(found: SegmentFound, bytes: Uint8Array): void {
    const { assembly } = this;
    const { number, range, header } = found;
    const bad: { from: number; to: number; fault: BadFault }[] = [];
    let records = 0;
    // What a segment says of what stands before it was durable before the segment had its name.
    let durableTo = header?.hasBegin === true ? segmentHeaderBytes + 1 : 0;
    let syncAt = 0;
    let lastSyncEnd = 0;
    const takeAtOnce = header !== null;
    if (takeAtOnce) this.#begin(found, bytes);
    const end = scan(bytes, range, {
      record: (record, offset) => {
        records++;
        if (readSync(record, number, offset) !== null) {
          durableTo = offset;
          syncAt = offset;
          lastSyncEnd = offset + record.bytes.length;
        }
        if (takeAtOnce && bad.length === 0) this.#take(found, record, offset);
      },
      bad: (from, to, fault) => bad.push({ from, to, fault }),
    });
    const short = bytes.length < range.sizeBytes;
    // Of the only one it cannot be told whether there was ever anything in it; whoever knows that there was refuses it.
    if (header === null && records === 0 && this.segments.length === 1) {
      const torn = { from: 0, to: Math.max(end, segmentHeaderBytes), fault: "header" } as const;
      this.tail = { torn, clean: false, syncAt, short };
      return;
    }
    const missing = bad.some(({ fault }) => fault === "missing");
    const isTorn = ({ from }: { from: number }): boolean =>
      from >= durableTo || globalThis.mistaken?.("truncates at damage") === true;
    const torn = missing ? undefined : bad.find(isTorn);
    found.end = torn?.from ?? end;
    if (!takeAtOnce) this.#begin(found, bytes);
    const from = takeAtOnce ? (bad[0]?.from ?? end) : range.from;
    const rest = { ...range, from };
    if (!takeAtOnce || bad.length > 0) {
      scan(bytes, rest, {
        record: (record, offset) => {
          if (offset < found.end) this.#take(found, record, offset);
        },
        bad: (badFrom, to, fault) => {
          if (torn === undefined || badFrom < torn.from) assembly.hurt(number, badFrom, to, fault);
        },
      });
    }
    const clean = torn === undefined && !short && lastSyncEnd === found.end;
    this.tail = { torn: torn === undefined ? null : { ...torn, to: end }, clean, syncAt, short };
  }

  #take(found: SegmentFound, record: LogRecord, offset: number): void {
    const taken = this.assembly.take(record, found.number, offset);
    if (record.index > 0) found.lowestIndex = Math.min(found.lowestIndex, record.index);
    if (taken === "unlinked" || taken === "stray") found.unlinked.add(offset);
    if (taken === "stray") this.assembly.hurt(found.number, offset, offset + record.bytes.length, "chain");
    if (taken === "unknown") {
      this.unknown.push(
        `segment ${found.name} holds at offset ${offset} a record of kind ${record.kind}, version ${record.version}, ` +
          `index ${record.index}, view ${formatView(record.view)}, which this build does not know`,
      );
    }
    assert(offset % 8 === 0, "records are aligned to 8 bytes");
  }
}
