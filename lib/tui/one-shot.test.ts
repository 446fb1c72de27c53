/** One-shot commands over a scripted cluster: exit statuses, what is kept, what is shown and when it counts as read. */
import { beforeEach, describe, expect, test } from "bun:test";
import { createClient, resumeClient } from "../client/client.ts";
import { addresses, cluster, loggedIn, network, password, renew } from "../client/client.fixture.ts";
import { openOutbox } from "../client/outbox.ts";
import { Life, MemoryDisk } from "../client/private-files.fixture.ts";
import type { ChatMessage } from "../protocol/messages.ts";
import { runOneShot, type OneShotOptions, type Task } from "./one-shot.ts";

let disk: MemoryDisk;
let drawn = 0;

class Lines {
  readonly lines: string[] = [];
  /** Whoever reads has not taken them yet. */
  held: Promise<void> = Promise.resolve();
  write(line: string): void {
    this.lines.push(line);
  }
  drained(): Promise<void> {
    return this.held;
  }
}

function begin(task: Task, options: Partial<OneShotOptions> = {}) {
  const life = new Life(disk, network);
  const randomBytes = (length: number) => new Uint8Array(length).fill(++drawn);
  const ports = { transport: life.transport, clock: life.clock, randomBytes };
  const client = createClient({ servers: addresses }, ports);
  const resume = (session: Parameters<typeof resumeClient>[0]) => resumeClient(session, { servers: addresses }, ports);
  const outbox = openOutbox(addresses, { files: life.files, clock: life.clock, randomBytes, resume });
  const output = new Lines();
  const complaints: string[] = [];
  const stop = new AbortController();
  let status: number | null = null;
  void runOneShot(client, outbox, task, {
    user: "alice",
    password,
    json: false,
    unicode: true,
    clock: life.clock,
    giveUpMs: 1000,
    output,
    complain: (line) => void complaints.push(line),
    signal: stop.signal,
    ...options,
  }).then((code) => {
    status = code;
  });
  const ended = async (): Promise<number | null> => {
    await network.run(20_000, () => status !== null);
    return status;
  };
  return { client, output, complaints, stop, life, ended };
}

const send = (text = "hi", to = "bob"): Task => ({ type: "send", to, text });
const show = (isNew: boolean, follow: boolean): Task => ({ type: "show", new: isNew, follow });
const arrived = (): string[] =>
  [...cluster.sessions.values()]
    .filter(({ user }) => user === "bob")
    .flatMap(({ messages }) => messages.map(({ text }) => text));

beforeEach(async () => {
  await renew();
  disk = new MemoryDisk();
  await loggedIn("bob");
  cluster.accounts.set("alice", password);
});

