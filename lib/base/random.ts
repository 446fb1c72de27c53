/**
 * A small seeded generator (sfc32) for jitter, nonces and simulations: equal seeds give equal sequences on every
 * machine. Never for secrets.
 */
export class Random {
  private a: number;
  private b: number;
  private c = 0x9e3779b9 | 0;
  private counter = 1;

  /** `seed` is any safe integer from 0. */
  constructor(seed: number) {
    this.a = seed | 0;
    this.b = Math.floor(seed / 0x1_0000_0000) | 0;
    // The first words depend on the seed in a visible way: let them pass.
    for (let round = 0; round < 12; round++) this.uint32();
  }

  /** 32 random bits as an unsigned integer. */
  uint32(): number {
    const sum = (((this.a + this.b) | 0) + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (((this.c << 21) | (this.c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** 53 random bits as a safe integer: for nonces and incarnations. */
  uint53(): number {
    return (this.uint32() >>> 11) * 0x1_0000_0000 + this.uint32();
  }

  /** A number in [0, 1). */
  fraction(): number {
    return this.uint32() / 0x1_0000_0000;
  }

  /** An integer in [0, limit); `limit` up to 2^32. */
  below(limit: number): number {
    return Math.floor(this.fraction() * limit);
  }

  /** True with this probability (0…1). */
  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  /** Throws `RangeError` when there is nothing to pick from. */
  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new RangeError("nothing to pick from");
    return item;
  }
}
