/**
 * The state of one replica that all its parts share, and the few acts through which each of them changes disk, network
 * and commit: `persist`, `supersedeAfter`, `promise`, `advanceCommit`. Decides nothing about views. What stands in it, part
 * by part, is `state.ts`'s.
 */
import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import { Random } from "../base/random.ts";
import { encodeEntry } from "../protocol/codec.ts";
import type { OpEntry } from "../protocol/entries.ts";
import type { LogBeginning, LogReader, RecoveredLog } from "../protocol/log-port.ts";
import type { Attempt, Configured, Member, ReplicaMessage } from "../protocol/messages.ts";
import { makeView, viewCount } from "../protocol/ids.ts";
import { encodeRecord, recordKind, type LogRecord } from "../protocol/record.ts";
import type { StateOrder } from "../protocol/state-files.ts";
import { Detector } from "./detector.ts";
import { retentionDefault, type Effect, type ReplicaOptions, type Retention } from "./events.ts";
import { ReplicatedLog } from "./log.ts";
import { Portion } from "./portion.ts";
import {
  Floors,
  Snapshots,
  type Candidacy,
  type Fetch,
  type Following,
  type Installed,
  type Merging,
  type PendingOp,
  type StateFound,
  type Wish,
} from "./state.ts";

interface Neighbours {
  readonly attempts: readonly Attempt[];
  readonly all: readonly Configured[];
  /** The pids of all but this one. */
  readonly others: readonly number[];
}

export class Core {
  readonly options: ReplicaOptions;
  readonly retention: Retention;
  readonly reader: LogReader;
  readonly log: ReplicatedLog;
  readonly detector: Detector;
  readonly random: Random;
  effects: Effect[] = [];

  nowMs = 0;
  wallMs = 0;
  started = false;
  stopping = false;
  /** The log cannot be read whole: no voice in any view until one has formed with it. */
  damaged: boolean;
  /** What was damaged has been fetched again, from a view that may be over. */
  refetched = false;

  /** No view below it is acked any more; on disk once `promisedSequence` is persisted. */
  promised: number;
  promisedSequence = 0;
  /** When and to whom the last promise was given, to wait a while for its view. */
  promisedMs = 0;
  promisedTo = 0;
  /** Since when the view that it is in is not the one that it has promised last. */
  betweenSinceMs = 0;
  /** The very process that the JOIN of this view came from; null if there was none, or it came before the last start. */
  joinedBy: Member | null = null;
  promisedHeardMs = 0;
  /** Others know of another disk in the place of this one, whatever the log here tells: until it has begun a view. */
  isReplaced = false;
  /** The greatest view heard of. */
  maxSeen: number;

  sequence = 0;
  persistedSequence = 0;
  /** Appends under way, with the last index that each makes durable. */
  readonly writes: { readonly sequence: number; lastIndex: number; sinceMs: number }[] = [];
  readonly #afterPersisted: { readonly sequence: number; readonly action: () => void }[] = [];
  durableIndex: number;

  /** Members of the last view whose ACT has committed, as of the last delivery: the disks on which that stands. */
  copies = 0;
  /** After a rewind: entries up to here were handed out before. */
  replayedIndex = 0;
  commit: number;
  /** Handed to the state machine up to here. */
  delivered: number;
  /** Primary: the `at` of the last op of the log. */
  lastAt = 0;
  /** The greatest `at` applied: of what stands below the base of the log nothing else is known. */
  stateClock = 0;

