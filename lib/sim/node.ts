/**
 * One simulated replica: a machine with a disk, and on it, most of the time, a process made of the real driver, the real
 * core and a log. It keeps the time that its own clock shows, can stop anywhere, and shows the judge everything that it
 * asks for. Holds no rule of the protocol.
 */
import type { OpEntry } from "../protocol/entries.ts";
import { formatView } from "../protocol/ids.ts";
import type { Member, ReplicaMessage } from "../protocol/messages.ts";
import { recordKind } from "../protocol/record.ts";
import type { ChangeReport, ConfigChange, Standing } from "../replication/events.ts";
import { ReplicaDriver } from "../server/driver.ts";
import { DiskError } from "../log/disk.ts";
import { clientSideOf } from "./client-side.ts";
import { describeMessage, standsText, who } from "./describe.ts";
import { SimulationFailure } from "./failure.ts";
import { judgedLog } from "./judged-log.ts";
import type { Host } from "./network.ts";
import type { ObservedState } from "./observed-state.ts";
import type { Operated } from "./operator.ts";
import { Died, dieIfDeadly, type Process } from "./process.ts";
import type { Random } from "./random.ts";
import type { ServerSide } from "./server-side.ts";
import { Shelf } from "./shelf.ts";
import { SimulatedState } from "./simulated-state.ts";
import type { ShadowLog } from "./shadow-log.ts";
import type { DiskFailure, NodeLog, Storage } from "./storage.ts";
import type { StreamHost } from "./streams.ts";
import { replicaOptions, type Flags, type Surroundings } from "./surroundings.ts";
import type { ClientConnection, ClientPort } from "./workload.ts";

export class SimulatedNode implements Host, Operated, ClientPort, StreamHost {
  powered = true;
  /** Dead for good, whoever would start it. */
  staysDown = false;
  private process: Process | null = null;
  /** The process is in the midst of a step. */
  private inside = false;
  private storage: Storage;
  private state: SimulatedState;
  private shadow: ShadowLog;
  private readonly shelf: Shelf;
  private requests = 0;
  private readonly asked = new Map<number, (report: ChangeReport) => void>();
  /** How far its wall clock is from the true time. */
  private wallOffsetMs: number;
  private readonly random: Random;

  constructor(
    readonly pid: number,
    private readonly world: Surroundings,
    /** What it is started with. */
    private flags: Flags,
  ) {
    this.random = world.random.fork();
    this.wallOffsetMs = pid * 1_234;
    this.shelf = new Shelf(1000 * pid);
    this.storage = world.newStorage();
    this.state = this.newState();
    this.shadow = world.oracle.newDisk(this.random.uuid(), pid);
  }

  // ---- what others see

  get running(): Member | null {
    return this.process?.member ?? null;
  }

  get up(): boolean {
    return this.process !== null;
  }

  get listening(): boolean {
    return this.process !== null;
  }

  get listener(): ServerSide | null {
    return this.process?.server ?? null;
  }

  get standing(): Standing | null {
    return this.process?.driver.standing ?? null;
  }

  get paused(): boolean {
    return this.process?.stopped != null;
  }

  get wipeable(): boolean {
    return this.world.wipeable(this);
  }

  get restorable(): boolean {
    const { first } = this.shelf;
    return first !== undefined && this.world.restorable(this, first.shadow.uuid);
  }

  get uuid(): string {
    return this.shadow.uuid;
  }

  /** The logical log as appended, for comparison at the end. */
  get log(): ShadowLog {
    return this.shadow;
  }

  get applied(): ObservedState {
    return this.state.observed;
  }

  get digest(): string {
    return this.state.digest;
  }

  // ---- life and death

