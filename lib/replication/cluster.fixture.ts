/**
 * A few replicas of the pure core over logs in memory and a network that the test steers: for tests that tell a story
 * of messages. Not a simulator (`lib/sim` is): no seeds, no torn disks, everything arrives in order unless it is cut.
 */
import { assert } from "../base/assert.ts";
import { decodeEntry } from "../protocol/codec.ts";
import type { OpEntry } from "../protocol/entries.ts";
import type { LogReader, RecoveredLog } from "../protocol/log-port.ts";
import type { Configured, Member, Policy, ReplicaMessage } from "../protocol/messages.ts";
import { decodeRecord, recordKind } from "../protocol/record.ts";
import type { CommittedEntry } from "../protocol/state-machine.ts";
import { portionsOf } from "../sim/fork-portions.ts";
import type { ChangeReport, ConfigChange, Effect, Event, Standing } from "./events.ts";
import { Replica } from "./replica.ts";
import { keyOf } from "./state.ts";

export const tickMs = 10;
export const timing = { heartbeatMs: 100, timeoutMs: 1_000, recoveryWaitMs: 10_000 };

/** What survives a crash: the records whose append was persisted. */
class MemoryDisk implements LogReader {
  uuid: string;
  durable: Uint8Array[] = [];
  volatile: Uint8Array[] = [];

  constructor(uuid: string) {
    this.uuid = uuid;
  }

  get records(): Uint8Array[] {
    return [...this.durable, ...this.volatile];
  }

  /** The logical log and what it superseded. */
  logical(): { entries: Uint8Array[]; orphans: Uint8Array[]; promised: number } {
    const entries: Uint8Array[] = [];
    const orphans: Uint8Array[] = [];
    let promised = 0;
    for (const bytes of this.records) {
      const record = decodeRecord(bytes, 0);
      assert(typeof record !== "string", "records in memory are sound");
      if (record.kind === recordKind.merged) orphans.length = 0;
      if (record.kind === recordKind.promise) promised = Math.max(promised, record.view);
      if (record.index === 0) continue;
      orphans.push(...entries.splice(record.index - 1));
      entries.push(bytes);
    }
    return { entries, orphans, promised };
  }

  recover(): RecoveredLog {
    const { entries, promised } = this.logical();
    const records = entries.map((bytes) => {
      const record = decodeRecord(bytes, 0);
      assert(typeof record !== "string", "records in memory are sound");
      return record;
    });
    return {
      promised,
      beginning: null,
      isKnown: false,
      views: Float64Array.from(records, ({ view }) => view),
      chains: BigUint64Array.from(records, ({ chain }) => chain),
      commit: 0,
      damaged: false,
    };
  }

  read(fromIndex: number, maxBytes: number): Uint8Array[] {
    let length = 0;
    return this.logical()
      .entries.slice(fromIndex - 1)
      .filter((record, i) => i === 0 || (length += record.length) <= maxBytes);
  }

  orphans(): IterableIterator<readonly Uint8Array[]> {
    return portionsOf(this.logical().orphans);
  }

  get hasForks(): boolean {
    return this.logical().orphans.length > 0;
  }

  /** Everything is kept here. */
  compactable(): null {
    return null;
  }
}

export class Node {
  readonly pid: number;
  disk: MemoryDisk;
  incarnation = 0;
  core: Replica | null = null;
  applied: CommittedEntry[] = [];
  readonly said: string[] = [];
  readonly unavailable: { session: string; seq: number }[] = [];
  /** Appends are kept from becoming durable while set. */
  diskHangs = false;
  unpersisted: number[] = [];
  /** What a newcomer is started with; null: it is one of the founders. */
  joins: { readonly peers: Configured[]; readonly founds: false } | null = null;
  reports: ChangeReport[] = [];

  constructor(pid: number) {
    this.pid = pid;
    this.disk = new MemoryDisk(uuidOf(pid, 0));
  }

  get member(): Member {
    return { pid: this.pid, uuid: this.disk.uuid, incarnation: this.incarnation };
  }

  get standing(): Standing {
    assert(this.core !== null, `replica ${this.pid} runs`);
    return this.core.standing;
  }

  /** Ops applied, as `session/seq`. */
  get ops(): string[] {
    return this.applied.flatMap(({ op }) => (op === null ? [] : [`${op.session.slice(-2)}/${op.seq}`]));
  }

  /** What was applied in front of its session's registration, where that has one, was of an unknown session: not done. */
  isDone(op: OpEntry): boolean {
    const ops = this.applied.flatMap((entry) => (entry.op === null ? [] : [keyOf(entry.op)]));
    return ops.lastIndexOf(keyOf(op)) >= Math.max(0, ops.indexOf(keyOf({ session: op.session, seq: 0 })));
  }

