/**
 * An exclusive lock on a file, held by this process until it ends, however it ends: `flock` of the system's C library,
 * or, where none can be loaded, an exclusive transaction of SQLite. If neither works nothing is locked and it throws.
 */
import { Database } from "bun:sqlite";
import { dlopen } from "bun:ffi";
import { closeSync, fstatSync, ftruncateSync, openSync, readFileSync, rmSync, statSync, writeSync } from "node:fs";

export interface Lock {
  release(): void;
}

/** Someone else has it. */
export interface LockHeld {
  /** The holder's process id, if it could be read. */
  readonly heldBy: number | null;
}

/** Nothing can be locked there: a network or shared file system, most likely. */
export class NoLocksError extends Error {
  override readonly name = "NoLocksError";
}

type Flock = (descriptor: number, operation: number) => number;

const exclusiveNonBlocking = 2 | 4;
const sharedNonBlocking = 1 | 4;
const libraries: Readonly<Record<string, readonly string[]>> = {
  linux: ["libc.so.6", `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`],
  darwin: ["libSystem.B.dylib"],
};

/**
 * Locks the file, which is made if need be and holds the process id. Throws what the file system throws, and
 * {@link NoLocksError}.
 */
export function lockFile(path: string): Lock | LockHeld {
  const flock = loadFlock();
  return flock === null ? lockBySqlite(`${path}.sqlite`) : lockByFlock(path, flock);
}

export const isHeld = (lock: Lock | LockHeld): lock is LockHeld => "heldBy" in lock;

/** Its holder may remove the file, as long as it has it locked. */
export function lockByFlock(path: string, flock: Flock): Lock | LockHeld {
  for (;;) {
    const descriptor = openSync(path, "a+", 0o600);
    if (flock(descriptor, exclusiveNonBlocking) !== 0) {
      closeSync(descriptor);
      refuseWithoutLocks(`${path}.probe`, flock);
      return { heldBy: readPid(path) };
    }
    try {
      if (isFileAt(path, descriptor)) {
        ftruncateSync(descriptor, 0);
        writeSync(descriptor, `${process.pid}\n`);
        return { release: () => closeSync(descriptor) };
      }
    } catch (error) {
      // Otherwise this very process would find it locked when it tries again.
      closeSync(descriptor);
      throw error;
    }
    // Removed by its holder since it was opened: whoever comes next locks another file of that name.
    closeSync(descriptor);
  }
}

/**
 * Why flock fails cannot be read through bun:ffi: so a file is tried that nobody has locked for himself. Not the directory,
 * which network file systems may lock though they lock no file.
 */
function refuseWithoutLocks(probe: string, flock: Flock): void {
  const descriptor = openSync(probe, "w+", 0o600);
  const isLocked = flock(descriptor, sharedNonBlocking) === 0;
  closeSync(descriptor);
  rmSync(probe, { force: true });
  if (!isLocked) throw new NoLocksError("nothing can be locked in its file system");
}

/** Whether what was opened is still what has this name. */
function isFileAt(path: string, descriptor: number): boolean {
  const there = statSync(path, { bigint: true, throwIfNoEntry: false });
  // No other file has this number while it is open.
  return there !== undefined && there.ino === fstatSync(descriptor, { bigint: true }).ino;
}

/** Nobody may remove the file: whether it is the one that was opened cannot be told. */
export function lockBySqlite(path: string): Lock | LockHeld {
  const database = new Database(path, { create: true, readwrite: true });
  try {
    database.run("PRAGMA locking_mode = EXCLUSIVE");
    database.run("BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    if (error instanceof Error && "code" in error && error.code === "SQLITE_BUSY") return { heldBy: null };
    throw error;
  }
  return { release: () => database.close() };
}

/** Null where no C library of a known name has it. */
export function loadFlock(): Flock | null {
  for (const name of libraries[process.platform] ?? []) {
    try {
      return dlopen(name, { flock: { args: ["i32", "i32"], returns: "i32" } }).symbols.flock;
    } catch {
      // Not this one: try the next name.
    }
  }
  return null;
}

function readPid(path: string): number | null {
  try {
    const pid = Number(readFileSync(path, "utf8"));
    return Number.isSafeInteger(pid) && pid > 0 ? pid : null;
  } catch {
    return null;
  }
}
