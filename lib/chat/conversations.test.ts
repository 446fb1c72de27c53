/** The overview of conversations: what is counted, in which order it comes, and how it is paged. */
import { expect, test } from "bun:test";
import { inMemory, Lineage, type Client } from "./chat.fixture.ts";

function people(...names: string[]) {
  const lineage = new Lineage(inMemory(), inMemory());
  return { lineage, clients: names.map((name, at) => lineage.client(at + 1).signUp(name)) };
}

function overview(client: Client, after: { waiting: boolean; index: number } | null = null, limit = 50) {
  const reply = client.query({ type: "conversations", after, limit });
  if (reply.type !== "conversationList") throw new Error(`not ${JSON.stringify(reply)}`);
  return reply;
}

const lines = (client: Client): string[] =>
  overview(client).conversations.map(
    ({ user, unread, inbox, online, last }) => `${user} ${unread} ${inbox} ${online ? "online" : "away"}: ${last.text}`,
  );

/** Enough messages between others to settle what was sent. */
async function settle(from: Client, to: string): Promise<void> {
  await from.send(to, "to be marked");
  const [message] = from.page({ limit: 1 }).messages;
  if (message === undefined) throw new Error("it was sent");
  await from.do({ type: "mark", ids: [message.id], read: true });
}

test("what waits comes first, then the latest; counts follow every change, settled or not", async () => {
  const { lineage, clients } = people("alice", "bob", "carol", "dave");
  const [alice, bob, carol, dave] = clients as [Client, Client, Client, Client];
  await bob.send("alice", "one");
  await bob.send("alice", "two");
  await alice.send("carol", "to carol");
  expect(lines(alice)).toEqual(["bob 2 0 online: two", "carol 0 0 online: to carol"]);
  alice.detach();
  await carol.send("alice", "waits");
  expect(lines(alice)).toEqual(["carol 0 1 online: waits", "bob 2 0 online: two"]);
  for (const settled of [false, true]) {
    if (settled) await settle(dave, "bob");
    expect(lines(alice)).toEqual(["carol 0 1 online: waits", "bob 2 0 online: two"]);
  }
  await alice.do({ type: "open", count: 10 });
  expect(lines(alice)).toEqual(["carol 1 0 online: waits", "bob 2 0 online: two"]);
  const page = alice.page({ with: "bob" }).messages;
  await alice.do({ type: "mark", ids: page.map(({ id }) => id), read: true });
  await dave.send("alice", "new");
  dave.detach();
  expect(lines(alice)).toEqual(["dave 0 1 away: new", "carol 1 0 online: waits", "bob 0 0 online: two"]);
  await alice.do({ type: "deleteMessages", ids: page.slice(0, 1).map(({ id }) => id) });
  expect(lines(alice).at(-1)).toBe("bob 0 0 online: one");
  await alice.do({ type: "deleteMessages", ids: page.slice(1).map(({ id }) => id) });
  expect(lines(alice)).toEqual(["dave 0 1 away: new", "carol 1 0 online: waits"]);
  expect(lines(bob).at(-1)).toBe("alice 0 0 away: two");
  await carol.do({ type: "deleteAccount", password: "password" });
  expect(lines(alice)).toEqual(["dave 0 1 away: new", "carol 1 0 away: waits"]);
  const [first, second] = lineage.states.map((state) => state.digest());
  expect(first).toBe(second ?? "");
});

test("what a lost session was sent counts as waiting in the inbox again", async () => {
  const { lineage, clients } = people("alice", "bob");
  const [alice, bob] = clients as [Client, Client];
  const lostAt = lineage.index;
  await alice.send("bob", "lost");
  expect(lines(bob)).toEqual(["alice 1 0 online: lost"]);
  bob.detach(lostAt);
  expect(lines(bob)).toEqual(["alice 0 1 online: lost"]);
});

test("pages follow on each other, whatever arrives between them", async () => {
  const names = ["ann", "ben", "cat", "dan", "eva", "fay", "gil"];
  const { clients } = people("me", ...names);
  const me = clients[0] as Client;
  for (const name of names) await me.send(name, "hello");
  for (const at of [2, 4, 6]) await clients[at]?.send("me", "answer");
  const expected = ["fay", "dan", "ben", "gil", "eva", "cat", "ann"];
  for (const limit of [1, 2, 3, 7]) {
    const found: string[] = [];
    let after: { waiting: boolean; index: number } | null = null;
    for (let more = true; more;) {
      const reply = overview(me, after, limit);
      ({ more } = reply);
      found.push(...reply.conversations.map(({ user }) => user));
      const last = reply.conversations.at(-1);
      if (last === undefined) break;
      after = { waiting: last.unread + last.inbox > 0, index: last.last.index };
    }
    expect(found).toEqual(expected);
  }
  // One that moves up meanwhile is on the first page, and nothing is left out on the others.
  const [first, second] = overview(me, null, 2).conversations;
  if (first === undefined || second === undefined) throw new Error("there are that many");
  await clients[1]?.send("me", "meanwhile");
  const rest = overview(me, { waiting: true, index: second.last.index }).conversations;
  expect(rest.map(({ user }) => user)).toEqual(["ben", "gil", "eva", "cat"]);
  expect(overview(me, null, 1).conversations.map(({ user }) => user)).toEqual(["ann"]);
});

test("a long text is cut between characters, a page has its limits, and only an account has conversations", async () => {
  const { lineage, clients } = people("alice", "bob");
  const [alice, bob] = clients as [Client, Client];
  await alice.send("bob", "🍮".repeat(500));
  expect(overview(bob).conversations[0]?.last.text).toBe(`${"🍮".repeat(120)}…`);
  expect(alice.query({ type: "conversations", after: null, limit: 0 })).toMatchObject({ code: "bad-command" });
  const stranger = lineage.client(9);
  expect(stranger.query({ type: "conversations", after: null, limit: 1 })).toMatchObject({ code: "not-logged-in" });
});
