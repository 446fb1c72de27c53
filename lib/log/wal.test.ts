/** The log as the core uses it: group commit, reading, superseding, rolling over, and what it does when the disk fails. */
import { describe, expect, test } from "bun:test";
import { decodeRecord, recordKind } from "../protocol/record.ts";
import { DiskError } from "./disk.ts";
import { LogRefusedError } from "./errors.ts";
import { clusterTag, identity, LogUnderLoad, makeEntry, makePromise, PlainLog, type Entry } from "./log.fixture.ts";
import { encodeSync } from "./recover.ts";
import { scan } from "./scan.ts";
import { decodeSegmentHeader, encodeSegmentHeader, segmentHeaderBytes } from "./segment.ts";
import { openLog } from "./wal.ts";

const quiet = { persisted: (): void => {}, failed: (): void => {} };
const texts = (records: readonly Uint8Array[]): string[] =>
  records.map((bytes) => {
    const record = decodeRecord(bytes, 0);
    if (typeof record === "string") throw new Error(`no record: ${record}`);
    return new TextDecoder().decode(record.payload);
  });

/** The kinds of the records in a segment, in order. */
function kindsIn(log: { disk: { contentOf(name: string): Uint8Array } }, name: string): number[] {
  const kinds: number[] = [];
  const bytes = log.disk.contentOf(name);
  scan(
    bytes,
    { from: segmentHeaderBytes, knownEnd: null, sizeBytes: bytes.length, clusterTag },
    {
      record: (record) => kinds.push(record.kind),
      bad: (from, to, fault) => {
        throw new Error(`bad bytes ${from}…${to}: ${fault}`);
      },
    },
  );
  return kinds;
}

describe("group commit", () => {
  test("acknowledges after the sync, never within append, and batches what came meanwhile", () => {
    const log = new PlainLog();
    const before = log.disk.operations;
    log.put("one");
    expect(log.persisted).toEqual([]);
    for (const text of ["two", "three", "four"]) log.put(text);
    // One write and one sync for the first, nothing yet for the others.
    expect(log.disk.operations - before).toBe(2);
    log.settle(1);
    expect(log.persisted).toEqual([1]);
    expect(log.disk.operations - before).toBe(4);
    log.settle(1);
    expect(log.persisted).toEqual([1, 4]);
  });

  test("answers an append without records, after what came before it", () => {
    const log = new PlainLog();
    log.put("one");
    log.append([]);
    log.settle();
    expect(log.persisted.at(-1)).toBe(2);
    log.append([]);
    log.settle();
    expect(log.persisted.at(-1)).toBe(3);
  });

  test("leaves a log at rest with a SYNC at its end, and a busy one with a SYNC before each batch that has news", () => {
    const log = new PlainLog();
    log.put("one");
    log.put("two");
    log.settle();
    const { op, sync } = recordKind;
    expect(kindsIn(log, "00000001.wal")).toEqual([op, sync, op, sync]);
    log.put("three");
    log.settle();
    expect(kindsIn(log, "00000001.wal")).toEqual([op, sync, op, sync, op, sync]);
  });

  test("writes more records than one write takes buffers, at once", () => {
    const log = new PlainLog(1024 * 1024);
    log.put("first");
    let previous = log.entries[0] as Entry;
    const records = Array.from({ length: 3000 }, (_, at) => {
      previous = makeEntry(previous, 257, new Uint8Array([at & 0xff]));
      return previous.bytes;
    });
    log.append(records);
    const before = log.disk.operations;
    log.settle(1);
    expect(log.disk.operations - before).toBe(2);
    log.settle();
    expect(log.wal.read(2, 1_000_000)).toEqual(records);
  });
});

describe("reading", () => {
  test("returns whole records, at least one, also what is not yet written", () => {
    const log = new PlainLog();
    for (const text of ["one", "two", "three"]) log.put(text);
    expect(texts(log.wal.read(1, 1_000_000))).toEqual(["one", "two", "three"]);
    expect(texts(log.wal.read(2, 0))).toEqual(["two"]);
    log.settle();
    expect(texts(log.wal.read(1, 1_000_000))).toEqual(["one", "two", "three"]);
    expect(texts(log.wal.read(1, 96))).toEqual(["one", "two"]);
    expect(log.wal.read(4, 100)).toEqual([]);
  });

  test("goes across segments", () => {
    const log = new PlainLog(2048);
    for (let count = 0; count < 100; count++) log.put(`entry ${count}`);
    log.settle();
    expect(log.disk.list().length).toBeGreaterThan(2);
    expect(texts(log.wal.read(1, 1_000_000))).toEqual(Array.from({ length: 100 }, (_, at) => `entry ${at}`));
    const again = new PlainLog(2048, log.close());
    expect(texts(again.wal.read(50, 150))).toEqual(["entry 49", "entry 50", "entry 51"]);
  });

  test("finds out when what it wrote has rotted, and says where", () => {
    const log = new PlainLog();
    log.put("one");
    log.settle();
    const again = new PlainLog(8192, log.close());
    again.disk.flip("00000001.wal", segmentHeaderBytes + 41, 3);
    expect(() => again.wal.read(1, 100)).toThrow(/offset 128 of 00000001\.wal/);
  });
});

