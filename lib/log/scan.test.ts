/** Records that are sound and yet do not hold what their kind promises: another build may have written them. */
import { expect, test } from "bun:test";
import { decodeRecord, encodeRecord, recordKind, type LogRecord } from "../protocol/record.ts";
import { readBegin } from "./lineage.ts";
import { clusterTag } from "./log.fixture.ts";
import { readSync, readTrim } from "./scan.ts";

/** Text where an array should be. */
function strange(kind: number): LogRecord {
  const payload = new TextEncoder().encode("cnot an array");
  const record = decodeRecord(encodeRecord({ kind, clusterTag, index: 0, view: 0, payload }, 0n).bytes, 0);
  if (typeof record === "string") throw new Error(record);
  return record;
}

test("a SYNC that says nothing readable says nothing", () => {
  expect(readSync(strange(recordKind.sync), 1, 128)).toBeNull();
  expect(readSync(strange(recordKind.trim), 1, 128)).toBeNull();
});

test("a TRIM that says nothing readable lets no segment go", () => {
  expect(readTrim(strange(recordKind.trim))).toBe(1);
});

test("a BEGIN that says nothing readable is none", () => {
  expect(readBegin(strange(recordKind.begin))).toBeNull();
  expect(readBegin(strange(recordKind.sync))).toBeNull();
});
