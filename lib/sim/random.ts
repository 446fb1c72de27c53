/**
 * The seeded generator with the draws that only simulations need. Equal seeds give equal runs.
 */
import { Random as BaseRandom } from "../base/random.ts";

export class Random extends BaseRandom {
  /** A number in [low, high). */
  between(low: number, high: number): number {
    return low + this.fraction() * (high - low);
  }

  /** Mostly small, sometimes large: exponentially distributed around `mean`. */
  around(mean: number): number {
    return -Math.log(1 - this.fraction()) * mean;
  }

  shuffle<T>(items: T[]): T[] {
    for (let last = items.length - 1; last > 0; last--) {
      const other = this.below(last + 1);
      const kept = items[last] as T;
      items[last] = items[other] as T;
      items[other] = kept;
    }
    return items;
  }

  /** A generator of its own, so that what one part draws does not shift what another part sees. */
  fork(): Random {
    return new Random(this.uint53());
  }

  bytes(length: number): Uint8Array {
    const result = new Uint8Array(length);
    for (let at = 0; at < length; at++) result[at] = this.uint32() & 0xff;
    return result;
  }

  /** A uuid in canonical text. */
  uuid(): string {
    const digits = [0, 0, 0, 0].map(() => this.uint32().toString(16).padStart(8, "0")).join("");
    return [
      digits.slice(0, 8),
      digits.slice(8, 12),
      `4${digits.slice(13, 16)}`,
      `8${digits.slice(17, 20)}`,
      digits.slice(20),
    ].join("-");
  }
}
