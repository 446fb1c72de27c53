/** A log that is looked at while it is written: followed record by record, and shown from its beginning. */
import { describe, expect, test } from "bun:test";
import { LogRefusedError } from "./errors.ts";
import { LogFollower } from "./follower.ts";
import type { SimulatedDisk } from "../sim/disk.ts";
import { LogUnderLoad, makeEntry, PlainLog } from "./log.fixture.ts";
import { LogInspection } from "./reader.ts";
import { decodeSegmentHeader, encodeSegmentHeader, segmentName } from "./segment.ts";
import { survey } from "./survey.ts";

const segmentBytes = 2048;

/** What a look hands out, in words; local records left out. */
function look(follower: LogFollower): string[] {
  const seen: string[] = [];
  for (const item of follower.look()) {
    if ("change" in item) seen.push(`${item.change} ${item.from}-${item.to}`);
    else if ("fault" in item) seen.push(`bad ${item.offset}+${item.bytes} ${item.fault}`);
    else if (item.record.index > 0) seen.push(`${item.record.index} ${new TextDecoder().decode(item.record.payload)}`);
  }
  return seen;
}

describe("a follower", () => {
  test("shows a record once it is durable, not before, and once only", () => {
    const log = new PlainLog(segmentBytes);
    const follower = new LogFollower(log.disk);
    expect(look(follower)).toEqual([]);
    log.put("first");
    expect(look(follower)).toEqual([]);
    log.settle();
    expect(look(follower)).toEqual(["1 first"]);
    log.put("second");
    log.put("third");
    log.settle(1);
    expect(look(follower)).toEqual(["2 second"]);
    log.settle();
    expect(look(follower)).toEqual(["3 third"]);
    expect(look(follower)).toEqual([]);
  });

  test("goes on through segments and a restart", () => {
    let log = new PlainLog(segmentBytes);
    const follower = new LogFollower(log.disk);
    const seen: string[] = [];
    const expected: string[] = [];
    for (let index = 1; index <= 90; index++) {
      log.put(`entry ${index}`);
      expected.push(`${index} entry ${index}`);
      if (index % 7 === 0) log.settle();
      if (index % 3 === 0) seen.push(...look(follower));
    }
    log.settle();
    seen.push(...look(follower));
    expect(seen).toEqual(expected);
    expect(log.disk.list().length).toBeGreaterThan(3);
    const last = log.entries.at(-1);
    const later = new LogFollower(log.close());
    expect(look(later)).toEqual(expected);
    log = new PlainLog(segmentBytes, later.disk as SimulatedDisk);
    expect(look(later)).toEqual([]);
    log.append([makeEntry(last ?? null, 257, new TextEncoder().encode("entry 91")).bytes]);
    log.settle();
    expect(look(later)).toEqual(["91 entry 91"]);
  });

  test("says what is superseded", () => {
    const log = new PlainLog(segmentBytes);
    const follower = new LogFollower(log.disk);
    for (const text of ["a", "b", "c"]) log.put(text);
    log.settle();
    expect(look(follower)).toEqual(["1 a", "2 b", "3 c"]);
    log.put("B", 600, 1);
    log.put("C", 600);
    log.settle();
    expect(look(follower)).toEqual(["superseded 2-3", "2 B", "3 C"]);
  });

  test("goes on where the log begins when what it had not read was deleted", () => {
    const log = new PlainLog(segmentBytes);
    const put = (count: number): void => {
      for (let left = count; left > 0; left--) {
        log.put(`entry ${log.entries.length + 1}`, 257);
        log.settle();
      }
    };
    put(5);
    const follower = new LogFollower(log.disk);
    expect(look(follower)).toHaveLength(5);
    put(60);
    const before = log.wal.compactable(50, false);
    expect(before).not.toBeNull();
    log.wal.compact(before ?? 0);
    log.settle();
    const seen = look(follower);
    expect(seen[0]).toBe(`gone 6-${before}`);
    expect(seen.slice(1)).toEqual(
      Array.from({ length: 65 - (before ?? 0) }, (_, at) => {
        const index = (before ?? 0) + 1 + at;
        return `${index} entry ${index}`;
      }),
    );
    put(1);
    expect(look(follower)).toEqual(["66 entry 66"]);
  });

  test("passes damage, and stops at a format it does not know", () => {
    const log = new PlainLog(segmentBytes);
    for (let index = 1; index <= 90; index++) log.put(`entry ${index}`);
    log.settle();
    const disk = log.close();
    const bytes = disk.contentOf(segmentName(1));
    bytes[400] = (bytes[400] ?? 0) ^ 1;
    disk.put(segmentName(1), bytes);
    const seen = look(new LogFollower(disk));
    expect(seen.filter((each) => each.startsWith("bad"))).toHaveLength(1);
    expect(seen).toHaveLength(90);
    const second = disk.contentOf(segmentName(2));
    const header = decodeSegmentHeader(second);
    if (header === null) throw new Error("the second segment has a header");
    second.set(encodeSegmentHeader({ ...header, formatVersion: 99 }));
    disk.put(segmentName(2), second);
    expect(() => look(new LogFollower(disk))).toThrow(LogRefusedError);
    second.fill(0, 0, 128);
    disk.put(segmentName(2), second);
    expect(look(new LogFollower(disk)).filter((each) => each.includes("header"))).toEqual(["bad 0+128 header"]);
  });
});

