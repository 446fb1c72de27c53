/**
 * The logical log in memory: for every entry its chain, for every view where it begins, and the newest records whole.
 * Owned by the core. Older records are read through the `LogReader`. It does no I/O of its own.
 *
 * Shape of every log (asserted): the first entry of a view is its VIEW, the second, if any, its ACT, the rest are OPs.
 */
import { assert } from "../base/assert.ts";
import { telling } from "../protocol/attempts.ts";
import { decodeEntry } from "../protocol/codec.ts";
import type { ViewEntry } from "../protocol/entries.ts";
import { viewPid } from "../protocol/ids.ts";
import type { LogBeginning, LogReader, RecoveredLog } from "../protocol/log-port.ts";
import type { Attempt, Configured, Member, Policy, Position, ViewStart } from "../protocol/messages.ts";
import { chainHolds, decodeRecord, recordKind, type LogRecord } from "../protocol/record.ts";
import type { Outline } from "./lineage.ts";

/** Whole records kept in memory for sending, in bytes; what is older is read from disk. */
const recentBytesMax = 8 * 1024 * 1024;

/** Whether another disk stands in the place of this one. */
export const isReplaced = (
  config: readonly Configured[],
  { pid, uuid }: { readonly pid: number; readonly uuid: string },
): boolean => config.some((each) => each.pid === pid && each.uuid !== null && each.uuid !== uuid);

const origin: Position = { index: 0, view: 0, chain: 0n };

type ViewFacts = Pick<ViewEntry, "epoch" | "members" | "config" | "awaiting">;

interface ViewInLog extends ViewStart {
  /** Of its VIEW entry; decoded when first asked for, and not known of the older ones of a log that begins above 1. */
  entry: ViewFacts | null;
}

