/** The outbox: a process that dies at any write, at any moment, and the next ones; sessions that are gone on with. */
import { beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { limits } from "../base/limits.ts";
import { errorFrame } from "../protocol/protocol-error.ts";
import { addresses, cluster, network, password, sent, settled } from "./client.fixture.ts";
import { arrived, begin, disk, end, finish, renewAll, renewCluster, troubles, type Run } from "./outbox.fixture.ts";
import { readOutbox } from "./outbox-records.ts";
import type { Remains } from "./private-files.fixture.ts";

// Hundreds of lives each, on a busy machine: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

beforeEach(renewAll);

test("a message is on disk before it is sent, and leaves nothing behind once it is acknowledged", async () => {
  const run = begin();
  let onDisk: string | null = null;
  cluster.intercept = (_, frame) => {
    if (frame.type === "send") onDisk = [...disk.files.values()].map(String).join("");
    return false;
  };
  await run.signIn();
  const written = Promise.withResolvers<void>();
  disk.held = written.promise;
  const message = run.send("hi");
  // What is asked for after it does not get ahead of it.
  const later = run.client.request({ type: "mark", ids: [], read: true });
  await network.run(1000);
  expect([onDisk, run.accepted]).toEqual([null, []]);
  written.resolve();
  const answer = sent((await settled(message.answer)) as never);
  await settled(later);
  const binding = readOutbox(Buffer.from(onDisk ?? "")).messages[0]?.binding;
  expect(binding).toMatchObject({ session: answer.id.session, seq: answer.id.seq, user: "alice" });
  await end(run);
  expect([arrived(), disk.files.size]).toEqual([["hi"], 0]);
});

test("what is written before anybody is signed in, or without a server, waits on disk and goes out in order", async () => {
  for (const pid of [1, 2, 3]) cluster.kill(pid);
  const run = begin();
  for (const text of ["one", "two"]) run.send(text);
  await network.run(3000);
  expect(run.accepted).toEqual(["one", "two"]);
  run.life.kill();
  await renewCluster();
  const next = begin();
  next.send("three");
  await next.signIn();
  next.send("four");
  await end(next);
  expect(arrived()).toEqual(["one", "two", "three", "four"]);
  expect(next.events.map((event) => event.type)).toEqual(["earlier", "earlier"]);
  expect(disk.files.size).toBe(0);
});

test("what is written when the client has closed meanwhile is kept all the same, and goes out with the next one", async () => {
  const run = begin();
  await run.signIn();
  sent((await settled(run.send("one").answer)) as never);
  // As when its session is not known any more, or another one goes on with it.
  await settled(run.client.close());
  run.send("two");
  await network.run(1000);
  expect(run.accepted).toEqual(["one", "two"]);
  await settled(run.outbox.close());
  const next = await finish();
  expect(next.events.map((event) => event.type)).toEqual(["earlier"]);
  expect(arrived()).toEqual(["one", "two"]);
});

describe("a process that dies", () => {
  const texts = ["one", "two", "three", "four", "five"];

  /** Sends some at once, some later; true when it got to its end. */
  async function live(from: number): Promise<Run> {
    const run = begin();
    if (!(await run.signIn())) return run;
    for (const [at, text] of texts.entries()) {
      if (at < from || !run.life.isAlive) continue;
      run.send(text);
      if (at % 2 === 1) await network.run(1);
    }
    await network.run(200);
    return run;
  }

  /** Which of the texts comes next, by what its reader has; and whether all promises are kept until now. */
  function check(accepted: readonly string[]): number {
    const all = arrived();
    expect(all).toEqual(texts.slice(0, all.length));
    for (const text of accepted) expect(all).toContain(text);
    return all.length;
  }

  test.each(["nothing", "half", "all"] as Remains[])(
    "at any write that leaves %s of itself, and the next process likewise: once, in order, none lost",
    async (remains) => {
      let deaths = 0;
      for (let step = 1; step < 24; step++) {
        for (const later of [1, 2, 4]) {
          await renewAll();
          disk.crash = { step, remains };
          const first = await live(0);
          const died = !first.life.isAlive;
          if (!died) await end(first);
          if (died) deaths++;
          disk.crash = { step: disk.steps + later, remains };
          const second = begin();
          if (await second.signIn()) await network.run(2000);
          if (second.life.isAlive) await end(second);
          disk.crash = null;
          await finish();
          const next = check(first.accepted);
          const last = await live(next);
          await end(last);
          expect(arrived()).toEqual(texts);
          expect([...disk.files.keys()]).toEqual([]);
        }
      }
      expect(deaths).toBeGreaterThan(15);
    },
  );

  test("at any moment: once, in order, none lost", async () => {
    for (let diesMs = 4; diesMs < 60; diesMs++) {
      await renewAll();
      const first = begin();
      network.setTimer(diesMs, () => first.life.kill());
      if (await first.signIn()) {
        for (const text of texts) {
          if (first.life.isAlive) first.send(text);
          await network.run(4);
        }
      }
      first.life.kill();
      await finish();
      const next = check(first.accepted);
      await end(await live(next));
      expect(arrived()).toEqual(texts);
    }
  });

  test("after its messages were sent and before it heard of it: they are found to be done", async () => {
    const run = begin();
    await run.signIn();
    cluster.intercept = (peer, frame) => {
      if (frame.type === "send") peer.send = () => {};
      return false;
    };
    const lost = run.send("hi");
    await network.run(100);
    run.life.kill();
    expect(arrived()).toEqual(["hi"]);
    cluster.intercept = () => false;
    const next = begin();
    await next.signIn();
    const [event] = next.events;
    if (event?.type !== "earlier") throw new Error("nothing was found");
    expect(event.message).toMatchObject({ to: "bob", text: "hi", at: lost.at, isEarlier: true });
    expect(sent((await settled(event.message.answer)) as never).duplicate).toBeTrue();
    await end(next);
    expect(arrived()).toEqual(["hi"]);
  });
});

describe("the session of a process that has ended", () => {
  /** A process that dies with a message under way, which no replica has seen. */
  async function dieSending(...texts: string[]): Promise<string> {
    const run = begin();
    await run.signIn();
    cluster.intercept = (_, frame) => frame.type === "send";
    for (const text of texts) run.send(text);
    await network.run(100);
    expect(run.accepted).toEqual(texts);
    run.life.kill();
    cluster.intercept = () => false;
    return run.client.key?.session ?? "";
  }

  test("is logged in again when it was logged out elsewhere", async () => {
    const session = await dieSending("one", "two");
    const state = cluster.sessions.get(session);
    if (state !== undefined) state.user = null;
    await finish();
    expect(arrived()).toEqual(["one", "two"]);
    expect(cluster.log.filter((entry) => entry.startsWith(session) && entry.endsWith(" send"))).toHaveLength(2);
    expect(state?.user).toBeNull();
  });

  test("is left alone while its process lives: who was logged out elsewhere signs in again in the same one", async () => {
    const run = begin();
    await run.signIn();
    cluster.intercept = (_, frame) => frame.type === "send";
    const message = run.send("refused");
    await network.run(100);
    const state = cluster.sessions.get(run.client.key?.session ?? "");
    if (state !== undefined) state.user = null;
    cluster.intercept = () => false;
    let closing: Promise<void> | null = null;
    run.client.on((event) => {
      if (event.type === "logged-out") closing = run.outbox.close();
    });
    const { connection } = run.client;
    cluster.kill("replica" in connection ? connection.replica : 0);
    expect(await settled(message.answer)).toMatchObject({ type: "refused", code: "not-logged-in" });
    await settled(closing ?? Promise.reject(new Error("nobody was told")));
    const again = { ...run, outbox: run.reopen() };
    await settled(run.client.request({ type: "login", user: "alice", password }));
    again.outbox.signedIn(run.client, password);
    await settled(again.outbox.send("bob", "new").answer);
    expect(run.client.connection.state).not.toBe("closed");
    await end(again);
    expect([arrived(), disk.files.size]).toEqual([["new"], 0]);
  });

  test("sends nothing as somebody else who has used it since", async () => {
    const session = await dieSending("from alice");
    const state = cluster.sessions.get(session);
    if (state !== undefined) state.user = "mallory";
    await finish();
    const [bob] = [...cluster.sessions.values()].filter(({ user }) => user === "bob");
    expect(bob?.messages.map(({ from, text }) => [from, text])).toEqual([["alice", "from alice"]]);
  });

  test("keeps its messages when the password is not known, and sends what is new", async () => {
    const session = await dieSending("old");
    const state = cluster.sessions.get(session);
    if (state !== undefined) state.user = null;
    const run = begin();
    await settled(run.client.request({ type: "login", user: "alice", password }));
    run.outbox.signedIn(run.client, null);
    await settled(run.send("new").answer);
    await end(run);
    expect(arrived()).toEqual(["new"]);
    expect(troubles(run)).toEqual([
      "not sent now, but kept: 1 message written earlier: the session is not logged in as alice any more",
    ]);
    await finish();
    expect(arrived()).toEqual(["new", "old"]);
  });

  const dayMs = 86_400_000;

  test("is not known after 30 days: what it sent is found by its id, the rest is sent anew", async () => {
    const run = begin();
    await run.signIn();
    let seen = 0;
    cluster.intercept = (peer, frame) => {
      if (frame.type !== "send") return false;
      // The first takes effect, and no answer leaves.
      peer.send = () => {};
      return ++seen > 1;
    };
    for (const text of ["one", "two"]) run.send(text);
    await network.run(100);
    run.life.kill();
    const [bob] = [...cluster.sessions.values()].filter(({ user }) => user === "bob");
    const history = [...(bob?.messages ?? [])];
    expect(history.map(({ text }) => text)).toEqual(["one"]);
    cluster.sessions.delete(run.client.key?.session ?? "");
    cluster.intercept = (peer, frame) => {
      if (frame.type !== "messages") return false;
      peer.send({ type: "messageList", request: frame.request, messages: history, more: false });
      return true;
    };
    await finish(limits.sessionDays * dayMs);
    expect(arrived()).toEqual(["one", "two"]);
  });

  test("is not known after 30 days, and nobody can say what was sent: it is kept for the next process", async () => {
    const session = await dieSending("one");
    cluster.sessions.delete(session);
    cluster.intercept = (peer, frame) => {
      if (frame.type !== "messages") return false;
      peer.send({ type: "refused", request: frame.request, code: "unavailable", message: "No view." });
      return true;
    };
    const run = await finish(limits.sessionDays * dayMs);
    expect(arrived()).toEqual([]);
    expect(troubles(run)).toEqual([
      "not sent now, but kept: 1 message written earlier: whether it was sent cannot be looked up: No view.",
    ]);
    cluster.intercept = () => false;
    await finish(limits.sessionDays * dayMs);
    expect(arrived()).toEqual(["one"]);
  });

  test("is not known sooner: what it may have sent is kept and told of, and sent once where it is known", async () => {
    const session = await dieSending("one", "two");
    const state = cluster.sessions.get(session);
    cluster.sessions.delete(session);
    await finish((limits.sessionDays - 2) * dayMs);
    const run = begin();
    await run.signIn();
    sent((await settled(run.send("new").answer)) as never);
    await network.run(150_000);
    expect(arrived()).toEqual(["new"]);
    expect(troubles(run)).toEqual([
      "not sent now, but kept: 2 messages written earlier: maybe sent already, by way of replicas that cannot be reached " +
        "now; asked again every minute and with every start, sent anew after 30 days if not found by then",
    ]);
    const [early] = run.events.flatMap((event) => (event.type === "earlier" ? [event.message] : []));
    if (state === undefined || early === undefined) throw new Error("nothing was found");
    expect(run.outbox.withdraw(early)).toBeFalse();
    cluster.sessions.set(session, state);
    expect(sent((await settled(early.answer, 70_000)) as never).id).toMatchObject({ session });
    await end(run);
    expect(arrived()).toEqual(["new", "one", "two"]);
    expect(disk.files.size).toBe(0);
  });

  test("counts as used when a message was bound to it, however long ago that was written", async () => {
    const early = begin();
    early.send("one");
    await network.run(50);
    early.life.kill();
    // A process that comes late makes the op of it, and dies.
    cluster.intercept = (_, frame) => frame.type === "send";
    const late = begin(addresses, 40 * dayMs);
    await late.signIn();
    await network.run(100);
    late.life.kill();
    cluster.intercept = () => false;
    cluster.sessions.delete(late.client.key?.session ?? "");
    const last = await finish(41 * dayMs);
    expect(troubles(last).join()).toContain("maybe sent already");
    expect(arrived()).toEqual([]);
  });

  test.each(["is not known where it moves to", "is taken over by another client"])(
    "ends in the middle of the repetition, as it %s: that is told, and what is new goes out all the same",
    async (how) => {
      const session = await dieSending("old");
      cluster.intercept = (_, frame) => frame.type === "send";
      const run = begin();
      await run.signIn();
      // It stands, and its send is under way.
      await network.run(200);
      const [holder] = cluster.peers.filter((peer) => peer.session === session);
      expect(holder?.received.some(({ type }) => type === "send")).toBeTrue();
      cluster.intercept = () => false;
      const isTakenOver = how === "is taken over by another client";
      if (isTakenOver) holder?.send(errorFrame("replaced", "the session went on with another connection"));
      else cluster.sessions.delete(session);
      holder?.close();
      await network.run(2000);
      sent((await settled(run.send("new").answer)) as never);
      expect(arrived()).toEqual(isTakenOver ? ["old", "new"] : ["new"]);
      if (!isTakenOver) expect(troubles(run)[1]).toContain("maybe sent already");
      expect(troubles(run)[0]).toMatch(/^what is kept cannot be sent yet: .* ended meanwhile: /);
      await end(run);
    },
  );

  test("has messages in two files: no seq is used twice", async () => {
    const early = begin();
    early.send("one");
    await network.run(50);
    early.life.kill();
    const session = await dieSending("two");
    const state = cluster.sessions.get(session);
    if (state !== undefined) state.user = null;
    const seqs: number[] = [];
    cluster.intercept = (_, frame) => {
      if ((frame.type === "login" || frame.type === "logout") && frame.seq > 60_000) seqs.push(frame.seq);
      return false;
    };
    const last = await finish();
    expect(arrived()).toEqual(["one", "two"]);
    expect(troubles(last)).toEqual([]);
    expect(seqs).toHaveLength(4);
    expect(new Set(seqs).size).toBe(4);
  });

  test("goes before what is new, however long it takes", async () => {
    await dieSending("old");
    const run = begin();
    let held = true;
    const late: (() => void)[] = [];
    const old = [...cluster.sessions.keys()].at(-1);
    cluster.intercept = (peer, frame) => {
      if (frame.type !== "openSession" || frame.session !== old || !held) return false;
      late.push(() => peer.close());
      return true;
    };
    await run.signIn();
    const message = run.send("new");
    await settled(message.kept);
    await network.run(1000);
    expect(arrived()).toEqual([]);
    held = false;
    for (const act of late) act();
    await end(run);
    expect(arrived()).toEqual(["old", "new"]);
  });
});

describe("two processes of one account", () => {
  test("have a file each, and none sends what another one holds", async () => {
    const first = begin();
    await first.signIn();
    cluster.intercept = (_, frame) => frame.type === "send" && frame.text === "first";
    first.send("first");
    await network.run(50);
    const second = begin();
    await second.signIn();
    second.send("second");
    await end(second);
    expect(second.events).toEqual([]);
    expect(arrived()).toEqual(["second"]);
    cluster.intercept = () => false;
    first.life.kill();
    await finish();
    expect(arrived()).toEqual(["second", "first"]);
  });
});
