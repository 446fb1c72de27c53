/** The plain mode over streams: scripts, floods of lines, hostile text. */
import { describe, expect, test } from "bun:test";
import { PassThrough } from "node:stream";
import { FakeClient } from "./fake-client.fixture.ts";
import { runLines, start } from "./plain-run.fixture.ts";

test("a script of lines signs in, sends, asks, and ends with 0 once all is acknowledged", async () => {
  const client = new FakeClient({ bob: "bob-password", carol: "carol-password" });
  const { input, output, code } = start(client);
  input.end("bob\nbob-password\n/to carol\nfirst\nsecond\n/inbox\n/history carol\n");
  expect(await code).toBe(0);
  expect(output.text).toContain("sending 1 to carol: first\n");
  expect(output.text).toContain("message 2 on 3 disks\n");
  expect(output.text).toContain("Your inbox is empty.\n");
  expect(output.text).toMatch(/to carol: first\n\d\d:\d\d to carol: second\n/);
  expect(client.connection.state).toBe("closed");
});

test("thousands of piped lines all go out, in order, without all being taken in at once", async () => {
  const client = new FakeClient({ bob: "bob-password", carol: "carol-password" });
  const { input, output, code } = start(client);
  const texts = Array.from({ length: 3000 }, (_, at) => `text ${at}`);
  input.write("bob\nbob-password\n/to carol\n");
  input.end(texts.join("\n"));
  expect(await code).toBe(0);
  const sent = client.asked.flatMap((request) => (request.type === "send" ? [request.text] : []));
  expect(sent).toEqual(texts);
  expect(output.text).toContain("message 3000 on 3 disks");
});

test("/quit in a script waits for what was sent before it, as the end of input does", async () => {
  const client = new FakeClient({ bob: "bob-password", carol: "carol-password" });
  const { input, output, code } = start(client);
  input.end("bob\nbob-password\n/msg carol first\n/accounts c*\n/quit\n");
  expect(await code).toBe(0);
  expect(output.text).toContain("message 1 on 3 disks");
  expect(output.text).not.toContain("it may arrive or not");
  expect(output.text).not.toContain("No answer yet");
});

test("nothing is done of what stands after /quit", async () => {
  const client = new FakeClient({ bob: "bob-password", carol: "carol-password" });
  const { input, code } = start(client);
  input.end("bob\nbob-password\n/msg carol first\n/quit\n/msg carol second\n/delete-account\nyes\nbob-password\n");
  expect(await code).toBe(0);
  expect(client.asked.flatMap((request) => (request.type === "send" ? [request.text] : []))).toEqual(["first"]);
  expect(client.accounts.has("bob")).toBeTrue();
});

test("being logged out by another session ends a script: its lines are no names and passwords", async () => {
  const client = new FakeClient({ bob: "bob-password", carol: "carol-password" });
  const { input, code, complaints } = start(client);
  input.write("bob\nbob-password\n/to carol\n");
  while (!client.asked.some(({ type }) => type === "accounts") || client.user === null) await Bun.sleep(1);
  client.happen({ do: "log-out", reason: "the password was changed" });
  input.end("heartbeat\nall is well\nall is well\nmore\n");
  expect(await code).toBe(1);
  expect(complaints.join()).toContain("You were logged out: the password was changed");
  expect([...client.accounts.keys()]).toEqual(["bob", "carol"]);
});

test("a line that is far too long is refused once: no part of it is sent, nor done", async () => {
  const client = new FakeClient({ bob: "bob-password", carol: "carol-password" });
  const { input, code, complaints } = start(client);
  input.write("bob\nbob-password\n/to carol\n");
  for (let at = 0; at < 10; at += 1) input.write("x".repeat(64 * 1024));
  input.end("and its end\nafter it\n");
  expect(await code).toBe(1);
  expect(complaints.join()).toContain("1 line of the input was not done, the first: too long");
  expect(client.asked.flatMap((request) => (request.type === "send" ? [request.text] : []))).toEqual(["after it"]);
});