describe("a follower of a damaged log", () => {
  const damaged = (flip: (name: string, at: number) => boolean): SimulatedDisk => {
    const log = new PlainLog(segmentBytes);
    for (let index = 1; index <= 90; index++) log.put(`entry ${index}`);
    log.settle();
    const disk = log.close();
    disk.list().forEach((name, at) => {
      if (flip(name, at)) disk.flip(name, 20, 1);
    });
    return disk;
  };

  test("knows from another segment whose records they are when the first one has no header", () => {
    const seen = look(new LogFollower(damaged((_, at) => at === 0)));
    expect(seen[0]).toBe("bad 0+128 header");
    expect(seen.slice(1)).toEqual(Array.from({ length: 90 }, (_, at) => `${at + 1} entry ${at + 1}`));
  });

  test("says so and comes to an end when no segment has a header, and goes on with one that has", () => {
    const disk = damaged(() => true);
    const whole = disk.list();
    const follower = new LogFollower(disk);
    expect(look(follower)).toEqual(whole.slice(1).map(() => "bad 0+128 header"));
    expect(look(follower)).toEqual([]);
    disk.flip(whole.at(-1) ?? "", 20, 1);
    const seen = look(follower);
    expect(seen.filter((each) => each.startsWith("bad"))).toHaveLength(1);
    expect(seen.at(-1)).toBe("90 entry 90");
  });

  test("does not take a segment that cannot be read for one that was deleted", () => {
    const disk = damaged(() => false);
    disk.faults.failRead = true;
    expect(() => look(new LogFollower(disk))).toThrow("input/output error");
    expect(look(new LogFollower(disk))).toHaveLength(90);
  });

  test("passes segments that are deleted between two of its items", () => {
    const log = new PlainLog(segmentBytes);
    for (let index = 1; index <= 90; index++) {
      log.put(`entry ${index}`);
      log.settle();
    }
    const items = new LogFollower(log.disk).look();
    const first = items.next().value;
    expect(first !== undefined && "record" in first && first.record.index).toBe(1);
    const before = log.wal.compactable(80, false) ?? 0;
    expect(before).toBeGreaterThan(40);
    log.wal.compact(before);
    log.settle();
    const rest = [...items];
    const gone = rest.flatMap((item) => ("change" in item ? [item] : []));
    expect(gone).toEqual([{ change: "gone", from: expect.any(Number), to: before }]);
    const read = rest.flatMap((item) => ("record" in item && item.record.index > 0 ? [item.record.index] : []));
    const kept = read.filter((index) => index > before);
    expect(kept).toEqual(Array.from({ length: 90 - before }, (_, at) => before + 1 + at));
    expect(read.length - kept.length).toBe((gone[0]?.from ?? 0) - 2);
  });
});

