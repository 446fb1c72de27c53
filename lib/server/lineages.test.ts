/**
 * What becomes of sessions when replicas were cut off from one another, each has gone on alone, and one log goes over to
 * the lineage of the other. Real replicas, chat and client library; the network, the clock and the log are simulated.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import type { ChatClient } from "../client/types.ts";
import { password, SimulatedClient } from "./simulated-client.fixture.ts";
import { SimulatedWorld } from "./simulated-world.fixture.ts";

// Minutes of simulated time on a busy machine: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

interface Sides {
  readonly world: SimulatedWorld;
  readonly carol: ChatClient;
  readonly bob: ChatClient;
}

/** Two replicas apart: the one of alice and carol yields, the one of bob wins. */
async function apart() {
  const world = await SimulatedWorld.of(2);
  const alice = await world.signedIn(1, "alice");
  const carol = await world.signedIn(1, "carol");
  const bob = await world.signedIn(2, "bob");
  await world.done(bob.request({ type: "send", to: "alice", text: "before" }));
  await world.apart(1);
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

/** Another message for alice on the side that wins, and so many on the other that her indexes are beyond it. */
async function bothSidesSend({ world, carol, bob }: Sides): Promise<void> {
  await world.done(bob.request({ type: "send", to: "alice", text: "from bob, while apart" }));
  for (let at = 1; at <= 12; at++) {
    await world.done(carol.request({ type: "send", to: "alice", text: `from carol ${at}` }));
  }
  await world.network.run(100);
}

const fromCarol = Array.from({ length: 12 }, (_, at) => `from carol ${at + 1}`);

test("a session that was used on the side that yields is told what the other side had for it, and nothing twice", async () => {
  const sides = await apart();
  const { world, alice, bob } = sides;
  const told: string[] = [];
  alice.on((event) => {
    if (event.type === "message") told.push(event.message.text);
  });
  await bothSidesSend(sides);
  expect(told).toEqual(fromCarol);
  await world.heal();
  await world.until(() => told.includes("from bob, while apart"));
  await world.done(bob.request({ type: "send", to: "alice", text: "after" }));
  await world.until(() => told.includes("after"));
  expect(told).toEqual([...fromCarol, "from bob, while apart", "after"]);
});

test("a session that was lost on the side that yields finds in the inbox what the other side had for it", async () => {
  const sides = await apart();
  const { world, alice } = sides;
  await bothSidesSend(sides);
  world.killClient(alice);
  await world.network.run(500);
  await world.heal();
  await world.until(() => world.attached(2).length === 2, 30_000);
  const later = world.library(2);
  await world.done(later.request({ type: "login", user: "alice", password: "correct horse" }));
  const opened = await world.done(later.request({ type: "open", count: 200 }));
  const texts = opened.type === "opened" ? opened.messages.map(({ text }) => text) : [];
  expect(texts).toContain("from bob, while apart");
  expect(texts).toEqual(expect.arrayContaining(fromCarol));
});

test("a session that is resumed on the side that wins, with indexes of the other, is told what it has missed", async () => {
  const world = await SimulatedWorld.of(2);
  const alice = await world.client(1);
  await alice.signIn("alice");
  const carol = await world.signedIn(1, "carol");
  const bob = await world.signedIn(2, "bob");
  await world.apart(1);
  await bothSidesSend({ world, carol, bob });
  alice.op({ type: "send", to: "carol", text: "thanks" });
  const { index: lastIndex, view: lastView } = await alice.next("sent");
  const lastMessageIndex = alice.frames.reduce(
    (last, frame) => (frame.type === "message" ? frame.message.index : last),
    0,
  );
  await world.heal();
  await world.until(() => alice.closed !== null);
  const again = await world.client(2, alice.session, { create: false, lastIndex, lastView, lastMessageIndex });
  expect(again.opened?.index).toBeLessThan(lastMessageIndex);
  await world.done(bob.request({ type: "send", to: "alice", text: "after" }));
  await world.until(() => again.texts.includes("after"));
  expect(again.texts).toEqual(["from bob, while apart", ...fromCarol, "after"]);
});

test("a session that has logged in on the side that yields is logged in after the heal", async () => {
  const world = await SimulatedWorld.of(2);
  await world.signedIn(2, "bob");
  const dave = world.library(1);
  await world.done(dave.request({ type: "createAccount", user: "dave", password }));
  await world.apart(1);
  await world.done(dave.request({ type: "login", user: "dave", password }));
  const events: string[] = [];
  dave.on((event) => void events.push(event.type === "connection" ? event.connection.state : event.type));
  await world.heal();
  await world.until(() => events.includes("reconnected"));
  const answer = await world.done(dave.request({ type: "send", to: "bob", text: "after" }));
  expect(answer).toMatchObject({ type: "sent", copies: 2 });
  expect(events).not.toContain("logged-out");
});

test("who changed accounts on the side that yields goes on in the name of the new one after the heal", async () => {
  const world = await SimulatedWorld.of(2);
  const bob = await world.signedIn(2, "bob");
  const senders: string[] = [];
  bob.on((event) => void (event.type === "message" && senders.push(event.message.from)));
  const client = await world.signedIn(1, "alice");
  await world.done(client.request({ type: "createAccount", user: "dave", password }));
  await world.apart(1);
  await world.done(client.request({ type: "logout" }));
  await world.done(client.request({ type: "login", user: "dave", password }));
  const healed = world.heal();
  await world.until(() => client.connection.state !== "connected");
  const sent = client.request({ type: "send", to: "bob", text: "it is me" });
  await healed;
  expect(await world.done(sent)).toMatchObject({ type: "sent" });
  await world.until(() => senders.length > 0);
  expect(senders).toEqual(["dave"]);
  expect(client.user).toBe("dave");
});

test("who was on the side that yields is not told that there is no account which comes with the merge", async () => {
  const { world, alice, carol, bob } = await apart();
  // More than is merged at once; and as much on the other side, so that her place there is reached.
  const many = [carol, bob].flatMap((from) =>
    Array.from({ length: 600 }, (_, at) => from.request({ type: "send", to: "alice", text: `${at}` })),
  );
  await world.done(Promise.all(many));
  await world.signedIn(1, "dave");
  const send = (text: string) => {
    const keep = () => Promise.resolve();
    return world.done(alice.request({ type: "send", to: "dave", text }, { keep }));
  };
  expect(await send("while apart")).toMatchObject({ type: "sent" });
  let isBack = false;
  alice.on((event) => void (isBack ||= event.type === "connection" && event.connection.state === "reconnected"));
  const healed = world.heal();
  await world.until(() => isBack);
  expect(await send("after")).toMatchObject({ type: "sent" });
  await healed;
});

test("a session that began on the side that yields goes on after the heal", async () => {
  const { world } = await apart();
  const dave = await world.signedIn(1, "dave");
  await world.done(dave.request({ type: "send", to: "bob", text: "while apart" }));
  const states: string[] = [];
  dave.on((event) => {
    if (event.type === "connection") states.push(event.connection.state);
  });
  await world.heal();
  await world.until(() => states.includes("reconnected"));
  const answer = await world.done(dave.request({ type: "send", to: "bob", text: "after" }));
  expect(answer).toMatchObject({ type: "sent", copies: 2 });
  expect(states).not.toContain("closed");
});

test("it goes on also on the side that wins, which is told of it by the merge", async () => {
  const { world } = await apart();
  const dave = await world.client(1);
  await dave.signIn("dave");
  dave.op({ type: "send", to: "bob", text: "while apart" });
  const { index: lastIndex, view: lastView } = await dave.next("sent");
  const healed = world.heal();
  await world.until(() => dave.closed !== null);
  const again = await world.client(2, dave.session, { create: false, lastIndex, lastView });
  expect(again.opened?.user).toBe("dave");
  await healed;
});

test("it goes on also when it comes to the side that wins before that hears the other one again", async () => {
  const { world } = await apart();
  const dave = await world.client(1);
  await dave.signIn("dave");
  dave.op({ type: "send", to: "bob", text: "while apart" });
  const { index: lastIndex, view: lastView } = await dave.next("sent");
  const again = new SimulatedClient(world, dave.session);
  await again.connect(2);
  again.hello({ create: false, lastIndex, lastView });
  await world.network.run(1000);
  await world.heal();
  expect((await again.next("sessionOpened")).user).toBe("dave");
  // Who is away for good is not waited for.
  world.kill(1);
  const lost = new SimulatedClient(world, crypto.randomUUID());
  await lost.connect(2);
  lost.hello({ create: false, lastIndex: 1000, lastView });
  expect(await lost.next("refused")).toMatchObject({ code: "unauthorized" });
});

test("a session that is not known is refused at once, also by who names a place in the log", async () => {
  const { world } = await apart();
  const { index: lastIndex = 0, view: lastView = 0 } = (await world.client(2)).opened ?? {};
  const refused = new SimulatedClient(world, crypto.randomUUID());
  await refused.connect(2);
  refused.hello({ create: false, lastIndex, lastView });
  expect(await refused.next("refused", 100)).toMatchObject({ code: "unauthorized" });
});

test("replicas that the others go on without call no session unknown, however often they start a view", async () => {
  const world = await SimulatedWorld.of(5, "quorum");
  world.cut(1, 4);
  await world.until(() => [2, 3, 5].every((pid) => world.nodes.get(pid)?.standing.copies === 3));
  const dave = await world.client(2);
  await dave.signIn("dave");
  const { index: lastIndex = 0, view: lastView = 0 } = dave.opened ?? {};
  for (let time = 0; time < 5; time++) {
    const again = new SimulatedClient(world, dave.session);
    await again.connect(1);
    again.hello({ create: false, lastIndex, lastView });
    expect(await again.next("refused", 20_000)).toMatchObject({ code: "unavailable" });
  }
});
