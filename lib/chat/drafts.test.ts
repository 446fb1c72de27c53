/** Drafts on the server: kept, changed, sent, deleted; and what becomes of them when forks meet. */
import { describe, expect, test } from "bun:test";
import { limits } from "../base/limits.ts";
import type { OpId } from "../protocol/messages.ts";
import type { OpResult } from "../protocol/state-machine.ts";
import { inMemory, Lineage, type Client } from "./chat.fixture.ts";

function scene() {
  const lineage = new Lineage(inMemory());
  const [alice, bob] = [lineage.client(1).signUp("alice"), lineage.client(2).signUp("bob")];
  const phone = lineage.client(3).signIn(alice.account);
  lineage.pushes();
  return { lineage, alice, bob, phone };
}

async function saved(client: Client, text: string, to = "bob", draft: OpId | null = null): Promise<OpId> {
  return draftOf(await client.do({ type: "saveDraft", draft, to, text }));
}

function draftOf(result: OpResult | null): OpId {
  return result?.type === "draftSaved" ? result.draft : expect.unreachable(JSON.stringify(result));
}

function drafts(client: Client) {
  const list = client.query({ type: "drafts" });
  return list.type === "draftList" ? list.drafts : expect.unreachable(JSON.stringify(list));
}

const texts = (client: Client): string[] => drafts(client).map(({ to, text }) => `${to}: ${text}`);
const last = (client: Client): OpId => ({ session: client.session, seq: client.next - 1 });

describe("keeping", () => {
  test("a new draft, another text and recipient of it, the one saved last first; its id stays", async () => {
    const { alice, bob, phone } = scene();
    const first = await saved(alice, "one", "");
    const second = await saved(phone, "two");
    expect(texts(alice)).toEqual(["bob: two", ": one"]);
    expect(await saved(phone, "one, longer", "BOB", first)).toEqual(first);
    expect(texts(phone)).toEqual(["bob: one, longer", "bob: two"]);
    expect(drafts(alice).map(({ draft }) => draft)).toEqual([first, second]);
    expect(texts(bob)).toEqual([]);
    expect(bob.inbox() + bob.page().messages.length).toBe(0);
  });

  test("the account's other sessions are told, nobody else is", async () => {
    const { lineage, alice, bob, phone } = scene();
    const draft = await saved(alice, "one");
    expect(lineage.pushes(phone.session)).toEqual([{ type: "changed", what: "drafts", ids: [draft] }]);
    await alice.do({ type: "sendDraft", draft });
    expect(lineage.pushes(phone.session)).toEqual([{ type: "changed", what: "drafts", ids: [draft] }]);
    expect(lineage.pushes(bob.session)).toMatchObject([{ type: "message", message: { text: "one" } }]);
    expect(lineage.pushes()).toEqual([]);
  });

  test("login and resuming say how many there are", async () => {
    const { lineage, alice } = scene();
    await saved(alice, "one");
    await saved(alice, "two");
    const tablet = lineage.client(4);
    expect(await tablet.do({ type: "login", user: "alice", password: "password" })).toMatchObject({ drafts: 2 });
    const record = lineage.state.session(alice.session) ?? expect.unreachable();
    expect(lineage.state.waiting(record)).toEqual({ inbox: 0, drafts: 2 });
    // A retry says what the first answer said.
    await alice.do({ type: "deleteDrafts", drafts: [drafts(alice)[0]?.draft ?? expect.unreachable()] });
    expect(lineage.state.result(tablet.session, 1)).toMatchObject({ user: "alice", inbox: 0, drafts: 2 });
    expect(lineage.state.waiting(record)).toEqual({ inbox: 0, drafts: 1 });
  });

  test("what cannot be kept is refused, and nothing is changed", async () => {
    const { alice, bob } = scene();
    const draft = await saved(alice, "one");
    const save = (fields: object) => alice.do({ type: "saveDraft", draft: null, to: "bob", text: "x", ...fields });
    expect(await save({ to: "carol" })).toMatchObject({ code: "no-such-user" });
    expect(await save({ to: "alice" })).toMatchObject({ code: "to-self" });
    expect(await save({ to: "a b" })).toMatchObject({ code: "bad-name" });
    expect(await save({ text: "\ud800" })).toMatchObject({ code: "bad-command" });
    expect(await save({ text: "é".repeat(limits.textBytesMax / 2) + "x" })).toMatchObject({ code: "too-long" });
    expect(await save({ draft: { ...draft, seq: 99 } })).toMatchObject({ code: "no-such-draft" });
    // Of another account.
    expect(await bob.do({ type: "saveDraft", draft, to: "alice", text: "x" })).toMatchObject({ code: "no-such-draft" });
    expect(await bob.do({ type: "sendDraft", draft })).toMatchObject({ code: "no-such-draft" });
    expect(await bob.do({ type: "deleteDrafts", drafts: [draft] })).toMatchObject({ code: "no-such-draft" });
    expect(texts(alice)).toEqual(["bob: one"]);
  });

  test("an account makes so many and no more; one that exists can still be changed", async () => {
    const { lineage, alice, phone } = scene();
    const first = await saved(alice, "first");
    for (let n = 1; n < limits.draftsMax; n++) await saved(alice, `draft ${n}`);
    expect(await alice.do({ type: "saveDraft", draft: null, to: "", text: "x" })).toMatchObject({ code: "too-many" });
    expect(await saved(phone, "changed", "", first)).toEqual(first);
    // Accepted before it was known that there is no room.
    const late = { type: "saveDraft", account: alice.account, version: null, to: null, text: "late" } as const;
    expect(lineage.commit({ session: phone.session, seq: 50 }, late)).toMatchObject({ code: "too-many" });
    // What was acknowledged on another side is kept, whatever the number.
    expect(lineage.merge(phone.session, 51, late)).toMatchObject({ type: "draftSaved" });
    expect(drafts(alice)).toHaveLength(limits.draftsMax + 1);
  });
});

