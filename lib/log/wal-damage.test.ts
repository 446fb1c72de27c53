/**
 * Torn and corrupt told apart; nothing durable is lost without a word; a damaged log goes on, is repaired from what a
 * peer has, and opens clean again, whatever moment the machine stops at on the way.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { decodeRecord } from "../protocol/record.ts";
import { MachineStopped, type SimulatedDisk } from "../sim/disk.ts";
import { makeMerged, makePromise, PlainLog, type Entry } from "./log.fixture.ts";
import { lastNonZero } from "./scan.ts";
import { segmentHeaderBytes } from "./segment.ts";

// Thousands of logs are opened, on a busy machine: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

const segmentBytes = 2048;
const promised = 2049;

/** A log of several segments with a promise in each, closed; every entry acknowledged. */
function soundLog(entries = 70): { disk: SimulatedDisk; entries: Entry[] } {
  const log = new PlainLog(segmentBytes);
  for (let count = 0; count < entries; count++) {
    if (count % 12 === 5) log.append([makePromise(count % 24 === 5 ? promised - 512 : promised)]);
    log.put(`entry number ${count}`);
    if (count % 3 === 0) log.settle();
  }
  log.settle();
  return { disk: log.close(), entries: log.entries };
}

const sound = soundLog();
const segments = sound.disk.list();
const lastSegment = segments.at(-1) ?? "";
const reopen = (disk: SimulatedDisk): PlainLog => new PlainLog(segmentBytes, disk);

const indexesOf = (records: readonly Uint8Array[]): number[] =>
  records.map((bytes) => {
    const record = decodeRecord(bytes, 0);
    return typeof record === "string" ? 0 : record.index;
  });

/** The recovered entries are the first ones of the sound log; returns how many. */
function prefixLength({ wal }: PlainLog): number {
  const { chains } = wal.recovered;
  chains.forEach((chain, at) => expect(chain).toBe(sound.entries[at]?.chain ?? -1n));
  return chains.length;
}

/** Appends what is missing, as the core does with what it fetches from a peer. */
function refetch(log: PlainLog): void {
  log.entries.push(...sound.entries.slice(0, log.wal.lastIndex));
  for (const entry of sound.entries.slice(log.wal.lastIndex)) {
    log.entries.push(entry);
    log.append([entry.bytes]);
    if (entry.index % 7 === 0) log.settle(1);
  }
}

