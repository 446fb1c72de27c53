/**
 * Keeps SQLite's write-ahead log from growing for ever without holding up the thread that writes to it: a worker copies
 * it into the database. Owns the worker and when to help it. Writes no row, and knows nothing of what is in the tables.
 *
 * The log begins anew only when all of it has been copied at the moment of a write. A worker gets there in any pause of
 * the writes, but not while they follow upon one another without one. Then the little that was written since its last
 * turn is copied here, between two writes, if the disk is quick enough or the log has become very long. And whenever the log begins anew, the writer waits for one flush of its first
 * page: so it is left to grow long.
 */
import { Database } from "bun:sqlite";
import { copyLog } from "./checkpoint.ts";
import type { CheckpointOrder, CheckpointReport } from "./checkpoint-worker.ts";

export interface CheckpointOptions {
  /** How often the worker looks how long the log is, in milliseconds. */
  readonly lookMs?: number;
  /** Pages of 4 KiB in the log from which on it is long. */
  readonly longPages?: number;
}

export interface Checkpoints {
  /** How often the worker had to be helped. */
  readonly helped: number;
  /** Resolves when the worker has copied the rest and closed the database; the writer should have closed it before. */
  stop(): Promise<void>;
}

/** Within the executable, modules are where they were in the project, seen from the one that all others are part of. */
const workerUrl = new URL(
  import.meta.url.startsWith("file:///$bunfs/") ? "./lib/io/checkpoint-worker.ts" : "./checkpoint-worker.ts",
  import.meta.url,
);

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
  const database = new Database(path, { readwrite: true, create: false, strict: true });
  const worker = new Worker(workerUrl);
  const ended = Promise.withResolvers<void>();
  let isOver = false;
  let stopped: Promise<void> | null = null;
  let helped = 0;
  const order = (message: CheckpointOrder): void => worker.postMessage(message);
  const fail = (message: string): void => {
    ended.resolve();
    if (isOver) return;
    isOver = true;
    failed(new Error(`cannot copy the write-ahead log of ${path} into it: ${message}`));
  };
  const help = (): void => {
    if (isOver) return;
    try {
      if (copyLog(database) !== null) helped++;
    } catch (error) {
      fail(error instanceof Error ? error.message : String(error));
    }
  };
  worker.onmessage = ({ data: report }: MessageEvent<CheckpointReport>) => {
    if (report.type === "failed") fail(report.message);
    else if (report.type === "ended") ended.resolve();
    else help();
  };
  worker.onerror = ({ message }) => fail(message);
  // A process lives as long as it serves, not as long as this.
  worker.unref();
  order({ type: "begin", path, lookMs, longPages });
  const stop = async (): Promise<void> => {
    isOver = true;
    // First, so that it is the worker that closes the database last, and copies the rest.
    database.close();
    worker.ref();
    order({ type: "end" });
    await ended.promise;
    worker.terminate();
  };
  return {
    get helped() {
      return helped;
    },
    stop: () => (stopped ??= stop()),
  };
}
