/**
 * What one disk must hold, kept beside the real log from what was asked of it: every append is judged when it is made,
 * and at each restart the recovered log is compared with it. Trusts nothing that the log says about itself.
 */
import type { Position } from "../protocol/fields.ts";
import type { RecoveredLog } from "../protocol/log-port.ts";
import { decodedRecord } from "./decoded.ts";
import { recordKind, type LogRecord } from "../protocol/record.ts";
import { SimulationFailure } from "./failure.ts";

interface PendingRecord {
  readonly sequence: number;
  /** 0 for a promise. */
  readonly index: number;
  readonly view: number;
  readonly chain: bigint;
  /** The log begins anew with this: all that stands up to there, though this disk never held it. */
  readonly anew: Prefix | null;
}

/** The views and chains of a log from its first entry on. */
export interface Prefix {
  readonly views: readonly number[];
  readonly chains: readonly bigint[];
}

/** The views and chains of a logical log. */
export interface LogImage {
  readonly views: number[];
  readonly chains: bigint[];
  promised: number;
}

export interface ShadowObserver {
  /** Called for every entry appended, before it becomes part of {@link ShadowLog.current}. */
  appended(log: ShadowLog, record: LogRecord): void;
  /** This entry is on this disk now. */
  durable(log: ShadowLog, index: number, chain: bigint): void;
  /** This entry was durable and is behind damage now. */
  lost(log: ShadowLog, chain: bigint): void;
  /** Whether this entry was ever durable on this disk. */
  held(log: ShadowLog, chain: bigint): boolean;
  /** Everything up to the entry with this chain. */
  prefix(chain: bigint): Prefix;
  /** The log is going to begin anew behind `before`; what it holds above `kept` is superseded. */
  beginning(log: ShadowLog, kept: number, before: Prefix): void;
}

export class ShadowLog {
  /** As appended, whether durable or not. */
  readonly current: LogImage = { views: [], chains: [], promised: 0 };
  /** As it would be found after a crash that loses everything unsynced. */
  readonly durable: LogImage = { views: [], chains: [], promised: 0 };
  /** The greatest view that this replica has told anyone it promised; survives restarts, as the promise must. */
  toldPromise = 0;
  /** It has followed a lesser view than that of its last entry, since it was given that. */
  hasFollowedLesser = false;
  wiped = false;
  /** Something durable has changed by itself, and was not repaired since. */
  damaged = false;
  /** Something was changed since the last start where the log may not be able to tell. */
  altered = false;
  private pending: PendingRecord[] = [];

  constructor(
    readonly uuid: string,
    readonly pid: number,
    /** A small number, for sets of disks as bits. */
    readonly disk: number,
    private readonly observer: ShadowObserver,
  ) {}

  get length(): number {
    return this.current.chains.length;
  }

  append(sequence: number, records: readonly Uint8Array[]): void {
    for (const bytes of records) {
      const record = decodedRecord(bytes);
      if (typeof record === "string") throw new SimulationFailure("log", `replica ${this.pid} appends no record`);
      if (record.kind === recordKind.promise) {
        this.pending.push({ sequence, index: 0, view: record.view, chain: 0n, anew: null });
        this.current.promised = Math.max(this.current.promised, record.view);
        continue;
      }
      if (record.index === 0) continue;
      this.observer.appended(this, record);
      const pending = { sequence, index: record.index, view: record.view, chain: record.chain, anew: null };
      this.pending.push(pending);
      put(this.current, pending);
    }
  }

  beginAnew(sequence: number, { index, view, chain }: Position, kept: number): void {
    const anew = this.observer.prefix(chain);
    this.observer.beginning(this, kept, anew);
    const pending = { sequence, index, view, chain, anew };
    this.pending.push(pending);
    put(this.current, pending);
  }

  persisted(sequence: number): void {
    let count = 0;
    for (const record of this.pending) {
      if (record.sequence > sequence) break;
      count++;
      put(this.durable, record);
      // What others have deleted is final, and stands on this disk as well as on theirs: in the state.
      if (record.anew !== null) record.anew.chains.forEach((chain, at) => this.observer.durable(this, at + 1, chain));
      else if (record.index > 0) this.observer.durable(this, record.index, record.chain);
    }
    if (count > 0) this.pending.splice(0, count);
  }

