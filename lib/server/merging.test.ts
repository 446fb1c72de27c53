/** What clients were told on a side of a partition, and what is true of it after the heal. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { DividedReplicas, password } from "./divided-replicas.fixture.ts";
import { SimulatedClient } from "./simulated-world.fixture.ts";

// Minutes of simulated time over real replicas, on a busy machine: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

test("a client that uses a number for a draft on one side and for a message on the other harms nobody", async () => {
  const replicas = await DividedReplicas.of(2);
  await replicas.signedIn(2, "bob");
  const session = crypto.randomUUID();
  const connect = async (pid: number): Promise<SimulatedClient> => {
    const client = new SimulatedClient(replicas, session);
    await client.connect(pid);
    client.hello();
    await client.next("sessionOpened");
    return client;
  };
  await (await connect(1)).signIn("mallory");
  await replicas.cut();
  const op = (seq: number) => ({ request: seq, seq, oldest: seq });
  const yielding = await connect(1);
  yielding.send({ type: "saveDraft", ...op(10), draft: null, to: "bob", text: "there" });
  await yielding.next("draftSaved");
  yielding.send({ type: "sendDraft", ...op(11), draft: { session, seq: 10 } });
  await yielding.next("sent");
  const staying = await connect(2);
  staying.send({ type: "send", ...op(10), to: "bob", text: "here" });
  await staying.next("sent");
  await replicas.heal();
  await replicas.network.run(5000);
  const after = await connect(2);
  after.send({ type: "deleteAccount", ...op(12), password });
  expect(await after.next("done")).toMatchObject({ count: 1 });
});
