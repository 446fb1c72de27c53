/** The JSON mode end to end over a scripted cluster: the contract, the order of effects, the connection, the end. */
import { beforeEach, describe, expect, test } from "bun:test";
import { createClient } from "../client/client.ts";
import { ByteNetwork } from "../sim/byte-network.ts";
import { ScriptedCluster } from "../sim/scripted-cluster.ts";
import { Feed } from "./feed.fixture.ts";
import { showAnswer } from "./json-commands.ts";
import { runJson } from "./json.ts";

const addresses = ["a:1", "b:2", "c:3"];
const password = "correct horse";

let network: ByteNetwork;
let cluster: ScriptedCluster;

beforeEach(async () => {
  network = new ByteNetwork();
  cluster = await ScriptedCluster.start(network, addresses);
});

interface Line {
  readonly event: string;
  readonly [field: string]: unknown;
}

function begin(options: { giveUpMs?: number; signal?: AbortSignal } = {}) {
  const client = createClient(
    { servers: addresses },
    { transport: network.transport, clock: network, randomBytes: (length) => new Uint8Array(length) },
  );
  const feed = new Feed();
  const lines: Line[] = [];
  const complaints: string[] = [];
  let status: number | null = null;
  const output = { write: (line: string) => void lines.push(JSON.parse(line)), drained: async () => {} };
  const complain = (line: string) => void complaints.push(line);
  void runJson(client, feed, output, { clock: network, giveUpMs: 30_000, complain, ...options }).then((code) => {
    status = code;
  });
  const replies = () => lines.filter((line) => line.event === "reply");
  return { client, feed, lines, complaints, replies, status: () => status };
}

async function finish(mode: ReturnType<typeof begin>, withinMs = 10_000): Promise<number | null> {
  mode.feed.end();
  await network.run(withinMs, () => mode.status() !== null);
  return mode.status();
}

async function answers(...commands: (object | string)[]): Promise<Line[]> {
  const mode = begin();
  for (const command of commands) mode.feed.put(`${typeof command === "string" ? command : JSON.stringify(command)}\n`);
  expect(await finish(mode)).toBe(0);
  return mode.replies();
}

const anId = "00000000-0000-4000-8000-000000000000";
const alice = { user: "alice", password };
const enter = [
  { do: "create", tag: "c", ...alice },
  { do: "login", tag: "l", ...alice },
] as const;

