/** What becomes of ops that were accepted on the other side of a partition. */
import { describe, expect, test } from "bun:test";
import { encodeCommand } from "../protocol/codec.ts";
import { inMemory, Lineage, passwordHash, uuidOf } from "./chat.fixture.ts";
import { knownNameFault } from "./names.ts";

const fresh = () => new Lineage(inMemory());
const create = (user: string, hash = passwordHash) => ({ type: "createAccount", user, passwordHash: hash }) as const;

describe("two accounts under one name", () => {
  test("the first in the lineage keeps it; the other gets a suffix, its password, its old name to sign in, a notice", async () => {
    const lineage = fresh();
    const alice = lineage.client(1).signUp("alice");
    const other = lineage.client(2);
    const otherHash = await Bun.password.hash("the other one", { algorithm: "argon2id", memoryCost: 8, timeCost: 1 });
    expect(other.merge(create("Alice", otherHash))).toMatchObject({
      type: "created",
      user: "Alice~2",
    });
    const login = (password: string, user = "alice") => other.do({ type: "login", user, password });
    lineage.pushes();
    expect(await login("the other one")).toMatchObject({ type: "loggedIn", user: "Alice~2" });
    const [notice, ...rest] = lineage.pushes(other.session);
    expect(notice).toMatchObject({ type: "notice", text: expect.stringContaining("This one is called Alice~2 now") });
    expect(rest).toEqual([]);
    expect(await alice.send("alice~2", "hello, namesake")).toMatchObject({ type: "sent" });
    expect(other.page().messages).toMatchObject([{ from: "alice", to: "Alice~2" }]);
    await other.do({ type: "logout" });
    expect(await login("the other one", "ALICE~2")).toMatchObject({ type: "loggedIn", user: "Alice~2" });
    // Told once.
    expect(lineage.pushes(other.session).filter(({ type }) => type === "notice")).toEqual([]);
    await other.do({ type: "logout" });
    expect(await login("password")).toMatchObject({ type: "loggedIn", user: "alice" });
    await other.do({ type: "logout" });
    expect(await login("neither of them")).toMatchObject({ code: "wrong-password" });
  });

  test("a third gets the next number, and keeps within the length of a name", () => {
    const lineage = fresh();
    const { session } = lineage.client(1);
    const name = "a".repeat(32);
    expect(lineage.commit({ session, seq: 1 }, create(name))).toMatchObject({ user: name });
    expect(lineage.merge(session, 2, create(name))).toMatchObject({ user: `${"a".repeat(30)}~2` });
    expect(lineage.merge(session, 3, create(name))).toMatchObject({ user: `${"a".repeat(30)}~3` });
    expect(lineage.merge(session, 4, create("free"))).toMatchObject({ user: "free" });
  });

  test("what is left of a long name without letters can be written to", () => {
    const lineage = fresh();
    const { session } = lineage.client(1);
    const name = `${"_".repeat(30)}ab`;
    lineage.commit({ session, seq: 1 }, create(name));
    expect(lineage.merge(session, 2, create(name))).toMatchObject({ user: `${"_".repeat(30)}~2` });
    expect(knownNameFault(`${"_".repeat(30)}~2`)).toBeNull();
  });

  test("once the first is deleted the other still signs in by either name, unless somebody claims it", async () => {
    const lineage = fresh();
    const [alice, other] = [lineage.client(1).signUp("alice"), lineage.client(2)];
    other.merge(create("alice"));
    lineage.commit({ session: alice.session, seq: 5 }, { type: "deleteAccount", account: alice.account });
    expect(await other.do({ type: "login", user: "alice", password: "password" })).toMatchObject({ user: "alice~2" });
    expect(await lineage.client(3).signUp("alice").send("alice~2", "hi")).toMatchObject({ type: "sent" });
    lineage.commit({ session: other.session, seq: 9 }, { type: "deleteAccount", account: other.account });
    expect(await lineage.client(4).do({ type: "login", user: "alice~2", password: "password" })).toMatchObject({
      code: "no-such-user",
    });
  });

  test("a session that logged in on the other side is told when it logs in here", () => {
    const lineage = fresh();
    lineage.client(1).signUp("alice");
    const { session } = lineage.client(2);
    lineage.merge(session, 1, create("alice"));
    expect(lineage.merge(session, 2, { type: "login", account: { session, seq: 1 } })).toMatchObject({
      user: "alice~2",
    });
    expect(lineage.pushes(session)).toMatchObject([{ type: "notice" }]);
  });
});

