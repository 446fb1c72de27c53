/**
 * A simulated cluster on which a scenario is played: what the commands of a script act on, and the transcript of what
 * happens. Real core, driver and log; time, chance, disks and network are steady, so that the same script always gives
 * the same transcript. The judge of the simulator watches every step.
 */
import type { OpEntry } from "../protocol/entries.ts";
import type { Member, Policy, ReplicaMessage } from "../protocol/messages.ts";
import { decodeRecord, recordKind } from "../protocol/record.ts";
import type { ConfigChange } from "../replication/events.ts";
import { Cluster } from "./cluster.ts";
import { SimulationFailure } from "./failure.ts";
import type { SimulatedNode } from "./node.ts";
import { drawProfile, type Profile } from "./profile.ts";
import { Steady } from "./scenario-steady.ts";
import { messageText, nameOf, namesText, recordsText, recordText, standingText } from "./scenario-text.ts";
import { Trace } from "./trace.ts";
import type { ClientConnection } from "./workload.ts";

export interface StageOptions {
  readonly policy: Policy;
  readonly replicas: number;
  /** How long after a total stop the missing are waited for; Infinity: for ever. */
  readonly recoveryWaitMs: number;
  /** Two views may go on beside each other in this story: the judge then does not demand one order. */
  readonly forks: boolean;
}

/** What the transcript tells: nothing; what replicas and clients come to; also messages and what is written to disk. */
export type Detail = "nothing" | "replicas" | "messages";

/** What becomes of messages of a kind on a link until the rule is lifted. */
interface Rule {
  readonly from: number;
  readonly to: number;
  readonly type: string;
  readonly fate: "hold" | "lose" | "double" | "spoil";
}

interface Held {
  readonly from: Member;
  readonly to: number;
  readonly message: ReplicaMessage;
}

/** An op of the script, and what became of it. */
interface Sent {
  readonly op: OpEntry;
  copies: number;
}

export const timing = { heartbeatMs: 100, timeoutMs: 1_000, tickMs: 10 } as const;
const patienceMs = 60_000;

export class Stage {
  readonly cluster: Cluster;
  detail: Detail = "replicas";
  private lines: string[] = [];
  private rules: Rule[] = [];
  private held: Held[] = [];
  private readonly ops = new Map<string, Sent>();
  /** As what each replica was last said to serve. */
  private readonly stood = new Map<number, string>();
  /** What every entry ever appended says, by its chain. */
  private readonly entries = new Map<bigint, { readonly text: string; readonly view: number }>();

  constructor({ policy, replicas, recoveryWaitMs, forks }: StageOptions) {
    const profile: Profile = {
      ...drawProfile(1, { policy, replicas, profile: "crash" }),
      ...timing,
      clients: 0,
      wal: true,
      chat: false,
      expiry: null,
      encoded: true,
      recoveryWaitMs: Math.min(recoveryWaitMs, 1e12),
      link: { delayMsMin: 0.1, delayMsMean: 0.05, loss: 0, duplication: 0, reordering: 0, lateMsMean: 0 },
      syncMs: 0.5,
      // Logs are shortened ten seconds after the last time, and states copied for next to nothing.
      retention: { laggardEntries: 0, snapshotBehindEntries: 10, snapshotBytesPerSecond: 1e6, compactMs: 10_000 },
      order: forks ? "lineages" : "one-until-provisional",
      sessionOrder: !forks,
    };
    this.cluster = new Cluster(profile, new Transcript((pid, text) => this.happened(pid, text)), new Steady());
    this.cluster.network.intercept = (from, to, message) => this.fate(from, to, message);
    this.cluster.written = (pid, records) => this.written(pid, records);
  }

  // ---- the transcript

  say(line: string): void {
    this.lines.push(line.trimEnd());
  }

  /** What was said since the last time. */
  taken(): string[] {
    return this.lines.splice(0);
  }

  // ---- replicas

  get nodes(): readonly SimulatedNode[] {
    return this.cluster.nodes;
  }

  node(pid: number): SimulatedNode {
    const node = this.nodes.find((each) => each.pid === pid);
    if (node === undefined) throw new RangeError(`there is no replica ${pid}`);
    return node;
  }

  /** Whether exactly these serve, together in one view. */
  serve(pids: readonly number[]): boolean {
    const serving = this.nodes.filter(({ standing }) => {
      return standing !== null && standing.ready && (standing.role === "primary" || standing.role === "backup");
    });
    const view = this.node(pids[0] ?? 0).standing?.view;
    const together = serving.filter(({ standing }) => standing?.view === view).map(({ pid }) => pid);
    const alone = serving.every(({ pid, standing }) => pids.includes(pid) || standing?.view !== view);
    const members = this.node(pids[0] ?? 0).standing?.members.length;
    return alone && members === pids.length && together.join() === pids.toSorted((a, b) => a - b).join();
  }