describe("the last segment", () => {
  test("has several segments before it, in these tests", () => expect(segments.length).toBeGreaterThan(2));

  test("with any byte changed opens with everything, or says that it is damaged", () => {
    const bytes = sound.disk.contentOf(lastSegment);
    const end = lastNonZero(bytes, 0);
    let damaged = 0;
    for (let offset = 0; offset < end + 64; offset++) {
      const disk = sound.disk.clone();
      const changed = bytes.slice();
      changed[offset] = (changed[offset] ?? 0) ^ (offset % 3 === 0 ? 0xff : 1 << (offset % 8));
      disk.put(lastSegment, changed);
      const log = reopen(disk);
      const length = prefixLength(log);
      if (log.wal.recovered.damaged) {
        damaged++;
        expect(log.wal.report.damage[0]?.file).toBe(lastSegment);
      } else {
        expect(length).toBe(sound.entries.length);
        expect(log.wal.recovered.promised).toBe(promised);
      }
    }
    expect(damaged).toBeGreaterThan((end - segmentHeaderBytes) / 2);
  });

  test("cut off anywhere opens with everything, or says that it is damaged", () => {
    const bytes = sound.disk.contentOf(lastSegment);
    for (let length = 0; length < bytes.length; length += length % 40 === 0 ? 1 : 3) {
      const disk = sound.disk.clone();
      disk.put(lastSegment, bytes.slice(0, length));
      const log = reopen(disk);
      const found = prefixLength(log);
      if (!log.wal.recovered.damaged) expect(found).toBe(sound.entries.length);
    }
  });

  test("that is cut short again and again goes on in the next one when there is no room left to say so", () => {
    const log = new PlainLog(segmentBytes);
    log.put("the first one, a bit longer");
    while (log.entries.length < 20) log.put(`entry ${log.entries.length + 1}`);
    log.settle();
    const name = segments[0] ?? "";
    let disk = log.close();
    expect(disk.list()).toEqual([name]);
    let room = segmentBytes;
    while (disk.contentOf(name).length === segmentBytes) {
      const bytes = disk.contentOf(name);
      room = segmentBytes - lastNonZero(bytes, 0);
      // Only zeros are lost, and each time a SYNC is added that says so.
      expect(room).toBeGreaterThanOrEqual(8);
      disk.put(name, bytes.slice(0, -8));
      disk = reopen(disk).disk.restart();
    }
    expect(room).toBeLessThan(48);
    const again = reopen(disk);
    expect([...again.wal.recovered.chains]).toEqual(log.entries.map(({ chain }) => chain));
    again.entries.push(...log.entries);
    again.put("one more");
    again.settle();
    expect(again.disk.list()).toContain(segments[1] ?? "");
    const last = reopen(again.close());
    expect([...last.wal.recovered.chains]).toEqual(again.entries.map(({ chain }) => chain));
  });

  test("that a crash tore keeps what is behind the last good record in a file of its own", () => {
    const log = new PlainLog(8192);
    log.put("one");
    log.settle();
    log.put("two");
    const disk = log.disk.clone();
    const bytes = disk.contentOf("00000001.wal");
    const end = lastNonZero(bytes, 0);
    bytes[end - 4] = 0x55;
    disk.put("00000001.wal", bytes);
    const again = new PlainLog(8192, disk);
    expect(again.wal.recovered.damaged).toBe(false);
    expect(again.wal.recovered.chains.length).toBe(1);
    expect(again.wal.report.torn).toEqual({
      file: "00000001.wal",
      offset: end - 48,
      bytes: 48,
      keptIn: "00000001.torn",
    });
    expect(disk.contentOf("00000001.torn")).toEqual(bytes.slice(end - 48, end));
    again.entries.push(log.entries[0] as Entry);
    again.put("three");
    again.settle();
    expect(new PlainLog(8192, again.close()).wal.recovered.chains.at(-1)).toBe(again.entries[1]?.chain ?? 0n);
  });
});

test("what is kept for people is kept once, however often there is no room for what comes after", () => {
  const torn = new PlainLog(8192);
  torn.put("one");
  torn.settle();
  torn.put("two");
  const disk = torn.disk.clone();
  disk.flip("00000001.wal", lastNonZero(disk.contentOf("00000001.wal"), 0) - 4, 2);
  let full = disk;
  for (let start = 0; start < 3; start++) {
    full.faults.capacityBytes = full.usedBytes() + 1024;
    expect(() => new PlainLog(8192, full)).toThrow("no space left");
    full = full.restart();
  }
  expect(full.list().filter((name) => name.includes(".torn"))).toEqual(["00000001.torn"]);

  let damaged = sound.disk.clone();
  damaged.flip(segments[0] ?? "", 500, 2);
  for (let start = 0; start < 3; start++) {
    const log = reopen(damaged);
    refetch(log);
    log.settle();
    damaged.faults.capacityBytes = damaged.usedBytes() + segmentBytes + 512;
    if (start > 0) damaged.faults.capacityBytes = damaged.usedBytes() + 512;
    log.wal.repaired();
    log.settle();
    expect(log.failures.map(({ message }) => message).join()).toContain("no space left");
    damaged = damaged.restart();
  }
  expect(damaged.list().filter((name) => name.includes(".corrupt"))).toEqual(["00000001.corrupt"]);
});

