/** `chatd cluster` of the built executable, as an operator or a script runs it. */
import { executable } from "../tasks/build.ts";
import type { Cluster } from "./cluster.ts";
import { eachLine } from "./lines.ts";

export interface Ended {
  readonly exitCode: number;
  /** The object on stdout; null when there was none. */
  readonly json: Readonly<Record<string, unknown>> | null;
  readonly stderr: string;
}

/** One run with `--json`, asking this replica first. */
export class ClusterCommand {
  readonly ended: Promise<Ended>;
  #stdout = "";
  #stderr = "";
  readonly #watchers = new Set<() => void>();

  constructor(cluster: Cluster, at: number, ...words: readonly string[]) {
    const server = cluster.addresses([at]).join();
    const child = Bun.spawn({
      cmd: [executable, "cluster", ...words, "--server", server, "--json"],
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    cluster.keeper.adopt(child);
    const lines = Promise.all([
      eachLine(child.stdout, (line) => (this.#stdout += line)),
      eachLine(child.stderr, (line) => {
        this.#stderr += `${line}\n`;
        for (const look of this.#watchers) look();
      }),
    ]);
    this.ended = lines
      .then(() => child.exited)
      .then((exitCode) => ({
        exitCode,
        json: this.#stdout === "" ? null : Object(JSON.parse(this.#stdout)),
        stderr: this.#stderr,
      }));
  }

  /** Resolves when it has said this on stderr; rejects when it ends without. */
  async says(what: string): Promise<void> {
    const said = Promise.withResolvers<void>();
    const look = (): void => {
      if (this.#stderr.includes(what)) said.resolve();
    };
    this.#watchers.add(look);
    look();
    void this.ended.then(({ exitCode }) => {
      look();
      said.reject(new Error(`ended with ${exitCode} and never said "${what}": ${this.#stderr}`));
    });
    await said.promise;
    this.#watchers.delete(look);
  }
}

/** Runs it and waits for its end. */
export const clusterCommand = (cluster: Cluster, at: number, ...words: readonly string[]): Promise<Ended> =>
  new ClusterCommand(cluster, at, ...words).ended;
