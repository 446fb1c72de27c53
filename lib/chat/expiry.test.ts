/** Sessions that nobody has used for long: forgotten by a logged op, but for the ids in which they stand. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { openChat } from "./chat.ts";
import { inMemory, Lineage } from "./chat.fixture.ts";

function talk(lineage: Lineage) {
  const [alice, bob] = [lineage.client(1).signUp("alice"), lineage.client(2).signUp("bob")];
  return { alice, bob };
}

const close = (lineage: Lineage, sessions: string[], before = Number.MAX_SAFE_INTEGER, settled = 0): void => {
  lineage.system({ type: "expire", settled, before, sessions });
};

/** As the primary proposes it once the session is found closed, with nothing apart. */
const forget = (lineage: Lineage, sessions: string[]): void => {
  close(lineage, sessions, 1, lineage.state.applied.index);
};

const expire = (lineage: Lineage, sessions: string[]): void => {
  close(lineage, sessions);
  forget(lineage, sessions);
};

test("a session that nobody holds and nobody has used since expires: it is unknown from then on, for ever", async () => {
  const lineage = new Lineage(inMemory(), inMemory());
  const { alice, bob } = talk(lineage);
  await bob.send("alice", "before I go");
  bob.detach();
  expect(lineage.state.idleSessions(Number.MAX_SAFE_INTEGER, 10)).toEqual([bob.session]);
  expect(lineage.state.idleSessions(1, 10)).toEqual([]);
  expire(lineage, [bob.session]);
  expect(lineage.state.session(bob.session)).toBeNull();
  expect(lineage.state.result(bob.session, 1)).toBeNull();
  const unknown = { type: "refused", code: "unauthorized" };
  expect(lineage.commit({ session: bob.session, seq: 9 }, { type: "logout" })).toMatchObject(unknown);
  // Nor can it be had again: an op of it that turns up late would count as new.
  const again = { type: "registerSession", tokenHash: new Uint8Array(32), pid: 1, incarnation: 5, number: 9 } as const;
  expect(lineage.commit({ session: bob.session, seq: 0 }, again)).toMatchObject(unknown);
  // What it sent keeps its id, and can be marked and deleted by that.
  const [message] = alice.page().messages;
  expect(message).toMatchObject({ text: "before I go", id: { session: bob.session } });
  if (message === undefined) throw new Error("no message");
  expect(await alice.do({ type: "deleteMessages", ids: [message.id] })).toMatchObject({ type: "done", count: 1 });
  const [one, other] = lineage.states;
  expect(one?.digest()).toBe(other?.digest() ?? "");
});

test("one that is held or was used since does not expire", () => {
  const lineage = new Lineage(inMemory());
  const { alice, bob } = talk(lineage);
  expire(lineage, [alice.session]);
  bob.detach();
  close(lineage, [bob.session], 1);
  forget(lineage, [bob.session]);
  expect(lineage.state.session(alice.session)).not.toBeNull();
  expect(lineage.state.session(bob.session)).not.toBeNull();
});

test("a closed session takes what a fork had taken, each op once, and nothing else, until it is forgotten", () => {
  const lineage = new Lineage(inMemory(), inMemory());
  const { bob } = talk(lineage);
  bob.detach();
  const { session } = bob;
  const unknown = { type: "refused", code: "unauthorized" };
  const closing = lineage.state.applied.index + 1;
  close(lineage, [session]);
  expect(lineage.state.session(session)).toBeNull();
  expect(lineage.state.result(session, 1)).toBeNull();
  lineage.system({ type: "attach", session, pid: 3, incarnation: 1, number: 1 });
  expect(lineage.state.attachments().some((attachment) => attachment.session === session)).toBe(false);
  expect(lineage.commit({ session, seq: 8 }, { type: "logout" })).toMatchObject(unknown);
  expect(lineage.state.hasApplied(session, 8)).toBe(false);
  expect(lineage.merge(session, 8, { type: "logout" })).toMatchObject({ type: "done", duplicate: false });
  expect(lineage.merge(session, 8, { type: "logout" })).toMatchObject({ type: "done", duplicate: true });
  expect(lineage.state.hasApplied(session, 8)).toBe(true);
  // Proposed again before the closing was known to be everywhere: it stays closed.
  expect(lineage.state.idleSessions(1, 10)).toEqual([session]);
  close(lineage, [session], 1, closing - 1);
  expect(lineage.state.hasApplied(session, 8)).toBe(true);
  close(lineage, [session], 1, closing);
  expect(lineage.state.hasApplied(session, 8)).toBe(false);
  expect(lineage.merge(session, 9, { type: "logout" })).toMatchObject(unknown);
  const [one, other] = lineage.states;
  expect(one?.digest()).toBe(other?.digest() ?? "");
});

test("expiry outlives the process", () => {
  const database = new Database(":memory:");
  const lineage = new Lineage(openChat(database));
  const { alice, bob } = talk(lineage);
  bob.detach();
  expire(lineage, [bob.session]);
  const again = openChat(Database.deserialize(database.serialize()));
  expect(again.session(bob.session)).toBeNull();
  expect(again.session(alice.session)).not.toBeNull();
  expect(again.idleSessions(Number.MAX_SAFE_INTEGER, 10)).toEqual([]);
});
