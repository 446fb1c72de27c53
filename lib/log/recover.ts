/**
 * Opening: looks at what is on disk (`survey.ts`), refuses what is not this replica's, and makes the last segment one
 * that can be written on. Every step leaves a log that opens the same after a crash. Throws `DiskError`, `LogRefusedError`.
 */
import { assert } from "../base/assert.ts";
import { encodeEntry } from "../protocol/codec.ts";
import type { Position } from "../protocol/fields.ts";
import type { LogBeginning } from "../protocol/log-port.ts";
import { encodeRecord, recordKind } from "../protocol/record.ts";
import type { Assembly } from "./assembly.ts";
import type { Disk, DiskFile } from "./disk.ts";
import { LogRefusedError } from "./errors.ts";
import type { Lineage } from "./lineage.ts";
import {
  clusterTagOf,
  encodeSegmentHeader,
  fillerBytes,
  keepAside,
  logFormatVersion,
  replaceFile,
  segmentName,
  syncReserveBytes,
  writeWhole,
  type LogIdentity,
} from "./segment.ts";
import { readHeader, readSegment, segmentsOn, survey, type SegmentFound, type Survey } from "./survey.ts";

/** What opening found and did, for the log of the process and for messages. */
export interface OpenReport {
  readonly segments: number;
  readonly entries: number;
  /** The tail of a write that did not finish, and the file in which it was kept. */
  readonly torn: {
    readonly file: string;
    readonly offset: number;
    readonly bytes: number;
    readonly keptIn: string;
  } | null;
  readonly damage: readonly DamageReport[];
  /** The greatest index of any sound entry on this disk: what a damaged log has held at least. */
  readonly greatestIndex: number;
}

export interface DamageReport {
  readonly file: string;
  readonly offset: number;
  readonly bytes: number;
  readonly fault: string;
  /** The first entry that may be missing. */
  readonly index: number;
}

/** The segment that is written on, open for writing. */
export interface Tail {
  readonly number: number;
  readonly file: DiskFile;
  readonly sizeBytes: number;
  /** Where the next record goes; everything before is durable. */
  readonly position: number;
  /** Nothing has to be said by a SYNC at `position`. */
  readonly isSaid: boolean;
}

export interface Recovery {
  readonly assembly: Assembly;
  readonly segments: readonly SegmentFound[];
  readonly tail: Tail;
  readonly report: OpenReport;
}

/** `established`: this replica has had a log before, whose first segment was whole on disk before anything was said. */
export function recover(disk: Disk, identity: LogIdentity, segmentBytes: number, established: boolean): Recovery {
  const numbers = segmentsOn(disk);
  // A process that was killed may have left names that only the cache knows: who goes on in such a file would lose it all.
  disk.syncDirectory();
  refuseForeign(disk, identity, numbers);
  for (const name of disk.list()) if (name.endsWith(".tmp")) disk.remove(name);
  const last = numbers.at(-1);
  if (last !== undefined && !globalThis.mistaken?.("trusts the page cache"))
    syncBeforeTrusting(disk, segmentName(last));
  const { cluster, replica } = identity;
  const found = survey(disk, { clusterTag: clusterTagOf(cluster), segmentBytes, replica });
  refuseUnknown(disk, found);
  if (established) refuseLost(disk, found);
  const { assembly, segments } = found;
  const torn = saveTorn(disk, found);
  const tail = makeTail(disk, identity, found, segmentBytes);
  // Only now: the TRIM that lets them go may have been in the cache alone.
  deleteBefore(disk, numbers, segments[0]?.number ?? 1);
  const report: OpenReport = {
    segments: Math.max(1, segments.length),
    entries: assembly.lastIndex,
    torn,
    damage: assembly.damage.map(({ segment, from, to, fault, index }) => {
      return { file: segmentName(segment), offset: from, bytes: to - from, fault, index };
    }),
    greatestIndex: assembly.greatestIndex,
  };
  return { assembly, segments, tail, report };
}

/** What the page cache holds may never have reached the disk: ask for it before believing it. */
function syncBeforeTrusting(disk: Disk, name: string): void {
  const file = disk.open(name, "write");
  file.syncBlocking();
  file.close();
}

