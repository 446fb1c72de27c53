/** Another password and the sessions of the account by commands, in the plain mode over streams. */
import { expect, test } from "bun:test";
import { FakeClient } from "./fake-client.fixture.ts";
import { runLines } from "./plain-run.fixture.ts";

const atMs = new Date(2026, 0, 5, 9, 30).getTime();

function bobOnThreeDevices(): FakeClient {
  const client = new FakeClient({ bob: "bob-password" });
  const session = { since: atMs, usedAt: atMs, replica: 2, attached: false, current: false, software: "bot 1" };
  client.accounts
    .get("bob")
    ?.sessions.push(
      { ...session, session: "aa", attached: true, current: true, software: "chatd" },
      { ...session, session: "bb" },
      { ...session, session: "cc", software: "" },
    );
  return client;
}

const ids = (client: FakeClient) => client.accounts.get("bob")?.sessions.map(({ session }) => session);

test("a password is changed with the old one, typed twice; the other sessions end; none of it is shown", async () => {
  const client = bobOnThreeDevices();
  const typed = ["bob-password", "new-password", "not-the-same", "new-password", "new-password"];
  const { text } = await runLines(client, ["/password", ...typed]);
  expect(text).toContain("The two passwords differ.");
  expect(text).toContain("The password is changed; 2 other sessions ended.\n");
  for (const secret of typed) expect(text).not.toContain(secret);
  expect(client.accounts.get("bob")?.password).toBe("new-password");
  expect(ids(client)).toEqual(["aa"]);
});

test.each([
  ["a wrong old one", ["wrong-password", "new-password", "new-password"], 1, "stays as it is: Wrong password."],
  ["going back at the old one", [""], 0, "The password stays as it is."],
  ["going back at the new one", ["bob-password", ""], 0, "The password stays as it is."],
])("after %s the password stays", async (_what, typed, status, said) => {
  const client = bobOnThreeDevices();
  const { code, text } = await runLines(client, ["/password", ...typed]);
  expect(code).toBe(status);
  expect(text).toContain(said);
  expect(client.accounts.get("bob")?.password).toBe("bob-password");
  expect(ids(client)).toHaveLength(3);
});

test("sessions are numbered, and ended by those numbers", async () => {
  const client = bobOnThreeDevices();
  const { code, text } = await runLines(client, ["/sessions", "/end-session 2-3", "/sessions"]);
  expect(code).toBe(0);
  expect(text).toMatch(/3 sessions\n {2}1 {2}chatd, since .*, on replica 2: this one\n {2}2 {2}bot 1, since .*, away/);
  expect(text).toMatch(/3 {2}an unnamed program/);
  expect(text).toContain("2 sessions ended.\n");
  expect(ids(client)).toEqual(["aa"]);
});

test("without numbers, with others, or with that of this session nothing is ended", async () => {
  for (const [lines, why] of [
    [["/end-session 2"], "/sessions numbers them"],
    [["/sessions", "/end-session"], "Nothing typed names no session"],
    [["/sessions", "/end-session 4"], "1 to 3 have numbers"],
    [["/sessions", "/end-session 1-2"], "That is this session: /logout ends it."],
  ] as const) {
    const client = bobOnThreeDevices();
    const { code, complaints } = await runLines(client, lines);
    expect(code).toBe(1);
    expect(complaints.join()).toContain(why);
    expect(ids(client)).toHaveLength(3);
  }
});

test("a logout that is refused is not called done: whoever signs in next would be refused for ever", async () => {
  const client = new FakeClient({ bob: "bob-password", carol: "carol-password" });
  const request = client.request.bind(client);
  let refusals = 1;
  client.request = (asked) => {
    if (asked.type !== "logout" || refusals-- <= 0) return request(asked);
    return Promise.resolve({ type: "refused", code: "unavailable", message: "No majority can be reached." });
  };
  const { code, text, complaints } = await runLines(client, ["/logout", "/msg carol still here", "/logout", "/quit"]);
  expect(text).toContain("Not logged out: No majority can be reached.");
  expect(text).toContain("message 1 on 3 disks");
  expect(text.match(/Logged out\./g)).toHaveLength(1);
  expect([code, complaints.length]).toEqual([1, 1]);
});
