/**
 * A simulated disk. What was written but not synced is kept apart; a crash loses it, or lets some of its sectors land, in
 * any order. Syncs end when the scheduler handed in says so; faults happen when asked for. Equal seeds, equal disks.
 *
 * The model: sectors of 512 bytes land whole or not at all; each unsynced sector holds, after a crash, the bytes of some
 * earlier moment since its last sync. Creations, renames and removals that were not followed by a sync of the directory
 * survive a crash up to some point of their order. A failed sync leaves its bytes readable but never durable, as Linux
 * does (Rebello et al., ATC'20).
 */
import { assert } from "../base/assert.ts";
import { DiskError, type Disk, type DiskFile } from "../log/disk.ts";
import { Random } from "./random.ts";

const sectorBytes = 512;

/** Runs it later, never within the call. */
export type Schedule = (action: () => void) => void;

export interface DiskFaults {
  /** The next write takes only part of its bytes. */
  shortWrite: boolean;
  failWrite: boolean;
  failRead: boolean;
  failSync: boolean;
  /** Bytes that fit on the disk, all files together. */
  capacityBytes: number;
}

interface Write {
  readonly position: number;
  readonly bytes: Uint8Array;
}

/** A file's content, whatever names it has. */
class Inode {
  /** As every process sees it. */
  current = new Bytes();
  /** As it is after a crash that loses everything unsynced. */
  durable = new Bytes();
  unsynced: Write[] = [];

  /** `bytes` are its own from now on. */
  write(position: number, bytes: Uint8Array): void {
    this.current.write(position, bytes);
    this.unsynced.push({ position, bytes });
  }

  /** The first `count` unsynced writes are durable. */
  settle(count: number): void {
    for (const { position, bytes } of this.unsynced.splice(0, count)) this.durable.write(position, bytes);
  }
}

/** Bytes that grow. */
class Bytes {
  content = new Uint8Array(0);
  size = 0;

  write(position: number, bytes: Uint8Array): void {
    const end = position + bytes.length;
    if (end > this.content.length) {
      const larger = new Uint8Array(Math.max(end, this.content.length * 2));
      larger.set(this.content.subarray(0, this.size));
      this.content = larger;
    }
    this.content.set(bytes, position);
    this.size = Math.max(this.size, end);
  }

  copy(): Bytes {
    const copy = new Bytes();
    copy.content = this.content.slice(0, this.size);
    copy.size = this.size;
    return copy;
  }
}

type Names = Map<string, Inode>;
type DirectoryChange = (names: Names) => void;

export class SimulatedDisk implements Disk {
  readonly faults: DiskFaults = {
    shortWrite: false,
    failWrite: false,
    failRead: false,
    failSync: false,
    capacityBytes: Infinity,
  };
  /** Counts every write, sync and change of the directory; when it reaches `stopAt`, that very call throws. */
  operations = 0;
  /** The machine stops before this operation: it throws {@link MachineStopped}, and so does everything after it. */
  stopAt = Infinity;
  #names: Names = new Map();
  #durableNames: Names = new Map();
  #changes: DirectoryChange[] = [];
  #stopped = false;
  readonly #random: Random;

  constructor(
    readonly name: string,
    readonly seed: number,
    public schedule: Schedule,
  ) {
    this.#random = new Random(seed);
  }

