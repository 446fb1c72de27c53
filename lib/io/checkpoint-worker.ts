/**
 * The other thread of `checkpoints.ts`: when SQLite's write-ahead log has become long, copies it into the database, over
 * a connection of its own. Waits for nobody and makes nobody wait. Writes no row. An entry point of the build.
 */
import { Database } from "bun:sqlite";
import { copyLog, lookAtLog } from "./checkpoint.ts";

/** What the worker is told. */
export type CheckpointOrder =
  | { readonly type: "begin"; readonly path: string; readonly lookMs: number; readonly longPages: number }
  | { readonly type: "end" };

/** What it tells. `rest`: it has copied a long log, but for a little that was written meanwhile. */
export type CheckpointReport =
  { readonly type: "rest" } | { readonly type: "failed"; readonly message: string } | { readonly type: "ended" };

/** What is left for the writer to copy is less than this, 1 MiB, if some turns can get there. */
const littlePages = 256;
const turnsMax = 5;
/** The writer is held up for as long as the last turn took: not for longer than this, unless the log is very long. */
const quickMs = 25;
const veryLong = 8;

declare const self: Worker;

class Copier {
  readonly #database: Database;
  readonly #lookMs: number;
  readonly #longPages: number;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor({ path, lookMs, longPages }: Extract<CheckpointOrder, { type: "begin" }>) {
    this.#database = new Database(path, { readwrite: true, create: false, strict: true });
    this.#lookMs = lookMs;
    this.#longPages = longPages;
    this.#look();
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

const tell = (report: CheckpointReport): void => self.postMessage(report);

function failed(error: unknown): void {
  tell({ type: "failed", message: error instanceof Error ? error.message : String(error) });
}

let copier: Copier | null = null;

self.onmessage = ({ data: order }: MessageEvent<CheckpointOrder>) => {
  try {
    if (order.type === "begin") {
      copier = new Copier(order);
    } else {
      copier?.end();
      tell({ type: "ended" });
    }
  } catch (error) {
    failed(error);
  }
};
