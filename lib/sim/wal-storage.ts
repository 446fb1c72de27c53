/**
 * The real write-ahead log on a simulated disk: group commit, segments, torn writes, recovery and repair are those of
 * `lib/log`. Here syncs take their time, disks hang, fail and rot. Owns the disk of one replica from process to process.
 */
import { openLog, type Wal } from "../log/wal.ts";
import { segmentHeaderBytes, segmentNumber } from "../log/segment.ts";
import { decodeRecord, recordHeaderBytes, recordKind, type LogRecord } from "../protocol/record.ts";
import { MachineStopped, SimulatedDisk } from "./disk.ts";
import type { DiskFailure, LogHandlers, NodeLog, Rotten, Storage } from "./storage.ts";
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
  rot(index?: number): Rotten | null {
    const segments = this.disk.list().filter((name) => segmentNumber(name) !== null);
    if (segments.length === 0) return null;
    if (index !== undefined) return this.rotEntry(segments, index);
    const name = this.random.pick(segments);
    const placed = placedIn(this.disk.contentOf(name));
    const end = durableEnd(placed, name === segments.at(-1));
    if (end === 0) return null;
    const offset = this.random.below(end);
    this.disk.flip(name, offset, this.random.below(8));
    // With its header all of a segment is lost.
    const hit = placed.filter((each) => offset < segmentHeaderBytes || (each.begin <= offset && offset < each.end));
    return { where: `${name} at ${offset}`, chains: chainsOf(hit) };
  }

  private rotEntry(segments: readonly string[], index: number): Rotten | null {
    for (const name of segments.toReversed()) {
      const found = placedIn(this.disk.contentOf(name)).findLast(({ record }) => record.index === index);
      if (found === undefined) continue;
      this.disk.flip(name, found.begin + recordHeaderBytes, 0);
      return { where: `entry ${index}`, chains: chainsOf([found]) };
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

interface Placed {
  readonly record: LogRecord;
  readonly begin: number;
  readonly end: number;
}

/** The records of a segment, up to the first that is not sound. */
function placedIn(content: Uint8Array): Placed[] {
  const placed: Placed[] = [];
  for (let begin = segmentHeaderBytes; ;) {
    const record = decodeRecord(content, begin);
    if (typeof record === "string") return placed;
    const end = begin + record.bytes.length;
    placed.push({ record, begin, end });
    begin = end;
  }
}

const chainsOf = (placed: readonly Placed[]): bigint[] =>
  placed.filter(({ record }) => record.index > 0).map(({ record }) => record.chain);

/** Where the sound records of a segment end; of the last segment, where its last SYNC begins. 0 if there is none. */
function durableEnd(placed: readonly Placed[], isLast: boolean): number {
  if (!isLast) return placed.at(-1)?.end ?? segmentHeaderBytes;
  return placed.findLast(({ record }) => record.kind === recordKind.sync)?.begin ?? 0;
}
