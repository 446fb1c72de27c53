/**
 * For tests of the log: records made from a seed, and a log under load over a simulated disk beside a model of what it
 * must hold. The model is told what was appended and what was acknowledged, and trusts nothing the log says.
 */
import { encodeEntry } from "../protocol/codec.ts";
import { makeView } from "../protocol/ids.ts";
import type { RecoveredLog } from "../protocol/log-port.ts";
import { encodeRecord, recordKind } from "../protocol/record.ts";
import { SimulatedDisk } from "../sim/disk.ts";
import { Random } from "../sim/random.ts";
import type { DiskError } from "./disk.ts";
import { clusterTagOf, type LogIdentity } from "./segment.ts";
import { openLog, type Wal } from "./wal.ts";

export const identity: LogIdentity = {
  cluster: Uint8Array.from({ length: 16 }, (_, at) => at + 1),
  replica: "0b5e1f00-1111-4222-8333-444455556666",
};
export const clusterTag = clusterTagOf(identity.cluster);

export interface Entry {
  readonly index: number;
  readonly view: number;
  readonly chain: bigint;
  readonly bytes: Uint8Array;
}

/** An OP record with this payload after `previous` (null: the first one). The log never looks into payloads. */
export function makeEntry(previous: Entry | null, view: number, payload: Uint8Array): Entry {
  const index = (previous?.index ?? 0) + 1;
  const fields = { kind: recordKind.op, clusterTag, index, view, payload };
  const { chain, bytes } = encodeRecord(fields, previous?.chain ?? 0n);
  return { index, view, chain, bytes };
}

export function makePromise(view: number): Uint8Array {
  const payload = encodeEntry({ type: "promise", view });
  return encodeRecord({ kind: recordKind.promise, clusterTag, index: 0, view, payload }, 0n).bytes;
}

export function makeMerged(): Uint8Array {
  const payload = encodeEntry({ type: "merged" });
  return encodeRecord({ kind: recordKind.merged, clusterTag, index: 0, view: 0, payload }, 0n).bytes;
}

/** A log that did not keep what it acknowledged, or made something up. */
export class LogBroken extends Error {
  override readonly name = "LogBroken";
}

/** One record as it was asked for, in order. */
interface Asked {
  readonly sequence: number;
  readonly entry: Entry | null;
  readonly promise: number;
  readonly isMerged: boolean;
}

/** What stands in a log: entries, all of them, the greatest promise, and what was superseded and is not settled. */
export class LogModel {
  entries: Entry[] = [];
  promised = 0;
  forks: Entry[] = [];

  put(asked: Asked): void {
    if (asked.isMerged) this.forks = [];
    if (asked.entry !== null) {
      this.forks.push(...this.entries.splice(asked.entry.index - 1));
      this.entries.push(asked.entry);
    }
    this.promised = Math.max(this.promised, asked.promise);
  }

  /** Equal (index, chain) means equal prefixes: the last entry speaks for all. */
  isSameAs({ beginning, chains }: RecoveredLog): boolean {
    const { index, chain } = beginning?.position ?? { index: 0, chain: 0n };
    const before = this.entries[index - 1]?.chain ?? 0n;
    const last = chains.at(-1) ?? chain;
    const length = index + chains.length;
    return length === this.entries.length && chain === before && last === (this.entries.at(-1)?.chain ?? 0n);
  }

  copy(): LogModel {
    const copy = new LogModel();
    copy.entries = [...this.entries];
    copy.promised = this.promised;
    copy.forks = [...this.forks];
    return copy;
  }
}

/** A replica's log on one simulated disk, through crashes and restarts. */
export class LogUnderLoad {
  disk: SimulatedDisk;
  wal: Wal | null = null;
  /** As appended. */
  current = new LogModel();
  /** As acknowledged. */
  durable = new LogModel();
  failure: DiskError | null = null;
  persistedSequence = 0;
  /** How often segments were deleted. */
  compactions = 0;
  /** Nothing at or below it is superseded any more. */
  #floor = 0;
  readonly random: Random;
  #asked: Asked[] = [];
  #waiting: (() => void)[] = [];
  #sequence = 0;
  #view = makeView(1, 1);

