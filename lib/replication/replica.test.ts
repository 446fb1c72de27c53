/** The stories of the protocol, one test each, over the pure core. */
import { describe, expect, test } from "bun:test";
import { Cluster, timing } from "./cluster.fixture.ts";

const policies = ["available", "quorum"] as const;

function founded(size: number, policy: (typeof policies)[number]): Cluster {
  const cluster = new Cluster(size, policy);
  const pids = cluster.nodes.map(({ pid }) => pid);
  cluster.start(...pids);
  // One alone waits a timeout: it may turn out not to be alone.
  cluster.until(() => cluster.formed(...pids), size === 1 ? 2 * timing.timeoutMs : 500);
  return cluster;
}

/** Every running replica has applied exactly these ops, in one order. */
function expectEverywhere(cluster: Cluster, ops: string[]): void {
  const running = cluster.nodes.filter(({ core }) => core !== null);
  for (const node of running) {
    expect(node.ops.toSorted()).toEqual(ops.toSorted());
    expect(node.ops).toEqual(running[0]?.ops ?? []);
  }
}

for (const policy of policies) {
  describe(`policy ${policy}`, () => {
    test("three found a cluster quickly, and only all together", () => {
      const cluster = new Cluster(3, policy);
      cluster.start(1, 2);
      cluster.run(30_000);
      expect(cluster.node(1).standing.ready).toBe(false);
      expect(cluster.node(1).standing.waitingFor).toContain("replica 3");
      cluster.start(3);
      expect(cluster.until(() => cluster.formed(1, 2, 3), 1_000)).toBeLessThanOrEqual(500);
    });

    test("a cluster of one founds itself, when nobody has come to tell of a greater one, and commits alone", () => {
      const cluster = new Cluster(1, policy);
      cluster.start(1);
      cluster.run(timing.timeoutMs - 100);
      expect(cluster.formed(1)).toBe(false);
      cluster.until(() => cluster.formed(1), 200);
      cluster.propose(1, 1, 2, 3);
      expect(cluster.node(1).ops).toEqual(["01/1", "01/2", "01/3"]);
    });

    test("ops from every replica come out of every log in one order", () => {
      const cluster = founded(3, policy);
      for (let seq = 1; seq <= 20; seq++) for (const pid of [1, 2, 3]) cluster.propose(pid, seq);
      cluster.run(200);
      expectEverywhere(
        cluster,
        [1, 2, 3].flatMap((pid) => Array.from({ length: 20 }, (_, i) => `0${pid}/${i + 1}`)),
      );
    });

    test("nothing commits before every member has it on disk", () => {
      const cluster = founded(3, policy);
      cluster.node(3).diskHangs = true;
      cluster.propose(1, 1);
      cluster.run(500);
      expect(cluster.node(1).ops).toEqual([]);
      cluster.node(3).diskHangs = false;
      cluster.run(100);
      expect(cluster.node(1).ops).toEqual(["01/1"]);
    });

    test("a killed backup is left out, comes back as a learner and is taken in", () => {
      const cluster = founded(3, policy);
      cluster.propose(1, 1);
      cluster.kill(3);
      cluster.until(() => cluster.formed(1, 2), 200);
      cluster.propose(2, 1);
      cluster.start(3);
      cluster.until(() => cluster.formed(1, 2, 3), 1_500);
      cluster.propose(3, 1);
      cluster.run(200);
      expectEverywhere(cluster, ["01/1", "02/1", "03/1"]);
    });

    test("a killed primary is replaced within a heartbeat or two, and its backups' ops are not lost", () => {
      const cluster = founded(3, policy);
      cluster.kill(1);
      cluster.propose(2, 1);
      cluster.propose(3, 1);
      expect(cluster.until(() => cluster.formed(2, 3), 1_000)).toBeLessThanOrEqual(300);
      cluster.run(100);
      expectEverywhere(cluster, ["02/1", "03/1"]);
      cluster.start(1);
      cluster.until(() => cluster.formed(1, 2, 3), 1_500);
      expect(cluster.node(1).standing.primary).toBe(2);
    });

    test("a silent primary is replaced after the timeout", () => {
      const cluster = founded(3, policy);
      cluster.partition([1], [2, 3]);
      const tookMs = cluster.until(() => cluster.formed(2, 3), 3_000);
      expect(tookMs).toBeGreaterThan(timing.timeoutMs - timing.heartbeatMs);
      expect(tookMs).toBeLessThan(timing.timeoutMs + 500);
    });

    test("all stop and start again: everything acknowledged is there", () => {
      const cluster = founded(3, policy);
      cluster.propose(1, 1, 2, 3);
      cluster.kill(1, 2, 3);
      cluster.start(3, 2, 1);
      cluster.until(() => cluster.formed(1, 2, 3), 1_500);
      cluster.run(200);
      expectEverywhere(cluster, ["01/1", "01/2", "01/3"]);
    });

    test("a long log is handed to the state machine in batches", () => {
      const cluster = founded(1, policy);
      const seqs = Array.from({ length: 1_200 }, (_, i) => i + 1);
      cluster.propose(1, ...seqs);
      cluster.kill(1);
      cluster.start(1);
      cluster.until(() => cluster.node(1).ops.length === 1_200, 1_500);
      expect(cluster.node(1).ops).toEqual(seqs.map((seq) => `01/${seq}`));
    });

    test("a wiped replica is no voice and comes back as a learner", () => {
      const cluster = founded(3, policy);
      cluster.propose(1, 1);
      cluster.kill(2);
      cluster.until(() => cluster.formed(1, 3), 500);
      cluster.node(2).wipe();
      cluster.start(2);
      cluster.until(() => cluster.formed(1, 2, 3), 2_000);
      cluster.run(200);
      expectEverywhere(cluster, ["01/1"]);
    });

    test("a one-way cut of a backup costs its clients nothing for long", () => {
      const cluster = founded(3, policy);
      cluster.cuts.add("1>3");
      cluster.run(4_000);
      cluster.propose(3, 1);
      cluster.until(() => cluster.node(3).ops.includes("03/1"), 2_000);
    });

    test("two of three cut from each other while the third sees both: all clients are served", () => {
      const cluster = founded(3, policy);
      cluster.cuts.add("1>3").add("3>1");
      cluster.run(5_000);
      for (const pid of [1, 2, 3]) cluster.propose(pid, 1);
      cluster.until(() => cluster.nodes.every((node) => node.ops.length === 3), 3_000);
    });
  });
}

