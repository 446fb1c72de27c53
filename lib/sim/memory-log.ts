/**
 * A write-ahead log without bytes, for runs that are about the protocol and want speed: group commit with one sync in
 * flight, as `lib/log/wal.ts` does it, and after a crash any prefix of what was not yet synced. The state outlives the
 * process in a {@link MemoryDisk}.
 */
import { DiskError } from "../log/disk.ts";
import { decodeEntry } from "../protocol/codec.ts";
import type { RecoveredLog } from "../protocol/log-port.ts";
import { decodeRecord, recordKind } from "../protocol/record.ts";
import type { LogHandlers, NodeLog, Storage } from "./storage.ts";
import type { Random } from "./random.ts";
import type { Simulator } from "./simulator.ts";

interface Written {
  readonly index: number;
  readonly view: number;
  readonly chain: bigint;
  readonly bytes: Uint8Array;
}

/** What stands on a simulated disk, and how fast it is. */
export class MemoryDisk implements Storage {
  /** The logical log: entry i + 1 at i. */
  readonly entries: Written[] = [];
  /** Superseded OP records. */
  readonly orphans: Uint8Array[] = [];
  promised = 0;
  commit = 0;
  /** The next sync fails. */
  failing = false;
  private log: MemoryLog | null = null;

  /** `syncMs`: the mean time of a sync; Infinity while the disk hangs. */
  constructor(
    private readonly simulator: Simulator,
    private readonly random: Random,
    public syncMs: number,
  ) {}

  open(_uuid: string, handlers: LogHandlers): NodeLog {
    this.log = new MemoryLog(this.simulator, this.random, this, handlers);
    return this.log;
  }

  crash(): void {
    this.log?.crash();
    this.log = null;
    this.failing = false;
  }

  syncTakes(meanMs: number): void {
    this.syncMs = meanMs;
    this.log?.hurry();
  }

  /** Nothing is written before it is synced here: a write that fails is a sync that fails. */
  fail(): void {
    this.failing = true;
  }

  mend(): void {
    this.failing = false;
  }

  /** There are no bytes. */
  rot(): null {
    return null;
  }
}

interface Batch {
  readonly sequence: number;
  readonly records: readonly Uint8Array[];
  readonly commit: number;
}

class MemoryLog implements NodeLog {
  readonly recovered: RecoveredLog;
  private entries: Written[];
  private readonly lostOps: Uint8Array[];
  private waiting: Batch[] = [];
  private syncing: Batch[] = [];
  private closed = false;

  constructor(
    private readonly simulator: Simulator,
    private readonly random: Random,
    private readonly disk: MemoryDisk,
    private readonly handlers: LogHandlers,
  ) {
    this.entries = [...disk.entries];
    this.lostOps = [...disk.orphans];
    this.recovered = {
      promised: disk.promised,
      views: Float64Array.from(disk.entries, ({ view }) => view),
      chains: BigUint64Array.from(disk.entries, ({ chain }) => chain),
      commit: Math.min(disk.commit, disk.entries.length),
      damaged: false,
    };
  }

  append(sequence: number, records: readonly Uint8Array[], commit: number): void {
    for (const bytes of records) put(this.entries, this.lostOps, bytes);
    this.waiting.push({ sequence, records, commit });
    this.sync();
  }

  read(fromIndex: number, maxBytes: number): Uint8Array[] {
    const records: Uint8Array[] = [];
    let length = 0;
    for (let at = fromIndex - 1; at < this.entries.length; at++) {
      const { bytes } = this.entries[at] as Written;
      if (records.length > 0 && length + bytes.length > maxBytes) break;
      records.push(bytes);
      length += bytes.length;
    }
    return records;
  }

  orphans(): Uint8Array[] {
    return [...this.lostOps];
  }

  /** Nothing is ever damaged here. */
  repaired(done: () => void): void {
    done();
  }

  /** The disk was set faster: a sync that hangs may return. */
  hurry(): void {
    if (this.syncing.length > 0 && this.disk.syncMs !== Infinity) this.finishLater();
  }

  /** The process dies: some of what was not synced is on the disk nevertheless, in order. */
  crash(): void {
    this.closed = true;
    for (const batch of [...this.syncing, ...this.waiting]) {
      for (const bytes of batch.records) {
        if (this.random.chance(0.4)) return;
        this.write(bytes);
      }
    }
  }

  private sync(): void {
    if (this.syncing.length > 0 || this.waiting.length === 0) return;
    this.syncing = this.waiting;
    this.waiting = [];
    if (this.disk.syncMs !== Infinity) this.finishLater();
  }

  private finishLater(): void {
    const batches = this.syncing;
    this.simulator.after(this.random.around(this.disk.syncMs), () => {
      if (this.closed || this.syncing !== batches || this.disk.syncMs === Infinity) return;
      if (this.disk.failing) {
        this.disk.failing = false;
        this.handlers.failed(new DiskError("the sync failed"));
        return;
      }
      this.syncing = [];
      for (const { records, commit } of batches) {
        for (const bytes of records) this.write(bytes);
        this.disk.commit = commit;
      }
      const last = batches.at(-1);
      if (last !== undefined) this.handlers.persisted(last.sequence);
      this.sync();
    });
  }

  private write(bytes: Uint8Array): void {
    const { disk } = this;
    const promised = put(disk.entries, disk.orphans, bytes);
    disk.promised = Math.max(disk.promised, promised);
    disk.commit = Math.min(disk.commit, disk.entries.length);
  }
}

/** Puts a record where it belongs; returns the view that it promises, or 0. */
function put(entries: Written[], orphans: Uint8Array[], bytes: Uint8Array): number {
  const record = decodeRecord(bytes, 0);
  if (typeof record === "string") throw new RangeError("what is appended is a record");
  const { index, view, chain, kind } = record;
  if (kind === recordKind.promise) {
    const promise = decodeEntry(kind, record.payload);
    return promise.type === "promise" ? promise.view : 0;
  }
  for (const old of entries.splice(index - 1)) {
    const known = decodeRecord(old.bytes, 0);
    if (typeof known !== "string" && known.kind === recordKind.op) orphans.push(old.bytes);
  }
  entries.push({ index, view, chain, bytes });
  return 0;
}
