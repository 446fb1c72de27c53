/**
 * The write-ahead log of one replica: what the core and the driver use. Puts together opening (`recover.ts`), group
 * commit (`writer.ts`), reading back and repair. Everything through the `Disk` port; no clock, no randomness.
 */
import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import type { Position } from "../protocol/fields.ts";
import type { LogBeginning, LogReader, RecoveredLog } from "../protocol/log-port.ts";
import { encodeEntry } from "../protocol/codec.ts";
import { encodeRecord, recordBytes, recordHeaderBytes, recordKind } from "../protocol/record.ts";
import type { Superseded } from "./assembly.ts";
import type { Disk, DiskError } from "./disk.ts";
import { Front } from "./front.ts";
import { LogIndex } from "./log-index.ts";
import { recover, type OpenReport, type Recovery } from "./recover.ts";
import { repairSegments } from "./repair.ts";
import {
  clusterTagOf,
  endReserveBytes,
  segmentBytesMax,
  segmentHeaderBytes,
  segmentOf,
  syncReserveBytes,
  type LogIdentity,
} from "./segment.ts";
import { SegmentReader } from "./segment-reader.ts";
import { LogWriter, type Queued } from "./writer.ts";

/** Reading so many back takes some milliseconds. */
const orphansPerPortion = 512;

export interface WalHandlers {
  /** Every append up to this sequence is on disk. Never called within `append`. */
  persisted(sequence: number): void;
  /** The disk failed; called once. Nothing is written or acknowledged any more: the process must end (exit 74). */
  failed(error: DiskError): void;
}

export interface WalOptions {
  /** Size of new segments, header included. Default: 16 MiB. */
  readonly segmentBytes?: number;
  /** This replica has had a log before: one without a beginning is lost, not new. Default: false. */
  readonly established?: boolean;
}

/**
 * Opens the log, or begins one in an empty directory. The caller holds the lock on the directory. Blocks; reads all
 * segments. Throws `DiskError`, and `LogRefusedError` if the log is not this replica's or of a newer format.
 */
export function openLog(disk: Disk, identity: LogIdentity, handlers: WalHandlers, options: WalOptions = {}): Wal {
  const segmentBytes = options.segmentBytes ?? limits.segmentBytes;
  assert(segmentBytes % 8 === 0 && segmentBytes <= segmentBytesMax, "segments are aligned and not too large");
  assert(segmentBytes >= segmentHeaderBytes + 2 * endReserveBytes, "a segment holds a record");
  return new Wal(
    disk,
    identity,
    handlers,
    segmentBytes,
    recover(disk, identity, segmentBytes, options.established ?? false),
  );
}

export class Wal implements LogReader {
  /** What opening found, for messages. */
  readonly report: OpenReport;
  readonly #disk: Disk;
  readonly #identity: LogIdentity;
  readonly #recovery: Recovery;
  #index: LogIndex;
  /** Those that no MERGED record has settled. */
  #superseded: Superseded[];
  /** The same, on their way to the disk. */
  readonly #supersededUnwritten = new Set<Queued>();
  readonly #front: Front;
  readonly #writer: LogWriter;
  readonly #reader: SegmentReader;
  readonly #clusterTag: number;
  /** Entries of the logical log that are not yet in a file. */
  readonly #unwritten = new Map<number, Queued>();
  #recovered: RecoveredLog | null = null;
  #hasAppended = false;
  #damaged: boolean;
  #sequence = 0;

