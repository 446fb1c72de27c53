/**
 * What `lib/replication` needs of a write-ahead log, and what `lib/log` offers. Types only.
 */

/** How the core reads log records that it no longer holds in memory. Synchronous; only ever asked for what is logged. */
export interface LogReader {
  /** Whole records of the logical log from `fromIndex` on, at least one, at most about `maxBytes`. */
  read(fromIndex: number, maxBytes: number): Uint8Array[];
  /** Superseded OP records that may not have been applied in the lineage yet (forks kept on disk). */
  orphans(): Uint8Array[];
}

/** What was found on disk at start. */
export interface RecoveredLog {
  /** The greatest view promised. */
  readonly promised: number;
  /** For i = 0…: view and chain of entry i + 1. */
  readonly views: Float64Array;
  readonly chains: BigUint64Array;
  /** The commit index of the last SYNC record (a hint: everything up to there was committed in some lineage). */
  readonly commit: number;
  /** Corrupt below what is known to be durable: no vote, no base, until repaired. */
  readonly damaged: boolean;
}