describe("send", () => {
  test("ends with 0 after the acknowledgement, leaves no session logged in and nothing on disk", async () => {
    const run = begin(send());
    expect([await run.ended(), run.output.lines, run.complaints]).toEqual([0, [], []]);
    expect(arrived()).toEqual(["hi"]);
    expect([...cluster.sessions.values()].filter(({ user }) => user === "alice")).toEqual([]);
    expect([disk.files.size, disk.holders.size]).toEqual([0, 0]);
  });

  test("says in JSON what --json says of a send", async () => {
    const run = begin(send(), { json: true });
    expect(await run.ended()).toBe(0);
    expect(JSON.parse(run.output.lines.join())).toMatchObject({ event: "reply", tag: null, ok: true, copies: 3 });
  });

  test("69 without a server, and with one that never acknowledges: kept, and sent once with the next run", async () => {
    for (const pid of [1, 2, 3]) cluster.kill(pid);
    const first = begin(send("one"));
    expect(await first.ended()).toBe(69);
    expect(first.complaints.join()).toMatch(/^no server could be reached for 1.0 s: .*the message to bob is kept/);
    await renew();
    await loggedIn("bob");
    cluster.accounts.set("alice", password);
    // It takes effect, and no answer leaves.
    cluster.intercept = (peer, frame) => {
      if (frame.type === "send") peer.send = () => {};
      return false;
    };
    const second = begin(send("two"));
    expect(await second.ended()).toBe(69);
    expect(second.complaints).toEqual([
      "no acknowledgement within 1.0 s: the message to bob is kept, and goes out, once, with the next run",
    ]);
    cluster.intercept = () => false;
    expect(await begin(show(true, false)).ended()).toBe(0);
    expect(arrived()).toEqual(["one", "two"]);
    expect(disk.files.size).toBe(0);
  });

  test("what is kept does not follow the logout with which a run ends: it would be refused, and dropped", async () => {
    cluster.intercept = (peer, frame) => {
      if (frame.type === "send") peer.send = () => {};
      return false;
    };
    expect(await begin(send("one")).ended()).toBe(69);
    const earlier = new Set(cluster.sessions.keys());
    // The session of the run before can be gone on with no sooner than when the run after it leaves.
    let goOn: (() => void) | null = null;
    let hasLeft = false;
    cluster.intercept = (peer, frame) => {
      if (frame.type === "openSession" && earlier.has(frame.session)) {
        const { request, session } = frame;
        goOn = () => {
          peer.session = session;
          const position = { index: cluster.log.length, view: cluster.view };
          peer.send({ type: "sessionOpened", request, user: "alice", inbox: 0, drafts: 0, ...position });
        };
        return true;
      }
      if (frame.type !== "logout" || hasLeft) return false;
      hasLeft = true;
      const { send: answer } = peer;
      const late: Parameters<typeof answer>[] = [];
      peer.send = (...words) => void late.push(words);
      network.setTimer(500, () => {
        peer.send = answer;
        for (const words of late) peer.send(...words);
      });
      goOn?.();
      return false;
    };
    expect(await begin(send("two")).ended()).toBe(69);
    expect(hasLeft).toBeTrue();
    cluster.intercept = () => false;
    expect(await begin(show(true, false)).ended()).toBe(0);
    expect(arrived()).toEqual(["one", "two"]);
  });

  test("a wrong password is 77, another refusal 1; the message is taken back", async () => {
    const wrong = begin(send(), { password: "not this one" });
    expect([await wrong.ended(), wrong.complaints]).toEqual([
      77,
      ["alice cannot sign in: Wrong. The message is not sent."],
    ]);
    for (const task of [send("hi", "nobody"), send("x".repeat(5000))]) {
      const run = begin(task);
      expect(await run.ended()).toBe(1);
      expect(run.complaints.join()).toStartWith("not sent to ");
    }
    expect([arrived(), disk.files.size]).toEqual([[], 0]);
  });

  test("a login that is refused for a moment is tried again", async () => {
    let refusals = 0;
    cluster.intercept = (peer, frame) => {
      if (frame.type !== "login" || refusals++ > 0) return false;
      peer.send({ type: "refused", request: frame.request, code: "rate-limited", message: "Later." });
      return true;
    };
    expect([await begin(send(), { giveUpMs: 5000 }).ended(), arrived()]).toEqual([0, ["hi"]]);
  });

  test("what an earlier run kept and is refused now is said, and is not this run's failure", async () => {
    for (const pid of [1, 2, 3]) cluster.kill(pid);
    expect(await begin(send("old", "carol")).ended()).toBe(69);
    await renew();
    await loggedIn("bob");
    cluster.accounts.set("alice", password);
    const run = begin(send("new"));
    expect(await run.ended()).toBe(0);
    expect(run.complaints.join()).toMatch(
      /^a message to carol, written .*, was refused: There is no account named carol/,
    );
  });

  test("a full disk is 74, a place that cannot be used 73; neither sends anything", async () => {
    disk.fault = "cannot write: ENOSPC";
    expect(await begin(send()).ended()).toBe(74);
    disk.fault = null;
    disk.isUnusable = true;
    expect(await begin(send()).ended()).toBe(73);
    expect(arrived()).toEqual([]);
  });

  test("Ctrl-C takes back what was not sent; a signal from elsewhere keeps it, and so does anything once it may be sent", async () => {
    for (const pid of [1, 2, 3]) cluster.kill(pid);
    const cancelled = begin(send("cancelled"));
    await network.run(100);
    cancelled.stop.abort({ isCancelled: true });
    await cancelled.ended();
    expect([cancelled.complaints, disk.files.size]).toEqual([
      ["stopped before the message was sent: it is not kept"],
      0,
    ]);
    const stopped = begin(send("stopped"));
    await network.run(100);
    stopped.stop.abort({ isCancelled: false });
    await stopped.ended();
    expect([stopped.complaints.join(), disk.files.size]).toEqual([expect.stringContaining("is kept"), 1]);
    await renew();
    await loggedIn("bob");
    cluster.accounts.set("alice", password);
    cluster.intercept = (_, frame) => frame.type === "send" && frame.text === "on its way";
    const late = begin(send("on its way"));
    await network.run(500, () => arrived().length > 0);
    await network.run(100);
    late.stop.abort({ isCancelled: true });
    await late.ended();
    expect(late.complaints.join()).toContain("is kept");
    cluster.intercept = () => false;
    await begin(show(true, false)).ended();
    expect(arrived()).toEqual(["stopped", "on its way"]);
  });
});

