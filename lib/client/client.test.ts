import { beforeEach, describe, expect, test } from "bun:test";
import { limits } from "../base/limits.ts";
import type { Frame, FrameOf } from "../protocol/messages.ts";
import { ByteNetwork } from "../sim/byte-network.ts";
import { ScriptedCluster, type Peer } from "../sim/scripted-cluster.ts";
import { ClientClosedError, createClient } from "./client.ts";
import type { Answers, ChatClient, ClientEvent, ClientOptions, ConnectionState, Refused } from "./types.ts";

const addresses = ["a:1", "b:2", "c:3"];
const password = "correct horse";

let network: ByteNetwork;
let cluster: ScriptedCluster;

beforeEach(async () => {
  network = new ByteNetwork();
  cluster = await ScriptedCluster.start(network, addresses);
});

/** A client, everything it told, and the answers in the order in which they came. */
interface Subject {
  readonly client: ChatClient;
  readonly events: ClientEvent[];
  readonly states: ConnectionState[];
}

function begin(options: Partial<ClientOptions> = {}): Subject {
  const randomBytes = (length: number) => new Uint8Array(length).fill(9);
  const client = createClient(
    { servers: addresses, ...options },
    { transport: network.transport, clock: network, randomBytes },
  );
  const events: ClientEvent[] = [];
  const states: ConnectionState[] = [];
  client.on((event) => {
    events.push(event);
    if (event.type === "connection") states.push(event.connection);
  });
  return { client, events, states };
}

/** Lets time pass until the promise is settled. */
async function settled<T>(promise: Promise<T>, withinMs = 20_000): Promise<T> {
  let over = false;
  const mark = () => {
    over = true;
  };
  promise.then(mark, mark);
  expect(await network.run(withinMs, () => over)).toBe(true);
  return promise;
}

const sent = (answer: Answers["send"] | Refused): Answers["send"] => {
  if (answer.type !== "sent") throw new Error(`expected an acknowledgement, got ${answer.code}: ${answer.message}`);
  return answer;
};

const isOpen =
  ({ client }: Subject) =>
  () =>
    client.connection.state === "connected" || client.connection.state === "reconnected";

async function connected(options: Partial<ClientOptions> = {}): Promise<Subject> {
  const subject = begin(options);
  expect(await network.run(10_000, isOpen(subject))).toBe(true);
  return subject;
}

async function loggedIn(user: string, options: Partial<ClientOptions> = {}): Promise<Subject> {
  const subject = await connected(options);
  await settled(subject.client.request({ type: "createAccount", user, password }));
  await settled(subject.client.request({ type: "login", user, password }));
  return subject;
}

const replicaOf = ({ client }: Subject) => ("replica" in client.connection ? client.connection.replica : null);
const opsReceived = (peer: Peer) => peer.received.filter((frame): frame is FrameOf<"send"> => "seq" in frame);
const sendsInLog = () => cluster.log.filter((entry) => entry.endsWith(" send"));