  list(): string[] {
    return [...this.#names.keys()].sort();
  }

  open(name: string, mode: "read" | "write" | "create"): DiskFile {
    this.#check();
    if (mode === "create") {
      this.#count();
      if (this.#names.has(name)) throw this.error(`cannot create ${name}: it exists`);
      const inode = new Inode();
      this.#change((names) => names.set(name, inode));
      return new SimulatedFile(this, name, inode, true);
    }
    const inode = this.#names.get(name);
    if (inode === undefined) throw this.error(`cannot open ${name}: there is no such file`);
    return new SimulatedFile(this, name, inode, mode === "write");
  }

  rename(oldName: string, newName: string): void {
    this.#count();
    if (!this.#names.has(oldName)) throw this.error(`cannot rename ${oldName}: there is no such file`);
    this.#change((names) => {
      const moved = names.get(oldName);
      names.delete(oldName);
      if (moved !== undefined) names.set(newName, moved);
    });
  }

  remove(name: string): void {
    this.#count();
    if (!this.#names.has(name)) throw this.error(`cannot remove ${name}: there is no such file`);
    this.#change((names) => names.delete(name));
  }

  syncDirectory(): void {
    this.#count();
    this.#failIf("failSync", "cannot sync the directory: input/output error");
    for (const change of this.#changes.splice(0)) change(this.#durableNames);
  }

  /** The power goes: this object is dead, what survived is on the disk that it returns. */
  crash(): SimulatedDisk {
    const random = this.#random;
    this.#stopped = true;
    const names: Names = new Map(this.#durableNames);
    const kept = random.below(this.#changes.length + 1);
    for (const change of this.#changes.slice(0, kept)) change(names);
    const survivor = new SimulatedDisk(this.name, random.uint53(), this.schedule);
    // All of it, nothing of it, or some: a fair share of crashes at the extremes.
    const share = random.pick([0, 1, random.fraction(), random.fraction()]);
    const inodes = new Map<Inode, Inode>();
    for (const [name, inode] of names) {
      let copy = inodes.get(inode);
      if (copy === undefined) {
        copy = afterCrash(inode, random, share);
        inodes.set(inode, copy);
      }
      survivor.#names.set(name, copy);
      survivor.#durableNames.set(name, copy);
    }
    return survivor;
  }

  /** Only the process ends: what it wrote is all there, synced or not. This object is dead. */
  restart(): SimulatedDisk {
    this.#stopped = true;
    const next = new SimulatedDisk(this.name, this.#random.uint53(), this.schedule);
    next.#names = this.#names;
    next.#durableNames = this.#durableNames;
    next.#changes = this.#changes;
    return next;
  }

  /** An independent copy with everything durable, for trying things out on. */
  clone(): SimulatedDisk {
    const next = new SimulatedDisk(this.name, this.seed, this.schedule);
    for (const [name, inode] of this.#names) next.put(name, inode.current.content.slice(0, inode.current.size));
    return next;
  }

  /** The content of a file, as a process sees it. */
  contentOf(name: string): Uint8Array {
    const inode = this.#names.get(name);
    assert(inode !== undefined, "the file is there");
    return inode.current.content.slice(0, inode.current.size);
  }

  /** Sets a file to this content, durably. */
  put(name: string, content: Uint8Array): void {
    const inode = new Inode();
    inode.current.write(0, content);
    inode.durable.write(0, content);
    this.#names.set(name, inode);
    this.#durableNames.set(name, inode);
  }

  /** Bit rot: flips one bit, on the disk and in the cache. */
  flip(name: string, offset: number, bit: number): void {
    const content = this.contentOf(name);
    content[offset] = (content[offset] ?? 0) ^ (1 << bit);
    this.put(name, content);
  }

  /** For the files: counts an operation and throws if the machine has stopped. */
  count(): void {
    this.#count();
  }

  check(): void {
    this.#check();
  }

  /** What a file is called now; as it was opened, if it was removed. */
  nameOf(inode: Inode, openedAs: string): string {
    for (const [name, each] of this.#names) if (each === inode) return name;
    return openedAs;
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  failIf(fault: "failWrite" | "failRead" | "failSync", message: string): void {
    this.#failIf(fault, message);
  }

  usedBytes(): number {
    return [...new Set(this.#names.values())].reduce((sum, inode) => sum + inode.current.size, 0);
  }

  error(message: string): DiskError {
    return new DiskError(`${this.name}: ${message}`, { cause: new Error(message) });
  }

  shorten(length: number): number {
    return length <= 1 ? 0 : 1 + this.#random.below(length - 1);
  }

  #change(change: DirectoryChange): void {
    change(this.#names);
    this.#changes.push(change);
  }

  #count(): void {
    this.#check();
    this.operations++;
    if (this.operations >= this.stopAt) {
      this.#stopped = true;
      throw new MachineStopped(`the machine stopped at operation ${this.operations}`);
    }
  }

  #check(): void {
    if (this.#stopped) throw new MachineStopped("the machine has stopped");
  }

  #failIf(fault: "failWrite" | "failRead" | "failSync", message: string): void {
    if (!this.faults[fault]) return;
    this.faults[fault] = false;
    throw this.error(message);
  }
}

/** Not an error of the disk: nobody is left to handle it. */
export class MachineStopped extends Error {
  override readonly name = "MachineStopped";
}

class SimulatedFile implements DiskFile {
  #open = true;

  constructor(
    readonly disk: SimulatedDisk,
    readonly openedAs: string,
    readonly inode: Inode,
    readonly writable: boolean,
  ) {}

  get name(): string {
    return this.disk.nameOf(this.inode, this.openedAs);
  }

  sizeBytes(): number {
    this.#check();
    return this.inode.current.size;
  }

  read(into: Uint8Array, positionBytes: number): number {
    this.#check();
    this.disk.failIf("failRead", `cannot read ${this.name}: input/output error`);
    const { content, size } = this.inode.current;
    const part = content.subarray(Math.min(positionBytes, size), Math.min(positionBytes + into.length, size));
    into.set(part);
    return part.length;
  }

  write(buffers: readonly Uint8Array[], positionBytes: number): number {
    this.#check();
    this.disk.count();
    const { disk, inode } = this;
    if (!this.writable) throw disk.error(`cannot write ${this.name}: it is open for reading`);
    if (buffers.length > 1024) throw disk.error(`cannot write ${this.name}: too many buffers`);
    disk.failIf("failWrite", `cannot write ${this.name}: input/output error`);
    const [only] = buffers;
    let bytes = buffers.length === 1 && only !== undefined ? only.slice() : Buffer.concat(buffers);
    if (disk.faults.shortWrite) {
      disk.faults.shortWrite = false;
      bytes = bytes.subarray(0, disk.shorten(bytes.length));
    }
    const growth = Math.max(0, positionBytes + bytes.length - inode.current.size);
    const room = disk.faults.capacityBytes === Infinity ? Infinity : disk.faults.capacityBytes - disk.usedBytes();
    if (growth > room) {
      bytes = bytes.subarray(0, Math.max(0, bytes.length - (growth - room)));
      if (bytes.length === 0) throw disk.error(`cannot write ${this.name}: no space left on device`);
    }
    inode.write(positionBytes, bytes);
    return bytes.length;
  }

  sync(done: (error: DiskError | null) => void): void {
    this.#check();
    this.disk.count();
    const { disk, inode } = this;
    const count = inode.unsynced.length;
    const settled = inode.unsynced.slice(0, count);
    disk.schedule(() => {
      if (disk.stopped) return;
      // A blocking sync may have been quicker.
      const left = settled.filter((write) => inode.unsynced.includes(write)).length;
      done(this.#finish(left));
    });
  }

  syncBlocking(): void {
    this.#check();
    this.disk.count();
    const error = this.#finish(this.inode.unsynced.length);
    if (error !== null) throw error;
  }

  close(): void {
    this.#check();
    this.#open = false;
  }

  #finish(count: number): DiskError | null {
    try {
      this.disk.failIf("failSync", `cannot sync ${this.name}: input/output error`);
      this.inode.settle(count);
      return null;
    } catch (error) {
      // The kernel has marked the pages clean: readable, and never written again.
      this.inode.unsynced.splice(0, count);
      assert(error instanceof DiskError, "a sync fails with an error of the disk");
      return error;
    }
  }

  #check(): void {
    this.disk.check();
    assert(this.#open, "a closed file is not used");
  }
}

/** Each sector that was written since its last sync holds what it held after some of those writes, or after none. */
function afterCrash(inode: Inode, random: Random, share: number): Inode {
  const result = new Inode();
  const content = inode.durable.copy();
  const bySector = new Map<number, Write[]>();
  for (const write of inode.unsynced) {
    const last = Math.floor((write.position + write.bytes.length - 1) / sectorBytes);
    for (let sector = Math.floor(write.position / sectorBytes); sector <= last; sector++) {
      const writes = bySector.get(sector);
      if (writes === undefined) bySector.set(sector, [write]);
      else writes.push(write);
    }
  }
  for (const [sector, writes] of bySector) {
    const landed = share === 1 ? writes.length : random.chance(share) ? 1 + random.below(writes.length) : 0;
    for (const { position, bytes } of writes.slice(0, landed)) {
      const from = Math.max(position, sector * sectorBytes);
      const to = Math.min(position + bytes.length, (sector + 1) * sectorBytes);
      content.write(from, bytes.subarray(from - position, to - position));
    }
  }
  result.durable = content;
  result.current = content.copy();
  return result;
}
