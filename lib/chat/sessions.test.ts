/** Sessions: registration, attachments, and that every op is applied once. */
import { describe, expect, test } from "bun:test";
import { inMemory, Lineage, systemUuid, uuidOf } from "./chat.fixture.ts";
import { requestDigest } from "./results.ts";

const fresh = () => new Lineage(inMemory());
const place = { pid: 1, incarnation: 5, number: 1 };
const tokenHash = (n: number): Uint8Array => new Uint8Array(32).fill(n);

describe("registration", () => {
  test("makes the session known, with its token and attachment", () => {
    const lineage = fresh();
    const session = uuidOf(1);
    expect(lineage.state.session(session)).toBeNull();
    const command = { type: "registerSession", tokenHash: tokenHash(1), ...place } as const;
    const done = { type: "done", index: 1, view: 257, duplicate: false, count: 0 };
    expect(lineage.commit({ session, seq: 0 }, command)).toEqual(done as never);
    expect(lineage.state.session(session)).toEqual({
      session,
      tokenHash: tokenHash(1),
      account: null,
      user: null,
      attachment: { session, ...place },
      isResumed: false,
    });
    expect(lineage.state.hasApplied(session, 0)).toBe(true);
    expect(lineage.state.result(session, 0)).toEqual({ ...done, duplicate: true } as never);
  });

  test("again with the same token is a duplicate, with another an error", () => {
    const lineage = fresh();
    const session = uuidOf(1);
    const register = (token: number, number: number, origAt?: number) =>
      lineage.commit(
        { session, seq: 0, ...(origAt === undefined ? {} : { origAt }) },
        { type: "registerSession", tokenHash: tokenHash(token), ...place, number },
      );
    register(1, 3);
    expect(register(1, 4)).toMatchObject({ type: "done", index: 1, duplicate: true });
    // The retry came over another connection, which holds the session now.
    expect(lineage.state.attachments()).toEqual([{ session, ...place, number: 4 }]);
    register(1, 2);
    register(1, 9, 1);
    expect(lineage.state.attachments()).toEqual([{ session, ...place, number: 4 }]);
    expect(register(2, 5)).toMatchObject({ type: "refused", code: "unauthorized" });
    expect(lineage.state.session(session)?.tokenHash).toEqual(tokenHash(1));
  });

  test("is never silent: an op of an unknown session is refused", () => {
    const lineage = fresh();
    expect(lineage.commit({ session: uuidOf(1), seq: 1 }, { type: "logout" })).toMatchObject({ code: "unauthorized" });
    expect(lineage.state.session(uuidOf(1))).toBeNull();
    expect(lineage.state.hasApplied(uuidOf(1), 1)).toBe(false);
    expect(lineage.state.result(uuidOf(1), 1)).toBeNull();
    expect(lineage.state.result(uuidOf(1), 0)).toBeNull();
  });

  test("cannot be had in disguise", () => {
    const lineage = fresh();
    const command = { type: "registerSession", tokenHash: tokenHash(1), ...place } as const;
    expect(lineage.commit({ session: uuidOf(1), seq: 4 }, command)).toMatchObject({ code: "bad-command" });
    expect(lineage.commit({ session: systemUuid(3), seq: 0 }, command)).toBeNull();
    const { session } = lineage.client(2);
    expect(lineage.commit({ session, seq: 0 }, { type: "logout" })).toMatchObject({ code: "bad-command" });
    expect(lineage.commit({ session, seq: 1 }, { type: "detach", session, ...place, seen: 0 })).toMatchObject({
      code: "bad-command",
    });
    expect(lineage.state.attachments()).toHaveLength(1);
  });
});

