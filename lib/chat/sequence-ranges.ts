/**
 * A set of positive integers as disjoint ranges, none touching another: the seqs of a session that were applied. Pure.
 * A set, not a highest number: after a merge seq 10 may be applied before 7, 8 and 9.
 */
export class SequenceRanges {
  readonly #firsts: number[] = [];
  readonly #lasts: number[] = [];

  has(seq: number): boolean {
    const at = this.#rangeAt(seq);
    return at >= 0 && seq <= (this.#lasts[at] ?? 0);
  }

  /** Where the range that begins with `first` ends; null if none begins there. */
  lastOf(first: number): number | null {
    const at = this.#rangeAt(first);
    return this.#firsts[at] === first ? (this.#lasts[at] ?? null) : null;
  }

  get ranges(): readonly { readonly first: number; readonly last: number }[] {
    return this.#firsts.map((first, at) => ({ first, last: this.#lasts[at] ?? first }));
  }

  /** Adds a range that is known to touch no other, greater than all before it: for loading. */
  append(first: number, last: number): void {
    this.#firsts.push(first);
    this.#lasts.push(last);
  }

  /** Adds `seq`; `changed` is told the first numbers of all ranges that came, went or grew. */
  add(seq: number, changed: (first: number) => void): void {
    const before = this.#rangeAt(seq);
    const last = this.#lasts[before];
    if (last !== undefined && seq <= last) return;
    const after = before + 1;
    const joinsBefore = last === seq - 1;
    const joinsAfter = this.#firsts[after] === seq + 1;
    if (joinsBefore) {
      changed(this.#firsts[before] ?? seq);
      this.#lasts[before] = joinsAfter ? (this.#lasts[after] ?? seq) : seq;
      if (!joinsAfter) return;
      changed(seq + 1);
      this.#firsts.splice(after, 1);
      this.#lasts.splice(after, 1);
      return;
    }
    changed(seq);
    if (joinsAfter) {
      changed(seq + 1);
      this.#firsts[after] = seq;
      return;
    }
    this.#firsts.splice(after, 0, seq);
    this.#lasts.splice(after, 0, seq);
  }

  /** The position of the last range that begins at or below `seq`; -1 if there is none. */
  #rangeAt(seq: number): number {
    let low = 0;
    let high = this.#firsts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#firsts[middle] ?? 0) <= seq) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}
