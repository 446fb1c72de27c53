/**
 * From the path that was given to the log that is meant, and why it cannot be read when it cannot. Writes nothing.
 */
import { statSync, type Stats } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { openDisk } from "../../lib/io/disk.ts";
import { DiskError, type Disk } from "../../lib/log/disk.ts";
import { LogRefusedError } from "../../lib/log/errors.ts";
import { segmentNumber } from "../../lib/log/segment.ts";
import { segmentsOn } from "../../lib/log/survey.ts";
import { CommandFailure } from "./failure.ts";

export const cannotRead = 4;

export interface LogLocation {
  readonly disk: Disk;
  /** Of a path to one segment: its number. */
  readonly only?: readonly number[];
}

/** `path` is a data directory, the directory of a log, or one segment. Throws `CommandFailure` and `DiskError`. */
export function findLog(path: string): LogLocation {
  const absolute = resolve(path);
  const found = look(absolute);
  if (found === null) throw new CommandFailure(`${path} does not exist: name a --data directory`, cannotRead);
  if (found.isDirectory()) {
    const inner = join(absolute, "log");
    const disk = openDisk(look(inner)?.isDirectory() === true ? inner : absolute);
    if (segmentsOn(disk).length > 0) return { disk };
    throw new CommandFailure(`there is no log in ${path}: no segment (*.wal) in it or its log/`, cannotRead);
  }
  const number = segmentNumber(basename(absolute));
  if (number === null || !found.isFile()) {
    throw new CommandFailure(`${path} is no segment: they are files named like 00000001.wal`, cannotRead);
  }
  return { disk: openDisk(dirname(absolute)), only: [number] };
}

/** Null if there is nothing. */
function look(path: string): Stats | null {
  try {
    return statSync(path);
  } catch (cause) {
    if (codeOf(cause) === "ENOENT") return null;
    throw new DiskError(`cannot look at ${path}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** What the user is told when a log could not be read; what is no such failure is thrown on. */
export function unreadable(error: unknown): CommandFailure {
  if (error instanceof LogRefusedError) return new CommandFailure(error.message, cannotRead, { cause: error });
  if (!(error instanceof DiskError)) throw error;
  const code = codeOf(error.cause);
  const denied = code === "EACCES" || code === "EPERM";
  const advice = denied ? "; run it as the user who runs the replica, or as root" : "";
  // "cannot list DIR: EACCES: permission denied, scandir 'DIR'" says everything twice.
  const message = error.message.replace(/: E[A-Z]+: ([^,]+), \w+(?: '.*')?$/, ": $1");
  return new CommandFailure(`${message}${advice}`, cannotRead, { cause: error });
}

export const codeOf = (error: unknown): string | null =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : null;
