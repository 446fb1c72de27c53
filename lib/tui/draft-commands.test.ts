/** Drafts by commands, in the plain mode over streams. */
import { expect, test } from "bun:test";
import type { OpRequest } from "../client/types.ts";
import { FakeClient } from "./fake-client.fixture.ts";
import { runLines } from "./plain-run.fixture.ts";

const people = () => new FakeClient({ bob: "bob-password", carol: "carol-password", mia: "mia-password" });
const kept = (client: FakeClient) => client.accounts.get("bob")?.drafts.map(({ to, text }) => [to, text]);
const sent = (client: FakeClient) =>
  client.accounts.get("bob")?.messages.map(({ to, text }): [string, string] => [to, text]);

test("drafts are kept, to whom is named, to whom one talks, or to nobody yet", async () => {
  const client = people();
  const { code, text } = await runLines(client, [
    "/draft @carol lunch?",
    "/draft 10 things",
    "/draft to nobody",
    "/to mia",
    "/draft to you",
    "/drafts",
  ]);
  // A number names a draft, and there is none of that number.
  expect(code).toBe(1);
  expect(kept(client)).toEqual([
    ["mia", "to you"],
    ["", "to nobody"],
    ["carol", "lunch?"],
  ]);
  expect(text).toMatch(/3 drafts\n {2}1 {2}\S+ -> mia: to you\n {2}2 {2}\S+ -> nobody yet: to nobody\n {2}3 {2}/);
});

test("numbers stay with drafts that are changed, and go with those that are sent or deleted", async () => {
  const client = people();
  const { text, complaints } = await runLines(client, [
    "/draft @carol one",
    "/draft @carol two",
    "/draft @carol three",
    "/drafts",
    "/draft 3 uno",
    "/draft 3 @mia",
    "/draft 3",
    "/send-draft 3",
    "/send-draft 3",
    "/delete-draft 1",
    "/drafts",
  ]);
  expect(kept(client)).toEqual([["carol", "two"]]);
  expect(sent(client)).toEqual([["mia", "uno"]]);
  expect(text).toContain("1 draft sent.\n");
  expect(complaints).toEqual([
    "1 line of the input was not done, the first: 3 names no draft: it is not among those numbered, /drafts numbers them.",
  ]);
});

test("all are sent in one go, or none when one of them names nobody", async () => {
  const client = people();
  const first = await runLines(client, ["/draft @carol one", "/draft two", "/send-draft all"]);
  expect(first.code).toBe(1);
  expect(first.complaints.join()).toContain("two names nobody: nothing was sent.");
  expect(sent(client)).toEqual([]);
  const again = people();
  const second = await runLines(again, [
    "/draft @carol one",
    "/draft two",
    "/draft 2 @mia",
    "/send-draft all",
    "/drafts",
  ]);
  expect(second.code).toBe(0);
  expect(second.text).toContain("2 drafts sent.\n");
  expect(second.text).toContain("0 drafts\n");
  expect(sent(again)?.toSorted()).toEqual([
    ["carol", "one"],
    ["mia", "two"],
  ]);
});

test("one that another device has sent meanwhile is refused, and nothing goes", async () => {
  const client = people();
  const late = new Proxy(client, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key, target);
      if (key !== "request") return typeof value === "function" ? value.bind(target) : value;
      return async (request: Extract<OpRequest, { type: "sendDraft" }>) => {
        if (request.type === "sendDraft") target.accounts.get("bob")?.drafts.splice(0);
        return target.request(request);
      };
    },
  });
  const { code, text } = await runLines(late, ["/draft @carol one", "/send-draft 1"]);
  expect(code).toBe(1);
  expect(text).toContain("error: That draft is gone.\n");
  expect(sent(client)).toEqual([]);
});

test("what names no draft or no account changes nothing, and is named", async () => {
  for (const [line, why] of [
    ["/draft", "Usage: /draft"],
    ["/draft @carol", "Usage: /draft"],
    ["/draft @nobody hi", "There is no account named nobody."],
    ["/send-draft", "Usage: /send-draft"],
    ["/send-draft 1", "/drafts numbers them"],
    ["/delete-draft x", "/drafts numbers them"],
    [`/draft ${"x".repeat(5000)}`, "too long"],
  ] as const) {
    const client = people();
    const { code, complaints } = await runLines(client, [line]);
    expect({ line, code }).toEqual({ line, code: 1 });
    expect(complaints.join()).toContain(why);
    expect(kept(client)).toEqual([]);
  }
});
