/** A log that is looked at: what is shown of damage, of a single segment, of what this build does not know. */
import { describe, expect, test } from "bun:test";
import type { SimulatedDisk } from "../sim/disk.ts";
import { PlainLog } from "./log.fixture.ts";
import { LogInspection } from "./reader.ts";
import { decodeSegmentHeader, encodeSegmentHeader, segmentHeaderBytes, segmentName } from "./segment.ts";

const segmentBytes = 2048;
const count = 90;

function filled(): PlainLog {
  const log = new PlainLog(segmentBytes);
  for (let index = 1; index <= count; index++) {
    log.put(`entry ${index}`);
    log.settle();
  }
  return log;
}

const sound = filled().close();

/** What is shown, in words; local records left out. */
function shown(inspection: LogInspection): string[] {
  const items: string[] = [];
  for (let segment = inspection.next(); segment !== null; segment = inspection.next()) {
    for (const item of segment.items()) {
      if ("fault" in item) items.push(`${item.file} ${item.offset}+${item.bytes} ${item.fault}`);
      else if (item.record.index > 0) items.push(`${item.record.index} ${item.place}`);
    }
  }
  return items;
}

/** The log with the header of this segment changed. */
function withHeader(number: number, change: Partial<NonNullable<ReturnType<typeof decodeSegmentHeader>>>) {
  const disk = sound.clone();
  const bytes = disk.contentOf(segmentName(number));
  const header = decodeSegmentHeader(bytes);
  if (header === null) throw new Error("the segment has a header");
  bytes.set(encodeSegmentHeader({ ...header, ...change }));
  disk.put(segmentName(number), bytes);
  return disk;
}

const segmentsOf = (disk: SimulatedDisk): string[] => disk.list().filter((name) => name.endsWith(".wal"));

const firstIn = (disk: SimulatedDisk, number: number): number =>
  (decodeSegmentHeader(disk.contentOf(segmentName(number)))?.previousIndex ?? 0) + 1;

