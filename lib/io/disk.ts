/**
 * The real disk: one flat directory through `node:fs`. Owns file descriptors and the translation of system errors; what
 * is written where is the business of `lib/log`.
 */
import {
  closeSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  unlinkSync,
  writevSync,
} from "node:fs";
import { join } from "node:path";
import { assert } from "../base/assert.ts";
import { DiskError, type Disk, type DiskFile } from "../log/disk.ts";
import { syncDirectory } from "./directories.ts";

const flags = { read: "r", write: "r+", create: "wx+" } as const;

/** Opens an existing directory. Throws {@link DiskError} if it cannot be listed. */
export function openDisk(directory: string): Disk {
  const disk = new RealDisk(directory);
  disk.list();
  return disk;
}

class RealDisk implements Disk {
  /** Files that are open for writing: they are told when they get another name. */
  readonly #written = new Set<RealFile>();

  constructor(readonly name: string) {}

  list(): string[] {
    return attempt(`list ${this.name}`, () =>
      readdirSync(this.name, { withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => entry.name)
        .sort(),
    );
  }

  open(name: string, mode: "read" | "write" | "create"): DiskFile {
    const path = this.#path(name);
    const verb = mode === "create" ? "create" : "open";
    const descriptor = attempt(`${verb} ${path}`, () => openSync(path, flags[mode], 0o600));
    const file = new RealFile(name, path, descriptor, () => this.#written.delete(file));
    if (mode !== "read") this.#written.add(file);
    return file;
  }

  rename(from: string, to: string): void {
    attempt(`rename ${this.#path(from)} to ${to}`, () => renameSync(this.#path(from), this.#path(to)));
    for (const file of this.#written) if (file.name === from) file.renamed(to, this.#path(to));
  }

  remove(name: string): void {
    attempt(`remove ${this.#path(name)}`, () => unlinkSync(this.#path(name)));
  }

  syncDirectory(): void {
    attempt(`sync the directory ${this.name}`, () => syncDirectory(this.name));
  }

  #path(name: string): string {
    assert(name !== "" && !name.includes("/") && name !== "..", "a disk is one flat directory");
    return join(this.name, name);
  }
}

class RealFile implements DiskFile {
  constructor(
    public name: string,
    public path: string,
    readonly descriptor: number,
    readonly closed: () => void,
  ) {}

  renamed(name: string, path: string): void {
    this.name = name;
    this.path = path;
  }

  sizeBytes(): number {
    return attempt(`look at ${this.path}`, () => fstatSync(this.descriptor).size);
  }

  read(into: Uint8Array, positionBytes: number): number {
    return attempt(`read ${this.path}`, () => {
      let done = 0;
      while (done < into.length) {
        const read = readSync(this.descriptor, into, done, into.length - done, positionBytes + done);
        if (read === 0) break;
        done += read;
      }
      return done;
    });
  }

  write(buffers: readonly Uint8Array[], positionBytes: number): number {
    return attempt(`write ${this.path}`, () => writevSync(this.descriptor, buffers as Uint8Array[], positionBytes));
  }

  sync(done: (error: DiskError | null) => void): void {
    fdatasync(this.descriptor, (cause) => done(cause === null ? null : failure(`sync ${this.path}`, cause)));
  }

  syncBlocking(): void {
    attempt(`sync ${this.path}`, () => fdatasyncSync(this.descriptor));
  }

  close(): void {
    this.closed();
    attempt(`close ${this.path}`, () => closeSync(this.descriptor));
  }
}

function attempt<T>(what: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    throw failure(what, cause);
  }
}

function failure(what: string, cause: unknown): DiskError {
  return new DiskError(`cannot ${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
}
