/** The plain mode over streams: scripts, floods of lines, hostile text. */
import { expect, test } from "bun:test";
import { PassThrough, Writable } from "node:stream";
import { runPlain } from "./plain.ts";
import { FakeClient } from "./fake-client.fixture.ts";

class Written extends Writable {
  text = "";
  override _write(chunk: Uint8Array | string, _encoding: string, done: () => void): void {
    this.text += String(chunk);
    done();
  }
}

function start(client: FakeClient): { input: PassThrough; output: Written; code: Promise<number> } {
  const input = new PassThrough();
  const output = new Written();
  const code = runPlain(client, { input, output, unicode: true, idleLogoutSeconds: 0 });
  return { input, output, code };
}

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
  const { input, code } = start(new FakeClient({ bob: "bob-password" }));
  input.end("bob\nwrong-password\n");
  expect(await code).toBe(1);
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
