/** Threads that run seeds side by side. Hands out jobs, gives back reports; decides nothing. */
import type { Job, Report } from "./worker.ts";

export class Pool {
  readonly #idle: Worker[] = [];
  readonly #all: Worker[] = [];
  readonly #waiting: ((worker: Worker) => void)[] = [];

  constructor(readonly size: number) {
    for (let count = 0; count < size; count++) {
      const worker = new Worker(new URL("./worker.ts", import.meta.url));
      this.#all.push(worker);
      this.#idle.push(worker);
    }
  }

  /** Runs the job as soon as a thread is free. Rejects when the simulator itself fails. */
  async run(job: Job): Promise<readonly Report[]> {
    const worker = this.#idle.pop() ?? (await new Promise<Worker>((free) => this.#waiting.push(free)));
    try {
      return await new Promise<readonly Report[]>((done, fail) => {
        worker.onmessage = ({ data }: MessageEvent<readonly Report[]>) => done(data);
        worker.onerror = (event) => fail(new Error(`a thread of the simulator failed: ${event.message}`));
        worker.postMessage(job);
      });
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#idle.push(worker);
      else next(worker);
    }
  }

  close(): void {
    for (const worker of this.#all) worker.terminate();
  }
}
