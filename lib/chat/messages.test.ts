/** Messages: where they arrive, opening, marking, deleting, reading. */
import { describe, expect, test } from "bun:test";
import { assert } from "../base/assert.ts";
import type { OpId } from "../protocol/messages.ts";
import { inMemory, Lineage, uuidOf, type Client } from "./chat.fixture.ts";

function pair() {
  const lineage = new Lineage(inMemory());
  return { lineage, alice: lineage.client(1).signUp("alice"), bob: lineage.client(2).signUp("bob") };
}

async function sent(client: Client, to: string, text: string): Promise<OpId> {
  const result = await client.send(to, text);
  assert(result.type === "sent", `it is sent: ${JSON.stringify(result)}`);
  return result.id;
}

describe("send", () => {
  test("reaches every session of the recipient while one is there, and nobody else", async () => {
    const { lineage, alice, bob } = pair();
    const phone = lineage.client(3);
    phone.signIn(bob.account);
    phone.detach();
    const result = await alice.send("BOB", "hello\u0000 ✓");
    expect(result).toMatchObject({ type: "sent", id: { session: alice.session, seq: 3 }, index: lineage.index });
    const push = {
      type: "message",
      message: {
        id: { session: alice.session, seq: 3 },
        index: lineage.index,
        from: "alice",
        to: "bob",
        text: "hello\u0000 ✓",
        at: result.type === "sent" ? result.at : 0,
        read: false,
        inbox: false,
      },
    } as const;
    for (const session of [bob.session, phone.session]) {
      expect(lineage.state.missed(lineage.state.session(session) ?? expect.unreachable(), 0, 10)).toEqual([push]);
    }
    expect(lineage.pushes(phone.session)).toEqual([push]);
    expect(bob.page().messages).toEqual([push.message]);
    expect(alice.page().messages).toEqual([{ ...push.message, read: true }]);
    expect(bob.inbox()).toBe(0);
  });

  test("goes to the inbox when no session is attached, or none logged in", async () => {
    const { lineage, alice, bob } = pair();
    bob.detach();
    await alice.send("bob", "one");
    bob.attach();
    await bob.do({ type: "logout" });
    await alice.send("bob", "two");
    expect(lineage.pushes().filter(({ type }) => type !== "presence")).toEqual([]);
    bob.signIn({ session: bob.session, seq: 1 });
    expect(bob.inbox()).toBe(2);
    expect(bob.texts()).toEqual([]);
    expect(alice.texts()).toEqual(["two", "one"]);
  });

  test("refuses whom and what it cannot be", async () => {
    const { alice, lineage } = pair();
    const nobody = lineage.client(3);
    expect(await nobody.send("alice", "x")).toMatchObject({ code: "not-logged-in" });
    expect(await alice.send("Alice", "x")).toMatchObject({ code: "to-self" });
    expect(await alice.send("carol", "x")).toMatchObject({
      code: "no-such-user",
      message: "There is no account named carol.",
    });
    expect(await alice.send("a b", "x")).toMatchObject({ code: "bad-name" });
    expect(await alice.send("bob", "x".repeat(4097))).toMatchObject({ code: "too-long" });
    expect(await alice.send("bob", "")).toMatchObject({ code: "bad-command" });
    const { account } = alice;
    const toSelf = { type: "send", from: account, to: account, text: "x" } as const;
    expect(lineage.commit({ session: alice.session, seq: 60 }, toSelf)).toMatchObject({ code: "to-self" });
  });

  test("goes out though the sender has logged out since it was accepted", async () => {
    const { lineage, alice, bob } = pair();
    const { account: from } = alice;
    await alice.do({ type: "logout" });
    const send = { type: "send", from, to: bob.account, text: "late" } as const;
    expect(lineage.commit({ session: alice.session, seq: 60 }, send)).toMatchObject({ type: "sent" });
    expect(bob.texts()).toEqual(["late"]);
  });

  test("to or from an account deleted meanwhile is refused, and leaves nothing", () => {
    const { lineage, alice, bob } = pair();
    const [from, to] = [alice.account, bob.account];
    lineage.commit({ session: bob.session, seq: 60 }, { type: "deleteAccount", account: to });
    const late = lineage.commit({ session: alice.session, seq: 60 }, { type: "send", from, to, text: "x" });
    expect(late).toMatchObject({ code: "no-such-user" });
    const back = lineage.commit({ session: bob.session, seq: 61 }, { type: "send", from: to, to: from, text: "x" });
    expect(back).toMatchObject({ code: "not-logged-in" });
    expect(alice.texts()).toEqual([]);
    expect(lineage.pushes()).toEqual([]);
  });
});