test("hostile text is harmless and cannot begin a line", async () => {
  const client = new FakeClient({ bob: "bob-password" });
  const { input, output, code } = start(client);
  input.write("bob\nbob-password\n");
  while (client.user === null) await new Promise((resolve) => setImmediate(resolve));
  client.happen({ do: "message", from: "mia", text: "\x1b[2Jhi\n12:00 from carol: forged" });
  input.end("/quit\n");
  expect(await code).toBe(0);
  expect(output.text).toContain("from mia: ␛[2Jhi\n  12:00 from carol: forged\n");
});

test("input that ends before anybody is signed in is a failure", async () => {
  const { input, code, complaints } = start(new FakeClient({ bob: "bob-password" }));
  input.end("bob\nwrong-password\n");
  expect(await code).toBe(1);
  expect(complaints.join()).toContain("before anybody was signed in");
});

test("a line that was not done makes it end with 1, and is named", async () => {
  const { input, code, complaints } = start(new FakeClient({ bob: "bob-password" }));
  input.end("bob\nbob-password\n/msg nobody hi\n/accouts\n");
  expect(await code).toBe(1);
  expect(complaints).toEqual([
    "2 lines of the input were not done, the first: no command /accouts: did you mean /accounts?",
  ]);
});

test("empty input is nothing to do, questions need nobody to be signed in", async () => {
  const empty = start(new FakeClient());
  empty.input.end();
  expect(await empty.code).toBe(0);
  expect(empty.complaints.join()).toContain("nothing to do");
  const question = start(new FakeClient({ bob: "bob-password" }));
  question.input.end("/accounts\n");
  expect(await question.code).toBe(0);
  expect(question.output.text).toContain("away: bob");
  expect(question.complaints).toEqual([]);
});

test("without a server it ends with 69, after the time to give up", async () => {
  const client = new FakeClient({ bob: "bob-password" });
  client.happen({ do: "offline", reason: "a:1 refused the connection" });
  const { input, code, complaints } = start(client, 50);
  input.write("bob\nbob-password\n");
  expect(await code).toBe(69);
  expect(complaints).toEqual(["no server could be reached for 50 ms: a:1 refused the connection"]);
});

test("a connection that is lost is waited for as long as input may come, then no longer", async () => {
  const client = new FakeClient({ bob: "bob-password", carol: "carol-password" });
  const { input, output, code, complaints } = start(client, 50);
  input.write("bob\nbob-password\n/to carol\n");
  while (client.user === null) await new Promise((resolve) => setImmediate(resolve));
  client.happen({ do: "offline", reason: "a:1 refused the connection" });
  input.write("first\n");
  await Bun.sleep(120);
  expect(complaints).toEqual([]);
  input.end("second\n");
  expect(await code).toBe(1);
  expect(output.text).toContain("message 2 not acknowledged: it may arrive or not");
});

test("who lost the name in a merge is asked, and may sign in by it", async () => {
  const client = new FakeClient({ "bob~2": "bob-password" });
  const { input, output, code } = start(client);
  input.end("bob\nyes\nbob-password\n");
  expect(await code).toBe(0);
  expect(output.text).toContain("Are you bob~2?");
  expect(client.asked.find(({ type }) => type === "login")).toMatchObject({ user: "bob" });
  const other = new FakeClient({ "bob~2": "bob-password" });
  const fresh = start(other);
  fresh.input.end("bob\nno\nnew-password\nnew-password\n");
  expect(await fresh.code).toBe(0);
  expect([...other.accounts.keys()]).toEqual(["bob~2", "bob"]);
});

test("what came to the inbox while the connection was away is said once it is back", async () => {
  const client = new FakeClient({ bob: "bob-password" });
  const { input, output, code } = start(client);
  input.write("bob\nbob-password\n");
  while (client.user === null) await new Promise((resolve) => setImmediate(resolve));
  client.happen({ do: "lose" });
  client.accounts.get("bob")?.inbox.push(client.message("carol", "bob", "hello?"));
  client.happen({ do: "find", replica: 2, afterMs: 20_000, copies: 3 });
  while (!output.text.includes("1 message waits in your inbox")) await new Promise((resolve) => setImmediate(resolve));
  input.end();
  expect(await code).toBe(0);
});