describe("attachments", () => {
  test("the later one replaces the earlier, whose end then does nothing", () => {
    const lineage = fresh();
    const { session } = lineage.client(1);
    const attach = (number: number, incarnation = 5) =>
      lineage.system({ type: "attach", session, pid: 1, incarnation, number });
    const detach = (number: number, incarnation = 5) =>
      lineage.system({ type: "detach", session, pid: 1, incarnation, number, seen: 0 });
    const held = () => lineage.state.attachments().map(({ number, incarnation }) => `${incarnation}.${number}`);
    attach(2);
    detach(1);
    expect(held()).toEqual(["5.2"]);
    attach(1, 6);
    detach(2);
    expect(held()).toEqual(["6.1"]);
    detach(1, 6);
    expect(held()).toEqual([]);
    expect(lineage.state.session(session)?.attachment).toBeNull();
    // Proposed twice, the second time too late.
    attach(1, 6);
    expect(held()).toEqual([]);
    attach(2, 6);
    expect(held()).toEqual(["6.2"]);
    attach(7);
    expect(held()).toEqual(["5.7"]);
  });

  test("have no outcome that anybody waits for, and are not counted", () => {
    const lineage = fresh();
    const { session } = lineage.client(1);
    const entry = lineage.entry({ session: systemUuid(9), seq: 3 }, { type: "attach", session, ...place, number: 2 });
    expect(lineage.state.apply([entry])).toEqual({
      outcomes: [{ session: systemUuid(9), seq: 3, digest: new Uint8Array(8), result: null }],
      deliveries: [],
    });
    expect(lineage.state.hasApplied(systemUuid(9), 1000)).toBe(true);
    expect(lineage.state.result(systemUuid(9), 3)).toBeNull();
  });

  test("of a session nobody knows do nothing", () => {
    const lineage = fresh();
    expect(lineage.system({ type: "attach", session: uuidOf(5), ...place })).toBeNull();
    expect(lineage.system({ type: "detach", session: uuidOf(5), ...place, seen: 0 })).toBeNull();
    expect(lineage.state.attachments()).toEqual([]);
  });
});

