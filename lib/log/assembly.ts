/**
 * Puts records, in the order in which they stand on disk, together to the logical log: what follows on what, what was
 * superseded, which view was promised, what is damaged. Does no I/O and changes nothing on disk.
 */
import type { BeginEntry } from "../protocol/entries.ts";
import type { LogBeginning } from "../protocol/log-port.ts";
import { chainHolds, recordKind, type LogRecord } from "../protocol/record.ts";
import { Lineage } from "./lineage.ts";
import { LogIndex } from "./log-index.ts";
import { readSync, readTrim, type BadFault } from "./scan.ts";
import { positionOf, type SegmentHeader } from "./segment.ts";

/** `absent`: the whole segment; `header`: its header; `chain`: a sound record that does not follow on what is there. */
export type DamageFault = BadFault | "absent" | "header" | "chain";

/** Bytes below what was durable, or what should be such bytes, that are no sound part of the log. */
export interface Damage {
  readonly segment: number;
  readonly from: number;
  to: number;
  readonly fault: DamageFault;
  /** The first entry that may be missing: the one after the last entry before the damage. */
  readonly index: number;
}

/** Records that are on disk but not in the logical log. */
export interface Superseded {
  readonly index: number;
  readonly position: number;
  readonly length: number;
  readonly chain: bigint;
}

/**
 * `entry`: now the last of the logical log · `local`: has no index · `unlinked`: an entry behind damage that does not
 * follow on the log before it · `stray`: the same without damage, which is damage · `unknown`: a kind or version that
 * this build does not know.
 */
export type Taken = "entry" | "local" | "unlinked" | "stray" | "unknown";

const knownKinds = new Set<number>(Object.values(recordKind));
const flagSkippableBit = 1;
const recordVersionNewest = 1;

export class Assembly {
  index: LogIndex;
  /** Segments before this one may be gone. */
  trimmedTo = 1;
  /** Null for a log that begins with entry 1. */
  beginning: LogBeginning | null = null;
  readonly lineage: Lineage;
  commit = 0;
  /** The greatest index of any sound entry on this disk, linked or not. */
  greatestIndex = 0;
  readonly damage: Damage[] = [];
  /** Those that no MERGED record has settled. */
  superseded: Superseded[] = [];
  supersededCount = 0;
  /** Something is missing here: the next entry need not follow on. */
  #gap = false;
  /** Those of `superseded` that stand behind it: nothing here has taken their place. */
  #inGap: Superseded[] = [];

  constructor(index: LogIndex, replica: string) {
    this.index = index;
    this.lineage = new Lineage(replica);
  }

  get promised(): number {
    return this.lineage.promised;
  }

  get lastIndex(): number {
    return this.index.lastIndex;
  }

  get hasGap(): boolean {
    return this.#gap;
  }

  /** The log begins with this segment; what was found before is none of it, but for what is on its lineage up to `kept`. */
  beginAt(header: SegmentHeader, { kept, promised, isKnown, policy, views, attempts }: BeginEntry): void {
    const { previousIndex: index, previousView: view, previousChain: chain } = header;
    this.#supersede(Math.max(this.index.baseIndex, Math.min(kept, this.lastIndex)) + 1);
    this.beginning = { position: { index, view, chain }, policy, views, attempts };
    this.lineage.begin(this.beginning);
    this.lineage.promise(promised);
    this.lineage.isKnown ||= isKnown;
    this.index = new LogIndex(index, view, chain);
    this.greatestIndex = Math.max(this.greatestIndex, index);
    this.commit = index;
    this.#closeGap();
  }

  /** False if the segment does not go on from where the log is. */
  begin(header: SegmentHeader): boolean {
    if (header.afterGap) this.#gap = true;
    if (this.#gap) return true;
    const { index } = this;
    return header.previousIndex === index.lastIndex && header.previousChain === index.chain(index.lastIndex);
  }

  hurt(segment: number, from: number, to: number, fault: DamageFault): void {
    this.damage.push({ segment, from, to, fault, index: this.lastIndex + 1 });
    this.#gap = true;
  }

  take(record: LogRecord, segment: number, offset: number): Taken {
    if (!knownKinds.has(record.kind) || record.version > recordVersionNewest) {
      return (record.flags & flagSkippableBit) !== 0 ? "local" : "unknown";
    }
    if (record.index === 0) {
      this.#takeLocal(record, segment, offset);
      return "local";
    }
    if (!Number.isSafeInteger(record.index) || !Number.isSafeInteger(record.view)) return "unknown";
    this.greatestIndex = Math.max(this.greatestIndex, record.index);
    const { index, view, chain } = record;
    const position = positionOf(segment, offset);
    if (!this.#follows(record)) {
      const unlinked = { index, position, length: record.bytes.length, chain };
      this.#fork(unlinked);
      this.#inGap.push(unlinked);
      return this.#gap ? "unlinked" : "stray";
    }
    this.#closeGap();
    this.#supersede(index);
    this.index.push(position, record.bytes.length, view, chain);
    this.lineage.take(record);
    return "entry";
  }

  #takeLocal(record: LogRecord, segment: number, offset: number): void {
    if (record.kind === recordKind.promise) this.lineage.promise(record.view);
    if (record.kind === recordKind.gap) this.#gap = true;
    // What stands between damage and this record need not have left the log when it was written: it is settled no sooner
    // than one that stands where the log goes on.
    if (record.kind === recordKind.merged) this.superseded = [...this.#inGap];
    if (record.kind === recordKind.trim) this.trimmedTo = Math.max(this.trimmedTo, readTrim(record));
    const sync = readSync(record, segment, offset);
    if (sync !== null) this.commit = Math.min(sync.commit, this.lastIndex);
  }

  #follows(record: LogRecord): boolean {
    const before = record.index - 1;
    const { index } = this;
    if (before > index.lastIndex) return false;
    if (before < index.baseIndex) {
      // What it departs from is not here to compare with: a single segment is looked at.
      if (this.beginning !== null) return false;
      for (let at = index.baseIndex + 1; at <= index.lastIndex; at++) this.#dropped(at);
      this.index = new LogIndex(before);
      return true;
    }
    return record.view >= index.view(before) && chainHolds(record, index.chain(before));
  }

  /** The log goes on: what stands behind the damage and is not in it has left it. */
  #closeGap(): void {
    this.#gap = false;
    if (this.#inGap.length > 0) this.#inGap = [];
  }

  #supersede(first: number): void {
    const { index } = this;
    for (let at = first; at <= index.lastIndex; at++) this.#dropped(at);
    index.cut(first - 1);
    this.commit = Math.min(this.commit, first - 1);
  }

  #fork(superseded: Superseded): void {
    this.superseded.push(superseded);
    this.supersededCount++;
  }

  #dropped(at: number): void {
    const { index } = this;
    this.#fork({
      index: at,
      position: index.position(at),
      length: index.length(at),
      chain: index.chain(at),
    });
  }
}
