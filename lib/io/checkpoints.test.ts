/** The worker that copies SQLite's write-ahead log into the database. Real threads and files. */
import { Database } from "bun:sqlite";
import { afterAll, afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lookAtLog } from "./checkpoint.ts";
import { startCheckpoints, type CheckpointOptions, type Checkpoints } from "./checkpoints.ts";

// Real sockets, disks or threads on a busy machine: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

const directory = mkdtempSync(join(tmpdir(), "chatd-checkpoints-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let names = 0;
const failures: string[] = [];
let writer: Database;
let path = "";
let checkpoints: Checkpoints;
afterEach(async () => {
  writer.close();
  await checkpoints.stop();
});

function begin(options: CheckpointOptions): void {
  failures.length = 0;
  path = join(directory, `${++names}.sqlite`);
  writer = new Database(path, { create: true, readwrite: true, strict: true });
  for (const setting of ["journal_mode = WAL", "synchronous = NORMAL", "wal_autocheckpoint = 0"]) {
    writer.run(`PRAGMA ${setting}`);
  }
  writer.run("CREATE TABLE filling (bytes BLOB)");
  checkpoints = startCheckpoints(path, ({ message }) => void failures.push(message), options);
}

/** Some 40 pages. */
const write = (): void => void writer.run("INSERT INTO filling VALUES (randomblob(160000))");

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error("waited in vain");
    await Bun.sleep(2);
  }
}

test("a long log is copied by the worker alone when the writer pauses, and begins anew", async () => {
  begin({ lookMs: 10, longPages: 100 });
  write();
  write();
  expect(lookAtLog(writer)?.left).toBeGreaterThan(80);
  await Bun.sleep(50);
  // Not long yet: left alone.
  expect(lookAtLog(writer)?.left).toBeGreaterThan(80);
  write();
  await until(() => lookAtLog(writer)?.left === 0);
  write();
  expect(lookAtLog(writer)?.pages).toBeLessThan(60);
  expect(checkpoints.helped).toBe(0);
  expect(failures).toEqual([]);
});

test("it begins anew, and nothing is lost, though the writer never pauses for as long as a turn takes", async () => {
  // Very long at once: the worker is helped however slow the disk is.
  begin({ lookMs: 1, longPages: 100 });
  let rows = 0;
  for (; rows < 3; rows++) write();
  // It is there.
  await until(() => lookAtLog(writer)?.left === 0);
  let beganAnew = 0;
  let pagesBefore = 0;
  // A help may be in vain, when the worker copies at that moment: then the next one does it.
  while ((checkpoints.helped < 3 || beganAnew < 2) && rows < 4000) {
    for (let at = 0; at < 8; at++, rows++) write();
    const pages = lookAtLog(writer)?.pages ?? pagesBefore;
    if (pages < pagesBefore) beganAnew++;
    pagesBefore = pages;
    await new Promise<void>((resolve) => void setImmediate(resolve));
  }
  expect(checkpoints.helped).toBeGreaterThanOrEqual(3);
  expect(beganAnew).toBeGreaterThanOrEqual(2);
  writer.close();
  await checkpoints.stop();
  const reader = new Database(path, { readonly: true, strict: true });
  const found = reader.query<{ count: number }, []>("SELECT count(*) AS count FROM filling").get();
  expect(found?.count).toBe(rows);
  expect(reader.query("PRAGMA integrity_check").values()).toEqual([["ok"]]);
  reader.close();
});

test("a stop copies the rest and leaves no log behind", async () => {
  begin({});
  write();
  writer.close();
  await checkpoints.stop();
  expect(existsSync(`${path}-wal`)).toBeFalse();
  expect(statSync(path).size).toBeGreaterThan(160_000);
});

test("a failure is told once", async () => {
  begin({ lookMs: 1, longPages: 1 });
  await checkpoints.stop();
  const other = join(directory, "nonsense.sqlite");
  writeFileSync(other, "this is no database".repeat(1000));
  checkpoints = startCheckpoints(other, ({ message }) => void failures.push(message), { lookMs: 1, longPages: 1 });
  await until(() => failures.length > 0);
  await Bun.sleep(20);
  expect(failures).toEqual([expect.stringMatching(/^cannot copy the write-ahead log of .*nonsense.sqlite into it: /)]);
});
