/** What is said of a log whose last segment has been emptied. */
import { expect, test } from "bun:test";
import { PlainLog } from "../../lib/log/log.fixture.ts";
import { LogInspection } from "../../lib/log/reader.ts";
import { segmentName } from "../../lib/log/segment.ts";
import { verdictText } from "./log-verdict.ts";

/** Of a log in as many segments, the last of which has been cut to nothing. */
function said(segments: number): string {
  const log = new PlainLog(2048);
  for (let index = 1; !log.disk.list().includes(segmentName(segments)); index++) {
    log.put(`entry ${index}`);
    log.settle();
  }
  const disk = log.close();
  disk.put(segmentName(segments), new Uint8Array(0));
  return verdictText(new LogInspection(disk).finish().verdict());
}

test("a replica that has started before does not start on a log whose only segment is empty", () => {
  expect(said(1)).toContain("00000001.wal (header); a replica that has started before has lost its log");
});

test("a last segment that is empty has lost what stood in it", () => {
  expect(said(2)).toContain("corrupt: offset 0 of 00000002.wal (header, 128 bytes, from index ");
});