  constructor(disk: Disk, identity: LogIdentity, handlers: WalHandlers, segmentBytes: number, recovery: Recovery) {
    const { assembly, segments, tail, report } = recovery;
    const { index } = assembly;
    this.#disk = disk;
    this.#identity = identity;
    this.#recovery = recovery;
    this.report = report;
    this.#index = index;
    this.#superseded = assembly.superseded;
    this.#damaged = assembly.damage.length > 0;
    this.#reader = new SegmentReader(disk);
    this.#clusterTag = clusterTagOf(identity.cluster);
    this.#front = new Front(disk, segments, tail.number);
    let inGap = assembly.hasGap;
    const end = index.lastIndex;
    const last: Position = { index: end, view: index.view(end), chain: index.chain(end) };
    const hooks = {
      written: (record: Queued, position: number): void => {
        if (record.index > 0 || record.anew !== null) inGap = false;
        this.#written(record, position);
      },
      began: (number: number, before: Position, canBegin: boolean): void => this.#front.began(number, before, canBegin),
      persisted: (sequence: number): void => handlers.persisted(sequence),
      failed: (error: DiskError): void => handlers.failed(error),
    };
    const { commit, lineage } = assembly;
    this.#writer = new LogWriter(disk, identity, segmentBytes, hooks, tail, commit, last, lineage, () => inGap);
  }

  /** What was found at opening. To be asked for before anything is appended: it is not kept. */
  get recovered(): RecoveredLog {
    assert(!this.#hasAppended, "what was recovered is asked for before anything is appended");
    const { promised, commit, beginning, lineage } = this.#recovery.assembly;
    this.#recovered ??= {
      promised,
      commit,
      beginning,
      isKnown: lineage.isKnown,
      damaged: this.#damaged,
      views: this.#index.views(),
      chains: this.#index.chains(),
    };
    return this.#recovered;
  }

  /** That of the first entry it holds, or will hold. */
  get firstIndex(): number {
    return this.#index.baseIndex + 1;
  }

  get lastIndex(): number {
    return this.#index.lastIndex;
  }

  /** Corrupt below what was durable, until {@link repaired} has done its work. */
  get damaged(): boolean {
    return this.#damaged;
  }

