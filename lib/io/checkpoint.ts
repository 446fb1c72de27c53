/** One look at, or one passive checkpoint of, a database in WAL mode. Knows no thread and no schedule. */
import type { Database } from "bun:sqlite";

/** The write-ahead log, in pages. */
export interface LogState {
  readonly pages: number;
  /** Of those: not in the database yet. With none left, the next write begins the log anew. */
  readonly left: number;
}

/** Copies nothing. Null when it cannot be told, since somebody copies just now. */
export const lookAtLog = (database: Database): LogState | null => run(database, "NOOP");

/**
 * Copies what it can of the log into the database and makes it durable; waits for no reader or writer. `left` is what
 * had to be left, not what was written meanwhile. Null when another checkpoint is under way. Throws SQLite's error when
 * the disk fails.
 */
export const copyLog = (database: Database): LogState | null => run(database, "PASSIVE");

function run(database: Database, mode: "NOOP" | "PASSIVE"): LogState | null {
  const row = database
    .query<{ busy: number; log: number; checkpointed: number }, []>(`PRAGMA wal_checkpoint(${mode})`)
    .get();
  return row === null || row.log < 0 ? null : { pages: row.log, left: row.log - row.checkpointed };
}
