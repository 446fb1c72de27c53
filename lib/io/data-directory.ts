/**
 * The data directory of one replica: makes or opens it, locks it, and holds the file that says whose it is. What is in
 * the log and in the state is not looked at here.
 */
import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { makeDirectories, syncDirectory } from "./directories.ts";
import { isHeld, lockFile, NoLocksError, type Lock } from "./lock.ts";

/** The data directory cannot be used. `serve` exits with 73, or with 74 where the disk has failed. The message is for people. */
export class DataDirectoryError extends Error {
  override readonly name = "DataDirectoryError";
}

/** Whose directory it is. */
export interface DirectoryIdentity {
  /** 16 bytes. */
  readonly cluster: Uint8Array;
  readonly pid: number;
  /** Drawn when the directory was made: a wiped disk is another replica. */
  readonly replica: string;
  /** It joined a cluster that was there already, whose id it learnt from it: it never founds one. */
  readonly joined: boolean;
}

export interface DataDirectory extends Readonly<DirectoryIdentity> {
  readonly path: string;
  /** Directory of the write-ahead log; exists. */
  readonly logPath: string;
  /** File of the SQLite state; empty when it is new. */
  readonly statePath: string;
  /** It was made by this process or by one that did not come to {@link DataDirectory.established}. */
  readonly isNew: boolean;
  /**
   * To be called once the log has been opened and before anything is acknowledged: from then on a directory without a
   * log is a lost log, and is refused.
   */
  established(): void;
  /**
   * Makes it the directory of a newcomer to this cluster, as if it were new. Only while nothing has been logged or
   * acknowledged and its log is closed: what is there is deleted.
   */
  adopt(cluster: Uint8Array): void;
  /** Gives the lock back. */
  close(): void;
}

const formatVersion = 1;
const identityName = "identity.json";
/** The identity of a directory that is being made: the same content under another name. */
const unestablishedName = "identity.json.new";
const lockName = "lock";
/** May stand in a directory that a crash kept from becoming one. */
const leftovers = new Set([lockName, `${lockName}.probe`, `${lockName}.sqlite`, `${unestablishedName}.tmp`]);

/**
 * Opens the directory for this replica, or makes it (mode 0700), with `cluster` if it is new. Throws
 * {@link DataDirectoryError}: locked, not empty but no chatd directory, of another replica, of a newer format, its log
 * lost, or not accessible.
 */
export function openDataDirectory(
  path: string,
  owner: { readonly cluster: Uint8Array; readonly pid: number },
): DataDirectory {
  const directory = resolve(path);
  return explained(directory, () => {
    makeDirectory(directory);
    refuseStrangeContent(directory);
    const lock = acquire(directory);
    try {
      return openLocked(directory, owner, lock);
    } catch (error) {
      lock.release();
      throw error;
    }
  });
}

/** What the file system throws leaves with the name of the directory, and what to do. */
function explained<T>(directory: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof DataDirectoryError) throw error;
    const message = error instanceof Error ? error.message : String(error);
    throw new DataDirectoryError(
      `cannot use the data directory ${directory}: ${message}; ${remedyOf(error, message)}, or name another with --data`,
      { cause: error },
    );
  }
}

function remedyOf(error: unknown, message: string): string {
  if (error instanceof NoLocksError) return "put it on a disk of this machine";
  if (message.startsWith("EIO")) return "have its disk looked at";
  return /^(ENOSPC|EDQUOT)/.test(message) ? "make room there" : "make it readable and writable for this user";
}

/** Whose directory it is, without locking it; null if it is none (yet). Throws {@link DataDirectoryError}. */
export function readIdentity(path: string): DirectoryIdentity | null {
  const directory = resolve(path);
  for (const name of [identityName, unestablishedName]) {
    const file = join(directory, name);
    if (existsSync(file)) return parseIdentity(file, readFileSync(file, "utf8"));
  }
  return null;
}

function openLocked(
  directory: string,
  owner: { readonly cluster: Uint8Array; readonly pid: number },
  lock: Lock,
): DataDirectory {
  const logPath = join(directory, "log");
  const isNew = !existsSync(join(directory, identityName));
  const { cluster, pid } = owner;
  const identity = readIdentity(directory) ?? writeIdentity(directory, { ...newIdentity(pid), cluster });
  refuseOther(directory, identity, owner.pid);
  if (isNew) mkdirSync(logPath, { recursive: true, mode: 0o700 });
  else refuseLostLog(directory, logPath);
  // Left by an `adopt` that did not come to its end.
  if (isNew && identity.joined) emptyLog(logPath);
  // Otherwise it would be noticed when the first segment is full.
  accessSync(logPath, constants.R_OK | constants.W_OK | constants.X_OK);
  const statePath = join(directory, "state.sqlite");
  makePrivate(statePath);
  syncDirectory(directory);
  let established = !isNew;
  let current = identity;
  return {
    get cluster() {
      return current.cluster;
    },
    get joined() {
      return current.joined;
    },
    get isNew() {
      return !established;
    },
    pid,
    replica: identity.replica,
    path: directory,
    logPath,
    statePath,
    established: () => {
      if (established) return;
      explained(directory, () => {
        renameSync(join(directory, unestablishedName), join(directory, identityName));
        syncDirectory(directory);
      });
      established = true;
    },
    adopt: (adopted) => {
      // In this order: whenever it is interrupted, the directory is the old one or a new one of the cluster adopted.
      explained(directory, () => {
        current = writeIdentity(directory, { ...identity, cluster: adopted, joined: true });
        rmSync(join(directory, identityName), { force: true });
        syncDirectory(directory);
        established = false;
        emptyLog(logPath);
      });
    },
    close: () => lock.release(),
  };
}

