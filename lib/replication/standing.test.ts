/** When a primary may say that nothing is apart: then sessions may expire. */
import { expect, test } from "bun:test";
import { Cluster } from "./cluster.fixture.ts";

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
