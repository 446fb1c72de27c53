/**
 * Reads records of known place back from the segments, with a few files kept open. Verifies what it reads.
 */
import { decodeRecord } from "../protocol/record.ts";
import { DiskError, type Disk, type DiskFile } from "./disk.ts";
import { offsetOf, segmentName, segmentOf } from "./segment.ts";

const openFilesMax = 16;

export class SegmentReader {
  /** In the order of last use. */
  readonly #files = new Map<number, DiskFile>();

  constructor(readonly disk: Disk) {}

  /**
   * The records at these positions (one segment, ascending), of these lengths. Throws `DiskError` if they cannot be
   * read or are not sound any more.
   */
  read(positions: readonly number[], lengths: readonly number[]): Uint8Array[] {
    const first = positions[0] ?? 0;
    const end = (positions.at(-1) ?? 0) + (lengths.at(-1) ?? 0);
    const segment = segmentOf(first);
    const bytes = new Uint8Array(end - first);
    const read = this.#file(segment).read(bytes, offsetOf(first));
    const whole = bytes.subarray(0, read);
    return positions.map((position, at) => {
      const record = decodeRecord(whole, position - first);
      if (typeof record === "string" || record.bytes.length !== lengths[at]) {
        throw new DiskError(
          `the record at offset ${offsetOf(position)} of ${segmentName(segment)} in ${this.disk.name} was sound when ` +
            `it was written and is not any more: start again, the replica will then repair its log from a peer`,
        );
      }
      return record.bytes;
    });
  }

  /** A file was replaced by another of its name. */
  forget(segment: number): void {
    this.#files.get(segment)?.close();
    this.#files.delete(segment);
  }

  close(): void {
    for (const segment of [...this.#files.keys()]) this.forget(segment);
  }

  #file(segment: number): DiskFile {
    const file = this.#files.get(segment) ?? this.disk.open(segmentName(segment), "read");
    this.#files.delete(segment);
    this.#files.set(segment, file);
    const oldest = this.#files.keys().next().value;
    if (this.#files.size > openFilesMax && oldest !== undefined) this.forget(oldest);
    return file;
  }
}
