/** Passwords that are changed and reset, and sessions that are seen and ended; also when forks meet. */
import { describe, expect, test } from "bun:test";
import type { OpId } from "../protocol/messages.ts";
import { inMemory, Lineage, passwordHash, uuidOf, type Client } from "./chat.fixture.ts";

function scene() {
  const lineage = new Lineage(inMemory());
  const laptop = lineage.client(1).signUp("alice");
  const { account } = laptop;
  const phone = lineage.client(2).signIn(account);
  const bob = lineage.client(3).signUp("bob");
  lineage.pushes();
  return { lineage, laptop, phone, bob, account };
}

const login = (client: Client, password: string, user = "alice") => client.do({ type: "login", user, password });
const isLoggedIn = (lineage: Lineage, { session }: Client) => lineage.state.session(session)?.account !== null;

function sessions(client: Client) {
  const list = client.query({ type: "sessions" });
  return list.type === "sessionList" ? list.sessions : expect.unreachable(JSON.stringify(list));
}

describe("changing the password", () => {
  const change = (client: Client, password: string, newPassword: string) =>
    client.do({ type: "changePassword", password, newPassword });

  test("the old one is of no use any more; the other sessions of the account end, nobody else's", async () => {
    const { lineage, laptop, phone, bob } = scene();
    expect(await change(laptop, "password", "a better one")).toMatchObject({ type: "done", count: 1 });
    expect([laptop, phone, bob].map((client) => isLoggedIn(lineage, client))).toEqual([true, false, true]);
    expect(lineage.pushes()).toEqual([
      { type: "loggedOut", reason: expect.stringContaining("password of alice was changed") },
    ]);
    expect(await login(phone, "password")).toMatchObject({ code: "wrong-password" });
    expect(await login(phone, "a better one")).toMatchObject({ type: "loggedIn" });
    expect(await laptop.do({ type: "deleteAccount", password: "password" })).toMatchObject({ code: "wrong-password" });
  });

  test("not without the old one, nor to one that is none", async () => {
    const { lineage, laptop, phone, bob } = scene();
    expect(await change(laptop, "wrong", "a better one")).toMatchObject({ code: "wrong-password" });
    expect(await change(laptop, "password", "short")).toMatchObject({ code: "bad-password" });
    await bob.do({ type: "logout" });
    expect(await change(bob, "password", "a better one")).toMatchObject({ code: "not-logged-in" });
    expect([laptop, phone].map((client) => isLoggedIn(lineage, client))).toEqual([true, true]);
  });

  test("what was checked against the old one comes too late: a login, and a second change", async () => {
    const { lineage, laptop, phone } = scene();
    const tablet = lineage.client(4);
    const signingIn = await tablet.prepare({ type: "login", user: "alice", password: "password" });
    const changing = await phone.prepare({ type: "changePassword", password: "password", newPassword: "mine now!" });
    await change(laptop, "password", "a better one");
    if (!signingIn.ok || !changing.ok) return expect.unreachable();
    for (const [{ session }, { command }] of [
      [tablet, signingIn],
      [phone, changing],
    ] as const) {
      expect(lineage.commit({ session, seq: 40 }, command)).toMatchObject({ code: "wrong-password" });
    }
    expect(isLoggedIn(lineage, tablet)).toBe(false);
    await laptop.do({ type: "logout" });
    expect(await login(laptop, "a better one")).toMatchObject({ type: "loggedIn" });
  });

  test("what is being checked against the old one while it changes is of no use either", async () => {
    const { lineage, phone, account } = scene();
    const tablet = lineage.client(4);
    const signingIn = tablet.prepare({ type: "login", user: "alice", password: "password" });
    lineage.commit({ session: phone.session, seq: 40 }, { type: "resetPassword", account, passwordHash });
    const signedIn = await signingIn;
    if (!signedIn.ok) return expect.unreachable();
    expect(lineage.commit({ session: tablet.session, seq: 40 }, signedIn.command)).toMatchObject({
      code: "wrong-password",
    });
  });

  test("a state opened from its tables knows which password counts", async () => {
    const { lineage, laptop, account } = scene();
    await change(laptop, "password", "a better one");
    const whole = inMemory();
    whole.apply(lineage.entries);
    expect(whole.digest()).toBe(lineage.state.digest());
    const { session } = lineage.client(4);
    expect(lineage.commit({ session, seq: 1 }, { type: "signIn", account, credential: account })).toMatchObject({
      code: "wrong-password",
    });
    // A log of before passwords could be changed says nothing of them.
    expect(lineage.commit({ session, seq: 2 }, { type: "login", account })).toMatchObject({ type: "loggedIn" });
  });
});