  /** The logical log of a replica as it was appended, a line a view. */
  logText(pid: number): string {
    const { chains, views } = this.node(pid).log.current;
    const lines: string[] = [];
    let last = 0;
    for (const [at, chain] of chains.entries()) {
      const text = this.entries.get(chain)?.text ?? "?";
      const view = views[at] ?? 0;
      if (view === last) lines.push(`${lines.pop() ?? ""}, ${text}`);
      else lines.push(text);
      last = view;
    }
    return lines.length === 0 ? "empty" : lines.join("\n");
  }

  /** Names of the ops applied, in order, each once. */
  applied(pid: number): string[] {
    const names = this.node(pid).applied.entries.flatMap(({ op }) => (op === null ? [] : [nameOf(op.command)]));
    return [...new Set(names)];
  }

  /** The same, in words. */
  appliedText(pid: number): string {
    return namesText(this.applied(pid)) || "nothing";
  }

  // ---- the config

  /** An operator asks a replica for a change, and is told what comes of it. */
  change(pid: number, change: ConfigChange): void {
    this.node(pid).change(change, ({ state, reason }) => {
      if (this.detail !== "nothing")
        this.say(`${pid} answers the operator: ${state}${reason === "" ? "" : `, ${reason}`}`);
    });
  }

  start(...pids: number[]): void {
    for (const pid of pids) this.node(pid).start();
  }

  // ---- time

  run(forMs: number): void {
    const { simulator } = this.cluster;
    simulator.run(simulator.nowMs + forMs);
  }

  /** Runs until it holds, and says how long that took, to the nearest 10 ms. */
  until(what: string, holds: () => boolean): void {
    const { simulator } = this.cluster;
    const startMs = simulator.nowMs;
    if (!simulator.run(startMs + patienceMs, holds)) {
      throw new SimulationFailure("story", `${what}: not within ${patienceMs} ms`);
    }
    this.say(`${what} after ${Math.round((simulator.nowMs - startMs) / 10) * 10} ms`);
  }

  /** Whatever was cut, held or hung is mended, whoever is down starts: all must come together with nothing missing. */
  end(): void {
    const { cluster } = this;
    this.rules = [];
    this.held = [];
    cluster.network.healAll(cluster.profile.link);
    for (const node of this.nodes) {
      node.syncTakes(cluster.profile.syncMs);
      node.mend();
      node.start();
    }
    this.run(3 * timing.timeoutMs);
    cluster.mustConverge();
  }

  // ---- clients

  /** A client at a replica sends ops under these names; one that was sent before is sent again, under its old id. */
  propose(pid: number, names: readonly string[]): void {
    const ops = names.map((name) => {
      let sent = this.ops.get(name);
      if (sent === undefined) {
        const session = `00000000-0000-4000-8000-00000000000${pid}`;
        const seq = [...this.ops.values()].filter(({ op }) => op.session === session).length + 1;
        const command = new TextEncoder().encode(name);
        const op = { session, seq, oldest: 1, at: 0, origAt: 0, digest: new Uint8Array(8).fill(seq & 0xff), command };
        this.ops.set(name, (sent = { op, copies: 0 }));
      }
      return sent.op;
    });
    this.node(pid).submit(ops, this.connection(pid, names));
  }

  acknowledged(name: string): boolean {
    return (this.ops.get(name)?.copies ?? 0) > 0;
  }

  private connection(pid: number, names: readonly string[]): ClientConnection {
    return {
      client: 0,
      server: null,
      open: true,
      arrivesMs: 0,
      ended: (session, seq, end, copies) => {
        const [name, sent] = [...this.ops].find(([, { op }]) => op.session === session && op.seq === seq) ?? [];
        if (sent === undefined) return;
        if (end === "acknowledged") sent.copies = copies;
        if (this.detail === "nothing") return;
        this.say(
          `${pid} ${end === "acknowledged" ? `acknowledges ${name}, copies ${copies}` : `answers ${name}: ${end}`}`,
        );
      },
      forgotten: () => {},
      lost: () => {
        const open = names.filter((name) => !this.acknowledged(name));
        if (this.detail !== "nothing") this.say(`the client at ${pid} loses its connection, ${open.join(" ")} unknown`);
      },
    };
  }

  // ---- messages

  rule(rule: Rule): void {
    this.rules.unshift(rule);
  }

