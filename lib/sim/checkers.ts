/**
 * The judge of a run. It sees every append, every sync, every message sent, every entry applied and every
 * acknowledgement, keeps its own idea of what is on which disk, and throws {@link SimulationFailure} at the first thing
 * that `lib/replication/README.md` forbids. It never changes what happens and shares no code with the core.
 */
import { decodeEntry } from "../protocol/codec.ts";
import type { ViewEntry } from "../protocol/entries.ts";
import type { Configured, Member, ReplicaMessage } from "../protocol/messages.ts";
import { chainHolds, recordKind, type LogRecord } from "../protocol/record.ts";
import type { CommittedEntry } from "../protocol/state-machine.ts";
import { Attempted, configFault, quorumFault } from "./config-judge.ts";
import { SimulationFailure } from "./failure.ts";
import { bits, name, place, rankOf, type EntryInfo } from "./judged-entry.ts";
import { MessageJudge } from "./message-judge.ts";
import type { Order } from "./profile.ts";
import { RealTime } from "./real-time.ts";
import { ShadowLog, type Prefix, type ShadowObserver } from "./shadow-log.ts";
import type { ClientJudge } from "./workload.ts";

export interface Acknowledged {
  readonly op: string;
  readonly session: string;
  readonly seq: number;
  readonly index: number;
  readonly chain: bigint;
  readonly atMs: number;
}

interface OpOf {
  readonly session: string;
  readonly seq: number;
}

type Told = { readonly index: number; readonly view: number; readonly copies: number };

export interface OracleOptions {
  readonly order: Order;
  readonly nowMs: () => number;
}

export const opKey = (session: string, seq: number): string => `${session}/${seq}`;

export class Oracle implements ShadowObserver, ClientJudge {
  readonly acknowledged = new Map<string, Acknowledged>();
  /** Views whose ACT has committed somewhere. */
  readonly formed = new Map<number, { readonly index: number; readonly atMs: number; readonly awaiting: number }>();
  /** Set once a view was attempted without everyone who may hold more: from then on there may be forks. */
  provisional = false;
  /** Set once a replica was removed in whatever state it was. */
  lossAccepted = false;
  /** Acknowledged by a replica that was removed and goes on, in a session that expires without it: see "Not promised". */
  private readonly givenUp = new Set<string>();
  /** Sessions that have expired, on whichever replica. */
  readonly expired = new Set<string>();
  /** The config of the greatest view that formed; null before the founding. */
  latestConfig: readonly Configured[] | null = null;
  private greatestFormed = 0;
  /** A change of the config has been attempted in no view that formed, and may be carried on. */
  get isChanging(): boolean {
    return this.greatestAttempted > this.greatestFormed;
  }
  /** Of the views with another config than the view before them. */
  private greatestAttempted = 0;
  readonly attempted = new Attempted();
  /** Chains of the VIEW entries that an ACT follows in anybody's log: all of their members have had them on disk. */
  private readonly acted = new Set<bigint>();
  private readonly entries = new Map<bigint, EntryInfo>();
  private readonly byPlace = new Map<string, bigint>();
  private readonly order: bigint[] = [];
  private readonly logs: ShadowLog[] = [];
  private readonly realTime = new RealTime();
  private readonly doubtedOps = new Set<string>();
  private readonly refusedOps = new Set<string>();
  /** Ops of entries that have committed somewhere, whether they still stand or not. */
  private readonly committedOps = new Set<string>();
  private readonly saying = new MessageJudge((view) => this.formed.has(view));
  private readonly commitSeen = new Map<ShadowLog, number>();

  constructor(private readonly options: OracleOptions) {}

  /** A new data directory. */
  newDisk(uuid: string, pid: number): ShadowLog {
    const log = new ShadowLog(uuid, pid, this.logs.length, this);
    if (this.logs.length >= 31) throw new SimulationFailure("simulator", "more than 31 disks in one run");
    this.logs.push(log);
    return log;
  }

  /** A process has started anew on this disk: its own idea of the commit index starts over. */
  restarted(log: ShadowLog): void {
    this.commitSeen.set(log, 0);
    log.hasFollowedLesser = false;
  }

  /** A replica learns the log of this view. */
  follows(log: ShadowLog, view: number): void {
    if (view < (log.current.views.at(-1) ?? 0)) log.hasFollowedLesser = true;
  }