describe("sending", () => {
  test("it becomes a message whose id is known beforehand, and is a draft no more", async () => {
    const { alice, bob, phone } = scene();
    const draft = await saved(alice, "one");
    await saved(alice, "one, as it is sent", "bob", draft);
    const version = last(alice);
    expect(await phone.do({ type: "sendDraft", draft })).toMatchObject({ type: "sent", id: version });
    expect(drafts(alice)).toEqual([]);
    expect(bob.page().messages).toMatchObject([{ id: version, from: "alice", text: "one, as it is sent" }]);
    expect(alice.texts()).toEqual(["one, as it is sent"]);
    expect(await bob.do({ type: "mark", ids: [version], read: true })).toMatchObject({ count: 1 });
    expect(await alice.do({ type: "sendDraft", draft })).toMatchObject({ code: "no-such-draft" });
  });

  test("to somebody who is away it goes to the inbox", async () => {
    const { alice, bob } = scene();
    bob.detach();
    await alice.do({ type: "sendDraft", draft: await saved(alice, "one") });
    expect(bob.inbox()).toBe(1);
  });

  test("without a recipient, or with one that is gone, or empty, it stays", async () => {
    const { alice, bob } = scene();
    const nobody = await saved(alice, "to nobody", "");
    const bobs = await saved(alice, "to bob");
    const empty = await saved(alice, "");
    const send = (draft: OpId) => alice.do({ type: "sendDraft", draft });
    expect(await send(nobody)).toMatchObject({ code: "no-such-user" });
    expect(await send(empty)).toMatchObject({ code: "bad-command" });
    await bob.do({ type: "deleteAccount", password: "password" });
    expect(await send(bobs)).toMatchObject({ code: "no-such-user" });
    expect(texts(alice)).toEqual([": ", ": to bob", ": to nobody"]);
  });

  test("two sessions at once send it once, and each has the same answer", async () => {
    const { lineage, alice, bob, phone } = scene();
    const draft = await saved(alice, "one");
    const [one, other] = [
      await alice.prepare({ type: "sendDraft", draft }),
      await phone.prepare({ type: "sendDraft", draft }),
    ];
    if (!one.ok || !other.ok) return expect.unreachable();
    const first = lineage.commit({ session: alice.session, seq: 20 }, one.command);
    const second = lineage.commit({ session: phone.session, seq: 20 }, other.command);
    if (first?.type !== "sent" || second?.type !== "sent") return expect.unreachable();
    expect([second.id, second.at]).toEqual([first.id, first.at]);
    expect(bob.texts()).toEqual(["one"]);
  });

  test("a session that changed or deleted it a moment before wins", async () => {
    const { lineage, alice, bob, phone } = scene();
    for (const [seq, before] of [
      [30, (draft: OpId) => saved(phone, "changed", "bob", draft)],
      [31, (draft: OpId) => phone.do({ type: "deleteDrafts", drafts: [draft] })],
    ] as const) {
      const draft = await saved(alice, "one");
      const sending = await alice.prepare({ type: "sendDraft", draft });
      await before(draft);
      if (!sending.ok) return expect.unreachable();
      expect(lineage.commit({ session: alice.session, seq }, sending.command)).toMatchObject({ code: "no-such-draft" });
    }
    expect(bob.texts()).toEqual([]);
    expect(texts(alice)).toEqual(["bob: changed"]);
  });
});