  /** Lifts the rules for these messages. What is held stays held until it is delivered or lost. */
  lift(from: number, to: number, type: string): void {
    this.rules = this.rules.filter(
      (rule) => !(covers(from, rule.from) && covers(to, rule.to) && (type === "" || type === rule.type)),
    );
  }

  /** Delivers what is held, oldest first. Returns how many. */
  deliver(from: number, to: number, type: string): number {
    const chosen = this.held.filter((held) => isOf(held, from, to, type));
    this.held = this.held.filter((held) => !chosen.includes(held));
    for (const held of chosen) {
      if (this.detail === "messages") this.say(`${held.from.pid}→${held.to} arrives: ${messageText(held.message)}`);
      this.node(held.to).received(held.from, held.message);
    }
    return chosen.length;
  }

  drop(from: number, to: number, type: string): number {
    const before = this.held.length;
    this.held = this.held.filter((held) => !isOf(held, from, to, type));
    return before - this.held.length;
  }

  private fate(from: Member, to: number, message: ReplicaMessage): "deliver" | "drop" | "twice" {
    const held: Held = { from, to, message };
    const fate = this.rules.find((rule) => isOf(held, rule.from, rule.to, rule.type))?.fate;
    if (this.detail === "messages" && (message.type !== "heartbeat" || fate === "hold")) {
      const cut = this.cluster.network.isCut(from.pid, to) ? " (cut)" : "";
      const notes = { hold: " (held)", lose: " (lost)", double: " (and kept)", spoil: " (spoilt)" };
      this.say(`${from.pid}→${to} ${messageText(message)}${fate === undefined ? cut : notes[fate]}`);
    }
    if (fate === "hold" || fate === "double") this.held.push(held);
    if (fate === "spoil") this.node(to).received(from, spoilt(message));
    return fate === "spoil" || fate === "hold" || fate === "lose" ? "drop" : "deliver";
  }

  // ---- what happens by itself

  private happened(pid: number, text: string): void {
    if (this.detail === "nothing" || text.startsWith("→") || text.startsWith("[debug]")) return;
    const logged = /^\[\w+\] (.*)$/.exec(text)?.[1];
    if (logged !== undefined) this.say(`${pid}: ${logged}`);
    else if (/^is (primary|backup|learner|candidate)/.test(text)) this.stands(pid);
    // What stands in the script already, or is told to the operator, need not be said twice.
    else if (!/^(disk (syncs|hangs)|says of a change)/.test(text)) this.say(`${pid} ${text}`);
  }

  /** Who comes to serve, and where; what it is otherwise `state` tells. */
  private stands(pid: number): void {
    const { standing } = this.node(pid);
    if (standing === null) return;
    const serves = standing.ready && (standing.role === "primary" || standing.role === "backup");
    const text = serves ? standingText(pid, standing, false).replace(/; commit.*$/, "") : "";
    if (text !== "" && text !== this.stood.get(pid)) this.say(text.replace(`${pid} `, `${pid} serves as `));
    this.stood.set(pid, text);
  }

  private written(pid: number, records: readonly Uint8Array[]): void {
    for (const bytes of records) {
      const record = decodeRecord(bytes, 0);
      if (typeof record === "string" || record.kind === recordKind.sync) continue;
      const text = recordText(record);
      if (record.index > 0 && text !== null) this.entries.set(record.chain, { text, view: record.view });
    }
    if (this.detail === "messages") this.say(`${pid} writes ${recordsText(records)}`);
  }
}

/** 0 stands for everyone, "" for every type but heartbeats, which nobody wants to see. */
const isOf = ({ from, to, message }: Held, fromPid: number, toPid: number, type: string): boolean =>
  covers(fromPid, from.pid) &&
  covers(toPid, to) &&
  (type === "" ? message.type !== "heartbeat" : message.type === type);

const covers = (chosen: number, pid: number): boolean => chosen === 0 || chosen === pid;

/** Hands the lines of the trace on instead of keeping them. */
class Transcript extends Trace {
  constructor(private readonly tell: (pid: number, text: string) => void) {
    super(1);
  }

  override line(_nowMs: number, who: string, text: string): void {
    const pid = /^r(\d+)$/.exec(who)?.[1];
    if (pid !== undefined) this.tell(Number(pid), text);
  }
}

/** With one bit of its records, or of the state, changed on the way. */
function spoilt(message: ReplicaMessage): ReplicaMessage {
  if (message.type === "snapshotPart") return { ...message, bytes: withLastBitChanged(message.bytes) };
  if (message.type !== "append" && message.type !== "entries") throw new RangeError("neither records nor a state");
  return { ...message, records: withLastBitChanged(message.records) };
}

function withLastBitChanged(bytes: Uint8Array): Uint8Array {
  const changed = bytes.slice();
  changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
  return changed;
}