  appended(log: ShadowLog, record: LogRecord): void {
    const current = log.current;
    if (record.index > log.length + 1) {
      this.fail("log", `${name(log)} appends entry ${record.index} after ${log.length}`);
    }
    const previous = record.index === 1 ? 0n : (current.chains[record.index - 2] as bigint);
    const previousView = record.index === 1 ? 0 : (current.views[record.index - 2] as number);
    let info = this.entries.get(record.chain);
    if (info === undefined) {
      if (!chainHolds(record, previous)) this.fail("log", `${name(log)} appends ${place(record)} off its chain`);
      info = this.register(log, record, previous);
    } else if (info.previous !== previous || info.index !== record.index) {
      this.fail("log", `${name(log)} appends ${place(record)} after an entry that it does not follow`);
    }
    info.appenders |= 1 << log.disk;
    if (info.viewEntry !== null && this.latestConfig !== null) this.attempts(info.viewEntry, this.latestConfig);
    if (record.view < previousView)
      this.fail("log", `${name(log)} appends ${place(record)} after view ${previousView}`);
    if ((this.commitSeen.get(log) ?? 0) >= record.index) this.commitSeen.set(log, record.index - 1);
    // The base of a view that was promised since, or the end of one that was followed meanwhile, may have put away what is
    // fetched again now.
    const mayHaveLeft = current.promised > (current.views.at(-1) ?? 0) || log.hasFollowedLesser;
    log.hasFollowedLesser = false;
    for (let index = record.index; index <= log.length; index++) {
      const chain = current.chains[index - 1] as bigint;
      const old = this.entries.get(chain);
      if (old === undefined) continue;
      const isSame = chain === record.chain && (index === log.length || mayHaveLeft);
      if (index === record.index && old.view === record.view && !isSame) {
        this.fail("log", `${name(log)} supersedes ${place(old)} within its view`);
      }
      // An ACT that was withdrawn, and is fetched again at the same place, has gone nowhere.
      if (old.committed && this.oneOrder && !isSame) {
        this.fail("lost", `${name(log)} supersedes the committed entry ${place(old)} with ${place(record)}`);
      }
    }
  }

  durable(log: ShadowLog, _index: number, chain: bigint): void {
    const info = this.entries.get(chain);
    if (info === undefined) return;
    info.holders |= 1 << log.disk;
    info.lost &= ~(1 << log.disk);
  }

  lost(log: ShadowLog, chain: bigint): void {
    const info = this.entries.get(chain);
    if (info !== undefined) info.lost |= 1 << log.disk;
  }

  held(log: ShadowLog, chain: bigint): boolean {
    return ((this.entries.get(chain)?.holders ?? 0) & (1 << log.disk)) !== 0;
  }

  prefix(last: bigint): Prefix {
    const views: number[] = [];
    const chains: bigint[] = [];
    for (let chain = last; chain !== 0n;) {
      const info = this.entries.get(chain);
      if (info === undefined) this.fail("log", "a log begins behind an entry that nobody appended");
      views.push(info.view);
      chains.push(chain);
      chain = info.previous;
    }
    return { views: views.reverse(), chains: chains.reverse() };
  }

  beginning(log: ShadowLog, kept: number, before: Prefix): void {
    for (let index = kept + 1; index <= log.length; index++) {
      const info = this.info(log, log.current.chains[index - 1] as bigint);
      // An ACT that was withdrawn stands where it stood.
      const isThere = before.chains[index - 1] === log.current.chains[index - 1];
      if (info.committed && this.oneOrder && !isThere) {
        this.fail("lost", `${name(log)} begins its log anew without the committed entry ${place(info)}`);
      }
    }
    this.commitSeen.set(log, Math.min(kept, this.commitSeen.get(log) ?? 0));
  }

  /** The core asked the log to append, and named this commit index with it. */
  commitKnown(log: ShadowLog, commit: number): void {
    const seen = this.commitSeen.get(log) ?? 0;
    if (commit <= seen) return;
    if (commit > log.length) this.fail("commit", `${name(log)} commits ${commit} but holds ${log.length}`);
    for (let index = seen + 1; index <= commit; index++) {
      this.markCommitted(log, index, log.current.chains[index - 1] as bigint);
    }
    this.commitSeen.set(log, commit);
  }

  /** The state of a running replica left the lineage: it will be told everything again. */
  rewound(log: ShadowLog): void {
    if (this.oneOrder) this.fail("rewind", `${name(log)} throws its state away although there is but one lineage`);
  }

