/** What a replica says to its clients of accounts while it serves nobody, and others do (`quorum`). */
import { expect, setDefaultTimeout, test } from "bun:test";
import { SimulatedWorld } from "./simulated-world.fixture.ts";

// Minutes of simulated time over real replicas, on a busy machine: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

test("a replica that is cut off does not say that there is no account which the others have", async () => {
  const world = await SimulatedWorld.of(3, "quorum");
  const alice = await world.client(3);
  await alice.signIn("alice");
  world.cut(3);
  await world.serve(1, 2);
  await world.until(() => !world.standing(3).ready);
  const bob = await world.client(1);
  await bob.signIn("bob");
  const message = { type: "send", to: "bob", text: "are you there?" } as const;
  const askedMs = world.network.nowMs;
  expect(await alice.answerTo(alice.op(message))).toMatchObject({ type: "refused", code: "unavailable" });
  expect(world.network.nowMs - askedMs).toBeGreaterThan(3_500);
  // What is wrong with the request itself is told at once, by whomever.
  const nameless = await alice.answerTo(alice.op({ ...message, to: "alice" }));
  expect(nameless).toMatchObject({ type: "refused", code: "to-self" });
  // It waits for as long as an op waits for a view: what was lacking may come.
  const waiting = alice.op(message);
  await world.heal();
  expect(await alice.answerTo(waiting)).toMatchObject({ type: "sent" });
  expect(await alice.answerTo(alice.op({ ...message, to: "nobody" }))).toMatchObject({ code: "no-such-user" });
});