describe("a log that begins anew", () => {
  const begun = (): PlainLog => {
    const log = new PlainLog(segmentBytes);
    for (let index = 1; index <= 20; index++) log.put(`entry ${index}`);
    log.settle();
    return log;
  };
  const beginAnew = (log: PlainLog): void => {
    const position = { index: 1000, view: 9_000, chain: 77n };
    const views = [
      { view: 257, firstIndex: 1 },
      { view: 9_000, firstIndex: 16 },
    ];
    log.wal.beginAnew(log.append([]) + 1, { position, policy: "available", views, attempts: [] }, 15);
    const before = { index: 1000, view: 9_000, chain: 77n, bytes: new Uint8Array(0) };
    log.wal.append(100, [makeEntry(before, 9_000, new TextEncoder().encode("entry 1001")).bytes], 1000);
    log.settle();
  };

  test("is followed, with what is superseded and what is not there", () => {
    const log = begun();
    const follower = new LogFollower(log.disk);
    expect(look(follower)).toHaveLength(20);
    beginAnew(log);
    expect(look(follower)).toEqual(["superseded 16-20", "gone 16-1000", "1001 entry 1001"]);
  });

  test("is shown with its forks", () => {
    const log = begun();
    beginAnew(log);
    const inspection = new LogInspection(log.close());
    const places: string[] = [];
    for (let segment = inspection.next(); segment !== null; segment = inspection.next()) {
      for (const item of segment.items()) {
        if ("record" in item && item.record.index > 0) places.push(`${item.record.index} ${item.place}`);
      }
    }
    expect(places.slice(0, 15).every((each) => each.endsWith("live"))).toBe(true);
    expect(places.slice(15)).toEqual([16, 17, 18, 19, 20].map((index) => `${index} superseded`).concat("1001 live"));
    expect(inspection.verdict()).toMatchObject({ state: "clean", first: 1001, last: 1001, superseded: 5 });
  });
});

describe("an inspection from the beginning", () => {
  test("knows what was superseded after it had glanced at the log", () => {
    const log = new PlainLog(segmentBytes);
    for (const text of ["a", "b", "c"]) log.put(text);
    log.settle();
    const inspection = new LogInspection(log.disk);
    log.put("B", 600, 1);
    log.settle();
    const places: string[] = [];
    for (const item of inspection.next()?.items() ?? []) {
      if ("record" in item && item.record.index > 0) places.push(`${item.record.index} ${item.place}`);
    }
    expect(places).toEqual(["1 live", "2 superseded", "3 superseded", "2 live"]);
  });

  /** It knows what is superseded before it has read what supersedes it; the survey of the whole log must agree. */
  test("tells what is in the logical log as the survey of all of it does, for logs of 60 seeds", () => {
    let superseded = 0;
    for (let seed = 1; seed <= 60; seed++) {
      const load = new LogUnderLoad(seed, 4096);
      load.open();
      for (let step = 0; step < 60; step++) {
        load.appendSomething();
        if (load.random.chance(0.5)) load.settle(1 + load.random.below(2));
      }
      load.settle();
      const { assembly } = survey(load.disk);
      const inspection = new LogInspection(load.disk);
      const live: [number, bigint][] = [];
      for (let segment = inspection.next(); segment !== null; segment = inspection.next()) {
        for (const item of segment.items()) {
          if ("fault" in item || item.record.index === 0) continue;
          if (item.place === "live") live.push([item.record.index, item.record.chain]);
          else if (item.place === "superseded") superseded++;
          else throw new Error(`seed ${seed}: ${item.place} in a log without damage`);
        }
      }
      const first = assembly.index.baseIndex + 1;
      const inLog = live.filter(([index]) => index >= first);
      expect(inLog.map(([index]) => index)).toEqual(inLog.map((_, at) => first + at));
      expect(inLog.at(-1)?.[0] ?? first - 1).toBe(assembly.lastIndex);
      for (const [index, chain] of inLog) expect(assembly.index.chain(index)).toBe(chain);
    }
    expect(superseded).toBeGreaterThan(100);
  }, 60_000);
});