describe("several messages, one of which was deleted on the other side", () => {
  async function three() {
    const lineage = fresh();
    const alice = lineage.client(1).signUp("alice");
    const bob = lineage.client(2).signUp("bob");
    const phone = lineage.client(3).signIn(bob.account);
    const seqs = [alice.next, alice.next + 1, alice.next + 2];
    for (const seq of seqs) await alice.send("bob", `number ${seq}`);
    const ids = seqs.map((seq) => ({ session: alice.session, seq }));
    await bob.do({ type: "deleteMessages", ids: ids.slice(0, 1) });
    return { bob, phone, ids, account: bob.account };
  }

  test("the others are marked, as was acknowledged", async () => {
    const { bob, phone, ids, account } = await three();
    expect(phone.merge({ type: "mark", account, ids, read: true })).toMatchObject({ type: "done", count: 2 });
    expect(bob.page().messages.map(({ read }) => read)).toEqual([true, true]);
  });

  test("the others are deleted, as was acknowledged", async () => {
    const { bob, phone, ids, account } = await three();
    expect(phone.merge({ type: "deleteMessages", account, ids })).toMatchObject({ type: "done", count: 2 });
    expect(bob.page().messages).toEqual([]);
  });
});

describe("a message to an account deleted on the other side", () => {
  function deleted() {
    const lineage = fresh();
    const [alice, bob] = [lineage.client(1).signUp("alice"), lineage.client(2).signUp("bob")];
    const send = { type: "send", from: alice.account, to: bob.account, text: "x".repeat(100) } as const;
    lineage.commit({ session: bob.session, seq: 9 }, { type: "deleteAccount", account: bob.account });
    lineage.pushes();
    return { lineage, alice, send };
  }

  test("is refused with a notice to the sender, which knows the message by its beginning", () => {
    const { lineage, alice, send } = deleted();
    expect(lineage.merge(alice.session, 5, send)).toMatchObject({ code: "no-such-user" });
    const [push] = lineage.pushes(alice.session);
    expect(push).toMatchObject({ type: "notice", text: expect.stringContaining(`began: ${"x".repeat(60)}…`) });
    // In the lineage itself the refusal is all there is.
    lineage.commit({ session: alice.session, seq: 6 }, send);
    expect(lineage.pushes(alice.session)).toEqual([]);
  });

  test("the notice waits for a login, or for the session to resume", () => {
    const { lineage, alice, send } = deleted();
    alice.detach();
    lineage.merge(alice.session, 5, send);
    alice.attach();
    const record = lineage.state.session(alice.session) ?? expect.unreachable();
    expect(lineage.state.missed(record, 0, 10)).toMatchObject([{ type: "notice" }]);
    lineage.pushes();
    const phone = lineage.client(3).signIn(alice.account);
    expect(lineage.pushes(phone.session)).toMatchObject([{ type: "notice" }]);
    alice.detach();
    alice.attach();
    expect(lineage.state.missed(lineage.state.session(alice.session) ?? record, 0, 10)).toEqual([]);
  });
});

describe("what an account sent that was deleted on the other side", () => {
  function deleted() {
    const lineage = fresh();
    const [alice, bob] = [lineage.client(1).signUp("alice"), lineage.client(2).signUp("bob")];
    const version = { session: alice.session, seq: 9 };
    const from = { from: alice.account, to: bob.account } as const;
    lineage.commit({ session: alice.session, seq: 4 }, { type: "deleteAccount", account: alice.account });
    lineage.pushes();
    return { lineage, alice, bob, version, from };
  }

  test("a message: its recipient, who may have had it there, is told what it was", () => {
    const { lineage, alice, bob, from } = deleted();
    const send = { type: "send", ...from, text: "the keys are under the mat" } as const;
    expect(lineage.merge(alice.session, 5, send)).toMatchObject({ code: "not-logged-in" });
    const [push] = lineage.pushes(bob.session);
    expect(push).toMatchObject({ type: "notice", text: expect.stringContaining("the keys are under the mat") });
    // In the lineage itself nobody has an acknowledgement.
    lineage.commit({ session: alice.session, seq: 6 }, send);
    expect(lineage.pushes(bob.session)).toEqual([]);
  });

  test("a draft", () => {
    const { lineage, alice, bob, version, from } = deleted();
    const draft = { type: "sendDraft", ...from, version, text: "the keys are under the mat" } as const;
    expect(lineage.merge(alice.session, 5, draft)).toMatchObject({ code: "not-logged-in" });
    expect(lineage.pushes(bob.session)).toMatchObject([{ type: "notice" }]);
  });
});

test("what users see of a merged message is when it was first accepted", () => {
  const lineage = fresh();
  const [alice, bob] = [lineage.client(1).signUp("alice"), lineage.client(2).signUp("bob")];
  const send = { type: "send", from: alice.account, to: bob.account, text: "old" } as const;
  expect(lineage.merge(alice.session, 5, send)).toMatchObject({ type: "sent", at: 1 });
  expect(bob.page().messages).toMatchObject([{ at: 1, index: lineage.index, id: { session: uuidOf(1), seq: 5 } }]);
  expect(lineage.pushes(bob.session)).toMatchObject([{ message: { at: 1 } }]);
});

