/**
 * The port through which `lib/log` reaches a disk: one flat directory. Implemented by `lib/io/disk.ts` (real) and
 * `lib/sim/disk.ts` (simulated); one shared suite, `disk.contract.ts`, runs against both. Types only.
 */
export interface Disk {
  /** For messages, e.g. the directory's path. */
  readonly name: string;
  /** Names of the files, sorted. */
  list(): string[];
  /** Opens for reading and writing; `create` makes a new empty file and fails when it exists. */
  open(name: string, mode: "read" | "write" | "create"): DiskFile;
  rename(from: string, to: string): void;
  remove(name: string): void;
  /** Makes creations, renames and removals durable. Throws {@link DiskError}. */
  syncDirectory(): void;
}

export interface DiskFile {
  /** As it is called now, whatever it was opened as: errors name it so. */
  readonly name: string;
  sizeBytes(): number;
  /** Reads up to `into.length` bytes; returns how many (fewer only at the end of the file). */
  read(into: Uint8Array, positionBytes: number): number;
  /** One positional vectored write; returns the bytes written, which may be fewer than asked. */
  write(buffers: readonly Uint8Array[], positionBytes: number): number;
  /** Asynchronous fdatasync: `done` is called later, never within the call, with the error if it failed. */
  sync(done: (error: DiskError | null) => void): void;
  /** The same, blocking. */
  syncBlocking(): void;
  close(): void;
}

/** Any failure of the disk. Fatal to the replica: exit 74, nothing is retried, nothing is acknowledged. */
export class DiskError extends Error {
  override readonly name = "DiskError";
}
