/** The outbox of a client whose processes reach different sides of a partition. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { createClient, resumeClient } from "../client/client.ts";
import { openOutbox, type OutboxEvent } from "../client/outbox.ts";
import { Life, MemoryDisk } from "../client/private-files.fixture.ts";
import { password } from "./simulated-client.fixture.ts";
import { addressOf, randomBytes, SimulatedWorld } from "./simulated-world.fixture.ts";

// Minutes of simulated time over real replicas, on a busy machine: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

test("what a process was killed sending on one side of a partition is not sent anew by the next one on the other", async () => {
  const world = await SimulatedWorld.of(2);
  const { network } = world;
  const bob = await world.signedIn(2, "bob");
  const told: string[] = [];
  bob.on((event) => event.type === "message" && told.push(event.message.text));
  await world.done((await world.signedIn(1, "alice")).close());
  await world.apart(1);

  const disk = new MemoryDisk();
  /** A process of alice that reaches this replica. */
  const begin = async (pid: number) => {
    const life = new Life(disk, network);
    const ports = { transport: life.transport, clock: life.clock, randomBytes };
    const servers = [addressOf(pid)];
    const client = createClient({ servers }, ports);
    const resume = (session: Parameters<typeof resumeClient>[0]) => resumeClient(session, { servers }, ports);
    const outbox = openOutbox(servers, { files: life.files, clock: life.clock, randomBytes, resume });
    const events: OutboxEvent[] = [];
    outbox.on((event) => void events.push(event));
    await world.done(client.request({ type: "login", user: "alice", password }));
    outbox.signedIn(client, password);
    return { life, outbox, events };
  };

  const first = await begin(1);
  const before = world.nodes.get(1)?.standing.lastIndex ?? 0;
  await world.done(first.outbox.send("bob", "hi").kept);
  // It is in the log of this side; no answer arrives.
  await world.until(() => (world.nodes.get(1)?.standing.lastIndex ?? 0) > before);
  first.life.kill();
  await network.run(100);

  const second = await begin(2);
  await network.run(5000);
  expect(told).toEqual([]);
  expect(second.events.flatMap((event) => (event.type === "trouble" ? [event.text] : []))).toEqual([
    expect.stringContaining("not sent now, but kept: 1 message written earlier: maybe sent already"),
  ]);
  await world.heal();
  const [earlier] = second.events.flatMap((event) => (event.type === "earlier" ? [event.message] : []));
  if (earlier === undefined) throw new Error("nothing was found");
  let answer: unknown = null;
  void earlier.answer.then((found) => (answer = found));
  // It is asked for again once a minute.
  await network.run(55_000);
  await world.until(() => answer !== null);
  expect(answer).toMatchObject({ type: "sent", duplicate: true });
  const page = { type: "messages", with: "alice", before: null, limit: 50, unread: false } as const;
  const list = await world.done(bob.request(page));
  expect("messages" in list ? list.messages.map(({ text }) => text) : list).toEqual(["hi"]);
  expect(told).toEqual(["hi"]);
});