describe("a log of which the last segment is gone", () => {
  const without = (): SimulatedDisk => {
    const disk = sound.disk.clone();
    disk.remove(lastSegment);
    disk.syncDirectory();
    return disk;
  };

  test("is damaged once that is known, also when it has all again, until it is repaired", () => {
    const log = reopen(without());
    expect(log.wal.recovered.damaged).toBe(false);
    log.wal.lostItsEnd();
    expect(log.wal.recovered.damaged).toBe(true);
    const before = log.wal.lastIndex;
    const known = reopen(log.disk.clone());
    expect(known.wal.report.damage).toMatchObject([{ file: segments.at(-2), fault: "lost", index: before + 1 }]);
    expect(prefixLength(known)).toBe(before);
    refetch(log);
    log.settle();
    const between = reopen(log.disk.restart());
    expect(between.wal.recovered.damaged).toBe(true);
    expect(prefixLength(between)).toBe(sound.entries.length);
    between.wal.repaired();
    between.settle();
    const last = reopen(between.close());
    expect(last.wal.report.damage).toEqual([]);
    expect(prefixLength(last)).toBe(sound.entries.length);
    expect([...last.wal.orphans()].flat()).toEqual([]);
  });

  test("is repaired by the process that found it so, whatever operation the machine stops at", () => {
    const left = reopen(without()).wal.lastIndex;
    let hasStopped = true;
    for (let stopAt = 1; hasStopped; stopAt++) {
      const disk = without();
      disk.stopAt = stopAt;
      hasStopped = false;
      try {
        const log = reopen(disk);
        log.wal.lostItsEnd();
        refetch(log);
        log.settle();
        log.wal.repaired();
        log.settle();
        expect(log.wal.damaged).toBe(false);
      } catch (error) {
        if (!(error instanceof MachineStopped)) throw error;
        hasStopped = true;
      }
      const log = reopen(disk.crash());
      if (!hasStopped) expect(prefixLength(log)).toBe(sound.entries.length);
      // Nothing that was fetched is kept without a word of what is missing.
      if (!log.wal.recovered.damaged) expect([left, sound.entries.length]).toContain(prefixLength(log));
    }
  });
});

describe("an earlier segment", () => {
  test("with any byte of its records or header changed is damage, told with file, offset and index", () => {
    const name = segments[1] ?? "";
    const bytes = sound.disk.contentOf(name);
    const end = lastNonZero(bytes, 0);
    for (let offset = 0; offset < end; offset += 5) {
      const disk = sound.disk.clone();
      disk.flip(name, offset, offset % 8);
      const log = reopen(disk);
      const length = prefixLength(log);
      expect(log.wal.recovered.damaged).toBe(true);
      const damage = log.wal.report.damage[0];
      expect(damage?.file).toBe(name);
      expect(damage?.offset).toBeLessThanOrEqual(offset);
      expect((damage?.offset ?? 0) + (damage?.bytes ?? 0)).toBeGreaterThan(offset);
      expect(damage?.index).toBeLessThanOrEqual(length + 1);
    }
  });

  test("that is not there is damage, and so is one that was cut off", () => {
    for (const name of segments.slice(0, -1)) {
      const without = sound.disk.clone();
      without.remove(name);
      expect(reopen(without).wal.report.damage[0]).toMatchObject({ file: name, fault: "absent" });
      const cut = sound.disk.clone();
      cut.put(name, cut.contentOf(name).slice(0, 700));
      expect(reopen(cut).wal.report.damage[0]).toMatchObject({ file: name, fault: "missing" });
    }
  });

  test("that lost a sector to zeros is damage, though the records around are sound", () => {
    const disk = sound.disk.clone();
    const bytes = disk.contentOf(segments[0] ?? "");
    disk.put(segments[0] ?? "", bytes.fill(0, 512, 1024));
    expect(reopen(disk).wal.recovered.damaged).toBe(true);
    const boundary = reopen(disk).wal.report.damage[0]?.offset ?? 0;
    const cut = sound.disk.clone();
    cut.put(segments[0] ?? "", cut.contentOf(segments[0] ?? "").fill(0, boundary));
    expect(reopen(cut).wal.report.damage[0]).toMatchObject({ offset: boundary, fault: "lost" });
  });
});

