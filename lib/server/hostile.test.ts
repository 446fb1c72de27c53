/** Connections that misbehave: each gets a reason and a clean close, and the replica serves on. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { limits } from "../base/limits.ts";
import type { Connection } from "../base/transport.ts";
import { encodeFrame } from "../protocol/codec.ts";
import { protocolMagic, type Frame, type FrameOf } from "../protocol/messages.ts";
import { RawClient, TestCluster, until } from "./cluster.fixture.ts";

// Real sockets, disks or threads on a busy machine: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

let one: TestCluster;
let port = 0;
beforeAll(async () => {
  one = new TestCluster(1);
  await one.startAll();
  port = one.port(1);
});
afterAll(() => one.close());

/** What the replica says, after which it has closed in good order. */
async function reason(client: RawClient): Promise<FrameOf<"error">> {
  const error = await client.next("error");
  await until(() => client.closed !== null, "the close");
  expect(client.ended).toBeTrue();
  return error;
}

async function expectServing(): Promise<void> {
  const client = await RawClient.opened(port);
  client.send({ type: "inbox", request: 9 });
  await client.next("refused");
  client.terminate();
}

const hello: Frame = { type: "hello", magic: protocolMagic, version: 1, software: "raw" };
const op = { request: 2, seq: 1, oldest: 1 };

