/** The owner's side of a doubter (`doubter.ts`): starts it where the replicas can be reached, and hears its reports. */
import { join } from "node:path";
import type { Keeper } from "../cluster/kept.ts";
import { eachLine } from "../cluster/lines.ts";
import type { DoubterOrder, DoubterReport } from "./doubter-orders.ts";

export class Doubting {
  readonly #process: Bun.Subprocess<"pipe", "pipe", "inherit">;
  #next = Promise.withResolvers<DoubterReport>();

  constructor(
    addresses: readonly string[],
    options: {
      readonly seed: number;
      readonly oneOrder: boolean;
      readonly prefix: readonly string[];
      readonly keeper: Keeper;
    },
  ) {
    const words = [addresses.join(","), String(options.seed), options.oneOrder ? "one-order" : "any-order"];
    this.#process = Bun.spawn({
      cmd: [...options.prefix, process.execPath, join(import.meta.dir, "doubter.ts"), ...words],
      stdio: ["pipe", "pipe", "inherit"],
      detached: true,
    });
    options.keeper.adopt(this.#process);
    void eachLine(this.#process.stdout, (line) => this.#next.resolve(JSON.parse(line)));
    void this.#process.exited.then(() => this.#next.reject(new Error("the doubter has ended")));
    this.#next.promise.catch(() => {});
  }

  /** Its session stands and it is logged in. */
  async begun(): Promise<void> {
    await this.#report();
  }

  /** Resolves with what it found since the last time, after asking every replica for everything. */
  async rest(): Promise<DoubterReport> {
    this.#order("rest");
    return this.#report();
  }

  go(): void {
    this.#order("go");
  }

  kill(): void {
    this.#process.kill("SIGKILL");
  }

  async #report(): Promise<DoubterReport> {
    const report = await this.#next.promise;
    this.#next = Promise.withResolvers();
    this.#next.promise.catch(() => {});
    if (this.#process.exitCode !== null) this.#next.reject(new Error("the doubter has ended"));
    return report;
  }

  #order(order: DoubterOrder): void {
    void this.#process.stdin.write(`${order}\n`);
    void this.#process.stdin.flush();
  }
}
