/** The thread that answers questions, beside one that applies: real threads and files. */
import { Database } from "bun:sqlite";
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openChat } from "../../lib/chat/chat.ts";
import { Lineage } from "../../lib/chat/chat.fixture.ts";
import type { LongQuery } from "../../lib/protocol/messages.ts";
import { QueryThread } from "./query-thread.ts";

// Real threads and disks on a busy machine: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

const folder = mkdtempSync(join(tmpdir(), "chatd-queries-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const search = (text: string): LongQuery => ({ type: "search", request: 7, text, with: null, skip: 0, limit: 200 });
const page: LongQuery = { type: "messages", request: 7, with: null, before: null, limit: 200, unread: false };

function state(name: string) {
  const path = join(folder, name);
  const chat = openChat(new Database(path), { checkpointPages: 0 });
  const lineage = new Lineage(chat);
  const alice = lineage.client(1).signUp("alice");
  const bob = lineage.client(2).signUp("bob");
  return { path, chat, lineage, alice, bob };
}

test("every question sees what was applied before it was asked, and the answers are those of the state itself", async () => {
  const { path, chat, alice, bob } = state("own-writes.sqlite");
  const complaints: string[] = [];
  const thread = new QueryThread(
    (message) => void complaints.push(message),
    (error) => expect.unreachable(error.message),
  );
  thread.read(path);
  for (let n = 1; n <= 100; n++) {
    await alice.send("bob", `lunch ${n}`);
    const reply = await thread.answer(search(`lunch ${n}`), bob.account);
    expect(reply.type === "searchResults" && reply.messages[0]?.text).toBe(`lunch ${n}`);
    if (n === 60) await bob.do({ type: "mark", ids: bob.page({ limit: 1 }).messages.map(({ id }) => id), read: true });
  }
  for (const query of [
    search("lunch"),
    page,
    { type: "conversations", request: 7, after: null, limit: 10 },
    { type: "accounts", request: 7, pattern: "*o*", after: null, limit: 10 },
    search("?"),
  ] as const) {
    const own = chat.query(query, chat.session(bob.session));
    expect(await thread.answer(query, bob.account)).toEqual(own);
  }
  expect(await thread.answer(page, null)).toMatchObject({ type: "refused", code: "not-logged-in", request: 7 });
  expect(complaints).toEqual([]);
  await thread.stop();
  chat.close();
});

test("it follows when another state takes the place, and says so in between", async () => {
  const first = state("first.sqlite");
  const second = state("second.sqlite");
  await first.alice.send("bob", "in the first");
  await second.alice.send("bob", "in the second");
  const complaints: string[] = [];
  const thread = new QueryThread(
    (message) => void complaints.push(message),
    (error) => expect.unreachable(error.message),
  );
  const textOf = async (): Promise<unknown> => {
    const reply = await thread.answer(page, first.bob.account);
    return reply.type === "messageList" ? reply.messages[0]?.text : reply;
  };
  thread.read(first.path);
  expect(await textOf()).toBe("in the first");
  thread.read(null);
  expect(await textOf()).toMatchObject({ type: "refused", code: "unavailable", request: 7 });
  expect(complaints).toEqual(["a question could not be answered: its state is being replaced"]);
  thread.read(second.path);
  expect(await textOf()).toBe("in the second");
  await thread.stop();
  for (const { chat } of [first, second]) chat.close();
});

test("the state may be emptied and filled again beside it", async () => {
  const { path, chat, lineage, alice, bob } = state("emptied.sqlite");
  await alice.send("bob", "before");
  const { account } = bob;
  const thread = new QueryThread(
    (message) => expect.unreachable(message),
    (error) => expect.unreachable(error.message),
  );
  thread.read(path);
  expect((await thread.answer(search("before"), account)).type).toBe("searchResults");
  chat.reset();
  expect(await thread.answer(search("before"), account)).toMatchObject({ code: "not-logged-in" });
  chat.apply(lineage.entries);
  expect(await thread.answer(search("before"), account)).toMatchObject({ messages: [{ text: "before" }] });
  await thread.stop();
  chat.close();
});

test("it stops after the question that it is at, however many wait", async () => {
  const { path, chat, alice, bob } = state("stopped.sqlite");
  for (let n = 1; n <= 200; n++) await alice.send("bob", `lunch ${n}`);
  const thread = new QueryThread(
    (message) => expect.unreachable(message),
    (error) => expect.unreachable(error.message),
  );
  thread.read(path);
  const { account } = bob;
  expect((await thread.answer(search("lunch"), account)).type).toBe("searchResults");
  const answers = Array.from({ length: 1000 }, () => thread.answer(search("lunch"), account));
  await answers[0];
  await thread.stop();
  const types = (await Promise.all(answers)).map(({ type }) => type);
  expect(types.filter((type) => type === "searchResults").length).toBeLessThan(500);
  chat.close();
});
