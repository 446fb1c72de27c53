/**
 * A write-ahead log without bytes, for runs that are about the protocol and want speed: group commit with one sync in
 * flight, as `lib/log/wal.ts` does it, and after a crash any prefix of what was not yet synced. The state outlives the
 * process in a {@link MemoryDisk}.
 */
import { DiskError } from "../log/disk.ts";
import { Lineage } from "../log/lineage.ts";
import type { LogBeginning, RecoveredLog } from "../protocol/log-port.ts";
import { decodedRecord } from "./decoded.ts";
import { recordKind, type LogRecord } from "../protocol/record.ts";
import { portionsOf } from "./fork-portions.ts";
import type { LogHandlers, NodeLog, Storage } from "./storage.ts";
import type { Random } from "./random.ts";
import type { Simulator } from "./simulator.ts";

/** The logical log, and what it has superseded. */
class Logical {
  beginning: LogBeginning | null = null;
  entries: LogRecord[] = [];
  /** Superseded OP records that no MERGED record has settled. */
  forks: Uint8Array[] = [];
  commit = 0;

  constructor(public lineage: Lineage) {}

  get baseIndex(): number {
    return this.beginning?.position.index ?? 0;
  }

  get lastIndex(): number {
    return this.baseIndex + this.entries.length;
  }

  copy(): Logical {
    const copy = new Logical(new Lineage(this.lineage.replica));
    copy.lineage.begin(this.lineage.beginning({ index: this.lastIndex, view: 0, chain: 0n }));
    copy.lineage.promise(this.lineage.promised);
    copy.lineage.isKnown = this.lineage.isKnown;
    return Object.assign(copy, {
      beginning: this.beginning,
      entries: [...this.entries],
      forks: [...this.forks],
      commit: this.commit,
    });
  }

  put(bytes: Uint8Array): void {
    const record = decodedRecord(bytes);
    if (typeof record === "string") throw new RangeError("what is appended is a record");
    if (record.kind === recordKind.promise) this.lineage.promise(record.view);
    if (record.kind === recordKind.merged) this.forks = [];
    if (record.index === 0) return;
    this.supersedeAfter(record.index - 1);
    this.lineage.take(record);
    this.entries.push(record);
  }

  beginAnew(beginning: LogBeginning, kept: number): void {
    this.supersedeAfter(Math.max(kept, this.baseIndex));
    this.lineage.begin(beginning);
    this.beginning = beginning;
    this.entries = [];
    this.commit = beginning.position.index;
  }

  compact(index: number): void {
    const at = this.entries[index - this.baseIndex - 1];
    if (at === undefined) return;
    this.beginning = this.lineage.beginning({ index, view: at.view, chain: at.chain });
    this.entries.splice(0, this.entries.indexOf(at) + 1);
  }

  private supersedeAfter(index: number): void {
    for (const { kind, bytes } of this.entries.splice(Math.max(0, index - this.baseIndex))) {
      if (kind === recordKind.op) this.forks.push(bytes);
    }
    this.commit = Math.min(this.commit, this.lastIndex);
  }
}

/** What stands on a simulated disk, and how fast it is. */
export class MemoryDisk implements Storage {
  logical: Logical | null = null;
  /** The next sync fails. */
  failing = false;
  private log: MemoryLog | null = null;

  /** `syncMs`: the mean time of a sync; Infinity while the disk hangs. */
  constructor(
    private readonly simulator: Simulator,
    private readonly random: Random,
    public syncMs: number,
  ) {}

