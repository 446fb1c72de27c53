/** Cut, slow and reset links of relays, seen by the real replicas at their ends. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { Cluster } from "./cluster.ts";
import { withScene } from "./end-to-end.fixture.ts";
import { faultsAt, faultsOnDisk } from "./inquiry.ts";
import { Relays } from "./relays.ts";

// Real processes: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

describe("relays", () => {
  test("cut one replica off in one direction, slow all, reset one; all come together again", async () => {
    const relays = await Relays.open();
    try {
      await withScene(
        async (scene) => {
          const { cluster } = scene;
          const { alice, ledger } = await scene.begin(1, 2);
          expect((await ledger.send(alice, "alice", "bob", "whole")).copies).toBe(3);
          relays.cut(1, 3, "drop");
          // Nothing replica 1 says arrives at 3: what needs all three stops until 3 is left out.
          expect((await ledger.send(alice, "alice", "bob", "cut")).copies).toBe(2);
          relays.mend(1, 3);
          const pairs = [
            [1, 2],
            [1, 3],
            [2, 3],
          ] as const;
          // Whoever leads by now: each op goes over some link, and an answer comes back over it.
          for (const [one, other] of pairs) relays.delay(one, other, 30);
          const sentMs = performance.now();
          await ledger.send(alice, "alice", "bob", "slow");
          expect(performance.now() - sentMs).toBeGreaterThan(60);
          for (const [one, other] of pairs) relays.delay(one, other, 0);
          relays.reset(1, 2);
          await ledger.sendMany(alice, "alice", "bob", "after", 20);
          await alice.end();
          expect(await faultsOnDisk(cluster)).toEqual([]);
          await cluster.start();
          for (const pid of cluster.pids) expect(await faultsAt(cluster, pid, ledger, ["alice", "bob"])).toEqual([]);
        },
        (directory) => new Cluster(relays.places(directory)),
      );
    } finally {
      relays.close();
    }
  });
});
