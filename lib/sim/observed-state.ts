/**
 * Stands between the driver and a replica's state machine: keeps what was applied, and judges the order and the dedup of
 * whatever state machine is behind it, by a set of its own.
 */
import { decodeCommand } from "../protocol/codec.ts";
import type { OpEntry } from "../protocol/entries.ts";
import type { ClientOp } from "../protocol/messages.ts";
import type { Applied, CommittedEntry, Outcome, Prepared, StateMachine } from "../protocol/state-machine.ts";
import { isSystemSession } from "../server/identity.ts";
import { SimulationFailure } from "./failure.ts";
import type { StateStore } from "./storage.ts";

export interface StateObserver {
  /** Before an entry is applied after `previous`; undefined when it is the first. */
  applying(entry: CommittedEntry, previous: CommittedEntry | undefined): void;
  /** Whether its place among the ops of its session is open. */
  isDoubted(op: string): boolean;
  /** A session has expired here; `holds` tells which of its ops were applied before. */
  forgotten(session: string, holds: (seq: number) => boolean): void;
  /** The state was thrown away. */
  emptied(): void;
}

/** What was applied, for a state that goes on from another's snapshot. */
export interface ObservedImage {
  readonly entries: readonly CommittedEntry[];
  readonly strangers: ReadonlySet<CommittedEntry>;
  readonly closed: ReadonlyMap<string, number>;
  readonly forgotten: ReadonlyMap<string, number>;
  readonly refused: ReadonlySet<string>;
}

/** The calls that the driver and the simulated connections make. */
type Used = Pick<StateMachine, "applied" | "apply" | "reset" | "result" | "hasApplied">;

export class ObservedState implements Used {
  /** Every entry applied since the start or the last reset: entry i + 1 at i. */
  entries: CommittedEntry[] = [];
  /** Entries whose op was of a session that this lineage did not know: nothing was done, and nothing remembered. */
  readonly strangers = new Set<CommittedEntry>();
  /** The index at which each session was closed, and at which it was forgotten. */
  readonly closed = new Map<string, number>();
  readonly forgotten = new Map<string, number>();
  private readonly highestSeq = new Map<string, number>();
  private readonly seen = new Set<string>();
  /** Of those seen, what was refused. */
  private readonly refused = new Set<string>();

  constructor(
    private readonly store: Pick<StateStore, "stateMachine" | "prepared">,
    private readonly observer: StateObserver,
    private readonly sessionOrder: boolean,
  ) {}

  get inner(): StateMachine {
    return this.store.stateMachine;
  }

  get clock(): number {
    return this.inner.clock;
  }

  /** An op of a simulated client, as it is prepared from this state. */
  prepared(op: OpEntry): OpEntry {
    return this.store.prepared(op);
  }

  image(): ObservedImage {
    return {
      entries: [...this.entries],
      strangers: new Set(this.strangers),
      closed: new Map(this.closed),
      forgotten: new Map(this.forgotten),
      refused: new Set(this.refused),
    };
  }

  /** The state behind has become another's. */
  restore({ entries, strangers, closed, forgotten, refused }: ObservedImage): void {
    for (const entry of strangers) this.strangers.add(entry);
    this.rebuild([...entries]);
    for (const key of refused) this.refused.add(key);
    for (const [session, index] of closed) this.closed.set(session, index);
    for (const [session, index] of forgotten) this.forgotten.set(session, index);
  }

  /** The state is of no use any more; it will be taken from another replica. */
  abandon(): void {
    this.inner.reset();
    this.rebuild([]);
  }

  get applied(): { readonly index: number; readonly view: number; readonly chain: bigint } {
    return this.inner.applied;
  }

  /** What follows sessions that are to be forgotten is applied apart, to see what became of them. */
  apply(entries: readonly CommittedEntry[]): Applied {
    const at = entries.findIndex(({ op }, index) => index < entries.length - 1 && op !== null && expires(op) !== null);
    if (at < 0) return this.applyTogether(entries);
    const one = this.applyTogether(entries.slice(0, at + 1));
    const other = this.apply(entries.slice(at + 1));
    return {
      outcomes: [...one.outcomes, ...other.outcomes],
      deliveries: [...one.deliveries, ...other.deliveries],
    };
  }

  private applyTogether(entries: readonly CommittedEntry[]): Applied {
    for (const entry of entries) {
      this.observer.applying(entry, this.entries.at(-1));
      this.entries.push(entry);
    }
    const applied = this.inner.apply(entries);
    let next = 0;
    for (const entry of entries) {
      const { op } = entry;
      if (op === null) continue;
      const key = `${op.session}/${op.seq}`;
      const outcome = applied.outcomes[next];
      if (outcome === undefined || outcome.session !== op.session || outcome.seq !== op.seq) continue;
      next++;
      for (const session of expires(op) ?? []) this.mayForget(session, entry.index);
      if (outcome.result?.type === "refused" && outcome.result.code === "unauthorized") {
        this.strangers.add(entry);
        continue;
      }
      const { result } = outcome;
      // What was refused can be done by a merge, once; the model says when.
      const isRedone = this.refused.has(key) && op.origAt !== op.at && result?.type !== "refused";
      const first = !this.seen.has(key);
      this.seen.add(key);
      noteRefusal(this.refused, key, outcome, first);
      if (isRedone) continue;
      if (result !== null && result.type !== "refused" && result.duplicate === first) {
        throw new SimulationFailure(
          "twice",
          `op ${key} was taken for ${first ? "a repeat" : "new"} by the state machine`,
        );
      }
      if (first && result?.type === "refused" && result.code === "unknown") {
        throw new SimulationFailure("twice", `op ${key} was taken for a repeat by the state machine, and never done`);
      }
      if (first) this.inOrder(op.session, op.seq);
    }
    return applied;
  }