describe("open", () => {
  test("moves the oldest n and tells the account's other sessions", async () => {
    const { lineage, alice, bob } = pair();
    bob.detach();
    for (const text of ["one", "two", "three"]) await alice.send("bob", text);
    bob.attach();
    const phone = lineage.client(3);
    phone.signIn(bob.account);
    lineage.pushes();
    const opened = await bob.do({ type: "open", count: 2 });
    assert(opened.type === "opened", "they are opened");
    expect(opened.messages).toMatchObject([
      { text: "one", read: false, inbox: false },
      { text: "two", read: false, inbox: false },
    ]);
    const ids = opened.messages.map(({ id }) => id);
    expect(lineage.pushes(phone.session)).toEqual([{ type: "changed", what: "inbox", ids }]);
    expect(lineage.pushes()).toEqual([]);
    expect(bob.inbox()).toBe(1);
    expect(bob.texts()).toEqual(["two", "one"]);
    expect(await bob.do({ type: "open", count: 200 })).toMatchObject({ messages: [{ text: "three" }] });
    expect(await bob.do({ type: "open", count: 1 })).toMatchObject({ type: "opened", messages: [] });
    for (const count of [0, 201]) {
      expect(await bob.do({ type: "open", count })).toMatchObject({ code: "bad-command" });
    }
  });

  test("by two sessions at once gives each message to one of them", async () => {
    const { lineage, alice, bob } = pair();
    bob.detach();
    await alice.send("bob", "one");
    const phone = lineage.client(3);
    phone.signIn(bob.account);
    const prepared = await Promise.all([bob, phone].map((each) => each.prepare({ type: "open", count: 5 })));
    const results = prepared.map((each, at) => {
      assert(each.ok, "it is accepted");
      return lineage.commit({ session: [bob, phone][at]?.session ?? "", seq: 50 }, each.command);
    });
    expect(results).toMatchObject([{ messages: [{ text: "one" }] }, { messages: [] }]);
  });
});

describe("mark", () => {
  test("is the owner's alone, counts, and tells its other sessions", async () => {
    const { lineage, alice, bob } = pair();
    const ids = [await sent(alice, "bob", "one"), await sent(alice, "bob", "two")];
    const phone = lineage.client(3);
    phone.signIn(bob.account);
    lineage.pushes();
    expect(bob.texts({ unread: true })).toEqual(["two", "one"]);
    expect(await bob.do({ type: "mark", ids: ids.slice(0, 1), read: true })).toMatchObject({ type: "done", count: 1 });
    expect(lineage.pushes(phone.session)).toEqual([{ type: "changed", what: "read", ids: ids.slice(0, 1) }]);
    expect(lineage.pushes()).toEqual([]);
    expect(bob.texts({ unread: true })).toEqual(["two"]);
    expect(bob.page().messages.map(({ read }) => read)).toEqual([false, true]);
    expect(bob.texts({ unread: true, with: "alice" })).toEqual(["two"]);
    // Only what changes is counted and told: the second one is unread already.
    expect(await bob.do({ type: "mark", ids: [...ids, ...ids], read: false })).toMatchObject({ count: 1 });
    expect(lineage.pushes(phone.session)).toEqual([{ type: "changed", what: "read", ids: ids.slice(0, 1) }]);
    expect(bob.texts({ unread: true })).toEqual(["two", "one"]);
    // What alice sent is read for her whatever she marks.
    expect(await alice.do({ type: "mark", ids, read: false })).toMatchObject({ type: "done", count: 0 });
    expect(alice.page().messages.map(({ read }) => read)).toEqual([true, true]);
    expect(alice.texts({ unread: true })).toEqual([]);
  });

  test("one unknown id refuses the whole, where it is accepted and when it is applied", async () => {
    const { lineage, alice, bob } = pair();
    const id = await sent(alice, "bob", "one");
    const carol = lineage.client(3).signUp("carol");
    const unknown = { session: uuidOf(77), seq: 1 };
    const { account } = bob;
    let seq = 50;
    for (const ids of [
      [id, unknown],
      [id, { ...id, seq: 99 }],
    ]) {
      expect(await bob.do({ type: "mark", ids, read: true })).toMatchObject({ code: "no-such-message" });
      expect(await bob.do({ type: "deleteMessages", ids })).toMatchObject({ code: "no-such-message" });
      for (const late of [
        { type: "mark", account, ids, read: true },
        { type: "deleteMessages", account, ids },
      ] as const) {
        expect(lineage.commit({ session: bob.session, seq: seq++ }, late)).toMatchObject({ code: "no-such-message" });
      }
    }
    expect(await carol.do({ type: "mark", ids: [id], read: true })).toMatchObject({
      code: "no-such-message",
      message: `You have no message ${id.session}/${id.seq}: nothing was changed.`,
    });
    expect(bob.texts({ unread: true })).toEqual(["one"]);
  });
});