  start(): void {
    const { simulator, oracle, profile, network } = this.world;
    if (this.process !== null || this.staysDown) return;
    this.powered = true;
    const member: Member = { pid: this.pid, uuid: this.shadow.uuid, incarnation: this.shelf.nextIncarnation() };
    const log = this.open(member);
    if (log === null) return;
    this.shadow.reopened(log.recovered);
    oracle.restarted(this.shadow);
    const shadow = this.shadow;
    const clockOffsetMs = this.random.between(0, 1e6);
    const clockRate = this.random.between(0.98, 1.02);
    const nowMs = (): number => clockOffsetMs + simulator.nowMs * clockRate;
    const { state, ...sides } = clientSideOf(this.world, {
      ...{ self: member, shadow, random: this.random, observed: this.state.observed },
      effect: () => this.effect(),
      turn: (action) => this.enter(member, action),
      runs: () => this.running === member,
      nowMs,
      standing: () => driver.standing,
      propose: (op) => driver.propose(op),
      common: (place, upTo) => driver.common(place, upTo),
      counted: (connections) => driver.setConnections(connections),
      log: (level, message) => this.trace(`[${level}] ${message}`),
    });
    const driver = new ReplicaDriver(
      replicaOptions(this.world, member, this.flags, this.random.uint32()),
      judgedLog(log, {
        ...{ oracle, shadow, tally: this.world.tally, durableState: () => this.state.durableIndex },
        effect: () => this.effect(),
        appending: (records) => {
          dieIfDeadly(this.process, records);
          this.world.written(this.pid, records);
        },
      }),
      state,
      {
        time: () => ({ nowMs: nowMs(), wallMs: Math.round(1.7e12 + this.wallOffsetMs + simulator.nowMs) }),
        send: (to, message) => this.send(member, to, message),
        schedule: (callback) => {
          simulator.after(this.random.between(0, 0.1), () => this.enter(member, callback));
        },
        standing: (standing) => this.stands(standing),
        applied: (applied, standing) => sides.clients.applied(applied, standing),
        unavailable: (ops) => {
          this.effect();
          sides.clients.unavailable(ops);
        },
        changeReport: (request, report) => this.changeReported(request, report),
        stateFiles: this.state.files({
          effect: () => this.effect(),
          runs: () => this.running === member,
          replacing: () => sides.clients.replacingState(),
          report: (report) => {
            if (report.type === "installed") this.world.tally.stateTransfers++;
            this.enter(member, () => this.dispatch({ type: "state", report }));
          },
        }),
        log: (level, message) => this.trace(`[${level}] ${message}`),
        fatal: (message) => {
          throw new SimulationFailure("fatal", `replica ${this.pid} stops: ${message}`);
        },
      },
    );
    this.process = { member, driver, stopped: null, resumeMs: 0, countdown: Infinity, deadly: null, ...sides };
    const { promised, commit } = log.recovered;
    this.trace(
      `starts as ${who(member)} with ${shadow.length} entries, promise ${formatView(promised)}, ` +
        `commit ${commit}, applied ${this.state.observed.applied.index}`,
    );
    network.started(this);
    sides.server?.begin();
    this.tickLater(member, this.random.between(0, profile.tickMs));
  }

  /** Null if the disk fails at once. */
  private open(member: Member): NodeLog | null {
    try {
      return this.storage.open(this.shadow.uuid, {
        persisted: (sequence) => {
          if (this.process?.member !== member) return;
          this.shadow.persisted(sequence);
          this.enter(member, () => this.dispatch({ type: "persisted", sequence }));
        },
        failed: (error) => {
          if (this.process?.member !== member) return;
          this.trace(`disk failed: ${error.message}`);
          if (this.inside) throw new Died();
          this.crash("process");
        },
      });
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      this.trace(`does not start: ${error.message}`);
      this.storage.crash(false);
      return null;
    }
  }

  crash(kind: "process" | "power"): void {
    const { process } = this;
    if (process === null) return;
    this.trace(kind === "power" ? "loses power" : "dies");
    this.world.disturbed();
    this.process = null;
    this.powered = kind !== "power";
    this.storage.crash(kind === "power");
    if (kind === "power") this.state.losePower();
    this.world.network.stopped(this, kind === "power");
    if (process.server !== null) this.world.streams?.died(process.server, kind !== "power");
    if (kind !== "power") process.clients.died();
  }

  dieMidway(count: number): void {
    if (this.process !== null) this.process.countdown = count;
  }

  dieAround(kind: "promise" | "view" | "act", count: number): void {
    if (this.process !== null) this.process.deadly = { kind: recordKind[kind], count };
  }

  goodbye(): void {
    const member = this.running;
    if (member === null) return;
    this.trace("is asked to stop");
    this.enter(member, () => {
      this.process?.clients.stopping();
      this.dispatch({ type: "stop" });
    });
    this.world.simulator.after(this.random.between(1, 100), () => {
      if (this.process?.member === member) this.crash("process");
    });
  }

