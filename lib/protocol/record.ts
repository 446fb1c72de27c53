/**
 * The log record: the same bytes on disk and between replicas. Layout in `lib/log/README.md`. Pure.
 *
 *   0 u32 payload length · 4 u32 CRC-32 of bytes 0–3 and 8–end, padding included · 8 u8 kind · 9 u8 version · 10 u16 flags
 *  12 u32 cluster tag · 16 u64 index · 24 u64 view · 32 u64 chain · 40 payload, zero padding to a multiple of 8
 *
 * Integers little-endian. The chain is xxHash64 (seed 0) over bytes 8…40+length with the *previous* entry's chain
 * standing in the chain field; local records carry chain 0.
 */
import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";

export const recordHeaderBytes = 40;
export const recordVersion = 1;

/** `gap` has no payload worth reading: it fills, on one disk, the place of records that were damaged there. */
export const recordKind = {
  view: 1,
  act: 2,
  op: 3,
  promise: 16,
  sync: 17,
  gap: 18,
  begin: 19,
  merged: 20,
  trim: 21,
} as const;

/** Flag bit 0: a reader that does not know the kind may skip the record. */
export const flagSkippable = 1;

/** A record read from bytes; `bytes` is the whole record with padding, `payload` a view into it. */
export interface LogRecord {
  readonly kind: number;
  readonly version: number;
  readonly flags: number;
  readonly clusterTag: number;
  readonly index: number;
  readonly view: number;
  readonly chain: bigint;
  readonly payload: Uint8Array;
  readonly bytes: Uint8Array;
}

export interface RecordFields {
  readonly kind: number;
  readonly flags?: number;
  readonly clusterTag: number;
  /** 0 for local records. */
  readonly index: number;
  readonly view: number;
  readonly payload: Uint8Array;
}

const align = (length: number): number => (length + 7) & ~7;

/** The whole length of a record with this payload, padding included. */
export const recordBytes = (payloadLength: number): number => recordHeaderBytes + align(payloadLength);

const crcOf = (record: Uint8Array): number => Bun.hash.crc32(record.subarray(8), Bun.hash.crc32(record.subarray(0, 4)));

/** Encodes a record once, for disk and wire. `previousChain` is ignored for local records (index 0). */
export function encodeRecord(fields: RecordFields, previousChain: bigint): LogRecord {
  const length = fields.payload.length;
  assert(length <= limits.recordPayloadBytesMax, "a record's payload keeps to its limit");
  const bytes = new Uint8Array(recordBytes(length));
  const data = new DataView(bytes.buffer);
  data.setUint32(0, length, true);
  data.setUint8(8, fields.kind);
  data.setUint8(9, recordVersion);
  data.setUint16(10, fields.flags ?? 0, true);
  data.setUint32(12, fields.clusterTag, true);
  setUint53(data, 16, fields.index);
  setUint53(data, 24, fields.view);
  bytes.set(fields.payload, recordHeaderBytes);
  let chain = 0n;
  if (fields.index !== 0) {
    data.setBigUint64(32, previousChain, true);
    chain = xxHash64(bytes.subarray(8, recordHeaderBytes + length));
    data.setBigUint64(32, chain, true);
  }
  data.setUint32(4, crcOf(bytes), true);
  return {
    kind: fields.kind,
    version: recordVersion,
    flags: fields.flags ?? 0,
    clusterTag: fields.clusterTag,
    index: fields.index,
    view: fields.view,
    chain,
    payload: bytes.subarray(recordHeaderBytes, recordHeaderBytes + length),
    bytes,
  };
}

/** Why bytes are not a record. `end`: all zero from here (the zero-filled rest of a segment). */
export type RecordFault = "end" | "short" | "length" | "checksum";

/**
 * Reads the record at `offset`. Verifies length and CRC, not the chain (see {@link chainHolds}).
 * The result's views alias `bytes`.
 */
export function decodeRecord(bytes: Uint8Array, offset: number): LogRecord | RecordFault {
  if (bytes.length - offset < recordHeaderBytes) return "short";
  const data = new DataView(bytes.buffer, bytes.byteOffset + offset, bytes.length - offset);
  const length = data.getUint32(0, true);
  const crc = data.getUint32(4, true);
  if (length === 0 && crc === 0) return "end";
  if (length > limits.recordPayloadBytesMax) return "length";
  const whole = recordBytes(length);
  if (bytes.length - offset < whole) return "short";
  const record = bytes.subarray(offset, offset + whole);
  if (crcOf(record) !== crc) return "checksum";
  return {
    kind: data.getUint8(8),
    version: data.getUint8(9),
    flags: data.getUint16(10, true),
    clusterTag: data.getUint32(12, true),
    index: getUint53(data, 16),
    view: getUint53(data, 24),
    chain: data.getBigUint64(32, true),
    payload: record.subarray(recordHeaderBytes, recordHeaderBytes + length),
    bytes: record,
  };
}

/** Whether an entry's chain follows from the previous entry's. */
export function chainHolds(record: LogRecord, previousChain: bigint): boolean {
  const end = recordHeaderBytes + record.payload.length;
  if (scratch.length < record.bytes.length) scratch = new Uint8Array(2 * record.bytes.length);
  scratch.set(record.bytes);
  new DataView(scratch.buffer).setBigUint64(32, previousChain, true);
  return xxHash64(scratch.subarray(8, end)) === record.chain;
}

/** A copy to put the previous chain into, in the same memory each time: this is done for every record of a log. */
let scratch = new Uint8Array(1024);

/** Splits records that stand back to back (a batch on the wire). Null if any byte of it is not a sound record. */
export function splitRecords(batch: Uint8Array): LogRecord[] | null {
  const records: LogRecord[] = [];
  let offset = 0;
  while (offset < batch.length) {
    const record = decodeRecord(batch, offset);
    if (typeof record === "string") return null;
    records.push(record);
    offset += record.bytes.length;
  }
  return records;
}

/** Records back to back, as they go into an APPEND frame. */
export function joinRecords(records: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const record of records) length += record.length;
  const batch = new Uint8Array(length);
  let offset = 0;
  for (const record of records) {
    batch.set(record, offset);
    offset += record.length;
  }
  return batch;
}

function xxHash64(bytes: Uint8Array): bigint {
  return Bun.hash.xxHash64(bytes);
}

/** Numbers in memory are safe integers; a greater u64 in a sound record means a format this build does not know. */
function getUint53(data: DataView, offset: number): number {
  return data.getUint32(offset + 4, true) * 0x1_0000_0000 + data.getUint32(offset, true);
}

function setUint53(data: DataView, offset: number, value: number): void {
  data.setUint32(offset, value >>> 0, true);
  data.setUint32(offset + 4, Math.floor(value / 0x1_0000_0000), true);
}
