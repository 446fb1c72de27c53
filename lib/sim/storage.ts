/** What a simulated machine keeps from process to process: a disk with a log on it, and a state. Types only. */
import type { DiskError } from "../log/disk.ts";
import type { OpEntry } from "../protocol/entries.ts";
import type { LogBeginning, LogReader, RecoveredLog } from "../protocol/log-port.ts";
import type { StateMachine } from "../protocol/state-machine.ts";

/** A log as a process holds it while it runs. */
export interface NodeLog extends LogReader {
  readonly recovered: RecoveredLog;
  append(sequence: number, records: readonly Uint8Array[], commit: number): void;
  beginAnew(sequence: number, beginning: LogBeginning, kept: number): void;
  compact(index: number): void;
  repaired(done: () => void): void;
  lostItsEnd(): void;
}

export interface LogHandlers {
  persisted(sequence: number): void;
  failed(error: DiskError): void;
}

export type DiskFailure = "sync" | "write" | "short write" | "read";

/** What has changed by itself. */
export interface Rotten {
  /** For the trace. */
  readonly where: string;
  /** Chains of the entries of which this disk holds no sound copy there any more, also of what was superseded. */
  readonly chains: readonly bigint[];
}

/** A disk and the log on it, whichever kind a run uses. */
export interface Storage {
  open(uuid: string, handlers: LogHandlers): NodeLog;
  /** The process is gone; `power`: so is what the system had not written yet. */
  crash(power: boolean): void;
  syncTakes(meanMs: number): void;
  /** The next one does. */
  fail(how: DiskFailure): void;
  /** No room is left, or there is again. */
  fill(full: boolean): void;
  /** No fault is waiting any more. */
  mend(): void;
  /**
   * While no process runs: something durable changes by itself, in what last stood at this index if one is given. Null if
   * there is nothing yet.
   */
  rot(index?: number): Rotten | null;
  /** While no process runs: the last segment becomes what `change` makes of it. Throws for a log without bytes. */
  damage(change: (content: Uint8Array) => Uint8Array): void;
}

/** The state that outlives a process, as SQLite's file does. */
export interface StateStore {
  readonly stateMachine: StateMachine;
  /** An op of a simulated client, as it is prepared from this state. */
  prepared(op: OpEntry): OpEntry;
  /** Equal for equal states. */
  digest(): string;
  /** All of it, to be handed to `restore` of another one of its kind. */
  image(): unknown;
  /** Another's state takes the place of this one; the state machine may be another object afterwards. */
  restore(image: unknown): void;
}
