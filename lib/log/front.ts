/**
 * The oldest segments, and where the log could begin instead: before which segments all the others can be deleted.
 * Knows what stands in segments only as far as that; what may go is the caller's to say.
 */
import { assert } from "../base/assert.ts";
import type { Position } from "../protocol/fields.ts";
import type { Disk } from "./disk.ts";
import type { LogIndex } from "./log-index.ts";
import { segmentName } from "./segment.ts";
import type { SegmentFound } from "./survey.ts";

/**
 * Deleting a segment takes some 20 ms, in which its replica does nothing else. After one of them was away for long, all
 * replicas have hundreds to delete at the same moment, and would stand still for longer than a timeout.
 */
const deletedAtOnce = 4;

interface Segment {
  readonly number: number;
  /** The end of the log when it began; null where the log cannot begin. */
  readonly before: Position | null;
  /** The least index of an entry in it. */
  lowestIndex: number;
}

export class Front {
  readonly #disk: Disk;
  /** All of them, the oldest first. */
  #segments: Segment[];

  constructor(disk: Disk, found: readonly SegmentFound[], last: number) {
    this.#disk = disk;
    this.#segments = found.map(({ number, header, canBegin, lowestIndex }) => {
      if (header === null || !canBegin) return { number, before: null, lowestIndex };
      const { previousIndex: index, previousView: view, previousChain: chain } = header;
      return { number, before: { index, view, chain }, lowestIndex };
    });
    if (this.#segments.length === 0) this.#segments.push({ number: last, before: null, lowestIndex: Infinity });
  }

  /** The number of the oldest segment. */
  get first(): number {
    return this.#segments[0]?.number ?? 1;
  }

  began(number: number, before: Position, canBegin: boolean): void {
    this.#segments.push({ number, before: canBegin ? before : null, lowestIndex: Infinity });
  }

  /** Damage in it was repaired: what it said of the time before it may be gone. */
  replaced(number: number): void {
    this.#segments = this.#segments.map((each) => (each.number === number ? { ...each, before: null } : each));
  }

  /** An entry was written into the newest segment. */
  wrote(index: number): void {
    const last = this.#segments.at(-1);
    assert(last !== undefined, "there is a segment to be written to");
    last.lowestIndex = Math.min(last.lowestIndex, index);
  }

  /**
   * An index up to `floor` behind which the log could begin, segment `needed` and later ones being kept: the greatest for
   * which no more segments would be deleted than can be at once, else the least. Null if nothing could be deleted.
   */
  boundary(floor: number, log: LogIndex, needed: number): number | null {
    const at = this.#boundaryAt(floor, log, needed, deletedAtOnce);
    return at === null ? null : (this.#segments[at]?.before?.index ?? null);
  }

  /** The first segment that is needed when the log begins behind `index`; null if all are. */
  keptFrom(index: number, log: LogIndex): number | null {
    const at = this.#boundaryAt(index, log, Infinity);
    return at === null ? null : (this.#segments[at]?.number ?? null);
  }

  /** The numbers of the segments that the log does without when it begins behind `index`, the oldest first. */
  before(index: number, log: LogIndex): number[] {
    const at = this.#boundaryAt(index, log, Infinity) ?? 0;
    return this.#segments.slice(0, at).map(({ number }) => number);
  }

  delete(number: number): void {
    assert(this.first === number && this.#segments.length > 1, "the oldest segment goes first, and never the last one");
    this.#disk.remove(segmentName(number));
    this.#disk.syncDirectory();
    this.#segments.shift();
  }

  /**
   * What stands in a segment and after may all be needed once something there reaches back behind its beginning. The
   * greatest up to `most`, else the least.
   */
  #boundaryAt(floor: number, log: LogIndex, needed: number, most = Infinity): number | null {
    let lowest = Infinity;
    let found: number | null = null;
    for (let at = this.#segments.length - 1; at > 0; at--) {
      const { number, before, lowestIndex } = this.#segments[at] as Segment;
      lowest = Math.min(lowest, lowestIndex);
      if (before === null || number > needed || before.index > floor || before.index >= lowest) continue;
      if (before.index < log.baseIndex || log.chain(before.index) !== before.chain) continue;
      found = at;
      if (at <= most) break;
    }
    return found;
  }
}
