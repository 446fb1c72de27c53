/**
 * What becomes of ops on their way into the log when the replica that has accepted them goes over to the log of another side
 * of a partition, on which what they were prepared from does not exist. Real replicas and chat; the network is simulated.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { connected, SimulatedWorld } from "./simulated-world.fixture.ts";

// Minutes of simulated time over real replicas, on a busy machine: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

const numbered = (seq: number) => ({ request: seq, seq, oldest: seq });

/** All replicas reach one another again, and nothing of a fork is left. */
async function healed(world: SimulatedWorld): Promise<void> {
  await world.heal();
  await world.until(() => [...world.nodes.values()].every(({ standing }) => standing.merged), 60_000);
  await world.network.run(2_000);
}

async function received(world: SimulatedWorld, pid: number, session: string, other: string): Promise<unknown> {
  const client = await connected(world, pid, session);
  client.send({ type: "messages", request: 50, with: other, before: null, limit: 50, unread: false });
  const answer = await client.answerTo(50);
  return "messages" in answer ? answer.messages.map(({ text }) => text) : answer;
}

test("a message to an account of one side is not refused by the other for a replica that goes over, and is there after the heal", async () => {
  const world = await SimulatedWorld.of(3);
  const [alice, carol] = [crypto.randomUUID(), crypto.randomUUID()];
  const first = await connected(world, 2, alice);
  await first.signIn("alice");
  world.split([1, 2], [3]);
  await Promise.all([world.serve(1, 2), world.serve(3)]);
  await (await connected(world, 1, carol)).signIn("carol");
  await world.network.run(300);
  // 2 has it forwarded and 1 appended when they are cut off from one another.
  world.syncMs = 30;
  const before = world.standing(1).lastIndex;
  first.send({ type: "send", ...numbered(3), to: "carol", text: "hello" });
  await world.until(() => world.standing(1).lastIndex > before);
  world.split([1], [2, 3]);
  world.syncMs = 1;
  await world.network.run(200);
  await world.serve(1);
  const second = await connected(world, 1, alice);
  second.send({ type: "send", ...numbered(3), to: "carol", text: "hello" });
  expect(await second.answerTo(3)).toMatchObject({ type: "sent" });
  await world.serve(2, 3);
  expect(world.states.get(3)?.hasApplied(alice, 3)).toBe(false);
  await healed(world);
  expect(await received(world, 3, carol, "alice")).toEqual(["hello"]);
});

test("the rest of a merge is not refused on the lineage that its replica goes over to in the midst of it", async () => {
  const world = await SimulatedWorld.of(4);
  const [alice, carol] = [crypto.randomUUID(), crypto.randomUUID()];
  const sender = await connected(world, 1, alice);
  await sender.signIn("alice");
  await (await connected(world, 1, crypto.randomUUID())).signIn("bob");
  world.split([1], [2], [3, 4]);
  await Promise.all([world.serve(1), world.serve(2), world.serve(3, 4)]);
  // 3 goes on in a greater view than 1 and 2.
  world.kill(4);
  await world.serve(3);
  await (await connected(world, 1, carol)).signIn("carol");
  for (let seq = 3; seq < 15; seq++) sender.send({ type: "send", ...numbered(seq), to: "bob", text: `${seq}` });
  await sender.answerTo(14);
  sender.send({ type: "send", ...numbered(15), to: "carol", text: "hello" });
  expect(await sender.answerTo(15)).toMatchObject({ type: "sent" });
  // 1 comes together with 2, whose lineage goes on, and merges.
  world.split([1, 2], [3]);
  world.syncMs = 20;
  const isApplied = (session: string, seq: number) => world.states.get(1)?.hasApplied(session, seq) === true;
  await world.until(() => world.standing(1).primary === 2 && isApplied(carol, 1) && !isApplied(alice, 15), 60_000);
  world.split([1, 3], [2]);
  world.syncMs = 1;
  await world.serve(1, 3);
  await world.network.run(1_000);
  world.split([1, 2, 3]);
  await world.serve(1, 2, 3);
  await world.until(() => [1, 2, 3].every((pid) => world.standing(pid).merged), 60_000);
  await world.network.run(2_000);
  expect(await received(world, 3, carol, "alice")).toEqual(["hello"]);
});