describe("superseding", () => {
  test("drops what stood there and after, keeps it on disk as orphans, also across reopening", () => {
    const log = new PlainLog();
    for (const text of ["a1", "a2", "a3", "a4"]) log.put(text);
    log.settle();
    log.put("b2", 513, 1);
    log.put("b3", 513);
    expect(texts(log.wal.read(1, 1000))).toEqual(["a1", "b2", "b3"]);
    expect(texts([...log.wal.orphans()].flat())).toEqual(["a2", "a3", "a4"]);
    log.settle();
    const again = new PlainLog(8192, log.close());
    expect([...again.wal.recovered.chains]).toEqual(log.entries.map(({ chain }) => chain));
    expect([...again.wal.recovered.views]).toEqual([257, 513, 513]);
    expect(texts(again.wal.read(1, 1000))).toEqual(["a1", "b2", "b3"]);
    expect(texts([...again.wal.orphans()].flat())).toEqual(["a2", "a3", "a4"]);
  });

  test("of what is not yet written leaves the same log", () => {
    const log = new PlainLog();
    for (const text of ["a1", "a2", "a3"]) log.put(text);
    log.put("b2", 513, 1);
    log.put("c2", 769, 1);
    expect(texts(log.wal.read(1, 1000))).toEqual(["a1", "c2"]);
    const orphans = [...log.wal.orphans()].flat();
    expect(texts(orphans)).toEqual(["a2", "b2", "a3"]);
    log.settle();
    expect(texts(log.wal.read(1, 1000))).toEqual(["a1", "c2"]);
    expect([...log.wal.orphans()].flat()).toEqual(orphans);
    const again = new PlainLog(8192, log.close());
    expect(texts(again.wal.read(1, 1000))).toEqual(["a1", "c2"]);
    expect(texts([...again.wal.orphans()].flat()).sort()).toEqual(["a2", "a3", "b2"]);
  });

  test("moves the recovered commit back below what was superseded", () => {
    const log = new PlainLog();
    for (const text of ["a1", "a2", "a3"]) log.put(text);
    log.append([], 3);
    log.settle();
    expect(new PlainLog(8192, log.disk.clone()).wal.recovered.commit).toBe(3);
    const b2 = makeEntry(log.entries[0] as Entry, 513, new Uint8Array(1));
    log.append([b2.bytes], 1);
    expect(new PlainLog(8192, log.disk.clone()).wal.recovered.commit).toBe(1);
    log.settle();
    expect(new PlainLog(8192, log.close()).wal.recovered.commit).toBe(1);
  });
});

describe("promises", () => {
  test("the greatest is recovered, in whatever segment it stands", () => {
    const log = new PlainLog(2048);
    log.append([makePromise(1025)]);
    log.append([makePromise(770)]);
    for (let count = 0; count < 60; count++) log.put(`entry ${count}`);
    log.settle();
    expect(log.disk.list().length).toBeGreaterThan(1);
    expect(new PlainLog(2048, log.close()).wal.recovered.promised).toBe(1025);
  });
});

