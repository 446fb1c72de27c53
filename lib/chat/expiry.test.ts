/** Sessions that nobody has used for long: forgotten by a logged op, but for the ids in which they stand. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { openChat } from "./chat.ts";
import { inMemory, Lineage, view } from "./chat.fixture.ts";

function talk(lineage: Lineage) {
  const [alice, bob] = [lineage.client(1).signUp("alice"), lineage.client(2).signUp("bob")];
  return { alice, bob };
}

const expire = (lineage: Lineage, sessions: string[], before = Number.MAX_SAFE_INTEGER, inView = view): void => {
  lineage.system({ type: "expire", view: inView, before, sessions });
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

test("one that is held, was used since, or is named in a later view does not expire", () => {
  const lineage = new Lineage(inMemory());
  const { alice, bob } = talk(lineage);
  expire(lineage, [alice.session]);
  bob.detach();
  expire(lineage, [bob.session], 1);
  expire(lineage, [bob.session], Number.MAX_SAFE_INTEGER, view - 1);
  expect(lineage.state.session(alice.session)).not.toBeNull();
  expect(lineage.state.session(bob.session)).not.toBeNull();
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
