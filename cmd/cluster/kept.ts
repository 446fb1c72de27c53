/**
 * Processes that cannot outlive this one: the owner's side of the keeper. Whatever ends this process, a signal that
 * cannot be caught included, the keeper kills what was started here. Knows nothing about chat.
 */
import { join } from "node:path";
import { eachLine } from "./lines.ts";
import type { KeeperOrder, KeeperReport } from "./keeper-orders.ts";

/** How a process ended: its exit code, or the signal that killed it. */
export interface Ending {
  readonly exitCode: number | null;
  readonly signal: string | null;
}

export interface KeptProcess {
  /** The operating system's id. */
  readonly process: number;
  /** Resolves when it has ended and all its output was seen. */
  readonly ended: Promise<Ending>;
  signal(signal: NodeJS.Signals): void;
}

interface Entry {
  process: number | null;
  readonly line: (line: string) => void;
  readonly started: PromiseWithResolvers<KeptProcess>;
  readonly ended: PromiseWithResolvers<Ending>;
}

export class Keeper {
  readonly #keeper = Bun.spawn({
    cmd: [process.execPath, join(import.meta.dir, "keeper.ts")],
    stdio: ["pipe", "pipe", "inherit"],
    detached: true,
  });
  readonly #entries = new Map<string, Entry>();
  readonly #adopted = new Set<number>();
  readonly #reading: Promise<void>;
  #names = 0;
  #closed = false;

  constructor() {
    // The keeper alone does not keep this process running.
    this.#keeper.unref();
    this.#reading = eachLine(this.#keeper.stdout, (line) => this.#take(JSON.parse(line)));
    void this.#keeper.exited.then(() => this.#lost());
  }

  /** Starts a command; `line` is called with each line of its stdout. Rejects when it cannot be run. */
  start(command: readonly string[], stderrFile: string, line: (line: string) => void): Promise<KeptProcess> {
    if (this.#closed) return Promise.reject(new Error("the keeper of processes is closed"));
    const name = String(++this.#names);
    const started = Promise.withResolvers<KeptProcess>();
    this.#entries.set(name, { process: null, line, started, ended: Promise.withResolvers() });
    this.#order({ do: "start", name, command, stderrFile });
    return started.promise;
  }

  /** Makes sure that a child of this process does not outlive it either. */
  adopt(child: Bun.Subprocess): void {
    this.#adopted.add(child.pid);
    this.#order({ do: "adopt", process: child.pid });
    void child.exited.then(() => {
      this.#adopted.delete(child.pid);
      this.#order({ do: "release", process: child.pid });
    });
  }

  /** Kills what is left and resolves when all of it is gone, the keeper too. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#keeper.ref();
    await this.#keeper.stdin.end();
    await this.#keeper.exited;
    await this.#reading;
  }

  #order(order: KeeperOrder): void {
    if (this.#keeper.exitCode !== null || this.#keeper.signalCode !== null || this.#closed) return;
    void this.#keeper.stdin.write(`${JSON.stringify(order)}\n`);
    void this.#keeper.stdin.flush();
  }

  #take(report: KeeperReport): void {
    const entry = this.#entries.get(report.name);
    if (!entry) return;
    switch (report.event) {
      case "started": {
        const { name, process } = report;
        entry.process = process;
        const signal = (signal: NodeJS.Signals): void => this.#order({ do: "signal", name, signal });
        entry.started.resolve({ process, ended: entry.ended.promise, signal });
        return;
      }
      case "line":
        entry.line(report.line);
        return;
      case "exited":
        this.#entries.delete(report.name);
        entry.ended.resolve({ exitCode: report.exitCode, signal: report.signal });
        return;
      case "failed":
        this.#entries.delete(report.name);
        entry.started.reject(new Error(report.message));
        return;
    }
  }

  /** The keeper itself has gone: by `close`, or because somebody killed it. Then its work is done here. */
  #lost(): void {
    const unexpected = !this.#closed;
    this.#closed = true;
    for (const entry of this.#entries.values()) {
      if (unexpected && entry.process !== null) killIfThere(-entry.process);
      entry.started.reject(new Error("the keeper of processes has gone"));
      entry.ended.resolve({ exitCode: null, signal: "SIGKILL" });
    }
    this.#entries.clear();
    if (unexpected) for (const id of this.#adopted) killIfThere(id);
  }
}

/** A negative id is the group of that process. */
function killIfThere(id: number): void {
  try {
    process.kill(id, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}