  installed: Installed | null = null;
  candidacy: Candidacy | null = null;
  following: Following | null = null;
  fetch: Fetch | null = null;
  /** A question under way to a view that may be gone. */
  probe: { readonly pid: number; readonly nonce: number; readonly sentMs: number } | null = null;
  /** Primary: when each replica was last taken in, and how long it must wait before the next time. */
  readonly admissions = new Map<number, { readonly atMs: number; readonly waitMs: number }>();
  /** The own disk has not answered for a timeout: out of every view until it has. */
  left = false;
  /** The last view of the log when it left last: it is not in that one any more, whoever hears of that however late. */
  leftView = 0;
  /** The change of config that an operator has last asked for here. */
  wish: Wish | null = null;
  /** The last known config had this replica in it. */
  wasConfigured = false;
  /** What is under way of the forks on this disk; null when they have to be looked for. */
  merging: Merging | null = null;
  /** Of another's log. */
  readonly portion = new Portion({ most: limits.entriesBytesMax, first: 8 * 1024, least: 2 * 1024 });
  readonly floors = new Floors();
  readonly snapshots = new Snapshots();
  /** No state is known to be on the lineage of the log, or can be built from it: nothing is applied. */
  stateless: boolean;
  /** In this incarnation a member, without interruption, of a view that it saw form. */
  hot = false;
  /** A view whose log departs from what is final here; 0 for none. */
  unfollowable = 0;
  /** Since when it has not been a member of a formed view. */
  unformedSinceMs = 0;
  /** Since when there is a reason to start a view, and before when none is started again. */
  reasonSinceMs: number | null = null;
  retryMs = 0;
  /** How often in a row an own ASK was refused. */
  refusals = 0;

  /** Ops accepted here (or relayed) that have not come out of the log, in order. */
  readonly pending = new Map<string, PendingOp>();
  /** Those of them not yet appended or forwarded in this view, in order. */
  unsent: PendingOp[] = [];
  /** Primary: ops that others forwarded in this view, not yet appended. */
  relayed: OpEntry[] = [];
  /** Primary: ops appended in this view that have not committed. */
  readonly inFlight = new Set<string>();
  stream = 0;
  streamNext = 0;
  /** When one of the pending ops last came out of the log, or the first one was taken. */
  pendingProgressMs = 0;
  /** Learner: before its log has come so far, nothing says that what is pending was lost. Null when nobody has asked yet. */
  pendingEnd: number | null = null;

  connections = 0;
  /** The log was cut after this entry, and the disk has yet to be told what stands there instead; null if it was not. */
  #cutAfter: number | null = null;
  #neighbours: Neighbours | null = null;

  /** `state`: null if there is none of use, and the log begins above 1. */
  constructor(options: ReplicaOptions, recovered: RecoveredLog, state: StateFound | null, reader: LogReader) {
    this.options = options;
    this.retention = options.retention ?? retentionDefault;
    this.reader = reader;
    this.log = new ReplicatedLog(recovered, reader);
    this.detector = new Detector(options.self, options.timeoutMs);
    this.random = new Random(options.seed);
    this.damaged = recovered.damaged;
    this.promised = recovered.promised;
    // That of its state it has been in, though the log that told it be damaged.
    this.maxSeen = Math.max(recovered.promised, this.log.lastView, state?.position.view ?? 0);
    this.durableIndex = this.log.lastIndex;
    // What is damaged may be what had superseded the end of this log: nothing there is known to be committed.
    const known = recovered.damaged ? 0 : this.log.decided(recovered.commit, this.log.lastIndex);
    const applied = state?.isLogged === true ? state : null;
    this.stateless = applied === null;
    this.delivered = applied?.position.index ?? 0;
    this.stateClock = applied?.clock ?? 0;
    this.snapshots.kept = applied === null ? state : null;
    this.commit = Math.max(this.delivered, known, this.log.base.index);
    assert(this.commit <= this.log.lastIndex, "nothing is applied that is not in the log");
    assert(this.stateless || this.delivered >= this.log.base.index, "the state goes on where the log begins");
  }

  get self(): Member {
    return this.options.self;
  }

  /** A member of a formed view that may ack in it. */
  get serving(): boolean {
    return this.installed?.formed === true && this.installed.view === this.promised;
  }

  get isServingPrimary(): boolean {
    return this.serving && this.installed?.isPrimary === true;
  }

  /** The config in force as far as this log tells; the replicas of `--peers` before there is one. */
  get config(): readonly Configured[] {
    return this.log.lastFormed()?.config ?? this.options.peers;
  }

  /** Everyone of the config in force and of those that later attempts brought: whom a view may still need. */
  get neighbours(): readonly Configured[] {
    return this.#neighboursNow().all;
  }