  /** A process has opened this disk again: what it found must be what was durable, or a later state of what was asked. */
  reopened(recovered: RecoveredLog): void {
    let promised = this.durable.promised;
    let matched = same(this.durable, recovered);
    let taken = 0;
    while (!matched && taken < this.pending.length) {
      const record = this.pending[taken++] as PendingRecord;
      put(this.durable, record);
      promised = Math.max(promised, this.durable.promised);
      matched = same(this.durable, recovered);
    }
    if (!matched && !this.isDamaged(recovered)) {
      throw new SimulationFailure(
        "disk",
        `replica ${this.pid} recovered ${recovered.chains.length} entries and promise ${recovered.promised}, ` +
          `but ${this.durable.chains.length} entries and promise ${promised} had been asked for, ` +
          `${this.pending.length} records of it not yet durable`,
      );
    }
    // The promise may be further than the entries show: promises that follow the last entry kept.
    while (taken < this.pending.length && this.durable.promised < recovered.promised) {
      put(this.durable, this.pending[taken++] as PendingRecord);
    }
    this.pending = [];
    this.damaged = recovered.damaged;
    if (recovered.damaged || !matched) this.damage(recovered);
    this.altered = false;
    this.durable.promised = Math.max(this.durable.promised, recovered.promised);
    copy(this.durable, this.current);
    for (let at = 0; at < this.durable.chains.length; at++) {
      this.observer.durable(this, at + 1, this.durable.chains[at] as bigint);
    }
  }

  /**
   * A log that says it is damaged may have lost anything, what had superseded its end included; but it makes nothing up.
   */
  private isDamaged({ damaged, chains, beginning }: RecoveredLog): boolean {
    const last = chains.at(-1) ?? beginning?.position.chain;
    const excused = damaged || this.altered;
    if (!excused || last === undefined) return excused;
    return this.observer.held(this, last) || this.pending.some(({ chain }) => chain === last);
  }

  /** What stands behind the damage is not in the log any more, and a promise may be gone. What was told still binds. */
  private damage(recovered: RecoveredLog): void {
    const { durable } = this;
    const { promised, beginning } = recovered;
    const before = beginning === null ? { views: [], chains: [] } : this.observer.prefix(beginning.position.chain);
    const chains = [...before.chains, ...recovered.chains];
    const views = [...before.views, ...recovered.views];
    for (const [at, chain] of durable.chains.entries()) if (chains[at] !== chain) this.observer.lost(this, chain);
    durable.chains.splice(0, Infinity, ...chains);
    durable.views.splice(0, Infinity, ...views);
    durable.promised = promised;
  }

  /** Whether this entry is durably in this disk's logical log now. */
  holds(index: number, chain: bigint): boolean {
    return this.durable.chains[index - 1] === chain;
  }
}

function put(image: LogImage, record: PendingRecord): void {
  if (record.anew !== null) {
    image.views.splice(0, Infinity, ...record.anew.views);
    image.chains.splice(0, Infinity, ...record.anew.chains);
    return;
  }
  if (record.index === 0) {
    image.promised = Math.max(image.promised, record.view);
    return;
  }
  image.views.length = record.index - 1;
  image.chains.length = record.index - 1;
  image.views.push(record.view);
  image.chains.push(record.chain);
}

function same(image: LogImage, { beginning, chains, views, promised }: RecoveredLog): boolean {
  const base = beginning?.position ?? { index: 0, chain: 0n };
  const length = image.chains.length;
  if (base.index + chains.length !== length || views.length !== chains.length) return false;
  if (base.index > 0 && image.chains[base.index - 1] !== base.chain) return false;
  // Equal (index, chain) means equal prefixes: the last entry speaks for all.
  return (chains.length === 0 || chains.at(-1) === image.chains[length - 1]) && promised >= image.promised;
}

function copy(from: LogImage, to: LogImage): void {
  to.views.length = 0;
  to.chains.length = 0;
  for (const view of from.views) to.views.push(view);
  for (const chain of from.chains) to.chains.push(chain);
  to.promised = from.promised;
}
