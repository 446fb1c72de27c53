/**
 * The number that tells one process of a replica from the next: greater at each start, even when the clock was set back
 * meanwhile. Kept in a file of the data directory.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { DiskError } from "../../lib/log/disk.ts";

/** The number after the one in the file, and at least the time in milliseconds since the epoch. */
export function nextIncarnation(file: string, wallMs: number): number {
  return Math.max(lastIncarnation(file) + 1, Math.floor(wallMs));
}

/** Makes it durable: to be done before this process tells anybody its number. Throws `DiskError`. */
export function saveIncarnation(file: string, incarnation: number): void {
  try {
    save(file, incarnation);
  } catch (error) {
    throw new DiskError(`cannot write ${file}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

function save(file: string, incarnation: number): void {
  const descriptor = openSync(`${file}.tmp`, "w", 0o600);
  writeSync(descriptor, `${incarnation}\n`);
  fsyncSync(descriptor);
  closeSync(descriptor);
  renameSync(`${file}.tmp`, file);
  const directory = openSync(dirname(file), "r");
  fsyncSync(directory);
  closeSync(directory);
}

/** 0 when there was none; a file that cannot be read as a number counts for nothing, as the time is there too. */
function lastIncarnation(file: string): number {
  try {
    const text = readFileSync(file, "utf8").trim();
    return /^\d{1,15}$/.test(text) ? Number(text) : 0;
  } catch {
    return 0;
  }
}
