/**
 * One replica, told by hand what its peers and its disk say. Its log and every message are real; nobody else runs. For what
 * happens only when messages cross within a step.
 */
import { encodeEntry } from "../protocol/codec.ts";
import type { EntryPayload, ViewEntry } from "../protocol/entries.ts";
import { makeView } from "../protocol/ids.ts";
import type { LogBeginning } from "../protocol/log-port.ts";
import type { Configured, FrameOf, Member, Policy, Position, ReplicaMessage } from "../protocol/messages.ts";
import { encodeRecord, joinRecords, recordKind, type LogRecord } from "../protocol/record.ts";
import type { SnapshotVerdict } from "../protocol/state-files.ts";
import type { Effect, Event } from "./events.ts";
import { Replica } from "./replica.ts";

const memberOf = (pid: number): Member => ({ pid, uuid: `${pid}0000000-0000-4000-8000-000000000000`, incarnation: 1 });
export const [one, two, self] = [memberOf(1), memberOf(2), memberOf(3)];
export const config: Configured[] = [one, two, self].map(({ pid, uuid }) => ({
  pid,
  address: `replica-${pid}:1538`,
  uuid,
}));
const clusterTag = 7;

/** A log of records, each made after the one before. It may begin behind another one, which was deleted. */
export class Records {
  readonly all: LogRecord[] = [];
  readonly base: Position;

  constructor(private readonly deleted: Records | null = null) {
    this.base = deleted?.last ?? { index: 0, view: 0, chain: 0n };
  }

  get last(): Position {
    const { index, view, chain } = this.all.at(-1) ?? this.base;
    return { index, view, chain };
  }

  at(index: number): Position {
    const { view, chain } = this.all[index - this.base.index - 1] ?? this.base;
    return { index, view, chain };
  }

  /** Another log that is the same up to this entry. */
  forkedAfter(index: number): Records {
    const fork = new Records(this.deleted);
    fork.all.push(...this.all.slice(0, index - this.base.index));
    return fork;
  }

  add(view: number, entry: EntryPayload): this {
    const { index, chain } = this.last;
    const fields = { kind: recordKind[entry.type], clusterTag, index: index + 1, view, payload: encodeEntry(entry) };
    this.all.push(encodeRecord(fields, chain));
    return this;
  }

  /** A view that forms, and some ops in it. */
  view(view: number, members: readonly Member[], ops: number): this {
    this.add(view, { type: "view", ...this.entryOf(view, members) }).add(view, { type: "act", view });
    for (let seq = 1; seq <= ops; seq++) {
      const command = new Uint8Array([view & 255, seq]);
      const session = "00000000-0000-4000-8000-000000000001";
      const [at, digest] = [this.last.index, new Uint8Array(8)];
      this.add(view, { type: "op", session, seq: at, oldest: 1, at, origAt: at, digest, command });
    }
    return this;
  }

  entryOf(view: number, members: readonly Member[]): ViewEntry {
    const parent = this.last.view;
    return { view, parent, epoch: 1, policy: "available", members: [...members], config, awaiting: [] };
  }

  /** Where its views begin, those included that were deleted. */
  get starts(): { view: number; firstIndex: number }[] {
    const isFirst = ({ view }: LogRecord, at: number): boolean => this.all[at - 1]?.view !== view;
    const own = this.all.filter(isFirst).map(({ view, index }) => ({ view, firstIndex: index }));
    return [...(this.deleted?.starts ?? []), ...own];
  }

  /** What is kept of what was deleted: a view of all, which had formed. */
  get beginning(): LogBeginning {
    const members = [one, two, self];
    const formed = { view: founding, index: 1, epoch: 1, members, config, awaiting: [], formed: true };
    return { position: this.base, policy: "available", views: this.deleted?.starts ?? [], attempts: [formed] };
  }

  between(after: number, to: number): Uint8Array {
    return joinRecords(this.all.slice(after - this.base.index, to - this.base.index).map(({ bytes }) => bytes));
  }
}

/** Replica 3, with everything that it has asked for. */
export class Told {
  readonly effects: Effect[] = [];
  readonly #replica: Replica;
  #nowMs = 1_000;
  /** What its disk has yet to answer, as long as it hangs. */
  #late: Event[] | null = null;

