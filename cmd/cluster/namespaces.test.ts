/**
 * The loss of two of three once more, with three addresses in three network namespaces instead of one machine's ports; and a
 * link that carries little.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { rm } from "node:fs/promises";
import { withScene } from "./end-to-end.fixture.ts";
import { faultsAt } from "./inquiry.ts";
import { loseTwo, orders } from "./losing-two.fixture.ts";
import { namespacesMissing, Network } from "./network.ts";

// Real processes: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

const missing = namespacesMissing();

if (missing === null) {
  describe("across network namespaces", () => {
    let network: Network;
    beforeAll(() => {
      network = new Network();
    });
    afterAll(() => network.close());

    test("an empty disk behind a link of 1 Mbit/s: it learns everything, and the others go on", async () => {
      await withScene(
        async (scene) => {
          const { cluster } = scene;
          const { alice, ledger } = await scene.begin(1, 2);
          for (let batch = 0; batch < 10; batch++) await ledger.sendMany(alice, "alice", "bob", "x".repeat(900), 50);
          await cluster.kill(3);
          await rm(cluster.place(3).dataDirectory, { recursive: true });
          if (!network.narrow(3, 1_000_000)) return;
          const back = cluster.start(3);
          await ledger.sendMany(alice, "alice", "bob", "meanwhile", 50);
          await back;
          network.narrow(3, null);
          await cluster.kill(1, 2);
          expect(await faultsAt(cluster, 3, ledger, ["alice", "bob"])).toEqual([]);
        },
        (directory) => network.cluster(directory),
      );
    });

    test.each(orders)("losing replica %d, then %d: nothing is missing or doubled", async (first, second) => {
      await withScene(
        (scene) => loseTwo(scene, first, second),
        (directory) => network.cluster(directory),
      );
    });
  });
} else {
  test.skip(`across network namespaces: skipped, because ${missing}`, () => {});
}
