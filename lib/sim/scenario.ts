/**
 * Stories told to a simulated cluster, step by step: who starts, dies, is cut off, what is sent to whom, and what must
 * be true then. Replicas are called A, B, C …; time passes only in `run` and `until`. The judge watches every step.
 */
import type { OpEntry } from "../protocol/entries.ts";
import type { Policy, ReplicaMessage } from "../protocol/messages.ts";
import { Cluster } from "./cluster.ts";
import { SimulationFailure } from "./failure.ts";
import type { SimulatedNode } from "./node.ts";
import { drawProfile, type Profile } from "./profile.ts";
import { Trace } from "./trace.ts";
import type { ClientConnection } from "./workload.ts";

export interface StoryOptions {
  readonly policy: Policy;
  readonly replicas?: number;
  readonly seed?: number;
  /** How long after a total stop the missing are waited for. Default: for ever. */
  readonly recoveryWaitMs?: number;
  /** Two views may go on beside each other in this story. */
  readonly forks?: boolean;
  /** On real logs and simulated disks. */
  readonly wal?: boolean;
  readonly print?: (line: string) => void;
}

/** What becomes of a message on its way: see {@link Story.intercept}. */
export type Fate = "deliver" | "drop" | "twice";

export const storyTiming = { heartbeatMs: 100, timeoutMs: 1_000, tickMs: 10 } as const;

export class Story {
  readonly cluster: Cluster;
  /** Ops by the word under which they were sent: how many were sent, and which were acknowledged with how many copies. */
  private readonly sessions = new Map<string, { readonly session: string; sent: number; readonly copies: number[] }>();

  constructor(options: StoryOptions) {
    const profile: Profile = {
      ...drawProfile(options.seed ?? 1, { policy: options.policy, replicas: options.replicas ?? 3, profile: "crash" }),
      ...storyTiming,
      clients: 0,
      wal: options.wal ?? false,
      chat: false,
      recoveryWaitMs: options.recoveryWaitMs ?? 1e12,
      link: { delayMsMin: 0.1, delayMsMean: 0.05, loss: 0, duplication: 0, reordering: 0, lateMsMean: 0 },
      syncMs: 0.5,
      order: options.forks === true ? "lineages" : "one-until-provisional",
      sessionOrder: options.forks !== true,
    };
    this.cluster = new Cluster(profile, new Trace(200, options.print));
  }

  /** All start and found the cluster. */
  found(): void {
    this.start(...this.names());
    this.until("everyone serves in one view", () => this.serving().length === this.cluster.nodes.length);
  }

  start(...names: string[]): void {
    for (const name of names) this.node(name).start();
  }

  kill(...names: string[]): void {
    for (const name of names) this.node(name).crash("process");
  }

  /** The machine is gone without a word. */
  unplug(...names: string[]): void {
    for (const name of names) this.node(name).crash("power");
  }

  wipe(name: string): void {
    this.node(name).wipe();
  }

  /** Something durable on the disk of a dead replica changes by itself. */
  rot(name: string): void {
    this.node(name).rot();
  }

  /** The last segment of the log of a dead replica becomes what `change` makes of it. */
  damage(name: string, change: (content: Uint8Array) => Uint8Array): void {
    this.node(name).damage(change);
  }

  pause(name: string, forMs: number): void {
    this.node(name).pause(forMs);
  }

  hang(name: string): void {
    this.node(name).syncTakes(Infinity);
  }

  unhang(name: string): void {
    this.node(name).syncTakes(0.5);
  }

  cut(one: string, other: string): void {
    this.cluster.network.cutBetween(this.node(one).pid, this.node(other).pid, true);
  }

  /** Nothing from `from` reaches `to`; the other direction is fine. */
  cutOneWay(from: string, to: string): void {
    this.cluster.network.cut(this.node(from).pid, this.node(to).pid, true);
  }

  mend(one: string, other: string): void {
    this.cluster.network.cutBetween(this.node(one).pid, this.node(other).pid, false);
  }

  /** Decides the fate of every message from now on; `null`: all are delivered again. */
  intercept(fate: ((from: string, to: string, message: ReplicaMessage) => Fate) | null): void {
    this.cluster.network.intercept =
      fate === null ? null : (from, to, message) => fate(nameOf(from.pid), nameOf(to), message);
  }