  /** All of its log is applied, and its last view promised. `compactable`: how much of it may be deleted. */
  constructor(log: Records, policy: Policy = "available", compactable: number | null = null) {
    const beginning = log.base.index === 0 ? null : log.beginning;
    this.#replica = new Replica(
      {
        ...{ self, policy, peers: config, founds: true, clusterTag, seed: 1 },
        ...{ heartbeatMs: 100, timeoutMs: 1_000, recoveryWaitMs: 10_000 },
        retention: { laggardEntries: 0, snapshotBehindEntries: 5, snapshotBytesPerSecond: 1e9, compactMs: 1_000 },
      },
      {
        ...{ promised: log.last.view, beginning, isKnown: true, commit: log.last.index, damaged: false },
        views: Float64Array.from(log.all, ({ view }) => view),
        chains: BigUint64Array.from(log.all, ({ chain }) => chain),
      },
      { position: log.last, clock: 0, isLogged: true },
      {
        read: (from) => log.all.slice(from - log.base.index - 1).map(({ bytes }) => bytes),
        ...{
          orphans: () => [].values(),
          hasForks: false,
          compactable: (floor) => (compactable !== null && floor >= compactable ? compactable : null),
        },
      },
    );
    this.tick(0);
  }

  get stillToCome(): string {
    return this.#replica.stillToCome;
  }

  step(event: Event): void {
    const effects = this.#replica.step(event);
    this.effects.push(...effects);
    // Its disk is quick unless it hangs, and there is nothing else to do.
    for (const effect of effects) {
      if (effect.type === "append" || effect.type === "beginAnew") this.#persisted({ ...effect, type: "persisted" });
      if (effect.type === "continue") this.step({ type: "continue" });
    }
  }

  #persisted(event: Event): void {
    if (this.#late === null) this.step(event);
    else this.#late.push(event);
  }

  /** From here on its disk does not answer. */
  hang(): void {
    this.#late = [];
  }

  unhang(): void {
    const late = this.#late ?? [];
    this.#late = null;
    for (const event of late) this.step(event);
  }

  tick(afterMs: number): void {
    this.#nowMs += afterMs;
    this.step({ type: "tick", nowMs: this.#nowMs, wallMs: this.#nowMs });
  }

  hear(from: Member, message: ReplicaMessage): void {
    this.step({ type: "received", from, message });
  }

  /** The primary of a view that has formed without this replica, at this end of its log. */
  hearOfView(from: Member, view: number, { last }: Records): void {
    this.hear(from, {
      ...{ type: "heartbeat", role: "primary", installed: view, formed: true, promised: view, starting: 0, epoch: 1 },
      ...{ lastActView: view, lastIndex: last.index, lastView: view, commit: last.index, durableIndex: last.index },
      ...{ hears: [self.pid], stuck: false, hot: true, left: false, merged: true, stateIndex: last.index },
      ...{ members: [from], connections: 0 },
    });
  }

  /** The last message of this type that it has sent. */
  sent<T extends ReplicaMessage["type"]>(type: T, to: Member): FrameOf<T> {
    const found = this.effects.findLast(
      (effect) => effect.type === "send" && effect.to === to.pid && effect.message.type === type,
    );
    if (found?.type !== "send") throw new Error(`it has sent no ${type} to replica ${to.pid}`);
    return found.message as FrameOf<T>;
  }

  /** The effects of these kinds since the last time, `state` orders by their own names. */
  taken(...types: string[]): string[] {
    return this.effects
      .splice(0)
      .map((effect) => (effect.type === "state" ? effect.order.type : effect.type))
      .filter((type) => types.includes(type));
  }

  /** Answers its fetch by where the views of this log begin. */
  diverge(from: Member, { last, starts }: Records): void {
    const { nonce } = this.sent("fetch", from);
    this.hear(from, { type: "diverged", nonce, lastIndex: last.index, views: starts });
  }

  /**
   * Answers its fetch with the entries of this log up to `to`, perhaps as a member of a view that goes on, and not all
   * committed.
   */
  feed(from: Member, log: Records, to = log.last.index, serves = 0, commit = to): void {
    const { nonce, after } = this.sent("fetch", from);
    const records = log.between(after.index, to);
    const lastIndex = log.last.index;
    this.hear(from, { type: "entries", nonce, previous: after, commit, lastIndex, serves, records });
  }

  /** Hears of the view that this primary serves with this log, and takes all of it over from where the logs part. */
  follow(from: Member, view: number, log: Records): void {
    this.hearOfView(from, view, log);
    this.diverge(from, log);
    this.feed(from, log, log.last.index, view);
  }

  /** What it has received, and is checking, is found to be whole, or what else is said of it. */
  checked(check = this.lastCheck, verdict: SnapshotVerdict = "whole"): void {
    this.step({ type: "state", report: { type: "finished", check, verdict } });
  }

  /** The number of the check that it has ordered last. */
  get lastCheck(): number {
    const orders = this.effects.flatMap((effect) => (effect.type === "state" ? effect.order : []));
    return orders.findLast((order) => order.type === "finish")?.check ?? 0;
  }

  /** Answers its fetch of a snapshot with the whole state at this entry; it has yet to put it in place. */
  handOver(from: Member, position: Position): void {
    this.receive(from, position);
    this.checked();
  }

  offer(from: Member, position: Position, sizeBytes = 3): void {
    const snapshot = { position, sizeBytes, sha256: new Uint8Array(32) };
    this.hear(from, { type: "snapshotOffer", nonce: this.sent("snapshotFetch", from).nonce, snapshot });
  }

  /** The same; it has yet to check it. */
  receive(from: Member, position: Position): void {
    this.offer(from, position);
    const part = { type: "snapshotPart", offset: 0, bytes: new Uint8Array(3) } as const;
    this.hear(from, { ...part, nonce: this.sent("snapshotFetch", from).nonce });
  }
}

export const founding = makeView(1, 1);
export const mine = makeView(2, 1);
export const greater = makeView(3, 2);
