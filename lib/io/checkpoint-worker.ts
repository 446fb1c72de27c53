/**
 * The other thread of `checkpoints.ts`: when SQLite's write-ahead log has become long, copies it into the database, over
 * a connection of its own; makes what was written durable when asked, copies of the state, and puts another's in its
 * place. Waits for nobody and makes nobody wait. Writes no row. An entry point of the build.
 */
import { Database } from "bun:sqlite";
import { copyLog, lookAtLog } from "./checkpoint.ts";
import { copyState, isWhole, syncState, takeOver, type StateCopy } from "./state-copy.ts";

/** What the worker is told. `number` comes back with the answer. */
export type CheckpointOrder =
  | { readonly type: "begin"; readonly path: string; readonly lookMs: number; readonly longPages: number }
  | { readonly type: "sync"; readonly number: number }
  /** A copy of the database as it is now, into this file. */
  | { readonly type: "copy"; readonly number: number; readonly to: string }
  /** Whether a file is this one; it is durable then. */
  | {
      readonly type: "check";
      readonly number: number;
      readonly path: string;
      readonly sizeBytes: number;
      readonly sha256: Uint8Array;
    }
  /** That file takes the place of the database, which nobody else has open. */
  | { readonly type: "take over"; readonly number: number; readonly from: string }
  | { readonly type: "end" };

/** What it tells. `rest`: it has copied a long log, but for a little that was written meanwhile. */
export type CheckpointReport =
  | { readonly type: "rest" }
  | { readonly type: "done"; readonly number: number; readonly result: StateCopy | boolean | null }
  /** What was asked for could not be done; the database is as it was. */
  | { readonly type: "undone"; readonly number: number; readonly message: string }
  | { readonly type: "failed"; readonly message: string }
  | { readonly type: "ended" };

/** What is left for the writer to copy is less than this, 1 MiB, if some turns can get there. */
const littlePages = 256;
const turnsMax = 5;
/** The writer is held up for as long as the last turn took: not for longer than this, unless the log is very long. */
const quickMs = 25;
const veryLong = 8;

declare const self: Worker;

class Copier {
  readonly #path: string;
  #database: Database;
  readonly #lookMs: number;
  readonly #longPages: number;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor({ path, lookMs, longPages }: Extract<CheckpointOrder, { type: "begin" }>) {
    this.#path = path;
    this.#database = open(path);
    this.#lookMs = lookMs;
    this.#longPages = longPages;
    this.#look();
  }

  /** What came of it. */
  run(order: Exclude<CheckpointOrder, { type: "begin" | "end" }>): StateCopy | boolean | null {
    switch (order.type) {
      case "sync":
        syncState(this.#path);
        return null;
      case "copy":
        return copyState(this.#database, order.to);
      case "check":
        return isWhole(order.path, order.sizeBytes, order.sha256);
      case "take over":
        this.#database.close();
        try {
          takeOver(order.from, this.#path);
        } finally {
          this.#database = open(this.#path);
        }
        return null;
    }
  }

  end(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#database.close();
  }

  #look(): void {
    try {
      this.#shorten();
    } catch (error) {
      return failed(error);
    }
    this.#timer = setTimeout(() => this.#look(), this.#lookMs);
  }

  /** Each turn takes less long than the one before it, and leaves less. */
  #shorten(): void {
    let log = lookAtLog(this.#database);
    if (log === null || log.pages < this.#longPages) return;
    let tookMs = 0;
    for (let turns = 0; turns < turnsMax && log !== null && log.left > (turns === 0 ? 0 : littlePages); turns++) {
      const beganMs = performance.now();
      copyLog(this.#database);
      tookMs = performance.now() - beganMs;
      log = lookAtLog(this.#database);
    }
    if (log === null || log.left === 0) return;
    if (tookMs < quickMs || log.pages >= veryLong * this.#longPages) tell({ type: "rest" });
  }
}

/** Opening it for the first time takes a lock for a moment, which two may want at once. */
const lockedMs = 5_000;

function open(path: string): Database {
  const database = new Database(path, { readwrite: true, create: false, strict: true });
  database.run(`PRAGMA busy_timeout = ${lockedMs}`);
  return database;
}

const tell = (report: CheckpointReport): void => self.postMessage(report);

function failed(error: unknown): void {
  tell({ type: "failed", message: error instanceof Error ? error.message : String(error) });
}

let copier: Copier | null = null;

function carryOut(order: Exclude<CheckpointOrder, { type: "begin" | "end" }>): void {
  const { number } = order;
  try {
    tell({ type: "done", number, result: copier?.run(order) ?? null });
  } catch (error) {
    // What was to be durable and is not, or a database that is gone, is the end; a copy is only not made.
    if (order.type === "sync" || order.type === "take over") throw error;
    tell({ type: "undone", number, message: error instanceof Error ? error.message : String(error) });
  }
}

self.onmessage = ({ data: order }: MessageEvent<CheckpointOrder>) => {
  try {
    if (order.type === "begin") {
      copier = new Copier(order);
    } else if (order.type === "end") {
      copier?.end();
      tell({ type: "ended" });
    } else {
      carryOut(order);
    }
  } catch (error) {
    failed(error);
  }
};