describe("a disk that fails", () => {
  const failing: readonly [string, (log: PlainLog) => void, RegExp][] = [
    ["a short write", (log) => (log.disk.faults.shortWrite = true), /wrote only \d+ of 48 bytes/],
    ["a failed write", (log) => (log.disk.faults.failWrite = true), /input\/output error/],
    ["a failed sync", (log) => (log.disk.faults.failSync = true), /input\/output error/],
  ];
  test.each(failing)("%s is told once; nothing is acknowledged or written after it", (_, break_, message) => {
    const log = new PlainLog();
    log.put("one");
    log.settle();
    break_(log);
    log.put("two");
    log.put("three");
    log.settle();
    expect(log.failures.map((error) => error.message)).toEqual([expect.stringMatching(message)]);
    const { operations } = log.disk;
    log.put("four");
    log.settle();
    expect(log.disk.operations).toBe(operations);
    expect(log.persisted).toEqual([1]);
    expect(log.failures).toHaveLength(1);
    expect(texts(new PlainLog(8192, log.disk.restart()).wal.read(1, 48))).toEqual(["one"]);
  });

  test("that is full stops the log when the next segment is prepared, with all that was acknowledged in it", () => {
    const log = new PlainLog(4096);
    log.disk.faults.capacityBytes = 4096 + 1000;
    for (let count = 0; count < 100; count++) {
      log.put(`entry ${count}`);
      log.settle();
    }
    expect(log.failures).toHaveLength(1);
    const acknowledged = log.persisted.at(-1) ?? 0;
    expect(acknowledged).toBeGreaterThan(5);
    const disk = log.disk.crash();
    expect(new PlainLog(4096, disk).wal.recovered.chains.length).toBeGreaterThanOrEqual(acknowledged);
  });

  test("that fails while the log is closed is told to whoever closes it", () => {
    const log = new PlainLog();
    log.put("one");
    log.settle();
    log.disk.faults.failSync = true;
    let told: unknown = null;
    log.wal.close((error) => (told = error));
    log.settle();
    expect(String(told)).toContain("cannot sync 00000001.wal");
    expect(log.failures).toHaveLength(1);
    expect(texts(new PlainLog(8192, log.disk.crash()).wal.read(1, 1000))).toEqual(["one"]);
  });

  /** Large segments are made ahead step by step. */
  const largeBytes = 3 * 1024 * 1024;
  const aQuarter = "x".repeat(60_000);
  const filledQuarter = (): PlainLog => {
    const log = new PlainLog(largeBytes);
    for (let count = 0; count < 14; count++) log.put(aQuarter);
    return log;
  };

  test("that is full when a later part of the next segment is prepared stops the log", () => {
    const log = filledQuarter();
    log.disk.faults.capacityBytes = largeBytes + 1.5 * 1024 * 1024;
    log.settle();
    expect(log.failures.map(({ message }) => message)).toEqual([
      "disk: cannot write next.tmp: no space left on device",
    ]);
    const acknowledged = log.persisted.at(-1) ?? 0;
    expect(new PlainLog(largeBytes, log.disk.crash()).wal.lastIndex).toBeGreaterThanOrEqual(acknowledged);
  });

  test("still preparing the next segment keeps no log from being closed", () => {
    const log = filledQuarter();
    let closed: unknown = "not yet";
    log.wal.close((error) => (closed = error));
    while (closed === "not yet") log.settle(1);
    expect(closed).toBeNull();
    expect(log.disk.list()).toEqual(["00000001.wal"]);
    log.settle();
    expect(log.failures).toEqual([]);
    expect(new PlainLog(largeBytes, log.disk.restart()).wal.lastIndex).toBe(14);
  });

  test("does not make a log trust what a failed sync left in the cache", () => {
    const log = new PlainLog();
    log.put("one");
    log.settle();
    log.disk.faults.failSync = true;
    log.put("two");
    log.settle();
    // The process starts again and reads "two", which is not on the disk; what it goes on from must be.
    const again = new PlainLog(8192, log.disk.restart());
    expect(texts(again.wal.read(1, 1000))).toEqual(["one", "two"]);
    const last = new PlainLog(8192, again.disk.crash());
    expect(texts(last.wal.read(1, 1000))).toEqual(["one", "two"]);
  });

  test("of its last SYNC alone damages nothing: it is written again before the log goes on", () => {
    const log = new PlainLog(4096);
    log.put("one");
    log.settle();
    // The process ends in good order, or is just started: what is synced then is a SYNC and nothing else.
    log.disk.faults.failSync = true;
    log.wal.close(() => {});
    log.settle();
    expect(log.failures).toHaveLength(1);
    const again = new PlainLog(4096, log.disk.restart());
    expect(again.wal.report.torn).toBeNull();
    again.entries.push(...log.entries);
    // It goes on into other segments, and far enough for no sector of that SYNC to be written by what follows it.
    for (let count = 0; count < 60; count++) {
      again.put("more".repeat(40));
      again.settle();
    }
    const last = new PlainLog(4096, again.disk.crash());
    expect(last.wal.report.damage).toEqual([]);
    expect(last.wal.lastIndex).toBe(61);
  });

  test("fails opening too", () => {
    const log = new PlainLog();
    log.put("one");
    log.settle();
    const disk = log.close();
    disk.faults.failRead = true;
    expect(() => openLog(disk, identity, quiet)).toThrow("input/output error");
  });

  test("under load, again and again, also at the start, damages nothing", () => {
    for (let seed = 0; seed < 150; seed++) {
      const log = new LogUnderLoad(seed, 2048 << (seed % 3));
      for (let life = 0; life < 8; life++) {
        const atStart = log.random.chance(0.5);
        try {
          log.disk.faults.failSync = atStart;
          log.open();
          const at = log.random.below(12);
          for (let step = 0; step < 20 && log.failure === null; step++) {
            if (step === at) log.disk.faults.failSync = true;
            if (log.random.chance(0.7)) log.appendSomething();
            log.settle(1 + log.random.below(3));
          }
        } catch (error) {
          if (!(error instanceof DiskError)) throw error;
        }
        log.disk.faults.failSync = false;
        log.end(log.random.chance(0.7) ? "restart" : "crash");
      }
      log.open();
    }
  });

  test("under load never acknowledges what a reopened log does not have", () => {
    for (let seed = 0; seed < 150; seed++) {
      const log = new LogUnderLoad(seed, 4096);
      log.open();
      const fault = log.random.pick(["shortWrite", "failWrite", "failSync"] as const);
      const at = log.random.below(20);
      for (let step = 0; step < 30 && log.failure === null; step++) {
        if (step === at) log.disk.faults[fault] = true;
        log.appendSomething();
        if (log.random.chance(0.5)) log.settle(1);
      }
      log.disk.faults[fault] = false;
      log.end("restart");
      log.open();
      log.end("crash");
      log.open();
    }
  });
});

