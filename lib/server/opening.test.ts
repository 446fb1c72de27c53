/** Opening a session that the log does not take. Real replicas and chat; the network, the clock and the logs are simulated. */
import { expect, setDefaultTimeout, spyOn, test } from "bun:test";
import { limits } from "../base/limits.ts";
import { SimulatedClient } from "./simulated-client.fixture.ts";
import { SimulatedWorld } from "./simulated-world.fixture.ts";

// Minutes of simulated time over real replicas, on a busy machine: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

test("a session that has expired is not registered again, and its client is told", async () => {
  const world = await SimulatedWorld.of(1);
  const { network } = world;
  const { session } = await world.client(1).then((client) => (client.lose(), client));
  await network.run(15_000);
  const wallMs = network.wallMs.bind(network);
  using _later = spyOn(network, "wallMs").mockImplementation(() => wallMs() + (limits.sessionDays + 1) * 86_400_000);
  const alice = await world.client(1);
  const state = world.states.get(1) ?? expect.unreachable();
  const refusal = async () => {
    const client = new SimulatedClient(world, session);
    await client.connect(1);
    client.hello();
    return client.next("refused");
  };
  const pings = (): void => alice.send({ type: "ping", nonce: 1 });
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) {
      pings();
      await world.network.run(1000);
    }
  };
  await until(() => state.session(session) === null);
  expect(await refusal()).toMatchObject({ code: "unauthorized" });
  await until(() => !state.hasApplied(session, 0));
  expect(await refusal()).toMatchObject({ code: "unauthorized" });
});
