/**
 * Drives one replica: feeds events to the pure core and runs its effects, in order, against the write-ahead log, the
 * state machine and the links to peers. The simulator runs this very code. Knows no socket, file or real clock.
 */
import { assert } from "../base/assert.ts";
import type { OpEntry } from "../protocol/entries.ts";
import type { LogBeginning, LogReader, RecoveredLog } from "../protocol/log-port.ts";
import type { Policy, ReplicaMessage } from "../protocol/messages.ts";
import { decodeEntry } from "../protocol/codec.ts";
import { decodeRecord, recordKind } from "../protocol/record.ts";
import { ProtocolError } from "../protocol/protocol-error.ts";
import type { Applied, CommittedEntry, StateMachine } from "../protocol/state-machine.ts";
import type { ChangeReport, Effect, Event, ReplicaOptions, Standing } from "../replication/events.ts";
import type { StateFiles } from "../protocol/state-files.ts";
import type { Place } from "../replication/kinship.ts";
import type { StateFound } from "../replication/state.ts";
import { Replica } from "../replication/replica.ts";
import { ToldRefusals } from "./told-refusals.ts";

/** What the driver needs of the write-ahead log; `persisted` comes back as an event. */
export interface DriverLog extends LogReader {
  readonly recovered: RecoveredLog;
  append(sequence: number, records: readonly Uint8Array[], commit: number): void;
  /** The log begins anew behind a place that it need not hold; see `Wal.beginAnew`. */
  beginAnew(sequence: number, beginning: LogBeginning, kept: number): void;
  /** Deletes what stands at or below an index that `compactable` has named. */
  compact(index: number): void;
  /** What was damaged has been appended again: put the damaged files aside. `done` is called when that is durable. */
  repaired(done: () => void): void;
  /** What stood behind its end is known to be gone: it counts as damaged until it is repaired. Before anything is appended. */
  lostItsEnd(): void;
}

export interface DriverPorts {
  /** Monotonic and wall time, both in milliseconds. */
  readonly time: () => { readonly nowMs: number; readonly wallMs: number };
  /** Best effort: lost when the peer is not connected. */
  readonly send: (to: number, message: ReplicaMessage) => void;
  /** Soon, in another turn of the loop. */
  readonly schedule: (callback: () => void) => void;
  /** Role, view or members changed, or what is waited for. */
  readonly standing: (standing: Standing) => void;
  /** Outcomes and deliveries of committed ops, in log order. */
  readonly applied: (applied: Applied, standing: Standing) => void;
  /** These ops will never be proposed: refuse them. */
  readonly unavailable: (ops: readonly { readonly session: string; readonly seq: number }[]) => void;
  /** Answers a change of the config that was asked for. */
  readonly changeReport: (request: number, report: ChangeReport) => void;
  /** Carries out what is to be done with the state as a file; reports come back as `state` events. */
  readonly stateFiles: StateFiles;
  readonly log: (level: "debug" | "info" | "warn" | "error", message: string) => void;
  /** The replica must not go on. */
  readonly fatal: (message: string) => void;
}

/** Events never run on a clock older than this: one that stood still learns so before it answers anything. */
const staleMs = 50;

export class ReplicaDriver {
  readonly #replica: Replica;
  readonly #log: DriverLog;
  readonly #stateMachine: StateMachine;
  readonly #ports: DriverPorts;
  readonly #policy: Policy;
  #proposals: OpEntry[] = [];
  #flushing = false;
  #stepping = false;
  #closed = false;
  #tickedMs = -Infinity;
  readonly #refusals = new ToldRefusals();
  readonly #queue: Event[] = [];

  /**
   * State that is not on the log's lineage (it lies beyond the log, or the chain differs) is emptied and replayed; where
   * the log begins above 1 it is given up, and taken from a peer. Where the log is damaged, or has lost its end, it waits for
   * that to be fetched anew.
   */
  constructor(options: ReplicaOptions, log: DriverLog, stateMachine: StateMachine, ports: DriverPorts) {
    this.#log = log;
    this.#stateMachine = stateMachine;
    this.#ports = ports;
    this.#policy = options.policy;
    const loss = lossOf(stateMachine, log.recovered, options.policy);
    if (loss !== null) {
      ports.log("error", loss);
      log.lostItsEnd();
    }
    const recovered = loss === null ? log.recovered : { ...log.recovered, damaged: true };
    const found = this.#findState(recovered);
    const reader: LogReader = {
      read: (fromIndex, maxBytes) => log.read(fromIndex, maxBytes),
      orphans: () => this.#owed(log.orphans()),
      get hasForks() {
        return log.hasForks;
      },
      compactable: (floor, evenForks) => log.compactable(floor, evenForks),
    };
    this.#replica = new Replica(options, recovered, found, reader);
  }