export class ReplicatedLog {
  /** The entry before the first one; index 0 for a log that holds everything. */
  #base: Position = origin;
  /** Of the entries after the base, in order. */
  #chains: BigUint64Array;
  #lastIndex: number;
  /** As `knows` would tell of what stands at or below the base. */
  #isKnown: boolean;
  #views: ViewInLog[] = [];
  /** Views that this log has left altogether, and the last index that it kept. Of this process's time only. */
  readonly #left = new Map<number, number>();
  #attempts: {
    readonly last: ViewInLog | undefined;
    readonly isFormed: boolean;
    readonly all: readonly Attempt[];
  } | null = null;
  /** Records of entries `#recentFirst`…`#lastIndex`. */
  #recent: Uint8Array[] = [];
  #recentFirst: number;
  #recentBytes = 0;
  readonly #reader: LogReader;

  constructor(recovered: RecoveredLog, reader: LogReader) {
    const length = recovered.views.length;
    this.#reader = reader;
    this.#isKnown = recovered.isKnown;
    if (recovered.beginning !== null) this.#begin(recovered.beginning);
    const base = this.#base.index;
    this.#lastIndex = base + length;
    this.#recentFirst = base + length + 1;
    this.#chains = new BigUint64Array(Math.max(1024, length * 2));
    this.#chains.set(recovered.chains);
    let last = this.#base.view;
    for (let i = 0; i < length; i++) {
      const view = recovered.views[i] ?? 0;
      if (view === last) continue;
      assert(view > last, "views never decrease along a log");
      this.#views.push({ view, firstIndex: base + i + 1, entry: null });
      last = view;
    }
  }

  /** The entry before the first one that is held: what stands at or below it is final. Index 0 if all are held. */
  get base(): Position {
    return this.#base;
  }

  get lastIndex(): number {
    return this.#lastIndex;
  }

  get lastView(): number {
    return this.#views.at(-1)?.view ?? 0;
  }

  get last(): Position {
    return this.position(this.#lastIndex);
  }

  /** The view of entry `index`; 0 for index 0. */
  viewAt(index: number): number {
    assert(index >= 0 && index <= this.#lastIndex, "only entries of the log are asked for");
    return this.#viewOf(index)?.view ?? 0;
  }

  chainAt(index: number): bigint {
    const { index: base, chain } = this.#base;
    assert(index >= base && index <= this.#lastIndex, "only entries of the log are asked for");
    return index === base ? chain : (this.#chains[index - base - 1] ?? 0n);
  }

  position(index: number): Position {
    return index === 0 ? origin : { index, view: this.viewAt(index), chain: this.chainAt(index) };
  }

  /** Whether this very entry, and so the whole prefix up to it, is in the log; false for what stands below the base. */
  holds({ index, chain }: Position): boolean {
    return index >= this.#base.index && index <= this.#lastIndex && this.chainAt(index) === chain;
  }

  /** Whether this very entry stood in this log below its base. */
  heldBelowBase({ index, view }: Pick<Position, "index" | "view">): boolean {
    return index < this.#base.index && (index === 0 || this.viewAt(index) === view);
  }

  /**
   * Takes entries that follow `previous`, which the log must hold. What is already held is skipped; a different entry
   * at an index of the log supersedes it and all after it, if `supersede` is "allowed". Returns the records that are
   * new, and the last index that survived (below the old last index when something was superseded).
   */
  extend(
    previous: Position,
    records: readonly LogRecord[],
    supersede: "allowed" | "forbidden",
  ): { added: Uint8Array[]; keptIndex: number } {
    assert(this.holds(previous), "records are only added after an entry that the log holds");
    const added: Uint8Array[] = [];
    let keptIndex = this.#lastIndex;
    let index = previous.index;
    for (const record of records) {
      index++;
      assert(record.index === index, "records of a batch are contiguous");
      if (index <= this.#lastIndex && this.chainAt(index) === record.chain) continue;
      if (index <= this.#lastIndex) {
        assert(supersede === "allowed", "within a view no entry is replaced by another");
        this.#cut(index - 1);
        keptIndex = index - 1;
      }
      assert(chainHolds(record, this.chainAt(index - 1)), "an entry's chain follows from the one before it");
      this.append(record);
      added.push(record.bytes);
    }
    return { added, keptIndex };
  }

  /** Appends one record made or verified by the caller. */
  append(record: LogRecord): void {
    const index = this.#lastIndex + 1;
    assert(record.index === index, "an entry is appended at the end");
    assert(record.view >= this.lastView, "views never decrease along a log");
    if (record.view > this.lastView) {
      assert(record.kind === recordKind.view, "a view begins with its VIEW entry");
      this.#views.push({ view: record.view, firstIndex: index, entry: null });
    } else {
      const second = index === (this.#views.at(-1)?.firstIndex ?? 0) + 1;
      assert((record.kind === recordKind.act) === second, "a view's second entry is its ACT, and only that");
    }
    if (index - this.#base.index > this.#chains.length) {
      const grown = new BigUint64Array(this.#chains.length * 2);
      grown.set(this.#chains);
      this.#chains = grown;
    }
    this.#chains[index - this.#base.index - 1] = record.chain;
    this.#lastIndex = index;
    this.#recent.push(record.bytes);
    this.#recentBytes += record.bytes.length;
  }

  /** What is known of the log as far as its base. */
  beginning(policy: Policy, viewsMax: number): LogBeginning {
    const { index } = this.#base;
    const attempts: Attempt[] = [];
    for (let i = this.#views.length - 1; i >= 0; i--) {
      if ((this.#views[i] as ViewInLog).firstIndex > index || this.#isUntold(i)) continue;
      const attempt = { ...this.#attempt(i), formed: this.#isFormedAt(i, index) };
      attempts.push(attempt);
      if (attempt.formed) break;
    }
    const views = this.viewTable(index, viewsMax);
    return { position: this.#base, policy, views, attempts: telling(attempts.reverse()) };
  }

  /** The log begins anew behind a place that it does not hold. Up to `kept` it goes on as it did. */
  beginAnew(beginning: LogBeginning, kept: number): void {
    this.#leave(kept);
    this.#begin(beginning);
    this.#lastIndex = this.#base.index;
    this.#chains = new BigUint64Array(1024);
    this.#recent = [];
    this.#recentBytes = 0;
    this.#recentFirst = this.#lastIndex + 1;
  }

  #begin({ position, views, attempts }: LogBeginning): void {
    const entries = new Map(attempts.map((attempt) => [attempt.view, attempt]));
    this.#base = position;
    this.#attempts = null;
    this.#views = views.map((start) => ({ ...start, entry: entries.get(start.view) ?? null }));
  }

  /** Forgets the entries up to `index`, which becomes the base. `self`: whose disk this is. */
  compact(index: number, self: { readonly pid: number; readonly uuid: string }): void {
    const position = this.position(index);
    this.#isKnown = this.knows(self);
    // What is still asked of the views below must have been read.
    for (let i = this.#views.length - 1; i >= 0; i--) {
      if ((this.#views[i] as ViewInLog).firstIndex > index || this.#isUntold(i)) continue;
      this.#attempt(i);
      if (this.#isFormedAt(i, index)) break;
    }
    const chains = this.#chains.subarray(index - this.#base.index, this.#lastIndex - this.#base.index);
    this.#chains = new BigUint64Array(Math.max(1024, chains.length * 2));
    this.#chains.set(chains);
    this.#base = position;
  }

  #isFormedAt(i: number, index: number): boolean {
    const { firstIndex } = this.#views[i] as ViewInLog;
    return Math.min(index, (this.#views[i + 1]?.firstIndex ?? Infinity) - 1) > firstIndex;
  }

  /**
   * The log begins behind its VIEW entry, and that was not told: it is older than the last formed one there, or did not form and
   * a later one says the same (`telling`).
   */
  #isUntold(i: number): boolean {
    const { firstIndex, entry } = this.#views[i] as ViewInLog;
    return entry === null && firstIndex <= this.#base.index;
  }

  /** Drops all after `index` from the logical log so that something else may be appended there. */
  supersedeAfter(index: number): void {
    if (index < this.#lastIndex) this.#cut(index);
  }

  /** Whole records from `fromIndex` on, at least one, at most about `maxBytes`. */
  read(fromIndex: number, maxBytes: number): Uint8Array[] {
    if (fromIndex > this.#lastIndex) return [];
    if (fromIndex < this.#recentFirst) {
      const records = this.#reader.read(fromIndex, maxBytes);
      assert(records.length > 0, "what is in the log can be read");
      return records.slice(0, this.#recentFirst - fromIndex);
    }
    const records: Uint8Array[] = [];
    let length = 0;
    for (let i = fromIndex - this.#recentFirst; i < this.#recent.length; i++) {
      const record = this.#recent[i] as Uint8Array;
      if (records.length > 0 && length + record.length > maxBytes) break;
      records.push(record);
      length += record.length;
    }
    return records;
  }

  /** Forgets old records beyond the memory limit. Called between steps: what a step appended, it can still read. */
  trim(): void {
    if (this.#recentBytes <= recentBytesMax) return;
    let drop = 0;
    while (this.#recentBytes > recentBytesMax / 2 && drop < this.#recent.length) {
      this.#recentBytes -= (this.#recent[drop] as Uint8Array).length;
      drop++;
    }
    this.#recent.splice(0, drop);
    this.#recentFirst += drop;
  }

  /** The last index that was kept when this log left a view; null if it never did, as far as this process remembers. */
  keptOf(view: number): number | null {
    return this.#left.get(view) ?? null;
  }

  /** Where each view of the log begins, oldest first: the newest `max` of those that begin at or before `index`. */
  viewTable(index: number, max: number): ViewStart[] {
    const table: ViewStart[] = [];
    for (let i = this.#views.length - 1; i >= 0 && table.length < max; i--) {
      const { view, firstIndex } = this.#views[i] as ViewInLog;
      if (firstIndex <= index) table.push({ view, firstIndex });
    }
    return table.reverse();
  }

  /** Who was in a view of the outline; null where that began below the base and nobody has asked since the process began. */
  membersOf(at: number): readonly Member[] | null {
    return this.#isUntold(at) ? null : this.#attempt(at).members;
  }

  /** As far as its views tell. */
  get outline(): Outline {
    return { views: this.#views, lastIndex: this.#lastIndex };
  }

  /** The VIEW entries from the last formed view of this log on, that one included, oldest first; see {@link telling}. */
  attempts(): readonly Attempt[] {
    const last = this.#views.at(-1);
    const isFormed = last !== undefined && this.#lastIndex > last.firstIndex;
    // Asked for at every step. As long as the last view is the same, so is everything before it.
    if (this.#attempts === null || this.#attempts.last !== last || this.#attempts.isFormed !== isFormed) {
      this.#attempts = { last, isFormed, all: this.#findAttempts() };
    }
    return this.#attempts.all;
  }

  #findAttempts(): readonly Attempt[] {
    const attempts: Attempt[] = [];
    for (let i = this.#views.length - 1; i >= 0; i--) {
      if (this.#isUntold(i)) continue;
      const attempt = this.#attempt(i);
      attempts.push(attempt);
      if (attempt.formed) break;
    }
    return telling(attempts.reverse());
  }

  /**
   * Whether this very disk was in the first view of this log, or led one of its views that lacked no replica, and no other
   * one has stood in its place since. The newest view that tells decides.
   */
  knows({ pid, uuid }: { readonly pid: number; readonly uuid: string }): boolean {
    for (let at = this.#views.length - 1; at >= 0; at--) {
      const { view, entry } = this.#views[at] as ViewInLog;
      if (this.#isUntold(at)) break;
      const { members, config } = entry ?? this.#attempt(at);
      const isFirst = at === 0 && this.#base.index === 0;
      const isWhole = members.length === config.length;
      const tells = isFirst || (isWhole && viewPid(view) === pid);
      if (tells && members.some((member) => member.uuid === uuid)) return true;
      if (isReplaced(config, { pid, uuid })) return false;
    }
    return this.#isKnown;
  }

  /** The last VIEW entry whose ACT is in the log. */
  lastFormed(): Attempt | null {
    const first = this.attempts()[0];
    return first?.formed === true ? first : null;
  }

  /** Where the last ACT at or before `index` stands; 0 when there is none. */
  #lastAct(index: number): number {
    for (let i = this.#views.length - 1; i >= 0; i--) {
      const { firstIndex } = this.#views[i] as ViewInLog;
      if (firstIndex >= index || this.#isUntold(i)) continue;
      if (this.#attempt(i).formed) return firstIndex + 1;
    }
    return 0;
  }

  /**
   * How many disks hold all that is committed up to `index`, at the least: those of the members of the view that it stands in,
   * if it was committed there, or of the next one that has formed, if that has carried it on. 0 when there is none.
   */
  copies(index: number): number {
    let next = Infinity;
    for (let i = this.#views.length - 1; i >= 0; i--) {
      if (this.#isUntold(i)) continue;
      const { firstIndex } = this.#views[i] as ViewInLog;
      const { formed, members } = this.#attempt(i);
      if (!formed) continue;
      if (firstIndex < index) return Math.min(members.length, next);
      next = members.length;
    }
    return 0;
  }

  /** When the last op of the log was written, in milliseconds since the epoch; 0 when none stands above its base. */
  lastOpAt(): number {
    for (let index = this.#lastIndex; index > this.#base.index; index--) {
      const record = decodeRecord(this.read(index, 1)[0] as Uint8Array, 0);
      assert(typeof record !== "string", "the log reads back whole");
      if (record.kind !== recordKind.op) continue;
      const op = decodeEntry(record.kind, record.payload);
      assert(op.type === "op", "an OP record holds an op");
      return op.at;
    }
    return 0;
  }

  /**
   * How much of `commit` is decided by the entries up to `index` alone. What was carried into a later view may have
   * committed only there, on the disks of fewer members, and counts only together with the ACT of that view.
   */
  decided(commit: number, index: number): number {
    if (commit <= index) return commit;
    const act = this.#lastAct(index);
    const isSameView = act > 0 && commit <= this.#lastIndex && this.#lastAct(commit) === act;
    return isSameView ? index : act;
  }

  #attempt(i: number): Attempt {
    const view = this.#views[i];
    assert(view !== undefined, "the view is in the log");
    if (view.entry === null) {
      const bytes = this.read(view.firstIndex, 1)[0] as Uint8Array;
      const record = decodeRecord(bytes, 0);
      assert(typeof record !== "string" && record.kind === recordKind.view, "a view begins with its VIEW entry");
      const entry = decodeEntry(record.kind, record.payload);
      assert(entry.type === "view" && entry.view === view.view, "a VIEW entry names its own view");
      view.entry = entry;
    }
    const { epoch, members, config, awaiting } = view.entry;
    const end = (this.#views[i + 1]?.firstIndex ?? this.#lastIndex + 1) - 1;
    return {
      view: view.view,
      index: view.firstIndex,
      epoch,
      members,
      config,
      awaiting,
      formed: end > view.firstIndex || globalThis.mistaken?.("attempt taken for formed") === true,
    };
  }

  #viewOf(index: number): ViewInLog | undefined {
    let low = 0;
    let high = this.#views.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#views[middle] as ViewInLog).firstIndex <= index) low = middle + 1;
      else high = middle;
    }
    return this.#views[low - 1];
  }

  /** What stands after `index` is about to be dropped. */
  #leave(index: number): void {
    for (const [view, kept] of this.#left) if (kept > index) this.#left.set(view, index);
    for (const { view, firstIndex } of this.#views) if (firstIndex > index) this.#left.set(view, index);
  }

  #cut(index: number): void {
    assert(index >= this.#base.index, "what stands at or below the beginning of a log is final");
    this.#leave(index);
    this.#lastIndex = index;
    while ((this.#views.at(-1)?.firstIndex ?? 0) > index) this.#views.pop();
    while (this.#recent.length > 0 && this.#recentFirst + this.#recent.length - 1 > index) {
      this.#recentBytes -= (this.#recent.pop() as Uint8Array).length;
    }
    if (this.#recent.length === 0) this.#recentFirst = index + 1;
  }
}
