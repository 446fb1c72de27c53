/**
 * Ops that came out of the log refused, and are told so: that is final. Should what this log holds of them become a fork,
 * they are not merged, since the lineage could do what their senders know to be refused. Another copy of such an op, for which
 * its sender asked on another side, may have been done there, and is merged.
 *
 * Held in memory, for as long as it can matter: a process that starts anew before the heal has forgotten them. Knows no
 * log, and not which view an entry was applied in.
 */
import type { OpEntry } from "../protocol/entries.ts";
import type { ErrorCode } from "../protocol/messages.ts";
import type { CommittedEntry, Outcome } from "../protocol/state-machine.ts";

/** About 10 MB. Beyond that the oldest are forgotten. */
const heldMaxDefault = 65_536;

export class ToldRefusals {
  readonly #held = new Set<string>();
  readonly #heldMax: number;

  constructor(heldMax = heldMaxDefault) {
    this.#heldMax = heldMax;
  }

  get isEmpty(): boolean {
    return this.#held.size === 0;
  }

  has(op: OpEntry): boolean {
    return this.#held.has(keyOf(op));
  }

  clear(): void {
    this.#held.clear();
  }

  /** What came of these entries. `isFinal`: they stand on every disk, and so can be in no fork. */
  note(entries: readonly CommittedEntry[], outcomes: readonly Outcome[], isFinal: () => boolean): void {
    const ops = entries.flatMap(({ op }) => op ?? []);
    for (const [at, { result }] of outcomes.entries()) {
      const op = ops[at];
      if (op === undefined || result?.type !== "refused" || saysNothing(result.code)) continue;
      // Whoever asked for a merged op has its acknowledgement, whatever came of it here.
      if (op.origAt === op.at && !isFinal()) this.#held.add(keyOf(op));
    }
    for (const key of this.#held) {
      if (this.#held.size <= this.#heldMax) break;
      this.#held.delete(key);
    }
  }
}

/** It was done before, or its session is not known here. */
const saysNothing = (code: ErrorCode): boolean => code === "unknown" || code === "unauthorized";

/** Of this very copy: all that came of one asking have the time at which it was first accepted. */
const keyOf = ({ session, seq, digest, origAt }: OpEntry): string => `${session}/${seq}/${digest.toHex()}/${origAt}`;