  /** Asked for at every step: made anew when the attempts are others. */
  #neighboursNow(): Neighbours {
    const attempts = this.log.attempts();
    if (this.#neighbours?.attempts === attempts) return this.#neighbours;
    const byPid = new Map<number, Configured>();
    for (const { config } of attempts) for (const each of config) byPid.set(each.pid, each);
    const all = byPid.size === 0 ? this.options.peers : [...byPid.values()];
    const others = all.map(({ pid }) => pid).filter((pid) => pid !== this.self.pid);
    this.#neighbours = { attempts, all, others };
    return this.#neighbours;
  }

  /** Whether this replica is in the config in force, or none is known. */
  get isConfigured(): boolean {
    return this.config.some(({ pid }) => pid === this.self.pid);
  }

  get epoch(): number {
    return this.log.lastFormed()?.epoch ?? 0;
  }

  send(to: number, message: ReplicaMessage): void {
    if (to !== this.self.pid) this.effects.push({ type: "send", to, message });
  }

  say(level: "debug" | "info" | "warn" | "error", message: string): void {
    this.effects.push({ type: "log", level, message });
  }

  /** The other replicas among the neighbours: they are asked, and counted on. */
  peerPids(): readonly number[] {
    return this.#neighboursNow().others;
  }

  /** Appends records that are already in `log` (or local ones) to disk; `action` runs when they are durable. */
  persist(records: readonly Uint8Array[], action?: () => void): number {
    const sequence = ++this.sequence;
    // What was cut becomes a fork on the disk now, and may not have been one when forks were looked for.
    if (this.#cutAfter !== null && this.log.lastIndex > this.#cutAfter) {
      this.#cutAfter = null;
      this.merging = null;
    }
    this.effects.push({ type: "append", sequence, records, commit: this.commit });
    this.writes.push({ sequence, lastIndex: this.log.lastIndex, sinceMs: this.nowMs });
    if (action !== undefined) this.#afterPersisted.push({ sequence, action });
    return sequence;
  }

