/**
 * Group commit: one vectored write per batch, one fdatasync in flight, whatever is appended meanwhile goes into the next
 * batch. Rolls over to the next segment. Any failure is the end: nothing is written or acknowledged after it.
 */
import { assert } from "../base/assert.ts";
import type { Position } from "../protocol/fields.ts";
import { decodeRecord, recordKind } from "../protocol/record.ts";
import { DiskError, type Disk, type DiskFile } from "./disk.ts";
import type { Lineage } from "./lineage.ts";
import { encodeSync, headOf, type NewBeginning, type Tail } from "./recover.ts";
import {
  clusterTagOf,
  endReserveBytes,
  fillerBytes,
  positionOf,
  syncReserveBytes,
  type LogIdentity,
} from "./segment.ts";
import { SpareSegment } from "./spare-segment.ts";

/** The kernel takes no more buffers in one write. */
const buffersMax = 1024;

/** A record on its way to the disk; an append without records is one without bytes. */
export interface Queued {
  readonly sequence: number;
  /** No more of this append follows. */
  readonly last: boolean;
  readonly commit: number;
  readonly bytes: Uint8Array | null;
  /** 0 for local records. */
  readonly index: number;
  readonly view: number;
  readonly chain: bigint;
  /** Its place in the logical log was taken by another before it was written. */
  superseded: boolean;
  /** Nobody asks for it any more although it was superseded: a MERGED record has settled it. */
  settled: boolean;
  /** No record: the log begins anew here. */
  readonly anew: NewBeginning | null;
}

export interface WriterHooks {
  /** It stands in the file at this position (not yet durable). */
  written(record: Queued, position: number): void;
  /** A segment has begun that goes on from this place. `canBegin`: the log can do without those before it. */
  began(number: number, last: Position, canBegin: boolean): void;
  /** Every append up to this sequence is durable. */
  persisted(sequence: number): void;
  failed(error: DiskError): void;
}

interface Batch {
  readonly end: number;
  readonly count: number;
  readonly sequence: number | null;
  readonly commit: number;
}

export class LogWriter {
  #file: DiskFile;
  #number: number;
  #sizeBytes: number;
  /** Where the next record goes. */
  #position: number;
  /** Nothing before here needs another sync. */
  #syncedTo: number;
  /** The end and the commit of the last SYNC written; what it says needs not be said again. */
  #saidTo: number;
  #saidCommit: number;
  /** The commit told with the last durable append. */
  #durableCommit: number;
  #queue: Queued[] = [];
  #syncing = false;
  #failed = false;
  #closing: ((error: DiskError | null) => void) | null = null;
  #closed = false;
  #spare: SpareSegment | null = null;
  /** Actions that wait until as many records as were queued before them are durable. */
  readonly #betweenBatches: { readonly after: number; readonly action: () => void }[] = [];
  #queuedCount = 0;
  #durableCount = 0;
  readonly #clusterTag: number;

  constructor(
    readonly disk: Disk,
    readonly identity: LogIdentity,
    readonly segmentBytes: number,
    readonly hooks: WriterHooks,
    tail: Tail,
    commit: number,
    /** The last entry written, for the header of the next segment. */
    private last: Position,
    readonly lineage: Lineage,
    /** Between damage and the first entry that follows on again. */
    readonly inGap: () => boolean,
  ) {
    this.#file = tail.file;
    this.#number = tail.number;
    this.#sizeBytes = tail.sizeBytes;
    this.#position = tail.position;
    this.#syncedTo = tail.position;
    this.#saidTo = tail.isSaid ? tail.position : 0;
    this.#saidCommit = commit;
    this.#durableCommit = commit;
    this.#clusterTag = clusterTagOf(identity.cluster);
  }

  /** The segment that is written on. */
  get segment(): number {
    return this.#number;
  }