  #findState(recovered: RecoveredLog): StateFound | null {
    const state = this.#stateMachine;
    const isLogged = isOnLineage(state, recovered);
    const found = { position: { ...state.applied }, clock: state.clock, isLogged };
    if (isLogged) return found;
    const where = `the state at index ${found.position.index} is not on the log's lineage`;
    // One of nothing is of no use to anybody.
    if (recovered.damaged && found.position.index > 0) {
      this.#ports.log("warn", `${where} as far as that can be read: it is kept until the log has been fetched again`);
      return found;
    }
    if (recovered.beginning === null) {
      this.#ports.log("warn", `${where}: replaying the log`);
      state.reset();
      return { position: { ...state.applied }, clock: state.clock, isLogged: true };
    }
    const { index } = recovered.beginning.position;
    this.#ports.log("warn", `${where}, which begins behind index ${index}: it needs a snapshot from another replica`);
    this.#ports.stateFiles.run({ type: "abandon" });
    return null;
  }

  /** Asked of each portion when its turn comes: the state is further then. */
  *#owed(portions: Iterable<readonly Uint8Array[]>): IterableIterator<readonly Uint8Array[]> {
    for (const portion of portions) {
      yield portion.filter((record) => isOwed(this.#stateMachine, this.#refusals, record));
    }
  }

  get standing(): Standing {
    return this.#replica.standing;
  }

  /** Of what is being fetched, in words; empty when that is not known. */
  get stillToCome(): string {
    return this.#replica.stillToCome;
  }

  /**
   * The last place, at most at index `upTo`, that the log is known to have in common with one that went through `place`,
   * wherever that one went on to.
   */
  common(place: Place, upTo: number): Place {
    return this.#replica.common(place, upTo);
  }

  /** Client connections here, for the heartbeats. */
  setConnections(count: number): void {
    this.#replica.setConnections(count);
  }

  /** Time passes: called every 10 ms or so. */
  tick(): void {
    const { nowMs, wallMs } = this.#ports.time();
    this.#tickedMs = nowMs;
    this.#dispatch({ type: "tick", nowMs, wallMs });
  }

  /** What happened to this replica: a message, a connection, a persisted append, a request to stop. */
  dispatch(event: Exclude<Event, { type: "tick" }>): void {
    this.#tickIfStale();
    this.#dispatch(event);
  }

  #tickIfStale(): void {
    if (!this.#stepping && this.#ports.time().nowMs - this.#tickedMs > staleMs) this.tick();
  }

  /** From here on nothing happens to this replica any more, whatever is still on its way: log and state are being closed. */
  close(): void {
    this.#closed = true;
  }

  /** Steps the core and runs what it asks for. Events raised while effects run wait their turn. */
  #dispatch(event: Event): void {
    if (this.#closed) return;
    this.#queue.push(event);
    if (this.#stepping) return;
    this.#stepping = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        for (const effect of this.#replica.step(next)) this.#run(effect);
      }
    } catch (error) {
      // What has failed half-way is not gone on with, whatever comes before the process has heard of it and ends.
      this.#closed = true;
      // It would be taken for the fault of the peer whose message led to it: that is refused, and this process lives on, dead.
      if (error instanceof ProtocolError)
        throw new Error(`this replica went wrong: ${error.message}`, { cause: error });
      throw error;
    } finally {
      this.#stepping = false;
    }
  }

  /** Queues an op of a client; all ops of one turn of the loop are proposed as one batch. */
  propose(op: OpEntry): void {
    this.#proposals.push(op);
    if (this.#flushing) return;
    this.#flushing = true;
    this.#ports.schedule(() => {
      this.#flushing = false;
      // What a late tick leads to may leave the state that they were prepared from.
      this.#tickIfStale();
      const ops = this.#proposals;
      this.#proposals = [];
      this.dispatch({ type: "propose", ops });
    });
  }

  /** Queued ops of the sessions of these, which are refused: they would overtake those that are asked for again. */
  #takeBehind(refused: readonly { readonly session: string }[]): readonly OpEntry[] {
    const sessions = new Set(refused.map(({ session }) => session));
    const behind = this.#proposals.filter(({ session }) => sessions.has(session));
    if (behind.length > 0) this.#proposals = this.#proposals.filter(({ session }) => !sessions.has(session));
    return behind;
  }

  /** What is only replayed was answered and delivered before the rewind. */
  #apply(entries: readonly CommittedEntry[], replayed: number): void {
    if (replayed > 0) this.#applyNoting(entries.slice(0, replayed));
    if (replayed < entries.length) this.#ports.applied(this.#applyNoting(entries.slice(replayed)), this.standing);
  }

  #applyNoting(entries: readonly CommittedEntry[]): Applied {
    const applied = this.#stateMachine.apply(entries);
    let isFinal: boolean | null = null;
    this.#refusals.note(entries, applied.outcomes, () => (isFinal ??= this.#isFinal()));
    if (!this.#refusals.isEmpty && (isFinal ??= this.#isFinal()) && !this.#log.hasForks) this.#refusals.clear();
    return applied;
  }

  /** Whether no lineage can lack what commits now: every replica of the config has it on its disk. */
  #isFinal(): boolean {
    if (this.#policy === "quorum") return true;
    const { role, ready, config, members, awaiting } = this.standing;
    // Members of a view that has not formed may not have it, nor ever get it.
    if (role !== "learner" && !ready) return false;
    return awaiting.length === 0 && config.every(({ pid }) => members.some((member) => member.pid === pid));
  }

  #run(effect: Effect): void {
    const ports = this.#ports;
    switch (effect.type) {
      case "send":
        ports.send(effect.to, effect.message);
        return;
      case "append":
        this.#log.append(effect.sequence, effect.records, effect.commit);
        return;
      case "committed":
        this.#apply(effect.entries, effect.replayed);
        return;
      case "continue":
        ports.schedule(() => this.dispatch({ type: "continue" }));
        return;
      case "rewind":
        this.#proposals = [];
        this.#stateMachine.reset();
        return;
      case "state":
        if (effect.order.type === "abandon") this.#proposals = [];
        ports.stateFiles.run(effect.order);
        return;
      case "beginAnew":
        this.#log.beginAnew(effect.sequence, effect.beginning, effect.kept);
        return;
      case "compact":
        this.#log.compact(effect.index);
        return;
      case "repaired":
        this.#log.repaired(() =>
          ports.log("info", "the log is repaired from a peer: what was damaged is kept beside it as *.corrupt"),
        );
        return;
      case "standing":
        ports.standing(effect.standing);
        return;
      case "unavailable":
        ports.unavailable([...effect.ops, ...this.#takeBehind(effect.ops)]);
        return;
      case "changeReport":
        ports.changeReport(effect.request, effect.report);
        return;
      case "log":
        ports.log(effect.level, effect.message);
        return;
      case "fatal":
        ports.fatal(effect.message);
        return;
    }
  }
}

