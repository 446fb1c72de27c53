/**
 * Who counts as present, over minutes of simulated time: sessions attach and detach through the log, move between
 * replicas, and get what arrived meanwhile. Real replicas and chat; the network, the clock and the log are simulated.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { SimulatedClient } from "./simulated-client.fixture.ts";
import { aliceAndBob, serverEndOf, SimulatedWorld } from "./simulated-world.fixture.ts";

// Real sockets, disks or threads on a busy machine: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

test("who is on another machine cannot reset a password", async () => {
  const world = await SimulatedWorld.of(1);
  const client = await world.client(1);
  await client.signIn("alice");
  const op = { request: 9, seq: 3, oldest: 3 };
  client.send({ type: "resetPassword", ...op, user: "alice", newPassword: "battery staple" });
  expect(await client.next("refused")).toMatchObject({ request: 9, code: "unauthorized" });
});

describe("a session", () => {
  test("is detached at once by a goodbye", async () => {
    const world = await SimulatedWorld.of(2);
    const client = await world.client(2);
    expect(world.attached(1)).toEqual([client.session]);
    client.send({ type: "goodbye", reason: "done" });
    await world.until(() => world.attached(1).length === 0, 200);
  });

  test("stays attached for ten seconds after its connection was lost", async () => {
    const world = await SimulatedWorld.of(2);
    const client = await world.client(2);
    client.lose();
    await world.network.run(8500);
    expect(world.attached(1)).toEqual([client.session]);
    await world.until(() => world.attached(1).length === 0, 3000);
  });

  test("stays attached when it is resumed, here or on another replica", async () => {
    const world = await SimulatedWorld.of(2);
    const here = await world.client(2);
    const there = await world.client(2);
    here.lose();
    there.lose();
    await world.network.run(4000);
    await world.client(2, here.session, { create: false });
    await world.client(1, there.session, { create: false });
    await world.network.run(15_000);
    expect(world.attached(1).toSorted()).toEqual([here.session, there.session].toSorted());
    expect(world.attached(2).toSorted()).toEqual(world.attached(1).toSorted());
  });

  test("of a replica that is gone is detached by the primary, and no other", async () => {
    const world = await SimulatedWorld.of(3);
    const survivors = [await world.client(1), await world.client(2)];
    const orphan = await world.client(3);
    await world.until(() => world.attached(1).length === 3);
    world.kill(3);
    await world.network.run(8000);
    expect(world.attached(1)).toContain(orphan.session);
    await world.until(() => !world.attached(1).includes(orphan.session), 10_000);
    expect(world.attached(1).toSorted()).toEqual(survivors.map(({ session }) => session).toSorted());
  });

  test("leaves its old connection when it is opened on another replica", async () => {
    const world = await SimulatedWorld.of(2);
    const client = await world.client(1);
    await world.client(2, client.session, { create: false });
    expect(await client.next("error", 500)).toMatchObject({ code: "replaced" });
    await world.until(() => client.closed !== null, 100);
    await world.network.run(15_000);
    expect(world.attached(1)).toEqual([client.session]);
  });

  test("gets what arrived while it was between replicas, in order, before what comes live", async () => {
    const { world, alice, bob } = await aliceAndBob(2, 2, "before");
    const seen = await bob.next("message");
    bob.lose();
    const wanted = Array.from({ length: 450 }, (_, at) => `while away ${at}`);
    for (const text of wanted) {
      const request = alice.op({ type: "send", to: "bob", text });
      if (text.endsWith("0")) await alice.answerTo(request);
    }
    const again = await world.client(1, bob.session, { create: false, lastMessageIndex: seen.message.index });
    expect(again.opened).toMatchObject({ user: "bob", inbox: 0 });
    alice.op({ type: "send", to: "bob", text: "live" });
    await world.until(() => again.texts.at(-1) === "live");
    expect(again.texts).toEqual([...wanted, "live"]);
  });

  /** Lets a lost session of bob be given up, and logs bob in anew: what waits in the inbox then. */
  async function inboxAfterLoss(world: SimulatedWorld, lost: string, pid: number): Promise<number> {
    await world.until(() => !world.attached(pid).includes(lost), 20_000);
    const bob = await world.client(pid);
    bob.op({ type: "login", user: "bob", password: "correct horse" });
    return (await bob.next("loggedIn")).inbox;
  }

  test("that does not come back finds in the inbox what came after its loss, and nothing else", async () => {
    const { world, alice, bob } = await aliceAndBob(2, 2, "seen");
    bob.lose();
    await world.network.run(10);
    alice.op({ type: "send", to: "bob", text: "into the void" });
    await alice.next("sent");
    expect(await inboxAfterLoss(world, bob.session, 2)).toBe(1);
  });

  test("that fell silent finds in the inbox what was sent to it since", async () => {
    const { world, alice, bob } = await aliceAndBob(2, 2, "seen");
    for (let second = 0; second < 5; second++) {
      bob.send({ type: "ping", nonce: second });
      await world.network.run(1000);
    }
    // The connection stands, and nobody is there.
    await world.network.run(5000);
    alice.op({ type: "send", to: "bob", text: "into the void" });
    for (let second = 0; second < 30; second++) {
      alice.send({ type: "ping", nonce: second });
      await world.network.run(1000);
    }
    expect(await inboxAfterLoss(world, bob.session, 2)).toBe(1);
  });

  test("of a replica that died finds in the inbox what came after that", async () => {
    const { world, alice, bob } = await aliceAndBob(3, 3, "seen");
    await world.network.run(500);
    world.kill(3);
    alice.op({ type: "send", to: "bob", text: "into the void" });
    await world.until(() => alice.frames.filter(({ type }) => type === "sent").length === 2);
    expect(await inboxAfterLoss(world, bob.session, 1)).toBe(1);
  });

  test("of a replica that was cut off for long is resumed when that is over, and told what comes for it", async () => {
    const world = await SimulatedWorld.of(3, "quorum");
    const alice = await world.signedIn(1, "alice");
    const bob = await world.signedIn(3, "bob");
    const told: string[] = [];
    bob.on((event) => {
      if (event.type === "message") told.push(event.message.text);
    });
    await world.done(alice.request({ type: "send", to: "bob", text: "before" }));
    await world.until(() => told.length === 1);
    // A heartbeat tells how far the replica had come.
    await world.network.run(500);
    world.cut(3);
    await world.until(() => world.attached(1).length === 1, 40_000);
    await world.done(alice.request({ type: "send", to: "bob", text: "meanwhile" }));
    await world.heal();
    await world.until(() => world.attached(1).length === 2);
    await world.done(alice.request({ type: "send", to: "bob", text: "after" }));
    await world.until(() => told.length === 2);
    expect(told).toEqual(["before", "after"]);
    expect(await world.done(bob.request({ type: "inbox" }))).toMatchObject({ count: 1 });
  });

  test("that has seen more than its new replica is opened once that is sure to be another lineage", async () => {
    const world = await SimulatedWorld.of(2);
    const client = await world.client(1);
    world.kill(2);
    // The replica serves alone, and its log does not reach so far: the client comes from another lineage.
    await world.until(() => world.nodes.get(1)?.standing.copies === 1);
    const far = await world.client(1, client.session, { create: false, lastIndex: 1_000_000, lastView: 257 });
    expect(far.opened?.index).toBeLessThan(1000);
  });

  test("that comes from a longer lineage is told what is sent to it from then on", async () => {
    const { world, alice, bob } = await aliceAndBob(1, 1, "before");
    bob.lose();
    await world.network.run(50);
    const far = { lastIndex: 1000, lastView: 513, lastMessageIndex: 1000 };
    const again = await world.client(1, bob.session, { create: false, ...far });
    expect(again.opened?.index).toBeLessThan(1000);
    const wanted = ["one", "two", "three"];
    for (const text of wanted) alice.op({ type: "send", to: "bob", text });
    await world.until(() => again.texts.includes("three"));
    again.lose();
    expect(await inboxAfterLoss(world, bob.session, 1)).toBe(0);
  });
});

