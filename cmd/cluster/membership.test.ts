/** A cluster of real replicas that grows and shrinks under load, with kill -9 in the midst of it. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { ClusterCommand, clusterCommand } from "./cluster-command.fixture.ts";
import { Cluster } from "./cluster.ts";
import { withScene, type Scene } from "./end-to-end.fixture.ts";
import { clientAt, faultsAt, passwordOf } from "./inquiry.ts";
import type { JsonClient } from "./json-client.ts";
import { Ledger } from "./ledger.ts";

// Real processes: the 5 s that Bun gives a test are for less.
setDefaultTimeout(120_000);

const users = ["alice", "bob"];

/** So many founders; the others are newcomers, each of which is told of one replica that runs. */
function growing(
  directory: string,
  count: number,
  founders: number,
  told: (pid: number) => number,
  flags: readonly string[] = [],
): Cluster {
  const { places } = Cluster.inDirectory(directory, { count });
  return new Cluster(
    places.map((place) => (place.pid <= founders ? place : { ...place, joins: [told(place.pid)] })),
    flags,
  );
}

/** Sends all the time, until it is stopped. */
class Load {
  readonly #ledger: Ledger;
  readonly #pairs: readonly (readonly [client: JsonClient, from: string, to: string])[];
  #done: Promise<unknown> = Promise.resolve();
  #stopped = true;

  constructor(ledger: Ledger, clients: readonly JsonClient[]) {
    this.#ledger = ledger;
    this.#pairs = clients.map((client, at) => [client, users[at] ?? "", users[1 - at] ?? ""] as const);
    this.goOn();
  }

  goOn(): void {
    this.#stopped = false;
    this.#done = Promise.all(
      this.#pairs.map(async ([client, from, to]) => {
        while (!this.#stopped) await this.#ledger.sendMany(client, from, to, "under load", 8);
      }),
    );
    // Whoever stops it learns of a failure.
    this.#done.catch(() => {});
  }

  /** Resolves when all that was sent is acknowledged. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }
}

async function add(scene: Scene, pid: number, at: number): Promise<void> {
  const { cluster } = scene;
  const ready = cluster.start(pid);
  const { exitCode, json, stderr } = await clusterCommand(cluster, at, "add", `${pid}=${cluster.place(pid).address}`);
  expect([exitCode, stderr.includes("is not a member")]).toEqual([0, false]);
  expect(json).toMatchObject({ ok: true, change: "add", pid });
  await ready;
}

async function remove(scene: Scene, pid: number, at: number): Promise<void> {
  const { exitCode, json } = await clusterCommand(scene.cluster, at, "remove", String(pid));
  expect([exitCode, json]).toMatchObject([0, { ok: true, change: "remove", pid }]);
  // It goes on as one that serves nobody, and stops in good order.
  expect(await scene.cluster.stop(pid)).toMatchObject([{ exitCode: 0 }]);
}

/** Each of `asked`, while all others are down, has everything once. */
async function expectEverythingOnEach(
  cluster: Cluster,
  pids: readonly number[],
  ledger: Ledger,
  asked: readonly number[] = pids,
): Promise<void> {
  for (const alone of asked) {
    await cluster.kill(...pids.filter((pid) => pid !== alone));
    expect(await faultsAt(cluster, alone, ledger, users)).toEqual([]);
    await cluster.start(...pids.filter((pid) => pid !== alone));
  }
}

test("one replica becomes three, five and three others under load, and nothing is lost or doubled", async () => {
  await withScene(
    async (scene) => {
      const { cluster } = scene;
      const ledger = new Ledger();
      await cluster.start(1);
      // They know of the first replica only, which will be removed: the others they learn of.
      const clients = [clientAt(cluster, 1), clientAt(cluster, 1)];
      for (const [at, client] of clients.entries()) await client.signIn(users[at] ?? "", passwordOf(users[at] ?? ""));
      const load = new Load(ledger, clients);
      await add(scene, 2, 1);
      await add(scene, 3, 2);
      await add(scene, 4, 3);
      await add(scene, 5, 1);
      const five = await clusterCommand(cluster, 4, "status");
      expect(five.json).toMatchObject({ copies: 5 });
      await remove(scene, 1, 3);
      await remove(scene, 4, 3);
      await load.stop();
      for (const client of clients) expect(await client.end()).toBe(0);
      await expectEverythingOnEach(cluster, [2, 3, 5], ledger);
      expect(ledger.size).toBeGreaterThan(100);
    },
    (directory) => growing(directory, 5, 1, (pid) => pid - 1),
  );
});