  /** The disk, with its forks less what has been done. */
  get reader(): LogReader {
    const { disk } = this;
    const isOwed = (bytes: Uint8Array): boolean => {
      const record = decodeRecord(bytes, 0);
      if (typeof record === "string" || record.kind !== recordKind.op) return false;
      const op = decodeEntry(record.kind, record.payload);
      return op.type === "op" && !this.isDone(op);
    };
    return {
      read: (fromIndex, maxBytes) => disk.read(fromIndex, maxBytes),
      orphans: () => [...disk.orphans()].map((portion) => portion.filter(isOwed)).values(),
      get hasForks() {
        return disk.hasForks;
      },
      compactable: () => disk.compactable(),
    };
  }

  wipe(): void {
    this.disk = new MemoryDisk(uuidOf(this.pid, this.incarnation + 1));
    this.applied = [];
  }
}

export const addressOf = (pid: number): string => `host${pid}:1538`;

const uuidOf = (pid: number, generation: number): string =>
  `0000000${pid}-0000-4000-8000-${generation.toString(16).padStart(12, "0")}`;

export class Cluster {
  readonly nodes: Node[];
  readonly peers: Configured[];
  readonly policy: Policy;
  nowMs = 1_000;
  #queue: { from: Node; to: Node; toIncarnation: number; member: Member; message: ReplicaMessage }[] = [];
  /** `"1>2"`: nothing sent by 1 arrives at 2. */
  readonly cuts = new Set<string>();
  /** Sees, and may drop (false), every message. */
  filter: (from: number, to: number, message: ReplicaMessage) => boolean = () => true;

  constructor(size: number, policy: Policy) {
    this.policy = policy;
    this.nodes = Array.from({ length: size }, (_, i) => new Node(i + 1));
    this.peers = this.nodes.map(({ pid }) => ({ pid, address: addressOf(pid), uuid: null }));
  }

  node(pid: number): Node {
    const node = this.nodes[pid - 1];
    assert(node !== undefined, `there is a replica ${pid}`);
    return node;
  }