/** SQLite would make the file readable for everybody, and gives its journals the mode that the file has. */
function makePrivate(file: string): void {
  closeSync(openSync(file, "a", 0o600));
  for (const name of [file, `${file}-wal`, `${file}-shm`]) if (existsSync(name)) chmodSync(name, 0o600);
}

function emptyLog(logPath: string): void {
  for (const name of readdirSync(logPath)) if (name.endsWith(".wal")) rmSync(join(logPath, name));
  syncDirectory(logPath);
}

function makeDirectory(directory: string): void {
  if (existsSync(directory)) {
    if (!statSync(directory).isDirectory()) {
      throw new DataDirectoryError(`the data directory ${directory} is a file: name a directory with --data`);
    }
    accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK);
  }
  makeDirectories(directory);
}

function refuseStrangeContent(directory: string): void {
  const names = readdirSync(directory);
  if (names.includes(identityName) || names.includes(unestablishedName)) return;
  const strange = names.find((name) => !leftovers.has(name));
  if (strange === undefined) return;
  throw new DataDirectoryError(
    `${directory} is not empty (it holds ${strange}) and has no ${identityName}, so it is not a data ` +
      `directory of chatd: name an empty or new directory with --data`,
  );
}

function acquire(directory: string): Lock {
  const lock = lockFile(join(directory, lockName));
  if (!isHeld(lock)) return lock;
  const by = lock.heldBy === null ? "another chatd" : `another chatd (process ${lock.heldBy})`;
  throw new DataDirectoryError(
    `the data directory ${directory} is in use by ${by}: stop it first, or name another directory with --data`,
  );
}

function refuseOther(directory: string, identity: DirectoryIdentity, pid: number): void {
  if (identity.pid === pid) return;
  throw new DataDirectoryError(
    `the data directory ${directory} is that of replica ${identity.pid}, but this is replica ${pid}: ` +
      `start with --pid ${identity.pid}, or name another directory with --data`,
  );
}

/** With its log a replica has lost what it acknowledged and promised: it may not go on under its old uuid. */
function refuseLostLog(directory: string, logPath: string): void {
  if (existsSync(logPath) && readdirSync(logPath).some((name) => name.endsWith(".wal"))) return;
  throw new DataDirectoryError(
    `the data directory ${directory} has lost its log (no segment in ${logPath}): put the log back, or move the ` +
      `directory away so that the replica joins again as a new one`,
  );
}

const newIdentity = (pid: number): Omit<DirectoryIdentity, "cluster"> => ({
  pid,
  replica: crypto.randomUUID(),
  joined: false,
});

/** As that of a directory that is being made. */
function writeIdentity(directory: string, identity: DirectoryIdentity): DirectoryIdentity {
  const { cluster, pid, replica, joined } = identity;
  const text = { format: formatVersion, cluster: cluster.toHex(), pid, replica, ...(joined ? { joined } : {}) };
  const path = join(directory, unestablishedName);
  const descriptor = openSync(`${path}.tmp`, "w", 0o600);
  writeSync(descriptor, `${JSON.stringify(text)}\n`);
  fsyncSync(descriptor);
  closeSync(descriptor);
  renameSync(`${path}.tmp`, path);
  syncDirectory(directory);
  return identity;
}

function parseIdentity(file: string, text: string): DirectoryIdentity {
  const { format, cluster, pid, replica, joined } = parseObject(text);
  if (typeof format === "number" && format > formatVersion) {
    throw new DataDirectoryError(
      `${file} has format ${format}, but this chatd knows only up to format ${formatVersion}: ` +
        `start the chatd that made it, or a newer one`,
    );
  }
  const isSound =
    format === formatVersion &&
    typeof cluster === "string" &&
    /^[0-9a-f]{32}$/.test(cluster) &&
    typeof pid === "number" &&
    Number.isInteger(pid) &&
    typeof replica === "string" &&
    /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(replica);
  if (!isSound) {
    throw new DataDirectoryError(
      `${file} cannot be read as what chatd wrote there: put it back from a copy, or move the directory away so that ` +
        `the replica joins again as a new one`,
    );
  }
  return { cluster: Uint8Array.fromHex(cluster), pid, replica, joined: joined === true };
}

function parseObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}
