/**
 * The cluster under fire: carries out what the plan says, undoes it when its time is over, and knows of every end of a
 * replica whether it was asked for. Asks the replicas nothing.
 */
import { readFile } from "node:fs/promises";
import type { Ending } from "../cluster/kept.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { CutKind, Links } from "../cluster/links.ts";
import type { SmallDisk } from "../cluster/small-disk.ts";
import { inflict, wipe } from "./damage.ts";
import type { Strike, Wound } from "./plan.ts";
import type { Timeline } from "./timeline.ts";

/** A replica told to stop has this long: it answers what is in flight first, on a machine that others use too. */
const stopTimeoutMs = 30_000;

/** The executable may take so long to begin, when others use the machine too. */
const youngMs = 5000;
const fillName = "fill";
/** Exit codes of a replica that cannot use its data directory or its disk. */
const unusable = 73;
const diskError = 74;

interface Condition {
  /** Asked to end, and by what. */
  told: "kill" | "stop" | null;
  /** It may still end by itself, also when it has been killed since. */
  isStopping: boolean;
  frozen: boolean;
  /** Its log may refuse to start, once, naming what is wrong with it. */
  wounded: boolean;
  restart: ReturnType<typeof setTimeout> | null;
  launchedMs: number;
  starting: Promise<void> | null;
}

export class Battlefield {
  readonly #conditions = new Map<number, Condition>();
  /** What to do to mend what is wrong, by what it mends. */
  readonly #mending = new Map<string, { readonly timer: ReturnType<typeof setTimeout>; readonly mend: () => void }>();
  readonly #pending = new Set<Promise<void>>();
  #closing = false;