describe("show", () => {
  let marked: string[];
  let unread: ChatMessage[];
  let inbox: ChatMessage[];

  const message = (index: number, text: string): ChatMessage => {
    const id = { session: "00000000-0000-4000-8000-000000000000", seq: index };
    return { id, index, from: "bob", to: "alice", text, at: 1_700_000_000_000, read: false, inbox: false };
  };

  beforeEach(() => {
    marked = [];
    unread = [];
    inbox = [];
    cluster.intercept = (peer, frame) => {
      if (frame.type === "open") {
        const messages = inbox.splice(0, frame.count);
        unread.push(...messages);
        peer.send({
          type: "opened",
          request: frame.request,
          index: 1,
          view: 257,
          copies: 3,
          duplicate: false,
          messages,
        });
        return true;
      }
      if (frame.type === "messages") {
        const { before, limit } = frame;
        const older = unread.filter(({ index }) => before === null || index < before).toReversed();
        const messages = older.slice(0, limit);
        peer.send({ type: "messageList", request: frame.request, messages, more: older.length > limit });
        return true;
      }
      if (frame.type === "mark") marked.push(...frame.ids.map(({ seq }) => String(seq)));
      return false;
    };
  });

  test("what is new: all of the inbox and what is unread, the oldest first, marked once it is written", async () => {
    unread = [message(1, "unread")];
    inbox = Array.from({ length: 450 }, (_, at) => message(at + 2, `waiting ${at}`));
    const run = begin(show(true, false));
    const taken = Promise.withResolvers<void>();
    run.output.held = taken.promise;
    await network.run(500);
    expect(run.output.lines).toHaveLength(451);
    expect(marked).toEqual([]);
    taken.resolve();
    expect(await run.ended()).toBe(0);
    expect(run.output.lines.map((line) => line.replace(/^.* bob: /, ""))).toEqual([
      "unread",
      ...Array.from({ length: 450 }, (_, at) => `waiting ${at}`),
    ]);
    expect(marked).toHaveLength(451);
  });

  test("hostile text begins no line and controls no terminal", async () => {
    unread = [message(1, "\x1b[2Jhi\n12:00 carol: forged")];
    const run = begin(show(true, false));
    expect(await run.ended()).toBe(0);
    expect(run.output.lines.join("\n")).toEndWith("bob: ␛[2Jhi\n  12:00 carol: forged");
  });

  test("follows: what arrives is shown once, also what is pushed and new at once, and what waits after a loss", async () => {
    unread = [message(5, "new")];
    const run = begin(show(true, true), { json: true });
    await network.run(200);
    const session = [...cluster.sessions].find(([, { user }]) => user === "alice")?.[0] ?? "";
    cluster.push(session, { type: "message", message: message(5, "new") });
    cluster.push(session, { type: "message", message: message(6, "live") });
    await network.run(50);
    inbox = [message(7, "while it was away")];
    cluster.push(session, { type: "changed", what: "inbox", ids: [{ session, seq: 7 }] });
    await network.run(50);
    const events = run.output.lines.map((line): { event: string; text?: string } => JSON.parse(line));
    expect(events.map(({ event, text }) => text ?? event)).toEqual([
      "connection",
      "new",
      "live",
      "changed",
      "while it was away",
    ]);
    expect(marked).toEqual(["5", "6", "7"]);
    run.stop.abort({ isCancelled: true });
    expect(await run.ended()).toBe(0);
  });

  test("stays while no server answers, and ends with 1 when it is logged out for good", async () => {
    const run = begin(show(false, true));
    await network.run(200);
    cluster.kill(1);
    cluster.kill(2);
    cluster.kill(3);
    await network.run(5000);
    expect(run.complaints).toEqual([]);
    run.life.kill();
    await renew();
    cluster.accounts.set("alice", password);
    const other = begin(show(false, true));
    await network.run(200);
    const session = [...cluster.sessions.keys()][0] ?? "";
    cluster.push(session, { type: "loggedOut", reason: "the account was deleted" });
    expect([await other.ended(), other.complaints]).toEqual([1, ["the account was logged out"]]);
  });

  test("69 without a server", async () => {
    for (const pid of [1, 2, 3]) cluster.kill(pid);
    const run = begin(show(true, false));
    expect(await run.ended()).toBe(69);
    expect(run.complaints.join()).toMatch(/^no server could be reached for 1.0 s: /);
  });
});