describe("a session", () => {
  test("connects, registers, creates an account, logs in, sends, and knows who it is", async () => {
    const alice = await loggedIn("alice");
    expect(alice.client.user).toBe("alice");
    const bob = await loggedIn("bob", { startAt: 1 });
    const answer = sent(await settled(alice.client.request({ type: "send", to: "bob", text: "hi" })));
    expect(answer.copies).toBe(3);
    expect(answer.id.seq).toBe(3);
    await network.run(10);
    expect(bob.events.filter((event) => event.type === "message").map((event) => event.message.text)).toEqual(["hi"]);
    expect(replicaOf(alice)).toBe(1);
    expect(replicaOf(bob)).toBe(2);
    await settled(alice.client.request({ type: "logout" }));
    expect(alice.client.user).toBeNull();
  });

  test("counts its ops 1, 2, 3 … under one uuid, the registration being 0", async () => {
    const alice = await loggedIn("alice");
    await settled(Promise.all([1, 2, 3].map(() => alice.client.request({ type: "send", to: "alice", text: "x" }))));
    const peer = cluster.peers[0];
    if (peer === undefined) throw new Error("no connection");
    expect(opsReceived(peer).map((frame) => frame.seq)).toEqual([1, 2, 3, 4, 5]);
    const session = peer.session ?? "";
    expect(session).toMatch(/^[0-9a-f-]{36}$/);
    expect(cluster.sessions.get(session)?.token.length).toBe(32);
  });

  test("refusals are answers, and leave the session as it was", async () => {
    const { client } = await connected();
    expect(await settled(client.request({ type: "send", to: "bob", text: "x" }))).toMatchObject({
      type: "refused",
      code: "not-logged-in",
    });
    expect(await settled(client.request({ type: "login", user: "bob", password }))).toMatchObject({
      code: "wrong-password",
    });
    expect(client.outstanding).toBe(0);
  });

  test("what the wire cannot carry is refused before it is sent", async () => {
    const alice = await loggedIn("alice");
    const cases: [Promise<{ type: string }>, string][] = [
      [alice.client.request({ type: "send", to: "bob", text: "x".repeat(limits.textBytesMax + 1) }), "too-long"],
      [alice.client.request({ type: "send", to: "bob", text: "é".repeat(limits.textBytesMax / 2 + 1) }), "too-long"],
      [alice.client.request({ type: "send", to: "bob", text: "\ud800" }), "bad-command"],
      [alice.client.request({ type: "send", to: "b".repeat(129), text: "x" }), "bad-name"],
      [alice.client.request({ type: "createAccount", user: "x", password: "p".repeat(257) }), "bad-password"],
      [alice.client.request({ type: "open", count: limits.openMax + 1 }), "bad-command"],
      [alice.client.request({ type: "accounts", pattern: "*".repeat(257), after: null, limit: 1 }), "bad-pattern"],
    ];
    for (const [answer, code] of cases) expect(await answer).toMatchObject({ type: "refused", code });
    const longest = "é".repeat(limits.textBytesMax / 2);
    expect(sent(await settled(alice.client.request({ type: "send", to: "alice", text: longest }))).type).toBe("sent");
  });

  test("a logout by the server is told once, also when it came while the connection was away", async () => {
    const alice = await loggedIn("alice");
    const [session] = [...cluster.sessions.keys()];
    cluster.push(session ?? "", { type: "loggedOut", reason: "the account was deleted" });
    await network.run(10);
    expect(alice.client.user).toBeNull();
    const bob = await loggedIn("bob");
    cluster.kill(1);
    for (const state of cluster.sessions.values()) state.user = null;
    await network.run(100, isOpen(bob));
    const reasons = (subject: Subject) =>
      subject.events.flatMap((event) => (event.type === "logged-out" ? [event.reason] : []));
    expect(reasons(alice)).toEqual(["the account was deleted"]);
    expect(reasons(bob)).toHaveLength(1);
  });
});

