/** A log that does not begin with entry 1: segments deleted from the front, and logs that begin anew. */
import { describe, expect, test } from "bun:test";
import type { LogBeginning } from "../protocol/log-port.ts";
import { decodeRecord, recordKind } from "../protocol/record.ts";
import { MachineStopped, SimulatedDisk } from "../sim/disk.ts";
import { makeEntry, makeMerged, makePromise, PlainLog, type Entry } from "./log.fixture.ts";
import { segmentHeaderBytes } from "./segment.ts";

const segmentBytes = 2048;

function filled(entries = 60): PlainLog {
  const log = new PlainLog(segmentBytes);
  for (let count = 1; count <= entries; count++) {
    log.put(`entry ${count}`, 257 + 256 * Math.floor(count / 10));
    log.settle();
  }
  return log;
}

/** As often as anything can be deleted; where the log begins then, null if nothing could be. */
function compact(log: PlainLog, floor: number): number | null {
  let begin: number | null = null;
  for (;;) {
    const index = log.wal.compactable(floor, false);
    if (index === null) return begin;
    log.wal.compact(index);
    log.settle();
    begin = index;
  }
}

const textsOf = (records: readonly Uint8Array[]): string[] =>
  records.map((bytes) => new TextDecoder().decode(bytes.subarray(40)).replaceAll("\0", ""));

describe("compaction", () => {
  test("deletes whole segments at or below the floor, the newest never, and opens again as it was", () => {
    const log = filled();
    const before = log.disk.list();
    const begin = compact(log, 40);
    expect(begin).toBeGreaterThan(10);
    expect(begin).toBeLessThanOrEqual(40);
    expect(log.disk.list().length).toBeLessThan(before.length);
    expect(log.wal.firstIndex).toBe((begin ?? 0) + 1);
    expect(compact(log, 40)).toBeNull();
    expect(textsOf(log.wal.read(41, 40))).toEqual(["entry 41"]);
    log.put("one more", 9_000);
    const again = new PlainLog(segmentBytes, log.close());
    const { beginning, chains, damaged } = again.wal.recovered;
    expect(damaged).toBe(false);
    expect(beginning?.position).toMatchObject({ index: begin, chain: log.entries[(begin ?? 0) - 1]?.chain });
    expect(beginning?.views.map(({ firstIndex }) => firstIndex)).toEqual(
      [1, 10, 20, 30].filter((at) => at <= (begin ?? 0)),
    );
    expect(chains.length).toBe(61 - (begin ?? 0));
    expect(textsOf(again.wal.read(61, 40))).toEqual(["one more"]);
    again.append([makeEntry(log.entries.at(-1) ?? null, 9_000, new Uint8Array(8)).bytes]);
    expect(compact(again, 1_000_000)).toBeGreaterThan(begin ?? 0);
    expect(again.disk.list().filter((name) => name.endsWith(".wal"))).toHaveLength(1);
  });

  test("deletes a few segments at a time: each takes its while, and there may be hundreds", () => {
    const log = filled(200);
    const segments = (): number => log.disk.list().filter((name) => name.endsWith(".wal")).length;
    const deleted: number[] = [];
    for (let index = log.wal.compactable(200, false); index !== null; index = log.wal.compactable(200, false)) {
      const before = segments();
      log.wal.compact(index);
      log.settle();
      deleted.push(before - segments());
    }
    expect(segments()).toBe(1);
    expect(deleted.length).toBeGreaterThan(2);
    expect(Math.max(...deleted)).toBeLessThanOrEqual(4);
  });

  test("keeps what holds a fork until a MERGED record has settled it, and promises for ever", () => {
    const log = filled(20);
    log.append([makePromise(123_456)]);
    log.put("fork", 9_000, 15);
    for (let count = 0; count < 40; count++) log.put(`later ${count}`, 9_000);
    log.settle();
    expect(log.wal.hasForks).toBe(true);
    expect([...log.wal.orphans()].flat()).toHaveLength(5);
    const begin = compact(log, 50);
    expect(begin === null || begin < 16).toBe(true);
    log.append([makeMerged()]);
    expect(log.wal.hasForks).toBe(false);
    expect(compact(log, 50)).toBeGreaterThan(16);
    const again = new PlainLog(segmentBytes, log.close());
    expect(again.wal.hasForks).toBe(false);
    expect(again.wal.recovered.promised).toBe(123_456);
  });

  test("lets a segment go at which the log was another one only together with what came after", () => {
    const log = filled(30);
    // The log goes back behind the beginning of its newest segments, and on from there.
    log.put("another 11", 9_000, 10);
    for (let count = 12; count <= 40; count++) log.put(`another ${count}`, 9_000);
    log.append([makeMerged()]);
    log.settle();
    const begin = compact(log, 38) ?? 0;
    expect(begin).toBeGreaterThan(10);
    const again = new PlainLog(segmentBytes, log.close());
    expect(again.wal.recovered.damaged).toBe(false);
    expect(again.wal.lastIndex).toBe(40);
    expect(textsOf(again.wal.read(begin + 1, 40))).toEqual([`another ${begin + 1}`]);
  });

  test("that could not make its TRIM durable leaves a log that opens clean, whatever moment the machine stops at in that", () => {
    let hasStopped = true;
    for (let stopAt = 1; hasStopped; stopAt++) {
      const log = filled();
      log.disk.faults.failSync = true;
      log.wal.compact(log.wal.compactable(40, false) ?? 0);
      log.settle();
      expect(log.failures).toHaveLength(1);
      // The next process sees the TRIM, which the disk will never have.
      const disk = log.disk.restart();
      disk.stopAt = stopAt;
      hasStopped = false;
      try {
        expect(new PlainLog(segmentBytes, disk).wal.firstIndex).toBeGreaterThan(1);
      } catch (error) {
        if (!(error instanceof MachineStopped)) throw error;
        hasStopped = true;
      }
      const { wal } = new PlainLog(segmentBytes, disk.crash());
      expect(wal.report.damage).toEqual([]);
      expect(wal.lastIndex).toBe(60);
    }
  });

  test("is damage when what it says of the time before has rotted: nothing is made up", () => {
    const log = filled();
    compact(log, 40);
    const disk = log.close();
    disk.flip(disk.list()[0] ?? "", segmentHeaderBytes + 50, 1);
    const { damaged, chains, beginning } = new PlainLog(segmentBytes, disk).wal.recovered;
    expect(damaged).toBe(true);
    expect(beginning).toBeNull();
    expect(chains).toHaveLength(0);
  });
});