test("deleted by one, a message stays with the other; deleted by both, its text is gone from the tables", async () => {
  const { lineage, alice, bob } = pair();
  const id = await sent(alice, "bob", "secret");
  await alice.send("bob", "other");
  expect(await alice.do({ type: "deleteMessages", ids: [id, id] })).toMatchObject({ type: "done", count: 1 });
  expect(alice.texts()).toEqual(["other"]);
  expect(bob.texts()).toEqual(["other", "secret"]);
  expect(await alice.do({ type: "mark", ids: [id], read: true })).toMatchObject({ code: "no-such-message" });
  await bob.do({ type: "deleteMessages", ids: [id] });
  expect(bob.texts()).toEqual(["other"]);
  expect(lineage.state.missed(lineage.state.session(bob.session) ?? expect.unreachable(), 0, 9)).toHaveLength(1);
});

test("pages go back through all conversations or one, across what is settled and what is not", async () => {
  const { lineage, alice, bob } = pair();
  const carol = lineage.client(3).signUp("carol");
  const texts: string[] = [];
  for (let n = 0; n < 12; n++) {
    const text = `message ${n}`;
    if (n % 3 === 0) await alice.send("carol", text);
    else if (n % 3 === 1) await bob.send("alice", text);
    else await alice.send("bob", text);
    texts.unshift(text);
    // A delete settles everything before it.
    if (n === 6)
      await carol.do({ type: "deleteMessages", ids: [carol.page().messages[0]?.id ?? expect.unreachable()] });
  }
  expect(alice.texts()).toEqual(texts);
  expect(alice.texts({ with: "BOB" })).toEqual(texts.filter((_, at) => (11 - at) % 3 !== 0));
  expect(carol.texts()).toEqual(["message 9", "message 3", "message 0"]);
  for (const limit of [1, 2, 5, 11, 12]) {
    const paged: string[] = [];
    for (let before: number | undefined; ;) {
      const page = alice.page({ limit, ...(before === undefined ? {} : { before }) });
      paged.push(...page.messages.map(({ text }) => text));
      expect(page.messages.length).toBeLessThanOrEqual(limit);
      if (!page.more) break;
      before = page.messages.at(-1)?.index ?? expect.unreachable();
    }
    expect(paged).toEqual(texts);
  }
  const nobody = alice.query({ type: "messages", with: "dave", before: null, limit: 1, unread: false });
  expect(nobody).toMatchObject({ type: "refused", code: "no-such-user" });
  expect(bob.texts({ with: "carol" })).toEqual([]);
});

test("a resumed session misses nothing that was delivered since it logged in, and gets no more", async () => {
  const { lineage, alice, bob } = pair();
  await alice.send("bob", "before the phone");
  const phone = lineage.client(3);
  phone.signIn(bob.account);
  await alice.send("bob", "one");
  phone.detach();
  await alice.send("bob", "two");
  await bob.send("alice", "not for bob");
  await alice.send("bob", "three");
  phone.attach();
  const record = lineage.state.session(phone.session) ?? expect.unreachable();
  const missed = (after: number, limit = 10) =>
    lineage.state.missed(record, after, limit).map((push) => (push.type === "message" ? push.message.text : push.type));
  expect(missed(0)).toEqual(["one", "two", "three"]);
  const one = bob.page().messages.find(({ text }) => text === "one")?.index ?? 0;
  expect(missed(one)).toEqual(["two", "three"]);
  expect(missed(one, 1)).toEqual(["two"]);
  // What went to the inbox is not delivered, even after it was opened.
  bob.detach();
  phone.detach();
  await alice.send("bob", "inbox");
  bob.attach();
  await bob.do({ type: "open", count: 1 });
  expect(missed(one)).toEqual(["two", "three"]);
  await phone.do({ type: "logout" });
  expect(lineage.state.missed(lineage.state.session(phone.session) ?? record, 0, 10)).toEqual([]);
});
