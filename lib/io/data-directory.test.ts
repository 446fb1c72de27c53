/** The data directory: made, opened again, refused with a message that names what is wrong and what to do. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { DataDirectoryError, openDataDirectory, readIdentity } from "./data-directory.ts";
import { syncedFiles } from "./synced-files.fixture.ts";
import { isHeld, loadFlock, lockByFlock, lockBySqlite, NoLocksError, type Lock, type LockHeld } from "./lock.ts";

const cluster = new Uint8Array(16).fill(7);
const owner = { cluster, pid: 1 };
let base: string;
let path: string;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "chatd-directory-"));
  path = join(base, "deep", "data");
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

/** Makes a directory with a log, as a replica that has served leaves it. */
function establish(): string {
  const directory = openDataDirectory(path, owner);
  writeFileSync(join(directory.logPath, "00000001.wal"), "");
  directory.established();
  directory.close();
  return directory.replica;
}

function refusal(open: () => unknown): string {
  try {
    open();
  } catch (error) {
    expect(error).toBeInstanceOf(DataDirectoryError);
    return (error as Error).message;
  }
  throw new Error("it was not refused");
}

describe("a data directory", () => {
  test("is made for this user alone and keeps its uuid", () => {
    const directory = openDataDirectory(path, owner);
    expect(directory.isNew).toBe(true);
    expect(statSync(path).mode & 0o777).toBe(0o700);
    expect(statSync(directory.logPath).isDirectory()).toBe(true);
    expect(statSync(directory.statePath).mode & 0o777).toBe(0o600);
    chmodSync(directory.statePath, 0o644);
    writeFileSync(join(directory.logPath, "00000001.wal"), "");
    directory.established();
    directory.close();
    const again = openDataDirectory(path, owner);
    expect(again.isNew).toBe(false);
    expect(statSync(again.statePath).mode & 0o777).toBe(0o600);
    expect(again.replica).toBe(directory.replica);
    expect(readIdentity(path)).toEqual({ cluster, pid: 1, replica: directory.replica, joined: false });
    again.close();
  });

  test("is durable with every directory above it that was made for it, also by a process that was killed", () => {
    using synced = syncedFiles();
    openDataDirectory(path, owner).close();
    expect(synced.take()).toEqual(expect.arrayContaining([base, dirname(path), path]));
    const other = join(base, "other", "data");
    mkdirSync(other, { recursive: true });
    openDataDirectory(other, owner).close();
    expect(synced.take()).toEqual(expect.arrayContaining([dirname(other), other]));
  });

  test("that cannot be established says which one it is", () => {
    const directory = openDataDirectory(path, owner);
    rmSync(join(path, "identity.json.new"));
    expect(refusal(() => directory.established())).toStartWith(`cannot use the data directory ${path}: ENOENT`);
    expect(directory.isNew).toBe(true);
    directory.close();
  });

  test("that a crash kept from being established is gone on with under the same uuid", () => {
    const directory = openDataDirectory(path, owner);
    directory.close();
    const again = openDataDirectory(path, owner);
    expect(again.isNew).toBe(true);
    expect(again.replica).toBe(directory.replica);
    again.close();
  });

  test("is locked, and the refusal names directory and holder", () => {
    const directory = openDataDirectory(path, owner);
    const message = refusal(() => openDataDirectory(path, owner));
    expect(message).toContain(path);
    expect(message).toContain(`process ${process.pid}`);
    directory.close();
    openDataDirectory(path, owner).close();
  });

  test("keeps the cluster that it was made for, whatever it is opened for later", () => {
    establish();
    const again = openDataDirectory(path, { cluster: new Uint8Array(16).fill(8), pid: 1 });
    expect(again.cluster).toEqual(cluster);
    again.close();
  });

  test("becomes that of a newcomer to another cluster, as if it were new", () => {
    const other = new Uint8Array(16).fill(8);
    establish();
    const directory = openDataDirectory(path, owner);
    const { replica } = directory;
    directory.adopt(other);
    expect(directory.cluster).toEqual(other);
    expect([directory.joined, directory.isNew]).toEqual([true, true]);
    expect(readdirSync(directory.logPath)).toEqual([]);
    directory.close();
    // What an adoption that was interrupted has left is no log of anybody's.
    writeFileSync(join(directory.logPath, "0000000000000001.wal"), "of the old cluster");
    const again = openDataDirectory(path, owner);
    expect(readdirSync(again.logPath)).toEqual([]);
    again.established();
    expect(readIdentity(path)).toEqual({ cluster: other, pid: 1, replica, joined: true });
    again.close();
  });

  test("of another replica or a newer format is refused with both sides named", () => {
    establish();
    expect(refusal(() => openDataDirectory(path, { cluster, pid: 2 }))).toMatch(/replica 1\b.*replica 2\b/);
    const file = join(path, "identity.json");
    const identity: unknown = JSON.parse(readFileSync(file, "utf8"));
    writeFileSync(file, JSON.stringify({ ...Object(identity), format: 2 }));
    expect(refusal(() => openDataDirectory(path, owner))).toMatch(/format 2.*format 1/);
    writeFileSync(file, "{");
    expect(refusal(() => openDataDirectory(path, owner))).toContain("cannot be read");
  });

  test("that holds something else is left alone", () => {
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, "thesis.txt"), "x");
    expect(refusal(() => openDataDirectory(path, owner))).toContain("thesis.txt");
    expect(readdirSync(path)).toEqual(["thesis.txt"]);
    const file = join(base, "file");
    writeFileSync(file, "");
    expect(refusal(() => openDataDirectory(file, owner))).toContain("is a file");
  });

  test("that has lost its log or its identity is refused", () => {
    establish();
    rmSync(join(path, "log", "00000001.wal"));
    expect(refusal(() => openDataDirectory(path, owner))).toContain("has lost its log");
    writeFileSync(join(path, "log", "00000001.wal"), "");
    rmSync(join(path, "identity.json"));
    expect(refusal(() => openDataDirectory(path, owner))).toContain("identity.json");
  });

  test.skipIf(process.getuid?.() === 0)("that cannot be written is refused", () => {
    mkdirSync(path, { recursive: true });
    chmodSync(path, 0o500);
    expect(refusal(() => openDataDirectory(path, owner))).toContain("make it readable and writable");
  });

  test.skipIf(process.getuid?.() === 0)("whose log cannot be written is refused", () => {
    const { logPath, close } = openDataDirectory(path, owner);
    close();
    chmodSync(logPath, 0o500);
    expect(refusal(() => openDataDirectory(path, owner))).toContain("make it readable and writable");
    chmodSync(logPath, 0o700);
  });
});

