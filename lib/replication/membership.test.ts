/** Stories of clusters that grow and shrink while they run. */
import { describe, expect, test } from "bun:test";
import { addressOf, Cluster, timing } from "./cluster.fixture.ts";
import type { ConfigChange } from "./events.ts";

const { timeoutMs } = timing;
const add = (pid: number): ConfigChange => ({ kind: "add", pid, address: addressOf(pid) });
const remove = (pid: number, acceptLoss = false): ConfigChange => ({ kind: "remove", pid, acceptLoss });

/** Founded and serving. */
function founded(size: number, policy: "available" | "quorum"): Cluster {
  const cluster = new Cluster(size, policy);
  const pids = cluster.nodes.map(({ pid }) => pid);
  cluster.start(...pids);
  cluster.until(() => cluster.formed(...pids), 5 * timeoutMs);
  return cluster;
}

const configOf = (cluster: Cluster, pid: number): number[] => cluster.node(pid).standing.config.map((each) => each.pid);

for (const policy of ["available", "quorum"] as const) {
  describe(`policy ${policy}`, () => {
    test("one becomes two, three, and two again, and nothing is lost", () => {
      const cluster = founded(1, policy);
      cluster.propose(1, 1, 2);
      cluster.join(1);
      cluster.changed(1, add(2), 2 * timeoutMs);
      expect(cluster.formed(1, 2)).toBe(true);
      cluster.join(2);
      cluster.changed(2, add(3), 2 * timeoutMs);
      expect(cluster.formed(1, 2, 3)).toBe(true);
      cluster.propose(3, 1);
      cluster.changed(3, remove(2), 2 * timeoutMs);
      cluster.until(() => cluster.formed(1, 3) && cluster.node(2).standing.role === "learner", 2 * timeoutMs);
      cluster.propose(1, 3);
      cluster.run(timeoutMs);
      // Who was removed follows the log and serves nobody.
      for (const pid of [1, 2, 3]) expect(cluster.node(pid).ops).toEqual(["01/1", "01/2", "03/1", "01/3"]);
      expect(cluster.node(2).standing).toMatchObject({ ready: false, configured: false });
      expect(cluster.node(2).said.join()).toContain("has been removed from the cluster");
      cluster.changed(1, add(2), 2 * timeoutMs);
      expect(cluster.formed(1, 2, 3)).toBe(true);
    });

    test("a newcomer neither founds a cluster nor starts a view", () => {
      const cluster = founded(1, policy);
      cluster.kill(1);
      const newcomer = cluster.join(1);
      cluster.join(1, 2);
      cluster.run(30 * timeoutMs);
      expect(newcomer.standing).toMatchObject({
        lastIndex: 0,
        role: "candidate",
        waitingFor: expect.stringMatching(/1.*learn/),
      });
      cluster.start(1);
      cluster.until(() => newcomer.standing.role === "learner", 15 * timeoutMs);
      cluster.kill(1);
      cluster.run(30 * timeoutMs);
      expect(newcomer.standing.ready).toBe(false);
    });

    test("a newcomer is added when it has learnt the log and answers at its address, and not before", () => {
      const cluster = founded(3, policy);
      expect(cluster.change(1, add(4)).reason).toContain("does not answer at host4:1538");
      expect(cluster.change(2, add(4))).toMatchObject({ state: "elsewhere", ask: 1 });
      cluster.filter = (from, _to, message) => !(message.type === "entries" && from <= 3);
      cluster.join(2);
      cluster.run(timeoutMs / 2);
      expect(cluster.change(1, add(4)).reason).toContain("is learning the log");
      cluster.run(4_000);
      cluster.filter = () => true;
      cluster.run(timeoutMs / 2);
      expect(cluster.change(1, add(4), false).reason).toContain("does not answer");
      expect(cluster.formed(1, 2, 3)).toBe(true);
      cluster.changed(1, add(4), timeoutMs);
      expect(cluster.formed(1, 2, 3, 4)).toBe(true);
    });

    test("a wish that nobody repeats is forgotten", () => {
      const cluster = founded(1, policy);
      cluster.change(1, add(2));
      cluster.run(4_000);
      cluster.join(1);
      cluster.run(5_000);
      expect(configOf(cluster, 1)).toEqual([1]);
    });

    test("the primary is removed by the lowest other member, which takes over", () => {
      const cluster = founded(3, policy);
      expect(cluster.change(1, remove(1))).toMatchObject({ state: "elsewhere", ask: 2 });
      cluster.propose(1, 1);
      cluster.changed(1, remove(1), 2 * timeoutMs);
      expect(cluster.formed(2, 3)).toBe(true);
      expect(cluster.node(2).standing.role).toBe("primary");
      cluster.propose(1, 2);
      cluster.run(timeoutMs);
      expect(cluster.node(3).ops).toEqual(["01/1", "01/2"]);
    });

    test("what cannot be is refused with the reason", () => {
      const cluster = founded(3, policy);
      const refusal = (change: ConfigChange): string => {
        const { state, reason } = cluster.change(1, change);
        return `${state}: ${reason}`;
      };
      expect(refusal({ kind: "add", pid: 2, address: "elsewhere:1" })).toMatch(/^refused: .*2 is in.*host2:1538/);
      expect(refusal({ kind: "add", pid: 9, address: addressOf(3) })).toMatch(/^refused: .*address of replica 3/);
      expect(refusal({ kind: "add", pid: 9, address: "nowhere" })).toMatch(/^refused: "nowhere" is not HOST:PORT/);
      const alone = founded(1, policy);
      expect(alone.change(1, remove(1)).reason).toContain("is the last one");
    });

    test("who founded alone and comes back with an empty disk learns from those who have joined since", () => {
      const cluster = founded(1, policy);
      cluster.propose(1, 1);
      for (const pid of [2, 3]) {
        cluster.join(1);
        cluster.changed(1, add(pid), 3 * timeoutMs);
      }
      cluster.kill(1);
      cluster.until(() => cluster.formed(2, 3), 3 * timeoutMs);
      cluster.node(1).wipe();
      cluster.node(1).said.length = 0;
      cluster.start(1);
      cluster.until(() => cluster.formed(1, 2, 3), 5 * timeoutMs);
      expect(cluster.node(1).ops).toEqual(["01/1"]);
      expect(cluster.node(1).said.join()).not.toContain("view 1.1 formed");
    });

    test("an attempt of which nobody else holds the VIEW lapses", () => {
      const cluster = founded(3, policy);
      cluster.join(1);
      cluster.run(timeoutMs);
      cluster.filter = (_from, _to, { type }) => type !== "newView";
      cluster.change(1, add(4));
      cluster.until(() => cluster.change(1, add(4)).state === "attempting", timeoutMs);
      cluster.run(tick);
      expect(cluster.node(1).standing.members.length).toBe(4);
      cluster.kill(1);
      cluster.filter = () => true;
      cluster.until(() => cluster.formed(2, 3), 5 * timeoutMs);
      expect(configOf(cluster, 2)).toEqual([1, 2, 3]);
      cluster.start(1);
      cluster.changed(2, add(4), 5 * timeoutMs);
      cluster.until(() => cluster.formed(1, 2, 3, 4), 5 * timeoutMs);
    });

    test("an attempt whose VIEW the base holds is carried on", () => {
      const cluster = founded(3, policy);
      cluster.join(1);
      cluster.run(timeoutMs);
      // Everyone has the VIEW, nobody gets to know that all have it.
      cluster.filter = (_from, _to, { type }) => type !== "viewOk";
      cluster.change(1, add(4));
      cluster.until(() => cluster.node(4).standing.members.length === 4, timeoutMs);
      cluster.kill(1);
      cluster.filter = () => true;
      cluster.until(() => cluster.formed(2, 3, 4), 5 * timeoutMs);
      expect(configOf(cluster, 2)).toEqual([1, 2, 3, 4]);
      expect(cluster.change(2, add(4)).state).toBe("done");
    });

    test("whom an attempt has added is asked for a promise even by one that has lost the attempt", () => {
      const cluster = founded(3, policy);
      cluster.join(1);
      cluster.run(timeoutMs);
      // The primary's own VIEW does not get to its disk.
      cluster.filter = (from, _to, { type }) => {
        if (type === "newView") cluster.node(from).diskHangs = true;
        return true;
      };
      cluster.change(1, add(4));
      cluster.until(() => cluster.node(4).standing.members.length === 4, timeoutMs);
      cluster.kill(1, 2, 3, 4);
      cluster.node(1).diskHangs = false;
      cluster.filter = () => true;
      cluster.start(1, 2, 3, 4);
      cluster.until(() => cluster.formed(1, 2, 3, 4), 8 * timeoutMs);
    });

    test("a removal whose VIEW the base holds is carried on by those who stay, however early the other one starts", () => {
      const cluster = founded(3, policy);
      cluster.filter = (_from, _to, { type }) => type !== "viewOk";
      cluster.change(2, remove(1));
      cluster.until(() => cluster.node(3).standing.members.length === 2, timeoutMs);
      cluster.kill(1, 2, 3);
      cluster.filter = () => true;
      cluster.start(1, 2, 3);
      cluster.until(() => cluster.formed(2, 3), 10 * timeoutMs);
      expect(configOf(cluster, 2)).toEqual([2, 3]);
      cluster.until(() => cluster.node(1).standing.role === "learner", timeoutMs);
    });
  });
}

