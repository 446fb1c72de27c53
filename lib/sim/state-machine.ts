/**
 * A small state machine in memory for simulated replicas: applies ops once per (session, seq), keeps results, and can be
 * set back to an earlier point as SQLite would be by a loss of power. Knows no chat. Everything that it applies is shown
 * to an observer, which judges the order.
 */
import { assert } from "../base/assert.ts";
import type {
  Applied,
  Attachment,
  CommittedEntry,
  OpResult,
  Outcome,
  Prepared,
  SessionRecord,
  StateMachine,
} from "../protocol/state-machine.ts";
import type { Push, QueryReply, Refusal } from "../protocol/messages.ts";

/** Told of each entry in the order of application; `first` is false for an op that was applied before. */
export interface ApplyObserver {
  applied(entry: CommittedEntry, first: boolean): void;
  reset(): void;
}

export class MemoryStateMachine implements StateMachine {
  /** Every entry applied since the start or the last reset: entry i + 1 at i. */
  readonly entries: CommittedEntry[] = [];
  /** A 32-bit hash over the ops applied for the first time, in order. */
  digest = 0;
  private readonly results = new Map<string, Map<number, OpResult>>();
  /** Set while the observer is not to be told: entries applied again to rebuild an earlier state. */
  private silent = false;

  constructor(private readonly observer: ApplyObserver) {}

  get applied(): { readonly index: number; readonly view: number; readonly chain: bigint } {
    const last = this.entries.at(-1);
    return last === undefined
      ? { index: 0, view: 0, chain: 0n }
      : { index: last.index, view: last.view, chain: last.chain };
  }

  apply(entries: readonly CommittedEntry[]): Applied {
    const outcomes: Outcome[] = [];
    for (const entry of entries) {
      assert(entry.index === this.entries.length + 1, "entries are applied in order, none left out");
      this.entries.push(entry);
      if (entry.op === null) {
        if (!this.silent) this.observer.applied(entry, false);
        continue;
      }
      const { session, seq } = entry.op;
      let results = this.results.get(session);
      if (results === undefined) this.results.set(session, (results = new Map()));
      const known = results.get(seq);
      const result: OpResult = known ?? {
        type: "done",
        index: entry.index,
        view: entry.view,
        duplicate: false,
        count: seq,
      };
      if (known === undefined) {
        results.set(seq, result);
        this.digest = mix(this.digest, entry.op.command);
      }
      if (!this.silent) this.observer.applied(entry, known === undefined);
      outcomes.push({ session, seq, result: known === undefined ? result : duplicate(known) });
    }
    return { outcomes, deliveries: [] };
  }

  reset(): void {
    this.clear();
    this.observer.reset();
  }

  /** What a disk that lost power may hold: the state as it stood at `index`. */
  rollBack(index: number): void {
    const kept = this.entries.slice(0, index);
    this.clear();
    this.silent = true;
    this.apply(kept);
    this.silent = false;
  }

  /** Whether an op has been applied: the dedup set. */
  has(session: string, seq: number): boolean {
    return this.results.get(session)?.has(seq) ?? false;
  }

  result(session: string, seq: number): OpResult | null {
    const known = this.results.get(session)?.get(seq);
    return known === undefined ? null : duplicate(known);
  }

  close(): void {}

  session(session: string): SessionRecord | null {
    return { session, tokenHash: new Uint8Array(32), account: null, user: null, attachment: null };
  }

  prepare(): Promise<Prepared> {
    return Promise.resolve({ ok: false, code: "bad-command", message: "the simulated clients propose ops themselves" });
  }

  query(): QueryReply | Refusal {
    return { type: "refused", request: 0, code: "bad-command", message: "there is nothing to ask" };
  }

  waiting(): { readonly inbox: number; readonly drafts: number } {
    return { inbox: 0, drafts: 0 };
  }

  missed(): readonly Push[] {
    return [];
  }

  attachments(): readonly Attachment[] {
    return [];
  }

  private clear(): void {
    this.entries.length = 0;
    this.results.clear();
    this.digest = 0;
  }
}

function duplicate(result: OpResult): OpResult {
  return result.type === "refused" ? result : { ...result, duplicate: true };
}

function mix(hash: number, bytes: Uint8Array): number {
  let mixed = hash;
  for (const byte of bytes) mixed = Math.imul(mixed ^ byte, 0x01000193);
  return mixed >>> 0;
}
