/** Accounts: claiming a name, signing in and out, deleting. */
import { describe, expect, test } from "bun:test";
import { inMemory, Lineage } from "./chat.fixture.ts";

const fresh = () => new Lineage(inMemory());

describe("create", () => {
  test("does not log in; then the password does, and no other", async () => {
    const lineage = fresh();
    const client = lineage.client(1);
    expect(await client.do({ type: "createAccount", user: "Alice", password: "correct horse" })).toMatchObject({
      type: "created",
      user: "Alice",
      duplicate: false,
      index: 2,
      view: 257,
    });
    expect(lineage.state.session(client.session)?.user).toBeNull();
    expect(await client.do({ type: "login", user: "alice", password: "wrong horse" })).toMatchObject({
      code: "wrong-password",
      message: "This is not the password of alice.",
    });
    expect(await client.do({ type: "login", user: "bob", password: "correct horse" })).toMatchObject({
      code: "no-such-user",
      message: "There is no account named bob.",
    });
    expect(await client.do({ type: "login", user: "ALICE", password: "correct horse" })).toMatchObject({
      type: "loggedIn",
      user: "Alice",
      inbox: 0,
      drafts: 0,
    });
    expect(lineage.state.session(client.session)).toMatchObject({ user: "Alice", account: { seq: 1 } });
  });

  test("composed and decomposed passwords are the same", async () => {
    const client = fresh().client(1);
    await client.do({ type: "createAccount", user: "alice", password: "résumé résumé" });
    const login = await client.do({ type: "login", user: "alice", password: "résumé résumé".normalize("NFD") });
    expect(login.type).toBe("loggedIn");
  });

  test("keeps the name in NFC", async () => {
    const client = fresh().client(1);
    const created = await client.do({ type: "createAccount", user: "e\u0301ric", password: "password" });
    expect(created).toMatchObject({ type: "created", user: "\u00e9ric" });
  });

  test("refuses names and passwords that cannot be, and names that are taken in any case", async () => {
    const client = fresh().client(1).signUp("Straße");
    const create = (user: string, password = "password") => client.do({ type: "createAccount", user, password });
    expect(await create("a b")).toMatchObject({ code: "bad-name" });
    expect(await create("bob", "short")).toMatchObject({ code: "bad-password" });
    expect(await create("STRASSE")).toMatchObject({
      code: "name-taken",
      message: "The name Straße is taken: choose another one.",
    });
    expect(await create("bob")).toMatchObject({ type: "created" });
  });

  test("of two that were accepted at the same time the first in the log has the name", () => {
    const lineage = fresh();
    const [one, other] = [lineage.client(1), lineage.client(2)];
    expect(lineage.account(one.session, 1, "alice")).toMatchObject({ type: "created", user: "alice" });
    expect(lineage.account(other.session, 1, "ALICE")).toMatchObject({ code: "name-taken" });
  });
});

describe("login", () => {
  test("while logged in is refused where it is accepted and when it is applied", async () => {
    const lineage = fresh();
    const client = lineage.client(1).signUp("alice");
    expect(await client.do({ type: "login", user: "alice", password: "password" })).toMatchObject({
      code: "already-logged-in",
      message: "You are logged in as alice already: log out first.",
    });
    const again = lineage.commit({ session: client.session, seq: 9 }, { type: "login", account: client.account });
    expect(again).toMatchObject({ code: "already-logged-in" });
  });

  test("to an account deleted meanwhile is refused", () => {
    const lineage = fresh();
    const [alice, other] = [lineage.client(1).signUp("alice"), lineage.client(2)];
    const { account } = alice;
    lineage.commit({ session: alice.session, seq: 9 }, { type: "deleteAccount", account });
    const login = lineage.commit({ session: other.session, seq: 1 }, { type: "login", account });
    expect(login).toMatchObject({ code: "no-such-user" });
    expect(lineage.state.session(other.session)?.user).toBeNull();
  });

  test("says how many messages wait", async () => {
    const lineage = fresh();
    const [alice, bob] = [lineage.client(1).signUp("alice"), lineage.client(2).signUp("bob")];
    await bob.do({ type: "logout" });
    await alice.send("bob", "one");
    await alice.send("bob", "two");
    expect(await bob.do({ type: "login", user: "bob", password: "password" })).toMatchObject({ inbox: 2 });
  });
});

test("logout keeps the session, and needs a login", async () => {
  const lineage = fresh();
  const client = lineage.client(1).signUp("alice");
  expect(await client.do({ type: "logout" })).toMatchObject({ type: "done" });
  expect(lineage.state.session(client.session)).toMatchObject({ user: null, attachment: { pid: 1 } });
  expect(await client.do({ type: "logout" })).toMatchObject({ code: "not-logged-in" });
  expect(lineage.commit({ session: client.session, seq: 50 }, { type: "logout" })).toMatchObject({
    code: "not-logged-in",
  });
});

describe("delete", () => {
  test("needs the password, frees the name, logs every session out and leaves what others have", async () => {
    const lineage = fresh();
    const [alice, bob, phone] = [lineage.client(1).signUp("alice"), lineage.client(2).signUp("Bob"), lineage.client(3)];
    phone.signIn(bob.account);
    await bob.send("alice", "from bob");
    await alice.send("bob", "to bob");
    expect(await bob.do({ type: "deleteAccount", password: "passwort" })).toMatchObject({ code: "wrong-password" });
    lineage.pushes();
    expect(await bob.do({ type: "deleteAccount", password: "password" })).toMatchObject({ type: "done", count: 1 });
    expect(lineage.pushes(phone.session)).toEqual([{ type: "loggedOut", reason: "The account Bob was deleted." }]);
    expect(lineage.pushes()).toMatchObject([{ type: "presence", user: "Bob", online: false }]);
    for (const { session } of [bob, phone]) expect(lineage.state.session(session)?.user).toBeNull();
    expect(await alice.send("bob", "gone?")).toMatchObject({ code: "no-such-user" });
    expect(alice.page().messages).toMatchObject([
      { from: "alice", to: "Bob", text: "to bob" },
      { from: "Bob", to: "alice", text: "from bob" },
    ]);
    expect(alice.texts({ with: "BOB" })).toEqual(["to bob", "from bob"]);
    const again = lineage.client(4).signUp("bob");
    expect(again.texts()).toEqual([]);
    expect(alice.texts({ with: "bob" })).toEqual([]);
    expect(alice.texts()).toEqual(["to bob", "from bob"]);
  });

  test("twice in the pipeline is refused the second time", () => {
    const lineage = fresh();
    const alice = lineage.client(1).signUp("alice");
    const { account } = alice;
    lineage.commit({ session: alice.session, seq: 10 }, { type: "deleteAccount", account });
    expect(lineage.commit({ session: alice.session, seq: 11 }, { type: "deleteAccount", account })).toMatchObject({
      code: "not-logged-in",
    });
  });
});
