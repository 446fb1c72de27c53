/** Three replicas in this process, over real sockets, logs and state: what a client sees of them. */
import { afterAll, afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { ChatClient, ClientEvent } from "../client/types.ts";
import type { Policy } from "../protocol/messages.ts";
import { RawClient, TestCluster, until } from "./cluster.fixture.ts";

// Real sockets, disks or threads on a busy machine: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

const clients: ChatClient[] = [];
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
});

const clusters: TestCluster[] = [];
afterAll(async () => {
  await Promise.all(clusters.map((cluster) => cluster.close()));
});

async function cluster(size: number, policy: Policy = "available"): Promise<TestCluster> {
  const made = new TestCluster(size, policy);
  clusters.push(made);
  await made.startAll();
  return made;
}

const password = "correct horse";

/** A client that is signed in as a new account. */
async function signedIn(
  on: TestCluster,
  pid: number,
  user: string,
): Promise<{ client: ChatClient; events: ClientEvent[] }> {
  const client = on.client(pid);
  clients.push(client);
  const events: ClientEvent[] = [];
  client.on((event) => void events.push(event));
  // Pipelined: each waits for the one before it where it must.
  const answers = await Promise.all([
    client.request({ type: "createAccount", user, password }),
    client.request({ type: "login", user, password }),
  ]);
  expect(answers.map(({ type }) => type)).toEqual(["created", "loggedIn"]);
  return { client, events };
}

const texts = (events: readonly ClientEvent[]): string[] =>
  events.flatMap((event) => (event.type === "message" ? [event.message.text] : []));

describe("three replicas", () => {
  test("carry messages between clients of different replicas, acknowledged on three disks", async () => {
    const three = await cluster(3);
    const alice = await signedIn(three, 2, "alice");
    const bob = await signedIn(three, 3, "bob");
    const sent = await alice.client.request({ type: "send", to: "bob", text: "hi" });
    expect(sent).toMatchObject({ type: "sent", copies: 3, duplicate: false });
    await until(() => texts(bob.events).length === 1, "the message");
    expect(texts(bob.events)).toEqual(["hi"]);

    // A query sees the ops sent before it.
    const [, list] = await Promise.all([
      alice.client.request({ type: "send", to: "bob", text: "again" }),
      alice.client.request({ type: "messages", with: "bob", before: null, limit: 10, unread: false }),
    ]);
    expect(list).toMatchObject({ type: "messageList", messages: [{ text: "again" }, { text: "hi" }] });
    await until(() => texts(bob.events).length === 2, "the second message");

    const status = await alice.client.request({ type: "status" });
    expect(status).toMatchObject({ type: "statusReport", replica: 2, ready: true, copies: 3, policy: "available" });
    if (status.type !== "statusReport") throw new Error("refused");
    expect(status.replicas.map(({ pid, connections }) => [pid, connections])).toEqual([
      [1, 0],
      [2, 1],
      [3, 1],
    ]);
    expect(status.replicas.filter(({ role }) => role === "primary")).toHaveLength(1);
    expect(three.fatal).toEqual([]);
  });

  test("keep many pipelined sends in order, and deliver each once", async () => {
    const three = await cluster(3);
    const alice = await signedIn(three, 1, "alice");
    const bob = await signedIn(three, 2, "bob");
    const wanted = Array.from({ length: 500 }, (_, at) => `message ${at}`);
    const answers = await Promise.all(wanted.map((text) => alice.client.request({ type: "send", to: "bob", text })));
    const indexes = answers.map((answer) => (answer.type === "sent" ? answer.index : 0));
    expect(indexes).toEqual(indexes.toSorted((a, b) => a - b));
    await until(() => texts(bob.events).length >= wanted.length, "all messages");
    expect(texts(bob.events)).toEqual(wanted);
  });

  test("go on when one stops, move its clients, and lose and double nothing", async () => {
    const three = await cluster(3);
    const client = three.client(1);
    clients.push(client);
    await client.request({ type: "createAccount", user: "alice", password });
    await client.request({ type: "login", user: "alice", password });
    const bob = await signedIn(three, 3, "bob");
    const wanted = Array.from({ length: 200 }, (_, at) => `message ${at}`);
    const answers: string[] = [];
    const sending = (async () => {
      for (const text of wanted) answers.push((await client.request({ type: "send", to: "bob", text })).type);
    })();
    await until(() => answers.length > 50, "some answers");
    await three.stop(1);
    await sending;
    expect(answers).toEqual(wanted.map(() => "sent"));
    await until(() => texts(bob.events).length >= wanted.length, "all messages");
    expect(texts(bob.events)).toEqual(wanted);
    expect(client.connection).toMatchObject({ copies: 2 });
    // It comes back, learns, and is a member again.
    three.ready.length = 0;
    await three.start(1);
    await until(() => three.ready.includes(1), "replica 1 to be a member again");
    expect(three.fatal).toEqual([]);
  });

  test("tell their clients where they stand, and say why one is not ready", async () => {
    const made = new TestCluster(3);
    clusters.push(made);
    await made.start(1);
    const client = made.client(1);
    clients.push(client);
    const events: ClientEvent[] = [];
    client.on((event) => void events.push(event));
    await until(
      () => made.said.some((line) => line.includes("waiting for replicas 2, 3")),
      "a word on what is missing",
    );
    expect(made.ready).toEqual([]);
    await made.start(2);
    await made.start(3);
    await until(() => made.ready.length === 3, "the founding");
    await until(() => client.connection.state === "connected", "the client's session");
  });
});