test("deleting: one unknown refuses the whole", async () => {
  const { alice } = scene();
  const [one, other] = [await saved(alice, "one"), await saved(alice, "other")];
  const remove = (ids: OpId[]) => alice.do({ type: "deleteDrafts", drafts: ids });
  expect(await remove([one, { ...one, seq: 99 }])).toMatchObject({ code: "no-such-draft" });
  expect(drafts(alice)).toHaveLength(2);
  expect(await remove([one, other])).toMatchObject({ type: "done", count: 2 });
  expect(drafts(alice)).toEqual([]);
});

test("go with the account", async () => {
  const { lineage, alice, bob } = scene();
  await saved(alice, "kept");
  await alice.do({ type: "sendDraft", draft: await saved(alice, "sent") });
  await saved(bob, "to alice", "alice");
  expect(await alice.do({ type: "deleteAccount", password: "password" })).toMatchObject({ type: "done" });
  expect(texts(bob)).toEqual([": to alice"]);
  expect(bob.texts()).toEqual(["sent"]);
  lineage.client(5).signUp("alice");
  expect(texts(lineage.client(6).signIn({ session: lineage.client(5).session, seq: 1 }))).toEqual([]);
  // The name is another's now: a draft follows the account and not the name.
  expect(texts(bob)).toEqual([": to alice"]);
});