  /** A client at a replica sends ops, all at once, in a session of that word. They are not sent again by themselves. */
  send(word: string, name: string, count: number): void {
    const { sessions, cluster } = this;
    let client = sessions.get(word);
    if (client === undefined) sessions.set(word, (client = { session: cluster.random.uuid(), sent: 0, copies: [] }));
    const ops: OpEntry[] = [];
    for (let at = 0; at < count; at++) ops.push(makeOp(client.session, ++client.sent));
    this.node(name).submit(ops, this.connection(word));
  }

  /** The client of that word sends everything that was not acknowledged again, to this replica. */
  resend(word: string, name: string): void {
    const client = this.client(word);
    const ops: OpEntry[] = [];
    for (let seq = 1; seq <= client.sent; seq++) {
      if (client.copies[seq] === undefined) ops.push(makeOp(client.session, seq));
    }
    this.node(name).submit(ops, this.connection(word));
  }

  /** How many ops of that word were acknowledged. */
  acknowledged(word: string): number {
    return Object.keys(this.sessions.get(word)?.copies ?? []).length;
  }

  /** The copies that the last acknowledgement of that word told. */
  copies(word: string): number {
    return this.client(word).copies.at(-1) ?? 0;
  }

  /** How many ops of that word the state of a replica holds. */
  held(word: string, name: string): number {
    const { session, sent } = this.client(word);
    let count = 0;
    for (let seq = 1; seq <= sent; seq++) if (this.node(name).applied.hasApplied(session, seq)) count++;
    return count;
  }

  run(forMs: number): void {
    const { simulator } = this.cluster;
    simulator.run(simulator.nowMs + forMs);
  }

  until(what: string, holds: () => boolean, withinMs = 20_000): void {
    const { simulator } = this.cluster;
    if (simulator.run(simulator.nowMs + withinMs, holds)) return;
    throw new SimulationFailure("story", `${what}: not within ${withinMs} ms\n${this.cluster.trace.tail().join("\n")}`);
  }

  /** Who serves now, and agrees on the view of the lowest of them. */
  serving(): string {
    const serving = this.cluster.nodes.filter(({ standing }) => {
      return standing !== null && standing.ready && (standing.role === "primary" || standing.role === "backup");
    });
    const view = serving[0]?.standing?.view;
    return serving
      .filter(({ standing }) => standing?.view === view)
      .map(({ pid }) => nameOf(pid))
      .join("");
  }

  primary(): string {
    const primary = this.cluster.nodes.find(({ standing }) => standing?.ready === true && standing.role === "primary");
    return primary === undefined ? "" : nameOf(primary.pid);
  }

  /** Waits until exactly these serve together. */
  untilServing(names: string, withinMs = 20_000): void {
    this.until(`${names} serve together`, () => this.serving() === names, withinMs);
  }

  untilAcknowledged(word: string, count: number, withinMs = 20_000): void {
    this.until(`${count} ${word} are acknowledged`, () => this.acknowledged(word) >= count, withinMs);
  }

  /** Whatever was cut or hung is mended, whoever is down starts: all must come together, with nothing missing. */
  end(): void {
    const { cluster } = this;
    this.intercept(null);
    cluster.network.healAll(cluster.profile.link);
    for (const node of cluster.nodes) {
      node.syncTakes(0.5);
      node.mend();
      node.start();
    }
    cluster.simulator.run(cluster.simulator.nowMs + 3 * storyTiming.timeoutMs);
    cluster.mustConverge();
  }

  node(name: string): SimulatedNode {
    const node = this.cluster.nodes.find(({ pid }) => nameOf(pid) === name);
    if (node === undefined) throw new RangeError(`there is no replica ${name}`);
    return node;
  }

  names(): string[] {
    return this.cluster.nodes.map(({ pid }) => nameOf(pid));
  }

  private client(word: string): { readonly session: string; sent: number; readonly copies: number[] } {
    const client = this.sessions.get(word);
    if (client === undefined) throw new RangeError(`nothing was sent under the word ${word}`);
    return client;
  }

  private connection(word: string): ClientConnection {
    return {
      client: 0,
      open: true,
      ended: (_session, seq, end, copies) => {
        if (end === "acknowledged") this.client(word).copies[seq] = copies;
      },
      lost: () => {},
    };
  }
}

const nameOf = (pid: number): string => String.fromCharCode(64 + pid);

function makeOp(session: string, seq: number): OpEntry {
  const command = new TextEncoder().encode(`${session}/${seq}`);
  return { session, seq, oldest: 1, at: 0, origAt: 0, digest: new Uint8Array(8).fill(seq & 0xff), command };
}