  /** An entry is about to be applied after `previous`. */
  applied(log: ShadowLog, entry: CommittedEntry, previous: CommittedEntry | undefined): void {
    if (log.current.chains[entry.index - 1] !== entry.chain) {
      this.fail("apply", `${name(log)} applies ${place(entry)}, which its log does not hold`);
    }
    if (this.info(log, entry.chain).previous !== (previous?.chain ?? 0n)) {
      this.fail("apply", `${name(log)} applies ${place(entry)} to a state of another lineage`);
    }
    // A state ahead of the log is of no use after a crash, and may be the last one.
    if (!this.held(log, entry.chain))
      this.fail("apply", `${name(log)} applies ${place(entry)} before it is on its disk`);
    if (entry.op !== null && previous?.op != null && entry.op.at < previous.op.at) {
      this.fail("time", `${name(log)} applies ${place(entry)}, which is older than the entry before it`);
    }
    this.markCommitted(log, entry.index, entry.chain);
    if (entry.op !== null && this.refusedOps.has(opKey(entry.op.session, entry.op.seq))) {
      this.fail("refused", `${opKey(entry.op.session, entry.op.seq)} was refused as never proposed, and is applied`);
    }
  }

  /** A client was told that its op is in the log, on so many disks. */
  acknowledge(log: ShadowLog, session: string, seq: number, entry: CommittedEntry | undefined, copies: number): void {
    const op = opKey(session, seq);
    if (entry === undefined || entry.op === null || opKey(entry.op.session, entry.op.seq) !== op) {
      this.fail("acknowledge", `${name(log)} acknowledges ${op} at an index that holds another entry`);
    }
    this.judgeAcknowledged(this.info(log, entry.chain), entry.chain, { session, seq }, copies);
  }

  private judgeAcknowledged(info: EntryInfo, chain: bigint, { session, seq }: OpOf, copies: number): void {
    const op = opKey(session, seq);
    const disks = bits(info.holders);
    if (copies < 1 || copies > disks) {
      this.fail("copies", `${op} (${place(info)}) is said to be on ${copies} disks; it is on ${disks}`);
    }
    const wrong = this.realTime.acknowledged(op, info.index);
    if (wrong !== null && this.oneOrder) this.fail("linearizable", wrong);
    if (this.acknowledged.has(op)) return;
    const acknowledged = { op, session, seq, index: info.index, chain, atMs: this.options.nowMs() };
    this.acknowledged.set(op, acknowledged);
    if (this.expired.has(session) && this.isOutside(acknowledged)) this.givenUp.add(op);
  }

  /** The same, as a client of the library is told it: where the op stands, and on so many disks. */
  told(session: string, seq: number, { index, view, copies }: Told): void {
    const op = opKey(session, seq);
    const chain = this.byPlace.get(place({ index, view })) ?? 0n;
    const info = this.entries.get(chain);
    if (info?.op !== op)
      this.fail("acknowledge", `${op} is acknowledged at ${place({ index, view })}: another's place`);
    this.judgeAcknowledged(info, chain, { session, seq }, copies);
  }

  /** A replica says that it serves in this view. */
  serves(log: ShadowLog, view: number): void {
    if (!this.formed.has(view)) this.fail("formed", `${name(log)} serves in ${view}, which has not formed`);
  }

  invoked(session: string, seq: number): void {
    this.realTime.invoked(opKey(session, seq));
  }

  doubted(session: string, seq: number): void {
    this.doubtedOps.add(opKey(session, seq));
  }

  isDoubted(op: string): boolean {
    return this.doubtedOps.has(op);
  }

  /** A client was told that its op was certainly never proposed. Called only for ops sent once, to one replica. */
  refused(session: string, seq: number): void {
    const op = opKey(session, seq);
    if (this.committedOps.has(op)) this.fail("refused", `${op} is refused as never proposed, and had committed before`);
    this.refusedOps.add(op);
  }

  /** A replica forgets a session: nothing that was acknowledged of it may turn up later, to be taken for new. */
  forgotten(log: ShadowLog, session: string, holds: (seq: number) => boolean): void {
    this.expired.add(session);
    const alive = this.disksAlive();
    for (const op of this.acknowledged.values()) {
      // What only a disk holds that was replaced is not waited for, and not taken for new when that disk comes back.
      if (op.session === session && !holds(op.seq) && this.isOn(op, alive) === 0) this.givenUp.add(op.op);
    }
    if (this.lossAccepted) return;
    const isApart = (owner: string, seq: number): boolean => owner !== session || holds(seq);
    for (const apart of this.missing(isApart)) {
      if (this.isOutside(apart)) this.givenUp.add(apart.op);
      else
        this.fail("expiry", `${name(log)} forgets session ${session} while ${apart.op}, acknowledged, is not yet here`);
    }
  }

