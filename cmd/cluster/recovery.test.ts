/** Replicas that come back: after a crash while the others went on, after a loss of power, after an orderly stop. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { withScene } from "./end-to-end.fixture.ts";
import { faultsAt, faultsOnDisk } from "./inquiry.ts";
import { Ledger } from "./ledger.ts";

// Real processes: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

const users = ["alice", "bob"];

describe("coming back", () => {
  test.each([1, 2, 3])("replica %d, killed and restarted, catches up and can be the only survivor", async (pid) => {
    await withScene(async (scene) => {
      const { cluster } = scene;
      const ledger = new Ledger();
      await cluster.start();
      const staying = cluster.pids.filter((other) => other !== pid);
      const alice = await scene.signedIn(staying[0] ?? 0, "alice");
      await scene.signedIn(staying[1] ?? 0, "bob");
      await ledger.sendMany(alice, "alice", "bob", "before", 10);
      await cluster.kill(pid);
      for (let batch = 0; batch < 10; batch++) await ledger.sendMany(alice, "alice", "bob", "without it", 50);
      await cluster.start(pid);
      await ledger.sendMany(alice, "alice", "bob", "with it again", 10);
      await cluster.kill(...staying);
      expect(await faultsAt(cluster, pid, ledger, users)).toEqual([]);
      await ledger.sendMany(alice, "alice", "bob", "on it alone", 10);
      await cluster.start();
      expect(await faultsAt(cluster, staying[0] ?? 0, ledger, users)).toEqual([]);
      expect(ledger.size).toBe(530);
      await alice.end();
      expect(await faultsOnDisk(cluster)).toEqual([]);
    });
  });

  test("all three, after a loss of power in the middle of sending", async () => {
    await withScene(async (scene) => {
      const { cluster } = scene;
      const { alice, bob, ledger } = await scene.begin(1, 3);
      for (let round = 0; round < 3; round++) {
        const sending = [
          ledger.sendMany(alice, "alice", "bob", `round ${round}`, 60),
          ledger.sendMany(bob, "bob", "alice", `round ${round}`, 60),
        ];
        await ledger.send(alice, "alice", "bob", "on its way");
        await cluster.losePower();
        await cluster.start();
        // What was not acknowledged before is resent and acknowledged now, once.
        await Promise.all(sending);
      }
      expect(ledger.size).toBe(3 * 121);
      for (const pid of cluster.pids) expect(await faultsAt(cluster, pid, ledger, users)).toEqual([]);
      expect([await alice.end(), await bob.end()]).toEqual([0, 0]);
      expect(await faultsOnDisk(cluster)).toEqual([]);
    });
  });

  test("all three, after an orderly stop", async () => {
    await withScene(async (scene) => {
      const { cluster } = scene;
      const { alice, ledger } = await scene.begin(1, 3);
      await ledger.sendMany(alice, "alice", "bob", "before the stop", 50);
      const endings = await cluster.stop();
      expect(endings).toEqual(Array.from({ length: 3 }, () => ({ exitCode: 0, signal: null })));
      await cluster.start();
      await ledger.sendMany(alice, "alice", "bob", "after the stop", 50);
      for (const pid of cluster.pids) expect(await faultsAt(cluster, pid, ledger, users)).toEqual([]);
    });
  });

  test("one after the other, each stopped in order while clients send", async () => {
    await withScene(async (scene) => {
      const { cluster } = scene;
      const { alice, ledger } = await scene.begin(1, 2);
      for (const pid of cluster.pids) {
        const sending = ledger.sendMany(alice, "alice", "bob", `while ${pid} restarts`, 60);
        expect(await cluster.stop(pid)).toEqual([{ exitCode: 0, signal: null }]);
        await ledger.send(alice, "alice", "bob", "on two");
        await cluster.start(pid);
        await sending;
      }
      for (const pid of cluster.pids) expect(await faultsAt(cluster, pid, ledger, users)).toEqual([]);
      await alice.end();
    });
  });
});