  enqueue(records: readonly Queued[]): void {
    if (this.#failed || this.#closing !== null) return;
    for (const record of records) this.#queue.push(record);
    this.#queuedCount += records.length;
    this.#pump();
  }

  /** Runs this once everything appended so far is durable, with no sync in flight, before anything more is written. */
  betweenBatches(action: () => void): void {
    this.#betweenBatches.push({ after: this.#queuedCount, action });
    this.#pump();
  }

  /** Goes on in the next segment at once. Only between batches. Throws `DiskError`. */
  rollOver(anew: NewBeginning | null = null): void {
    assert(!this.#syncing, "a segment is durable before the next one begins");
    if (this.#syncedTo < this.#position) this.#file.syncBlocking();
    this.#spare ??= this.#newSpare();
    const number = this.#number + 1;
    if (anew !== null) this.last = anew.beginning.position;
    const { identity, segmentBytes, last, lineage } = this;
    const made = headOf(identity, number, segmentBytes, this.#position, last, lineage, this.inGap(), anew);
    const file = this.#spare.take(number, made.head, made.sizeBytes);
    this.#spare = null;
    this.#file.close();
    this.#file = file;
    this.#number = number;
    this.#sizeBytes = made.sizeBytes;
    this.#position = made.head.length;
    this.#syncedTo = made.head.length;
    this.#saidTo = 0;
    this.hooks.began(number, last, made.canBegin);
  }

  /**
   * Leaves room for a GAP record where something is missing, with a SYNC behind it: durable when this returns, and damage to who
   * opens the log next. Where it was left; null where there is no room for it, which only a file has that was cut short often.
   * Before anything is written. Throws `DiskError`.
   */
  leaveGap(): { readonly segment: number; readonly from: number; readonly to: number } | null {
    const from = this.#position;
    const sync = encodeSync(this.#clusterTag, this.#number, from + fillerBytes, this.#durableCommit);
    if (from + fillerBytes + sync.length > this.#sizeBytes) return null;
    this.#position += fillerBytes;
    this.#write([sync], this.#position + sync.length);
    this.#file.syncBlocking();
    this.#syncedTo = this.#position;
    this.#saidTo = this.#position;
    return { segment: this.#number, from, to: from + fillerBytes };
  }

  /** Writes and syncs what is queued, then a last SYNC, then closes the files. */
  close(done: (error: DiskError | null) => void): void {
    assert(this.#closing === null, "a log is closed once");
    this.#closing = done;
    this.#pump();
  }

  #pump(): void {
    if (this.#syncing || this.#failed || this.#closed) return;
    try {
      while ((this.#betweenBatches[0]?.after ?? Infinity) <= this.#durableCount) this.#betweenBatches.shift()?.action();
      if (this.#queue.length > 0) this.#startBatch();
      else if (this.#closing !== null) this.#finish();
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  #startBatch(): void {
    const first = this.#queue[0];
    assert(first !== undefined, "there is something to write");
    if (first.anew !== null) this.rollOver(first.anew);
    else if (!this.#fits(this.#position, first)) {
      this.rollOver();
      assert(this.#fits(this.#position, first), "a segment holds at least one record");
    }
    const buffers: Uint8Array[] = [];
    let end = this.#position;
    const sync = this.#newSync();
    if (sync !== null) {
      buffers.push(sync);
      end += sync.length;
      this.#saidTo = end;
      this.#saidCommit = this.#durableCommit;
    }
    let count = 0;
    let sequence: number | null = null;
    let commit = this.#durableCommit;
    for (const item of this.#queue) {
      if (count > 0 && (item.anew !== null || !this.#fits(end, item))) break;
      count++;
      if (item.last) {
        sequence = item.sequence;
        commit = item.commit;
      }
      if (item.bytes === null) continue;
      buffers.push(item.bytes);
      this.hooks.written(item, positionOf(this.#number, end));
      this.#follow(item);
      end += item.bytes.length;
    }
    this.#queue = count === this.#queue.length ? [] : this.#queue.slice(count);
    this.#write(buffers, end);
    this.#syncing = true;
    this.#file.sync((error) => this.#synced(error, { end, count, sequence, commit }));
    if (this.#spare === null && this.#position > this.#sizeBytes / 4) this.#spare = this.#newSpare();
  }

  /** Keeps what the next segment has to say of what stands before it. */
  #follow(item: Queued): void {
    const { bytes, index, view, chain } = item;
    if (bytes === null) return;
    const kind = bytes[8] ?? 0;
    if (kind === recordKind.promise) this.lineage.promise(view);
    if (index === 0) return;
    const payload = kind === recordKind.view ? payloadOf(bytes) : bytes;
    this.lineage.take({ kind, index, view, payload });
    this.last = { index, view, chain };
  }

  #fits(position: number, item: Queued): boolean {
    return position + syncReserveBytes + (item.bytes?.length ?? 0) + endReserveBytes <= this.#sizeBytes;
  }

  /** Null if it would say nothing new. */
  #newSync(): Uint8Array | null {
    const isNews = this.#saidTo !== this.#position || this.#saidCommit !== this.#durableCommit;
    return isNews ? encodeSync(this.#clusterTag, this.#number, this.#position, this.#durableCommit) : null;
  }

  #write(buffers: readonly Uint8Array[], end: number): void {
    const length = end - this.#position;
    if (length > 0) {
      const written = this.#file.write(coalesce(buffers), this.#position);
      if (written !== length) {
        throw new DiskError(
          `wrote only ${written} of ${length} bytes to ${this.#file.name} in ${this.disk.name}: is the disk full?`,
        );
      }
    }
    this.#position = end;
  }

  #synced(error: DiskError | null, batch: Batch): void {
    this.#syncing = false;
    if (this.#failed) return;
    if (error !== null && !globalThis.mistaken?.("ack after failed fsync")) {
      this.#fail(error);
      return;
    }
    this.#syncedTo = batch.end;
    this.#durableCount += batch.count;
    this.#durableCommit = batch.commit;
    this.#pump();
    if (batch.sequence !== null && !this.#failed) this.hooks.persisted(batch.sequence);
    this.#sayWhenIdle();
  }

  /** So that a log at rest ends with a SYNC that says everything before is durable. It need not be durable itself. */
  #sayWhenIdle(): void {
    if (this.#syncing || this.#failed || this.#closed || this.#queue.length > 0) return;
    try {
      this.#say();
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  #say(): void {
    const sync = this.#newSync();
    if (sync === null || this.#position + sync.length > this.#sizeBytes) return;
    this.#write([sync], this.#position + sync.length);
    this.#saidTo = this.#position;
    this.#saidCommit = this.#durableCommit;
  }

  #finish(): void {
    this.#say();
    this.#syncing = true;
    this.#file.sync((error) => {
      this.#syncing = false;
      if (this.#failed) return;
      if (error !== null) {
        this.#fail(error);
        return;
      }
      this.#closed = true;
      this.#file.close();
      this.#spare?.drop();
      this.#closing?.(null);
    });
  }

  #newSpare(): SpareSegment {
    return new SpareSegment(this.disk, this.segmentBytes, (thrown) => this.#fail(thrown));
  }

  #fail(thrown: unknown): void {
    if (this.#failed) return;
    if (!(thrown instanceof DiskError)) throw thrown;
    this.#failed = true;
    this.#queue = [];
    this.hooks.failed(thrown);
    this.#closing?.(thrown);
  }
}

function payloadOf(bytes: Uint8Array): Uint8Array {
  const record = decodeRecord(bytes, 0);
  assert(typeof record !== "string", "what is appended is a record");
  return record.payload;
}

/** At most as many buffers as one write takes, the same bytes. */
function coalesce(buffers: readonly Uint8Array[]): readonly Uint8Array[] {
  if (buffers.length <= buffersMax) return buffers;
  const perGroup = Math.ceil(buffers.length / buffersMax);
  const groups: Uint8Array[] = [];
  for (let at = 0; at < buffers.length; at += perGroup) groups.push(Buffer.concat(buffers.slice(at, at + perGroup)));
  return groups;
}