  pause(forMs: number): void {
    const { process } = this;
    const { simulator } = this.world;
    if (process === null) return;
    this.trace(`stands still for ${Math.round(forMs)} ms`);
    this.world.disturbed();
    process.stopped ??= [];
    process.resumeMs = Math.max(process.resumeMs, simulator.nowMs + forMs);
    simulator.after(forMs, () => {
      if (this.process === process && simulator.nowMs >= process.resumeMs) this.resume(process);
    });
  }

  /** Whatever is still wrong with it ends now. */
  mend(): void {
    this.storage.mend();
    if (this.process === null) return;
    this.process.countdown = Infinity;
    this.process.deadly = null;
    if (this.process.stopped !== null) this.resume(this.process);
  }

  syncTakes(meanMs: number): void {
    this.trace(meanMs === Infinity ? "disk hangs" : `disk syncs in ${meanMs} ms`);
    this.storage.syncTakes(meanMs);
  }

  failDisk(how: DiskFailure): void {
    this.storage.fail(how);
  }

  fillDisk(full: boolean): void {
    this.storage.fill(full);
  }

  setClock(byMs: number): void {
    this.trace(`its clock jumps by ${Math.round(byMs)} ms`);
    this.wallOffsetMs += byMs;
  }

  rot(index?: number): void {
    const rotten = this.storage.rot(index);
    if (rotten === null) return;
    this.trace(`a bit of ${rotten.where} has changed`);
    this.shadow.damaged = true;
    for (const chain of rotten.chains) this.world.oracle.lost(this.shadow, chain);
  }

  /** See {@link Storage.damage}: anything, also where nobody can tell it from a write that was cut short. */
  damage(change: (content: Uint8Array) => Uint8Array): void {
    this.trace("the last segment of the log is changed");
    this.storage.damage(change);
    this.shadow.damaged = true;
    this.shadow.altered = true;
  }

  wipe(): void {
    this.trace("gets an empty disk");
    this.setAside();
    this.flags = this.world.replacementFlags(this.pid) ?? this.flags;
    this.storage = this.world.newStorage();
    this.state = this.newState();
    this.shadow = this.world.oracle.newDisk(this.random.uuid(), this.pid);
  }

  restore(isClockBehind: boolean): void {
    const { first } = this.shelf;
    if (first === undefined) return;
    this.trace("gets a disk back that was replaced");
    this.setAside();
    Object.assign(this, this.shelf.take(isClockBehind));
  }

  private setAside(): void {
    const { storage, state, shadow, flags } = this;
    this.shelf.setAside({ storage, state, shadow, flags }, this.world.profile.faults.restore > 0);
  }

  /** Nothing more is asked of its states. */
  close(): void {
    for (const state of [this.state, ...this.shelf.states]) state.close();
  }

  // ---- from the network and from clients

  received(from: Member, message: ReplicaMessage): void {
    const member = this.running;
    if (member === null) return;
    this.enter(member, () => {
      if (message.type === "heartbeat") {
        this.process?.server?.heard(from, message);
        this.process?.service?.heard(from, message);
      }
      this.dispatch({ type: "received", from, message });
    });
  }

  connected(peer: Member): void {
    const member = this.running;
    if (member !== null) this.enter(member, () => this.dispatch({ type: "connected", peer }));
  }

  disconnected(pid: number, refused: boolean): void {
    const member = this.running;
    if (member !== null) this.enter(member, () => this.dispatch({ type: "disconnected", pid, refused }));
  }

  submit(ops: readonly OpEntry[], connection: ClientConnection): void {
    const member = this.running;
    // A process that was started since knows nothing of a connection to the one before it.
    const isOurs = member !== null && (connection.server ?? member) === member;
    connection.server ??= member;
    if (!isOurs) {
      this.world.simulator.after(this.random.between(0.1, 1), () => connection.lost());
      return;
    }
    const { nowMs } = this.world.simulator;
    connection.arrivesMs = Math.max(nowMs + 0.2, connection.arrivesMs + 0.001);
    this.world.simulator.after(connection.arrivesMs - nowMs, () => {
      if (this.running !== member) {
        if (this.powered) connection.lost();
        return;
      }
      this.enter(member, () => {
        for (const op of ops) this.process?.service?.accept(op, connection);
      });
    });
  }

