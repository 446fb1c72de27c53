/** A log that changes while it is looked at: a write under way, and segments that are deleted. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { PlainLog } from "../../lib/log/log.fixture.ts";
import { segmentName } from "../../lib/log/segment.ts";
import { SettledLog } from "./settled-log.ts";

setDefaultTimeout(60_000);

function filled(entries: number): PlainLog {
  const log = new PlainLog(2048);
  for (let index = 1; index <= entries; index++) {
    log.put(`entry ${index}`);
    log.settle();
  }
  return log;
}

test("a write that is under way is waited for; what stays torn is believed", async () => {
  const log = filled(5);
  const whole = log.disk.contentOf(segmentName(1));
  const under = whole.slice();
  const last = under.findLastIndex((byte) => byte !== 0);
  under.fill(0xee, last - 20, last);
  log.disk.put(segmentName(1), under);
  const settled = new SettledLog({ disk: log.disk });
  const looked = settled.next();
  log.disk.put(segmentName(1), whole);
  expect((await looked)?.isTorn).toBe(false);
  expect((await settled.finish()).verdict()).toMatchObject({ state: "clean", last: 5 });
  log.disk.put(segmentName(1), under);
  expect((await new SettledLog({ disk: log.disk }).finish()).verdict().state).toBe("torn");
});

test("segments that are deleted meanwhile are passed, and the log then begins later", async () => {
  const log = filled(90);
  const settled = new SettledLog({ disk: log.disk });
  expect((await settled.next())?.number).toBe(1);
  const before = log.wal.compactable(80, false) ?? 0;
  expect(before).toBeGreaterThan(20);
  log.wal.compact(before);
  log.settle();
  expect((await settled.next())?.number).toBeGreaterThan(2);
  const verdict = (await settled.finish()).verdict();
  expect(verdict).toMatchObject({ state: "clean", first: before + 1, last: 90 });
});

test("any other failure of the disk is told", async () => {
  const log = filled(90);
  const settled = new SettledLog({ disk: log.disk });
  await settled.next();
  log.disk.faults.failRead = true;
  const failed = await settled.finish().catch((error: unknown) => error);
  expect(String(failed)).toContain("DiskError");
});
