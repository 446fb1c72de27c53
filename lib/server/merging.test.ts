/** What clients were told on a side of a partition, and what is true of it after the heal. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { createClient } from "../client/client.ts";
import type { ChatClient } from "../client/types.ts";
import { addressOf, DividedReplicas, password, randomBytes } from "./divided-replicas.fixture.ts";
import { SimulatedClient } from "./simulated-world.fixture.ts";

// Minutes of simulated time over real replicas, on a busy machine: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

test("a client that uses a number for a draft on one side and for a message on the other harms nobody", async () => {
  const replicas = await DividedReplicas.of(2);
  await replicas.signedIn(2, "bob");
  const session = crypto.randomUUID();
  const connect = (pid: number) => connected(replicas, pid, session);
  await (await connect(1)).signIn("mallory");
  await replicas.cut();
  const op = (seq: number) => ({ request: seq, seq, oldest: seq });
  const yielding = await connect(1);
  yielding.send({ type: "saveDraft", ...op(10), draft: null, to: "bob", text: "there" });
  await yielding.next("draftSaved");
  yielding.send({ type: "sendDraft", ...op(11), draft: { session, seq: 10 } });
  await yielding.next("sent");
  const staying = await connect(2);
  staying.send({ type: "send", ...op(10), to: "bob", text: "here" });
  await staying.next("sent");
  await replicas.heal();
  await replicas.network.run(5000);
  const after = await connect(2);
  after.send({ type: "deleteAccount", ...op(12), password });
  expect(await after.next("done")).toMatchObject({ count: 1 });
});

test("an account that one side refused, its answer lost, and the other made is there after the heal", async () => {
  const replicas = await DividedReplicas.of(2);
  const alice = await replicas.signedIn(2, "alice");
  const sessions = [crypto.randomUUID(), crypto.randomUUID()];
  const connect = (pid: number) => Promise.all(sessions.map((session) => connected(replicas, pid, session)));
  await connect(1);
  await replicas.cut();
  const ask = (client: SimulatedClient) => client.op({ type: "createAccount", user: "dave", password });
  const here = await connect(2);
  here.forEach(ask);
  await replicas.until(() => here.every(({ frames }) => frames.length > 0));
  const lost = here.findIndex(({ frames }) => frames[0]?.type === "refused");
  expect(here[lost]?.frames).toMatchObject([{ code: "name-taken" }]);
  const there = (await connect(1))[lost] ?? expect.unreachable();
  ask(there);
  await there.next("created");
  await replicas.heal();
  await replicas.network.run(5000);
  const list = await replicas.done(alice.request({ type: "accounts", pattern: "dave*", after: null, limit: 5 }));
  expect("accounts" in list ? list.accounts.map(({ user }) => user) : list).toEqual(["dave", "dave~2"]);
});

describe("what was refused on the side that yields, and told so, is not done after the heal", () => {
  test("an account whose name was taken at the same moment", async () => {
    const replicas = await DividedReplicas.of(2);
    const { network } = replicas;
    const alice = await replicas.signedIn(2, "alice");
    await replicas.cut();
    const clients = [1, 2].map(() => libraryClient(replicas, 1));
    const answers = await replicas.done(
      Promise.all(clients.map((client) => client.request({ type: "createAccount", user: "dave", password }))),
    );
    expect(answers.map(({ type }) => type).toSorted()).toEqual(["created", "refused"]);
    await replicas.heal();
    await network.run(5000);
    const list = await replicas.done(alice.request({ type: "accounts", pattern: "dave*", after: null, limit: 5 }));
    expect("accounts" in list ? list.accounts.map(({ user }) => user) : list).toEqual(["dave"]);
  });

  test("a change of the password that lost against another one", async () => {
    const replicas = await DividedReplicas.of(2);
    const owner = await replicas.signedIn(1, "alice");
    const thief = libraryClient(replicas, 1);
    await replicas.done(thief.request({ type: "login", user: "alice", password }));
    await replicas.cut();
    const passwords = ["the owner's own", "the thief's one"] as const;
    const change = (client: ChatClient, newPassword: string) =>
      client.request({ type: "changePassword", password, newPassword });
    const answers = await replicas.done(Promise.all([change(owner, passwords[0]), change(thief, passwords[1])]));
    const won = answers.findIndex(({ type }) => type === "done");
    expect(answers[1 - won]).toMatchObject({ type: "refused", code: "wrong-password" });
    await replicas.heal();
    await replicas.network.run(5000);
    const login = { type: "login", user: "alice", password: passwords[won] ?? "" } as const;
    expect(await replicas.done(libraryClient(replicas, 2).request(login))).toMatchObject({ type: "loggedIn" });
  });
});

function libraryClient({ network }: DividedReplicas, pid: number): ChatClient {
  return createClient({ servers: [addressOf(pid)] }, { transport: network.transport, clock: network, randomBytes });
}

async function connected(replicas: DividedReplicas, pid: number, session: string): Promise<SimulatedClient> {
  const client = new SimulatedClient(replicas, session);
  await client.connect(pid);
  client.hello();
  await client.next("sessionOpened");
  client.frames.length = 0;
  return client;
}
