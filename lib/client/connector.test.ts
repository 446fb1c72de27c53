/** How the client finds a replica, leaves it and says so, over a scripted cluster and a simulated network. */
import { beforeEach, describe, expect, test } from "bun:test";
import { ScriptedCluster } from "../sim/scripted-cluster.ts";
import {
  begin,
  cluster,
  connected,
  isOpen,
  loggedIn,
  network,
  renew,
  replicaOf,
  sent,
  settled,
} from "./client.fixture.ts";

beforeEach(renew);

describe("finding a replica", () => {
  test("the next address is tried at once after a loss, and the time away is told", async () => {
    const alice = await loggedIn("alice");
    await network.run(5000);
    const diedAtMs = network.nowMs;
    cluster.kill(1);
    await network.run(1000, isOpen(alice));
    expect(network.nowMs - diedAtMs).toBeLessThan(20);
    expect(alice.states.map(({ state }) => state)).toEqual(["connected", "connecting", "reconnected"]);
    const last = alice.client.connection;
    expect(last).toMatchObject({ state: "reconnected", address: "b:2", replica: 2, copies: 3, view: "1.1" });
    expect("afterMs" in last && last.afterMs).toBe(network.nowMs - diedAtMs);
  });

  test("as long as none has ever answered it says what people can do", async () => {
    for (const pid of [1, 2, 3]) cluster.kill(pid);
    const stranger = begin({ remedy: "start one" });
    await network.run(500);
    expect(stranger.client.connection).toMatchObject({ reason: expect.stringMatching(/refused .*; start one$/) });
    await renew();
    const alice = await connected({ remedy: "start one" });
    for (const pid of [1, 2, 3]) cluster.kill(pid);
    await network.run(500);
    expect(alice.client.connection).toMatchObject({ reason: expect.stringMatching(/refused the connection$/) });
  });

  test("addresses that hang do not hold up those behind them", async () => {
    network.setSilent("a:1", true);
    network.setSilent("b:2", true);
    const subject = await connected();
    expect(replicaOf(subject)).toBe(3);
    expect(network.nowMs).toBeLessThan(500);
  });

  test("other addresses are learnt from the servers", async () => {
    const alice = await connected({ servers: ["b:2"] });
    expect(replicaOf(alice)).toBe(2);
    cluster.kill(2);
    await network.run(1000, isOpen(alice));
    expect(replicaOf(alice)).toBe(1);
  });

  test("a replica that is not ready is passed over for one that is", async () => {
    cluster.ready.set(1, false);
    const subject = await connected();
    expect(replicaOf(subject)).toBe(2);
    expect(subject.states.map(({ state }) => state)).not.toContain("offline");
  });

  test("when none is ready it waits with one, and says so; the first to become ready is used", async () => {
    for (const pid of [1, 2, 3]) cluster.ready.set(pid, false);
    cluster.intercept = (peer, frame) => frame.type === "openSession" && cluster.ready.get(peer.replica) === false;
    const subject = begin();
    await network.run(500);
    expect(subject.client.connection).toMatchObject({ state: "offline" });
    expect("reason" in subject.client.connection && subject.client.connection.reason).toContain(
      "b:2 is not a member of a formed view",
    );
    cluster.setReady(3, true);
    await network.run(3000, isOpen(subject));
    expect(replicaOf(subject)).toBe(3);
  });

  test("it leaves a replica that is no longer ready when another one is", async () => {
    const alice = await loggedIn("alice");
    cluster.setReady(1, false);
    await network.run(3000, () => replicaOf(alice) === 2);
    expect(replicaOf(alice)).toBe(2);
    expect(sent(await settled(alice.client.request({ type: "send", to: "alice", text: "x" }))).id.seq).toBe(3);
  });

  test("a new view is told as it comes, once", async () => {
    const alice = await connected();
    cluster.view = 2 * 256 + 3;
    cluster.place(1);
    cluster.place(1);
    await network.run(10);
    expect(alice.states.map((state) => "view" in state && [state.state, state.primary, state.view])).toEqual([
      ["connected", 1, "1.1"],
      ["connected", 3, "2.3"],
    ]);
  });

  test("with everything down it is offline with the reasons, tries again soon, and comes back by itself", async () => {
    for (const pid of [1, 2, 3]) cluster.kill(pid);
    const subject = begin();
    await network.run(3000);
    const states = subject.states.map(({ state }) => state);
    expect(states.filter((state) => state === "offline")).toHaveLength(1);
    expect(states.at(-1)).toBe("offline");
    const gapsMs = network.dialled.slice(1).map((dial, at) => dial.atMs - (network.dialled[at]?.atMs ?? 0));
    expect(Math.max(...gapsMs)).toBeLessThanOrEqual(260);
    expect(network.dialled.length).toBeLessThan(100);
    await cluster.startReplica(2);
    expect(await network.run(300, isOpen(subject))).toBe(true);
  });

  test("a server that accepts and says nothing is given up", async () => {
    cluster.intercept = (peer, frame) => peer.replica === 1 && frame.type === "hello";
    const subject = await connected();
    expect(replicaOf(subject)).toBe(2);
    expect(network.nowMs).toBeLessThan(1000);
  });

  test("a connection that has become half-open is left for a replica that answers, after a second or two", async () => {
    const alice = await loggedIn("alice");
    const [pair] = network.connections;
    await network.run(10_000);
    expect(replicaOf(alice)).toBe(1);
    const frozenAtMs = network.nowMs;
    if (pair !== undefined) pair.frozen = true;
    const answer = alice.client.request({ type: "send", to: "alice", text: "x" });
    expect(sent(await settled(answer)).duplicate).toBe(false);
    expect(replicaOf(alice)).toBe(2);
    expect(network.nowMs - frozenAtMs).toBeGreaterThan(900);
    expect(network.nowMs - frozenAtMs).toBeLessThan(2100);
  });

  test("one that is only slow is kept, though others answer sooner", async () => {
    const alice = await loggedIn("alice");
    cluster.intercept = (peer, frame) => {
      if (frame.type !== "ping" || peer.replica !== 1) return false;
      network.setTimer(800, () => peer.send({ type: "pong", nonce: frame.nonce }));
      return true;
    };
    await network.run(10_000);
    expect(replicaOf(alice)).toBe(1);
    expect(alice.states).toHaveLength(1);
  });

  test("with nowhere else to go a half-open connection is given up after the silence", async () => {
    const alice = await loggedIn("alice");
    const [pair] = network.connections;
    cluster.kill(2);
    cluster.kill(3);
    await network.run(5000);
    const frozenAtMs = network.nowMs;
    if (pair !== undefined) pair.frozen = true;
    const answer = alice.client.request({ type: "send", to: "alice", text: "x" });
    expect(sent(await settled(answer)).duplicate).toBe(false);
    expect(replicaOf(alice)).toBe(1);
    expect(network.nowMs - frozenAtMs).toBeGreaterThan(2900);
    expect(network.nowMs - frozenAtMs).toBeLessThan(4100);
  });

  test("a client that only listens is heard of nevertheless", async () => {
    const alice = await loggedIn("alice");
    const [peer] = cluster.peers;
    const session = peer?.session ?? "";
    for (let second = 0; second < 10; second++) {
      cluster.deliver(session, "bob", "news");
      await network.run(500);
      cluster.deliver(session, "bob", "more");
      await network.run(500);
    }
    expect(peer?.received.filter((frame) => frame.type === "ping").length).toBeGreaterThanOrEqual(8);
    expect(replicaOf(alice)).toBe(1);
  });

  test("a server of an unknown version is named with both versions, and the others are tried", async () => {
    cluster.intercept = (peer, frame) => {
      if (frame.type !== "hello") return false;
      peer.send({ type: "error", code: "version", message: "too old", versionOldest: 7, versionNewest: 9 });
      peer.close();
      return true;
    };
    const subject = begin({ servers: ["a:1"] });
    await network.run(500);
    expect(subject.client.connection).toMatchObject({
      state: "offline",
      reason: "a:1 speaks protocol version 7 to 9, this client 1",
    });
    cluster.intercept = () => false;
    expect(await network.run(1000, isOpen(subject))).toBe(true);
  });

  test("a replica of another cluster is not used", async () => {
    const alice = await loggedIn("alice", { servers: ["a:1", "z:9"] });
    const other = await ScriptedCluster.start(network, ["z:9"]);
    other.cluster = new Uint8Array(16).fill(8);
    for (const pid of [1, 2, 3]) cluster.kill(pid);
    await network.run(1000);
    expect(alice.client.connection).toMatchObject({ state: "offline" });
    expect("reason" in alice.client.connection && alice.client.connection.reason).toContain(
      "z:9 belongs to another cluster",
    );
    expect(other.sessions.size).toBe(0);
  });

  test("a goodbye, or bytes that are no frame, move it on", async () => {
    const alice = await loggedIn("alice");
    const peer = cluster.peers[0];
    peer?.send({ type: "goodbye", reason: "the replica stops" });
    await network.run(1000, () => replicaOf(alice) === 2);
    expect(replicaOf(alice)).toBe(2);
    network.connections.at(-1)?.server.send(new Uint8Array([0, 0, 0, 1, 0xff]));
    await network.run(1000, () => replicaOf(alice) === 3);
    expect(replicaOf(alice)).toBe(3);
    await network.run(10);
    expect(network.connections.at(-2)?.server.closed).toBe(true);
  });
});
