/**
 * Follows a log that a server writes: hands out each record once it is durable, in the order on disk, through new
 * segments and past old ones that are deleted. Reads only; when to look again is the caller's to say.
 */
import { decodeRecord, type LogRecord } from "../protocol/record.ts";
import { DiskError, type Disk } from "./disk.ts";
import { LogRefusedError } from "./errors.ts";
import { readBegin } from "./lineage.ts";
import type { InspectedItem } from "./reader.ts";
import { readSync, RecordWalk, type ScanRange } from "./scan.ts";
import {
  clusterTagOf,
  logFormatVersion,
  segmentBytesMax,
  segmentHeaderBytes,
  segmentName,
  type SegmentHeader,
} from "./segment.ts";
import { readHeader, segmentsOn } from "./survey.ts";

/** What happened to entries `from`…`to`: others took the place of those handed out, or they are not there to be read. */
export interface FollowedChange {
  readonly change: "superseded" | "gone";
  readonly from: number;
  readonly to: number;
}

export type FollowedItem = InspectedItem | FollowedChange;

interface At {
  readonly number: number;
  /** Its own, or, where its header is not sound, of another segment. */
  readonly form: Pick<SegmentHeader, "cluster" | "sizeBytes">;
  offset: number;
}

/** Of a log without any sound header: whose records these are nobody can say. */
const unknownForm: At["form"] = { cluster: new Uint8Array(16), sizeBytes: segmentBytesMax };

export class LogFollower {
  /** The segment that is read, and how far it was; null before the first. */
  #at: At | null = null;
  #lastIndex = 0;
  #buffer: Uint8Array = new Uint8Array(0);

  constructor(readonly disk: Disk) {}

  /**
   * What has become durable since the last call; on the first, all that is. Throws `DiskError`, and `LogRefusedError`
   * where the format is newer than this build.
   */
  *look(): Generator<FollowedItem, void, undefined> {
    for (;;) {
      const numbers = segmentsOn(this.disk);
      const number = this.#at?.number ?? 0;
      const next = numbers.find((each) => each > number);
      if (numbers.includes(number)) {
        const knownEnd = next === number + 1 ? (this.#header(next)?.previousEnd ?? null) : null;
        yield* this.#read(knownEnd);
      }
      if (next === undefined) return;
      const header = this.#header(next);
      if (header !== null) yield* this.#enter(next, header);
      // The last one may just be coming to be; a header before others is damaged, or was deleted this moment.
      else if (next === numbers.at(-1)) return;
      else yield* this.#skip(next);
    }
  }

  *#enter(number: number, header: SegmentHeader): Generator<FollowedItem, void, undefined> {
    if (header.formatVersion > logFormatVersion) {
      const name = segmentName(number);
      throw new LogRefusedError(
        `segment ${name} has format version ${header.formatVersion}, this build knows up to ${logFormatVersion}`,
      );
    }
    const { previousIndex } = header;
    const isFirst = this.#at === null;
    if (header.isAnew && !isFirst) yield* this.#beginAnew(number);
    this.#at = { number, form: header, offset: segmentHeaderBytes };
    if (!isFirst && previousIndex > this.#lastIndex) {
      yield { change: "gone", from: this.#lastIndex + 1, to: previousIndex };
    }
    if (isFirst || previousIndex > this.#lastIndex) this.#lastIndex = previousIndex;
  }

  /** Its records are read all the same, if it is known to which cluster they belong. */
  *#skip(number: number): Generator<FollowedItem, void, undefined> {
    if (!segmentsOn(this.disk).includes(number)) return;
    const form = this.#at?.form ?? this.#anyHeader() ?? unknownForm;
    const content = new Uint8Array(0);
    yield { file: segmentName(number), offset: 0, content, bytes: segmentHeaderBytes, fault: "header", torn: false };
    this.#at = { number, form, offset: segmentHeaderBytes };
  }

  #anyHeader(): SegmentHeader | null {
    for (const number of segmentsOn(this.disk)) {
      const header = this.#header(number);
      if (header !== null) return header;
    }
    return null;
  }