  /**
   * Appends whole records: entries that follow on, or that supersede what stands at their index and after, and local
   * ones. `commit`: the commit index as of this append, kept as a hint. Sequences ascend; each is answered by a
   * `persisted` that covers it, an append without records too.
   */
  append(sequence: number, records: readonly Uint8Array[], commit: number): void {
    assert(sequence > this.#sequence, "appends are numbered upwards");
    this.#sequence = sequence;
    this.#hasAppended = true;
    this.#recovered = null;
    const queued = records.map((bytes, at) => this.#take(bytes, sequence, at === records.length - 1, commit));
    if (queued.length === 0) queued.push(nothing(sequence, commit, null));
    this.#writer.enqueue(queued);
  }

  /**
   * The log begins anew, behind a place that it need not hold: with a segment of its own. Of what it holds, the entries
   * up to `kept` are on the lineage of that place; what stands after is superseded. Answered like an append.
   */
  beginAnew(sequence: number, beginning: LogBeginning, kept: number): void {
    assert(sequence > this.#sequence, "appends are numbered upwards");
    this.#sequence = sequence;
    this.#hasAppended = true;
    this.#recovered = null;
    const { index, view, chain } = beginning.position;
    this.#supersede(Math.max(kept, this.#index.baseIndex) + 1);
    this.#unwritten.clear();
    this.#index = new LogIndex(index, view, chain);
    this.#writer.enqueue([nothing(sequence, index, { beginning, kept })]);
  }

  get hasForks(): boolean {
    return this.#superseded.length > 0 || this.#supersededUnwritten.size > 0;
  }

  /** See {@link LogReader}. */
  compactable(floor: number, evenForks: boolean): number | null {
    if (this.#damaged) return null;
    let needed = Infinity;
    if (!evenForks) for (const { position } of this.#superseded) needed = Math.min(needed, segmentOf(position));
    return this.#front.boundary(Math.min(floor, this.#index.lastIndex), this.#index, needed);
  }

  /**
   * Deletes the segments whose entries all stand at or below `index`, which {@link compactable} has named: the oldest
   * first, each for good before the next. A crash on the way leaves a log that begins somewhere between.
   */
  compact(index: number, done: () => void = () => {}): void {
    const first = this.#front.keptFrom(index, this.#index);
    if (first === null) return done();
    const payload = encodeEntry({ type: "trim", first });
    const trim = { kind: recordKind.trim, clusterTag: this.#clusterTag, index: 0, view: 0, payload };
    const { bytes } = encodeRecord(trim, 0n);
    this.#writer.enqueue([{ ...nothing(this.#sequence, 0, null), last: false, bytes }]);
    this.#writer.betweenBatches(() => {
      // Superseded meanwhile: another time.
      if (this.#damaged || index > this.#index.lastIndex || index < this.#index.baseIndex) return done();
      for (const number of this.#front.before(index, this.#index)) {
        this.#reader.forget(number);
        this.#front.delete(number);
      }
      this.#index.drop(index);
      this.#superseded = this.#superseded.filter(({ position }) => segmentOf(position) >= this.#front.first);
      done();
    });
  }

  /** See {@link LogReader}. Nothing beyond the last entry. Throws `DiskError` if what was written is not sound any more. */
  read(fromIndex: number, maxBytes: number): Uint8Array[] {
    assert(fromIndex > this.#index.baseIndex, "only entries of the log are read");
    const records: Uint8Array[] = [];
    let bytes = 0;
    let index = fromIndex;
    while (index <= this.#index.lastIndex && (records.length === 0 || bytes + this.#index.length(index) <= maxBytes)) {
      const waiting = this.#unwritten.get(index);
      const found = waiting?.bytes != null ? [waiting.bytes] : this.#readRun(index, maxBytes - bytes);
      for (const record of found) {
        records.push(record);
        bytes += record.length;
        index++;
      }
    }
    return records;
  }

  /**
   * See {@link LogReader}. The OP records that are not in the logical log: forks, and what stands behind damage and was
   * not fetched again. One that was written twice may come twice. Throws `DiskError` as {@link read} does.
   */
  *orphans(): IterableIterator<readonly Uint8Array[]> {
    const found = [...this.#superseded, ...this.#supersededUnwritten].sort((one, other) => one.index - other.index);
    for (let from = 0; from < found.length; from += orphansPerPortion) {
      const portion: Uint8Array[] = [];
      for (const each of found.slice(from, from + orphansPerPortion)) {
        if (this.#index.has(each.index) && this.#index.chain(each.index) === each.chain) continue;
        const bytes = "bytes" in each ? each.bytes : this.#reader.read([each.position], [each.length])[0];
        if (bytes?.[8] === recordKind.op) portion.push(bytes);
      }
      yield portion;
    }
  }

  /**
   * The log is whole again: what was missing was fetched from a peer and appended. Writes each damaged segment anew
   * with what is sound in it, and keeps the damaged one as `*.corrupt`; opening is clean from then on. Runs when all
   * that was appended before is durable, between two batches; a crash on the way leaves a log that is still damaged, or repaired.
   */
  repaired(done: () => void = () => {}): void {
    this.#writer.betweenBatches(() => {
      if (this.#damaged) {
        const { assembly, segments } = this.#recovery;
        if (assembly.damage.some(({ segment }) => segment === this.#writer.segment)) this.#writer.rollOver();
        for (const number of repairSegments(this.#disk, this.#identity, segments, assembly.damage)) {
          this.#reader.forget(number);
          this.#front.replaced(number);
        }
        this.#damaged = false;
      }
      done();
    });
  }

  /**
   * What stood behind its end is known to be gone, though nothing here is damaged. It counts as damaged from now on, also after a
   * restart, until it was {@link repaired}. Before anything is appended. Throws `DiskError`.
   */
  lostItsEnd(): void {
    assert(
      !this.#hasAppended && !this.#damaged,
      "what is lost is told before anything is appended, and of a sound log",
    );
    const { assembly } = this.#recovery;
    const gap = this.#writer.leaveGap();
    if (gap !== null) assembly.hurt(gap.segment, gap.from, gap.to, "lost");
    this.#recovered = null;
    this.#damaged = true;
  }

  /**
   * Makes everything durable, says so on disk, and closes. What is appended from the call on is dropped and never
   * acknowledged.
   */
  close(done: (error: DiskError | null) => void): void {
    this.#writer.close((error) => {
      this.#reader.close();
      done(error);
    });
  }

  #take(bytes: Uint8Array, sequence: number, last: boolean, commit: number): Queued {
    const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    assert(bytes.length >= recordHeaderBytes, "what is appended is a record");
    assert(bytes.length === recordBytes(data.getUint32(0, true)), "what is appended is a whole record");
    assert(data.getUint32(12, true) === this.#clusterTag, "what is appended is of this cluster");
    const index = Number(data.getBigUint64(16, true));
    const view = Number(data.getBigUint64(24, true));
    const chain = data.getBigUint64(32, true);
    const record: Queued = { ...nothing(sequence, commit, null), last, bytes, index, view, chain };
    if (bytes[8] === recordKind.merged) this.#settleForks();
    if (index === 0) return record;
    assert(index > this.#index.baseIndex, "nothing at or below the beginning of a log is superseded");
    assert(index <= this.#index.lastIndex + 1, "an entry follows on or supersedes");
    assert(view >= this.#index.view(index - 1), "views never decrease along a log");
    this.#supersede(index);
    this.#index.push(0, bytes.length, view, chain);
    this.#unwritten.set(index, record);
    return record;
  }

  #supersede(first: number): void {
    const index = this.#index;
    for (let at = first; at <= index.lastIndex; at++) {
      const waiting = this.#unwritten.get(at);
      if (waiting === undefined) {
        const position = index.position(at);
        this.#superseded.push({ index: at, position, length: index.length(at), chain: index.chain(at) });
      } else {
        waiting.superseded = true;
        this.#supersededUnwritten.add(waiting);
        this.#unwritten.delete(at);
      }
    }
    index.cut(first - 1);
  }

  /** A MERGED record settles what was superseded before it, on the disk or on its way there. */
  #settleForks(): void {
    this.#superseded = [];
    for (const queued of this.#supersededUnwritten) queued.settled = true;
    this.#supersededUnwritten.clear();
  }

  #written(record: Queued, position: number): void {
    const { index, bytes, chain } = record;
    if (index === 0 || bytes === null) return;
    this.#front.wrote(index);
    if (record.superseded) {
      this.#supersededUnwritten.delete(record);
      if (record.settled) return;
      this.#superseded.push({ index, position, length: bytes.length, chain });
    } else if (this.#unwritten.get(index) === record) {
      this.#index.setPosition(index, position);
      this.#unwritten.delete(index);
    }
  }

  /** Entries from `first` on that stand one behind the other in one segment, read at once; at least one. */
  #readRun(first: number, maxBytes: number): Uint8Array[] {
    const index = this.#index;
    const positions = [index.position(first)];
    const lengths = [index.length(first)];
    const start = positions[0] ?? 0;
    const segment = segmentOf(start);
    let bytes = lengths[0] ?? 0;
    for (let at = first + 1; at <= index.lastIndex && !this.#unwritten.has(at); at++) {
      const position = index.position(at);
      const length = index.length(at);
      const previous = positions.at(-1) ?? 0;
      // What lies between (a fork) is read too, but not much of it.
      const isNear = position > previous && position + length - start <= maxBytes + syncReserveBytes;
      if (segmentOf(position) !== segment || !isNear || bytes + length > maxBytes) break;
      positions.push(position);
      lengths.push(length);
      bytes += length;
    }
    return this.#reader.read(positions, lengths);
  }
}

const nothing = (sequence: number, commit: number, anew: Queued["anew"]): Queued => {
  const record = { bytes: null, index: 0, view: 0, chain: 0n };
  return { sequence, last: true, commit, ...record, superseded: false, settled: false, anew };
};
