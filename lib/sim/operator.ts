/**
 * The simulated operator: changes the config while a run is under fire, one replica at a time, as `chatd cluster` does:
 * asks a replica, is sent on to the one that makes the change, asks again until it is done, and gives up after a while.
 * Starts newcomers, loses machines for good. Knows replicas only through a few verbs, and no view.
 */
import type { ChangeReport, ConfigChange } from "../replication/events.ts";
import type { Configured } from "../protocol/messages.ts";
import type { Victim } from "./faults.ts";
import type { OperatorProfile, Profile } from "./profile.ts";
import type { Random } from "./random.ts";
import type { Simulator } from "./simulator.ts";

/** A replica as an operator sees it. */
export interface Operated extends Victim {
  /** Asks it for a change; not answered if it is down or dies meanwhile. */
  change(change: ConfigChange, told: (report: ChangeReport) => void): void;
}

export interface OperatedCluster {
  readonly nodes: readonly Operated[];
  /** The config that is in force as far as anybody can know; null before the founding. */
  config(): readonly Configured[] | null;
  /** Starts a machine under a pid that none had. */
  newcomer(): Operated;
  addressOf(pid: number): string;
  /** What a machine alone held may be missing from now on until it returns. */
  lossAccepted(): void;
}

interface Underway {
  readonly change: ConfigChange;
  readonly untilMs: number;
  ask: number;
}

const askEveryMs = 400;
const nodesMax = 7;

export class Operator {
  /** Changes that came into force, for the statistics of a run. */
  made = 0;
  /** When each replica was last asked for what is not yet done: it may go on wanting that for a while. */
  private readonly asked = new Map<number, { readonly change: ConfigChange; readonly atMs: number }>();
  private underway: Underway | null = null;
  private target: number;
  private over = false;

  constructor(
    private readonly simulator: Simulator,
    private readonly random: Random,
    private readonly profile: Profile,
    private readonly operator: OperatorProfile,
    private readonly cluster: OperatedCluster,
  ) {
    this.target = random.pick(operator.sizes);
  }

  /** It is in the midst of a change. */
  get busy(): boolean {
    return this.underway !== null;
  }

  /** When anybody was last asked for what has not been done; -Infinity: nobody can want anything. */
  get askedMs(): number {
    return Math.max(-Infinity, ...[...this.asked.values()].map(({ atMs }) => atMs));
  }

  start(): void {
    this.simulator.after(this.random.around(this.operator.pauseMs), () => {
      if (this.over) return;
      if (this.underway === null) this.begin();
      this.start();
    });
  }

  /** Asks for nothing any more. */
  stop(): void {
    this.over = true;
    this.underway = null;
  }

  /** Begins one more change, which nothing hinders now. */
  finish(): void {
    this.over = false;
    const config = this.cluster.config();
    if (config === null) return;
    const change =
      config.length < 5
        ? this.adding(config)
        : { kind: "remove" as const, pid: config[0]?.pid ?? 0, acceptLoss: false };
    if (change !== null) this.pursue({ change, untilMs: Infinity, ask: 0 });
  }

  private begin(): void {
    const config = this.cluster.config();
    if (config === null) return;
    if (this.operator.estranges) return this.estrange();
    if (config.length === this.target) this.target = this.random.pick(this.operator.sizes);
    const change = config.length < this.target ? this.adding(config) : this.removing(config);
    if (change === null) return;
    this.aim(change, config);
    this.pursue({ change, untilMs: this.simulator.nowMs + this.operator.patienceMs, ask: 0 });
  }

  private adding(config: readonly Configured[]): ConfigChange | null {
    const outside = this.cluster.nodes.filter((node) => !config.some(({ pid }) => pid === node.pid));
    const mayBeNew = this.cluster.nodes.length < nodesMax;
    if (!mayBeNew && outside.length === 0) return null;
    const isNew = mayBeNew && (outside.length === 0 || this.random.chance(0.6));
    const { pid } = isNew ? this.cluster.newcomer() : this.random.pick(outside);
    return { kind: "add", pid, address: this.cluster.addressOf(pid) };
  }

  private removing(config: readonly Configured[]): ConfigChange | null {
    if (config.length === 1) return null;
    const { pid } = this.random.pick(config);
    const acceptLoss = this.operator.acceptsLoss && this.random.chance(0.5);
    if (acceptLoss) {
      this.cluster.lossAccepted();
      const node = this.node(pid);
      // A machine that has burnt down; now and then it comes back after all.
      if (this.random.chance(0.7) && node?.up === true) {
        node.crash(this.random.chance(0.5) ? "power" : "process");
        this.reviveLater(node, this.operator.patienceMs);
      }
    }
    return { kind: "remove", pid, acceptLoss };
  }

  /**
   * One of the first two is told to remove the other. Those alone: a side that had removed everybody else too would have
   * nobody left to keep its log for, and neither side could follow the other.
   */
  private estrange(): void {
    const [one, other] = this.random.chance(0.5) ? [1, 2] : [2, 1];
    this.cluster.lossAccepted();
    const change: ConfigChange = { kind: "remove", pid: other, acceptLoss: true };
    this.pursue({ change, untilMs: this.simulator.nowMs + this.operator.patienceMs, ask: one });
  }

  /** Lets somebody die around the VIEW or the ACT that may bring the change. */
  private aim(change: ConfigChange, config: readonly Configured[]): void {
    if (!this.random.chance(this.operator.deadly)) return;
    const { pid } = this.random.pick([...config, { pid: change.pid }]);
    const node = this.node(pid);
    if (node?.up !== true) return;
    node.dieAround(this.random.pick(["promise", "view", "act", "act"]), this.random.below(8));
    this.reviveLater(node, this.profile.timeoutMs * this.random.pick([0.5, 2, 10]));
  }

  private reviveLater(node: Operated, meanMs: number): void {
    const revive = (): void => {
      if (!node.up) node.start();
    };
    this.simulator.after(this.random.around(meanMs), revive);
    this.simulator.after(3 * meanMs, revive);
  }

  private pursue(underway: Underway): void {
    this.underway = underway;
    const again = (): void => {
      if (this.underway !== underway) return;
      if (this.simulator.nowMs > underway.untilMs) {
        this.underway = null;
        return;
      }
      const { ask } = underway;
      underway.ask = 0;
      const node = this.node(ask) ?? this.random.pick(this.cluster.nodes);
      this.asked.set(node.pid, { change: underway.change, atMs: this.simulator.nowMs });
      node.change(underway.change, (report) => {
        if (this.underway !== underway) return;
        underway.ask = report.state === "elsewhere" ? report.ask : node.pid;
        if (report.state === "done") this.done(underway.change);
        if (report.state === "done" || report.state === "refused") this.underway = null;
      });
      this.simulator.after(askEveryMs, again);
    };
    again();
  }

  private done(change: ConfigChange): void {
    this.made++;
    for (const [pid, asked] of this.asked) if (asked.change === change) this.asked.delete(pid);
  }

  private node(pid: number): Operated | undefined {
    return this.cluster.nodes.find((node) => node.pid === pid);
  }
}
