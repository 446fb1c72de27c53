/**
 * Keeps SQLite's write-ahead log from growing for ever without holding up the thread that writes to it: a worker copies
 * it into the database. Owns the worker and when to help it; asks it for all else that takes long with the state as a
 * file. Writes no row, and knows nothing of what is in the tables.
 *
 * The log begins anew only when all of it has been copied at the moment of a write. A worker gets there in any pause of
 * the writes, but not while they follow upon one another without one. Then the little that was written since its last
 * turn is copied here, between two writes, if the disk is quick enough or the log has become very long. And whenever
 * the log begins anew, the writer waits for one flush of its first page: so it is left to grow long.
 */
import { Database } from "bun:sqlite";
import { copyLog } from "./checkpoint.ts";
import type { CheckpointOrder, CheckpointReport } from "./checkpoint-worker.ts";
import type { StateCopy } from "./state-copy.ts";

export interface CheckpointOptions {
  /** How often the worker looks how long the log is, in milliseconds. */
  readonly lookMs?: number;
  /** Pages of 4 KiB in the log from which on it is long. */
  readonly longPages?: number;
  /** Told when something that was asked for could not be done, and nothing is lost by that. */
  readonly undone?: (message: string) => void;
}

export interface Checkpoints {
  /** How often the worker had to be helped. */
  readonly helped: number;
  /** Makes everything durable that was committed until now. */
  sync(): Promise<void>;
  /** Copies the database as it is at some moment from now on. Null, after a word to `undone`, if that cannot be done. */
  copyTo(path: string): Promise<StateCopy | null>;
  /** Whether a file is the one of this size and SHA-256; if so it is durable. */
  isWhole(path: string, sizeBytes: number, sha256: Uint8Array): Promise<boolean>;
  /** A file that is durable takes the place of the database; the writer has closed that, and opens it again after. */
  takeOver(from: string): Promise<void>;
  /** Resolves when the worker has copied the rest and closed the database; the writer should have closed it before. */
  stop(): Promise<void>;
}

/** Within the executable, modules are where they were in the project, seen from the one that all others are part of. */
const workerUrl = new URL(
  import.meta.url.startsWith("file:///$bunfs/") ? "./lib/io/checkpoint-worker.ts" : "./checkpoint-worker.ts",
  import.meta.url,
);

type Result = StateCopy | boolean | null;

const lookMsDefault = 1000;
/** 64 MiB: what a start after a crash reads through. */
const longPagesDefault = 16_384;

/**
 * Begins to checkpoint a database in WAL mode, whose writer should not do so itself (`wal_autocheckpoint = 0`). `failed`
 * is called at most once, for an error of the disk; there are no more checkpoints then.
 */
export function startCheckpoints(
  path: string,
  failed: (error: Error) => void,
  options: CheckpointOptions = {},
): Checkpoints {
  const { lookMs = lookMsDefault, longPages = longPagesDefault } = options;
  const open = (): Database => {
    const opened = new Database(path, { readwrite: true, create: false, strict: true });
    opened.run("PRAGMA busy_timeout = 1000");
    return opened;
  };
  let database: Database | null = open();
  const worker = new Worker(workerUrl);
  const ended = Promise.withResolvers<void>();
  let isOver = false;
  let stopped: Promise<void> | null = null;
  let helped = 0;
  let asked = 0;
  const waiting = new Map<number, (result: Result) => void>();
  const order = (message: CheckpointOrder): void => worker.postMessage(message);
  const fail = (message: string): void => {
    ended.resolve();
    if (isOver) return;
    isOver = true;
    failed(new Error(`cannot copy the write-ahead log of ${path} into it: ${message}`));
  };
  const help = (): void => {
    if (isOver || database === null) return;
    try {
      if (copyLog(database) !== null) helped++;
    } catch (error) {
      fail(error instanceof Error ? error.message : String(error));
    }
  };
  worker.onmessage = ({ data: report }: MessageEvent<CheckpointReport>) => {
    if (report.type === "failed") return fail(report.message);
    if (report.type === "ended") return ended.resolve();
    if (report.type === "rest") return help();
    if (report.type === "undone") options.undone?.(report.message);
    const resolve = waiting.get(report.number);
    waiting.delete(report.number);
    resolve?.(report.type === "done" ? report.result : null);
  };
  worker.onerror = ({ message }) => fail(message);
  // A process lives as long as it serves, not as long as this.
  worker.unref();
  order({ type: "begin", path, lookMs, longPages });
  const ask = (make: (number: number) => CheckpointOrder): Promise<Result> => {
    const { promise, resolve } = Promise.withResolvers<Result>();
    waiting.set(++asked, resolve);
    order(make(asked));
    return promise;
  };
  const stop = async (): Promise<void> => {
    isOver = true;
    // First, so that it is the worker that closes the database last, and copies the rest.
    database?.close();
    worker.ref();
    order({ type: "end" });
    await ended.promise;
    worker.terminate();
  };
  return {
    get helped() {
      return helped;
    },
    sync: async () => void (await ask((number) => ({ type: "sync", number }))),
    copyTo: async (to) => {
      const result = await ask((number) => ({ type: "copy", number, to }));
      return typeof result === "object" ? result : null;
    },
    isWhole: async (file, sizeBytes, sha256) =>
      (await ask((number) => ({ type: "check", number, path: file, sizeBytes, sha256 }))) === true,
    takeOver: async (from) => {
      database?.close();
      database = null;
      await ask((number) => ({ type: "take over", number, from }));
      if (!isOver) database = open();
    },
    stop: () => (stopped ??= stop()),
  };
}
