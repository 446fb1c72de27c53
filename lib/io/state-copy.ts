/**
 * What is done with the state as a file: made durable, copied at a point, recognized, put in the place of another. All
 * block; run by a worker. Knows of what is in the tables only where the applied point stands.
 */
import { Database } from "bun:sqlite";
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { syncDirectory } from "./directories.ts";

/** A copy that was made. `chain`: 8 bytes, big-endian. */
export interface StateCopy {
  readonly index: number;
  readonly view: number;
  readonly chain: Uint8Array;
  readonly sizeBytes: number;
  readonly sha256: Uint8Array;
}

/**
 * Everything committed to the database in WAL mode until now is durable afterwards: it stands in SQLite's write-ahead log, or
 * in the database, which SQLite syncs before it begins that log anew.
 * MUST NOT open the database itself, nor its `-shm`: to close any descriptor of a file drops all locks that this process has on
 * it (fcntl(2)), SQLite's among them. Whoever looks at the database with another SQLite then takes itself for the last one, and
 * deletes the log that is written here. Fails when that has happened.
 */
export function syncState(path: string): void {
  const file = openSync(`${path}-wal`, "r+");
  try {
    fdatasyncSync(file);
  } finally {
    closeSync(file);
  }
}

/**
 * What another process has left of SQLite's write-ahead log is durable afterwards, as it is read. If that one could not make it
 * so, the cache shows what the disk has not got, and no sync would write (Rebello et al. 2020, §3): SQLite would copy it into
 * the database all the same, and a loss of power on the way would leave a database with half of a transaction, and a log that
 * does not have the other half. Before anybody opens the database.
 */
export function writeLogAnew(path: string): void {
  if (!existsSync(`${path}-wal`)) return;
  const file = openSync(`${path}-wal`, "r+");
  try {
    const buffer = new Uint8Array(1024 * 1024);
    for (let at = 0, read = -1; read !== 0; at += read) {
      read = readSync(file, buffer, 0, buffer.length, at);
      for (let done = 0; done < read;) done += writeSync(file, buffer, done, read - done, at + done);
    }
    fdatasyncSync(file);
  } finally {
    closeSync(file);
  }
}

/**
 * Copies the database as it is at one moment, without free pages, into a file that is not there yet. Leaves none if
 * that fails.
 */
export function copyState(database: Database, to: string): StateCopy {
  removeDatabase(to);
  try {
    // What is not finalized keeps the database, and so the space of a file that another has replaced, until it is collected.
    const vacuum = database.prepare("VACUUM INTO ?");
    try {
      vacuum.run(to);
    } finally {
      vacuum.finalize();
    }
    return finishCopy(to);
  } catch (error) {
    // On a disk that is full it would take what others need.
    removeDatabase(to);
    throw error;
  }
}

function finishCopy(path: string): StateCopy {
  const copy = new Database(path, { readwrite: true, create: false, strict: true });
  try {
    // Whoever opens it would have to change that, alone.
    copy.run("PRAGMA journal_mode = WAL");
    const point = copy
      .query<{ number: number; view: number; chain: Uint8Array }, []>("SELECT number, view, chain FROM point")
      .get();
    if (point === null) throw new Error("the copy has no applied point");
    const { number: index, view, chain } = point;
    copy.close();
    return { index, view, chain, sizeBytes: statSync(path).size, sha256: hashOf(path) };
  } finally {
    copy.close();
  }
}

/** Whether a file is the one of this size and hash; it is durable then. */
export function isWhole(path: string, sizeBytes: number, sha256: Uint8Array): boolean {
  if (statSync(path).size !== sizeBytes || Buffer.compare(hashOf(path), sha256) !== 0) return false;
  const file = openSync(path, "r+");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  return true;
}

/** Of a state that takes the place of the one at `path`. */
export const successorOf = (path: string): string => `${path}.new`;

/**
 * A durable file becomes the database at `path`, in place of the one that was there: nobody may have that open. A crash
 * leaves the old one, or what {@link finishTakeOver} completes.
 */
export function takeOver(from: string, path: string): void {
  renameSync(from, successorOf(path));
  syncDirectory(dirname(path));
  finishTakeOver(path);
}

/** Completes what a crash has interrupted; nothing to do otherwise. */
export function finishTakeOver(path: string): void {
  if (!existsSync(successorOf(path))) return;
  // Before the name changes: SQLite would take them for those of the new one.
  rmSync(`${path}-wal`, { force: true });
  rmSync(`${path}-shm`, { force: true });
  syncDirectory(dirname(path));
  renameSync(successorOf(path), path);
  syncDirectory(dirname(path));
}

/** A database that nobody needs any more, with what belongs to it. */
export function removeDatabase(path: string): void {
  for (const suffix of ["", "-wal", "-shm", "-journal"]) rmSync(`${path}${suffix}`, { force: true });
}

function hashOf(path: string): Uint8Array {
  const hasher = new Bun.CryptoHasher("sha256");
  const buffer = new Uint8Array(1024 * 1024);
  const file = openSync(path, "r");
  try {
    for (let read = readSync(file, buffer); read > 0; read = readSync(file, buffer))
      hasher.update(buffer.subarray(0, read));
  } finally {
    closeSync(file);
  }
  return new Uint8Array(hasher.digest());
}