/** A compacted log whose first segment, with all that it says of the time before it, has rotted; and all its entries. */
function withoutBeginning(): { readonly log: PlainLog; readonly entries: readonly Entry[]; readonly first: number } {
  const whole = filled();
  compact(whole, 40);
  const entries = [...whole.entries];
  const disk = whole.close();
  const [first = ""] = disk.list();
  disk.flip(first, 20, 1);
  const log = new PlainLog(segmentBytes, disk);
  expect(log.wal.recovered.damaged).toBe(true);
  return { log, entries, first: Number(first.slice(0, 8)) };
}

function repairFromAnother(log: PlainLog, entries: readonly Entry[]): void {
  for (const { bytes } of entries.slice(log.wal.lastIndex)) log.append([bytes]);
  log.settle();
  let done = false;
  log.wal.repaired(() => (done = true));
  log.settle();
  expect(done).toBe(true);
}

const isSound = (log: PlainLog, entries: readonly Entry[]): void => {
  expect(log.wal.report.damage).toEqual([]);
  expect(log.wal.read(1, 1_000_000)).toEqual(entries.map(({ bytes }) => bytes));
};

describe("a log that had been shortened, was damaged at its beginning, and was fetched again from entry 1", () => {
  test("opens clean behind the repaired segment, that says nothing of the time before any more", () => {
    const { log, entries, first } = withoutBeginning();
    expect(first).toBeGreaterThan(1);
    repairFromAnother(log, entries);
    const again = new PlainLog(segmentBytes, log.close());
    isSound(again, entries);
    again.entries.push(...entries);
    again.put("one more", 9_000);
    again.settle();
    isSound(new PlainLog(segmentBytes, again.close()), again.entries);
  });

  test("is damaged, not empty, when nothing follows on the repaired segment", () => {
    const { log, entries, first } = withoutBeginning();
    repairFromAnother(log, entries);
    const disk = log.close();
    for (const name of disk.list()) if (name.endsWith(".wal") && Number(name.slice(0, 8)) > first) disk.remove(name);
    expect(new PlainLog(segmentBytes, disk).wal.recovered.damaged).toBe(true);
  });

  test("is repaired also where the TRIM has rotted, so that several segments in a row count as lost", () => {
    const { log, entries, first } = withoutBeginning();
    repairFromAnother(log, entries);
    const disk = log.close();
    for (const name of disk.list().filter((each) => each.endsWith(".wal"))) {
      const bytes = disk.contentOf(name);
      for (let at = segmentHeaderBytes; ;) {
        const record = decodeRecord(bytes, at);
        if (typeof record === "string") break;
        if (record.kind === recordKind.trim) disk.flip(name, at + 41, 3);
        at += record.bytes.length;
      }
    }
    const hurt = new PlainLog(segmentBytes, disk);
    const absent = hurt.wal.report.damage.filter(({ fault }) => fault === "absent");
    expect(absent).toHaveLength(first - 1);
    repairFromAnother(hurt, entries);
    isSound(new PlainLog(segmentBytes, hurt.close()), entries);
  });

  test("opens clean whatever operation of a later compaction the machine stops at", () => {
    const { log, entries } = withoutBeginning();
    repairFromAnother(log, entries);
    log.entries.push(...entries);
    for (let count = 0; count < 60; count++) log.put(`later ${count}`, 9_000);
    log.append([makeMerged()]);
    log.settle();
    const disk = log.close();
    let between = 0;
    for (let stopAt = 1; ; stopAt++) {
      const copy = disk.clone();
      copy.stopAt = stopAt;
      let survivor = copy;
      try {
        const stopping = new PlainLog(segmentBytes, copy);
        expect(compact(stopping, 110)).toBeGreaterThan(60);
        survivor = stopping.close();
        stopAt = Infinity;
      } catch (error) {
        if (!(error instanceof MachineStopped)) throw error;
        survivor = copy.crash();
      }
      const left = survivor.list().filter((name) => name.endsWith(".wal")).length;
      const again = new PlainLog(segmentBytes, survivor);
      expect(again.wal.report.damage).toEqual([]);
      expect(again.wal.lastIndex).toBe(120);
      expect(again.wal.read(115, 1)).toEqual([log.entries[114]?.bytes ?? new Uint8Array(0)]);
      if (again.disk.list().filter((name) => name.endsWith(".wal")).length < left) between++;
      if (stopAt === Infinity) break;
    }
    // Some of them were finished when the log was opened.
    expect(between).toBeGreaterThan(0);
  });
});

