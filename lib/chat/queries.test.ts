/** Listing accounts, and what may be asked before a login. */
import { expect, test } from "bun:test";
import { assert } from "../base/assert.ts";
import { inMemory, Lineage } from "./chat.fixture.ts";

function crowd(count = 0) {
  const lineage = new Lineage(inMemory());
  const nobody = lineage.client(99);
  for (let n = 0; n < count; n++) lineage.account(nobody.session, n + 1, `user${String(n).padStart(4, "0")}`);
  const accounts = (pattern: string | null, after: string | null = null, limit = 200) => {
    const reply = nobody.query({ type: "accounts", pattern, after, limit });
    assert(reply.type === "accountList", `accounts are listed: ${JSON.stringify(reply)}`);
    return reply;
  };
  return {
    lineage,
    nobody,
    accounts,
    names: (pattern: string | null) => accounts(pattern).accounts.map((a) => a.user),
  };
}

test("accounts are listed by name, before any login, with who is online", async () => {
  const { lineage, accounts, names } = crowd();
  const [zoe, alice] = [lineage.client(1).signUp("Zoe"), lineage.client(2).signUp("alice")];
  const bob = lineage.client(3).signUp("Bob");
  bob.detach();
  const now = () => lineage.entries.at(-1)?.op?.at ?? 0;
  const bobLeft = now();
  expect(accounts(null)).toEqual({
    type: "accountList",
    request: 1,
    accounts: [
      { user: "alice", online: true, lastSeenAt: null },
      { user: "Bob", online: false, lastSeenAt: bobLeft },
      { user: "Zoe", online: true, lastSeenAt: null },
    ],
    more: false,
  });
  expect(names("[A-B]*")).toEqual(["alice", "Bob"]);
  expect(names("BOB")).toEqual(["Bob"]);
  expect(names("*o*")).toEqual(["Bob", "Zoe"]);
  expect(names("x*")).toEqual([]);
  await alice.do({ type: "logout" });
  const aliceLeft = now();
  lineage.commit({ session: zoe.session, seq: 9 }, { type: "deleteAccount", account: zoe.account });
  expect(accounts(null).accounts).toEqual([
    { user: "alice", online: false, lastSeenAt: aliceLeft },
    { user: "Bob", online: false, lastSeenAt: bobLeft },
  ]);
});

test("pages follow each other without gap or repeat", () => {
  const { accounts } = crowd(700);
  for (const [pattern, limit] of [
    [null, 200],
    ["*", 199],
    ["user*[05]", 7],
  ] as const) {
    const seen: string[] = [];
    for (let after: string | null = null; ;) {
      const page = accounts(pattern, after, limit);
      seen.push(...page.accounts.map(({ user }) => user));
      if (!page.more) break;
      expect(page.accounts).toHaveLength(limit);
      after = page.accounts.at(-1)?.user.toUpperCase() ?? expect.unreachable();
    }
    const all = Array.from({ length: 700 }, (_, n) => `user${String(n).padStart(4, "0")}`);
    expect(seen).toEqual(pattern === "user*[05]" ? all.filter((name) => /[05]$/.test(name)) : all);
  }
});

test("what cannot be asked is refused with the request's number", () => {
  const { nobody } = crowd();
  const code = (query: Parameters<typeof nobody.query>[0]) => {
    const reply = nobody.query(query);
    assert(reply.type === "refused" && reply.request === 1, "it is refused");
    return reply.code;
  };
  const accounts = { type: "accounts", pattern: null, after: null } as const;
  expect(code({ ...accounts, limit: 0 })).toBe("bad-command");
  expect(code({ ...accounts, limit: 201 })).toBe("bad-command");
  expect(code({ ...accounts, pattern: "[", limit: 1 })).toBe("bad-pattern");
  expect(code({ type: "inbox" })).toBe("not-logged-in");
  expect(code({ type: "messages", with: null, before: null, limit: 1, unread: false })).toBe("not-logged-in");
});

test("a page of messages has 1 to 200 lines", () => {
  const { lineage } = crowd();
  const alice = lineage.client(1).signUp("alice");
  for (const limit of [0, 201]) {
    const reply = alice.query({ type: "messages", with: null, before: null, limit, unread: false });
    expect(reply).toMatchObject({ code: "bad-command" });
  }
});