const tick = 10;

describe("available", () => {
  test("a replica that is gone for good is removed when the loss is accepted, and gives what it held if it returns", () => {
    const cluster = founded(3, "available");
    cluster.partition([3], [1, 2, 4]);
    cluster.until(() => cluster.formed(1, 2) && cluster.formed(3), 5 * timeoutMs);
    cluster.propose(3, 1);
    cluster.propose(1, 1);
    cluster.run(timeoutMs);
    expect(cluster.node(3).ops).toEqual(["03/1"]);
    cluster.changed(1, remove(3, true), 2 * timeoutMs);
    expect(configOf(cluster, 2)).toEqual([1, 2]);
    cluster.heal();
    cluster.until(() => [1, 2, 3].every((pid) => cluster.node(pid).ops.length === 2), 5 * timeoutMs);
    expect(cluster.node(3).standing).toMatchObject({ role: "learner", ready: false });
    expect(cluster.formed(1, 2)).toBe(true);
  });

  test("who is not a member now is not removed: what it alone holds would be lost", () => {
    const cluster = founded(3, "available");
    cluster.kill(3);
    cluster.until(() => cluster.formed(1, 2), 3 * timeoutMs);
    expect(cluster.change(1, remove(3))).toMatchObject({ state: "waiting", reason: expect.stringContaining("lost") });
    cluster.run(2_000);
    expect(configOf(cluster, 1)).toEqual([1, 2, 3]);
    cluster.start(3);
    cluster.changed(1, remove(3), 5 * timeoutMs);
    expect(cluster.formed(1, 2)).toBe(true);
  });

  test("who accepts the loss after all is not made to wait for the removal that was asked for without", () => {
    const cluster = founded(3, "available");
    cluster.kill(3);
    cluster.until(() => cluster.formed(1, 2), 3 * timeoutMs);
    expect(cluster.change(1, remove(3)).reason).toContain("would be lost");
    expect(cluster.change(1, remove(3, true))).toMatchObject({ state: "waiting", reason: "" });
    // The other way round nobody is told of a removal that they would not have.
    expect(cluster.change(1, remove(3)).reason).toContain("another change is under way: removing replica 3");
    cluster.until(() => cluster.change(1, remove(3, true)).state === "done", timeoutMs);
  });

  test("who asks for a removal that is being made already follows it, also if they would accept a loss", () => {
    const cluster = founded(3, "available");
    cluster.filter = (_from, _to, { type }) => type !== "newView";
    cluster.change(1, remove(3));
    cluster.until(() => cluster.change(1, remove(3)).state === "attempting", timeoutMs);
    expect(cluster.change(1, remove(3, true)).state).toBe("attempting");
    cluster.filter = () => true;
    cluster.changed(1, remove(3, true), 5 * timeoutMs);
  });

  test("a replica that was removed proves nothing any more: alone it waits for the others", () => {
    const cluster = founded(2, "available");
    // It promises the view that removes it, and hears no more of that.
    cluster.change(1, remove(2));
    cluster.until(() => cluster.change(1, remove(2)).state === "done", 2 * timeoutMs);
    cluster.run(tick);
    cluster.partition([1], [2]);
    cluster.run(5 * timeoutMs);
    expect(cluster.node(2).standing.ready).toBe(false);
  });

  test("the config of a provisional view stays as it is", () => {
    const cluster = founded(3, "available");
    cluster.kill(1, 2, 3);
    cluster.start(2, 3);
    cluster.until(() => cluster.formed(2, 3), 15 * timeoutMs);
    expect(cluster.node(2).standing.provisional).toBe(true);
    cluster.join(2);
    cluster.run(timeoutMs);
    expect(cluster.change(2, add(4)).reason).toContain("provisional");
    cluster.run(1_000);
    expect(configOf(cluster, 2)).toEqual([1, 2, 3]);
    // Who is missing is back, or given up: then it may change.
    cluster.changed(2, remove(1, true), 3 * timeoutMs);
    expect(cluster.node(2).standing.provisional).toBe(false);
    cluster.changed(2, add(4), 3 * timeoutMs);
    expect(cluster.formed(2, 3, 4)).toBe(true);
  });

  test("a minority that goes on changes nothing", () => {
    const cluster = founded(3, "available");
    cluster.partition([1], [2, 3]);
    cluster.until(() => cluster.formed(1) && cluster.formed(2, 3), 5 * timeoutMs);
    expect(cluster.change(1, remove(1)).state).toBe("waiting");
    expect(cluster.change(1, add(4)).reason).toContain("only 1 of the 3");
    expect(cluster.change(2, remove(3)).state).not.toBe("refused");
  });
});