describe("the contract", () => {
  test("the connection comes first, each command has its reply with its tag, the end of input ends it with 0", async () => {
    const mode = begin();
    const { feed } = mode;
    feed.do(...enter);
    feed.do({ do: "send", to: "alice", text: "hi", tag: "s" }, { do: "inbox" }, { do: "open", count: 10, tag: "o" });
    feed.do({ do: "messages", tag: "m" }, { do: "accounts", pattern: "a*", tag: "a" }, { do: "status", tag: "t" });
    feed.do({ do: "search", text: "hi", tag: "f" }, { do: "conversations", tag: "v" }, { do: "logout", tag: "x" });
    expect(await finish(mode)).toBe(0);
    const [first] = mode.lines;
    expect(first).toEqual({ event: "connection", state: "connected", replica: 1, primary: 1, view: "1.1" });
    const byTag = new Map(mode.replies().map((line) => [line["tag"], line]));
    expect(byTag.size).toBe(11);
    expect(byTag.get("c")).toEqual({ event: "reply", tag: "c", ok: true, user: "alice" });
    expect(byTag.get("l")).toEqual({ event: "reply", tag: "l", ok: true, user: "alice", inbox: 0, drafts: 0 });
    const sent = byTag.get("s");
    expect(Object.keys(sent ?? {})).toEqual(["event", "tag", "ok", "id", "index", "at", "copies"]);
    expect(sent?.["id"]).toMatch(/^[0-9a-f-]{36}\/3$/);
    expect(byTag.get(null)).toEqual({ event: "reply", tag: null, ok: true, count: 0 });
    expect(byTag.get("o")).toEqual({ event: "reply", tag: "o", ok: true, messages: [] });
    expect(byTag.get("m")).toMatchObject({ ok: true, more: false, messages: [{ id: sent?.["id"], text: "hi" }] });
    expect(byTag.get("a")).toEqual({
      event: "reply",
      tag: "a",
      ok: true,
      accounts: [{ user: "alice", online: false, lastSeen: null }],
      more: false,
    });
    const last = { id: sent?.["id"], text: "hi", from: "alice", to: "alice", read: false, inbox: false };
    expect(byTag.get("f")).toMatchObject({ messages: [{ ...last, snippet: ["", "hi", ""] }], more: false });
    expect(byTag.get("v")).toMatchObject({
      ok: true,
      conversations: [{ user: "alice", online: true, unread: 1, inbox: 0, last }],
      more: false,
    });
    expect(byTag.get("t")).toMatchObject({
      ok: true,
      replica: 1,
      primary: 1,
      view: "1.1",
      policy: "available",
      copies: 3,
    });
    expect(byTag.get("x")).toEqual({ event: "reply", tag: "x", ok: true });
    const message = mode.lines.find((line) => line.event === "message");
    expect(Object.keys(message ?? {})).toEqual(["event", "id", "index", "from", "to", "text", "at", "read", "inbox"]);
    expect(mode.complaints).toEqual([]);
  });

  test("drafts: kept, changed, listed, sent some and deleted others", async () => {
    const mode = begin();
    const replyTo = async (command: object) => {
      const before = mode.replies().length;
      mode.feed.do(command);
      await network.run(1000, () => mode.replies().length > before);
      return mode.replies().at(-1);
    };
    mode.feed.do(...enter);
    await replyTo({ do: "create", user: "bob", password });
    await network.run(1000, () => mode.replies().length === 3);
    const first = (await replyTo({ do: "draft", to: "bob", text: "one", tag: "1" }))?.["draft"];
    const second = (await replyTo({ do: "draft", text: "two" }))?.["draft"];
    expect(await replyTo({ do: "draft", draft: second, to: "bob", text: "two, longer", tag: "2" })).toEqual({
      ...{ event: "reply", tag: "2", ok: true },
      draft: second,
    });
    const third = (await replyTo({ do: "draft", to: "", text: "three" }))?.["draft"];
    const listed = await replyTo({ do: "drafts", tag: "d" });
    expect(listed).toMatchObject({ ok: true, drafts: [{ draft: third, to: "", text: "three" }, {}, {}] });
    expect(Object.keys(((listed?.["drafts"] ?? []) as object[])[0] ?? {})).toEqual(["draft", "to", "text", "at"]);
    // One that names nobody: none is sent.
    expect(await replyTo({ do: "send-drafts", drafts: [first, third] })).toMatchObject({ error: "no-such-user" });
    expect(await replyTo({ do: "send-drafts", drafts: [first, first] })).toMatchObject({ error: "bad-command" });
    expect(await replyTo({ do: "send-drafts", drafts: [first, `${anId}/9`] })).toMatchObject({
      error: "no-such-draft",
    });
    const sent = await replyTo({ do: "send-drafts", drafts: [second, first], tag: "s" });
    expect(sent).toEqual({
      ...{ event: "reply", tag: "s", ok: true },
      sent: [
        { draft: second, id: second },
        { draft: first, id: first },
      ],
    });
    // One that another session changes in this moment stays; the others go.
    const [changed, other] = [
      (await replyTo({ do: "draft", to: "bob", text: "changed" }))?.["draft"],
      (await replyTo({ do: "draft", to: "bob", text: "other" }))?.["draft"],
    ];
    cluster.intercept = (peer, frame) => {
      if (frame.type !== "sendDraft" || `${frame.draft.session}/${frame.draft.seq}` !== changed) return false;
      peer.send({ type: "refused", request: frame.request, code: "no-such-draft", message: "Changed." });
      return true;
    };
    expect(await replyTo({ do: "send-drafts", drafts: [changed, other] })).toMatchObject({
      ok: true,
      sent: [{ draft: other }],
      refused: [{ draft: changed, error: "no-such-draft", message: "Changed." }],
    });
    expect(await replyTo({ do: "send-drafts", drafts: [changed] })).toMatchObject({
      ok: false,
      error: "no-such-draft",
    });
    await replyTo({ do: "delete-drafts", drafts: [changed] });
    cluster.intercept = () => false;
    expect(await replyTo({ do: "delete-drafts", drafts: [third], tag: "x" })).toEqual({
      ...{ event: "reply", tag: "x", ok: true, count: 1 },
    });
    expect(await replyTo({ do: "drafts" })).toMatchObject({ drafts: [] });
    expect(cluster.log.filter((entry) => entry.endsWith(" sendDraft"))).toHaveLength(3);
    expect(await finish(mode)).toBe(0);
  });

  test("drafts that are under way when the connection is given up are unknown, and sent once when it is not", async () => {
    const mode = begin({ giveUpMs: 500 });
    mode.feed.do(...enter, { do: "create", user: "bob", password }, { do: "draft", to: "bob", text: "one", tag: "d" });
    await network.run(100);
    const draft = mode.replies().find(({ tag }) => tag === "d")?.["draft"];
    cluster.intercept = (_, frame) => frame.type === "sendDraft";
    mode.feed.do({ do: "send-drafts", drafts: [draft], tag: "s" });
    await network.run(100);
    expect(await finish(mode)).toBe(1);
    expect(mode.replies().at(-1)).toMatchObject({ tag: "s", ok: false, error: "unknown" });
  });

  test("the password and the sessions of the account", async () => {
    cluster.intercept = (peer, frame) => {
      if (frame.type !== "sessions") return false;
      const times = { since: 1000, usedAt: 2000 };
      const where = { replica: 2, attached: true, current: true };
      const sessions = [{ session: "3f2a9c10", ...times, ...where, software: "a bot" }];
      peer.send({ type: "sessionList", request: frame.request, sessions });
      return true;
    };
    const replies = await answers(
      ...enter,
      { do: "sessions", tag: "s" },
      { do: "end-sessions", sessions: ["3f2a9c10", "b6e1d2c3"], tag: "e" },
      { do: "change-password", password, new: "battery staple", tag: "p" },
      { do: "end-sessions", sessions: ["x".repeat(37)], tag: "x" },
    );
    const done = (tag: string) => ({ event: "reply", tag, ok: true });
    const session = { session: "3f2a9c10", since: 1000, lastUsed: 2000, replica: 2, attached: true, current: true };
    expect(replies.slice(2)).toEqual([
      { ...done("s"), sessions: [{ ...session, software: "a bot" }] },
      { ...done("e"), count: 2 },
      { ...done("p"), count: 0 },
      { event: "reply", tag: "x", ok: false, error: "no-such-session", message: expect.any(String) },
    ]);
    expect(cluster.accounts.get("alice")).toBe("battery staple");
  });

  test("a refusal by the server", async () => {
    const replies = await answers(...enter, { do: "send", tag: "s", to: "bob", text: "hi" });
    expect(replies.at(-1)).toEqual({
      event: "reply",
      tag: "s",
      ok: false,
      error: "no-such-user",
      message: "There is no account named bob.",
    });
  });

  const bad: [object | string, string | null, string, string][] = [
    ["nonsense", null, "bad-command", "not JSON"],
    ["", null, "bad-command", "not JSON"],
    ["[1]", null, "bad-command", "not a JSON object"],
    ["null", null, "bad-command", "not a JSON object"],
    [{}, null, "bad-command", '"do"'],
    [{ do: 5, tag: "t" }, "t", "bad-command", '"do"'],
    [{ do: "draughts", tag: "t" }, "t", "bad-command", "create, login, logout, delete-account, change-password"],
    [{ do: "seek", text: "x" }, null, "bad-command", "status"],
    [{ do: "search" }, null, "bad-command", '"search" needs the field "text"'],
    [{ do: "search", text: "x", skip: 10_001 }, null, "bad-command", '"skip"'],
    [{ do: "search", text: "x".repeat(257) }, null, "bad-pattern", "256"],
    [{ do: "constructor" }, null, "bad-command", "no command"],
    [{ do: "status", tag: 5 }, null, "bad-command", '"tag" must be a string'],
    [{ do: "send", tag: "t", to: "bob" }, "t", "bad-command", '"send" needs the field "text"'],
    [{ do: "send", to: "bob", text: 5 }, null, "bad-command", '"text" must be a string'],
    [{ do: "send", to: "bob", text: "x", txet: 1 }, null, "bad-command", '"send" has no field "txet"'],
    [{ do: "open", count: 0 }, null, "bad-command", '"count" must be a whole number from 1 to 200'],
    [{ do: "open", count: 201 }, null, "bad-command", '"count"'],
    [{ do: "open", count: 1.5 }, null, "bad-command", '"count"'],
    [{ do: "messages", limit: 201 }, null, "bad-command", '"limit"'],
    [{ do: "messages", before: -1 }, null, "bad-command", '"before"'],
    [{ do: "messages", with: null }, null, "bad-command", '"with"'],
    [{ do: "conversations", after: 5 }, null, "bad-command", '"after" must be {"waiting":…,"index":…}'],
    [{ do: "conversations", after: { waiting: true } }, null, "bad-command", '"after"'],
    [{ do: "mark", ids: "x", read: true }, null, "bad-command", '"ids"'],
    [{ do: "mark", ids: [5], read: true }, null, "bad-command", '"ids"'],
    [{ do: "mark", ids: [] }, null, "bad-command", '"read"'],
    [{ do: "delete", ids: ["nothing"] }, null, "no-such-message", "nothing"],
    [{ do: "draft", to: "bob" }, null, "bad-command", '"draft" needs the field "text"'],
    [{ do: "draft", draft: `${anId}/1`, text: "x" }, null, "bad-command", '"draft" needs the field "to"'],
    [{ do: "draft", draft: "nothing", to: "", text: "x" }, null, "no-such-draft", "nothing"],
    [{ do: "send-drafts", drafts: ["nothing"] }, null, "no-such-draft", "nothing"],
    [{ do: "delete-drafts", drafts: ["nothing"] }, null, "no-such-draft", "nothing"],
    [{ do: "send", to: "bob", text: "x".repeat(4097) }, null, "too-long", "4096"],
    [{ do: "send", to: "bob", text: "x".repeat(70_000) }, null, "too-long", "64 KiB"],
  ];
  const named = bad.map(([line, ...rest]) => [JSON.stringify(line).slice(0, 60), line, ...rest] as const);
  test.each(named)("%s is refused by itself and the next line is done", async (_name, line, tag, error, message) => {
    const [refusal, next] = await answers(line, { do: "status", tag: "next" });
    expect(refusal).toMatchObject({ event: "reply", tag, ok: false, error });
    expect(refusal?.["message"]).toContain(message);
    expect(next).toMatchObject({ tag: "next", ok: true });
  });

  test("lines are cut anywhere, also within a character; bytes that are not UTF-8 cost one line", async () => {
    const mode = begin();
    const bytes = Buffer.concat([
      Buffer.from(`${JSON.stringify(enter[0])}\r\n${JSON.stringify(enter[1])}\n`),
      Buffer.from([0x7b, 0xff, 0x7d, 0x0a]),
      Buffer.from('{"do":"send","to":"alice","text":"zwölf €","tag":"s"}'),
    ]);
    for (const byte of bytes) {
      mode.feed.put(new Uint8Array([byte]));
      await network.run(1);
    }
    expect(await finish(mode)).toBe(0);
    expect(mode.replies().map((line) => [line["tag"], line["ok"]])).toEqual([
      ["c", true],
      ["l", true],
      [null, false],
      ["s", true],
    ]);
    expect(mode.lines.find((line) => line.event === "message")).toMatchObject({ text: "zwölf €" });
  });
});