  /** Null also if the segment has just been deleted. */
  #header(number: number): SegmentHeader | null {
    return this.#unlessDeleted(number, () => readHeader(this.disk, number));
  }

  #unlessDeleted<T>(number: number, action: () => T): T | null {
    try {
      return action();
    } catch (error) {
      if (error instanceof DiskError && !segmentsOn(this.disk).includes(number)) return null;
      throw error;
    }
  }

  *#beginAnew(number: number): Generator<FollowedItem, void, undefined> {
    const bytes = this.#rest(number, segmentHeaderBytes);
    const record = bytes === null ? "end" : decodeRecord(bytes, 0);
    const begin = typeof record === "string" ? null : readBegin(record);
    if (begin === null) return;
    yield* this.#supersede(begin.kept + 1);
    this.#lastIndex = Math.min(this.#lastIndex, begin.kept);
  }

  /**
   * Everything durable from where the last look ended: what stands before the last SYNC, or the whole segment once
   * another goes on from it (`knownEnd`). The rest may be a write that is under way.
   */
  *#read(knownEnd: number | null): Generator<FollowedItem, void, undefined> {
    const at = this.#at;
    if (at === null || (knownEnd === null && !this.#hasMore(at))) return;
    const { number, offset: start, form } = at;
    const bytes = this.#rest(number, start);
    if (bytes === null) return;
    const range = {
      from: 0,
      knownEnd: knownEnd === null ? null : knownEnd - start,
      sizeBytes: form.sizeBytes - start,
      clusterTag: clusterTagOf(form.cluster),
    };
    const end = knownEnd ?? start + durableBytes(bytes, range, number, start);
    const walk = new RecordWalk(bytes, range);
    while (start + walk.to < end && walk.next()) {
      const { record, from, to, fault } = walk;
      const place = { file: segmentName(number), offset: start + from };
      if (record === null) {
        yield { ...place, content: bytes.subarray(from, to), bytes: to - from, fault, torn: false };
      } else {
        yield* this.#follow(record);
        yield { ...place, record, place: "live" };
      }
    }
    at.offset = Math.max(end, start);
  }

  #hasMore({ number, offset }: At): boolean {
    const first = new Uint8Array(8);
    return this.#readAt(number, offset, () => first) !== null && first.some((byte) => byte !== 0);
  }

  /** Into the same memory each time; null if the segment has just been deleted. */
  #rest(number: number, start: number): Uint8Array | null {
    return this.#readAt(number, start, (sizeBytes) => {
      const length = Math.max(0, Math.min(sizeBytes, segmentBytesMax) - start);
      if (this.#buffer.length < length) this.#buffer = new Uint8Array(length);
      return this.#buffer.subarray(0, length);
    });
  }

  #readAt(number: number, start: number, into: (sizeBytes: number) => Uint8Array): Uint8Array | null {
    return this.#unlessDeleted(number, () => {
      const file = this.disk.open(segmentName(number), "read");
      try {
        const bytes = into(file.sizeBytes());
        return bytes.subarray(0, file.read(bytes, start));
      } finally {
        file.close();
      }
    });
  }

  *#follow({ index }: LogRecord): Generator<FollowedItem, void, undefined> {
    if (index === 0) return;
    yield* this.#supersede(index);
    this.#lastIndex = index;
  }

  *#supersede(from: number): Generator<FollowedItem, void, undefined> {
    if (from <= this.#lastIndex) yield { change: "superseded", from, to: this.#lastIndex };
  }
}

/** How many of these bytes, which stand at `start` of the segment, a SYNC says are durable, itself included. */
function durableBytes(bytes: Uint8Array, range: ScanRange, segment: number, start: number): number {
  let end = 0;
  const walk = new RecordWalk(bytes, range);
  while (walk.next()) {
    if (walk.record !== null && readSync(walk.record, segment, start + walk.from) !== null) end = walk.to;
  }
  return end;
}
