/**
 * How much of a log or of a state is asked for at once. What is sent to a replica comes one after the other: an answer for
 * which a slow link takes seconds holds up the heartbeats behind it, the link is given up as dead, the answer with it, and
 * the same is asked for again, for ever. So no more is asked for than comes in a small part of the timeout. Knows no time of
 * its own.
 */

/** However slow the link: less is mostly the frame around it. */
const leastBytes = 2 * 1024;
/** Of the greatest portion: so much is tried first. */
const firstShare = 1 / 8;

export class Portion {
  readonly #mostBytes: number;
  #bytes: number;
  /** How long the quickest answer took: what is more than that is the time that its bytes take. */
  #quickestMs = Infinity;

  /** `mostBytes`: where nothing is slow; at least 16 KiB. */
  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
    this.#bytes = mostBytes * firstShare;
  }

  /** To be asked for now. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Another replica is asked from here on, by another way. */
  begin(): void {
    this.#quickestMs = Infinity;
  }

  /** An answer of `bytes` has come after `tookMs`. */
  answered(bytes: number, tookMs: number, timeoutMs: number): void {
    this.#quickestMs = Math.min(this.#quickestMs, tookMs);
    const ownMs = tookMs - this.#quickestMs;
    if (ownMs > timeoutMs / 4) this.#bytes = Math.max(leastBytes, Math.floor(this.#bytes / 2));
    else if (ownMs < timeoutMs / 16 && bytes > this.#bytes / 2)
      this.#bytes = Math.min(this.#mostBytes, 2 * this.#bytes);
  }

  /** None has come in time. */
  lost(): void {
    this.#bytes = Math.max(leastBytes, Math.floor(this.#bytes / 4));
  }
}