describe("exactly once", () => {
  const message = (text: string) => ({ type: "send", to: "bob", text }) as const;

  function conversation() {
    const lineage = fresh();
    const [alice, bob] = [lineage.client(1).signUp("alice"), lineage.client(2).signUp("bob")];
    const send = (seq: number, text = `${seq}`) =>
      lineage.commit(
        { session: alice.session, seq, digest: requestDigest({ ...message(text), request: 0, seq: 0, oldest: 0 }) },
        { type: "send", from: alice.account, to: bob.account, text },
      );
    return { lineage, alice, bob, send };
  }

  test("a duplicate is answered with the original result and does nothing", () => {
    const { lineage, alice, bob, send } = conversation();
    const first = send(3);
    lineage.pushes();
    expect(send(3)).toEqual({ ...first, duplicate: true } as never);
    expect(lineage.state.result(alice.session, 3)).toEqual({ ...first, duplicate: true } as never);
    expect(lineage.pushes()).toEqual([]);
    expect(bob.texts()).toEqual(["3"]);
  });

  test("a refusal is a result too", () => {
    const { lineage, alice, bob } = conversation();
    const { account } = bob;
    lineage.commit({ session: bob.session, seq: 9 }, { type: "deleteAccount", account });
    const login = { type: "login", account } as const;
    const refused = lineage.commit({ session: alice.session, seq: 4 }, login);
    expect(refused).toMatchObject({ code: "already-logged-in" });
    lineage.commit({ session: alice.session, seq: 5 }, { type: "logout" });
    expect(lineage.commit({ session: alice.session, seq: 4 }, login)).toEqual(refused);
  });

  test("the same id with other content is refused", () => {
    const { lineage, alice, bob, send } = conversation();
    send(3, "one");
    expect(send(3, "other")).toMatchObject({ type: "refused", code: "bad-command" });
    expect(bob.texts()).toEqual(["one"]);
    const ask = (text: string) =>
      lineage.state.result(alice.session, 3, { ...message(text), request: 9, seq: 3, oldest: 2 });
    expect(ask("one")).toMatchObject({ type: "sent", duplicate: true });
    expect(ask("other")).toMatchObject({ type: "refused", code: "bad-command" });
  });

  test("is told by the set of seqs, not by the highest", () => {
    const { lineage, alice, bob, send } = conversation();
    send(10);
    expect(lineage.state.hasApplied(alice.session, 7)).toBe(false);
    for (const seq of [8, 7, 9]) expect(send(seq)).toMatchObject({ type: "sent", duplicate: false });
    for (const seq of [7, 8, 9, 10]) expect(send(seq)).toMatchObject({ type: "sent", duplicate: true });
    expect(bob.texts()).toEqual(["9", "7", "8", "10"]);
    expect(lineage.state.hasApplied(alice.session, 6)).toBe(false);
  });

  test("holds for ever, though only the last 64 results are kept", () => {
    const { lineage, alice, bob, send } = conversation();
    for (let seq = 3; seq <= 140; seq++) if (seq % 5 !== 0) send(seq);
    const { index } = lineage;
    for (let seq = 3; seq <= 140; seq++) {
      expect(lineage.state.hasApplied(alice.session, seq)).toBe(seq % 5 !== 0);
      if (seq % 5 === 0) continue;
      if (seq > 140 - 64) expect(send(seq)).toMatchObject({ type: "sent", duplicate: true });
      else
        expect(send(seq)).toBeOneOf([
          expect.objectContaining({ code: "unknown" }),
          expect.objectContaining({ type: "sent", duplicate: true }),
        ]);
    }
    expect(lineage.index).toBeGreaterThan(index);
    expect(lineage.state.result(alice.session, 4)).toMatchObject({ code: "unknown" });
    expect(bob.page({ limit: 200 }).messages).toHaveLength(138 - 28);
    // From a fork, long after: applied once all the same, with nobody to ask for the result.
    expect(send(5)).toMatchObject({ type: "sent", duplicate: false });
    expect(send(5)).toMatchObject({ code: "unknown" });
    expect(bob.page({ limit: 200 }).messages).toHaveLength(138 - 27);
  });

  test("`oldest` proves nothing about the seqs below it", () => {
    const { lineage, alice, bob, send } = conversation();
    lineage.commit(
      { session: alice.session, seq: 30, oldest: 30 },
      { type: "send", from: alice.account, to: bob.account, text: "30" },
    );
    expect(send(3)).toMatchObject({ type: "sent", duplicate: false });
  });

  test("an opened page is answered again with the same messages, but for those deleted since", async () => {
    const { lineage, bob, send } = conversation();
    bob.detach();
    send(3, "one");
    send(4, "two");
    const prepared = await bob.prepare({ type: "open", count: 9 });
    if (!prepared.ok) throw new Error(prepared.message);
    const open = () => lineage.commit({ session: bob.session, seq: 3, digest: prepared.digest }, prepared.command);
    const first = open();
    expect(first).toMatchObject({ type: "opened", messages: [{ text: "one" }, { text: "two" }] });
    expect(open()).toEqual({ ...first, duplicate: true } as never);
    const { account } = bob;
    const ids = [{ session: uuidOf(1), seq: 3 }];
    lineage.commit({ session: bob.session, seq: 4 }, { type: "deleteMessages", account, ids });
    expect(open()).toMatchObject({ type: "opened", duplicate: true, messages: [{ text: "two" }] });
  });

  test("an op outside the window of its client is not accepted", async () => {
    const { lineage, alice } = conversation();
    const record = lineage.state.session(alice.session) ?? expect.unreachable();
    for (const [seq, oldest] of [
      [0, 1],
      [1, 0],
      [5, 6],
      [70, 6],
    ] as const) {
      const request = { ...message("x"), request: 1, seq, oldest };
      expect(await lineage.state.prepare(request, record, alice.attachment)).toMatchObject({ ok: false });
    }
    const last = { ...message("x"), request: 1, seq: 69, oldest: 6 };
    expect(await lineage.state.prepare(last, record, alice.attachment)).toMatchObject({ ok: true });
  });
});

test("the digest of a request knows its content, not its secrets or its number", () => {
  const base = { type: "createAccount", user: "alice", password: "password", request: 1, seq: 1, oldest: 1 } as const;
  const digest = (change: object) => Buffer.from(requestDigest({ ...base, ...change })).toString("hex");
  expect(digest({ request: 2, seq: 7, oldest: 7, password: "another one" })).toBe(digest({}));
  expect(digest({ user: "bob" })).not.toBe(digest({}));
  expect(digest({ type: "login" })).not.toBe(digest({}));
});