describe("changed on both sides of a partition", () => {
  /** First accepted at `at`; the lineage's own times are above 1000. */
  const changeAt = (lineage: Lineage, { session }: Client, account: OpId, at: number, seq: number) =>
    lineage.commit(
      { session, seq, origAt: at },
      { type: "changePassword", account, credential: account, passwordHash: `changed at ${at}` },
    );

  test("the one that was chosen last counts, in whichever order they come", () => {
    for (const [first, second, ended] of [
      [5000, 6000, 1],
      [6000, 5000, 0],
    ] as const) {
      const { lineage, laptop, phone, account } = scene();
      changeAt(lineage, laptop, account, first, 50);
      phone.signIn(account);
      lineage.commit({ session: phone.session, seq: 60 }, { type: "login", account });
      lineage.pushes();
      expect(changeAt(lineage, laptop, account, second, 51)).toMatchObject({ type: "done", count: ended });
      expect(isLoggedIn(lineage, phone)).toBe(ended === 0);
      const told = lineage.pushes(laptop.session).map(({ type }) => type);
      expect(told).toEqual(ended === 0 ? ["notice"] : []);
      const password = { session: laptop.session, seq: first > second ? 50 : 51 };
      const { session } = lineage.client(5);
      expect(lineage.commit({ session, seq: 1 }, { type: "signIn", account, credential: password })).toMatchObject({
        type: "loggedIn",
      });
    }
  });

  test("who logged in there with the one that does not count is told to do so again; what it sent arrives", () => {
    const { lineage, laptop, bob, account } = scene();
    changeAt(lineage, laptop, account, 2000, 50);
    const { session } = lineage.client(5);
    lineage.pushes();
    const signIn = { type: "signIn", account, credential: account } as const;
    expect(lineage.merge(session, 1, signIn)).toMatchObject({ code: "wrong-password" });
    expect(lineage.pushes(session)).toMatchObject([{ type: "loggedOut" }]);
    const send = { type: "send", from: account, to: bob.account, text: "sent there" } as const;
    expect(lineage.merge(session, 2, send)).toMatchObject({ type: "sent" });
    expect(bob.texts()).toEqual(["sent there"]);
  });
});

describe("a reset by an operator", () => {
  const reset = (client: Client, user: string, newPassword = "a new password") =>
    client.do({ type: "resetPassword", user, newPassword });

  test("needs no login, ends all sessions of the account, and is told to whoever logs in next", async () => {
    const { lineage, laptop, phone, bob } = scene();
    const operator = lineage.client(6);
    expect(await reset(operator, "ALICE")).toMatchObject({ type: "done", count: 2 });
    expect([laptop, phone, bob].map((client) => isLoggedIn(lineage, client))).toEqual([false, false, true]);
    expect(lineage.pushes()).toMatchObject([
      { type: "loggedOut", reason: expect.stringContaining("reset by an operator") },
    ]);
    expect(await login(phone, "password")).toMatchObject({ code: "wrong-password" });
    expect(await login(phone, "a new password")).toMatchObject({ type: "loggedIn" });
    expect(lineage.pushes(phone.session)).toEqual([
      { type: "notice", text: "Your password was reset by an operator." },
    ]);
  });

  test("nobody of that name, and no password", async () => {
    const { lineage } = scene();
    const operator = lineage.client(6);
    expect(await reset(operator, "carol")).toMatchObject({ code: "no-such-user" });
    expect(await reset(operator, "alice", "short")).toMatchObject({ code: "bad-password" });
  });

  test("merged after the account's own later change, it does not count; before it, it does", () => {
    const { lineage, laptop, account } = scene();
    const operator = lineage.client(6);
    const change = { type: "changePassword", account, credential: account, passwordHash } as const;
    lineage.commit({ session: laptop.session, seq: 50 }, change);
    lineage.pushes();
    const reset = { type: "resetPassword", account, passwordHash: "reset" } as const;
    expect(lineage.merge(operator.session, 1, reset)).toMatchObject({ count: 0 });
    expect(isLoggedIn(lineage, laptop)).toBe(true);
    expect(lineage.commit({ session: operator.session, seq: 2, origAt: 5000 }, reset)).toMatchObject({ count: 1 });
    expect(isLoggedIn(lineage, laptop)).toBe(false);
  });
});