/** Every way to damage the log that the tests of repair try. */
const damages: readonly [string, (disk: SimulatedDisk) => void][] = [
  ["a record of the first segment", (disk) => disk.flip(segments[0] ?? "", segmentHeaderBytes + 300, 2)],
  ["a header", (disk) => disk.flip(segments[1] ?? "", 30, 2)],
  ["an absent segment", (disk) => disk.remove(segments[1] ?? "")],
  ["an absent first segment", (disk) => disk.remove(segments[0] ?? "")],
  ["a cut segment", (disk) => disk.put(segments[1] ?? "", disk.contentOf(segments[1] ?? "").slice(0, 900))],
  ["a record of the last segment", (disk) => disk.flip(lastSegment, segmentHeaderBytes + 50, 2)],
  ["the last segment's header", (disk) => disk.flip(lastSegment, 3, 2)],
  ["a cut last segment", (disk) => disk.put(lastSegment, disk.contentOf(lastSegment).slice(0, 400))],
  ["a last segment cut down to nothing", (disk) => disk.put(lastSegment, new Uint8Array(0))],
  ["a last segment cut within its header", (disk) => disk.put(lastSegment, disk.contentOf(lastSegment).slice(0, 99))],
  ["a last segment of zeros", (disk) => disk.put(lastSegment, new Uint8Array(segmentBytes))],
  ["a last segment of noise", (disk) => disk.put(lastSegment, new Uint8Array(segmentBytes).fill(0xee))],
  [
    "several segments",
    (disk) => {
      for (const name of segments) disk.flip(name, segmentHeaderBytes + 150, 1);
    },
  ],
];

