/** What the end-to-end tests share: clusters and clients of the built executable that always end with the test. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureBuilt } from "../tasks/build.ts";
import { Cluster } from "./cluster.ts";
import { passwordOf } from "./inquiry.ts";
import { JsonClient } from "./json-client.ts";
import { Ledger } from "./ledger.ts";

/** A cluster, the clients of it that a test made, and the accounts that send. */
export class Scene {
  readonly #clients: JsonClient[] = [];
  constructor(
    readonly cluster: Cluster,
    readonly directory: string,
  ) {}

  /** A client that begins at replica `pid` and knows of the others. */
  client(pid: number): JsonClient {
    const others = this.cluster.pids.filter((other) => other !== pid);
    const { prefix = [] } = this.cluster.place(pid);
    const client = new JsonClient(this.cluster.addresses([pid, ...others]), { keeper: this.cluster.keeper, prefix });
    this.#clients.push(client);
    return client;
  }

  /** A client at replica `pid` logged in as `user`, whose account is created if need be. */
  async signedIn(pid: number, user: string): Promise<JsonClient> {
    const client = this.client(pid);
    await client.signIn(user, passwordOf(user));
    return client;
  }

  /** Starts the cluster, with alice at one of its replicas and bob at another, and a ledger of what they will send. */
  async begin(alicePid: number, bobPid: number): Promise<{ alice: JsonClient; bob: JsonClient; ledger: Ledger }> {
    await this.cluster.start();
    const alice = await this.signedIn(alicePid, "alice");
    const bob = await this.signedIn(bobPid, "bob");
    return { alice, bob, ledger: new Ledger() };
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.kill();
    await this.cluster.close();
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** Runs `play` with a new cluster that has not started; whatever happens, nothing of it is left. */
export async function withScene(
  play: (scene: Scene) => Promise<void>,
  makeCluster: (directory: string) => Cluster = (directory) => Cluster.inDirectory(directory),
): Promise<void> {
  await ensureBuilt();
  const directory = await mkdtemp(join(tmpdir(), "chatd-scene-"));
  const scene = new Scene(makeCluster(directory), directory);
  try {
    await play(scene);
  } catch (error) {
    const said = await Promise.all(
      scene.cluster.pids.map(async (pid) => `replica ${pid} said last:\n${await scene.cluster.stderrTail(pid)}`),
    );
    console.error(said.join("\n"));
    throw error;
  } finally {
    await scene.close();
  }
}