  start(...pids: number[]): void {
    for (const pid of pids) {
      const node = this.node(pid);
      node.incarnation++;
      node.disk.volatile = [];
      node.unpersisted = [];
      node.applied = [];
      const self = node.member;
      node.core = new Replica(
        {
          self,
          policy: this.policy,
          ...(node.joins ?? { peers: this.peers, founds: true }),
          clusterTag: 7,
          ...timing,
          seed: pid * 1_000 + node.incarnation,
        },
        node.disk.recover(),
        { position: { index: 0, view: 0, chain: 0n }, clock: 0, isLogged: true },
        node.reader,
      );
      this.step(node, { type: "tick", nowMs: this.nowMs, wallMs: this.nowMs });
    }
    for (const pid of pids) {
      for (const other of this.nodes) {
        if (other.pid === pid || other.core === null) continue;
        if (this.#cut(other.pid, pid) || this.#cut(pid, other.pid)) continue;
        this.step(this.node(pid), { type: "connected", peer: other.member });
        this.step(other, { type: "connected", peer: this.node(pid).member });
      }
    }
  }

  /** Starts a newcomer that knows of these; it has the next pid. */
  join(...known: number[]): Node {
    const node = new Node(this.nodes.length + 1);
    this.nodes.push(node);
    const peers = [...known, node.pid].map((pid) => ({ pid, address: addressOf(pid), uuid: null }));
    node.joins = { peers, founds: false };
    this.start(node.pid);
    return node;
  }

  /** Asks a replica for a change of the config, and says what it answers. */
  change(at: number, change: ConfigChange, answers = true): ChangeReport {
    const node = this.node(at);
    node.reports = [];
    this.step(node, { type: "change", request: 1, change, answers });
    const [report] = node.reports;
    assert(report !== undefined, "a request for a change is answered at once");
    this.settle();
    return report;
  }

  /** Asks again and again, the replica that it is sent on to, until it is done. */
  changed(at: number, change: ConfigChange, withinMs: number): void {
    let asked = at;
    this.until(() => {
      const { state, ask } = this.change(asked, change);
      if (state === "elsewhere" && ask !== 0) asked = ask;
      return state === "done";
    }, withinMs);
  }

  /** SIGKILL: what was not persisted is gone, and its host answers "refused". */
  kill(...pids: number[]): void {
    for (const pid of pids) {
      this.node(pid).core = null;
      for (const other of this.nodes) {
        if (other.core !== null && !this.#cut(pid, other.pid))
          this.step(other, { type: "disconnected", pid, refused: true });
      }
    }
  }

  partition(...sides: number[][]): void {
    this.cuts.clear();
    for (const side of sides) {
      for (const from of side) {
        for (const { pid } of this.nodes)
          if (!side.includes(pid)) this.cuts.add(`${from}>${pid}`).add(`${pid}>${from}`);
      }
    }
  }

  heal(): void {
    this.cuts.clear();
  }

  propose(pid: number, ...seqs: number[]): void {
    const ops = seqs.map((seq): OpEntry => opOf(pid, seq));
    this.step(this.node(pid), { type: "propose", ops });
    this.settle();
  }

  run(forMs: number): void {
    for (const end = this.nowMs + forMs; this.nowMs < end;) {
      this.nowMs += tickMs;
      for (const node of this.nodes) {
        if (node.core !== null) this.step(node, { type: "tick", nowMs: this.nowMs, wallMs: this.nowMs });
      }
      this.settle();
    }
  }

  /** Runs until `done`, and fails when it is not within `withinMs`. Returns how long it took. */
  until(done: () => boolean, withinMs: number): number {
    const start = this.nowMs;
    while (!done()) {
      if (this.nowMs - start > withinMs) throw new Error(`not within ${withinMs} ms:\n${this.describe()}`);
      this.run(tickMs);
    }
    return this.nowMs - start;
  }

  /** All of these are members of one formed view, and nobody else is. */
  formed(...pids: number[]): boolean {
    return pids.every((pid) => {
      const { ready, view, members } = this.node(pid).standing;
      const same = view === this.node(pids[0] ?? 0).standing.view;
      return ready && same && members.map((each) => each.pid).join() === pids.join();
    });
  }

  describe(): string {
    return this.nodes
      .map((node) => {
        if (node.core === null) return `replica ${node.pid}: down`;
        const { role, view, ready, waitingFor, commit, lastIndex, members } = node.standing;
        const pids = members.map(({ pid }) => pid).join();
        return (
          `replica ${node.pid}: ${role} of ${view >> 8}.${view & 255} {${pids}} ready=${ready} ` +
          `commit=${commit}/${lastIndex} ${waitingFor}\n    ${node.said.slice(-8).join("\n    ")}`
        );
      })
      .join("\n");
  }

  step(node: Node, event: Event): void {
    if (node.core === null) return;
    for (const effect of node.core.step(event)) this.#run(node, effect);
  }

  /** Delivers everything under way, and what that causes. */
  settle(): void {
    for (let round = 0; this.#queue.length > 0 || this.nodes.some((node) => this.#persist(node)); round++) {
      if (round > 10_000) throw new Error(`messages never end:\n${this.describe()}`);
      for (const { from, to, toIncarnation, member, message } of this.#queue.splice(0)) {
        if (to.core === null || to.incarnation !== toIncarnation || this.#cut(from.pid, to.pid)) continue;
        if (this.filter(from.pid, to.pid, message)) this.step(to, { type: "received", from: member, message });
      }
    }
  }

  #persist(node: Node): boolean {
    const sequence = node.unpersisted.at(-1);
    if (sequence === undefined || node.diskHangs || node.core === null) return false;
    node.disk.durable.push(...node.disk.volatile.splice(0));
    node.unpersisted = [];
    this.step(node, { type: "persisted", sequence });
    return true;
  }

  #cut(from: number, to: number): boolean {
    return this.cuts.has(`${from}>${to}`);
  }

  #run(node: Node, effect: Effect): void {
    switch (effect.type) {
      case "send": {
        // A replica that is to be added may not have been started.
        const to = this.nodes[effect.to - 1];
        if (to === undefined) return;
        this.#queue.push({
          from: node,
          to,
          toIncarnation: to.incarnation,
          member: node.member,
          message: effect.message,
        });
        return;
      }
      case "append":
        node.disk.volatile.push(...effect.records);
        node.unpersisted.push(effect.sequence);
        return;
      case "committed":
        for (const entry of effect.entries) {
          assert(entry.index === node.applied.length + 1, "entries are applied in order, each once");
          node.applied.push(entry);
        }
        return;
      case "continue":
        this.step(node, { type: "continue" });
        return;
      case "rewind":
        node.applied = [];
        return;
      case "unavailable":
        node.unavailable.push(...effect.ops);
        return;
      case "log":
        node.said.push(`${this.nowMs} ${effect.level} ${effect.message}`);
        return;
      case "fatal":
        throw new Error(effect.message);
      case "changeReport":
        node.reports.push(effect.report);
        return;
      case "standing":
      case "repaired":
        return;
    }
  }
}

/** Op `seq` of the session that belongs to clients of replica `pid`. */
export function opOf(pid: number, seq: number): OpEntry {
  const session = `00000000-0000-4000-8000-0000000000${pid.toString(16).padStart(2, "0")}`;
  return {
    session,
    seq,
    oldest: seq,
    at: 0,
    origAt: 0,
    digest: new Uint8Array(8),
    command: new Uint8Array([seq & 255]),
  };
}
