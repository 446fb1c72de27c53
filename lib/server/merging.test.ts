/** What clients were told on a side of a partition, and what is true of it after the heal. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import type { ChatClient } from "../client/types.ts";
import { password, type SimulatedClient } from "./simulated-client.fixture.ts";
import { connected, SimulatedWorld } from "./simulated-world.fixture.ts";

// Minutes of simulated time over real replicas, on a busy machine: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

test("a client that uses a number for a draft on one side and for a message on the other harms nobody", async () => {
  const world = await SimulatedWorld.of(2);
  await world.signedIn(2, "bob");
  const session = crypto.randomUUID();
  const connect = (pid: number) => connected(world, pid, session);
  await (await connect(1)).signIn("mallory");
  await world.apart(1);
  const op = (seq: number) => ({ request: seq, seq, oldest: seq });
  const yielding = await connect(1);
  yielding.send({ type: "saveDraft", ...op(10), draft: null, to: "bob", text: "there" });
  await yielding.next("draftSaved");
  yielding.send({ type: "sendDraft", ...op(11), draft: { session, seq: 10 } });
  await yielding.next("sent");
  const staying = await connect(2);
  staying.send({ type: "send", ...op(10), to: "bob", text: "here" });
  await staying.next("sent");
  await world.heal();
  await world.network.run(5000);
  const after = await connect(2);
  after.send({ type: "deleteAccount", ...op(12), password });
  expect(await after.next("done")).toMatchObject({ count: 1 });
});

test("an account that one side refused, its answer lost, and the other made is there after the heal", async () => {
  const world = await SimulatedWorld.of(2);
  const alice = await world.signedIn(2, "alice");
  const sessions = [crypto.randomUUID(), crypto.randomUUID()];
  const connect = (pid: number) => Promise.all(sessions.map((session) => connected(world, pid, session)));
  await connect(1);
  await world.apart(1);
  const ask = (client: SimulatedClient) => client.op({ type: "createAccount", user: "dave", password });
  const here = await connect(2);
  here.forEach(ask);
  await world.until(() => here.every(({ frames }) => frames.length > 0));
  const lost = here.findIndex(({ frames }) => frames[0]?.type === "refused");
  expect(here[lost]?.frames).toMatchObject([{ code: "name-taken" }]);
  const there = (await connect(1))[lost] ?? expect.unreachable();
  ask(there);
  await there.next("created");
  await world.heal();
  await world.network.run(5000);
  const list = await world.done(alice.request({ type: "accounts", pattern: "dave*", after: null, limit: 5 }));
  expect("accounts" in list ? list.accounts.map(({ user }) => user) : list).toEqual(["dave", "dave~2"]);
});

describe("what was refused on the side that yields, and told so, is not done after the heal", () => {
  test("an account whose name was taken at the same moment", async () => {
    const world = await SimulatedWorld.of(2);
    const { network } = world;
    const alice = await world.signedIn(2, "alice");
    await world.apart(1);
    const clients = [1, 2].map(() => world.library(1));
    const answers = await world.done(
      Promise.all(clients.map((client) => client.request({ type: "createAccount", user: "dave", password }))),
    );
    expect(answers.map(({ type }) => type).toSorted()).toEqual(["created", "refused"]);
    await world.heal();
    await network.run(5000);
    const list = await world.done(alice.request({ type: "accounts", pattern: "dave*", after: null, limit: 5 }));
    expect("accounts" in list ? list.accounts.map(({ user }) => user) : list).toEqual(["dave"]);
  });

  test("a change of the password that lost against another one", async () => {
    const world = await SimulatedWorld.of(2);
    const owner = await world.signedIn(1, "alice");
    const thief = world.library(1);
    await world.done(thief.request({ type: "login", user: "alice", password }));
    await world.apart(1);
    const passwords = ["the owner's own", "the thief's one"] as const;
    const change = (client: ChatClient, newPassword: string) =>
      client.request({ type: "changePassword", password, newPassword });
    const answers = await world.done(Promise.all([change(owner, passwords[0]), change(thief, passwords[1])]));
    const won = answers.findIndex(({ type }) => type === "done");
    expect(answers[1 - won]).toMatchObject({ type: "refused", code: "wrong-password" });
    await world.heal();
    await world.network.run(5000);
    const login = { type: "login", user: "alice", password: passwords[won] ?? "" } as const;
    expect(await world.done(world.library(2).request(login))).toMatchObject({ type: "loggedIn" });
  });
});