describe("a connection", () => {
  test("without a hello is closed after five seconds", async () => {
    const world = await SimulatedWorld.of(1);
    const client = new SimulatedClient(world, "");
    await client.connect(1);
    await world.network.run(4000);
    expect(client.closed).toBeNull();
    expect(await client.next("error", 3000)).toMatchObject({ code: "idle", message: "no hello within 5 s" });
    await world.until(() => client.closed !== null, 100);
  });

  test("that is silent for thirty seconds is closed; one that pings is not", async () => {
    const world = await SimulatedWorld.of(1);
    const silent = await world.client(1);
    const lively = await world.client(1);
    for (let at = 0; at < 8; at++) {
      lively.send({ type: "ping", nonce: at });
      await world.network.run(5000);
    }
    expect(await silent.next("error", 100)).toMatchObject({ code: "idle" });
    expect(lively.closed).toBeNull();
    // Nobody is there: the session is detached as after any loss.
    await world.until(() => world.attached(1).length === 1, 12_000);
    expect(world.attached(1)).toEqual([lively.session]);
  });

  test("whose requests wait is not taken for silent, as long as it takes answers", async () => {
    const world = await SimulatedWorld.of(1);
    const client = await world.client(1);
    const end = serverEndOf(world);
    let paused = false;
    end.pause = () => void (paused = true);
    end.resume = () => void (paused = false);
    // Two megabytes are on their way to a slow reader: what it asks for has to wait, and its pings are not read.
    end.queuedBytes = 2 * 1024 * 1024;
    for (let request = 2; request < 400; request++) client.send({ type: "inbox", request });
    await world.network.run(100);
    expect(paused).toBeTrue();
    for (let seconds = 0; seconds < 90; seconds += 10) {
      await world.network.run(10_000);
      end.queuedBytes -= 1000;
    }
    expect(client.closed).toBeNull();
    // Who takes nothing any more is gone.
    expect(await client.next("error", 35_000)).toMatchObject({ code: "idle" });
  });

  test("that is cut because it reads too slowly is named in the log", async () => {
    const world = await SimulatedWorld.of(1);
    await world.client(1);
    const end = serverEndOf(world);
    end.handlers?.closed("it reads too slowly: 17000000 bytes were waiting for it", false, true);
    expect(world.said).toContain(
      "1 info: client client is gone: it reads too slowly: 17000000 bytes were waiting for it",
    );
  });

  test("hears of every change of the view, and of nothing that is none", async () => {
    const world = await SimulatedWorld.of(2);
    const client = await world.client(1);
    const welcome = await client.next("welcome");
    world.kill(2);
    await world.until(() =>
      client.frames.some((frame) => frame.type === "placement" && frame.copies === 1 && frame.ready),
    );
    await world.network.run(2000);
    const { version: _version, software: _software, cluster: _cluster, ...first } = welcome;
    const places = [{ ...first, type: "placement" }, ...client.frames.filter(({ type }) => type === "placement")];
    const repeated = places.filter((place, at) => at > 0 && Bun.deepEquals(place, places[at - 1]));
    expect(repeated).toEqual([]);
  });
});
