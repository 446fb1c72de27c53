/**
 * A small state machine in memory for simulated replicas: applies ops once per (session, seq), keeps results, for
 * runs that are about the log and want speed. Knows no chat.
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

export interface MemoryImage {
  readonly entries: readonly CommittedEntry[];
  readonly results: ReadonlyMap<string, ReadonlyMap<number, OpResult>>;
  readonly digest: number;
  readonly clock: number;
}

export class MemoryStateMachine implements StateMachine {
  /** A 32-bit hash over the ops applied for the first time, in order. */
  digest = 0;
  clock = 0;
  private readonly entries: CommittedEntry[] = [];
  private readonly results = new Map<string, Map<number, OpResult>>();

  get applied(): { readonly index: number; readonly view: number; readonly chain: bigint } {
    return this.entries.at(-1) ?? { index: 0, view: 0, chain: 0n };
  }

  apply(entries: readonly CommittedEntry[]): Applied {
    const outcomes: Outcome[] = [];
    for (const entry of entries) {
      assert(entry.index === this.entries.length + 1, "entries are applied in order, none left out");
      this.entries.push(entry);
      if (entry.op === null) continue;
      this.clock = Math.max(this.clock, entry.op.at);
      const { session, seq } = entry.op;
      let results = this.results.get(session);
      if (results === undefined) this.results.set(session, (results = new Map()));
      const known = results.get(seq);
      if (known !== undefined) {
        outcomes.push({ session, seq, result: duplicate(known) });
        continue;
      }
      const { index, view } = entry;
      const result: OpResult = { type: "done", index, view, duplicate: false, count: seq };
      results.set(seq, result);
      this.digest = mix(this.digest, entry.op.command);
      outcomes.push({ session, seq, result });
    }
    return { outcomes, deliveries: [] };
  }

  /** What it is made of, not shared with it. */
  image(): MemoryImage {
    const results = new Map([...this.results].map(([session, bySeq]) => [session, new Map(bySeq)]));
    return { entries: [...this.entries], results, digest: this.digest, clock: this.clock };
  }

  restore({ entries, results, digest, clock }: MemoryImage): void {
    this.reset();
    for (const entry of entries) this.entries.push(entry);
    for (const [session, bySeq] of results) this.results.set(session, new Map(bySeq));
    this.digest = digest;
    this.clock = clock;
  }

  reset(): void {
    this.entries.length = 0;
    this.results.clear();
    this.digest = 0;
    this.clock = 0;
  }

  hasApplied(session: string, seq: number): boolean {
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

  idleSessions(): readonly string[] {
    return [];
  }

  attachments(): readonly Attachment[] {
    return [];
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
