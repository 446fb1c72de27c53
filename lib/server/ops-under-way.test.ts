/**
 * Ops that are on their way into the log and not answered: how many a client may have, and what comes of one that is
 * asked for again meanwhile. Real replicas and chat; the network, the clock and the logs are simulated.
 */
import { expect, setDefaultTimeout, spyOn, test } from "bun:test";
import { limits } from "../base/limits.ts";
import { ReplicaDriver } from "./driver.ts";
import { aliceAndBob, serverEndOf } from "./simulated-cluster.fixture.ts";

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
