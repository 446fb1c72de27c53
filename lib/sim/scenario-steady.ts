/**
 * Chance that never varies, for scenarios: every delay is its mean, nothing unlikely happens, what is due at one time
 * happens in the order in which it was asked for. A golden trace then changes only when behaviour does, not whenever
 * something draws once more.
 */
import { Random } from "./random.ts";

export class Steady extends Random {
  private drawn: number;
  private forks = 0;

  constructor(private readonly first = 0) {
    super(first);
    this.drawn = first;
  }

  /** Counts: distinct, ascending, and small. */
  override uint32(): number {
    return (this.drawn = (this.drawn ?? 0) + 1);
  }

  override uint53(): number {
    return this.uint32();
  }

  override fraction(): number {
    return 0.5;
  }

  override below(limit: number): number {
    return Math.min(0, limit);
  }

  override chance(probability: number): boolean {
    return probability > 0.5;
  }

  override around(mean: number): number {
    return mean;
  }

  /** Of another range of numbers, so that what one part draws does not shift what another sees. */
  override fork(): Random {
    return new Steady((this.first + ++this.forks) * 0x1_0000);
  }
}
