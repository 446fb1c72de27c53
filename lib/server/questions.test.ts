/** Questions that are answered on another thread: what was sent after one waits for it, and nobody else does. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import type { FrameOf } from "../protocol/messages.ts";
import { RawClient, TestCluster, until } from "./cluster.fixture.ts";

// Real sockets, disks or threads on a busy machine: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

let cluster: TestCluster;
afterEach(() => cluster.close());

interface Asked {
  readonly request: number;
  readonly account: string | null;
  answer(): void;
}

/** A replica whose long questions wait to be answered by the test. */
async function begin() {
  const asked: Asked[] = [];
  cluster = new TestCluster(1);
  cluster.answerElsewhere = ({ request }, account) => {
    const { promise, resolve } = Promise.withResolvers<FrameOf<"messageList">>();
    const answer = () => resolve({ type: "messageList", request, messages: [], more: false });
    asked.push({ request, account: account === null ? null : `${account.session}/${account.seq}`, answer });
    return promise;
  };
  await cluster.startAll();
  return asked;
}

const search = (request: number) =>
  ({ type: "search", request, text: "lunch", with: null, skip: 0, limit: 10 }) as const;
const create = (seq: number, user: string) =>
  ({ type: "createAccount", request: seq, seq, oldest: seq, user, password: "correct horse" }) as const;

test("an op and a question behind it wait, other clients do not", async () => {
  const asked = await begin();
  const client = await RawClient.opened(cluster.port(1));
  client.send(create(1, "alice"), search(2), { type: "inbox", request: 3 }, search(4), create(5, "bob"));
  await client.next("created");
  await until(() => asked.length === 1, "the question");
  const other = await RawClient.opened(cluster.port(1));
  other.send(create(1, "carol"));
  await other.next("created");
  expect(client.frames.map(({ type }) => type)).not.toContain("created");
  expect(client.frames.map(({ type }) => type)).not.toContain("refused");
  asked[0]?.answer();
  expect((await client.next("messageList")).request).toBe(2);
  // The inbox is counted here, at once; nobody is logged in.
  expect(await client.next("refused")).toMatchObject({ request: 3, code: "not-logged-in" });
  await until(() => asked.length === 2, "the second question");
  asked[1]?.answer();
  expect((await client.next("messageList")).request).toBe(4);
  expect((await client.next("created")).user).toBe("bob");
});

test("it is asked for the account of the session, after what was done before it", async () => {
  const asked = await begin();
  const session = crypto.randomUUID();
  const client = await RawClient.opened(cluster.port(1), session);
  const signIn = { type: "login", request: 2, seq: 2, oldest: 2, user: "alice", password: "correct horse" } as const;
  client.send(create(1, "alice"), search(9), signIn, search(10));
  await until(() => asked.length === 1, "the question");
  expect(asked[0]).toMatchObject({ request: 9, account: null });
  asked[0]?.answer();
  await until(() => asked.length === 2, "the second question");
  expect(asked[1]).toMatchObject({ request: 10, account: `${session}/1` });
});

test("an answer to a client that is gone is dropped, and a replica stops while it is asked", async () => {
  const asked = await begin();
  const gone = await RawClient.greeted(cluster.port(1));
  gone.send({ type: "accounts", request: 1, pattern: null, after: null, limit: 10 });
  await until(() => asked.length === 1, "the question");
  gone.terminate();
  const other = await RawClient.opened(cluster.port(1));
  other.send(create(1, "alice"), search(2));
  await until(() => asked.length === 2, "the second question");
  for (const each of asked) each.answer();
  await other.next("messageList");
  other.send(search(3));
  await until(() => asked.length === 3, "the third question");
  await cluster.stop(1);
  asked[2]?.answer();
  expect(cluster.fatal).toEqual([]);
});