  reset(): void {
    this.inner.reset();
    this.rebuild([]);
    this.observer.emptied();
  }

  /** After a loss of power: the state as it stood at `index`. */
  rollBack(index: number): void {
    const kept = this.entries.slice(0, index);
    this.inner.reset();
    const outcomes = kept.length > 0 ? this.inner.apply(kept).outcomes : [];
    this.rebuild(kept);
    const seen = new Set<string>();
    for (const outcome of outcomes) {
      const key = `${outcome.session}/${outcome.seq}`;
      noteRefusal(this.refused, key, outcome, !seen.has(key));
      seen.add(key);
    }
  }

  result(session: string, seq: number, request?: ClientOp): ReturnType<StateMachine["result"]> {
    return this.inner.result(session, seq, request);
  }

  hasApplied(session: string, seq: number): boolean {
    return this.inner.hasApplied(session, seq);
  }

  /** Whether the session was known and takes no ops any more. */
  hasClosed(session: string): boolean {
    return this.closed.has(session);
  }

  /** As `hasApplied`, also of a session that has expired since. */
  holds(session: string, seq: number): boolean {
    return this.forgotten.has(session) ? this.seen.has(`${session}/${seq}`) : this.hasApplied(session, seq);
  }

  /**
   * What a process sees: a state machine whose applying can be interrupted by death and is judged. `prepared`: what comes
   * of preparing an op comes in a turn of the process. `resetting`: before the state is emptied.
   */
  forProcess(
    effect: () => void,
    resetting: () => void,
    prepared: (op: { readonly session: string; readonly seq: number }, outcome: Promise<Prepared>) => Promise<Prepared>,
  ): StateMachine {
    const inner = (): StateMachine => this.inner;
    return {
      get applied() {
        return inner().applied;
      },
      get clock() {
        return inner().clock;
      },
      apply: (entries) => {
        effect();
        return this.apply(entries);
      },
      reset: () => {
        resetting();
        this.reset();
      },
      close: () => inner().close(),
      session: (session) => inner().session(session),
      hasApplied: (session, seq) => this.hasApplied(session, seq),
      hasMerged: (op) => inner().hasMerged(op),
      result: (session, seq, request) => this.result(session, seq, request),
      contentDigest: (request) => inner().contentDigest(request),
      prepare: (request, session, attachment) =>
        prepared({ session: session.session, seq: request.seq }, inner().prepare(request, session, attachment)),
      query: (request, session) => inner().query(request, session),
      waiting: (session) => inner().waiting(session),
      missed: (session, afterIndex, limit) => inner().missed(session, afterIndex, limit),
      attachments: () => inner().attachments(),
      idleSessions: (before, limit) => inner().idleSessions(before, limit),
    };
  }

  private inOrder(session: string, seq: number): void {
    const highest = this.highestSeq.get(session) ?? 0;
    if (seq < highest && this.sessionOrder && !this.observer.isDoubted(`${session}/${seq}`)) {
      throw new SimulationFailure("session order", `op ${session}/${seq} was applied after seq ${highest}`);
    }
    this.highestSeq.set(session, Math.max(highest, seq));
  }

  /** What the state machine made of a session that was to be forgotten. */
  private mayForget(session: string, index: number): void {
    if (this.forgotten.has(session) || this.inner.session(session) !== null) return;
    if (!this.closed.has(session)) this.closed.set(session, index);
    // Every one was opened by its op 0.
    if (this.inner.hasApplied(session, 0)) return;
    this.forgotten.set(session, index);
    this.observer.forgotten(session, (seq) => this.seen.has(`${session}/${seq}`));
  }

  private rebuild(entries: CommittedEntry[]): void {
    this.entries = entries;
    for (const expired of [this.closed, this.forgotten]) {
      for (const [session, index] of expired) if (index > entries.length) expired.delete(session);
    }
    this.seen.clear();
    this.refused.clear();
    this.highestSeq.clear();
    for (const entry of entries) {
      const { op } = entry;
      if (op === null || this.strangers.has(entry)) continue;
      this.seen.add(`${op.session}/${op.seq}`);
      this.highestSeq.set(op.session, Math.max(op.seq, this.highestSeq.get(op.session) ?? 0));
    }
  }
}

/** What was refused at first stays so until it is done. */
function noteRefusal(refused: Set<string>, key: string, { result }: Outcome, isFirst: boolean): void {
  if (result?.type !== "refused") refused.delete(key);
  else if (isFirst) refused.add(key);
}

/** The sessions that an op wants forgotten; null if it is about something else. */
function expires({ session, command }: OpEntry): readonly string[] | null {
  if (!isSystemSession(session)) return null;
  const decoded = decodeCommand(command);
  return decoded.type === "expire" ? decoded.sessions : null;
}