describe("a log of someone else", () => {
  const other = { cluster: new Uint8Array(16).fill(9), replica: "ffffffff-1111-4222-8333-444455556666" };
  const refused = (run: () => unknown): string => {
    try {
      run();
    } catch (error) {
      expect(error).toBeInstanceOf(LogRefusedError);
      return (error as Error).message;
    }
    throw new Error("it was not refused");
  };

  test("of another cluster or replica is refused with both named", () => {
    const log = new PlainLog();
    log.put("one");
    const disk = log.close();
    const { cluster } = other;
    expect(refused(() => openLog(disk, { ...identity, cluster }, quiet))).toMatch(/0102030405.*0909090909/);
    const { replica } = other;
    expect(refused(() => openLog(disk, { ...identity, replica }, quiet))).toMatch(/0b5e1f00-.*ffffffff-/);
  });

  test("of a newer format is refused with both versions named", () => {
    const disk = new PlainLog().close();
    const bytes = disk.contentOf("00000001.wal");
    const header = decodeSegmentHeader(bytes);
    if (header === null) throw new Error("no header");
    bytes.set(encodeSegmentHeader({ ...header, formatVersion: 3 }));
    disk.put("00000001.wal", bytes);
    expect(refused(() => openLog(disk, identity, quiet))).toMatch(/format version 3.*version 2/);
  });

  test("with a kind of record that may not be skipped is refused, one that may be is skipped", () => {
    for (const flags of [0, 1]) {
      const log = new PlainLog();
      log.put("one");
      const disk = log.close();
      const bytes = disk.contentOf("00000001.wal");
      const unknown = makeUnknown(flags);
      const at = segmentHeaderBytes + 48 + encodeSync(clusterTag, 1, 176, 0).length;
      bytes.set(unknown, at);
      bytes.set(encodeSync(clusterTag, 1, at + unknown.length, 0), at + unknown.length);
      disk.put("00000001.wal", bytes);
      if (flags === 0) expect(refused(() => openLog(disk, identity, quiet))).toMatch(/kind 99/);
      else expect(openLog(disk, identity, quiet).lastIndex).toBe(1);
    }
  });
});

/** A local record of kind 99: a PROMISE whose kind and checksum were changed. */
function makeUnknown(flags: number): Uint8Array {
  const bytes = makePromise(257).slice();
  bytes[8] = 99;
  bytes[10] = flags;
  const crc = Bun.hash.crc32(bytes.subarray(8), Bun.hash.crc32(bytes.subarray(0, 4)));
  new DataView(bytes.buffer).setUint32(4, crc, true);
  return bytes;
}

test("a log that was used and has lost its beginning is refused, and left as it is", () => {
  const log = new PlainLog();
  log.put("one");
  log.settle();
  const disk = log.disk.restart();
  disk.remove("00000001.wal");
  disk.open("00000001.wal", "create").close();
  disk.syncDirectory();
  const before = disk.list();
  expect(() => openLog(disk, identity, quiet, { established: true })).toThrow(LogRefusedError);
  expect(disk.list()).toEqual(before);
  // Before it was established, the same is a creation that did not come to its end.
  expect(openLog(disk, identity, quiet).lastIndex).toBe(0);
});