describe("one's sessions", () => {
  test("are listed: the one used last first, with what is known of each; others' are not", async () => {
    const { lineage, laptop, phone, bob } = scene();
    phone.detach();
    const list = sessions(laptop);
    expect(list).toMatchObject([
      { attached: false, current: false, replica: 1 },
      { attached: true, current: true, replica: 1, software: "a test" },
    ]);
    expect(list[1]?.since).toBe(lineage.entries[0]?.op?.at ?? 0);
    expect(list[0]?.usedAt).toBeGreaterThan(list[1]?.usedAt ?? Infinity);
    expect(sessions(bob)).toHaveLength(1);
    const command = { type: "openSession", tokenHash: new Uint8Array(32), pid: 2, incarnation: 5, number: 9 } as const;
    const session = "9".repeat(8) + uuidOf(9).slice(8);
    lineage.commit({ session, seq: 0 }, { ...command, software: "a bot 1.0" });
    lineage.commit({ session, seq: 1 }, { type: "login", account: laptop.account });
    expect(sessions(phone)[0]).toMatchObject({
      session: "99999999",
      software: "a bot 1.0",
      replica: 2,
      current: false,
    });
    await laptop.do({ type: "logout" });
    expect(laptop.query({ type: "sessions" })).toMatchObject({ code: "not-logged-in" });
    expect(sessions(phone)).toHaveLength(2);
  });

  test("are called by as much of their uuids as tells them apart", () => {
    const { laptop, phone } = scene();
    const names = sessions(laptop).map(({ session }) => session);
    // All uuids of these tests differ in their last digit only.
    expect(names.toSorted()).toEqual([laptop.session, phone.session].toSorted());
  });

  test("are ended: told why, logged out, and free to log in again", async () => {
    const { lineage, laptop, phone, bob } = scene();
    const end = (...names: string[]) => laptop.do({ type: "endSessions", sessions: names });
    expect(await end(phone.session, "00000000")).toMatchObject({ code: "no-such-session" });
    expect(await end(bob.session)).toMatchObject({ code: "no-such-session" });
    expect(await end("")).toMatchObject({ code: "no-such-session" });
    expect(isLoggedIn(lineage, phone)).toBe(true);
    expect(await end(phone.session)).toMatchObject({ type: "done", count: 1 });
    expect(lineage.pushes()).toEqual([
      { type: "loggedOut", reason: "This session was logged out by another one of alice." },
    ]);
    expect(await phone.send("bob", "hi")).toMatchObject({ code: "not-logged-in" });
    expect(await login(phone, "password")).toMatchObject({ type: "loggedIn" });
    // One's own too.
    expect(await end(laptop.session, phone.session)).toMatchObject({ count: 2 });
    expect([laptop, phone].map((client) => isLoggedIn(lineage, client))).toEqual([false, false]);
  });

  test("ended on another side: the session is out here too, what it sent there arrives", () => {
    const { lineage, laptop, phone, bob, account } = scene();
    const command = { type: "endSessions" as const, account, sessions: [phone.session, bob.session, uuidOf(77)] };
    expect(laptop.merge(command)).toMatchObject({ type: "done", count: 1 });
    expect([phone, bob].map((client) => isLoggedIn(lineage, client))).toEqual([false, true]);
    expect(phone.merge({ type: "send", from: account, to: bob.account, text: "sent there" })).toMatchObject({
      type: "sent",
    });
    expect(bob.texts()).toEqual(["sent there"]);
  });

  test("go with the account, wherever they are", async () => {
    const { lineage, laptop, phone, account } = scene();
    await laptop.do({ type: "deleteAccount", password: "password" });
    expect(isLoggedIn(lineage, phone)).toBe(false);
    expect(phone.merge({ type: "endSessions", account, sessions: [phone.session] })).toMatchObject({
      code: "not-logged-in",
    });
  });
});