describe("the lock", () => {
  test("is there on this machine by flock, and excludes a second holder until it is released", () => {
    const flock = loadFlock();
    if (flock === null) throw new Error("no flock");
    const file = join(base, "lock");
    const lock = lockByFlock(file, flock);
    expect(lockByFlock(file, flock)).toEqual({ heldBy: process.pid });
    if (!isHeld(lock)) lock.release();
    expect(isHeld(lockByFlock(file, flock))).toBe(false);
  });

  test("by SQLite excludes a second holder until it is released", () => {
    const file = join(base, "lock.sqlite");
    const lock = lockBySqlite(file);
    expect(lockBySqlite(file)).toEqual({ heldBy: null });
    if (!isHeld(lock)) lock.release();
    const again = lockBySqlite(file);
    expect(isHeld(again)).toBe(false);
    if (!isHeld(again)) again.release();
  });

  test("is held by one at a time, also when its holder removes the file while others are about to lock it", () => {
    const flock = loadFlock();
    if (flock === null) throw new Error("no flock");
    const file = join(base, "lock");
    const first = lockByFlock(file, flock);
    let third: Lock | LockHeld | null = null;
    // The second has opened the file that the first removes and releases; a third makes another one, and locks it.
    const second = lockByFlock(file, (descriptor, operation) => {
      if (third === null) {
        rmSync(file);
        if (!isHeld(first)) first.release();
        third = lockByFlock(file, flock);
      }
      return flock(descriptor, operation);
    });
    expect([second, third]).toEqual([{ heldBy: process.pid }, { release: expect.any(Function) }]);
  });

  test("is held by nobody where the file system has no locks, which is said", () => {
    expect(() => lockByFlock(join(base, "lock"), () => -1)).toThrow(NoLocksError);
    expect(readdirSync(base)).toEqual(["lock"]);
  });

  test.skipIf(process.platform !== "linux")("is not held when it could not be written", () => {
    const flock = loadFlock();
    if (flock === null) throw new Error("no flock");
    let locked = -1;
    const locking = (descriptor: number, operation: number): number => flock((locked = descriptor), operation);
    expect(() => lockByFlock("/dev/full", locking)).toThrow(/EINVAL|ENOSPC/);
    expect(existsSync(`/proc/self/fd/${locked}`)).toBe(false);
  });

  test("is taken anew when the file that was locked is there no more", () => {
    const flock = loadFlock();
    if (flock === null) throw new Error("no flock");
    const file = join(base, "lock");
    let tries = 0;
    const lock = lockByFlock(file, (descriptor, operation) => {
      if (++tries === 1) rmSync(file);
      return flock(descriptor, operation);
    });
    expect([tries, isHeld(lock)]).toEqual([2, false]);
    expect(lockByFlock(file, flock)).toEqual({ heldBy: process.pid });
  });

  test("ends with its process, however that ends", async () => {
    const file = join(base, "data");
    const script = `
      import { openDataDirectory } from ${JSON.stringify(join(import.meta.dir, "data-directory.ts"))};
      openDataDirectory(${JSON.stringify(file)}, { cluster: new Uint8Array(16).fill(7), pid: 1 });
      process.stdout.write("locked");
      setInterval(() => {}, 1000);
    `;
    const holder = Bun.spawn({ cmd: [process.execPath, "-e", script], stdout: "pipe", stderr: "inherit" });
    const reader = holder.stdout.getReader();
    await reader.read();
    expect(refusal(() => openDataDirectory(file, owner))).toContain(`process ${holder.pid}`);
    holder.kill("SIGKILL");
    await holder.exited;
    openDataDirectory(file, owner).close();
  });
});
