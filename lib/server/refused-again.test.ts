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
