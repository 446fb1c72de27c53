/** Who is there and who was: listed, and told to those who talk with them. */
import { expect, test } from "bun:test";
import { inMemory, Lineage, type Client } from "./chat.fixture.ts";

/** Alice and bob have talked, carol with nobody. */
async function scene() {
  const lineage = new Lineage(inMemory());
  const [alice, bob, carol] = [
    lineage.client(1).signUp("alice"),
    lineage.client(2).signUp("bob"),
    lineage.client(3).signUp("carol"),
  ];
  await alice.send("bob", "hi");
  lineage.pushes();
  return { lineage, alice, bob, carol };
}

function listed(client: Client, user: string) {
  const list = client.query({ type: "accounts", pattern: user, after: null, limit: 1 });
  return list.type === "accountList" ? list.accounts[0] : expect.unreachable(JSON.stringify(list));
}

const now = (lineage: Lineage): number => lineage.entries.at(-1)?.op?.at ?? 0;

test("going and coming is told to those who have talked with them, with when they were seen last", async () => {
  const { lineage, alice, bob, carol } = await scene();
  alice.detach();
  const gone = { type: "presence", user: "alice", online: false, lastSeenAt: now(lineage) } as const;
  expect(lineage.pushes(bob.session)).toEqual([gone]);
  expect(lineage.pushes(carol.session)).toEqual([]);
  expect(listed(carol, "alice")).toEqual({ user: "alice", online: false, lastSeenAt: gone.lastSeenAt });
  alice.attach();
  expect(lineage.pushes()).toEqual([{ type: "presence", user: "alice", online: true, lastSeenAt: null }]);
  expect(listed(carol, "alice")).toEqual({ user: "alice", online: true, lastSeenAt: null });
  await alice.do({ type: "logout" });
  expect(lineage.pushes()).toMatchObject([{ user: "alice", online: false, lastSeenAt: now(lineage) }]);
  await alice.do({ type: "login", user: "alice", password: "password" });
  expect(lineage.pushes()).toMatchObject([{ user: "alice", online: true }]);
  // Carol's going is nobody's business.
  carol.detach();
  expect(lineage.pushes()).toEqual([]);
  expect(listed(bob, "carol")).toMatchObject({ online: false, lastSeenAt: now(lineage) });
});

test("who was never there was never seen", async () => {
  const { lineage, bob } = await scene();
  lineage.account(bob.session, 50, "dave");
  expect(listed(bob, "dave")).toEqual({ user: "dave", online: false, lastSeenAt: null });
});

test("a session that was registered by an older build leaves no time at which it was seen", async () => {
  const { lineage, alice, bob } = await scene();
  const place = { pid: 1, incarnation: 5, number: 7 };
  const session = "00000000-0000-4000-8000-0000000000ff";
  lineage.commit({ session, seq: 0 }, { type: "registerSession", tokenHash: new Uint8Array(32), ...place });
  lineage.commit({ session, seq: 1 }, { type: "login", account: alice.account });
  alice.detach();
  lineage.pushes();
  lineage.system({ type: "detach", session, ...place, seen: 0 });
  expect(lineage.pushes(bob.session)).toEqual([{ type: "presence", user: "alice", online: false, lastSeenAt: null }]);
  expect(listed(bob, "alice")).toEqual({ user: "alice", online: false, lastSeenAt: null });
});

test("a second device, or one that moves to another replica, is no news", async () => {
  const { lineage, alice, bob } = await scene();
  const phone = lineage.client(4).signIn(alice.account);
  alice.attach();
  alice.detach();
  expect(lineage.pushes()).toEqual([]);
  phone.detach();
  expect(lineage.pushes(bob.session)).toMatchObject([{ user: "alice", online: false }]);
});

test("sessions that are ended by others count, an account that is deleted goes offline first", async () => {
  const { lineage, alice, bob, carol } = await scene();
  const operator = lineage.client(5);
  lineage.commit(
    { session: operator.session, seq: 1 },
    { type: "resetPassword", account: alice.account, passwordHash: "x" },
  );
  expect(lineage.pushes(bob.session)).toMatchObject([{ type: "presence", user: "alice", online: false }]);
  await bob.do({ type: "deleteAccount", password: "password" });
  expect(lineage.pushes(carol.session)).toEqual([]);
  expect(listed(carol, "bob")).toBeUndefined();
});

test("nobody who is away is told, and a state opened from its tables knows the same", async () => {
  const { lineage, alice, bob, carol } = await scene();
  bob.detach();
  lineage.pushes();
  alice.detach();
  expect(lineage.pushes()).toEqual([]);
  const whole = inMemory();
  whole.apply(lineage.entries);
  const query = { type: "accounts", request: 1, pattern: null, after: null, limit: 9 } as const;
  expect(whole.query(query, null)).toEqual(lineage.state.query(query, null));
  expect(whole.digest()).toBe(lineage.state.digest());
  expect(listed(carol, "bob")).toMatchObject({ online: false });
});
