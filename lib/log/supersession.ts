/**
 * Which entries have lost their place to one that was written later, found by a glance at the headers of all records: so
 * that a log can be shown from its beginning while most of it has not been read yet. Keeps only the forks. Reads only.
 */
import { limits } from "../base/limits.ts";
import { decodeRecord, recordBytes, recordHeaderBytes } from "../protocol/record.ts";
import type { Disk } from "./disk.ts";
import { readBegin } from "./lineage.ts";
import { findRecord } from "./scan.ts";
import {
  clusterTagOf,
  logFormatVersion,
  positionOf,
  segmentHeaderBytes,
  segmentName,
  type SegmentHeader,
} from "./segment.ts";
import { readHeader, readSegment } from "./survey.ts";

export class Supersession {
  /** Where records stand that took the place of `indexes[i]` and all after it, ascending. */
  readonly #positions: number[] = [];
  readonly #indexes: number[] = [];
  #lastIndex = 0;
  #isSettled = true;

  /** Throws `DiskError` if a segment cannot be read. */
  static lookAt(disk: Disk, segments: readonly number[]): Supersession {
    const found = new Supersession();
    let buffer: Uint8Array = new Uint8Array(0);
    for (const number of segments) {
      const header = readHeader(disk, number);
      if (header === null || header.formatVersion > logFormatVersion) continue;
      const bytes = readSegment(disk, segmentName(number), buffer);
      if (bytes.length > buffer.length) buffer = bytes;
      if (header.isAnew) found.#beginAnew(bytes, header);
      found.#glance(bytes, number, clusterTagOf(header.cluster));
    }
    return found;
  }

  /** Whether what stands behind `position` took the place of entry `index`. */
  covers(position: number, index: number): boolean {
    if (!this.#isSettled) this.#settle();
    let low = 0;
    let high = this.#positions.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#positions[middle] ?? 0) > position) high = middle;
      else low = middle + 1;
    }
    return (this.#indexes[low] ?? Infinity) <= index;
  }

  /** A record took the place of entry `index` and of all after it. Positions ascend. */
  add(position: number, index: number): void {
    this.#positions.push(position);
    this.#indexes.push(index);
    this.#isSettled = false;
  }

  /** Of what stands before it only the entries that its BEGIN names are kept. */
  #beginAnew(bytes: Uint8Array, { number, previousIndex }: SegmentHeader): void {
    const record = decodeRecord(bytes, segmentHeaderBytes);
    const begin = typeof record === "string" ? null : readBegin(record);
    if (begin !== null) this.add(positionOf(number, 0), begin.kept + 1);
    this.#lastIndex = previousIndex;
  }

  #glance(bytes: Uint8Array, segment: number, clusterTag: number): void {
    const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let at = segmentHeaderBytes;
    while (at + recordHeaderBytes <= bytes.length) {
      const length = data.getUint32(at, true);
      if (length === 0 && data.getUint32(at + 4, true) === 0) return;
      const isRecord = data.getUint32(at + 12, true) === clusterTag && length <= limits.recordPayloadBytesMax;
      if (!isRecord || at + recordBytes(length) > bytes.length) {
        at = findRecord(bytes, at + recordHeaderBytes, clusterTag);
        if (at === -1) return;
        continue;
      }
      const index = data.getUint32(at + 20, true) * 0x1_0000_0000 + data.getUint32(at + 16, true);
      if (index > this.#lastIndex) {
        this.#lastIndex = index;
      } else if (index !== 0 && typeof decodeRecord(bytes, at) !== "string") {
        this.add(positionOf(segment, at), index);
        this.#lastIndex = index;
      }
      at += recordBytes(length);
    }
  }

  /** From here on `indexes[i]` is the least of those at and behind it. */
  #settle(): void {
    for (let at = this.#indexes.length - 2; at >= 0; at--) {
      this.#indexes[at] = Math.min(this.#indexes[at] ?? 0, this.#indexes[at + 1] ?? 0);
    }
    this.#isSettled = true;
  }
}
