/**
 * A cluster of real replicas: the built executable, on this machine. Starts, kills and restarts them, waits for their
 * `ready` lines, keeps their stderr in files. Nothing started here outlives this process (see `Keeper`).
 */
import { mkdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { executable } from "../tasks/build.ts";
import { Keeper, type Ending, type KeptProcess } from "./kept.ts";
import { freePorts } from "./ports.ts";

/** Where one replica runs. */
export interface Place {
  readonly pid: number;
  /** `host:port`, as the other replicas and clients reach it. */
  readonly address: string;
  /** Where it binds, if not there: when what comes to `address` is passed on. */
  readonly listen?: string;
  readonly dataDirectory: string;
  readonly stderrFile: string;
  /** Words before the executable's, such as those that enter a network namespace. */
  readonly prefix?: readonly string[];
  /** Of a newcomer to a cluster that runs: the replicas that it is told of. */
  readonly joins?: readonly number[];
}

export interface ReadyLine {
  readonly pid: number;
  readonly view: string;
  readonly role: string;
  readonly listen: string;
}

interface Running {
  readonly process: KeptProcess;
  readonly ready: Promise<ReadyLine>;
}

export class Cluster {
  readonly places: readonly Place[];
  readonly keeper: Keeper;
  /** For so long a replica that was started is waited for. */
  readyTimeoutMs = 60_000;
  readonly #flags: readonly string[];
  readonly #running = new Map<number, Running>();

  /** `flags` go to every `chatd serve`. Nothing is started yet. */
  constructor(places: readonly Place[], flags: readonly string[] = [], keeper = new Keeper()) {
    this.places = places;
    this.keeper = keeper;
    this.#flags = flags;
  }

  /** Three replicas (or `count`) on free ports, with everything below one directory. */
  static inDirectory(directory: string, options: { count?: number; flags?: readonly string[] } = {}): Cluster {
    const places = freePorts(options.count ?? 3).map((port, at) => ({
      pid: at + 1,
      address: `127.0.0.1:${port}`,
      dataDirectory: join(directory, String(at + 1)),
      stderrFile: join(directory, `${at + 1}.log`),
    }));
    return new Cluster(places, options.flags);
  }

  get pids(): number[] {
    return this.places.map((place) => place.pid);
  }

  /** All addresses, or those of some replicas. */
  addresses(pids: readonly number[] = this.pids): string[] {
    return pids.map((pid) => this.place(pid).address);
  }

  place(pid: number): Place {
    const place = this.places.find((candidate) => candidate.pid === pid);
    if (!place) throw new Error(`there is no replica ${pid} in this cluster`);
    return place;
  }

  /** The process of a replica that runs, by the number that the system knows it by. */
  processOf(pid: number): number | null {
    return this.#running.get(pid)?.process.process ?? null;
  }

  isRunning(pid: number): boolean {
    return this.#running.has(pid);
  }

  /** Starts replicas (all that do not run, by default) together; resolves when each has printed its `ready` line. */
  async start(...pids: readonly number[]): Promise<ReadyLine[]> {
    const wanted = pids.length > 0 ? pids : this.pids.filter((pid) => !this.isRunning(pid));
    return Promise.all(wanted.map(async (pid) => (await this.#launch(pid)).ready));
  }

  /** Starts one replica and resolves when its process runs, whether or not it ever becomes ready. */
  async launch(pid: number): Promise<KeptProcess> {
    return (await this.#launch(pid)).process;
  }

  /** The command that runs this replica. */
  serveCommand(pid: number): string[] {
    const { prefix = [], dataDirectory, listen } = this.place(pid);
    const { joins } = this.place(pid);
    const named = this.places.filter((place) =>
      joins === undefined ? place.joins === undefined : place.pid === pid || joins.includes(place.pid),
    );
    const peers = named.map((place) => `${place.pid}=${place.address}`).join(",");
    const identity = ["--pid", String(pid), "--peers", peers, "--data", dataDirectory];
    const binding = listen === undefined ? [] : ["--listen", listen];
    return [...prefix, executable, "serve", ...identity, ...binding, ...this.#flags];
  }

  /** Ends replicas with no warning, all at once (SIGKILL); resolves when they are gone. */
  async kill(...pids: readonly number[]): Promise<void> {
    await this.#end(pids, "SIGKILL");
  }

  /**
   * Ends all that run at one moment, as a loss of power does: each is stopped first, so that none sees another one's
   * end and writes of it.
   */
  async losePower(): Promise<void> {
    const all = [...this.#running.keys()];
    await this.#end(all, "SIGSTOP", "SIGKILL");
  }

  /** Asks replicas (all that run, by default) to stop (SIGTERM); resolves when they have. */
  async stop(...pids: readonly number[]): Promise<Ending[]> {
    return this.#end(pids.length > 0 ? pids : [...this.#running.keys()], "SIGTERM");
  }

  /** Sends any other signal, such as SIGSTOP. */
  signal(pid: number, signal: NodeJS.Signals): void {
    this.#running.get(pid)?.process.signal(signal);
  }

  /** When a replica ends, by whatever cause. */
  ended(pid: number): Promise<Ending> {
    const running = this.#running.get(pid);
    return running ? running.process.ended : Promise.reject(new Error(`replica ${pid} does not run`));
  }

  /** Kills what still runs, and ends the keeper. */
  async close(): Promise<void> {
    await this.keeper.close();
    this.#running.clear();
  }

  /** The last lines that a replica wrote to stderr. */
  async stderrTail(pid: number, lines = 20): Promise<string> {
    const text = await readFile(this.place(pid).stderrFile, "utf8").catch(() => "");
    return text.trimEnd().split("\n").slice(-lines).join("\n");
  }

  async #launch(pid: number): Promise<Running> {
    if (this.isRunning(pid)) throw new Error(`replica ${pid} runs already`);
    const place = this.place(pid);
    await mkdir(dirname(place.dataDirectory), { recursive: true });
    await mkdir(dirname(place.stderrFile), { recursive: true });
    const ready = Promise.withResolvers<ReadyLine>();
    // Whoever does not wait for this replica still learns of its end in other ways.
    ready.promise.catch(() => {});
    const process = await this.keeper.start(this.serveCommand(pid), place.stderrFile, (line) => {
      const parsed = parseReady(line);
      if (parsed) ready.resolve(parsed);
    });
    const running = { process, ready: ready.promise };
    this.#running.set(pid, running);
    const { readyTimeoutMs } = this;
    const late = `is not ready after ${readyTimeoutMs / 1000} s`;
    const timer = setTimeout(() => void this.#fail(pid, ready, late), readyTimeoutMs);
    void process.ended.then(({ exitCode, signal }) => {
      this.#running.delete(pid);
      void this.#fail(pid, ready, `ended with ${signal ?? `exit ${exitCode}`} before it was ready`);
    });
    void ready.promise.catch(() => {}).finally(() => clearTimeout(timer));
    return running;
  }

  async #fail(pid: number, ready: PromiseWithResolvers<ReadyLine>, what: string): Promise<void> {
    ready.reject(new ReplicaFailedError(pid, `replica ${pid} ${what}; it said:\n${await this.stderrTail(pid)}`));
  }

  async #end(pids: readonly number[], ...signals: NodeJS.Signals[]): Promise<Ending[]> {
    const running = pids.map((pid) => this.#running.get(pid)).filter((one) => one !== undefined);
    for (const signal of signals) for (const { process } of running) process.signal(signal);
    return Promise.all(running.map(({ process }) => process.ended));
  }
}

/** A replica ended, or did not become ready. */
export class ReplicaFailedError extends Error {
  override readonly name = "ReplicaFailedError";
  constructor(
    readonly pid: number,
    message: string,
  ) {
    super(message);
  }
}

function parseReady(line: string): ReadyLine | null {
  const match = /^ready pid=(\d+) view=(\S+) role=(\S+) listen=(\S+)$/.exec(line);
  if (!match) return null;
  const [, pid, view = "", role = "", listen = ""] = match;
  return { pid: Number(pid), view, role, listen };
}