  /** On which of these disks it is, all as bits. */
  private isOn({ chain }: Acknowledged, disks: number): number {
    const { holders, lost } = this.entries.get(chain) ?? { holders: 0, lost: 0 };
    return holders & ~lost & disks;
  }

  /** It is on no disk of the config in force. */
  private isOutside({ chain }: Acknowledged): boolean {
    const { holders } = this.entries.get(chain) ?? { holders: 0 };
    const on = this.logs.filter(({ disk }) => (holders & (1 << disk)) !== 0);
    return !on.some(({ uuid }) => this.latestConfig?.some((each) => each.uuid === uuid) === true);
  }

  /** A replica says this to another. */
  sent(log: ShadowLog, from: Member, message: ReplicaMessage): void {
    if (message.type === "append" || message.type === "commit") this.commitKnown(log, message.commit);
    else this.saying.judge(log, from, message);
  }

  /** Whether this disk stands in the config of the last formed view that it knows of: one that does not cannot go on alone. */
  knowsItself(log: ShadowLog): boolean {
    const act = log.durable.chains.findLast((chain) => this.entries.get(chain)?.kind === recordKind.act) ?? 0n;
    const view = this.entries.get(this.entries.get(act)?.previous ?? 0n);
    return view?.viewEntry?.config.some(({ uuid }) => uuid === log.uuid) === true;
  }

  /** Disks made so far, wiped ones included. */
  get disks(): number {
    return this.logs.length;
  }

  /** Ops acknowledged that a state does not hold, without those whose every disk was wiped or damaged. */
  missing(has: (session: string, seq: number) => boolean): Acknowledged[] {
    const missing: Acknowledged[] = [];
    const alive = this.disksAlive();
    for (const op of this.acknowledged.values()) {
      if (has(op.session, op.seq) || this.givenUp.has(op.op)) continue;
      if (this.isOn(op, alive) !== 0) missing.push(op);
    }
    return missing;
  }

  get oneOrder(): boolean {
    const { order } = this.options;
    return order === "one" || (order === "one-until-provisional" && !this.provisional);
  }

  /** Disks that hold an entry durably in their logical log now. */
  holding(index: number, chain: bigint): ShadowLog[] {
    return this.logs.filter((log) => log.holds(index, chain));
  }

  private disksAlive(): number {
    let alive = 0;
    for (const log of this.logs) if (!log.wiped) alive |= 1 << log.disk;
    return alive;
  }

  private register(log: ShadowLog, record: LogRecord, previous: bigint): EntryInfo {
    const at = place(record);
    const other = this.byPlace.get(at);
    if (other !== undefined) this.fail("log", `two different entries are ${at} (the new one on ${name(log)})`);
    this.byPlace.set(at, record.chain);
    const payload = decodeEntry(record.kind, record.payload);
    const before = this.entries.get(previous)?.at ?? 0;
    if (payload.type === "op" && payload.at < before)
      this.fail("clock", `${name(log)} sets the log's clock back at ${at}`);
    const info: EntryInfo = {
      index: record.index,
      view: record.view,
      kind: record.kind,
      previous,
      op: payload.type === "op" ? opKey(payload.session, payload.seq) : null,
      at: payload.type === "op" ? payload.at : before,
      viewEntry: payload.type === "view" ? payload : null,
      appenders: 0,
      holders: 0,
      lost: 0,
      committed: false,
    };
    if (payload.type === "view" && payload.view !== record.view) this.fail("log", `a VIEW entry names another view`);
    this.entries.set(record.chain, info);
    if (payload.type === "view") this.attempted.began(payload);
    if (payload.type === "act") this.acted.add(previous);
    if (payload.type === "view" && payload.awaiting.length > 0) this.provisional = true;
    return info;
  }

  private markCommitted(log: ShadowLog, index: number, chain: bigint): void {
    const info = this.info(log, chain);
    if (info.committed) return;
    this.mayCommit(log, info);
    info.committed = true;
    if (info.op !== null) this.committedOps.add(info.op);
    if (info.kind === recordKind.act) this.form(info, log);
    if (!this.oneOrder) return;
    const known = this.order[index - 1];
    if (known !== undefined && known !== chain) {
      const other = this.entries.get(known);
      this.fail("order", `${name(log)} commits ${place(info)} where ${other && place(other)} was committed before`);
    }
    this.order[index - 1] = chain;
  }

