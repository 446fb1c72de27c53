/**
 * One replica, composed: driver, peers, clients and the listening port, joined over ports only. Owns the order of start
 * and stop. Knows no socket, file, real clock or randomness, and nothing of what the chat means.
 */
import { Random } from "../base/random.ts";
import type { Clock, Listener, Transport } from "../base/transport.ts";
import { clusterTagOf } from "../log/segment.ts";
import type { Configured, FrameOf, Member, Policy } from "../protocol/messages.ts";
import type { StateFiles, StateReport } from "../protocol/state-files.ts";
import type { StateMachine } from "../protocol/state-machine.ts";
import type { Retention, Standing } from "../replication/events.ts";
import { Acceptor } from "./acceptor.ts";
import { Administration } from "./administration.ts";
import type { AnswerElsewhere } from "./client-connection.ts";
import { Clients } from "./clients.ts";
import { ReplicaDriver, type DriverLog } from "./driver.ts";
import { Peers } from "./peers.ts";
import { WatchedState } from "./watched-state.ts";
import type { Wire } from "./wire.ts";

export interface NodeOptions {
  readonly self: Member;
  /** The replicas named at the start, self included. */
  readonly peers: readonly Configured[];
  /** Whether they found the cluster; false for a newcomer to one that exists. */
  readonly founds: boolean;
  /** Where to bind; port 0 for a free one. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly cluster: Uint8Array;
  readonly policy: Policy;
  readonly heartbeatMs: number;
  readonly timeoutMs: number;
  readonly recoveryWaitMs: number;
  /** How much of the log is kept for others, and when a state is copied. Default: that of `lib/replication`. */
  readonly retention?: Retention;
  /** What the welcome calls this program. */
  readonly software: string;
  /** Clients that may be connected at once, so that there is room for replicas. Default: any number. */
  readonly clientsMax?: number;
  /** Seeds jitter and nonces; drawn anew at each start. */
  readonly seed: number;
}

export interface NodeLog extends DriverLog {
  /** Makes durable what was appended and closes; `done` is called when that is so. */
  close(done: (error: Error | null) => void): void;
}

export type LogLevel = "debug" | "info" | "warn" | "error";

export interface StateHooks {
  report(report: StateReport): void;
  /** Another state takes the place of the one in use, which is closed. */
  replace(state: StateMachine): void;
}

export interface NodePorts {
  readonly transport: Transport;
  readonly clock: Clock;
  /** Calls back in another turn of the event loop. */
  readonly schedule: (callback: () => void) => void;
  readonly sha256: (bytes: Uint8Array) => Uint8Array;
  /** Opens the write-ahead log; `persisted` is never called within. Throws what the disk says. */
  readonly openLog: (persisted: (sequence: number) => void) => NodeLog;
  /** Opens the state; after the log. */
  readonly openState: () => StateMachine;
  /** Whoever does what is ordered to be done with the state as a file; after the state was opened. */
  readonly stateFiles: (hooks: StateHooks) => StateFiles;
  /** Answers them from the state on another thread; left out: the state itself is asked. */
  readonly answerElsewhere?: AnswerElsewhere;
  readonly log: (level: LogLevel, message: string) => void;
  /** For the first time a member of a formed view. */
  readonly ready: (standing: Standing, listener: Listener) => void;
  /** The replica must not go on: end the process. */
  readonly fatal: (message: string) => void;
}

const tickMs = 10;
const sweepMs = 1000;
/** Longer than this without being a member of a view is said again. */
const remindMs = 5000;
/** For which a process that is not heard keeps its sessions attached. */
const absenceMs = 10_000;
/** What a stop waits for: answers in flight, then the goodbyes on their way. */
const answersMs = 2000;
const goodbyesMs = 500;

export class ReplicaNode {
  readonly #options: NodeOptions;
  readonly #ports: NodePorts;
  readonly #log: NodeLog;
  readonly #state: StateMachine;
  readonly #driver: ReplicaDriver;
  readonly #peers: Peers;
  readonly #clients: Clients;
  readonly #administration: Administration;
  readonly #acceptor: Acceptor;
  #listener: Listener | null = null;
  #cancelTick: () => void = () => {};
  #cancelSweep: () => void = () => {};
  #announced = false;
  #waitingFor = "";
  #waitingSinceMs: number;
  #remindedMs: number;
  #config = "";
  #stopped: Promise<void> | null = null;