/** Two forks of one draft: what `here` did is in the lineage, what `there` did comes after it. */
describe("when forks meet", () => {
  async function forked() {
    const { lineage, alice, bob, phone } = scene();
    const draft = await saved(alice, "as it was");
    const version = last(alice);
    const account = alice.account;
    const to = bob.account;
    lineage.pushes();
    const edit = (text: string, seen = version) => ({ type: "saveDraft", account, version: seen, to, text }) as const;
    const send = (text: string, seen = version) =>
      ({ type: "sendDraft", from: account, version: seen, to, text }) as const;
    const remove = { type: "deleteDrafts" as const, account, versions: [version] };
    return { lineage, alice, bob, phone, draft, version, edit, send, remove };
  }

  test("edited on both sides: both are kept, the account is told, and what followed there finds the right one", async () => {
    const { lineage, alice, phone, draft, edit } = await forked();
    expect(await saved(alice, "edited here", "bob", draft)).toEqual(draft);
    const first = draftOf(phone.merge(edit("edited there")));
    const [there] = [last(phone)];
    expect(first).toEqual(there);
    expect(lineage.pushes(phone.session).map(({ type }) => type)).toEqual(["changed", "notice", "changed"]);
    // There it went on with what it had edited.
    expect(draftOf(phone.merge(edit("edited there again", there)))).toEqual(first);
    expect(texts(alice)).toEqual(["bob: edited there again", "bob: edited here"]);
    expect(phone.merge({ type: "deleteDrafts", account: alice.account, versions: [last(phone)] })).toMatchObject({
      count: 1,
    });
    expect(texts(alice)).toEqual(["bob: edited here"]);
  });

  test("sent on both sides: one message", async () => {
    const { lineage, alice, bob, phone, draft, version, send } = await forked();
    expect(await alice.do({ type: "sendDraft", draft })).toMatchObject({ type: "sent", id: version });
    lineage.pushes();
    expect(phone.merge(send("as it was"))).toMatchObject({ type: "sent", id: version });
    expect(bob.texts()).toEqual(["as it was"]);
    expect(lineage.pushes()).toEqual([]);
    // Also when nobody has the message any more.
    for (const client of [alice, bob]) await client.do({ type: "deleteMessages", ids: [version] });
    expect(phone.merge(send("as it was"))).toMatchObject({ type: "sent", id: version });
    expect(bob.texts()).toEqual([]);
  });

  test("edited here and sent there: the message is delivered, the edit is a draft", async () => {
    const { alice, bob, phone, draft, version, send } = await forked();
    await saved(alice, "edited", "bob", draft);
    expect(phone.merge(send("as it was"))).toMatchObject({ type: "sent", id: version, at: 1 });
    expect([bob.texts(), texts(alice)]).toEqual([["as it was"], ["bob: edited"]]);
  });

  test("sent here and edited there: the same", async () => {
    const { alice, bob, phone, draft, edit } = await forked();
    await alice.do({ type: "sendDraft", draft });
    draftOf(phone.merge(edit("edited")));
    expect([bob.texts(), texts(alice)]).toEqual([["as it was"], ["bob: edited"]]);
  });

  test("deleted here and sent there: it was acknowledged, so it is delivered", async () => {
    const { alice, bob, phone, draft, send } = await forked();
    await alice.do({ type: "deleteDrafts", drafts: [draft] });
    expect(phone.merge(send("as it was"))).toMatchObject({ type: "sent" });
    expect([bob.texts(), texts(alice)]).toEqual([["as it was"], []]);
  });

  test("sent here and deleted there: it stays sent", async () => {
    const { alice, bob, phone, draft, remove } = await forked();
    await alice.do({ type: "sendDraft", draft });
    expect(phone.merge(remove)).toMatchObject({ type: "done", count: 0 });
    expect(bob.texts()).toEqual(["as it was"]);
  });

  test("edited on one side and deleted on the other, either way: the edit is kept", async () => {
    const one = await forked();
    await saved(one.alice, "edited", "bob", one.draft);
    expect(one.phone.merge(one.remove)).toMatchObject({ count: 0 });
    expect(texts(one.alice)).toEqual(["bob: edited"]);
    const other = await forked();
    await other.alice.do({ type: "deleteDrafts", drafts: [other.draft] });
    draftOf(other.phone.merge(other.edit("edited")));
    expect(texts(other.alice)).toEqual(["bob: edited"]);
  });

  test("sent to an account that was deleted here: a notice, and the draft stays", async () => {
    const { lineage, alice, bob, phone, send } = await forked();
    await bob.do({ type: "deleteAccount", password: "password" });
    lineage.pushes();
    expect(phone.merge(send("as it was"))).toMatchObject({ code: "no-such-user" });
    expect(lineage.pushes(phone.session)).toMatchObject([
      { type: "notice", text: expect.stringContaining("as it was") },
    ]);
    expect(texts(alice)).toEqual([": as it was"]);
  });

  test("edited to go to an account that was deleted here: it names nobody", async () => {
    const { alice, bob, phone, edit } = await forked();
    await bob.do({ type: "deleteAccount", password: "password" });
    draftOf(phone.merge(edit("edited")));
    expect(texts(alice)).toEqual([": edited"]);
  });

  test("a sending that comes before its saving", async () => {
    const { lineage, alice, bob, phone, send } = await forked();
    const [saving, version] = [phone.next, { session: phone.session, seq: phone.next }];
    expect(lineage.merge(phone.session, saving + 1, send("written there", version))).toMatchObject({ type: "sent" });
    const save = {
      type: "saveDraft",
      account: alice.account,
      version: null,
      to: bob.account,
      text: "written there",
    } as const;
    expect(lineage.merge(phone.session, saving, save)).toMatchObject({ type: "draftSaved", draft: version });
    expect([bob.texts(), texts(alice)]).toEqual([["written there"], ["bob: as it was"]]);
  });
});