describe("quorum", () => {
  test("loss is not to be accepted, and two cannot become one", () => {
    const cluster = founded(2, "quorum");
    expect(cluster.change(1, remove(2, true)).reason).toContain("for the policy available");
    expect(cluster.change(1, remove(2)).reason).toContain("add a third replica first");
  });

  test("who is gone is removed like any other, and follows when it comes back: a majority has all that it may hold", () => {
    const cluster = founded(4, "quorum");
    cluster.kill(4);
    cluster.until(() => cluster.formed(1, 2, 3), 3 * timeoutMs);
    cluster.changed(1, remove(4), timeoutMs);
    cluster.kill(3);
    cluster.until(() => cluster.formed(1, 2), 3 * timeoutMs);
    cluster.start(4);
    cluster.until(() => cluster.node(4).standing.role === "learner", 3 * timeoutMs);
    cluster.run(timeoutMs);
    expect(configOf(cluster, 4)).toEqual([1, 2, 3]);
    expect(cluster.formed(1, 2)).toBe(true);
  });

  test("a removal that would leave no majority waits", () => {
    const cluster = founded(5, "quorum");
    cluster.kill(4, 5);
    cluster.until(() => cluster.formed(1, 2, 3), 5 * timeoutMs);
    expect(cluster.change(1, remove(3)).reason).toContain("no majority");
  });
});