  persisted(sequence: number): void {
    assert(sequence <= this.sequence, "only what was appended is persisted");
    this.persistedSequence = Math.max(this.persistedSequence, sequence);
    while ((this.writes[0]?.sequence ?? Infinity) <= sequence) {
      this.durableIndex = this.writes.shift()?.lastIndex ?? this.durableIndex;
    }
    while ((this.#afterPersisted[0]?.sequence ?? Infinity) <= sequence) this.#afterPersisted.shift()?.action();
  }

  /** Drops the entries after `index` from the logical log (they stay on disk) because others take their place. */
  supersedeAfter(index: number): void {
    if (index >= this.log.lastIndex) return;
    this.log.supersedeAfter(index);
    this.superseded(index);
  }

  /** The log has dropped what stood after `keptIndex`: nothing after it is durable, committed or applied any more. */
  superseded(keptIndex: number): void {
    this.#cutAfter = keptIndex;
    this.durableIndex = Math.min(this.durableIndex, keptIndex);
    for (const write of this.writes) write.lastIndex = Math.min(write.lastIndex, keptIndex);
    this.commit = Math.min(this.commit, keptIndex);
    this.replayedIndex = Math.min(this.replayedIndex, keptIndex);
    this.floors.superseded(keptIndex);
    this.merging = null;
    if (!globalThis.mistaken?.("pending crosses over")) this.dropPending(keptIndex);
    if (this.stateless || this.delivered <= keptIndex) return;
    if (this.log.base.index > 0) {
      this.replayedIndex = keptIndex;
      this.loseState(`it left the lineage after index ${keptIndex}`);
      return;
    }
    this.say("warn", `the state left the lineage after index ${keptIndex}: building it again from the log`);
    this.rewind();
    this.replayedIndex = keptIndex;
  }

  /**
   * MUST NOT go with this replica into another lineage: what was prepared from, or is owed by, a state that the log leaves. It
   * would be refused there for what only the fork has, and count as done when that is merged. Its client asks again,
   * for the state is given up as well; what is merged or relayed comes once more from the fork or from its own replica.
   */
  private dropPending(keptIndex: number): void {
    for (const [key, { basis }] of this.pending) if (basis > keptIndex) this.pending.delete(key);
  }

  /** The state is emptied, on disk too, and built again from the log: nothing of that is durable yet. */
  rewind(): void {
    this.effects.push({ type: "rewind" });
    this.floors.superseded(0);
    this.delivered = 0;
    // The fork's clock may have been ahead.
    this.stateClock = 0;
  }

  /** What was applied is of no use any more, and the log does not reach back to build it again. */
  loseState(why: string): void {
    this.say("warn", `the state is given up, ${why}: it needs a snapshot from another replica`);
    this.stateless = true;
    this.delivered = 0;
    this.stateClock = 0;
    this.order({ type: "abandon" });
  }

  order(order: StateOrder): void {
    this.effects.push({ type: "state", order });
  }

  /**
   * The log begins anew behind a place that it does not hold, where a peer has deleted what this one lacks. Up to `kept`
   * both are the same.
   */
  beginAnew(beginning: LogBeginning, kept: number): void {
    const { index } = beginning.position;
    assert(kept >= this.log.base.index && kept < index, "a log begins anew further on");
    if (!this.stateless) this.loseState(`the log begins behind index ${index} now`);
    this.superseded(kept);
    this.log.beginAnew(beginning, kept);
    const sequence = ++this.sequence;
    this.effects.push({ type: "beginAnew", sequence, beginning, kept });
    this.writes.push({ sequence, lastIndex: index, sinceMs: this.nowMs });
    // What was deleted is final, and so committed.
    this.commit = index;
  }

  /** Out of whatever view it is in, for a reason of its own: it goes on like one that was just started. */
  leaveView(): void {
    this.installed = null;
    this.candidacy = null;
    this.following = null;
    this.fetch = null;
    this.coolDown();
  }

  /** It may have missed something: it proves nothing any more until it has seen another view form. */
  coolDown(): void {
    if (this.hot) this.unformedSinceMs = this.nowMs;
    this.hot = false;
  }

  /** Promises a view: in memory at once, `action` when the PROMISE is on disk. */
  promise(view: number, action: () => void): void {
    assert(view > this.promised, "promises only grow");
    assert(this.fetch?.target == null, "the base of one view is not fetched any more when another is promised");
    if (this.installed?.view === this.promised) this.betweenSinceMs = this.nowMs;
    this.promised = view;
    this.joinedBy = null;
    this.promisedMs = this.nowMs;
    this.saw(view);
    if (globalThis.mistaken?.("volatile promise")) return action();
    const record = this.localRecord(recordKind.promise, encodeEntry({ type: "promise", view }), view);
    this.promisedSequence = this.persist([record], action);
  }

  /**
   * A view of this replica's, greater than every view heard of. A view is never reused, nor one promised that is less
   * than one promised before: who may have forgotten some leaps far ahead.
   */
  nextView(isForgetful: boolean): number {
    const seen = viewCount(Math.max(this.maxSeen, this.promised));
    return makeView(seen + 1 + (isForgetful ? 1_000 + this.random.below(2 ** 20) : 0), this.self.pid);
  }

  saw(view: number): void {
    if (view > this.maxSeen) this.maxSeen = view;
  }

  localRecord(kind: number, payload: Uint8Array, view: number): Uint8Array {
    const clusterTag = this.options.clusterTag;
    return encodeRecord({ kind, clusterTag, index: 0, view, payload }, 0n).bytes;
  }

  /** Makes the record that follows the end of the log. */
  nextRecord(kind: number, view: number, payload: Uint8Array): LogRecord {
    const { lastIndex } = this.log;
    const clusterTag = this.options.clusterTag;
    return encodeRecord({ kind, clusterTag, index: lastIndex + 1, view, payload }, this.log.chainAt(lastIndex));
  }

  /** Everything up to `index` (as far as this log goes) is committed. True if that is news. */
  advanceCommit(index: number): boolean {
    const commit = this.log.decided(index, this.log.lastIndex);
    if (commit <= this.commit) return false;
    this.commit = commit;
    return true;
  }
}