describe("available", () => {
  for (const [first, second] of [
    [1, 2],
    [2, 1],
    [1, 3],
    [3, 1],
    [2, 3],
    [3, 2],
  ] as const) {
    test(`any two of three: ${first}, then ${second}`, () => {
      const cluster = founded(3, "available");
      const last = 6 - first - second;
      cluster.propose(last, 1);
      cluster.kill(first);
      cluster.propose(last, 2);
      cluster.until(() => cluster.node(last).ops.includes(`0${last}/2`), 1_500);
      cluster.kill(second);
      cluster.propose(last, 3);
      cluster.until(() => cluster.formed(last) && cluster.node(last).ops.length === 3, 1_500);
      cluster.start(first, second);
      cluster.until(() => cluster.formed(1, 2, 3), 4_000);
      cluster.run(200);
      expectEverywhere(cluster, [`0${last}/1`, `0${last}/2`, `0${last}/3`]);
    });
  }

  test("the longest log does not win", () => {
    const cluster = founded(3, "available");
    cluster.propose(1, 1);
    cluster.filter = (from, _to, message) => !(from === 1 && message.type === "append");
    for (let seq = 2; seq <= 50; seq++) cluster.propose(1, seq);
    cluster.kill(1);
    cluster.filter = () => true;
    cluster.until(() => cluster.formed(2, 3), 1_000);
    cluster.propose(2, 1, 2, 3);
    cluster.run(100);
    expect(cluster.node(2).ops).toEqual(["01/1", "02/1", "02/2", "02/3"]);
    cluster.kill(3);
    cluster.start(1);
    cluster.until(() => cluster.formed(1, 2), 4_000);
    cluster.run(1_000);
    expect(cluster.node(1).ops.slice(0, 4)).toEqual(["01/1", "02/1", "02/2", "02/3"]);
    expect(cluster.node(1).ops).toEqual(cluster.node(2).ops);
  });

  test("after a total stop, who may hold more is waited for, then gone without, provisionally", () => {
    const cluster = founded(3, "available");
    cluster.propose(1, 1);
    cluster.kill(3);
    cluster.until(() => cluster.formed(1, 2), 500);
    cluster.kill(2);
    cluster.until(() => cluster.formed(1), 500);
    cluster.propose(1, 2);
    cluster.kill(1);
    cluster.start(2, 3);
    cluster.run(timing.recoveryWaitMs - 500);
    expect(cluster.node(2).standing.ready).toBe(false);
    expect(cluster.node(2).standing.waitingFor).toContain("replica 1");
    cluster.until(() => cluster.formed(2, 3), 3_000);
    expect(cluster.node(2).standing.provisional).toBe(true);
    cluster.propose(2, 1);
    cluster.start(1);
    cluster.until(() => cluster.formed(1, 2, 3), 4_000);
    cluster.run(1_000);
    expect(cluster.node(1).standing.provisional).toBe(false);
    expectEverywhere(cluster, ["01/1", "01/2", "02/1"]);
  });

  test("both sides of a partition acknowledge; after the heal everything is there", () => {
    const cluster = founded(3, "available");
    cluster.propose(1, 1);
    cluster.partition([1], [2, 3]);
    cluster.run(2_500);
    cluster.propose(1, 2);
    cluster.propose(3, 1);
    cluster.run(500);
    expect(cluster.node(1).ops).toEqual(["01/1", "01/2"]);
    expect(cluster.node(2).ops).toEqual(["01/1", "03/1"]);
    cluster.heal();
    cluster.until(() => cluster.formed(1, 2, 3), 5_000);
    cluster.run(1_000);
    expectEverywhere(cluster, ["01/1", "01/2", "03/1"]);
  });
});

describe("quorum", () => {
  test("the minority refuses as unavailable, and takes nothing", () => {
    const cluster = founded(3, "quorum");
    cluster.partition([1], [2, 3]);
    cluster.run(3_000);
    cluster.propose(1, 1);
    cluster.propose(2, 1);
    cluster.run(6_000);
    expect(cluster.node(1).unavailable).toEqual([{ session: "00000000-0000-4000-8000-000000000001", seq: 1 }]);
    expect(cluster.node(2).ops).toEqual(["02/1"]);
    cluster.heal();
    cluster.until(() => cluster.formed(1, 2, 3), 5_000);
    cluster.run(500);
    expectEverywhere(cluster, ["02/1"]);
  });

  test("a single survivor does not go on", () => {
    const cluster = founded(3, "quorum");
    cluster.kill(1, 2);
    cluster.run(15_000);
    expect(cluster.node(3).standing.role).toBe("candidate");
    cluster.start(2);
    cluster.until(() => cluster.formed(2, 3), 4_000);
  });
});
