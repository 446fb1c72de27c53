/**
 * The real write-ahead log on a simulated disk: group commit, segments, torn writes, recovery and repair are those of
 * `lib/log`. Here syncs take their time, disks hang, fail and rot. Owns the disk of one replica from process to process.
 */
import { openLog, type Wal } from "../log/wal.ts";
import { segmentHeaderBytes, segmentNumber } from "../log/segment.ts";
import { decodeRecord, recordHeaderBytes, recordKind } from "../protocol/record.ts";
import { MachineStopped, SimulatedDisk } from "./disk.ts";
import type { DiskFailure, LogHandlers, NodeLog, Storage } from "./storage.ts";
import type { Random } from "./random.ts";
import type { Simulator } from "./simulator.ts";

export class WalStorage implements Storage {
  private disk: SimulatedDisk;
  private readonly segmentBytes: number;
  private isFull = false;
  /** Syncs whose time has come while the disk hangs. */
  private hanging: (() => void)[] = [];

  /** A process has had a log here: one that has lost its beginning is refused from then on. */
  private established = false;

  /** `syncMs`: the mean time of a sync; Infinity while the disk hangs. */
  constructor(
    private readonly simulator: Simulator,
    private readonly random: Random,
    private readonly cluster: Uint8Array,
    private syncMs: number,
  ) {
    // Small ones, so that runs of a few hundred entries roll over.
    this.segmentBytes = random.pick([4, 8, 32]) * 1024;
    this.disk = new SimulatedDisk("disk", random.uint53(), (action) => this.later(action));
  }

  open(uuid: string, handlers: LogHandlers): NodeLog {
    const wal: Wal = openLog(this.disk, { cluster: this.cluster, replica: uuid }, handlers, {
      segmentBytes: this.segmentBytes,
      established: this.established,
    });
    this.established = true;
    return wal;
  }

  crash(power: boolean): void {
    this.disk = power ? this.disk.crash() : this.disk.restart();
    if (this.isFull) this.fill(true);
  }

  syncTakes(meanMs: number): void {
    this.syncMs = meanMs;
    if (meanMs === Infinity) return;
    for (const action of this.hanging.splice(0)) this.later(action);
  }

  fail(how: DiskFailure): void {
    const { faults } = this.disk;
    if (how === "sync") faults.failSync = true;
    else if (how === "write") faults.failWrite = true;
    else if (how === "read") faults.failRead = true;
    else faults.shortWrite = true;
  }

  fill(full: boolean): void {
    this.isFull = full;
    this.disk.faults.capacityBytes = full ? this.disk.usedBytes() + this.random.below(4_096) : Infinity;
  }

  mend(): void {
    Object.assign(this.disk.faults, { failSync: false, failWrite: false, failRead: false, shortWrite: false });
    this.fill(false);
  }

  /** Flips a bit below what the log itself says to be durable: behind the last word about that nobody can tell. */
  rot(index?: number): string | null {
    const segments = this.disk.list().filter((name) => segmentNumber(name) !== null);
    if (segments.length === 0) return null;
    if (index !== undefined) return this.rotEntry(segments, index);
    const name = this.random.pick(segments);
    const end = durableEnd(this.disk.contentOf(name), name === segments.at(-1));
    if (end === 0) return null;
    const offset = this.random.below(end);
    this.disk.flip(name, offset, this.random.below(8));
    return `${name} at ${offset}`;
  }

  private rotEntry(segments: readonly string[], index: number): string | null {
    for (const name of segments.toReversed()) {
      const offset = offsetOf(this.disk.contentOf(name), index);
      if (offset === null) continue;
      this.disk.flip(name, offset + recordHeaderBytes, 0);
      return `entry ${index}`;
    }
    return null;
  }

  damage(change: (content: Uint8Array) => Uint8Array): void {
    const name = this.disk.list().findLast((each) => segmentNumber(each) !== null);
    if (name !== undefined) this.disk.put(name, change(this.disk.contentOf(name).slice()));
  }

  private later(action: () => void): void {
    this.simulator.after(this.syncMs === Infinity ? 0 : this.random.around(this.syncMs), () => {
      if (this.syncMs === Infinity) this.hanging.push(action);
      else this.finish(action);
    });
  }

  /** The process may die of what it is told: then nobody is left to go on. */
  private finish(action: () => void): void {
    try {
      action();
    } catch (error) {
      if (!(error instanceof MachineStopped)) throw error;
    }
  }
}

/** Where the last entry of this index stands; null if there is none. */
function offsetOf(content: Uint8Array, index: number): number | null {
  let found: number | null = null;
  for (let offset = segmentHeaderBytes; ;) {
    const record = decodeRecord(content, offset);
    if (typeof record === "string") return found;
    if (record.index === index) found = offset;
    offset += record.bytes.length;
  }
}

/** Where the sound records of a segment end; of the last segment, where its last SYNC begins. 0 if there is none. */
function durableEnd(content: Uint8Array, isLast: boolean): number {
  let end = segmentHeaderBytes;
  let lastSync = 0;
  for (;;) {
    const record = decodeRecord(content, end);
    if (typeof record === "string") return isLast ? lastSync : end;
    if (record.kind === recordKind.sync) lastSync = end;
    end += record.bytes.length;
  }
}