  constructor(
    seed: number,
    readonly segmentBytes: number,
  ) {
    this.random = new Random(seed);
    this.disk = new SimulatedDisk("disk", seed, (action) => this.#waiting.push(action));
  }

  /** Opens, and checks what was recovered against what had been asked for and acknowledged. */
  open(): Wal {
    this.failure = null;
    this.#sequence = 0;
    this.persistedSequence = 0;
    const handlers = {
      persisted: (sequence: number): void => this.#persisted(sequence),
      failed: (error: DiskError): void => {
        if (this.failure !== null) throw new LogBroken("a failure is told once");
        this.failure = error;
      },
    };
    const wal = openLog(this.disk, identity, handlers, { segmentBytes: this.segmentBytes });
    this.#checkRecovered(wal);
    this.wal = wal;
    return wal;
  }

  /** Appends something: entries, now and then ones that supersede, a promise, or nothing. */
  appendSomething(): void {
    const { random } = this;
    const records: Uint8Array[] = [];
    const sequence = ++this.#sequence;
    if (random.chance(0.15)) {
      this.#view += 256;
      this.#ask({ sequence, entry: null, promise: this.#view, isMerged: false }, records, makePromise(this.#view));
    }
    if (random.chance(0.05)) this.#ask({ sequence, entry: null, promise: 0, isMerged: true }, records, makeMerged());
    const { entries } = this.current;
    let last = entries.length;
    if (last > this.#floor && random.chance(0.1)) {
      last -= random.below(Math.min(last - this.#floor, 12) + 1);
      this.#view += 256;
    }
    for (let count = random.below(5); count > 0; count--) {
      const payload = random.bytes(random.below(random.chance(0.1) ? 900 : 120));
      const entry = makeEntry(entries[last - 1] ?? null, this.#view, payload);
      this.#ask({ sequence, entry, promise: 0, isMerged: false }, records, entry.bytes);
      last = entry.index;
    }
    this.wal?.append(sequence, records, random.below(last + 1));
  }

  /** Lets some of the syncs under way end; all of them by default. */
  settle(count = Infinity): void {
    for (let left = count; left > 0; left--) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      next();
    }
  }

  /** Deletes what may go below some entry that is durable and will not be superseded. */
  compactSomething(): void {
    const { current, durable, random } = this;
    let common = 0;
    while (common < durable.entries.length && current.entries[common]?.chain === durable.entries[common]?.chain)
      common++;
    const floor = Math.max(this.#floor, random.below(common + 1));
    const index = this.wal?.compactable(floor, false) ?? null;
    if (index === null) return;
    if (index > floor) throw new LogBroken(`asked to keep what stands above ${floor}, it would begin after ${index}`);
    this.#floor = floor;
    this.wal?.compact(index, () => this.compactions++);
  }

  /** Reads a random stretch back and compares. */
  readSomething(): void {
    const { entries } = this.current;
    if (this.wal === null) return;
    const base = Math.max(this.#floor, this.wal.firstIndex - 1);
    if (entries.length <= base) return;
    const from = base + 1 + this.random.below(entries.length - base);
    const maxBytes = this.random.below(3000);
    const records = this.wal.read(from, maxBytes);
    if (records.length === 0) throw new LogBroken("at least one record is read");
    const bytes = records.reduce((sum, record) => sum + record.length, 0);
    if (records.length > 1 && bytes > maxBytes) throw new LogBroken("no more is read than was asked for");
    records.forEach((record, at) => {
      const expected = entries[from - 1 + at];
      if (expected === undefined || !Buffer.from(record).equals(expected.bytes)) {
        throw new LogBroken(`entry ${from + at} reads back as another`);
      }
    });
  }

  /** The machine (or only the process) ends; what was under way is forgotten. */
  end(how: "crash" | "restart"): void {
    this.disk = how === "crash" ? this.disk.crash() : this.disk.restart();
    this.#waiting = [];
    this.wal = null;
  }

  #ask(asked: Asked, records: Uint8Array[], bytes: Uint8Array): void {
    this.#asked.push(asked);
    this.current.put(asked);
    records.push(bytes);
  }

  #persisted(sequence: number): void {
    if (sequence <= this.persistedSequence || sequence > this.#sequence) throw new LogBroken("sequences ascend");
    if (this.failure !== null) throw new LogBroken("nothing is acknowledged after a failure");
    this.persistedSequence = sequence;
    while ((this.#asked[0]?.sequence ?? Infinity) <= sequence) this.durable.put(this.#asked.shift() as Asked);
  }

  /** It must be what was acknowledged, or that and some more of what was asked for, in order. */
  #checkRecovered(wal: Wal): void {
    const { recovered } = wal;
    const { chains, views, promised, commit, damaged } = recovered;
    const base = recovered.beginning?.position.index ?? 0;
    if (base > this.#floor) throw new LogBroken(`begins after ${base} although nothing above ${this.#floor} may go`);
    if (damaged) throw new LogBroken(`no crash damages a log: ${JSON.stringify(wal.report.damage)}`);
    const acknowledged = this.durable.promised;
    let matched: LogModel | null = this.durable.isSameAs(recovered) ? this.durable.copy() : null;
    for (const asked of this.#asked) {
      this.durable.put(asked);
      if (this.durable.isSameAs(recovered)) matched = this.durable.copy();
    }
    if (matched === null) throw new LogBroken(`${chains.length} entries recovered, which were never the log`);
    if (promised < acknowledged) throw new LogBroken(`promise ${acknowledged} was acknowledged and is ${promised}`);
    if (promised > this.durable.promised) throw new LogBroken(`promise ${promised} was never made`);
    if (commit > base + chains.length) throw new LogBroken("the commit lies beyond the log");
    matched.entries.slice(base).forEach(({ view, chain }, at) => {
      if (views[at] !== view || chains[at] !== chain) throw new LogBroken(`entry ${base + at + 1} is another`);
    });
    checkViews(recovered, matched.entries);
    const orphans = new Set([...wal.orphans()].flat().map((bytes) => Buffer.from(bytes).toString("hex")));
    const lost = matched.forks.find(({ bytes }) => !orphans.has(Buffer.from(bytes).toString("hex")));
    const isBack = lost !== undefined && matched.entries[lost.index - 1]?.chain === lost.chain;
    if (lost !== undefined && !isBack) throw new LogBroken(`entry ${lost.index} of a fork is lost`);
    matched.promised = promised;
    this.durable = matched;
    this.current = matched.copy();
    this.#asked = [];
  }
}

/** What a log remembers of the time before its first entry. */
function checkViews({ beginning }: RecoveredLog, entries: readonly Entry[]): void {
  const expected: { view: number; firstIndex: number }[] = [];
  for (const { view, index } of entries.slice(0, beginning?.position.index ?? 0)) {
    if (expected.at(-1)?.view !== view) expected.push({ view, firstIndex: index });
  }
  const told = beginning?.views ?? [];
  const isSame = told.every(({ view, firstIndex }, at) => {
    return expected[at]?.view === view && expected[at].firstIndex === firstIndex;
  });
  if (told.length !== expected.length || !isSame) throw new LogBroken("the views before the beginning are others");
}

/** A log whose appends are acknowledged at once, for tests that set every record themselves. */
export class PlainLog {
  readonly entries: Entry[] = [];
  readonly persisted: number[] = [];
  readonly failures: DiskError[] = [];
  readonly #waiting: (() => void)[] = [];
  readonly disk: SimulatedDisk;
  wal: Wal;
  #sequence = 0;

  constructor(
    readonly segmentBytes = 8192,
    disk?: SimulatedDisk,
  ) {
    this.disk = disk ?? new SimulatedDisk("disk", 1, (action) => this.#waiting.push(action));
    if (disk !== undefined) disk.schedule = (action) => this.#waiting.push(action);
    this.wal = openLog(
      this.disk,
      identity,
      {
        persisted: (sequence) => this.persisted.push(sequence),
        failed: (error) => this.failures.push(error),
      },
      { segmentBytes },
    );
  }

  /** Appends an entry after `index` (default: the last one), superseding what stands there; not yet synced. */
  put(text: string, view = 257, index = this.entries.length): Entry {
    this.entries.length = index;
    const entry = makeEntry(this.entries[index - 1] ?? null, view, new TextEncoder().encode(text));
    this.entries.push(entry);
    this.append([entry.bytes]);
    return entry;
  }

  append(records: readonly Uint8Array[], commit = 0): number {
    this.wal.append(++this.#sequence, records, commit);
    return this.#sequence;
  }

  /** Lets syncs end: one, or all. */
  settle(count = Infinity): void {
    for (let left = count; left > 0 && this.#waiting.length > 0; left--) this.#waiting.shift()?.();
  }

  close(): SimulatedDisk {
    let error: DiskError | null | undefined;
    this.wal.close((result) => (error = result));
    this.settle();
    if (error !== null) throw new LogBroken(`closing ended with ${String(error)}`);
    return this.disk.restart();
  }
}
