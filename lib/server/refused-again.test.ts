/** What was refused to a client that asks again elsewhere, while another replica has its op on its way still. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { password, SimulatedClient } from "./simulated-client.fixture.ts";
import { SimulatedWorld } from "./simulated-world.fixture.ts";

// Minutes of simulated time over real replicas, on a busy machine: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

test("is not done when that one is heard again", async () => {
  const world = await SimulatedWorld.of(3, "quorum");
  const alice = await world.client(3);
  await alice.signIn("alice");
  const bob = await world.client(1);
  await bob.signIn("bob");
  const other = await world.client(1);
  await world.until(() => other.opened !== null);
  await other.answerTo(other.op({ type: "login", user: "alice", password }));
  world.cut(3);
  const send = { type: "send", to: "bob", text: "told to be refused", request: 10, seq: 10, oldest: 10 } as const;
  alice.send(send);
  await world.network.run(100);
  await world.serve(1, 2);
  other.send({ type: "endSessions", request: 5, seq: 5, oldest: 5, sessions: [alice.session] });
  expect(await other.answerTo(5)).toMatchObject({ type: "done" });
  const again = new SimulatedClient(world, alice.session);
  await again.connect(1);
  again.hello({ create: false });
  again.send(send);
  expect(await again.answerTo(10)).toMatchObject({ type: "refused", code: "not-logged-in" });
  await world.heal();
  await world.network.run(5000);
  expect(bob.texts).toEqual([]);
  again.send({ ...send, request: 11 });
  expect(await again.answerTo(11)).toMatchObject({ type: "refused", code: "not-logged-in" });
});

test("an op behind one that is asked for again is not refused for want of it", async () => {
  const world = await SimulatedWorld.of(3, "quorum");
  const bob = await world.client(1);
  await bob.signIn("bob");
  const first = await world.client(1);
  await first.answerTo(first.op({ type: "createAccount", user: "alice", password }));
  first.lose();
  const alice = new SimulatedClient(world, first.session);
  await alice.connect(3);
  alice.hello({ create: false });
  await alice.next("sessionOpened");
  world.cut(3);
  await world.until(() => !world.standing(3).ready);
  const login = { type: "login", user: "alice", password, seq: 2, oldest: 2 } as const;
  const send = { type: "send", to: "bob", text: "hi", seq: 3, oldest: 2 } as const;
  alice.send({ ...login, request: 2 }, { ...send, request: 3 });
  expect(await alice.answerTo(2)).toMatchObject({ type: "refused", code: "unavailable" });
  expect(await alice.answerTo(3)).toMatchObject({ type: "refused", code: "unavailable" });
  await world.heal();
  alice.send({ ...login, request: 4 }, { ...send, request: 5 });
  expect(await alice.answerTo(5)).toMatchObject({ type: "sent" });
});