describe("messages that are shown", () => {
  const marks = (client: FakeClient) => client.asked.filter(({ type }) => type === "mark");

  async function show(client: FakeClient, input: PassThrough): Promise<void> {
    input.write("bob\nbob-password\n");
    while (client.user === null) await new Promise((resolve) => setImmediate(resolve));
    client.happen({ do: "message", from: "carol", text: "live" });
    input.write("/open\n");
    while (!client.asked.some(({ type }) => type === "open")) await new Promise((resolve) => setImmediate(resolve));
  }

  const withInbox = () => {
    const client = new FakeClient({ bob: "bob-password", carol: "carol-password" });
    client.accounts.get("bob")?.inbox.push(client.message("carol", "bob", "lunch?"));
    return client;
  };

  test("to a person are marked read", async () => {
    const client = withInbox();
    const terminal = Object.assign(new PassThrough(), { isTTY: true });
    const { code } = start(client, 30_000, terminal);
    await show(client, terminal);
    terminal.end("/inbox\n");
    expect(await code).toBe(0);
    expect(marks(client).flatMap((mark) => (mark.type === "mark" ? mark.ids : []))).toHaveLength(2);
  });

  test("to nobody are not", async () => {
    const client = withInbox();
    const { input, code } = start(client);
    await show(client, input);
    input.end("/inbox\n");
    expect(await code).toBe(0);
    expect(marks(client)).toEqual([]);
  });
});

test("a new account: an empty line goes back, passwords are asked twice", async () => {
  const client = new FakeClient();
  const { input, output, code } = start(client);
  input.end("alice\n\nalicia\nshort\nlong-enough\nlong-enough\n/delete-account\nyes\nlong-enough\n");
  await code;
  expect(output.text).toContain("Welcome, new user!");
  expect(output.text).toContain("The account alicia is deleted.");
  expect(client.accounts.size).toBe(0);
});

describe("what the screens can do is reached by commands", () => {
  const withMessages = () => {
    const client = new FakeClient({ bob: "bob-password", carol: "carol-password", mia: "mia-password" });
    const bob = client.accounts.get("bob");
    bob?.inbox.push({ ...client.message("mia", "bob", "waiting"), inbox: true });
    bob?.messages.push(client.message("carol", "bob", "lunch?"), client.message("carol", "bob", "at noon"));
    return client;
  };

  test("home, with what is unread and what waits", async () => {
    const { code, text } = await runLines(withMessages(), ["/home"]);
    expect(code).toBe(0);
    expect(text).toContain("2 conversations, 1 in the inbox\n");
    expect(text).toContain("mia: 0 unread messages and 1 in the inbox, away\n");
    expect(text).toContain("carol: 2 unread messages, away\n");
  });

  test("the next unread conversation is talked to", async () => {
    const client = withMessages();
    const { code } = await runLines(client, ["/open", "/next", "hello"]);
    expect(code).toBe(0);
    expect(client.asked.filter(({ type }) => type === "send")).toMatchObject([{ to: "carol", text: "hello" }]);
  });

  test("search, in all conversations or in one", async () => {
    const { text } = await runLines(withMessages(), ["/open", "/search n", "/to mia", "/find wait"]);
    expect(text).toMatch(/3 messages found\n {2}1 {2}[^]*\n {2}2 {2}\S+ carol \(unread\): at \*n\*oon\n/);
    expect(text).toMatch(/1 message found\n {2}1 {2}\S+ mia \(unread\): \*wait\*ing\n/);
  });

  test("numbers name the messages that are deleted or called unread", async () => {
    const client = withMessages();
    const { code, text, complaints } = await runLines(client, [
      "/to carol",
      "/delete",
      "/delete 2",
      "/unread",
      "/unread 1",
    ]);
    expect({ code, complaints }).toEqual({ code: 0, complaints: [] });
    expect(text).toMatch(/1 {2}\S+ carol \(unread\): lunch\?\n {2}2 {2}\S+ carol \(unread\): at noon\n/);
    expect(client.accounts.get("bob")?.messages.map((message) => message.text)).toEqual(["lunch?"]);
    expect(client.asked).toContainEqual(expect.objectContaining({ type: "mark", read: false }));
  });

  test("numbers that name nothing do nothing, and are named", async () => {
    const client = withMessages();
    const { code, complaints } = await runLines(client, ["/delete", "/delete 3-9"]);
    expect(code).toBe(1);
    expect(complaints.join()).toContain("3-9 does not name messages: 1 to 2 have numbers");
    expect(client.accounts.get("bob")?.messages).toHaveLength(2);
  });
});
