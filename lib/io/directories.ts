/**
 * Directories that a loss of power does not take away: made level by level, and synced. What is in them, who may read it
 * and who owns it is the business of whoever asks.
 */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";

/** Of a directory that is not this user's to read, or that lies in a file system that knows no such sync. */
const unsyncable = /^(EACCES|EPERM|EINVAL|ENOTSUP|EROFS)/;

/** The names in it are durable afterwards. Throws what the file system throws. */
export function syncDirectory(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Makes a directory, with those above it that are missing, for this user alone; each is durable before the next one is
 * made. One that is there already may have been made by a process that was killed before it could sync it: then that is
 * done now, as far as it can be. Throws what the file system throws.
 */
export function makeDirectories(path: string): void {
  const above = dirname(path);
  if (!existsSync(path)) {
    makeDirectories(above);
    // Somebody else may be as quick: `recursive` takes what is there.
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return syncDirectory(above);
  }
  try {
    syncDirectory(above);
  } catch (error) {
    if (!(error instanceof Error) || !unsyncable.test(error.message)) throw error;
  }
}