  /** The rule of commit: on the disk of every member of the view in which it is decided, and only once that formed. */
  private mayCommit(log: ShadowLog, info: EntryInfo): void {
    const { view, act } = this.lastView(log);
    if (view?.viewEntry == null) this.fail("commit", `${name(log)} commits ${place(info)} in no view`);
    if (act === null) this.fail("commit", `${name(log)} commits ${place(info)} in ${view.view}, which has no ACT`);
    if (this.oneOrder && rankOf(view.viewEntry) < this.greatestFormed) {
      this.fail("primaries", `${name(log)} commits ${place(info)} in ${view.view} after a later view has formed`);
    }
    for (const member of view.viewEntry.members) {
      const disk = this.logs.find((candidate) => candidate.uuid === member.uuid);
      for (const needed of [info, act]) {
        if (disk !== undefined && (needed.holders & (1 << disk.disk)) !== 0) continue;
        this.fail(
          "commit",
          `${name(log)} commits ${place(info)} in view ${view.view}, but ${place(needed)} is not on the disk of ` +
            `member ${member.pid}`,
        );
      }
    }
  }

  private attempts(entry: ViewEntry, formed: readonly Configured[]): void {
    const isSameConfig = entry.config.map(({ pid }) => pid).join() === formed.map(({ pid }) => pid).join();
    if (!isSameConfig) this.greatestAttempted = Math.max(this.greatestAttempted, rankOf(entry));
  }

  private form(act: EntryInfo, log: ShadowLog): void {
    const entry = this.info(log, act.previous).viewEntry;
    if (entry === null || entry.view !== act.view) this.fail("log", `${place(act)} is an ACT that follows no VIEW`);
    this.formed.set(act.view, { index: act.index, atMs: this.options.nowMs(), awaiting: entry.awaiting.length });
    this.mayFollow(log, act, entry);
    // Of two lineages (`available`) the one with more changes of the config goes on.
    const rank = rankOf(entry);
    if (rank > this.greatestFormed) {
      this.greatestFormed = rank;
      this.latestConfig = entry.config;
      this.attempted.formed(rank);
    }
  }

  /** A config differs from that of the view formed before it by one replica at most, and the epoch counts that. */
  private mayFollow(log: ShadowLog, act: EntryInfo, entry: ViewEntry): void {
    let before: ViewEntry | null = null;
    for (const each of [...this.formedBefore(log, act), entry]) {
      const fault = before === null ? null : configFault(before, each, each.view, this.lossAccepted);
      if (fault !== null) this.fail("config", fault);
      const minority = each.policy === "quorum" ? quorumFault(before, each, each.view) : null;
      if (minority !== null) this.fail("quorum", minority);
      before = each;
    }
  }

  /**
   * The view that formed last in this log before the one of `act`, and those after it whose ACT stands in another log alone:
   * withdrawn here, it may be told of by one who has it, and its view counts for formed then. Nobody goes on beside that
   * without its config, for whoever could do so knows that it was attempted.
   */
  private formedBefore(log: ShadowLog, act: EntryInfo): ViewEntry[] {
    const views: ViewEntry[] = [];
    for (let index = act.index - 2; index > 0; index--) {
      const chain = log.current.chains[index - 1] as bigint;
      const info = this.info(log, chain);
      if (info.viewEntry !== null && this.acted.has(chain)) views.unshift(info.viewEntry);
      if (info.kind === recordKind.act)
        return [this.info(log, info.previous).viewEntry, ...views].filter((each) => each !== null);
    }
    return views;
  }

  private lastView(log: ShadowLog): { view: EntryInfo | null; act: EntryInfo | null } {
    let act: EntryInfo | null = null;
    for (let index = log.length; index > 0; index--) {
      const info = this.info(log, log.current.chains[index - 1] as bigint);
      if (info.kind === recordKind.act) act = info;
      if (info.kind === recordKind.view) return { view: info, act };
    }
    return { view: null, act: null };
  }

  private info(log: ShadowLog, chain: bigint): EntryInfo {
    const info = this.entries.get(chain);
    if (info === undefined) this.fail("log", `${name(log)} speaks of an entry that nobody appended`);
    return info;
  }

  private fail(rule: string, message: string): never {
    throw new SimulationFailure(rule, message);
  }
}
