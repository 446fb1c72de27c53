/** The state as a file on a real disk. */
import { Database } from "bun:sqlite";
import { afterAll, expect, test } from "bun:test";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { copyState, syncState, writeLogAnew } from "./state-copy.ts";
import { syncedFiles } from "./synced-files.fixture.ts";

const directory = mkdtempSync(join(tmpdir(), "chatd-state-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const opened = (name: string): { readonly path: string; readonly database: Database } => {
  const path = join(directory, name);
  const database = new Database(path);
  database.run("PRAGMA journal_mode = WAL");
  database.run("CREATE TABLE t (a)");
  return { path, database };
};

/** How many locks this process has on a file, as Linux tells it. */
function locksOn(path: string): number {
  const inode = `:${statSync(path).ino}`;
  const lines = readFileSync("/proc/locks", "utf8").split("\n");
  return lines.filter(
    (line) => line.includes(` ${process.pid} `) && line.split(/\s+/).some((word) => word.endsWith(inode)),
  ).length;
}

// Without them another SQLite that looks at the database takes itself for the last one when it closes, and deletes the
// write-ahead log that this process goes on writing to.
test.skipIf(!existsSync("/proc/locks"))("a sync leaves SQLite its locks", () => {
  const { path, database } = opened("locked.sqlite");
  const files = [path, `${path}-shm`];
  const before = files.map(locksOn);
  expect(Math.min(...before)).toBeGreaterThan(0);
  syncState(path);
  expect(files.map(locksOn)).toEqual(before);
  database.close();
});

test("a write-ahead log that is gone is not called durable", () => {
  const { path, database } = opened("taken.sqlite");
  rmSync(`${path}-wal`);
  expect(() => syncState(path)).toThrow("ENOENT");
  database.close();
});

test("what another process has left of the write-ahead log is written once more as it is, and synced", () => {
  const { path, database } = opened("killed.sqlite");
  database.run("INSERT INTO t VALUES (zeroblob(3000000))");
  const left = join(directory, "left.sqlite");
  for (const suffix of ["", "-wal"]) copyFileSync(path + suffix, left + suffix);
  database.close();
  utimesSync(`${left}-wal`, 1, 1);
  const before = readFileSync(`${left}-wal`);
  using files = syncedFiles();
  writeLogAnew(left);
  expect(files.take()).toEqual([`${left}-wal`]);
  expect(statSync(`${left}-wal`).mtimeMs).toBeGreaterThan(1000);
  expect(readFileSync(`${left}-wal`).equals(before)).toBe(true);
  const again = new Database(left);
  expect(again.query("SELECT length(a) AS bytes FROM t").get()).toEqual({ bytes: 3_000_000 });
  again.close();
  expect(existsSync(`${left}-wal`)).toBe(false);
  writeLogAnew(left);
  expect(files.take()).toEqual([]);
});

test("a copy that could not be finished takes no room", () => {
  const { database } = opened("uncopied.sqlite");
  const to = join(directory, "copy.sqlite");
  // It has no applied point.
  expect(() => copyState(database, to)).toThrow("no such table");
  expect(existsSync(to)).toBe(false);
  database.close();
});
