/**
 * Wrong passwords, counted by account and host: who guesses may do so slowly. Only the host that guesses is slowed down,
 * so that nobody can lock somebody else out from elsewhere. Counts on this replica alone, in sweeps; knows no clock.
 */
import type { Prepared } from "../protocol/state-machine.ts";

/** So many wrong passwords for one account from one host are answered at once; then one more every few sweeps. */
const freeGuesses = 10;
const sweepsPerGuess = 6;
/** Accounts and hosts remembered; above it those that guessed first are forgotten. */
const rememberedMax = 10_000;

interface Count {
  wrong: number;
  /** Since the first of them. */
  sweeps: number;
}

const slowed = {
  ok: false,
  code: "rate-limited",
  message: "Too many wrong passwords for this account: try again in a few seconds.",
} as const satisfies Prepared;

export class Guesses {
  readonly #counts = new Map<string, Count>();

  /** Why no password is checked for this account and host now; null when one is, or when there is none (no user). */
  refusal(user: string | null, host: string): typeof slowed | null {
    return user !== null && (this.#counts.get(keyOf(user, host))?.wrong ?? 0) >= freeGuesses ? slowed : null;
  }

  /**
   * A password was checked: what the host is told of it. Nothing, when it has guessed too often meanwhile, on however
   * many connections at once.
   */
  judge(user: string | null, host: string, outcome: Prepared): Prepared {
    const refusal = this.refusal(user, host);
    if (refusal !== null) return refusal;
    if (user !== null && !outcome.ok && outcome.code === "wrong-password") this.#count(user, host);
    return outcome;
  }

  #count(user: string, host: string): void {
    const key = keyOf(user, host);
    const count = this.#counts.get(key);
    if (count !== undefined) {
      count.wrong++;
      return;
    }
    this.#counts.set(key, { wrong: 1, sweeps: 0 });
    if (this.#counts.size <= rememberedMax) return;
    for (const first of this.#counts.keys()) {
      this.#counts.delete(first);
      return;
    }
  }

  /** Once a second. */
  sweep(): void {
    for (const [key, count] of this.#counts) {
      if (++count.sweeps % sweepsPerGuess === 0 && --count.wrong === 0) this.#counts.delete(key);
    }
  }
}

/** Other spellings of one account are one: what is left of them to a guesser does not matter. */
const keyOf = (user: string, host: string): string => `${user.normalize("NFC").toUpperCase().toLowerCase()} ${host}`;
