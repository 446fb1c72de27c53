/**
 * Ops that came out of the log refused, and are told so: that is final. Should what this log holds of them become a fork,
 * they are not merged, since the lineage could do what their senders know to be refused.
 *
 * Held in memory, for as long as it can matter: a process that starts anew before the heal has forgotten them. Knows no
 * log, and not which view an entry was applied in.
 */
import type { OpEntry } from "../protocol/entries.ts";
import type { CommittedEntry, Outcome } from "../protocol/state-machine.ts";

/** About 10 MB. Beyond that the oldest are forgotten. */
const heldMaxDefault = 65_536;

export class ToldRefusals {
  /** The times of the refusals. */
  readonly #held = new Map<string, number>();
  readonly #heldMax: number;

  constructor(heldMax = heldMaxDefault) {
    this.#heldMax = heldMax;
  }

  get isEmpty(): boolean {
    return this.#held.size === 0;
  }

  /** Not when it was asked for again on another side later: its sender has the answer of that side. */
  has(op: OpEntry): boolean {
    return (this.#held.get(keyOf(op)) ?? -Infinity) >= op.origAt;
  }

  clear(): void {
    this.#held.clear();
  }

  /** What came of these entries. `isFinal`: they stand on every disk, and so can be in no fork. */
  note(entries: readonly CommittedEntry[], outcomes: readonly Outcome[], isFinal: () => boolean): void {
    const ops = entries.flatMap(({ op }) => op ?? []);
    for (const [at, { result }] of outcomes.entries()) {
      const op = ops[at];
      if (op === undefined || result === null || saysNothing(result)) continue;
      // Whoever asked for a merged op has its acknowledgement, whatever came of it here.
      const isRefused = result.type === "refused" && op.origAt === op.at;
      if (!isRefused && this.isEmpty) continue;
      const key = keyOf(op);
      const before = this.#held.get(key) ?? -Infinity;
      if (!isRefused && before <= op.at) this.#held.delete(key);
      else if (isRefused && !isFinal()) this.#held.set(key, Math.max(before, op.at));
    }
    for (const key of this.#held.keys()) {
      if (this.#held.size <= this.#heldMax) break;
      this.#held.delete(key);
    }
  }
}

/** It was done before, or its session is not known here. */
const saysNothing = (result: NonNullable<Outcome["result"]>): boolean =>
  result.type === "refused" && (result.code === "unknown" || result.code === "unauthorized");

const keyOf = ({ session, seq, digest }: OpEntry): string => `${session}/${seq}/${digest.toHex()}`;
