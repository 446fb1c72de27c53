/**
 * What becomes of sessions when replicas were cut off from one another, each has gone on alone, and one log goes over to
 * the lineage of the other. Real replicas, chat and client library; the network, the clock and the log are simulated.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { SimulatedWorld } from "./simulated-world.fixture.ts";

// Minutes of simulated time on a busy machine: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

/** Two replicas apart: the one of alice and carol yields, the one of bob wins. */
async function apart() {
  const world = await SimulatedWorld.of(2);
  const alice = await world.signedIn(1, "alice");
  const carol = await world.signedIn(1, "carol");
  const bob = await world.signedIn(2, "bob");
  await world.done(bob.request({ type: "send", to: "alice", text: "before" }));
  world.cut(1);
  await world.until(() => [...world.nodes.values()].every(({ standing }) => standing.ready && standing.copies === 1));
  return { world, alice, carol, bob };
}

test("a session that has ended on the side that yields does not stay attached", async () => {
  const { world, alice, bob } = await apart();
  expect(world.attached(1)).toHaveLength(3);
  await world.done(alice.close());
  await world.until(() => world.attached(1).length === 2);
  await world.heal();
  expect(world.attached(2)).toHaveLength(3);
  await world.until(() => world.attached(2).length === 2, 30_000);
  await world.done(bob.request({ type: "send", to: "alice", text: "nobody is there" }));
  const later = world.library(1);
  const answer = await world.done(later.request({ type: "login", user: "alice", password: "correct horse" }));
  expect(answer).toMatchObject({ type: "loggedIn", inbox: 1 });
});