test("a cluster of one serves alone and keeps everything over a restart", async () => {
  const one = await cluster(1);
  const alice = await signedIn(one, 1, "alice");
  await signedIn(one, 1, "bob");
  expect(await alice.client.request({ type: "send", to: "bob", text: "hi" })).toMatchObject({ copies: 1 });
  await one.stop(1);
  one.ready.length = 0;
  await one.start(1);
  await until(() => one.ready.length === 1, "the restart");
  const list = await alice.client.request({ type: "messages", with: null, before: null, limit: 10, unread: false });
  expect(list).toMatchObject({ type: "messageList", messages: [{ text: "hi" }] });
  expect(alice.client.user).toBe("alice");
});

test("what was on its way behind a message that is refused does not come before it when that is sent again", async () => {
  const two = await cluster(2, "quorum");
  await signedIn(two, 2, "alice");
  await signedIn(two, 2, "bob");
  const raw = await RawClient.opened(two.port(2));
  raw.send({ type: "login", request: 2, seq: 1, oldest: 1, user: "alice", password });
  await raw.next("loggedIn");
  await two.stop(1);
  const first = { type: "send", request: 4, seq: 2, oldest: 2, to: "bob", text: "first" } as const;
  const second = { ...first, request: 6, seq: 3, text: "second" } as const;
  raw.send(first);
  expect(await raw.next("refused")).toMatchObject({ request: 4, code: "unavailable" });
  // The client has sent the second one before it heard of that.
  raw.send(second, first);
  expect(await raw.next("refused")).toMatchObject({ request: 6, code: "unavailable" });
  raw.send(second);
  await two.start(1);
  const sent = [await raw.next("sent"), await raw.next("sent")];
  expect(sent.map(({ request }) => request)).toEqual([4, 6]);
  expect(sent[0]?.index).toBeLessThan(sent[1]?.index ?? 0);
  raw.terminate();
});

test("one that is told to stop while it builds its state from a long log just stops", async () => {
  const one = await cluster(1);
  const alice = await signedIn(one, 1, "alice");
  await signedIn(one, 1, "bob");
  const text = "x".repeat(1_000);
  for (let rounds = 0; rounds < 30; rounds++) {
    await Promise.all(Array.from({ length: 200 }, () => alice.client.request({ type: "send", to: "bob", text })));
  }
  await one.stop(1);
  one.forgetState(1);
  const node = await one.start(1);
  expect(node.standing.lastIndex).toBeGreaterThan(6_000);
  // What it would still do with a state that is closed is thrown where nothing catches it.
  const thrown: unknown[] = [];
  const caught = (error: unknown): void => void thrown.push(error);
  process.on("uncaughtException", caught);
  await one.stop(1);
  for (let turns = 0; turns < 10; turns++) await new Promise((resolve) => setImmediate(resolve));
  process.off("uncaughtException", caught);
  expect(thrown).toEqual([]);
  expect(one.fatal).toEqual([]);
});
