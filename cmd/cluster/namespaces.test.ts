/** The loss of two of three once more, with three addresses in three network namespaces instead of one machine's ports. */
import { afterAll, beforeAll, describe, setDefaultTimeout, test } from "bun:test";
import { withScene } from "./end-to-end.fixture.ts";
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
