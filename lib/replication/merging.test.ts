/** How what a fork holds comes into the lineage: a portion at a time, whatever else goes on. */
import { describe, expect, test } from "bun:test";
import { Cluster, timing } from "./cluster.fixture.ts";

/**
 * A cluster of two in which replica 2 has acknowledged these alone, in a fork, one list after the other, and is together
 * with 1 again.
 */
function healed(...lists: readonly number[][]): Cluster {
  const cluster = new Cluster(2, "available");
  cluster.start(1, 2);
  cluster.until(() => cluster.formed(1, 2), 1_000);
  cluster.propose(1, 1);
  cluster.partition([1], [2]);
  cluster.until(() => cluster.formed(1) && cluster.formed(2), 3 * timing.timeoutMs);
  for (const list of lists) cluster.propose(2, ...list);
  // The lineage of 1, which is in the greater view then, is the one that goes on.
  cluster.kill(1);
  cluster.start(1);
  cluster.until(() => cluster.formed(1), 3 * timing.timeoutMs);
  return cluster;
}

const seqs = (count: number): number[] => Array.from({ length: count }, (_, at) => at + 1);

describe("a fork", () => {
  test("is proposed a portion at a time: all at once would make replicas stand still", () => {
    const cluster = healed(seqs(30));
    const forwarded: number[] = [];
    cluster.filter = (from, _, message) => {
      if (from === 2 && message.type === "forward") forwarded.push(message.ops.length);
      return true;
    };
    cluster.heal();
    cluster.until(() => cluster.formed(1, 2), 3_000);
    cluster.until(() => !cluster.node(2).disk.hasForks, 3_000);
    expect(forwarded.length).toBeGreaterThan(3);
    expect(Math.max(...forwarded)).toBeLessThanOrEqual(8);
    expect(cluster.node(1).ops.filter((op) => op.startsWith("02/"))).toEqual(seqs(30).map((seq) => `02/${seq}`));
  });

  test("comes in the order of its sessions: what was there before its session was known is not done before that", () => {
    const cluster = healed([9], [0, 1, 2], [9, 10]);
    cluster.heal();
    cluster.until(() => cluster.formed(1, 2), 3_000);
    cluster.until(() => !cluster.node(2).disk.hasForks, 3_000);
    const merged = [0, 1, 2, 9, 10].map((seq) => `02/${seq}`);
    expect(cluster.node(1).ops.filter((op) => op.startsWith("02/"))).toEqual(merged);
    expect(cluster.node(1).ops).toEqual(cluster.node(2).ops);
  });

  test("is looked through again for what stood before its session was known, a portion or more in front of that", () => {
    const cluster = healed([9], [...seqs(8), 0]);
    cluster.heal();
    cluster.until(() => cluster.formed(1, 2), 3_000);
    cluster.until(() => !cluster.node(2).disk.hasForks, 3_000);
    const ops = cluster.node(1).ops.filter((op) => op.startsWith("02/"));
    const known = ops.indexOf("02/0");
    expect(ops.slice(known).toSorted()).toEqual([9, 0, ...seqs(8)].map((seq) => `02/${seq}`).toSorted());
  });

  test("of sessions that the lineage has forgotten is settled when a pass has found what the one before had found", () => {
    const cluster = healed([1, 2]);
    cluster.node(2).isDone = () => false;
    cluster.heal();
    cluster.until(() => cluster.formed(1, 2), 3_000);
    cluster.until(() => !cluster.node(2).disk.hasForks, 3_000);
    expect(cluster.node(1).ops.filter((op) => op === "02/1")).toHaveLength(2);
  });

  test("is left in the order of its places else: others have built on what stands there", () => {
    const cluster = healed([5], [3], [4]);
    cluster.heal();
    cluster.until(() => cluster.formed(1, 2), 3_000);
    cluster.until(() => !cluster.node(2).disk.hasForks, 3_000);
    expect(cluster.node(1).ops.filter((op) => op.startsWith("02/"))).toEqual(["02/5", "02/3", "02/4"]);
  });

  test("is merged also where a write is always under way", () => {
    const cluster = healed(seqs(3));
    cluster.heal();
    cluster.node(2).diskHangs = false;
    let seq = 1;
    const isMerged = (): boolean => !cluster.node(2).disk.hasForks && cluster.node(1).ops.includes("02/3");
    const busy = (): void => {
      cluster.node(2).diskHangs = true;
      cluster.propose(1, ++seq);
      cluster.run(10);
      cluster.node(2).diskHangs = false;
      cluster.settle();
    };
    cluster.until(() => cluster.formed(1, 2), 3_000);
    for (let round = 0; round < 200 && !isMerged(); round++) busy();
    expect(isMerged()).toBe(true);
  });
});
