/**
 * A small disk of its own for a replica's data directory: a tmpfs, which can be filled to the last byte and emptied
 * again. Needs Linux and root. Knows nothing about chat.
 */
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmdirSync, unlinkSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isAlive } from "./ancestors.ts";

const namePrefix = "chatd-test-";
/** Room for a segment, the next one, a copy of one and the state. */
const sizeMiBDefault = 80;

function command(...words: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync({ cmd: words });
  if (exitCode !== 0) throw new Error(`${words.join(" ")} exits ${exitCode}: ${stderr.toString().trim()}`);
}

/** Why small disks cannot be made here; null when they can. */
export function smallDisksMissing(): string | null {
  if (process.platform !== "linux") return "tmpfs exists on Linux only";
  if (process.getuid?.() !== 0) return "mounting a small disk takes root";
  try {
    new SmallDisk().close();
    return null;
  } catch (error) {
    return `this system mounts no tmpfs: ${error instanceof Error ? error.message : String(error)}`;
  }
}

export class SmallDisk {
  /** Where it is mounted. */
  readonly path: string;
  readonly #filler: string;

  constructor(sizeMiB = sizeMiBDefault) {
    removeLeftOvers();
    this.path = mkdtempSync(join(tmpdir(), "chatd-small-disk-"));
    this.#filler = join(this.path, "filler");
    try {
      command("mount", "-t", "tmpfs", "-o", `size=${sizeMiB}m`, `${namePrefix}${process.pid}`, this.path);
    } catch (error) {
      rmdirSync(this.path);
      throw error;
    }
  }

  /** Leaves no byte free, whatever was removed since the last time. */
  fill(): void {
    const descriptor = openSync(this.#filler, "a");
    try {
      for (let bytes = 1024 * 1024; bytes >= 1;) {
        try {
          if (writeSync(descriptor, new Uint8Array(bytes)) < bytes) bytes = Math.floor(bytes / 2);
        } catch (error) {
          if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
          bytes = Math.floor(bytes / 2);
        }
      }
    } finally {
      closeSync(descriptor);
    }
  }

  /** Gives back the room that {@link fill} took. */
  makeRoom(): void {
    if (existsSync(this.#filler)) unlinkSync(this.#filler);
  }

  /** Whoever wrote to it must have ended. */
  close(): void {
    command("umount", this.path);
    rmdirSync(this.path);
  }
}

/** Disks of a run that was killed before it could unmount them. */
function removeLeftOvers(): void {
  for (const line of readFileSync("/proc/mounts", "utf8").split("\n")) {
    const [source = "", path = ""] = line.split(" ");
    const owner = new RegExp(`^${namePrefix}(\\d+)$`).exec(source)?.[1];
    if (owner === undefined || isAlive(Number(owner))) continue;
    command("umount", path);
    rmdirSync(path);
  }
}