/** A client that counts wrongly uses one number on both sides of a partition: for a draft, and for a message. */
describe("one number used twice", () => {
  async function away() {
    const { lineage, alice, bob } = scene();
    bob.detach();
    const { session, account } = alice;
    const version = { session, seq: 10 };
    const to = bob.account;
    const write = () => lineage.commit({ session, seq: 10 }, { type: "send", from: account, to, text: "here" });
    const send = (seq: number) =>
      lineage.merge(session, seq, { type: "sendDraft", from: account, version, to, text: "there" });
    const settle = () =>
      lineage.commit({ session, seq: 20 }, { type: "mark", account, ids: [{ session, seq: 99 }], read: true });
    return { lineage, alice, bob, version, write, send, settle };
  }

  test("a draft of the fork whose id is a message here is no draft: nothing is posted, before or after settling", async () => {
    const { bob, write, send, settle } = await away();
    write();
    expect(send(11)).toMatchObject({ code: "no-such-draft" });
    settle();
    expect(send(12)).toMatchObject({ code: "no-such-draft" });
    bob.attach();
    expect(await bob.do({ type: "open", count: 5 })).toMatchObject({ messages: [{ text: "here" }] });
  });

  test("sent before its number is used, it becomes a message of another id: both can be found and deleted", async () => {
    const { lineage, alice, bob, version, write, send, settle } = await away();
    const id = { ...version, seq: 11 };
    expect(send(11)).toMatchObject({ type: "sent", id });
    expect(write()).toMatchObject({ type: "sent", id: version });
    settle();
    bob.attach();
    expect(await bob.do({ type: "open", count: 5 })).toMatchObject({
      messages: [
        { text: "there", id },
        { text: "here", id: version },
      ],
    });
    for (const client of [alice, bob]) await client.do({ type: "deleteMessages", ids: [id] });
    expect([alice.texts(), bob.texts()]).toEqual([["here"], ["here"]]);
    for (const client of [alice, bob]) await client.do({ type: "deleteMessages", ids: [version] });
    expect([alice.texts(), bob.texts()]).toEqual([[], []]);
    expect(lineage.pushes().filter(({ type }) => type === "notice")).toEqual([]);
  });

  test("a draft saved by a session that has expired keeps its id", async () => {
    const { lineage, alice, bob, phone } = scene();
    const version = { session: phone.session, seq: phone.next };
    const account = alice.account;
    const text = "old";
    lineage.commit(version, { type: "saveDraft", account, version: null, to: bob.account, text });
    lineage.commit({ ...version, seq: version.seq + 1 }, { type: "deleteDrafts", account, versions: [version] });
    phone.detach();
    for (const settled of [0, lineage.index + 1]) {
      lineage.system({ type: "expire", settled, before: Number.MAX_SAFE_INTEGER, sessions: [phone.session] });
    }
    const send = { type: "sendDraft", from: account, version, to: bob.account, text } as const;
    expect(lineage.merge(alice.session, 50, send)).toMatchObject({ type: "sent", id: version });
    expect(bob.page().messages).toMatchObject([{ id: version, text }]);
  });
});
