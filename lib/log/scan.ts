/**
 * Walks the records of one segment's bytes and goes on behind bytes that are no record. Knows no index and no lineage:
 * that is `assembly.ts`. Pure.
 */
import { decodeEntry } from "../protocol/codec.ts";
import type { EntryPayload } from "../protocol/entries.ts";
import { ProtocolError } from "../protocol/protocol-error.ts";
import {
  decodeRecord,
  recordBytes,
  recordHeaderBytes,
  recordKind,
  type LogRecord,
  type RecordFault,
} from "../protocol/record.ts";
import { limits } from "../base/limits.ts";

/** Why bytes are not a record of this log. `missing`: the file ends; `lost`: zeros where records stood or follow. */
export type BadFault = Exclude<RecordFault, "end" | "short"> | "cluster" | "lost" | "missing";

export interface ScanVisitor {
  record(record: LogRecord, offset: number): void;
  /** Bytes from…to are no records. Never shorter than a record's header, unless the file ends. */
  bad(from: number, to: number, fault: BadFault): void;
}

export interface ScanRange {
  readonly from: number;
  /** Where the records must end, if that is known; else they end where only zeros follow. */
  readonly knownEnd: number | null;
  /** What the file's size should be. */
  readonly sizeBytes: number;
  readonly clusterTag: number;
}

/** Returns where the last record (or bad range) ends. */
export function scan(bytes: Uint8Array, range: ScanRange, visitor: ScanVisitor): number {
  const walk = new RecordWalk(bytes, range);
  while (walk.next()) {
    if (walk.record !== null) visitor.record(walk.record, walk.from);
    else visitor.bad(walk.from, walk.to, walk.fault);
  }
  return walk.to;
}

/** The same, one step at a time: after each `next` that says true, `from`…`to` is a record or bad bytes. */
export class RecordWalk {
  /** Null where the bytes are no record; then `fault` says why. */
  record: LogRecord | null = null;
  fault: BadFault = "length";
  from: number;
  to: number;
  readonly #bytes: Uint8Array;
  readonly #range: ScanRange;
  readonly #isShort: boolean;
  #contentEnd = -1;

  constructor(bytes: Uint8Array, range: ScanRange) {
    const wantedEnd = range.knownEnd ?? range.sizeBytes;
    this.#bytes = bytes.subarray(0, Math.min(bytes.length, wantedEnd));
    this.#isShort = bytes.length < wantedEnd;
    this.#range = range;
    this.from = range.from;
    this.to = range.from;
  }

  /** False at the end. */
  next(): boolean {
    const offset = this.to;
    this.from = offset;
    if (offset === this.#range.knownEnd) return false;
    const record = decodeRecord(this.#bytes, offset);
    if (typeof record !== "string" && record.clusterTag === this.#range.clusterTag) {
      this.record = record;
      this.to = offset + record.bytes.length;
      return true;
    }
    this.record = null;
    return this.#skip(offset, typeof record === "string" ? record : "cluster");
  }

  /** Over bytes that are no record, to the next one or to the end. */
  #skip(offset: number, fault: RecordFault | "cluster"): boolean {
    const { knownEnd, from, clusterTag } = this.#range;
    const bytes = this.#bytes;
    if (this.#contentEnd < 0) this.#contentEnd = lastNonZero(bytes, from);
    const contentEnd = this.#contentEnd;
    // Only zeros follow. No record begins with eight of them: nothing was ever written here.
    if (contentEnd <= offset && knownEnd === null && (!this.#isShort || bytes.length - offset >= 8)) return false;
    if (this.fault === "missing") return false;
    const next = contentEnd <= offset ? -1 : findRecord(bytes, offset + recordHeaderBytes, clusterTag);
    this.to = next === -1 ? (knownEnd ?? Math.max(contentEnd, offset)) : next;
    this.fault = next === -1 && this.#isShort ? "missing" : plain(fault);
    return true;
  }
}

const plain = (fault: RecordFault | "cluster"): BadFault =>
  fault === "end" ? "lost" : fault === "short" ? "length" : fault;

/** The end, rounded up to 8, of what is not zero from `from` on; `from` itself if all is zero. */
export function lastNonZero(bytes: Uint8Array, from: number): number {
  let at = bytes.length;
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  while (at > from && at % 8 !== 0) if (bytes[--at] !== 0) return Math.ceil((at + 1) / 8) * 8;
  while (at - 8 >= from) {
    if (data.getUint32(at - 4, true) !== 0 || data.getUint32(at - 8, true) !== 0) return at;
    at -= 8;
  }
  return from;
}

/** The cluster that the first sound record from `from` on says it belongs to; null if there is none. */
export function firstClusterTag(bytes: Uint8Array, from: number): number | null {
  for (let at = from; at + recordHeaderBytes <= bytes.length; at += 8) {
    const record = decodeRecord(bytes, at);
    if (typeof record !== "string") return record.clusterTag;
  }
  return null;
}

/** The next place from `from` on where a sound record of this cluster begins, or -1. */
export function findRecord(bytes: Uint8Array, from: number, clusterTag: number): number {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = from; at + recordHeaderBytes <= bytes.length; at += 8) {
    if (data.getUint32(at + 12, true) !== clusterTag) continue;
    const length = data.getUint32(at, true);
    if (length > limits.recordPayloadBytesMax || at + recordBytes(length) > bytes.length) continue;
    if (typeof decodeRecord(bytes, at) !== "string") return at;
  }
  return -1;
}

export interface Sync {
  readonly segment: number;
  readonly offset: number;
  readonly commit: number;
}

/**
 * What a SYNC record says, if it stands where it says it does: everything before it is durable. One that stands
 * elsewhere (bytes that someone sent as a message, for example) says nothing.
 */
export function readSync(record: LogRecord, segment: number, offset: number): Sync | null {
  if (record.kind !== recordKind.sync) return null;
  const entry = decodedEntry(record);
  return entry?.type === "sync" && entry.segment === segment && entry.offset === offset ? entry : null;
}

/** The first segment that a TRIM record keeps; 1 if it cannot be read. */
export function readTrim(record: LogRecord): number {
  const entry = decodedEntry(record);
  return entry?.type === "trim" ? entry.first : 1;
}

/** What a sound record says; null if it does not hold what its kind promises (another build may have written it). */
export function decodedEntry({ kind, payload }: Pick<LogRecord, "kind" | "payload">): EntryPayload | null {
  try {
    return decodeEntry(kind, payload);
  } catch (thrown) {
    if (!(thrown instanceof ProtocolError)) throw thrown;
    return null;
  }
}