describe("a stranger", () => {
  test("of an unknown version is told both versions", async () => {
    const client = await RawClient.connect(port);
    client.send({ ...hello, version: 99 } as Frame);
    expect(await reason(client)).toMatchObject({
      code: "version",
      message: "you speak protocol version 99; this replica speaks version 1",
      versionOldest: limits.protocolVersionOldest,
      versionNewest: limits.protocolVersion,
    });
  });

  test("is sent elsewhere when there are as many clients as there may be, and taken when one has gone", async () => {
    const few = new TestCluster(1);
    try {
      await few.start(1, { clientsMax: 1 });
      const first = await RawClient.greeted(few.port(1));
      const second = await RawClient.connect(few.port(1));
      second.send(hello);
      expect(await reason(second)).toMatchObject({ code: "overloaded", message: "1 client may be connected here" });
      first.terminate();
      await until(() => first.closed !== null, "the close");
      const third = await RawClient.greeted(few.port(1));
      third.terminate();
    } finally {
      await few.close();
    }
  });

  test("that comes again and again, as a replica of another version does, is told of once", async () => {
    const told = (): number => one.said.filter((line) => /^1 info: .*protocol version 98/.test(line)).length;
    for (let count = 0; count < 5; count++) {
      const client = await RawClient.connect(port);
      client.send({ ...hello, version: 98 } as Frame);
      await reason(client);
    }
    await until(() => one.said.filter((line) => line.includes("protocol version 98")).length === 5);
    expect(told()).toBe(1);
    const client = await RawClient.greeted(port);
    client.terminate();
    const again = await RawClient.connect(port);
    again.send({ ...hello, version: 98 } as Frame);
    await until(() => told() === 2);
  });

  test.each([
    ["that speaks before hello", encodeFrame({ type: "status", request: 1 }), "unexpected"],
    ["of another protocol", new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"), "frame"],
    ["with another magic", encodeFrame({ ...hello, magic: "telnet" } as Frame), "protocol"],
    ["with an empty frame", new Uint8Array(4), "frame"],
  ] as const)("%s is told so", async (_what, bytes, code) => {
    const client = await RawClient.connect(port);
    client.raw(bytes);
    expect((await reason(client)).code).toBe(code);
    await expectServing();
  });

  test("that goes away in the middle of a frame is no trouble", async () => {
    const client = await RawClient.connect(port);
    client.raw(encodeFrame(hello).subarray(0, 7));
    client.connection.close();
    await until(() => client.closed !== null);
    await expectServing();
  });
});

describe("a client", () => {
  test.each([
    ["a frame that is too long", [0, 1, 0, 1], "frame"],
    ["a frame far too long", [255, 255, 255, 255], "frame"],
    ["what is not CBOR", [0, 0, 0, 2, 0xff, 0xff], "frame"],
    ["a frame of an unknown kind", [0, 0, 0, 4, 0x81, 0x19, 0x03, 0xe7], "frame"],
    ["a frame of the wrong shape", [0, 0, 0, 4, 0x82, 0x18, 0x35, 0x60], "frame"],
  ])("that sends %s is told so", async (_what, bytes, code) => {
    const client = await RawClient.greeted(port);
    client.bytes(...bytes);
    expect((await reason(client)).code).toBe(code as FrameOf<"error">["code"]);
    await expectServing();
  });

  test.each<[string, Frame, string?]>([
    ["a second hello", hello],
    ["an op before a session", { type: "logout", ...op }],
    ["a replica's message", { type: "ask", nonce: 1, epoch: 0, lastActView: 0 }],
    ["a reply", { type: "inboxCount", request: 1, count: 1 }, "an inboxCount frame"],
    [
      "a replica's hello after its own",
      {
        type: "peerHello",
        magic: protocolMagic,
        version: 1,
        cluster: new Uint8Array(16),
        pid: 2,
        uuid: crypto.randomUUID(),
        incarnation: 1,
        address: "a:1",
        policy: "available",
        software: "x",
      },
    ],
  ])("that sends %s is told so", async (_what, frame, says = "") => {
    const client = await RawClient.greeted(port);
    client.send(frame);
    expect(await reason(client)).toMatchObject({ code: "unexpected", message: expect.stringContaining(says) });
    await expectServing();
  });

  test("that opens a second session on one connection is told so", async () => {
    const client = await RawClient.opened(port);
    client.open({});
    expect((await reason(client)).code).toBe("unexpected");
  });

  test("that names what is too long to be repeated, with characters that are long when they are quoted, is refused", async () => {
    const client = await RawClient.opened(port);
    const control = "\u0001";
    // The question waits for the op, so that it is answered while what came out of the log is told.
    client.send(
      { type: "createAccount", ...op, user: "verbose", password: "correct horse" },
      { type: "accounts", request: 3, pattern: `[${control.repeat(255)}`, after: null, limit: 10 },
    );
    expect(await client.next("refused")).toMatchObject({ request: 3, code: "bad-pattern" });
    const change = { change: "add", pid: 4, address: control.repeat(300), acceptLoss: false } as const;
    client.send({ type: "changeConfig", request: 4, ...change });
    const report = await client.next("changeReport");
    expect(report).toMatchObject({ request: 4, state: "refused" });
    expect(report.reason).toContain("is not HOST:PORT");
    client.terminate();
    await expectServing();
  });

  test("gets pongs, and goodbye ends it", async () => {
    const client = await RawClient.greeted(port);
    client.send({ type: "ping", nonce: 41 });
    expect(await client.next("pong")).toMatchObject({ nonce: 41 });
    client.send({ type: "goodbye", reason: "done" });
    await until(() => client.closed !== null);
    expect(client.ended).toBeTrue();
  });

  test("that asks for everything and reads nothing does not hold the replica up", async () => {
    const session = crypto.randomUUID();
    const filler = await RawClient.opened(port, session);
    const password = "correct horse";
    const ops = (seq: number) => ({ request: seq, seq, oldest: seq });
    filler.send(
      { type: "createAccount", ...ops(1), user: "glutton", password },
      { type: "createAccount", ...ops(2), user: "friend", password },
      { type: "login", ...ops(3), user: "friend", password },
    );
    await filler.next("loggedIn");
    for (let seq = 4; seq < 204; seq++) {
      filler.send({ type: "send", ...ops(seq), to: "glutton", text: "x".repeat(4000) });
      if (seq % 50 === 0) await until(() => filler.frames.filter(({ type }) => type === "sent").length >= seq - 10);
    }
    await until(() => filler.frames.filter(({ type }) => type === "sent").length === 200);
    filler.connection.pause();
    for (let request = 1000; request < 3000; request++) {
      filler.send({ type: "messages", request, with: null, before: null, limit: 200, unread: false });
    }
    // 2,000 answers of 800 kB: they are made as they are read, so nobody is thrown out and nothing piles up.
    await expectServing();
    filler.connection.resume();
    filler.frames.length = 0;
    await until(() => filler.frames.length > 20, "answers");
    expect(filler.closed).toBeNull();
    filler.terminate();
    await expectServing();
  });
});

describe("an op", () => {
  test("outside the window or without a number is refused, and the connection stays", async () => {
    const client = await RawClient.opened(port);
    client.send(
      { type: "logout", request: 1, seq: 0, oldest: 0 },
      { type: "logout", request: 2, seq: 3, oldest: 4 },
      { type: "logout", request: 3, seq: 65, oldest: 1 },
      { type: "logout", request: 4, seq: 64, oldest: 1 },
      { type: "logout", request: 5, seq: 1, oldest: 0 },
    );
    const codes = [];
    for (let at = 0; at < 5; at++) {
      const { request, code } = await client.next("refused");
      codes.push([request, code]);
    }
    expect(codes).toEqual([
      [1, "bad-command"],
      [2, "bad-command"],
      [3, "too-many"],
      [4, "not-logged-in"],
      [5, "bad-command"],
    ]);
    client.terminate();
  });
});

describe("passwords", () => {
  test("may be guessed ten times, however many connections do it; other accounts are not slowed down", async () => {
    const owner = await RawClient.opened(port);
    const password = "correct horse";
    owner.send(
      { type: "createAccount", ...op, request: 1, user: "guarded", password },
      { type: "createAccount", ...op, request: 2, seq: 2, user: "other", password },
    );
    await until(() => owner.frames.filter(({ type }) => type === "created").length === 2, "the accounts");
    const clients = await Promise.all(Array.from({ length: 3 }, () => RawClient.opened(port)));
    const guess = (client: RawClient, seq: number, user: string, password: string): void =>
      client.send({ type: "login", request: seq, seq, oldest: seq, user, password });
    for (let seq = 1; seq <= 4; seq++) for (const client of clients) guess(client, seq, "Guarded", `wrong ${seq}`);
    const codes: string[] = [];
    for (let seq = 1; seq <= 4; seq++) for (const client of clients) codes.push((await client.next("refused")).code);
    expect(codes.filter((code) => code === "wrong-password")).toHaveLength(10);
    expect(codes.filter((code) => code === "rate-limited")).toHaveLength(2);
    const [first, second] = clients;
    if (first === undefined || second === undefined) throw new Error("there are three");
    // Not even the right one is told then.
    guess(first, 5, "guarded", password);
    expect(await first.next("refused")).toMatchObject({ code: "rate-limited" });
    guess(second, 5, "other", password);
    expect(await second.next("loggedIn")).toMatchObject({ user: "other" });
    for (const client of [owner, ...clients]) client.terminate();
  });
});

describe("a session", () => {
  const token = new Uint8Array(16).fill(9);

  test("is not opened with another token, whether it is resumed or registered again", async () => {
    const session = crypto.randomUUID();
    (await RawClient.opened(port, session)).terminate();
    for (const create of [false, true]) {
      const thief = await RawClient.greeted(port);
      thief.open({ session, token, create });
      expect(await thief.next("refused")).toMatchObject({ code: "unauthorized" });
      thief.terminate();
    }
  });

  test("that nobody knows is not made by resuming it, and may then be registered on the same connection", async () => {
    const client = await RawClient.greeted(port);
    const session = crypto.randomUUID();
    client.open({ session, create: false });
    expect(await client.next("refused")).toMatchObject({ code: "unauthorized" });
    client.open({ session, create: true });
    await client.next("sessionOpened");
    client.terminate();
  });

  test("of a replica's own kind is nobody's to open", async () => {
    const client = await RawClient.greeted(port);
    client.open({ session: "00000000-0000-0000-0100-0000000003e9" });
    expect(await client.next("refused")).toMatchObject({ code: "unauthorized" });
    client.terminate();
  });

  test("whose connection ends without a goodbye stays attached for a while: it misses nothing, and the inbox stays empty", async () => {
    const session = crypto.randomUUID();
    const bob = await RawClient.opened(port, session);
    const alice = await RawClient.opened(port);
    const password = "correct horse";
    const create = (client: RawClient, user: string) =>
      client.send(
        { type: "createAccount", ...op, user, password },
        { type: "login", ...op, request: 3, seq: 2, user, password },
      );
    create(bob, "leaver");
    create(alice, "stayer");
    await Promise.all([bob, alice].map((client) => client.next("loggedIn")));
    // Exactly what a process does that is killed.
    bob.connection.close();
    await until(() => bob.closed !== null);
    alice.send({ type: "send", request: 4, seq: 3, oldest: 3, to: "leaver", text: "while away" });
    await alice.next("sent");
    const again = await RawClient.greeted(port);
    again.open({ session, create: false });
    expect(await again.next("sessionOpened")).toMatchObject({ user: "leaver", inbox: 0 });
    expect((await again.next("message")).message).toMatchObject({ text: "while away", inbox: false });
    for (const client of [alice, again]) client.terminate();
  });

  test("is there for all that was sent ahead in one write with its opening", async () => {
    const session = crypto.randomUUID();
    const account = { user: "hasty", password: "correct horse" };
    const client = await RawClient.connect(port);
    const open = { type: "openSession", request: 1, session, token, create: true } as const;
    const unseen = { lastView: 0, lastIndex: 0, lastMessageIndex: 0 };
    const frames: Frame[] = [
      hello,
      { ...open, ...unseen },
      { type: "inbox", request: 2 },
      { type: "createAccount", ...op, request: 3, ...account },
      { type: "login", request: 4, seq: 2, oldest: 1, ...account },
    ];
    client.raw(Buffer.concat(frames.map(encodeFrame)));
    await client.next("loggedIn");
    expect(client.frames.flatMap((frame) => ("request" in frame ? [[frame.type, frame.request]] : []))).toEqual([
      ["sessionOpened", 1],
      ["refused", 2],
      ["created", 3],
    ]);
    client.terminate();
    const again = await RawClient.connect(port);
    again.raw(Buffer.concat([hello, { ...open, ...unseen, create: false }, frames[2] as Frame].map(encodeFrame)));
    expect(await again.next("inboxCount")).toMatchObject({ request: 2, count: 0 });
    again.terminate();
  });

  test("moves to its newest connection; the older one is told and closed", async () => {
    const session = crypto.randomUUID();
    const older = await RawClient.opened(port, session);
    const newer = await RawClient.opened(port, session);
    expect(await reason(older)).toMatchObject({
      code: "replaced",
      message: expect.stringContaining("another connection"),
    });
    newer.send({ type: "logout", ...op });
    expect(await newer.next("refused")).toMatchObject({ code: "not-logged-in" });
    newer.terminate();
  });
});

test("a password is not reset for whoever is not on this machine", async () => {
  const cluster = new TestCluster(1);
  const tcp = cluster.transport;
  /** As if everybody came from elsewhere. */
  const abroad = (connection: Connection): Connection => ({
    ...{ remote: "203.0.113.9:5000", isLocal: false },
    get queuedBytes() {
      return connection.queuedBytes;
    },
    ...{ send: (bytes) => connection.send(bytes), pause: () => connection.pause(), resume: () => connection.resume() },
    ...{ close: () => connection.close(), terminate: () => connection.terminate() },
  });
  cluster.transport = {
    ...tcp,
    listen: (host, at, accept) => tcp.listen(host, at, (connection) => accept(abroad(connection))),
  };
  try {
    await cluster.startAll();
    const client = await RawClient.opened(cluster.port(1));
    client.send({ type: "resetPassword", ...op, user: "alice", newPassword: "quite long enough" });
    expect(await client.next("refused")).toMatchObject({
      code: "unauthorized",
      message: "A replica resets passwords for its own machine only, not for 203.0.113.9.",
    });
    client.terminate();
  } finally {
    await cluster.close();
  }
});