  /** Binds the port, opens the log, and begins to look for the others. Throws what transport or disk say. */
  static async start(options: NodeOptions, ports: NodePorts): Promise<ReplicaNode> {
    let node: ReplicaNode | null = null;
    // The port first: when it is taken, nothing has been touched.
    const { host, port } = options.listen;
    const listener = await ports.transport.listen(host, port, (connection) => {
      if (node !== null) return node.#acceptor.accept(connection);
      connection.terminate();
      return { data() {}, closed() {} };
    });
    try {
      node = new ReplicaNode(options, ports);
    } catch (error) {
      listener.stop();
      throw error;
    }
    node.#begin(listener);
    return node;
  }

  private constructor(options: NodeOptions, ports: NodePorts) {
    const { self, peers, cluster, policy, timeoutMs, software, clientsMax } = options;
    const { transport, clock, sha256, schedule } = ports;
    this.#options = options;
    this.#ports = ports;
    this.#waitingSinceMs = clock.monotonicMs();
    this.#remindedMs = this.#waitingSinceMs;
    this.#log = ports.openLog((sequence) => this.#driver.dispatch({ type: "persisted", sequence }));
    const state = new WatchedState(ports.openState());
    this.#state = state;
    const log = (level: LogLevel, message: string): void => ports.log(level, message);
    const { founds, heartbeatMs, recoveryWaitMs, seed } = options;
    this.#driver = new ReplicaDriver(
      {
        ...{ self, policy, peers, founds, clusterTag: clusterTagOf(cluster), seed },
        ...{ heartbeatMs, timeoutMs, recoveryWaitMs },
        ...(options.retention === undefined ? {} : { retention: options.retention }),
      },
      this.#log,
      state,
      {
        time: () => ({ nowMs: clock.monotonicMs(), wallMs: clock.wallMs() }),
        send: (to, message) => this.#peers.send(to, message),
        schedule,
        standing: (standing) => this.#standingChanged(standing),
        applied: (applied) => this.#clients.applied(applied),
        unavailable: (ops) => this.#clients.unavailable(ops),
        changeReport: (request, report) => this.#administration.reported(request, report),
        stateFiles: ports.stateFiles({
          report: (report) => this.#driver.dispatch({ type: "state", report }),
          replace: (inner) => state.replace(inner),
        }),
        log,
        fatal: (message) => ports.fatal(message),
      },
    );
    const address = peers.find(({ pid }) => pid === self.pid)?.address ?? "";
    this.#peers = new Peers(
      { self, address, cluster, policy, timeoutMs, software },
      {
        connected: (peer) => this.#driver.dispatch({ type: "connected", peer }),
        disconnected: (pid, refused) => this.#driver.dispatch({ type: "disconnected", pid, refused }),
        received: (from, message) => this.#driver.dispatch({ type: "received", from, message }),
        log,
      },
      { transport, clock, random: new Random(seed) },
    );
    const beganAt = { index: this.standing.lastIndex, view: this.standing.lastView };
    this.#clients = new Clients(
      { self, cluster, policy, timeoutMs, software, ...(clientsMax === undefined ? {} : { clientsMax }) },
      {
        state,
        answerElsewhere: ports.answerElsewhere ?? null,
        standing: () => this.#driver.standing,
        propose: (op) => this.#driver.propose(op),
        common: (place, upTo) => this.#driver.common(place, upTo),
        sha256,
        heartbeat: (pid) => this.#peers.heartbeat(pid),
        heard: () => this.#peers.heard,
        processes: {
          isLive: (pid, incarnation) =>
            (pid === self.pid && incarnation === self.incarnation) ||
            this.#peers.heardWithin(pid, incarnation, absenceMs),
          // One that was never heard had ended when this process began.
          commitOf: (pid, incarnation) => this.#peers.commitOf(pid, incarnation) ?? beganAt,
        },
        administer: (frame, wire) => this.#administration.handle(frame, wire),
        counted: (connections) => this.#driver.setConnections(connections),
        log,
      },
    );
    this.#administration = new Administration(
      { pid: self.pid, software },
      {
        standing: () => this.#driver.standing,
        placement: () => this.#clients.placement(),
        connections: () => this.#clients.connected,
        heartbeat: (pid) => this.#peers.heartbeat(pid),
        guests: () => this.#peers.guests,
        softwareOf: (pid) => this.#peers.softwareOf(pid),
        reaches: (pid, where) => this.#peers.reaches(pid, where),
        isReplicaHost: (host) => this.#peers.isAt(host),
        change: (request, change, answers) => this.#driver.dispatch({ type: "change", request, change, answers }),
        log,
      },
    );
    this.#acceptor = new Acceptor({
      client: (wire, hello) => this.#clients.accept(wire, hello),
      replica: (wire, hello) => this.#acceptReplica(wire, hello),
      rejected: (remote, reason, isNews) =>
        ports.log(isNews ? "info" : "debug", `${remote} did not say hello: ${reason}`),
    });
  }

  get standing(): Standing {
    return this.#driver.standing;
  }

  /** Whether any other replica of the config is heard, so that it has found this one. */
  get isFound(): boolean {
    return this.standing.config.some(({ pid }) => this.#peers.heartbeat(pid) !== null);
  }

  /** Where it listens. */
  get listener(): Listener | null {
    return this.#listener;
  }

  #begin(listener: Listener): void {
    this.#listener = listener;
    this.#compareFlags(this.standing);
    this.#tick();
    this.#sweep();
    this.#configure(this.standing);
    if (this.standing.waitingFor !== this.#waitingFor) this.#remind(this.standing);
  }

  /**
   * Answers what is in flight (2 s at the most), says goodbye to clients and peers, and closes log and state. Calling it
   * again waits for the same end.
   */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#listener?.stop();
    this.#acceptor.close();
    this.#clients.stop();
    await this.#until(answersMs, () => this.#clients.unanswered === 0 || !this.standing.ready);
    this.#clients.leave("the replica is stopping");
    this.#driver.dispatch({ type: "stop" });
    await Promise.all([this.#peers.close(goodbyesMs), this.#until(goodbyesMs, () => this.#clients.connected === 0)]);
    this.#clients.terminate();
    this.#cancelTick();
    this.#cancelSweep();
    this.#driver.close();
    await new Promise<void>((resolve) =>
      this.#log.close((error) => {
        if (error !== null) this.#ports.log("error", error.message);
        resolve();
      }),
    );
    this.#state.close();
  }

  async #until(withinMs: number, condition: () => boolean): Promise<void> {
    const { clock } = this.#ports;
    const endMs = clock.monotonicMs() + withinMs;
    while (!condition() && clock.monotonicMs() < endMs) {
      await new Promise<void>((resolve) => void clock.setTimer(tickMs / 2, resolve));
    }
  }

  #tick(): void {
    this.#driver.tick();
    this.#cancelTick = this.#ports.clock.setTimer(tickMs, () => this.#tick());
  }

  #sweep(): void {
    this.#acceptor.sweep();
    this.#clients.sweep();
    const { standing } = this;
    if (!standing.ready && standing.configured && this.#ports.clock.monotonicMs() - this.#remindedMs >= remindMs)
      this.#remind(standing);
    this.#cancelSweep = this.#ports.clock.setTimer(sweepMs, () => this.#sweep());
  }

  #acceptReplica(wire: Wire, hello: FrameOf<"peerHello">): void {
    this.#peers.accept(wire, hello);
  }

  #standingChanged(standing: Standing): void {
    // The driver speaks before everything is composed.
    if (this.#listener === null) return;
    this.#configure(standing);
    if (standing.ready && !this.#announced) {
      this.#announced = true;
      this.#ports.ready(standing, this.#listener);
    }
    if (standing.waitingFor !== this.#waitingFor) this.#remind(standing);
    this.#clients.standingChanged();
  }

  /** Says what is waited for, and how long already. */
  #remind(standing: Standing): void {
    const nowMs = this.#ports.clock.monotonicMs();
    if (this.#waitingFor === "") this.#waitingSinceMs = nowMs;
    this.#waitingFor = standing.waitingFor;
    if (standing.waitingFor === "") return;
    this.#remindedMs = nowMs;
    const seconds = Math.floor((nowMs - this.#waitingSinceMs) / 1000);
    const { stillToCome } = this.#driver;
    const what = stillToCome === "" ? standing.waitingFor : `${standing.waitingFor}: ${stillToCome} to come`;
    this.#ports.log("info", seconds === 0 ? what : `${what} (${seconds} s)`);
  }

  #configure({ peers }: Standing): void {
    const text = spelled(peers);
    if (text === this.#config) return;
    this.#config = text;
    this.#peers.configure(peers);
  }

  /** The config in the log counts, whatever the flags say. */
  #compareFlags({ config }: Standing): void {
    const [flags, log] = [spelled(this.#options.peers), spelled(config)];
    if (flags === log) return;
    this.#ports.log("warn", `--peers says ${flags}, but the cluster's config is ${log}: that is what counts`);
  }
}

const spelled = (config: readonly Configured[]): string =>
  config
    .toSorted((a, b) => a.pid - b.pid)
    .map(({ pid, address }) => `${pid}=${address}`)
    .join();