/** The log begins without them: those that a compaction was to delete when it was cut short. */
function deleteBefore(disk: Disk, numbers: readonly number[], first: number): void {
  const left = numbers.filter((number) => number < first);
  for (const number of left) disk.remove(segmentName(number));
  if (left.length > 0) disk.syncDirectory();
}

function refuseForeign(disk: Disk, identity: LogIdentity, numbers: readonly number[]): void {
  for (const number of numbers) {
    const header = readHeader(disk, number);
    if (header === null) continue;
    const where = `the log ${disk.name} (segment ${segmentName(number)})`;
    if (header.formatVersion > logFormatVersion) {
      throw new LogRefusedError(
        `${where} has format version ${header.formatVersion}, but this chatd knows only up to version ` +
          `${logFormatVersion}: start the chatd that wrote it, or a newer one`,
      );
    }
    if (header.cluster.toHex() !== identity.cluster.toHex()) {
      throw new LogRefusedError(
        `${where} belongs to cluster ${header.cluster.toHex()}, but this replica is of cluster ` +
          `${identity.cluster.toHex()}: use the data directory that was made for it`,
      );
    }
    if (header.replica !== identity.replica) {
      throw new LogRefusedError(
        `${where} belongs to replica ${header.replica}, but this replica is ${identity.replica}: ` +
          `use the data directory that was made for it`,
      );
    }
  }
}

function refuseUnknown(disk: Disk, found: Survey): void {
  const [first] = found.unknown;
  if (first === undefined) return;
  throw new LogRefusedError(`in the log ${disk.name} ${first}: start the chatd that wrote it, or a newer one`);
}

/**
 * An only segment in which nothing is sound need not be one of a log that was ever used; if it was, that log is gone, and what
 * it had promised and acknowledged is not known.
 */
function refuseLost(disk: Disk, { segments, tail }: Survey): void {
  const [only] = segments;
  if (segments.length !== 1 || only === undefined || tail?.torn?.fault !== "header") return;
  throw new LogRefusedError(
    `the log ${disk.name} is lost: ${only.name} has no header, though this replica has written to it before: put it ` +
      `back from a copy, or move the data directory away to start as a new replica that learns from the others`,
  );
}

/** Copies what a crash left behind the last good record into a file of its own. */
function saveTorn(disk: Disk, { segments, tail }: Survey): OpenReport["torn"] {
  const last = segments.at(-1);
  if (last === undefined || tail === null || tail.torn === null) return null;
  const { from, to } = tail.torn;
  const keptIn = keepAside(disk, last.name, "torn", readSegment(disk, last.name).subarray(from, to));
  return { file: last.name, offset: from, bytes: to - from, keptIn };
}

/** After a clean stop the last segment is gone on with; else its sound part is written into a fresh file first. */
function makeTail(disk: Disk, identity: LogIdentity, found: Survey, segmentBytes: number): Tail {
  const { segments, tail } = found;
  const last = segments.at(-1);
  if (last === undefined || tail === null) {
    const { head } = headOf(identity, 1, segmentBytes, 0, endOf(found.assembly), found.assembly.lineage, false);
    const file = replaceFile(disk, segmentName(1), head, segmentBytes);
    return { number: 1, file, sizeBytes: segmentBytes, position: head.length, isSaid: true };
  }
  const { number, name } = last;
  const { sizeBytes } = last.range;
  if (tail.clean) {
    const file = disk.open(name, "write");
    if (!globalThis.mistaken?.("trusts the page cache"))
      sayAgain(file, readSegment(disk, name).subarray(tail.syncAt, last.end), tail.syncAt);
    return { number, file, sizeBytes, position: last.end, isSaid: true };
  }
  const { content, isSaid, wholeBytes } = rewritten(disk, identity, found, last);
  // Where there is no room for a SYNC a shortened file stays short, and so visibly damaged; the writer rolls over.
  const file = replaceFile(disk, name, content, isSaid ? wholeBytes : content.length);
  last.end = content.length;
  return { number, file, sizeBytes: wholeBytes, position: content.length, isSaid };
}