  open(uuid: string, handlers: LogHandlers): NodeLog {
    this.logical ??= new Logical(new Lineage(uuid));
    this.log = new MemoryLog(this.simulator, this.random, this, this.logical, handlers);
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

  /** Nor is there room to be used up. */
  fill(): void {}

  /** There are no bytes. */
  rot(): null {
    return null;
  }

  damage(): never {
    throw new Error("a log without bytes cannot be damaged");
  }
}

interface Batch {
  readonly sequence: number;
  readonly records: readonly Uint8Array[];
  readonly commit: number;
  readonly anew: { readonly beginning: LogBeginning; readonly kept: number } | null;
}

/** What stands below a multiple of it is deleted at once. */
const segmentEntries = 16;

class MemoryLog implements NodeLog {
  readonly recovered: RecoveredLog;
  private readonly asked: Logical;
  private waiting: Batch[] = [];
  private syncing: Batch[] = [];
  private closed = false;

  constructor(
    private readonly simulator: Simulator,
    private readonly random: Random,
    private readonly disk: MemoryDisk,
    private readonly durable: Logical,
    private readonly handlers: LogHandlers,
  ) {
    this.asked = durable.copy();
    const { beginning, entries, lineage, commit, lastIndex } = durable;
    this.recovered = {
      promised: lineage.promised,
      beginning,
      isKnown: lineage.isKnown,
      views: Float64Array.from(entries, ({ view }) => view),
      chains: BigUint64Array.from(entries, ({ chain }) => chain),
      commit: Math.min(commit, lastIndex),
      damaged: false,
    };
  }

  append(sequence: number, records: readonly Uint8Array[], commit: number): void {
    for (const bytes of records) this.asked.put(bytes);
    this.waiting.push({ sequence, records, commit, anew: null });
    this.sync();
  }

  beginAnew(sequence: number, beginning: LogBeginning, kept: number): void {
    this.asked.beginAnew(beginning, kept);
    this.waiting.push({ sequence, records: [], commit: beginning.position.index, anew: { beginning, kept } });
    this.sync();
  }

  read(fromIndex: number, maxBytes: number): Uint8Array[] {
    const { entries, baseIndex } = this.asked;
    if (fromIndex <= baseIndex) throw new RangeError("only entries of the log are read");
    const records: Uint8Array[] = [];
    let length = 0;
    for (let at = fromIndex - baseIndex - 1; at < entries.length; at++) {
      const { bytes } = entries[at] as LogRecord;
      if (records.length > 0 && length + bytes.length > maxBytes) break;
      records.push(bytes);
      length += bytes.length;
    }
    return records;
  }

  orphans(): IterableIterator<readonly Uint8Array[]> {
    return portionsOf(this.asked.forks);
  }

  get hasForks(): boolean {
    return this.asked.forks.length > 0;
  }

  /** Forks are kept apart here, so they hold up nothing. */
  compactable(floor: number): number | null {
    const index = Math.floor(Math.min(floor, this.asked.lastIndex) / segmentEntries) * segmentEntries;
    return index > this.asked.baseIndex ? index : null;
  }

  compact(index: number): void {
    this.asked.compact(index);
    this.durable.compact(index);
  }

  /** Nothing is ever damaged here. */
  repaired(done: () => void): void {
    done();
  }

  /** Nor lost. */
  lostItsEnd(): void {}

  /** The disk was set faster: a sync that hangs may return. */
  hurry(): void {
    if (this.syncing.length > 0 && this.disk.syncMs !== Infinity) this.finishLater();
  }

  /** The process dies: some of what was not synced is on the disk nevertheless, in order. */
  crash(): void {
    this.closed = true;
    for (const batch of [...this.syncing, ...this.waiting]) {
      if (this.random.chance(0.4)) return;
      if (batch.anew !== null) this.durable.beginAnew(batch.anew.beginning, batch.anew.kept);
      for (const bytes of batch.records) {
        if (this.random.chance(0.4)) return;
        this.durable.put(bytes);
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
      for (const { records, commit, anew } of batches) {
        if (anew !== null) this.durable.beginAnew(anew.beginning, anew.kept);
        for (const bytes of records) this.durable.put(bytes);
        this.durable.commit = Math.min(commit, this.durable.lastIndex);
      }
      const last = batches.at(-1);
      if (last !== undefined) this.handlers.persisted(last.sequence);
      this.sync();
    });
  }
}