describe("resending", () => {
  test("ops whose acknowledgements were lost are resent in order under the same ids and answered once", async () => {
    const alice = await loggedIn("alice");
    const seen: Frame[] = [];
    cluster.intercept = (peer, frame) => {
      if (frame.type !== "send") return false;
      seen.push(frame);
      // Takes effect, but the reply never leaves.
      const { send } = peer;
      peer.send = () => {};
      cluster.intercept = () => true;
      queueMicrotask(() => (peer.send = send));
      return false;
    };
    const answers = ["one", "two", "three"].map((text) => alice.client.request({ type: "send", to: "alice", text }));
    await network.run(5);
    expect(alice.client.outstanding).toBe(3);
    cluster.intercept = () => false;
    cluster.kill(1);
    const acknowledged = (await settled(Promise.all(answers))).map(sent);
    expect(replicaOf(alice)).toBe(2);
    expect(acknowledged.map((answer) => [answer.id.seq, answer.duplicate])).toEqual([
      [3, true],
      [4, false],
      [5, false],
    ]);
    const second = cluster.peers.find((peer) => peer.replica === 2);
    expect(opsReceived(second as Peer).map((frame) => [frame.seq, frame.text])).toEqual([
      [3, "one"],
      [4, "two"],
      [5, "three"],
    ]);
    expect(sendsInLog()).toHaveLength(3);
    expect(alice.client.outstanding).toBe(0);
  });

  test("more than the window wait their turn, and the oldest unacknowledged is said with each", async () => {
    const alice = await loggedIn("alice");
    const held: (() => void)[] = [];
    const arrived: number[] = [];
    let holding = true;
    cluster.intercept = (peer, frame) => {
      if (frame.type !== "send") return false;
      expect(frame.seq).toBeLessThan(frame.oldest + limits.sessionWindow);
      arrived.push(frame.seq);
      if (holding)
        held.push(() => peer.send({ type: "refused", request: frame.request, code: "too-many", message: "" }));
      return holding;
    };
    const count = 3 * limits.sessionWindow;
    const answers = Array.from({ length: count }, (_, at) =>
      alice.client.request({ type: "send", to: "alice", text: String(at) }),
    );
    await network.run(50);
    expect(arrived.length).toBe(limits.sessionWindow);
    // The second one's answer opens nothing while the first is not known.
    held[1]?.();
    await network.run(50);
    expect(arrived.length).toBe(limits.sessionWindow);
    held[0]?.();
    await network.run(50);
    expect(arrived.length).toBe(limits.sessionWindow + 2);
    holding = false;
    cluster.kill(1);
    await settled(Promise.all(answers));
    // Seqs 1 and 2 created the account and logged in; the first two sends had their answers.
    const resent = arrived.slice(limits.sessionWindow + 2);
    expect(resent).toEqual(Array.from({ length: count - 2 }, (_, at) => at + 5));
  });

  test("queries are asked again on the next connection", async () => {
    const alice = await loggedIn("alice");
    cluster.intercept = (_, frame) => frame.type === "accounts";
    const answer = alice.client.request({ type: "accounts", pattern: null, after: null, limit: 10 });
    await network.run(10);
    cluster.intercept = () => false;
    cluster.kill(1);
    expect(await settled(answer)).toMatchObject({ type: "accountList", accounts: [{ user: "alice" }] });
  });

  test("a new session asks for registration again when the answer was lost", async () => {
    let creates = 0;
    cluster.intercept = (peer, frame) => {
      if (frame.type !== "openSession" || creates++ > 0) return false;
      cluster.kill(peer.replica);
      return true;
    };
    const subject = await connected();
    expect(replicaOf(subject)).toBe(2);
    expect(cluster.sessions.size).toBe(1);
  });

  test("unavailable is final for an op that only this replica has seen", async () => {
    const alice = await loggedIn("alice");
    cluster.intercept = (peer, frame) => {
      if (frame.type !== "send") return false;
      peer.send({ type: "refused", request: frame.request, code: "unavailable", message: "No view." });
      return true;
    };
    const answer = await settled(alice.client.request({ type: "send", to: "alice", text: "x" }));
    expect(answer).toMatchObject({ type: "refused", code: "unavailable" });
  });

  test("unavailable says nothing about an op that an earlier replica may have proposed: it is asked again", async () => {
    const alice = await loggedIn("alice");
    let refusals = 0;
    cluster.intercept = (peer, frame) => {
      if (frame.type !== "send") return false;
      if (peer.replica === 1) return true;
      if (refusals++ === 2) return false;
      peer.send({ type: "refused", request: frame.request, code: "unavailable", message: "No view." });
      return true;
    };
    const answer = alice.client.request({ type: "send", to: "alice", text: "x" });
    await network.run(10);
    cluster.kill(1);
    expect(sent(await settled(answer)).id.seq).toBe(3);
    expect(refusals).toBe(3);
  });

  test("a conversation cut after any byte ends with the same answers, and nothing is lost or doubled", async () => {
    const texts = ["one", "two", "three"];
    const converse = async (alice: Subject) => {
      const { client } = alice;
      const account = { user: "alice", password };
      const answers = [
        client.request({ type: "createAccount", ...account }),
        client.request({ type: "login", ...account }),
      ];
      const sends = texts.map((text) => client.request({ type: "send", to: "alice", text }));
      await settled(Promise.all(answers));
      return (await settled(Promise.all(sends))).map((answer) => sent(answer).id.seq);
    };
    await converse(begin());
    const total = network.delivered;
    expect(total).toBeGreaterThan(500);
    for (let cutAt = 0; cutAt <= total; cutAt++) {
      network = new ByteNetwork();
      cluster = await ScriptedCluster.start(network, addresses);
      network.split = (chunk) => [chunk.subarray(0, cutAt % chunk.length), chunk.subarray(cutAt % chunk.length)];
      network.cutAfter(cutAt);
      const alice = begin();
      expect(await converse(alice)).toEqual([3, 4, 5]);
      await network.run(20);
      expect(sendsInLog()).toHaveLength(3);
      expect(alice.events.flatMap((event) => (event.type === "message" ? [event.message.text] : []))).toEqual(texts);
    }
  });
});

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

  test("a half-open connection is pinged and given up after the silence", async () => {
    const alice = await loggedIn("alice");
    const [pair] = network.connections;
    await network.run(10_000);
    expect(replicaOf(alice)).toBe(1);
    const frozenAtMs = network.nowMs;
    if (pair !== undefined) pair.frozen = true;
    const answer = alice.client.request({ type: "send", to: "alice", text: "x" });
    expect(sent(await settled(answer)).duplicate).toBe(false);
    expect(replicaOf(alice)).toBe(2);
    expect(network.nowMs - frozenAtMs).toBeGreaterThan(2900);
    expect(network.nowMs - frozenAtMs).toBeLessThan(4100);
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

describe("events", () => {
  test("messages are told once each, in log order, across reconnects", async () => {
    const alice = await loggedIn("alice");
    const session = [...cluster.sessions.keys()][0] ?? "";
    cluster.deliver(session, "bob", "before");
    await network.run(10);
    cluster.kill(1);
    cluster.deliver(session, "bob", "between");
    await network.run(100, isOpen(alice));
    const last = cluster.deliver(session, "bob", "after");
    await network.run(10);
    // The same again, as after a merge at another index, and an old one.
    cluster.push(session, { type: "message", message: { ...last, index: last.index + 5 } });
    cluster.push(session, { type: "message", message: last });
    await network.run(10);
    expect(alice.events.flatMap((event) => (event.type === "message" ? [event.message.text] : []))).toEqual([
      "before",
      "between",
      "after",
    ]);
  });

  test("closing says goodbye, and what is open is unknown, not failed", async () => {
    const alice = await loggedIn("alice");
    const peer = cluster.peers[0];
    cluster.intercept = (_, frame) => frame.type === "send";
    const answer = alice.client.request({ type: "send", to: "alice", text: "x" });
    const outcome = answer.then(
      () => null,
      (error: unknown) => error,
    );
    await network.run(10);
    await settled(alice.client.close());
    expect(await outcome).toBeInstanceOf(ClientClosedError);
    expect(peer?.received.at(-1)?.type).toBe("goodbye");
    expect(alice.client.connection.state).toBe("closed");
    const late = alice.client.request({ type: "inbox" });
    expect(late).rejects.toBeInstanceOf(ClientClosedError);
    const dialled = network.dialled.length;
    await network.run(10_000);
    expect(network.dialled.length).toBe(dialled);
  });

  test("a session that the servers do not know is an error once something was done under it", async () => {
    const alice = await loggedIn("alice");
    cluster.sessions.clear();
    cluster.kill(1);
    await network.run(1000);
    expect(alice.client.connection).toMatchObject({ state: "closed" });
    expect("reason" in alice.client.connection && alice.client.connection.reason).toContain("Unknown session.");
    expect(cluster.sessions.size).toBe(0);
  });

  test("a session that did nothing yet is registered again where it is not known", async () => {
    const subject = await connected();
    cluster.sessions.clear();
    cluster.kill(1);
    expect(await network.run(1000, isOpen(subject))).toBe(true);
    expect(cluster.sessions.size).toBe(1);
  });
});
