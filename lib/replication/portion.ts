/**
 * How much is asked for, or sent ahead, at once. What is sent to a replica comes one after the other: that for which a slow
 * link takes seconds holds up the heartbeats behind it, the link is given up as dead with all that was on it, and the same is
 * sent again, for ever. So no more is on its way than comes in a small part of the timeout. Knows no time of its own.
 */

export interface PortionBounds {
  /** Where nothing is slow. */
  readonly most: number;
  /** As long as nothing is known. */
  readonly first: number;
  /** However slow the link. */
  readonly least: number;
}

/** Bytes or entries. */
export class Portion {
  readonly #bounds: PortionBounds;
  #size: number;
  /** How long the quickest answer took: what is more than that is the time that this much takes. */
  #quickestMs = Infinity;

  constructor(bounds: PortionBounds) {
    this.#bounds = bounds;
    this.#size = bounds.first;
  }

  /** So much now. */
  get size(): number {
    return this.#size;
  }

  /** Another replica is asked from here on, by another way. */
  begin(): void {
    this.#quickestMs = Infinity;
  }

  /** An answer to `size` of it has come after `tookMs`. */
  answered(size: number, tookMs: number, timeoutMs: number): void {
    const { most, least } = this.#bounds;
    this.#quickestMs = Math.min(this.#quickestMs, tookMs);
    const ownMs = tookMs - this.#quickestMs;
    if (ownMs > timeoutMs / 4) this.#size = Math.max(least, Math.floor(this.#size / 2));
    else if (ownMs < timeoutMs / 16 && size > this.#size / 2) this.#size = Math.min(most, 2 * this.#size);
  }

  /** None has come in time. */
  lost(): void {
    this.#size = Math.max(this.#bounds.least, Math.floor(this.#size / 4));
  }
}
