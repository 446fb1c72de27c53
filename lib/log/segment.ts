/**
 * What a segment file is: its name, its 128-byte header and how one comes to be. Byte layout in `README.md`. What stands
 * behind the header is the business of `scan.ts` (reading) and `writer.ts` (writing).
 */
import { assert } from "../base/assert.ts";
import { recordHeaderBytes } from "../protocol/record.ts";
import type { Disk, DiskFile } from "./disk.ts";

export const logFormatVersion = 2;
export const segmentHeaderBytes = 128;
/** Positions are kept as one number, segment · 2^26 + offset, which stays exact up to eight digits of segments. */
export const segmentBytesMax = 64 * 1024 * 1024;
/** A SYNC record takes no more. */
export const syncReserveBytes = recordHeaderBytes + 32;
/** Kept free at the end of a segment: for the SYNC of a log at rest, and for what opening may have to add. */
export const endReserveBytes = 3 * syncReserveBytes;

/**
 * Zeros that stand in for what is lost. With a SYNC behind them they stay visible as damage, and there is room for a GAP record
 * when it is repaired.
 */
export const fillerBytes = recordHeaderBytes;

const magic = new TextEncoder().encode("CHATDWAL");
const namePattern = /^([0-9]{8})\.wal$/;
const zeros = new Uint8Array(1024 * 1024);

/** To whom a log belongs. */
export interface LogIdentity {
  /** 16 bytes. */
  readonly cluster: Uint8Array;
  /** The replica's uuid, drawn when its data directory was made. */
  readonly replica: string;
}

export interface SegmentHeader extends LogIdentity {
  readonly formatVersion: number;
  /** Size of the whole file. */
  readonly sizeBytes: number;
  readonly number: number;
  /** The index, view and chain of the last entry of the log when the segment began; index 0 for an empty log. */
  readonly previousIndex: number;
  readonly previousView: number;
  readonly previousChain: bigint;
  /** Where the records of the segment before this one end; 0 for the first segment. */
  readonly previousEnd: number;
  /** Something is missing before this segment: its first entry need not follow on. */
  readonly afterGap: boolean;
  /** A BEGIN record is the first in it: the log may begin here. */
  readonly hasBegin: boolean;
  /** The log begins anew here: what stands before is no part of it any more. */
  readonly isAnew: boolean;
}

/** `00000001.wal`. */
export function segmentName(number: number): string {
  assert(number >= 1 && number <= 99_999_999, "segments are numbered with eight digits");
  return `${String(number).padStart(8, "0")}.wal`;
}

/** Null for any other file. */
export function segmentNumber(name: string): number | null {
  const match = namePattern.exec(name);
  const number = Number(match?.[1] ?? 0);
  return number === 0 ? null : number;
}

export const positionOf = (segment: number, offset: number): number => segment * segmentBytesMax + offset;
export const segmentOf = (position: number): number => Math.floor(position / segmentBytesMax);
export const offsetOf = (position: number): number => position % segmentBytesMax;

/** The u32 that every record of a cluster carries: the first four bytes of the cluster id, little-endian. */
export function clusterTagOf(cluster: Uint8Array): number {
  assert(cluster.length === 16, "a cluster id has 16 bytes");
  return new DataView(cluster.buffer, cluster.byteOffset, 16).getUint32(0, true);
}

export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
  const bytes = new Uint8Array(segmentHeaderBytes);
  const data = new DataView(bytes.buffer);
  bytes.set(magic, 0);
  data.setUint32(8, header.formatVersion, true);
  data.setUint32(12, header.sizeBytes, true);
  bytes.set(header.cluster, 16);
  bytes.set(Uint8Array.fromHex(header.replica.replaceAll("-", "")), 32);
  data.setBigUint64(48, BigInt(header.number), true);
  data.setBigUint64(56, BigInt(header.previousIndex), true);
  data.setBigUint64(64, BigInt(header.previousView), true);
  data.setBigUint64(72, header.previousChain, true);
  data.setUint32(80, header.previousEnd, true);
  data.setUint32(84, (header.afterGap ? 1 : 0) | (header.hasBegin ? 2 : 0) | (header.isAnew ? 4 : 0), true);
  data.setUint32(124, Bun.hash.crc32(bytes.subarray(0, 124)), true);
  return bytes;
}