test("the newcomer, and then the primary, is killed in the midst of an add, which is done all the same", async () => {
  await withScene(
    async (scene) => {
      const { cluster } = scene;
      const ledger = new Ledger();
      await cluster.start(1, 2, 3);
      const clients = [await scene.signedIn(2, "alice"), await scene.signedIn(3, "bob")];
      const load = new Load(ledger, clients);

      // It stands still when it is to promise the view, and is killed while that is waited for. Meanwhile nothing is sent:
      // one that has fallen far behind before the command is heard is not tried.
      const first = await startLearner(cluster, 4);
      await load.stop();
      cluster.signal(4, "SIGSTOP");
      const adding4 = new ClusterCommand(cluster, 2, "add", `4=${cluster.place(4).address}`);
      await adding4.says("is being formed");
      load.goOn();
      await cluster.kill(4);
      await first.over;
      const again = cluster.start(4);
      expect(await adding4.ended).toMatchObject({ exitCode: 0, json: { ok: true } });
      await again;

      const second = await startLearner(cluster, 5);
      const primary = await primaryOf(cluster);
      await load.stop();
      cluster.signal(5, "SIGSTOP");
      const asked = [2, 3].find((pid) => pid !== primary) ?? 0;
      const adding5 = new ClusterCommand(cluster, asked, "add", `5=${cluster.place(5).address}`);
      await adding5.says("is being formed");
      load.goOn();
      await cluster.kill(primary);
      cluster.signal(5, "SIGCONT");
      expect(await adding5.ended).toMatchObject({ exitCode: 0, json: { ok: true } });
      await second.over;
      await cluster.start(primary);

      await load.stop();
      for (const client of clients) expect(await client.end()).toBe(0);
      await expectEverythingOnEach(cluster, [1, 2, 3, 4, 5], ledger, [4, 5]);
    },
    // Who stands still is not suspected before the command has been started.
    (directory) => growing(directory, 5, 3, () => 2, ["--timeout-ms", "6000"]),
  );
});

/**
 * Starts a newcomer and waits until the primary hears that it is near the end of the log. `over` resolves when it is ready
 * or has been killed.
 */
async function startLearner(cluster: Cluster, pid: number): Promise<{ readonly over: Promise<unknown> }> {
  const over = cluster.start(pid).catch(() => {});
  for (;;) {
    const { json } = await clusterCommand(cluster, await primaryOf(cluster), "status");
    const replicas: unknown = json?.["replicas"];
    const seen: { pid: number; role: string; lag: number }[] = Array.isArray(replicas) ? replicas : [];
    if (seen.some((each) => each.pid === pid && each.role === "learner" && each.lag < 100)) return { over };
    await Bun.sleep(50);
  }
}

async function primaryOf(cluster: Cluster): Promise<number> {
  return Number((await clusterCommand(cluster, 2, "status")).json?.["primary"]);
}

test("who is gone is removed only if the loss is accepted, and a cluster says what it refuses", async () => {
  await withScene(async (scene) => {
    const { cluster } = scene;
    await cluster.start();
    for (const words of [
      ["add", "4=nowhere"],
      ["add"],
      ["remove", "256"],
      ["remove", "1", "--acept-loss"],
      ["stats"],
    ]) {
      expect([words, (await clusterCommand(cluster, 1, ...words)).exitCode]).toEqual([words, 64]);
    }
    const unknown = await clusterCommand(cluster, 1, "remove", "9");
    expect(unknown).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("there is no replica 9") });
    const taken = await clusterCommand(cluster, 1, "add", `4=${cluster.place(2).address}`);
    expect(taken).toMatchObject({ exitCode: 1, json: { ok: false, error: "refused" } });
    await cluster.kill(3);
    const refused = await clusterCommand(cluster, 1, "remove", "3");
    expect(refused).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("--accept-loss") });
    const removed = await clusterCommand(cluster, 2, "remove", "3", "--accept-loss");
    expect(removed).toMatchObject({ exitCode: 0, json: { ok: true, pid: 3 } });
    const { json } = await clusterCommand(cluster, 1, "status");
    expect(json).toMatchObject({ copies: 2, replicas: [{ pid: 1 }, { pid: 2 }] });
    await cluster.stop();
    const nobody = await clusterCommand(cluster, 1, "status");
    expect(nobody.exitCode).toBe(69);
  });
});