describe("a damaged log", () => {
  test.each(damages)("with %s: keeps its promise, stays damaged until repaired, then opens clean", (_, damage) => {
    const disk = sound.disk.clone();
    damage(disk);
    const log = reopen(disk);
    expect(log.wal.recovered.damaged).toBe(true);
    expect(log.wal.recovered.promised).toBe(promised);
    refetch(log);
    log.settle();
    // Not yet told that it is repaired: another start finds it damaged, but with what was fetched.
    const between = reopen(log.disk.clone());
    expect(between.wal.recovered.damaged).toBe(true);
    expect(prefixLength(between)).toBe(sound.entries.length);
    let done = false;
    log.wal.repaired(() => (done = true));
    log.settle();
    expect(done).toBe(true);
    expect(log.wal.damaged).toBe(false);
    expect(log.wal.read(1, 1_000_000)).toEqual(sound.entries.map(({ bytes }) => bytes));
    log.put("one more", 4097);
    log.settle();
    const last = reopen(log.close());
    expect(last.wal.report.damage).toEqual([]);
    expect([...last.wal.recovered.chains]).toEqual(log.entries.map(({ chain }) => chain));
    expect(last.wal.recovered.promised).toBe(promised);
    expect([...last.wal.orphans()].flat()).toEqual([]);
  });

  test.each(damages)("with %s: is repaired although the machine stops at any operation", (_, damage) => {
    for (let stopAt = 1; ; stopAt++) {
      const disk = sound.disk.clone();
      damage(disk);
      disk.stopAt = stopAt;
      let survivor: SimulatedDisk = disk;
      try {
        const log = reopen(disk);
        refetch(log);
        log.wal.repaired();
        log.settle();
        expect(reopen(log.close()).wal.recovered.damaged).toBe(false);
        expect(stopAt).toBeGreaterThan(10);
        return;
      } catch (error) {
        if (!(error instanceof MachineStopped)) throw error;
        survivor = disk.crash();
      }
      const log = reopen(survivor);
      prefixLength(log);
      expect(log.wal.recovered.promised).toBe(promised);
      if (!log.wal.recovered.damaged) expect(log.wal.lastIndex).toBe(sound.entries.length);
      refetch(log);
      log.wal.repaired();
      log.settle();
      const last = reopen(log.close());
      expect(last.wal.report.damage).toEqual([]);
      expect(prefixLength(last)).toBe(sound.entries.length);
    }
  });

  test("keeps the damaged segment aside, byte for byte", () => {
    const disk = sound.disk.clone();
    disk.flip(segments[0] ?? "", 500, 2);
    const damagedBytes = disk.contentOf(segments[0] ?? "");
    const log = reopen(disk);
    refetch(log);
    log.wal.repaired();
    log.settle();
    expect(log.disk.contentOf("00000001.corrupt")).toEqual(damagedBytes);
  });

  test("keeps sound ops behind the damage as orphans when a peer's log went another way", () => {
    const disk = sound.disk.clone();
    disk.flip(segments[0] ?? "", 500, 2);
    const log = reopen(disk);
    const { lastIndex } = log.wal;
    log.entries.push(...sound.entries.slice(0, lastIndex));
    log.put("another", 4097);
    log.settle();
    log.wal.repaired();
    log.settle();
    const last = reopen(log.close());
    expect(last.wal.recovered.damaged).toBe(false);
    const orphans = indexesOf([...last.wal.orphans()].flat());
    expect(orphans).toEqual(sound.entries.slice(lastIndex + 1).map(({ index }) => index));
  });

  test("keeps sound ops behind the damage also where a fork of before was merged behind them", () => {
    const log = new PlainLog(segmentBytes);
    for (let count = 1; count <= 4; count++) log.put(`a${count}`);
    // What stood at 3 and 4 was a fork, which is settled when it has come out of the log behind b5.
    for (let count = 3; count <= 5; count++) log.put(`b${count}`, 513, count - 1);
    log.append([makeMerged()]);
    log.put("b6", 513);
    log.settle();
    const disk = log.close();
    const offset = disk.contentOf("00000001.wal").findIndex((_, at, all) => all[at] === 0x62 && all[at + 1] === 0x33);
    disk.flip("00000001.wal", offset, 0);
    const again = new PlainLog(segmentBytes, disk);
    expect(again.wal.recovered.damaged).toBe(true);
    again.entries.push(...log.entries.slice(0, 2));
    // A peer's log went another way.
    again.put("c3", 769, 2);
    again.settle();
    expect(indexesOf([...again.wal.orphans()].flat())).toEqual([3, 4, 4, 5, 6]);
    again.wal.repaired();
    again.settle();
    const repaired = new PlainLog(segmentBytes, again.close());
    expect(indexesOf([...repaired.wal.orphans()].flat())).toEqual([3, 4, 4, 5, 6]);
    repaired.append([makeMerged()]);
    repaired.settle();
    expect([...new PlainLog(segmentBytes, repaired.close()).wal.orphans()].flat()).toEqual([]);
  });

  test("that lost only what was superseded anyway has all its entries", () => {
    const log = new PlainLog(segmentBytes);
    for (let count = 0; count < 10; count++) log.put(`a${count}`);
    log.settle();
    log.put("b4", 513, 4);
    log.put("b5", 513);
    log.settle();
    const disk = log.close();
    // The eighth entry of the fork: each takes 48 bytes.
    const forkOffset = disk
      .contentOf("00000001.wal")
      .findIndex((_, at, all) => all[at] === 0x61 && all[at + 1] === 0x37);
    disk.flip("00000001.wal", forkOffset, 0);
    const again = new PlainLog(segmentBytes, disk);
    expect(again.wal.recovered.damaged).toBe(true);
    expect([...again.wal.recovered.chains]).toEqual(log.entries.map(({ chain }) => chain));
  });
});