/** Null if this is no sound header of any version: magic and checksum stand at the same place in all of them. */
export function decodeSegmentHeader(bytes: Uint8Array): SegmentHeader | null {
  if (bytes.length < segmentHeaderBytes) return null;
  const data = new DataView(bytes.buffer, bytes.byteOffset, segmentHeaderBytes);
  if (magic.some((byte, at) => bytes[at] !== byte)) return null;
  if (data.getUint32(124, true) !== Bun.hash.crc32(bytes.subarray(0, 124))) return null;
  const hex = bytes.subarray(32, 48).toHex();
  return {
    formatVersion: data.getUint32(8, true),
    sizeBytes: data.getUint32(12, true),
    cluster: bytes.slice(16, 32),
    replica: hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5"),
    number: Number(data.getBigUint64(48, true)),
    previousIndex: Number(data.getBigUint64(56, true)),
    previousView: Number(data.getBigUint64(64, true)),
    previousChain: data.getBigUint64(72, true),
    previousEnd: data.getUint32(80, true),
    afterGap: (data.getUint32(84, true) & 1) !== 0,
    hasBegin: (data.getUint32(84, true) & 2) !== 0,
    isAnew: (data.getUint32(84, true) & 4) !== 0,
  };
}

/** Writes all of `bytes`, in as many writes as it takes: for files that nobody relies on before they are renamed. */
export function writeWhole(file: DiskFile, bytes: Uint8Array, positionBytes: number): void {
  let done = 0;
  while (done < bytes.length) {
    const written = file.write([bytes.subarray(done)], positionBytes + done);
    assert(written > 0, "a write that does not fail makes progress");
    done += written;
  }
}

/** Zero-fills from one position to another. */
export function writeZeros(file: DiskFile, fromBytes: number, toBytes: number): void {
  for (let at = fromBytes; at < toBytes; at += zeros.length) {
    writeWhole(file, zeros.subarray(0, Math.min(zeros.length, toBytes - at)), at);
  }
}

/**
 * Makes a whole file of `sizeBytes` that begins with `content`, durable under its name before this returns, in place of
 * whatever had that name. A crash at any point leaves the old file or the new one. Throws `DiskError`.
 */
export function replaceFile(disk: Disk, name: string, content: Uint8Array, sizeBytes = content.length): DiskFile {
  const temporary = `${name}.tmp`;
  if (disk.list().includes(temporary)) disk.remove(temporary);
  const file = disk.open(temporary, "create");
  writeWhole(file, content, 0);
  writeZeros(file, content.length, sizeBytes);
  file.syncBlocking();
  disk.rename(temporary, name);
  disk.syncDirectory();
  return file;
}

/**
 * Keeps bytes of a segment for people, in a file of their own; returns its name. What was kept already by a process that did
 * not come to the end of what it was about is not kept again: most likely there was no room for the rest.
 */
export function keepAside(disk: Disk, segment: string, extension: "torn" | "corrupt", bytes: Uint8Array): string {
  const names = disk.list();
  const stem = segment.replace(/\.wal$/, "");
  let aside = `${stem}.${extension}`;
  for (let count = 2; names.includes(aside); count++) {
    if (Buffer.compare(contentOf(disk, aside), bytes) === 0) return aside;
    aside = `${stem}-${count}.${extension}`;
  }
  replaceFile(disk, aside, bytes).close();
  return aside;
}

function contentOf(disk: Disk, name: string): Uint8Array {
  const file = disk.open(name, "read");
  try {
    return readWhole(file);
  } finally {
    file.close();
  }
}

/**
 * The whole content of a file, at most `maxBytes`; in `into`, if it is large enough, which is then used up. Throws
 * `DiskError`.
 */
export function readWhole(file: DiskFile, maxBytes = segmentBytesMax, into?: Uint8Array): Uint8Array {
  const length = Math.min(file.sizeBytes(), maxBytes);
  const bytes = into !== undefined && into.length >= length ? into.subarray(0, length) : new Uint8Array(length);
  let done = 0;
  while (done < bytes.length) {
    const read = file.read(bytes.subarray(done), done);
    if (read === 0) break;
    done += read;
  }
  return bytes.subarray(0, done);
}