/** Asked for on two sides, as an answer was lost: refused here, and done there. */
describe("what was refused here and done on the other side", () => {
  function asked() {
    const lineage = fresh();
    const { session } = lineage.client(1);
    const op = { session, seq: 1, digest: new Uint8Array(8).fill(1) };
    const bob = lineage.client(2).signUp("bob");
    lineage.client(4).signUp("alice");
    expect(lineage.commit(op, create("alice"))).toMatchObject({ code: "name-taken" });
    const refusedAt = lineage.entries.at(-1)?.op?.at ?? 0;
    const merge = (fields: object = {}) =>
      lineage.commit({ ...op, origAt: refusedAt + 1, at: refusedAt + 10, ...fields }, create("alice"));
    const hasMerged = (fields: object = {}) =>
      lineage.state.hasMerged({ ...entryOp, ...op, origAt: refusedAt + 1, ...fields });
    const entryOp = { oldest: 1, at: refusedAt + 1, command: encodeCommand(create("alice")) };
    return { lineage, bob, op, refusedAt, merge, hasMerged };
  }

  test("is done, once, and a retry gets the later answer", () => {
    const { lineage, bob, op, merge, hasMerged } = asked();
    expect(hasMerged()).toBe(false);
    expect(merge()).toMatchObject({ type: "created", user: "alice~2", duplicate: false });
    const { index } = lineage;
    expect(hasMerged()).toBe(true);
    for (const again of [merge(), lineage.commit(op, create("alice")), lineage.state.result(op.session, 1)]) {
      expect(again).toMatchObject({ type: "created", user: "alice~2", duplicate: true, index });
    }
    const send = { type: "send", from: op, to: bob.account, text: "acknowledged" } as const;
    expect(lineage.merge(op.session, 2, send)).toMatchObject({ type: "sent" });
    expect(bob.texts()).toEqual(["acknowledged"]);
  });

  test.each([-5_000, 5_000])("is done whatever the clocks of both sides say: %p ms apart", (apartMs) => {
    const { merge, hasMerged, refusedAt } = asked();
    const fields = { origAt: refusedAt + apartMs };
    expect(hasMerged(fields)).toBe(false);
    expect(merge(fields)).toMatchObject({ type: "created", user: "alice~2" });
    expect(hasMerged(fields)).toBe(true);
  });

  test("stays refused when it is the very copy that was refused here, or when something else was asked for", () => {
    const { merge, hasMerged, refusedAt } = asked();
    const same = { origAt: refusedAt };
    expect(hasMerged(same)).toBe(true);
    expect(merge(same)).toMatchObject({ code: "name-taken" });
    const other = { digest: new Uint8Array(8).fill(2) };
    expect(hasMerged(other)).toBe(true);
    expect(merge(other)).toMatchObject({ code: "bad-command" });
  });

  test("is done also when another copy of it was merged before what it needs had come", () => {
    const lineage = fresh();
    const alice = lineage.client(1).signUp("alice");
    const [carol, op] = [lineage.client(2), { session: alice.session, seq: 9 }];
    const send = { type: "send", from: alice.account, to: { session: carol.session, seq: 1 }, text: "hello" } as const;
    expect(lineage.commit({ ...op, origAt: 190, at: 500 }, send)).toMatchObject({ type: "refused" });
    carol.merge(create("carol"));
    expect(lineage.commit({ ...op, origAt: 190, at: 501 }, send)).toMatchObject({ type: "refused" });
    expect(lineage.commit({ ...op, origAt: 200, at: 502 }, send)).toMatchObject({ type: "sent" });
  });

  test("is told once when it cannot be done here", () => {
    const lineage = fresh();
    const [alice, bob] = [lineage.client(1).signUp("alice"), lineage.client(2).signUp("bob")];
    const send = { type: "send", from: alice.account, to: bob.account, text: "acknowledged" } as const;
    lineage.commit({ session: bob.session, seq: 5 }, { type: "deleteAccount", account: bob.account });
    const op = { session: alice.session, seq: 9 };
    expect(lineage.commit(op, send)).toMatchObject({ code: "no-such-user" });
    const origAt = (lineage.entries.at(-1)?.op?.at ?? 0) + 1;
    lineage.pushes();
    for (let copy = 1; copy <= 2; copy++) {
      expect(lineage.commit({ ...op, origAt, at: origAt + copy }, send)).toMatchObject({ code: "no-such-user" });
    }
    expect(lineage.pushes(alice.session)).toMatchObject([{ type: "notice" }]);
  });

  test("is no message whose number has become the id of a draft that was sent", () => {
    const lineage = fresh();
    const [alice, bob] = [lineage.client(1).signUp("alice"), lineage.client(2).signUp("bob")];
    const { session, account } = alice;
    const [toSelf, send] = [account, bob.account].map(
      (to) => ({ type: "send", from: account, to, text: "a message" }) as const,
    );
    if (toSelf === undefined || send === undefined) return expect.unreachable();
    expect(lineage.commit({ session, seq: 10 }, toSelf)).toMatchObject({ code: "to-self" });
    const origAt = (lineage.entries.at(-1)?.op?.at ?? 0) + 1;
    const version = { session, seq: 10 };
    const draft = { type: "sendDraft", from: account, version, to: bob.account, text: "a draft" } as const;
    expect(lineage.merge(session, 11, draft)).toMatchObject({ type: "sent", id: version });
    expect(lineage.commit({ session, seq: 10, origAt, at: origAt + 5 }, send)).toMatchObject({ code: "bad-command" });
    expect(bob.texts()).toEqual(["a draft"]);
  });
});
