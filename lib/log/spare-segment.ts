/**
 * The next segment, made ahead of need so that rolling over does not stall writes: a zero-filled, durable file under a
 * temporary name. It gets its header and its name when it is taken into use.
 */
import type { Disk, DiskFile } from "./disk.ts";
import { segmentName, writeWhole, writeZeros } from "./segment.ts";

const temporaryName = "next.tmp";
/** Written and synced in steps, so that no step holds up the records for long. */
const stepBytes = 1024 * 1024;

export class SpareSegment {
  readonly #file: DiskFile;
  #filled = 0;
  #durable = 0;
  #syncing = false;
  #taken = false;
  #dropped = false;

  /** Begins to fill it in the background. Throws `DiskError`; what is thrown later goes to `failed`. */
  constructor(
    readonly disk: Disk,
    readonly sizeBytes: number,
    readonly failed: (thrown: unknown) => void,
  ) {
    if (disk.list().includes(temporaryName)) disk.remove(temporaryName);
    this.#file = disk.open(temporaryName, "create");
    this.#step();
  }

  /** Finishes whatever is not done, writes what stands at its head, and gives the file its name. Throws `DiskError`. */
  take(number: number, head: Uint8Array, sizeBytes: number): DiskFile {
    this.#taken = true;
    if (this.#filled < sizeBytes) writeZeros(this.#file, this.#filled, sizeBytes);
    writeWhole(this.#file, head, 0);
    this.#file.syncBlocking();
    this.disk.rename(temporaryName, segmentName(number));
    this.disk.syncDirectory();
    return this.#file;
  }

  /** Gives it up. Throws `DiskError`. */
  drop(): void {
    this.#dropped = true;
    this.disk.remove(temporaryName);
    if (!this.#syncing) this.#file.close();
  }

  #step(): void {
    const to = Math.min(this.sizeBytes, this.#filled + stepBytes);
    writeZeros(this.#file, this.#filled, to);
    this.#filled = to;
    this.#syncing = true;
    this.#file.sync((error) => {
      this.#syncing = false;
      if (this.#dropped) {
        this.#file.close();
        return;
      }
      if (error !== null) {
        this.failed(error);
        return;
      }
      this.#durable = to;
      if (this.#taken || this.#durable >= this.sizeBytes) return;
      try {
        this.#step();
      } catch (thrown) {
        this.failed(thrown);
      }
    });
  }
}