/**
 * The last SYNC is written once more, and synced. If its first sync has failed, the cache shows what no later sync would
 * write: it would be missing after a loss of power, with sound records behind it.
 */
function sayAgain(file: DiskFile, sync: Uint8Array, offset: number): void {
  writeWhole(file, sync, offset);
  file.syncBlocking();
}

/** The sound part of the last segment, with a SYNC at its end if there is room for it. */
function rewritten(
  disk: Disk,
  identity: LogIdentity,
  { tail, assembly }: Survey,
  last: SegmentFound,
): { content: Uint8Array; isSaid: boolean; wholeBytes: number } {
  assert(tail !== null, "there is a segment to be rewritten");
  const { number, end } = last;
  const { sizeBytes } = last.range;
  if (tail.torn?.fault === "header") {
    const made = headOf(identity, number, sizeBytes, 0, endOf(assembly), assembly.lineage, assembly.hasGap);
    return { content: made.head, isSaid: true, wholeBytes: made.sizeBytes };
  }
  const bytes = new Uint8Array(end + fillerBytes + syncReserveBytes);
  bytes.set(readSegment(disk, last.name).subarray(0, end));
  const missing = assembly.damage.find((damage) => damage.segment === number && damage.fault === "missing");
  const syncAt = missing === undefined ? end : end + fillerBytes;
  const sync = encodeSync(clusterTagOf(identity.cluster), number, syncAt, assembly.commit);
  if (syncAt + sync.length > sizeBytes)
    return { content: bytes.subarray(0, end), isSaid: false, wholeBytes: sizeBytes };
  if (missing !== undefined) missing.to = syncAt;
  bytes.set(sync, syncAt);
  return { content: bytes.subarray(0, syncAt + sync.length), isSaid: true, wholeBytes: sizeBytes };
}

const endOf = ({ index }: Assembly): Position => {
  const last = index.lastIndex;
  return { index: last, view: index.view(last), chain: index.chain(last) };
};

/** A log that begins anew, and up to where what stands before is on its lineage. */
export interface NewBeginning {
  readonly beginning: LogBeginning;
  readonly kept: number;
}

/**
 * What stands at the head of a segment that goes on from `last`, or with which the log begins anew: its header and, if
 * anything stands before it, what is to be known of that. `canBegin`: with that the log can do without the segments before.
 */
export function headOf(
  identity: LogIdentity,
  number: number,
  segmentBytes: number,
  previousEnd: number,
  last: Position,
  lineage: Lineage,
  afterGap: boolean,
  anew: NewBeginning | null = null,
): { readonly head: Uint8Array; readonly sizeBytes: number; readonly canBegin: boolean } {
  const canBegin = number > 1 && (anew !== null || !afterGap);
  const beginning = anew?.beginning ?? lineage.beginning(last);
  if (anew !== null) lineage.begin(beginning);
  const record = canBegin
    ? lineage.record(clusterTagOf(identity.cluster), beginning, anew?.kept ?? last.index)
    : new Uint8Array(0);
  // A long one (many views) takes no room from the records.
  const sizeBytes = record.length > segmentBytes / 4 ? segmentBytes + record.length : segmentBytes;
  const { index, view, chain } = beginning.position;
  const header = encodeSegmentHeader({
    ...identity,
    formatVersion: logFormatVersion,
    sizeBytes,
    number,
    previousIndex: index,
    previousView: view,
    previousChain: chain,
    previousEnd,
    afterGap: afterGap && anew === null,
    hasBegin: canBegin,
    isAnew: anew !== null,
  });
  return { head: Buffer.concat([header, record]), sizeBytes, canBegin };
}

/** A SYNC that stands at `offset` of `segment`: everything before it is durable. */
export function encodeSync(clusterTag: number, segment: number, offset: number, commit: number): Uint8Array {
  const payload = encodeEntry({ type: "sync", segment, offset, commit });
  return encodeRecord({ kind: recordKind.sync, clusterTag, index: 0, view: 0, payload }, 0n).bytes;
}