  constructor(
    readonly cluster: Cluster,
    private readonly links: Links,
    /** The disk of one of them. */
    private readonly small: { readonly pid: number; readonly disk: SmallDisk } | null,
    private readonly timeline: Timeline,
  ) {
    for (const pid of cluster.pids) {
      this.#conditions.set(pid, {
        told: null,
        isStopping: false,
        frozen: false,
        wounded: false,
        restart: null,
        launchedMs: 0,
        starting: null,
      });
    }
  }

  /** Begins it; what passes again passes by itself. False where this cannot be done here, or not now. */
  strike(strike: Strike): boolean {
    switch (strike.kind) {
      case "kill":
        return this.#end(strike.pid, "kill", strike.forMs);
      case "stop":
        return this.#end(strike.pid, "stop", strike.forMs);
      case "freeze":
        return this.#freeze(strike.pid, strike.forMs);
      case "fill":
        return this.#fill(strike.pid, strike.forMs);
      case "isolate":
        for (const other of this.#others(strike.pid)) this.#cutBoth(strike.pid, other, strike.cut, strike.forMs);
        return true;
      case "separate":
        this.#cutBoth(strike.pid, strike.other, strike.cut, strike.forMs);
        return true;
      case "mute":
        this.#cut(strike.pid, strike.other, strike.cut, strike.forMs);
        return true;
      case "slow":
        if (!this.links.delay(strike.pid, strike.other, strike.delayMs)) return false;
        this.#later(
          `delay ${strike.pid} ${strike.other}`,
          strike.forMs,
          () => void this.links.delay(strike.pid, strike.other, 0),
        );
        return true;
      case "narrow":
        if (!this.links.narrow(strike.pid, strike.bitsPerSecond)) return false;
        this.#later(`narrow ${strike.pid}`, strike.forMs, () => void this.links.narrow(strike.pid, null));
        return true;
      case "reset":
        return this.links.reset(strike.pid, strike.other);
      case "power":
        return this.#losePower(strike.backAfterMs);
      default:
        return false;
    }
  }

  /** Kills a replica and changes what is on its disk; starts it again after a while. All others must be well. */
  async wound(wound: Wound): Promise<void> {
    const { pid, awayMs } = wound;
    const condition = this.#condition(pid);
    condition.told = "kill";
    await this.cluster.kill(pid);
    const done = await inflict(wound, this.cluster.place(pid).dataDirectory);
    this.timeline.say(`  ${done}`);
    condition.wounded = true;
    await Bun.sleep(awayMs);
    await this.#start(pid);
  }

  /** Undoes whatever is wrong and starts whoever does not run. Resolves when every process runs. */
  async heal(): Promise<void> {
    for (const { timer, mend } of this.#mending.values()) {
      clearTimeout(timer);
      mend();
    }
    this.#mending.clear();
    this.small?.disk.makeRoom();
    for (const condition of this.#conditions.values()) {
      if (condition.restart !== null) clearTimeout(condition.restart);
      condition.restart = null;
    }
    for (const pid of this.cluster.pids) this.#thaw(pid);
    await Promise.all(this.#pending);
    await Promise.all(this.cluster.pids.map((pid) => this.#start(pid)));
  }

  /** All together again, with everything on every disk: from now on a log has no excuse. */
  wellAgain(): void {
    for (const condition of this.#conditions.values()) condition.wounded = false;
  }

  /** Starts every replica that does not run, as `heal` does, after it was ended outside of the plan. */
  async startAll(): Promise<void> {
    await Promise.all(this.cluster.pids.map((pid) => this.#start(pid)));
  }

  /** To be called before replicas are killed by somebody else. */
  expectKill(...pids: readonly number[]): void {
    for (const pid of pids) this.#condition(pid).told = "kill";
  }

  close(): void {
    this.#closing = true;
    for (const { timer } of this.#mending.values()) clearTimeout(timer);
    for (const { restart } of this.#conditions.values()) if (restart !== null) clearTimeout(restart);
  }

  #others(pid: number): number[] {
    return this.cluster.pids.filter((other) => other !== pid);
  }

  #condition(pid: number): Condition {
    const condition = this.#conditions.get(pid);
    if (condition === undefined) throw new RangeError(`there is no replica ${pid}`);
    return condition;
  }

  /** A later one for the same thing takes the place of an earlier one. */
  #later(what: string, forMs: number, mend: () => void): void {
    const earlier = this.#mending.get(what);
    if (earlier !== undefined) clearTimeout(earlier.timer);
    const timer = setTimeout(() => {
      this.#mending.delete(what);
      mend();
    }, forMs);
    this.#mending.set(what, { timer, mend });
  }

  #cut(from: number, to: number, kind: CutKind, forMs: number): void {
    this.links.cut(from, to, kind);
    this.#later(`cut ${from} ${to}`, forMs, () => this.links.mend(from, to));
  }

  #cutBoth(one: number, other: number, kind: CutKind, forMs: number): void {
    this.#cut(one, other, kind, forMs);
    this.#cut(other, one, kind, forMs);
  }

  #freeze(pid: number, forMs: number): boolean {
    const condition = this.#condition(pid);
    if (!this.cluster.isRunning(pid) || condition.told !== null) return false;
    this.cluster.signal(pid, "SIGSTOP");
    condition.frozen = true;
    this.#later(`freeze ${pid}`, forMs, () => this.#thaw(pid));
    return true;
  }

  #thaw(pid: number): void {
    const condition = this.#condition(pid);
    if (!condition.frozen) return;
    condition.frozen = false;
    this.cluster.signal(pid, "SIGCONT");
  }

  #fill(pid: number, forMs: number): boolean {
    if (this.small === null || this.small.pid !== pid) return false;
    this.small.disk.fill();
    this.#later(fillName, forMs, () => {
      this.small?.disk.makeRoom();
      this.#restartLater(pid, 0);
    });
    return true;
  }

  #end(pid: number, how: "kill" | "stop", backAfterMs: number): boolean {
    const condition = this.#condition(pid);
    if (!this.cluster.isRunning(pid) || condition.told !== null) return false;
    condition.told = how;
    condition.isStopping = how === "stop";
    condition.frozen &&= how === "stop";
    this.#track(how === "kill" ? this.cluster.kill(pid) : this.#stop(pid));
    this.#restartLater(pid, backAfterMs);
    return true;
  }

  #losePower(backAfterMs: readonly number[]): boolean {
    // One that is just being started begins to run a moment later.
    for (const [pid, condition] of this.#conditions) {
      if (!this.cluster.isRunning(pid)) continue;
      condition.told = "kill";
      condition.frozen = false;
    }
    this.#track(this.cluster.losePower());
    this.cluster.pids.forEach((pid, at) => this.#restartLater(pid, backAfterMs[at] ?? 0));
    return true;
  }

  /** Time in which it is frozen does not count. */
  async #stop(pid: number): Promise<void> {
    let ended = false;
    const stopping = this.cluster.stop(pid).finally(() => (ended = true));
    const lookMs = 100;
    for (let waitedMs = 0; !ended; waitedMs += this.#condition(pid).frozen ? 0 : lookMs) {
      if (waitedMs > stopTimeoutMs) {
        this.timeline.fault(`replica ${pid} has not stopped ${stopTimeoutMs / 1000} s after SIGTERM`);
        this.#condition(pid).told = "kill";
        await this.cluster.kill(pid);
      }
      await Promise.race([stopping, Bun.sleep(lookMs)]);
    }
  }

  #restartLater(pid: number, afterMs: number): void {
    const condition = this.#condition(pid);
    if (condition.restart !== null) clearTimeout(condition.restart);
    condition.restart = setTimeout(() => {
      condition.restart = null;
      this.#track(this.#start(pid));
    }, afterMs);
  }

  #track(work: Promise<unknown>): void {
    const tracked: Promise<void> = work.then(
      () => {},
      (error: unknown) => {
        if (!this.#closing) this.timeline.fault(error instanceof Error ? error.message : String(error));
      },
    );
    this.#pending.add(tracked);
    void tracked.then(() => this.#pending.delete(tracked));
  }

  /** One start at a time, whoever asks for it. */
  #start(pid: number): Promise<void> {
    const condition = this.#condition(pid);
    condition.starting ??= this.#launch(pid, condition).finally(() => (condition.starting = null));
    return condition.starting;
  }

  async #launch(pid: number, condition: Condition): Promise<void> {
    // Its end may have been asked for and not have come yet.
    while (this.cluster.isRunning(pid) && condition.told !== null) await Bun.sleep(10);
    if (this.cluster.isRunning(pid) || this.#closing) return;
    condition.told = null;
    condition.isStopping = false;
    condition.launchedMs = performance.now();
    const { ended } = await this.cluster.launch(pid);
    // What is told until then counts.
    void ended.then((ending) => this.#ended(pid, ending));
  }

  async #ended(pid: number, { exitCode, signal }: Ending): Promise<void> {
    if (this.#closing) return;
    const condition = this.#condition(pid);
    if (condition.told === "kill" && signal === "SIGKILL") return;
    if (condition.isStopping && exitCode === 0) return;
    // Before the first line of the program has run nobody can handle the signal.
    const isYoung = performance.now() - condition.launchedMs < youngMs;
    if (condition.told === "stop" && signal === "SIGTERM" && isYoung) return;
    const said = await this.cluster.stderrTail(pid, 3);
    if (this.small?.pid === pid && isFullDisk(exitCode, said)) {
      this.timeline.count("ended by a full disk");
      // While it is full, whoever empties it starts the replica.
      if (!this.#mending.has(fillName)) this.#restartLater(pid, 0);
      return;
    }
    if (condition.wounded && (exitCode === unusable || exitCode === diskError) && /\.wal|log/.test(said)) {
      // What an operator would do who was told that this disk is lost.
      this.timeline.say(`  replica ${pid} says: ${said.split("\n").at(-1) ?? ""}`);
      this.timeline.count("refused a wounded disk");
      await wipe(this.cluster.place(pid).dataDirectory);
      return this.#start(pid);
    }
    this.timeline.fault(`replica ${pid} ended with ${signal ?? `exit ${exitCode}`}; it said last:\n${said}`);
    this.#restartLater(pid, 1000);
  }

  /** Lines in what the replicas have said that no replica should ever say. */
  async strangeWords(): Promise<string[]> {
    const found: string[] = [];
    for (const { pid, stderrFile } of this.cluster.places) {
      const text = await readFile(stderrFile, "utf8").catch(() => "");
      for (const line of text.split("\n")) {
        if (/AssertionError|TypeError|ReferenceError|panic|Segmentation|\.ts:\d+/.test(line)) {
          found.push(`replica ${pid} said: ${line.slice(0, 300)}`);
        }
      }
    }
    return found;
  }
}

const isFullDisk = (exitCode: number | null, said: string): boolean =>
  (exitCode === diskError || exitCode === unusable) && /ENOSPC|make room|disk is full/.test(said);
