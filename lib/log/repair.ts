/**
 * Makes a damaged log one that opens clean, after the entries it lacks were fetched and appended: in each damaged
 * segment GAP records take the place of what is not sound. Each segment changes in one step, by a rename.
 */
import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import { encodeRecord, recordHeaderBytes, recordKind } from "../protocol/record.ts";
import type { Damage } from "./assembly.ts";
import type { Disk } from "./disk.ts";
import {
  clusterTagOf,
  encodeSegmentHeader,
  keepAside,
  logFormatVersion,
  replaceFile,
  segmentHeaderBytes,
  segmentName,
  type LogIdentity,
} from "./segment.ts";
import { readHeader, readSegment, type SegmentFound } from "./survey.ts";

/** Returns the numbers of the segments that were replaced. The segment that is written on is not among them. */
export function repairSegments(
  disk: Disk,
  identity: LogIdentity,
  segments: readonly SegmentFound[],
  damage: readonly Damage[],
): number[] {
  const numbers = [...new Set(damage.map(({ segment }) => segment))];
  for (const number of numbers) {
    const found = segments.find((segment) => segment.number === number);
    assert(found !== undefined, "damage lies in a segment that was looked at");
    const before = segments.find((segment) => segment.number === number - 1);
    const ofIt = damage.filter(({ segment }) => segment === number);
    repairSegment(disk, identity, found, before?.end ?? (number > 1 ? segmentHeaderBytes : 0), ofIt);
  }
  return numbers;
}

function repairSegment(
  disk: Disk,
  identity: LogIdentity,
  found: SegmentFound,
  previousEnd: number,
  damage: readonly Damage[],
): void {
  const { number, name } = found;
  const isAbsent = damage.some(({ fault }) => fault === "absent");
  const old = isAbsent ? new Uint8Array(0) : readSegment(disk, name);
  // What was written to it since it was looked at ends where its successor says.
  const next = disk.list().includes(segmentName(number + 1)) ? readHeader(disk, number + 1) : null;
  const end = Math.max(segmentHeaderBytes, found.end, next?.previousEnd ?? 0);
  const content = new Uint8Array(end);
  content.set(old.subarray(0, end));
  if (!isAbsent) keepAside(disk, name, "corrupt", old);
  if (damage.some(({ from }) => from < segmentHeaderBytes) || found.header === null) {
    const header = {
      ...identity,
      formatVersion: logFormatVersion,
      sizeBytes: found.range.sizeBytes,
      number,
      previousIndex: 0,
      previousView: 0,
      previousChain: 0n,
      previousEnd,
      afterGap: true,
      hasBegin: false,
      isAnew: false,
    };
    content.set(encodeSegmentHeader(header));
  }
  for (const { from, to } of damage)
    fillGap(content, clusterTagOf(identity.cluster), Math.max(from, segmentHeaderBytes), to);
  replaceFile(disk, name, content, Math.max(found.range.sizeBytes, end)).close();
}

/** GAP records from…to, as many as their greatest length asks for. */
function fillGap(content: Uint8Array, clusterTag: number, from: number, to: number): void {
  const wholeMax = recordHeaderBytes + limits.recordPayloadBytesMax;
  let at = from;
  while (at < to) {
    let whole = Math.min(to - at, wholeMax);
    // What is left must hold a record too.
    if (to - at - whole > 0 && to - at - whole < recordHeaderBytes) whole -= recordHeaderBytes;
    assert(whole >= recordHeaderBytes && whole % 8 === 0, "damage has room for a record");
    const payload = new Uint8Array(whole - recordHeaderBytes);
    const record = encodeRecord({ kind: recordKind.gap, clusterTag, index: 0, view: 0, payload }, 0n);
    content.set(record.bytes, at);
    at += whole;
  }
}