/** The log of another, of which all up to 1000 is gone: what is said of it, and the entry behind it. */
const far = makeEntry({ index: 999, view: 9_000, chain: 77n, bytes: new Uint8Array(0) }, 9_000, new Uint8Array(8));
const next: Entry = makeEntry(far, 9_000, new TextEncoder().encode("entry 1001"));
const beginning: LogBeginning = {
  position: { index: 1000, view: 9_000, chain: far.chain },
  policy: "available",
  views: [
    { view: 257, firstIndex: 1 },
    { view: 9_000, firstIndex: 16 },
  ],
  attempts: [],
};

describe("a log that begins anew", () => {
  const begun = (disk?: SimulatedDisk): PlainLog => {
    const log = new PlainLog(segmentBytes, disk);
    for (let count = 1; count <= 20; count++) log.put(`entry ${count}`);
    log.wal.beginAnew(log.append([]) + 1, beginning, 15);
    return log;
  };

  test("goes on from there, and keeps as forks what was not on the way there", () => {
    const log = begun();
    expect(log.wal.lastIndex).toBe(1000);
    log.wal.append(100, [next.bytes], 1000);
    log.settle();
    expect(log.persisted.at(-1)).toBe(100);
    expect(textsOf(log.wal.read(1001, 1000))).toEqual(["entry 1001"]);
    expect(textsOf([...log.wal.orphans()].flat())).toEqual([16, 17, 18, 19, 20].map((index) => `entry ${index}`));
    const again = new PlainLog(segmentBytes, log.close());
    const { recovered } = again.wal;
    expect(recovered.beginning).toEqual(beginning);
    expect([...recovered.chains]).toEqual([next.chain]);
    expect(textsOf([...again.wal.orphans()].flat())).toHaveLength(5);
    again.append([makeMerged()]);
    expect(compact(again, 1000)).toBe(1000);
    expect(again.disk.list().filter((name) => name.endsWith(".wal"))).toHaveLength(1);
    expect([...new PlainLog(segmentBytes, again.close()).wal.recovered.chains]).toEqual([next.chain]);
  });

  test("is the old one or the new one, whatever operation the machine stops at", () => {
    const outcomes = new Set<number>();
    for (let stopAt = 1; stopAt < 80; stopAt++) {
      const disk = new SimulatedDisk("disk", stopAt, () => {});
      let survivor = disk;
      try {
        disk.stopAt = stopAt;
        const log = begun(disk);
        log.settle();
        if (log.persisted.length > 2) expect(log.wal.lastIndex).toBe(1000);
      } catch (error) {
        if (!(error instanceof MachineStopped)) throw error;
      }
      survivor = disk.crash();
      const { recovered, lastIndex } = new PlainLog(segmentBytes, survivor).wal;
      expect(recovered.damaged).toBe(false);
      expect(lastIndex === 1000 || lastIndex <= 20).toBe(true);
      outcomes.add(lastIndex);
    }
    expect(outcomes.has(1000)).toBe(true);
    expect(outcomes.size).toBeGreaterThan(2);
  });
});
