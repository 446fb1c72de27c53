/**
 * What clients may conclude from the order in which things happened to them, judged without looking into the system:
 * with one order of entries, an op stands behind everything that was acknowledged to anybody before it was first sent
 * (linearizability of a log: Herlihy & Wing 1990), and a repeated op is answered with where it was put the first time.
 */
export class RealTime {
  /** The greatest index acknowledged so far. */
  private greatest = 0;
  /** For each op: that index when it was first sent. */
  private readonly before = new Map<string, number>();
  private readonly places = new Map<string, number>();

  invoked(op: string): void {
    if (!this.before.has(op)) this.before.set(op, this.greatest);
  }

  /** What is wrong with acknowledging this op as entry `index`; null if nothing is. */
  acknowledged(op: string, index: number): string | null {
    const before = this.before.get(op) ?? 0;
    const place = this.places.get(op) ?? index;
    this.places.set(op, place);
    this.greatest = Math.max(this.greatest, index);
    if (index <= before) return `${op} is entry ${index}, but entry ${before} was acknowledged before ${op} was sent`;
    if (index !== place) return `${op} was acknowledged as entry ${place}, and now as entry ${index}`;
    return null;
  }
}
