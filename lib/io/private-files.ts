/**
 * The real `PrivateFiles`: a directory below `$XDG_STATE_HOME/chatd` (mode 0700, files 0600) that belongs to this user and
 * that nobody else can read or replace. Owns modes, owners, claims (a lock beside each file) and what is durable when.
 * Knows nothing of what is in the files.
 */
import {
  chmodSync,
  closeSync,
  existsSync,
  fdatasync,
  fdatasyncSync,
  ftruncateSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { homedir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { PrivateFilesError, type PrivateFile, type PrivateFiles } from "../base/private-files.ts";
import { makeDirectories, syncDirectory } from "./directories.ts";
import { isHeld, lockFile, type Lock } from "./lock.ts";

/** Beside a file: its lock, what shall replace it, what was set aside. None of them is listed. */
const hidden = /\.(lock|lock\.probe|lock\.sqlite|lock\.sqlite-journal|new|damaged)$/;
const remedy = "or name another place in XDG_STATE_HOME";

/** The XDG base directory specification: a relative $XDG_STATE_HOME is to be ignored. */
export function stateHome(environment: Readonly<Record<string, string | undefined>>): string {
  const stated = environment["XDG_STATE_HOME"] ?? "";
  return isAbsolute(stated) ? stated : join(homedir(), ".local", "state");
}

/** The directory `chatd/<names…>` in the state home. Nothing is looked at or made yet. */
export function openPrivateFiles(home: string, ...names: readonly string[]): PrivateFiles {
  return new Directory(home, ["chatd", ...names]);
}

/** A name of a file or directory that stands for this text and no other; it says so itself where that can be. */
export function fileNameFor(text: string): string {
  if (/^[a-z0-9_-][a-z0-9._-]{0,31}$/.test(text)) return text;
  return `x-${new Bun.CryptoHasher("sha256").update(text).digest("hex").slice(0, 40)}`;
}

class Directory implements PrivateFiles {
  readonly name: string;
  readonly #home: string;
  readonly #names: readonly string[];
  /** The directories are durable, unless somebody has removed one since. */
  #isMade = false;

  constructor(home: string, names: readonly string[]) {
    this.#home = home;
    this.#names = names;
    this.name = join(home, ...names);
  }

  prepare(): void {
    attempt(`use ${this.name}`, () => this.#secure());
  }

  list(): string[] {
    return attempt(`read ${this.name}`, () => {
      if (!existsSync(this.name)) return [];
      this.#secure();
      return readdirSync(this.name)
        .filter((name) => !hidden.test(name))
        .sort();
    });
  }

  claim(name: string): PrivateFile | null {
    const path = join(this.name, name);
    return attempt(`use ${path}`, () => {
      this.#secure();
      const lock = lockFile(`${path}.lock`);
      return isHeld(lock) ? null : new File(name, path, lock);
    });
  }

  /** Makes what is missing; refuses what others could read, write or put in its place. */
  #secure(): void {
    this.#make(this.#home);
    refuseShared(this.#home);
    let path = this.#home;
    for (const [at, name] of this.#names.entries()) {
      path = join(path, name);
      this.#make(path);
      // The first also holds what is not ours to change the mode of: the directories of replicas.
      makePrivate(path, at > 0);
    }
    this.#isMade = true;
  }

  #make(path: string): void {
    if (!this.#isMade || !existsSync(path)) makeDirectories(path);
  }
}

class File implements PrivateFile {
  readonly #lock: Lock;
  #descriptor: number | null = null;
  #sizeBytes = 0;

  constructor(
    readonly name: string,
    readonly path: string,
    lock: Lock,
  ) {
    this.#lock = lock;
  }

  read(): Uint8Array | null {
    return attempt(`read ${this.path}`, () => {
      if (!existsSync(this.path)) return null;
      refuseStrange(this.path);
      this.#sync();
      return readFileSync(this.path);
    });
  }

  /** The process that had it before may have been killed before what it wrote, or renamed, was on disk. */
  #sync(): void {
    const descriptor = openSync(this.path, "r");
    try {
      fdatasyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    syncDirectory(dirname(this.path));
  }

  async append(bytes: Uint8Array): Promise<void> {
    const descriptor = attempt(`write ${this.path}`, () => this.#open());
    try {
      writeAll(descriptor, bytes, this.#sizeBytes);
      await synced(descriptor);
    } catch (error) {
      this.#shorten(descriptor);
      throw failure(`write ${this.path}`, error);
    }
    this.#sizeBytes += bytes.length;
  }

  async replace(bytes: Uint8Array): Promise<void> {
    this.#close();
    try {
      const descriptor = openSync(`${this.path}.new`, "w", 0o600);
      try {
        writeAll(descriptor, bytes, 0);
        await synced(descriptor);
      } finally {
        closeSync(descriptor);
      }
      renameSync(`${this.path}.new`, this.path);
      syncDirectory(dirname(this.path));
    } catch (error) {
      throw failure(`write ${this.path}`, error);
    }
  }

  setAside(): void {
    this.#end(() => renameSync(this.path, `${this.path}.damaged`));
  }

  remove(): void {
    this.#end(() => rmSync(this.path, { force: true }));
  }

  release(): void {
    this.#end(() => {});
  }

  /** The file goes before its lock does: whoever takes the lock then sees that there is nothing to be had. */
  #end(action: () => void): void {
    this.#close();
    try {
      attempt(`remove ${this.path}`, () => {
        action();
        // A lock of SQLite stays: nobody may remove that.
        if (!existsSync(this.path)) rmSync(`${this.path}.lock`, { force: true });
      });
    } finally {
      this.#lock.release();
    }
  }

  #open(): number {
    if (this.#descriptor !== null) return this.#descriptor;
    const isNew = !existsSync(this.path);
    if (!isNew) refuseStrange(this.path);
    const descriptor = openSync(this.path, isNew ? "wx+" : "r+", 0o600);
    try {
      this.#sizeBytes = isNew ? 0 : lstatSync(this.path).size;
      // Its name may be new, or have been given to it by a process that was killed before that was on disk.
      syncDirectory(dirname(this.path));
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
    this.#descriptor = descriptor;
    return descriptor;
  }

  #close(): void {
    if (this.#descriptor !== null) closeSync(this.#descriptor);
    this.#descriptor = null;
  }

  /** What may stand there in part is taken back, as far as the disk still does anything. */
  #shorten(descriptor: number): void {
    try {
      ftruncateSync(descriptor, this.#sizeBytes);
    } catch {
      // The first failure is the one to tell.
    }
  }
}

function makePrivate(path: string, isOwn: boolean): void {
  const stats = lstatSync(path);
  if (!stats.isDirectory()) throw shared(`${path} is no directory`, "move it away");
  if (stats.uid !== process.getuid?.()) throw shared(`${path} belongs to another user`, "move it away");
  if (isOwn && (stats.mode & 0o077) !== 0) chmodSync(path, 0o700);
  else if ((stats.mode & 0o022) !== 0) throw shared(`others can write to ${path}`, `chmod go-w it`);
}

/** Where anybody may write, anybody may put something else in the place of ours. */
function refuseShared(home: string): void {
  if ((lstatSync(home).mode & 0o002) !== 0) throw shared(`everybody can write to ${home}`, "chmod o-w it");
}

/** No link to somewhere else, and nobody else's; what others could read is made private. */
function refuseStrange(path: string): void {
  const stats = lstatSync(path);
  if (!stats.isFile()) throw shared(`${path} is no file`, "move it away");
  if (stats.uid !== process.getuid?.()) throw shared(`${path} belongs to another user`, "move it away");
  if ((stats.mode & 0o077) !== 0) chmodSync(path, 0o600);
}

const shared = (what: string, help: string): PrivateFilesError =>
  new PrivateFilesError(`${what}: nothing private is kept there; ${help}, ${remedy}`, "place");

function writeAll(descriptor: number, bytes: Uint8Array, positionBytes: number): void {
  for (let done = 0; done < bytes.length;) {
    done += writeSync(descriptor, bytes, done, bytes.length - done, positionBytes + done);
  }
}

function synced(descriptor: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fdatasync(descriptor, (error) => (error === null ? resolve() : reject(error)));
  });
}

function attempt<T>(what: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw failure(what, error);
  }
}

function failure(what: string, error: unknown): PrivateFilesError {
  if (error instanceof PrivateFilesError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const isDisk = /^(ENOSPC|EDQUOT|EIO|EFBIG)/.test(message);
  const help = isDisk ? "make room there" : "make it readable and writable for this user";
  return new PrivateFilesError(`cannot ${what}: ${message}; ${help}, ${remedy}`, isDisk ? "disk" : "place", {
    cause: error,
  });
}