describe("order", () => {
  test("steps wait for what comes before them and hold up what follows; sends are under way together", async () => {
    const mode = begin();
    const arrived: string[] = [];
    cluster.intercept = (_, frame) => {
      if ("request" in frame && frame.type !== "openSession") arrived.push(frame.type);
      return frame.type === "login" || frame.type === "send";
    };
    mode.feed.do(...enter, { do: "send", to: "alice", text: "1" }, { do: "send", to: "alice", text: "2" });
    mode.feed.do({ do: "inbox" }, { do: "status" }, { do: "logout" });
    await network.run(50);
    expect(arrived.toSorted()).toEqual(["createAccount", "login", "status"]);
    arrived.length = 0;
    cluster.intercept = (_, frame) => {
      if ("request" in frame && frame.type !== "openSession") arrived.push(frame.type);
      return frame.type === "send";
    };
    cluster.kill(1);
    await network.run(50);
    expect(arrived).toEqual(["login", "send", "send"]);
    cluster.intercept = () => false;
    cluster.kill(2);
    expect(await finish(mode)).toBe(0);
    expect(mode.replies().every((line) => line["ok"] === true)).toBe(true);
    expect(mode.replies()).toHaveLength(7);
  });

  test("replies come in the order of their lines, refused here or answered there, but for status", async () => {
    const mode = begin();
    mode.feed.do(...enter);
    await network.run(50);
    cluster.intercept = (_, frame) => frame.type === "send";
    const long = "x".repeat(4097);
    mode.feed.do({ do: "send", to: "alice", text: "1", tag: "1" }, { do: "send", to: "alice", text: long, tag: "2" });
    mode.feed.put("nonsense\n");
    mode.feed.do({ do: "delete", ids: ["nothing"], tag: "4" }, { do: "status", tag: "at once" });
    const tags = () => mode.replies().map((line) => line["tag"]);
    await network.run(2000, () => tags().length === 3);
    expect(tags()).toEqual(["c", "l", "at once"]);
    cluster.intercept = () => false;
    cluster.kill(1);
    expect(await finish(mode)).toBe(0);
    expect(tags()).toEqual(["c", "l", "at once", "1", "2", null, "4"]);
  });

  test("a replica that is not heard has an address and no figures", () => {
    const unheard = {
      pid: 2,
      address: "b:2",
      role: "unreachable",
      index: 0,
      commit: 0,
      lag: 0,
      connections: 0,
    } as const;
    const place = { replica: 1, ready: true, primary: 1, view: 257, policy: "available", provisional: false } as const;
    const shown = showAnswer("status", { type: "statusReport", request: 1, ...place, copies: 1, replicas: [unheard] });
    const nothing = { index: null, commit: null, lag: null, connections: null };
    expect(shown["replicas"]).toEqual([{ pid: 2, address: "b:2", role: "unreachable", ...nothing }]);
  });

  test("more than the window is not even read", async () => {
    const mode = begin();
    mode.feed.do(...enter);
    await network.run(50);
    cluster.intercept = (_, frame) => frame.type === "send";
    for (let count = 0; count < 500; count++) mode.feed.do({ do: "send", to: "alice", text: "x", tag: String(count) });
    await network.run(50);
    expect(mode.feed.taken).toBeLessThanOrEqual(2 + 64 + 1);
    cluster.intercept = () => false;
    cluster.kill(1);
    expect(await finish(mode)).toBe(0);
    const tags = mode
      .replies()
      .slice(2)
      .map((line) => line["tag"]);
    expect(tags).toEqual(Array.from({ length: 500 }, (_, count) => String(count)));
    expect(cluster.log.filter((entry) => entry.endsWith(" send"))).toHaveLength(500);
  });
});