  change(change: ConfigChange, told: (report: ChangeReport) => void): void {
    const member = this.running;
    if (member === null) return;
    const request = ++this.requests;
    this.asked.set(request, told);
    this.enter(member, () => this.dispatch({ type: "change", request, change, answers: true }));
  }

  // ---- what the process asks for

  private changeReported(request: number, report: ChangeReport): void {
    this.effect();
    const told = this.asked.get(request);
    this.asked.delete(request);
    this.trace(`says of a change: ${report.state} ${formatView(report.view)} ${report.reason}`);
    told?.(report);
  }

  private send(member: Member, to: number, message: ReplicaMessage): void {
    this.effect();
    const { simulator, network, oracle } = this.world;
    oracle.sent(this.shadow, member, message);
    simulator.trace.mix(to * 256 + this.pid + message.type.length);
    simulator.trace.mix(simulator.nowMs * 1000);
    if (simulator.trace.readable && message.type !== "heartbeat") {
      simulator.trace.line(simulator.nowMs, `r${this.pid}`, `→ ${to} ${describeMessage(message)}`);
    }
    network.send(this, to, message);
  }

  private stands(standing: Standing): void {
    this.effect();
    this.world.oracle.commitKnown(this.shadow, standing.commit);
    if (standing.ready) this.world.oracle.serves(this.shadow, standing.view);
    if (standing.role === "learner") this.world.oracle.follows(this.shadow, standing.view);
    this.trace(standsText(standing));
    this.process?.clients.standingChanged();
  }

  // ---- inside

  private newState(): SimulatedState {
    const { simulator, oracle, profile, newState, snapshots } = this.world;
    const shadow = (): ShadowLog => this.shadow;
    const world = { simulator, library: snapshots, sessionOrder: profile.sessionOrder, newStore: newState };
    return new SimulatedState(world, this.random.fork(), {
      applying: (entry, previous) => oracle.applied(shadow(), entry, previous),
      isDoubted: (op) => oracle.isDoubted(op),
      forgotten: (session, holds) => oracle.forgotten(shadow(), session, holds),
      emptied: () => {
        if (this.process !== null) oracle.rewound(shadow());
      },
    });
  }

  private effect(): void {
    const { process } = this;
    if (process !== null && --process.countdown <= 0) throw new Died();
  }

  private dispatch(event: Parameters<ReplicaDriver["dispatch"]>[0]): void {
    this.process?.driver.dispatch(event);
  }

  /** Runs something inside the process: at once, or when it goes on after a pause, or never if it has died. */
  private enter(member: Member, action: () => void): void {
    const { process } = this;
    if (process === null || process.member !== member) return;
    if (process.stopped !== null) {
      process.stopped.push(action);
      return;
    }
    this.run(action);
  }

  private run(action: () => void): void {
    try {
      this.inside = true;
      action();
    } catch (error) {
      if (error instanceof DiskError) this.trace(`disk failed: ${error.message}`);
      else if (!(error instanceof Died)) throw error;
      this.crash("process");
    } finally {
      this.inside = false;
    }
  }

  /** What one thing sets off, a client's next op for one, comes after all that has waited. */
  private resume(process: Process): void {
    const waiting = process.stopped ?? [];
    this.trace("goes on");
    this.world.disturbed();
    const tick = (): void => process.driver.tick();
    if (this.random.chance(0.5)) waiting.unshift(tick);
    else waiting.push(tick);
    for (let next = waiting.shift(); next !== undefined && this.process === process; next = waiting.shift()) {
      this.run(next);
      this.world.simulator.turnEnds();
    }
    process.stopped = null;
  }

  private tickLater(member: Member, delayMs: number): void {
    this.world.simulator.after(delayMs, () => {
      const { process } = this;
      if (process === null || process.member !== member) return;
      if (process.stopped === null) this.enter(member, () => process.driver.tick());
      if (process.service?.keepsSessions === true) this.enter(member, () => process.service?.sweep());
      this.tickLater(member, this.world.profile.tickMs * this.random.between(0.9, 1.3));
    });
  }

  private trace(text: string): void {
    const { simulator } = this.world;
    simulator.trace.mix(text.length * 256 + this.pid);
    if (simulator.trace.readable) simulator.trace.line(simulator.nowMs, `r${this.pid}`, text);
  }
}
