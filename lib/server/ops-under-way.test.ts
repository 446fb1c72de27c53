/**
 * Ops that are on their way into the log and not answered: how many a client may have, and what comes of one that is
 * asked for again meanwhile. Real replicas and chat; the network, the clock and the logs are simulated.
 */
import { describe, expect, setDefaultTimeout, spyOn, test } from "bun:test";
import { limits } from "../base/limits.ts";
import { ReplicaDriver } from "./driver.ts";
import { SimulatedClient } from "./simulated-client.fixture.ts";
import { aliceAndBob, serverEndOf } from "./simulated-world.fixture.ts";

// Real threads on a busy machine: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

test("a client that calls every op answered by its `oldest` has no more under way than the window", async () => {
  const { world, alice } = await aliceAndBob(1, 1, "before");
  const mallory = await world.client(1);
  await mallory.signIn("mallory");
  const end = serverEndOf(world);
  let isPaused = false;
  end.pause = () => void (isPaused = true);
  end.resume = () => void (isPaused = false);
  using propose = spyOn(ReplicaDriver.prototype, "propose");
  const underWay = (): number =>
    propose.mock.calls.filter(([{ session }]) => session === mallory.session).length -
    mallory.frames.filter(({ type }) => type === "sent").length;
  // No answer for as long as the disk takes, which is not yet taken for one that hangs.
  world.syncMs = 800;
  let asked = 0;
  for (; !isPaused && asked < 1000; asked += 10) {
    for (let count = 0; count < 10; count++) mallory.op({ type: "send", to: "alice", text: `${asked + count}` });
    await world.network.run(10);
  }
  expect(underWay()).toBe(limits.sessionWindow);
  // Beside those, what waits is bounded by what reading stops at.
  expect(asked).toBeLessThan(6 * limits.sessionWindow);
  world.syncMs = 1;
  await world.until(() => !isPaused);
  await world.until(() => alice.texts.length === asked);
  expect(alice.texts).toEqual(Array.from({ length: asked }, (_, at) => `${at}`));
  expect(underWay()).toBe(0);
});

describe("a seq that is asked for with other content while it is under way is refused, and the first is answered", () => {
  const op = { type: "send", to: "bob", seq: 4, oldest: 4 } as const;

  test("on the same connection", async () => {
    const { world, alice, bob } = await aliceAndBob(1, 1, "before");
    alice.send({ ...op, request: 10, text: "one" }, { ...op, request: 11, text: "two" });
    expect(await alice.answerTo(10)).toMatchObject({ type: "sent", id: { session: alice.session, seq: 4 } });
    expect(await alice.answerTo(11)).toMatchObject({ type: "refused", code: "bad-command" });
    await world.until(() => bob.texts.at(-1) === "one");
  });

  test("on another replica, before that knows of the first", async () => {
    const { world, alice, bob } = await aliceAndBob(2, 1, "before");
    const again = new SimulatedClient(world, alice.session);
    await again.connect(2);
    world.syncMs = 50;
    again.hello({ create: false });
    again.send({ ...op, request: 11, text: "two" });
    // The attachment to the other replica is on its way to the disks; the first one does not know of it yet.
    await world.network.run(20);
    alice.send({ ...op, request: 10, text: "one" });
    expect(await again.answerTo(11)).toMatchObject({ type: "refused", code: "bad-command" });
    await world.until(() => bob.texts.at(-1) === "one");
  });
});

test("a seq that is asked for again with the same content while it is under way is answered under the later request", async () => {
  const { world, alice, bob } = await aliceAndBob(1, 1, "before");
  const op = { type: "send", to: "bob", text: "one", seq: 4 } as const;
  alice.send({ ...op, oldest: 4, request: 10 }, { ...op, oldest: 3, request: 11 });
  expect(await alice.answerTo(11)).toMatchObject({ type: "sent", id: { session: alice.session, seq: 4 } });
  await world.until(() => bob.texts.at(-1) === "one");
});
