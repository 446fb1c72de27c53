/** What was delivered to a session that was gone already goes to the inbox once the loss is known. */
import { expect, test } from "bun:test";
import { inMemory, Lineage } from "./chat.fixture.ts";

function pair() {
  const lineage = new Lineage(inMemory(), inMemory());
  const alice = lineage.client(1).signUp("alice");
  const bob = lineage.client(2).signUp("bob");
  return { lineage, alice, bob };
}

test("what came after the loss waits in the inbox, in order, and is not delivered any more", async () => {
  const { lineage, alice, bob } = pair();
  await alice.send("bob", "seen");
  const lostAt = lineage.index;
  await alice.send("bob", "one");
  await bob.send("alice", "not to bob");
  await alice.send("bob", "two");
  expect(bob.inbox()).toBe(0);
  bob.detach(lostAt);
  expect(bob.inbox()).toBe(2);
  expect(bob.texts()).toEqual(["not to bob", "seen"]);
  await alice.send("bob", "three");
  bob.attach();
  const record = lineage.state.session(bob.session) ?? expect.unreachable();
  expect(lineage.state.missed(record, lostAt, 10)).toEqual([]);
  const opened = await bob.do({ type: "open", count: 10 });
  const texts = opened.type === "opened" ? opened.messages.map(({ text }) => text) : [];
  expect(texts).toEqual(["one", "two", "three"]);
  // Opened is opened: another loss does not bring it back.
  bob.detach(lostAt);
  expect(bob.inbox()).toBe(0);
  const [first, second] = lineage.states.map((state) => state.digest());
  expect(first).toBe(second ?? "");
});

test("what is read, or came before the login, stays where it is", async () => {
  const { lineage, alice, bob } = pair();
  await alice.send("bob", "to another session");
  const phone = lineage.client(3).signIn(bob.account);
  bob.detach();
  await alice.send("bob", "read");
  const [newest] = phone.page({ limit: 1 }).messages;
  if (newest === undefined) throw new Error("it is there");
  await phone.do({ type: "mark", ids: [newest.id], read: true });
  phone.detach(0);
  expect(bob.inbox()).toBe(0);
});

test("another session that was there has got it", async () => {
  const { lineage, alice, bob } = pair();
  const phone = lineage.client(3).signIn(bob.account);
  const lostAt = lineage.index;
  await alice.send("bob", "one");
  bob.detach(lostAt);
  expect(phone.inbox()).toBe(0);
  expect(phone.texts()).toEqual(["one"]);
});

test("one that logged in after the loss is told what it could not get", async () => {
  const { lineage, alice, bob } = pair();
  const lostAt = lineage.index;
  await alice.send("bob", "missed");
  const phone = lineage.client(3).signIn(bob.account);
  await alice.send("bob", "live");
  lineage.pushes();
  bob.detach(lostAt);
  expect(phone.inbox()).toBe(1);
  expect(phone.texts()).toEqual(["live"]);
  expect(lineage.pushes(phone.session)).toMatchObject([{ type: "changed", what: "inbox", ids: [{ seq: 3 }] }]);
});
