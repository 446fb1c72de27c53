/** Sessions, resending and events of the client, over a scripted cluster and a simulated network. */
import { beforeEach, describe, expect, test } from "bun:test";
import { limits } from "../base/limits.ts";
import type { Frame } from "../protocol/messages.ts";
import { errorFrame } from "../protocol/protocol-error.ts";
import type { Peer } from "../sim/scripted-cluster.ts";
import { ClientClosedError } from "./closed.ts";
import {
  begin,
  cluster,
  connected,
  isOpen,
  loggedIn,
  network,
  opsReceived,
  password,
  renew,
  replicaOf,
  sendsInLog,
  sent,
  settled,
  type Subject,
} from "./client.fixture.ts";

beforeEach(renew);

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

  test("nothing is asked for where the session is taken for another account's, but for one that lost its name", async () => {
    const alice = await loggedIn("alice");
    const [state] = [...cluster.sessions.values()];
    if (state === undefined) return expect.unreachable();
    state.user = "alice~2";
    cluster.kill(1);
    expect(await network.run(1000, () => alice.client.user === "alice~2")).toBe(true);
    await network.run(5000);
    state.user = "bob";
    cluster.kill(2);
    const answer = alice.client.request({ type: "send", to: "alice", text: "as who I was" });
    answer.catch(() => {});
    await network.run(20_000);
    expect(alice.client.connection).toMatchObject({
      reason: expect.stringContaining("for one of bob, not of alice~2"),
    });
    await network.run(20_000);
    expect(alice.client.connection.state).toBe("closed");
    expect(sendsInLog()).toEqual([]);
    await expect(answer).rejects.toBeInstanceOf(ClientClosedError);
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

  test("what a listener asks for on reconnecting does not get ahead of what waits, and is sent once", async () => {
    const alice = await loggedIn("alice");
    cluster.intercept = (_, frame) => frame.type === "send";
    const answers = ["one", "two"].map((text) => alice.client.request({ type: "send", to: "alice", text }));
    await network.run(10);
    cluster.intercept = () => false;
    alice.client.on((event) => {
      if (event.type !== "connection" || event.connection.state !== "reconnected") return;
      answers.push(alice.client.request({ type: "send", to: "alice", text: "three" }));
    });
    cluster.kill(1);
    await settled(Promise.all(answers));
    const second = cluster.peers.find((peer) => peer.replica === 2);
    await network.run(10);
    expect(opsReceived(second as Peer).map((frame) => frame.text)).toEqual(["one", "two", "three"]);
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
      await renew();
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

  test("a replica that says goodbye is left for another one", async () => {
    const alice = await loggedIn("alice");
    cluster.peers[0]?.send({ type: "goodbye", reason: "the replica is stopping" });
    expect(await network.run(2000, () => replicaOf(alice) === 2 && isOpen(alice)())).toBeTrue();
  });

  test("a session that another client has taken over is not fought for", async () => {
    const alice = await loggedIn("alice");
    cluster.peers[0]?.send(errorFrame("replaced", "the session went on with another connection"));
    const dialled = network.dialled.length;
    await network.run(60_000);
    expect(alice.client.connection).toEqual({ state: "closed", reason: "another client goes on with this session" });
    expect(network.dialled).toHaveLength(dialled);
  });

  test("a session taken over by an earlier try of the client itself is taken back", async () => {
    let asked = 0;
    cluster.intercept = (peer, frame) => {
      if (frame.type !== "openSession" || peer.replica !== 1) return false;
      asked++;
      return true;
    };
    // The first replica does not answer, and the client goes to the second one; then the first one opens it after all.
    const alice = await connected();
    expect([asked, replicaOf(alice)]).toEqual([1, 2]);
    cluster.intercept = () => false;
    cluster.peers.at(-1)?.send(errorFrame("replaced", "the session went on with another connection"));
    await network.run(10);
    expect(isOpen(alice)()).toBeFalse();
    expect(await network.run(5000, isOpen(alice))).toBeTrue();
  });

  test("a session that seems to go on with another client soon after it has moved is taken back once", async () => {
    const alice = await loggedIn("alice");
    cluster.kill(1);
    expect(await network.run(2000, () => replicaOf(alice) === 2 && isOpen(alice)())).toBeTrue();
    // What the replica that was left had asked for has come out of the log once more.
    cluster.peers.at(-1)?.send(errorFrame("replaced", "the session went on with another connection"));
    await network.run(10);
    expect(isOpen(alice)()).toBeFalse();
    expect(await network.run(5000, isOpen(alice))).toBeTrue();
    cluster.peers.at(-1)?.send(errorFrame("replaced", "the session went on with another connection"));
    await network.run(10);
    expect(alice.client.connection).toEqual({ state: "closed", reason: "another client goes on with this session" });
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