function isOnLineage(stateMachine: StateMachine, { beginning, chains }: RecoveredLog): boolean {
  const { index, chain } = stateMachine.applied;
  const base = beginning?.position ?? { index: 0, chain: 0n };
  if (index === base.index) return index === 0 || chain === base.chain;
  return index > base.index && index <= base.index + chains.length && chains[index - base.index - 1] === chain;
}

/**
 * What is to be said of a log that nothing is damaged in, and whose end is gone all the same, with what it had acknowledged
 * and promised: a segment was lost, or an old copy put in its place. The state applies only what the log has on the disk, and
 * where that stands is cut from a log only by what takes its place: under `quorum` by nothing, else by another view. Null when
 * there is no proof of it.
 */
function lossOf({ applied }: StateMachine, recovered: RecoveredLog, policy: Policy): string | null {
  const { beginning, chains, views, damaged } = recovered;
  const end = (beginning?.position.index ?? 0) + chains.length;
  const view = views.at(-1) ?? beginning?.position.view ?? 0;
  // One without entries may be new, whatever state was put beside it.
  if (damaged || end === 0 || applied.index <= end || (policy !== "quorum" && applied.view !== view)) return null;
  return (
    `the log ends at index ${end}, but the state has come to ${applied.index}: what stood there was on this disk and is gone ` +
    `(a segment is missing, or the log is an older copy); to be fetched again from a peer. If there is none that has it, this ` +
    `replica goes on without it once its state.sqlite is put aside`
  );
}

/** An op beside the lineage that somebody may have an acknowledgement of, and that the lineage lacks. */
function isOwed(stateMachine: StateMachine, refusals: ToldRefusals, bytes: Uint8Array): boolean {
  const record = decodeRecord(bytes, 0);
  if (typeof record === "string" || record.kind !== recordKind.op) return false;
  const op = decodeEntry(record.kind, record.payload);
  assert(op.type === "op", "an OP record holds an op");
  return !stateMachine.hasMerged(op) && !refusals.has(op);
}