describe("the connection", () => {
  const states = (mode: ReturnType<typeof begin>) =>
    mode.lines.flatMap((line) => (line.event === "connection" ? [line["state"]] : []));

  test("moves are told: reconnecting, connected; offline once", async () => {
    const mode = begin();
    await network.run(50);
    cluster.kill(1);
    await network.run(50);
    expect(states(mode)).toEqual(["connected", "reconnecting", "connected"]);
    expect(mode.lines.at(-1)).toMatchObject({ replica: 2 });
    cluster.kill(2);
    cluster.kill(3);
    await network.run(2000);
    expect(states(mode)).toEqual(["connected", "reconnecting", "connected", "reconnecting", "offline"]);
    await cluster.startReplica(1);
    await network.run(1000);
    expect(states(mode).at(-1)).toBe("connected");
    expect(await finish(mode)).toBe(0);
  });

  test("what stays without an answer is unknown, or unavailable if it was never sent, is named, and ends it with 1", async () => {
    const mode = begin({ giveUpMs: 500 });
    mode.feed.do(...enter);
    await network.run(50);
    cluster.intercept = (_, frame) => frame.type === "send";
    mode.feed.do({ do: "send", to: "alice", text: "x", tag: "s" });
    await network.run(50);
    for (const pid of [1, 2, 3]) cluster.kill(pid);
    mode.feed.do({ do: "send", to: "alice", text: "y", tag: "n" }, { do: "inbox", tag: "i" });
    const fromMs = network.nowMs;
    expect(await finish(mode)).toBe(1);
    expect(network.nowMs - fromMs).toBeLessThan(600);
    expect(mode.replies().slice(2)).toMatchObject([
      { tag: "s", ok: false, error: "unknown" },
      { tag: "n", ok: false, error: "unavailable" },
      { tag: "i", ok: false, error: "unavailable" },
    ]);
    expect(mode.complaints).toEqual([
      'send (tag "s"): no answer within 500 ms; it may or may not be done',
      'send (tag "n"): no answer within 500 ms; it was not done',
      'inbox (tag "i"): no answer within 500 ms; it was not done',
    ]);
  });

  test("without any server it says offline first, keeps trying, and ends with 69", async () => {
    for (const pid of [1, 2, 3]) cluster.kill(pid);
    const mode = begin({ giveUpMs: 500 });
    mode.feed.do({ do: "status", tag: "t" });
    await network.run(5000);
    expect(mode.lines).toHaveLength(1);
    expect(mode.lines[0]).toMatchObject({ event: "connection", state: "offline", replica: null });
    expect(await finish(mode)).toBe(69);
    expect(mode.replies()).toMatchObject([{ tag: "t", ok: false, error: "unavailable" }]);
    expect(mode.complaints.at(-1)).toContain("no server: a:1 refused the connection; b:2 refused");
  });

  test("a session that is not known any more ends it, each command with one reply", async () => {
    const mode = begin();
    mode.feed.do(...enter);
    await network.run(50);
    cluster.sessions.clear();
    cluster.kill(1);
    mode.feed.do({ do: "send", to: "alice", text: "x", tag: "s" });
    await network.run(1000);
    expect(mode.status()).toBe(1);
    expect(mode.replies().slice(2)).toMatchObject([{ tag: "s", ok: false, error: "unavailable" }]);
  });

  test("a signal ends it at once, each open command with one reply", async () => {
    const controller = new AbortController();
    const mode = begin({ signal: controller.signal });
    mode.feed.do(...enter);
    await network.run(50);
    cluster.intercept = (_, frame) => frame.type === "send";
    mode.feed.do({ do: "send", to: "alice", text: "x", tag: "s" });
    await network.run(50);
    controller.abort();
    await network.run(50);
    expect(mode.status()).not.toBeNull();
    expect(mode.replies().slice(2)).toMatchObject([{ tag: "s", ok: false, error: "unknown" }]);
  });

  test("what nobody asked for is told as it comes", async () => {
    const mode = begin();
    mode.feed.do(...enter);
    await network.run(50);
    const session = [...cluster.sessions.keys()][0] ?? "";
    cluster.push(session, { type: "changed", what: "read", ids: [{ session, seq: 7 }] });
    cluster.push(session, { type: "presence", user: "bob", online: false, lastSeenAt: 1000 });
    cluster.push(session, { type: "notice", text: "mind the gap" });
    cluster.push(session, { type: "loggedOut", reason: "deleted" });
    await network.run(10);
    expect(mode.lines.slice(-4)).toEqual([
      { event: "changed", what: "read", ids: [`${session}/7`] },
      { event: "presence", user: "bob", online: false, lastSeen: 1000 },
      { event: "notice", text: "mind the gap" },
      { event: "logged-out", reason: "deleted" },
    ]);
    expect(await finish(mode)).toBe(0);
  });
});
