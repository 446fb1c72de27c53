/** What the clients of a replica find that was given up for lost, and is back with what they were told there. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { SimulatedClient } from "./simulated-client.fixture.ts";
import { connected, serverEndOf, SimulatedWorld } from "./simulated-world.fixture.ts";

// Minutes of simulated time over real replicas, on a busy machine: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

/** Replica 3 is cut off and goes on alone; the others remove it, whatever is lost. */
async function removeAlone(world: SimulatedWorld): Promise<void> {
  world.cut(3);
  await world.serve(1, 2);
  await world.serve(3);
  const operator = await connected(world, 1, crypto.randomUUID());
  Object.assign(serverEndOf(world), { isLocal: true });
  const remove = { type: "changeConfig", change: "remove", pid: 3, address: null, acceptLoss: true } as const;
  operator.send({ ...remove, request: 9 });
  await world.until(() => world.standing(2).config.length === 2);
}

/** The replicas reach one another again, and a client of replica 3 goes over to replica 1. */
async function goOver(world: SimulatedWorld, client: SimulatedClient) {
  const { index: lastIndex, view: lastView } = await client.next("sent");
  world.split([1, 2, 3]);
  await world.until(() => client.closed !== null);
  const again = new SimulatedClient(world, client.session);
  await again.connect(1);
  again.hello({ create: false, lastIndex, lastView });
  return { again, lastView };
}

test("a session that began at a replica that was removed meanwhile goes on at the others", async () => {
  const world = await SimulatedWorld.of(3);
  await removeAlone(world);
  const dave = await world.client(3);
  await dave.signIn("dave");
  await world.signedIn(3, "erin");
  dave.op({ type: "send", to: "erin", text: "while apart" });
  const { again, lastView } = await goOver(world, dave);
  expect((await again.next("sessionOpened")).user).toBe("dave");
  // That one is there to give what it has: when that is done, it says so.
  await world.until(() => world.standing(3).merged);
  await world.network.run(200);
  const stranger = new SimulatedClient(world, crypto.randomUUID());
  await stranger.connect(1);
  stranger.hello({ create: false, lastIndex: 5, lastView });
  expect(await stranger.next("refused", 100)).toMatchObject({ code: "unauthorized" });
});

test("who was at a replica that was removed meanwhile is not told that there is no account which that one brings", async () => {
  const world = await SimulatedWorld.of(3);
  const dave = await world.client(3);
  await dave.signIn("dave");
  const alice = await world.signedIn(1, "alice");
  await removeAlone(world);
  // More than is merged at once; and as much on the other side, so that his place there is reached.
  const many = [alice, await world.signedIn(3, "carol")].flatMap((from) =>
    Array.from({ length: 600 }, (_, at) => from.request({ type: "send", to: "dave", text: `${at}` })),
  );
  await world.done(Promise.all(many));
  await world.signedIn(3, "erin");
  dave.op({ type: "send", to: "erin", text: "while apart" });
  const { again } = await goOver(world, dave);
  await again.next("sessionOpened");
  again.send({ type: "send", request: 9, seq: 9, oldest: 9, to: "erin", text: "after" });
  expect(await again.answerTo(9)).toMatchObject({ type: "sent" });
});
