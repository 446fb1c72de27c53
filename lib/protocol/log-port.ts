/**
 * What `lib/replication` needs of a write-ahead log, and what `lib/log` offers. Types only.
 */
import type { beginningFields } from "./entries.ts";
import type { Position } from "./fields.ts";
import type { FieldsOf } from "./schema.ts";

/** How the core reads log records that it no longer holds in memory. Synchronous; only ever asked for what is logged. */
export interface LogReader {
  /** Whole records of the logical log from `fromIndex` on, at least one, at most about `maxBytes`. */
  read(fromIndex: number, maxBytes: number): Uint8Array[];
  /**
   * Superseded OP records that may not have been applied in the lineage yet: forks kept on disk, and what is on its way
   * there. In the order of their places, a portion at a time (some may be empty), as a fork may be long. To be begun anew
   * when more is superseded.
   */
  orphans(): IterableIterator<readonly Uint8Array[]>;
  /** Whether anything superseded stands on disk that no MERGED record has settled. */
  readonly hasForks: boolean;
  /**
   * Where the log would begin (the index of the entry before its first) if as much were deleted as can be at once of what
   * stands at or below `floor`; null if nothing can. What holds forks that no MERGED record has settled may go only
   * `evenForks`.
   */
  compactable(floor: number, evenForks: boolean): number | null;
}

/** Of a log that begins above 1: the entry before its first one, and what is kept of what stood before. */
export interface LogBeginning extends Readonly<FieldsOf<typeof beginningFields>> {
  readonly position: Position;
}

/** What was found on disk at start. */
export interface RecoveredLog {
  /** The greatest view promised. */
  readonly promised: number;
  /** Null for a log that begins with entry 1. */
  readonly beginning: LogBeginning | null;
  /**
   * This disk was in the first view of the log or has led one of its views, as far as that stands before its beginning, and
   * no other one has stood in its place since.
   */
  readonly isKnown: boolean;
  /** For i = 0…: view and chain of the entry i + 1 after the beginning. */
  readonly views: Float64Array;
  readonly chains: BigUint64Array;
  /** The commit index of the last SYNC record (a hint: everything up to there was committed in some lineage). */
  readonly commit: number;
  /** Corrupt below what is known to be durable: no vote, no base, until repaired. */
  readonly damaged: boolean;
}
