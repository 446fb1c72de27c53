/** When a primary may say that nothing is apart: then sessions may expire. */
import { expect, test } from "bun:test";
import { Cluster, tickMs } from "./cluster.fixture.ts";

const settled = (cluster: Cluster): number[] =>
  cluster.nodes.filter(({ core }) => core?.standing.settled === true).map(({ pid }) => pid);

test.each(["available", "quorum"] as const)(
  "%s: only the primary of a view of all is settled, and not while a replica is missing",
  (policy) => {
    const cluster = new Cluster(3, policy);
    cluster.start(1, 2, 3);
    cluster.until(() => settled(cluster).length > 0, 2_000);
    expect(settled(cluster)).toEqual([1]);
    cluster.kill(3);
    cluster.until(() => settled(cluster).length === 0, 3_000);
    cluster.run(20_000);
    expect(settled(cluster)).toEqual([]);
    cluster.start(3);
    cluster.until(() => settled(cluster).length > 0, 5_000);
  },
);

test("after a partition nobody is settled before what the other side holds has been merged", () => {
  const cluster = new Cluster(3, "available");
  cluster.start(1, 2, 3);
  cluster.until(() => settled(cluster).length > 0, 2_000);
  cluster.partition([1, 2], [3]);
  cluster.run(15_000);
  cluster.propose(1, 1);
  cluster.propose(3, 1);
  cluster.run(1_000);
  expect(settled(cluster)).toEqual([]);
  cluster.heal();
  let early = false;
  cluster.until(() => {
    const isMerged = cluster.nodes.every(({ ops }) => ops.includes("01/1") && ops.includes("03/1"));
    early ||= !isMerged && settled(cluster).length > 0;
    return settled(cluster).length > 0;
  }, 20_000);
  expect(early).toBe(false);
});

test("nobody is settled on the word that a replica gave in another view, before what it held became a fork", () => {
  const cluster = new Cluster(3, "available");
  cluster.start(1, 2, 3);
  cluster.until(() => cluster.formed(1, 2, 3), 5_000);
  cluster.partition([1, 2], [3]);
  cluster.until(() => cluster.formed(1, 2) && cluster.formed(3), 5_000);
  // The view of 1 becomes greater than that of 3, which has no fork yet, and says so.
  cluster.kill(2);
  cluster.start(2);
  cluster.until(() => cluster.formed(1, 2), 5_000);
  cluster.propose(3, 1);
  // 2 dies and is back at once. While 1 writes its promise for the view without it, 3 is reached again, by its JOIN.
  cluster.run(50);
  cluster.node(1).diskHangs = true;
  cluster.kill(2);
  cluster.run(tickMs);
  cluster.heal();
  cluster.cuts.add("2>3").add("3>2");
  cluster.start(2);
  cluster.step(cluster.node(3), { type: "connected", peer: cluster.node(1).member });
  cluster.step(cluster.node(1), { type: "connected", peer: cluster.node(3).member });
  cluster.settle();
  // From here on 3 is late with its heartbeats, and with what it forwards.
  cluster.filter = (from, _to, { type }) => from !== 3 || (type !== "heartbeat" && type !== "forward");
  cluster.node(1).diskHangs = false;
  let isApart = false;
  for (let ticks = 0; ticks < 60; ticks++) {
    cluster.run(tickMs);
    isApart ||= cluster.formed(1, 2, 3) && cluster.node(3).disk.hasForks;
    if (cluster.node(3).disk.hasForks) expect(settled(cluster)).toEqual([]);
  }
  expect(isApart).toBe(true);
});
