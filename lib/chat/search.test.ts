/** Full-text search: what is found, whose, in which order, and what is left of it when it is deleted. */
import { Database } from "bun:sqlite";
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { openChat, type Chat } from "./chat.ts";
import { inMemory, Lineage, type Client } from "./chat.fixture.ts";

// Thousands of messages on a busy machine: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

const folder = mkdtempSync(join(tmpdir(), "chatd-search-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function people(state: Chat = inMemory()) {
  const lineage = new Lineage(state);
  const [alice, bob, carol] = ["alice", "bob", "carol"].map((name, at) => lineage.client(at + 1).signUp(name));
  if (alice === undefined || bob === undefined || carol === undefined) throw new Error("three were made");
  return { lineage, alice, bob, carol };
}

interface Asked {
  with?: string;
  skip?: number;
  limit?: number;
}

function search(client: Client, text: string, { with: other, skip = 0, limit = 50 }: Asked = {}) {
  return client.query({ type: "search", text, with: other ?? null, skip, limit });
}

function found(client: Client, text: string, asked: Asked = {}) {
  const reply = search(client, text, asked);
  if (reply.type !== "searchResults") throw new Error(`not ${JSON.stringify(reply)}`);
  return reply;
}

const texts = (client: Client, text: string, asked: Asked = {}): string[] =>
  found(client, text, asked).messages.map((message) => message.text);

/** Marks one's own newest message, which settles all. */
async function settle(client: Client): Promise<void> {
  const [newest] = client.page({ limit: 1 }).messages;
  if (newest === undefined) throw new Error("there is a message");
  await client.do({ type: "mark", ids: [newest.id], read: true });
}

for (const settled of [false, true]) {
  describe(settled ? "in settled messages" : "in the tail", () => {
    async function conversation(...sent: string[]) {
      const scene = people();
      for (const text of sent) await scene.alice.send("bob", text);
      if (settled) await settle(scene.bob);
      return scene;
    }

    test("words in any order, prefixes, phrases; whatever separates them", async () => {
      const { bob } = await conversation("Lunch at noon?", "at noon: LUNCH!", "launch at noon", "dinner", "don't");
      expect(texts(bob, "lunch noon").sort()).toEqual(["Lunch at noon?", "at noon: LUNCH!"]);
      expect(texts(bob, '"lunch at"')).toEqual(["Lunch at noon?"]);
      expect(texts(bob, "la* noon*")).toEqual(["launch at noon"]);
      expect(texts(bob, "don't")).toEqual(["don't"]);
    });

    test("prefixes have two letters at least; a phrase may end with one", async () => {
      const { bob } = await conversation("lunch time", "lurking timer", "lunch clock");
      expect(texts(bob, "lu*").length).toBe(3);
      expect(texts(bob, '"lunch ti"*')).toEqual(["lunch time"]);
      expect(search(bob, "l*")).toMatchObject({ code: "bad-pattern", message: expect.stringContaining("two letters") });
    });

    test("whatever the case, the diacritics and the composition", async () => {
      const { bob } = await conversation(
        "Crème brûlée".normalize("NFD"),
        "GRÜSSE",
        "Ёлка",
        "한국어".normalize("NFD"),
        "がっこう",
      );
      for (const query of ["creme", "CRÈME", "crème".normalize("NFD"), "brulee"]) {
        expect(texts(bob, query)).toEqual(["Crème brûlée".normalize("NFD")]);
      }
      expect(texts(bob, "grüsse")).toEqual(["GRÜSSE"]);
      expect(texts(bob, "ёлка")).toEqual(["Ёлка"]);
      expect(texts(bob, "한국어").length).toBe(1);
      expect(texts(bob, "がっこう".normalize("NFD"))).toEqual(["がっこう"]);
    });

    test("words of scripts without spaces, in the middle of a sentence", async () => {
      const { bob } = await conversation("今日は東京で昼ご飯を食べました", "京東");
      expect(texts(bob, "東京")).toEqual(["今日は東京で昼ご飯を食べました"]);
      expect(found(bob, "東京").snippets[0]).toContain("\u0002東京\u0003");
      expect(texts(bob, "東*").length).toBe(2);
    });

    test("the snippet shows where, and what is not a letter breaks nothing", async () => {
      const long = `${"before ".repeat(60)}needle${" after".repeat(60)}`;
      const { bob } = await conversation(long, "\u0002needles\u0003 \0 needle");
      const { snippets } = found(bob, "needle");
      expect(snippets.length).toBe(2);
      for (const snippet of snippets) {
        expect(snippet.split("\u0002").length).toBe(2);
        expect(snippet).toContain("\u0002needle\u0003");
        expect(snippet.length).toBeLessThan(200);
      }
    });

    test("the one that says it most comes first, equal ones newest first", async () => {
      const { bob } = await conversation("tea one", "tea two", "tea tea tea", "tea and coffee and much else besides");
      expect(texts(bob, "tea")).toEqual(["tea tea tea", "tea two", "tea one", "tea and coffee and much else besides"]);
    });
  });
}

test("only in the own messages, out of the inbox, with one account where that is asked", async () => {
  const { lineage, alice, bob, carol } = people();
  await alice.send("bob", "secret plan");
  await carol.send("alice", "secret recipe");
  bob.detach();
  await carol.send("bob", "secret in the inbox");
  for (const settled of [false, true]) {
    if (settled) await settle(alice);
    expect(texts(bob, "secret")).toEqual(["secret plan"]);
    expect(texts(alice, "secret").sort()).toEqual(["secret plan", "secret recipe"]);
    expect(texts(alice, "secret", { with: "Carol" })).toEqual(["secret recipe"]);
    expect(texts(alice, "secret", { with: "BOB" })).toEqual(["secret plan"]);
    expect(texts(carol, "plan")).toEqual([]);
    // What accounts are called inside is no word of theirs.
    for (let number = 1; number < 10; number++) expect(texts(carol, String(number))).toEqual([]);
  }
  await bob.do({ type: "open", count: 5 });
  expect(texts(bob, "secret").length).toBe(2);
  expect(search(alice, "secret", { with: "nobody" })).toMatchObject({ code: "no-such-user" });
  expect(search(lineage.client(9), "secret")).toMatchObject({ code: "not-logged-in" });
});

test("pages go through everything once, over the windows and the tail", async () => {
  const { alice, bob } = people();
  for (let n = 0; n < 1300; n++) await alice.send("bob", `word ${n}`);
  await settle(bob);
  for (let n = 1300; n < 1500; n++) await alice.send("bob", n % 2 === 0 ? `word ${n}` : `other ${n}`);
  const seen: string[] = [];
  for (let more = true; more;) {
    const page = found(bob, "word", { skip: seen.length, limit: 170 });
    ({ more } = page);
    seen.push(...page.messages.map(({ text }) => text));
  }
  expect(seen.length).toBe(1400);
  expect(new Set(seen).size).toBe(1400);
  expect(found(bob, "word", { skip: 1400 })).toMatchObject({ messages: [], more: false });
});

describe("what is deleted", () => {
  test("is not found by who deleted it, and by nobody when both did; nothing of it stays in the file", async () => {
    const path = join(folder, "deleted.sqlite");
    const { lineage, alice, bob } = people(openChat(new Database(path)));
    for (let n = 0; n < 50; n++) await alice.send("bob", `common ${n} ${n === 7 ? "quixotic" : "juniper"}`);
    await settle(bob);
    const target = bob.page().messages.find(({ text }) => text.includes("quixotic"));
    if (target === undefined) throw new Error("it was sent");
    await bob.do({ type: "deleteMessages", ids: [target.id] });
    expect(texts(bob, "quixotic")).toEqual([]);
    expect(texts(alice, "quixotic").length).toBe(1);
    await alice.do({ type: "deleteMessages", ids: [target.id] });
    expect(texts(alice, "quixotic")).toEqual([]);
    expect(texts(alice, "juniper").length).toBe(49);
    lineage.state.close();
    const database = new Database(path);
    database.run("INSERT INTO words (words, rank) VALUES ('integrity-check', 0)");
    expect(database.query("SELECT count(*) FROM words WHERE words MATCH 'quixotic'").values()).toEqual([[0]]);
    database.close();
    // Not even the end of the word: pages do not repeat what words begin with.
    const bytes = readFileSync(path).toString("latin1");
    expect(bytes.includes("ixotic")).toBeFalse();
    expect(bytes.includes("niper")).toBeTrue();
  });

  test("goes with an account, but what others have of it stays", async () => {
    const { lineage, alice, bob, carol } = people();
    await alice.send("bob", "hello bob");
    await alice.send("carol", "hello carol");
    await settle(alice);
    await carol.do({ type: "deleteAccount", password: "password" });
    await alice.do({ type: "deleteAccount", password: "password" });
    expect(texts(bob, "hello")).toEqual(["hello bob"]);
    expect(texts(bob, "hello", { with: "alice" })).toEqual(["hello bob"]);
    const again = lineage.client(7).signUp("alice");
    expect(texts(again, "hello")).toEqual([]);
  });
});

const alphabet = fc.constantFrom(...Array.from("ab *\"'()-+^:{}.,;~\\/&|é\u0301中\u0002\0\uE000😀 "));
const hostile = fc.oneof(
  fc.string({ unit: "binary", maxLength: 60 }),
  fc.array(alphabet, { maxLength: 60 }).map((characters) => characters.join("")),
  fc.constantFrom(
    ...'NEAR(a b) |a OR b|a AND|NOT a|owners:1|text : a|{owners} : 1|-a|^a|a + b|a*b*|""|"|*|***|\'\'|a"b|%s'.split(
      "|",
    ),
  ),
);

test("whatever is typed is searched or refused with a reason, and never an error", async () => {
  const { lineage, alice, bob } = people();
  await alice.send("bob", "a b é 中 aa bb NEAR OR AND NOT owners 1 text");
  await settle(bob);
  await alice.send("bob", "a b é 中 aa bb");
  fc.assert(
    fc.property(hostile, (text) => {
      const reply = search(bob, text);
      if (reply.type === "refused") {
        expect(reply.code).toBe("bad-pattern");
        expect(reply.message).toMatch(/\.$/);
      } else {
        expect(reply.type).toBe("searchResults");
      }
    }),
    { numRuns: 3000 },
  );
  lineage.state.close();
});

test("agrees with a naive search over random texts, settled or not", async () => {
  const { lineage, alice, bob } = people();
  const vocabulary = ["sun", "sunny", "sund", "Über", "uber", "x1", "rain"];
  const sent: string[] = [];
  for (let n = 0; n < 400; n++) {
    const text = Array.from({ length: 1 + (n % 5) }, (_, at) => vocabulary[(n * 7 + at * at * 3 + (n >> 3)) % 7]).join(
      " ",
    );
    sent.push(text);
    await alice.send("bob", text);
    if (n === 300) await settle(bob);
  }
  const fold = (text: string) =>
    text
      .normalize("NFD")
      .replace(/\p{M}/gu, "")
      .toLowerCase()
      .split(/[^a-z0-9]+/);
  const naive = (query: string): string[] => {
    const terms = query.split(" ").map((term) => ({ prefix: term.endsWith("*"), word: fold(term)[0] ?? "" }));
    return sent.filter((text) =>
      terms.every(({ prefix, word }) => fold(text).some((each) => (prefix ? each.startsWith(word) : each === word))),
    );
  };
  for (const query of ["sun", "sun*", "uber", "sun* uber", "rain x1", "x1 sunny ÜBER", "nothing", "su* ra*"]) {
    const all: string[] = [];
    for (let more = true; more;) {
      const page = found(bob, query, { skip: all.length, limit: 200 });
      ({ more } = page);
      all.push(...page.messages.map(({ text }) => text));
    }
    expect(all.sort()).toEqual(naive(query).sort());
  }
  lineage.state.close();
});