describe("an inspection", () => {
  test("hands out each entry of the logical log, and knows where the log ends", () => {
    const inspection = new LogInspection(sound.clone()).finish();
    expect(inspection.cluster).toEqual(Uint8Array.from({ length: 16 }, (_, at) => at + 1));
    for (const index of [1, 44, count]) {
      const found = inspection.record(index);
      expect(new TextDecoder().decode(found?.record.payload)).toBe(`entry ${index}`);
      const { chain, view } = found?.record ?? { chain: -1n, view: 0 };
      expect(inspection.at(index)).toEqual({ index, view, chain });
    }
    expect(inspection.at(0)).toEqual({ index: 0, view: 0, chain: 0n });
    expect(inspection.at(count + 1)).toBeNull();
    expect(inspection.record(0)).toBeNull();
    expect(inspection.record(count + 1)).toBeNull();
  });

  test("shows damage where it stands, and what is sound around it", () => {
    const disk = sound.clone();
    const damagedIndex = firstIn(disk, 2) + 3;
    const at = Buffer.from(disk.contentOf(segmentName(2))).indexOf(`entry ${damagedIndex}`) - 40;
    disk.flip(segmentName(2), at + 44, 1);
    const inspection = new LogInspection(disk);
    const items = shown(inspection);
    expect(items.filter((each) => each.includes("checksum"))).toEqual([`${segmentName(2)} ${at}+48 checksum`]);
    expect(items.filter((each) => each.endsWith("live"))).toHaveLength(damagedIndex - 1);
    expect(items.filter((each) => each.endsWith("unlinked"))).toHaveLength(count - damagedIndex);
    const verdict = inspection.verdict();
    expect(verdict).toMatchObject({ state: "corrupt", first: 1, last: damagedIndex - 1 });
    expect(verdict.damage).toEqual([
      { file: segmentName(2), offset: at, bytes: 48, fault: "checksum", index: damagedIndex },
    ]);
  });

  test("takes the header of the only segment for damaged when records follow it, and shows those", () => {
    const log = new PlainLog(64 * 1024);
    for (let index = 1; index <= 3; index++) {
      log.put(`entry ${index}`);
      log.settle();
    }
    const disk = log.close();
    disk.flip(segmentName(1), 9, 1);
    const inspection = new LogInspection(disk);
    expect(shown(inspection)).toEqual([`00000001.wal 0+${segmentHeaderBytes} header`, "1 live", "2 live", "3 live"]);
    expect(inspection.verdict()).toMatchObject({ state: "corrupt", first: 1, last: 3, torn: null });
  });

  test("finds no log in an only segment in which nothing at all is sound, as in one whose header was never written", () => {
    const log = new PlainLog(64 * 1024);
    log.put("entry 1");
    log.settle();
    const disk = log.close();
    disk.put(segmentName(1), disk.contentOf(segmentName(1)).fill(0xee));
    const inspection = new LogInspection(disk);
    expect(shown(inspection).filter((each) => each.endsWith("live"))).toEqual([]);
    expect(inspection.verdict()).toMatchObject({ state: "torn", last: 0, torn: { offset: 0, fault: "header" } });
  });

  test("goes on behind damage in the midst of a fork, and behind a segment of which the rest is damaged", () => {
    const log = filled();
    log.put("another", 600, 80);
    log.settle();
    const disk = log.close();
    const last = disk.list().at(-1) ?? "";
    const bytes = disk.contentOf(last);
    // What says of which cluster the record is.
    const another = Buffer.from(bytes).indexOf("another");
    disk.flip(last, another - 28, 0);
    expect(shown(new LogInspection(disk)).filter((each) => each.endsWith("superseded"))).toEqual([]);
    const other = sound.clone();
    other.put(segmentName(1), other.contentOf(segmentName(1)).fill(0xee, segmentHeaderBytes + 96));
    const items = shown(new LogInspection(other));
    expect(items.filter((each) => each.endsWith("live"))).toEqual(["1 live"]);
    expect(items.filter((each) => each.endsWith("unlinked"))).toHaveLength(count - firstIn(other, 2) + 1);
  });

  test("names a segment that was never the next one of this log", () => {
    const inspection = new LogInspection(withHeader(3, { previousChain: 5n, hasBegin: false })).finish();
    const { state, damage, last } = inspection.verdict();
    expect(state).toBe("corrupt");
    expect(damage[0]).toEqual({
      ...{ file: segmentName(3), offset: 0, bytes: segmentHeaderBytes, fault: "chain" },
      index: firstIn(sound, 3),
    });
    // Its entries follow on by themselves.
    expect(last).toBe(count);
  });

  test("names a segment of a newer format, and shows nothing of it", () => {
    const inspection = new LogInspection(withHeader(2, { formatVersion: 99 }));
    const items = shown(inspection);
    expect(items).not.toContain(`${firstIn(sound, 2)} live`);
    const { state, unknown } = inspection.verdict();
    expect(state).toBe("unknown");
    expect(unknown).toEqual([`segment ${segmentName(2)} has format version 99, this build knows up to 2`]);
  });

  test("of a single segment begins where that begins, also when it goes back behind that", () => {
    const log = filled();
    const last = segmentsOf(log.disk).length;
    const firstOfLast = firstIn(log.disk, last);
    log.put("another", 600, firstOfLast - 3);
    log.settle();
    expect(segmentsOf(log.disk)).toHaveLength(last);
    const only = new LogInspection(log.disk, [last]).finish();
    const { first, last: end, superseded, state } = only.verdict();
    expect({ state, first, end }).toEqual({ state: "clean", first: firstOfLast - 2, end: firstOfLast - 2 });
    expect(superseded).toBe(count - firstOfLast + 1);
    expect(new LogInspection(log.disk, [1]).finish().verdict()).toMatchObject({
      ...{ state: "clean", first: 1, last: firstIn(log.disk, 2) - 1 },
    });
  });

  test("tells the end of a write that did not finish from damage", () => {
    const log = filled();
    const name = segmentsOf(log.disk).at(-1) ?? "";
    const bytes = log.disk.contentOf(name);
    const end = bytes.findLastIndex((byte) => byte !== 0) + 1;
    bytes.fill(0x55, Math.ceil(end / 8) * 8, Math.ceil(end / 8) * 8 + 60);
    log.disk.put(name, bytes);
    const inspection = new LogInspection(log.disk);
    let torn = 0;
    for (let segment = inspection.next(); segment !== null; segment = inspection.next()) {
      if (segment.isTorn) torn++;
      for (const item of segment.items()) if ("fault" in item) expect(item.torn).toBe(true);
    }
    expect(torn).toBe(1);
    expect(inspection.verdict()).toMatchObject({ state: "torn", last: count, damage: [], torn: { file: name } });
  });
});
