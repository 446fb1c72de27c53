/** The outbox: a process that dies at any write, at any moment, and the next ones; over a scripted cluster. */
import { beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { encodeLine } from "./checked-lines.ts";
import { createClient, resumeClient } from "./client.ts";
import { addresses, cluster, loggedIn, network, password, renew, sent, settled } from "./client.fixture.ts";
import { openOutbox, type Outbox, type OutboxEvent, type OutgoingMessage } from "./outbox.ts";
import { begunRecord, boundRecord, encodeRecords, messageRecord, readOutbox } from "./outbox-records.ts";
import { Life, MemoryDisk, type Remains } from "./private-files.fixture.ts";
import type { ChatClient } from "./types.ts";

// Hundreds of lives each, on a busy machine: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

let disk: MemoryDisk;
let drawn = 0;

interface Run {
  readonly life: Life;
  readonly client: ChatClient;
  readonly outbox: Outbox;
  readonly events: OutboxEvent[];
  /** Texts that are known to be on disk. */
  readonly accepted: string[];
  signIn(): Promise<boolean>;
  send(text: string, to?: string): OutgoingMessage;
}

/** A process of alice, not signed in yet. */
function begin(servers: readonly string[] = addresses): Run {
  const life = new Life(disk, network);
  const randomBytes = (length: number) => new Uint8Array(length).fill(++drawn);
  const ports = { transport: life.transport, clock: life.clock, randomBytes };
  const client = createClient({ servers }, ports);
  const resume = (session: Parameters<typeof resumeClient>[0]) => resumeClient(session, { servers }, ports);
  const outbox = openOutbox(servers, { files: life.files, clock: life.clock, randomBytes, resume });
  const events: OutboxEvent[] = [];
  outbox.on((event) => void events.push(event));
  const accepted: string[] = [];
  return {
    life,
    client,
    outbox,
    events,
    accepted,
    async signIn() {
      let isIn = false;
      void client.request({ type: "login", user: "alice", password }).then((answer) => {
        if (answer.type !== "loggedIn") return;
        outbox.signedIn(client, password);
        isIn = true;
      });
      await network.run(5000, () => isIn || !life.isAlive);
      return isIn;
    },
    send(text, to = "bob") {
      const message = outbox.send(to, text);
      message.kept.then(
        () => life.isAlive && accepted.push(text),
        () => {},
      );
      return message;
    },
  };
}

/** What has arrived, in order. */
function arrived(): string[] {
  const [bob] = [...cluster.sessions.values()].filter(({ user }) => user === "bob");
  return bob?.messages.map(({ text }) => text) ?? [];
}

/** Ends as a process that is left in order. */
async function end(run: Run): Promise<void> {
  await settled(run.outbox.settled());
  await settled(run.client.close());
  await settled(run.outbox.close());
}

/** The next process: signs in, lets everything go out, ends. */
async function finish(): Promise<Run> {
  const run = begin();
  expect(await run.signIn()).toBeTrue();
  await end(run);
  return run;
}

const troubles = ({ events }: Run) => events.flatMap((event) => (event.type === "trouble" ? [event.text] : []));

beforeEach(async () => {
  await renew();
  disk = new MemoryDisk();
  await loggedIn("bob");
  cluster.accounts.set("alice", password);
});

test("a message is on disk before it is sent, and leaves nothing behind once it is acknowledged", async () => {
  const run = begin();
  let onDisk = "";
  cluster.intercept = (_, frame) => {
    if (frame.type === "send") onDisk = [...disk.files.values()].map(String).join("");
    return false;
  };
  await run.signIn();
  const message = run.send("hi");
  const answer = sent((await settled(message.answer)) as never);
  const binding = readOutbox(Buffer.from(onDisk)).messages[0]?.binding;
  expect(binding).toMatchObject({ session: answer.id.session, seq: answer.id.seq, user: "alice" });
  await end(run);
  expect([arrived(), disk.files.size]).toEqual([["hi"], 0]);
});

test("what is written before anybody is signed in, or without a server, waits on disk and goes out in order", async () => {
  for (const pid of [1, 2, 3]) cluster.kill(pid);
  const run = begin();
  for (const text of ["one", "two"]) run.send(text);
  await network.run(3000);
  expect(run.accepted).toEqual(["one", "two"]);
  run.life.kill();
  await renew();
  await loggedIn("bob");
  cluster.accounts.set("alice", password);
  const next = begin();
  next.send("three");
  await next.signIn();
  next.send("four");
  await end(next);
  expect(arrived()).toEqual(["one", "two", "three", "four"]);
  expect(next.events.map((event) => event.type)).toEqual(["earlier", "earlier"]);
  expect(disk.files.size).toBe(0);
});

describe("a process that dies", () => {
  const texts = ["one", "two", "three", "four", "five"];

  /** Sends some at once, some later; true when it got to its end. */
  async function live(from: number): Promise<Run> {
    const run = begin();
    if (!(await run.signIn())) return run;
    for (const [at, text] of texts.entries()) {
      if (at < from || !run.life.isAlive) continue;
      run.send(text);
      if (at % 2 === 1) await network.run(1);
    }
    await network.run(200);
    return run;
  }

  /** Which of the texts comes next, by what its reader has; and whether all promises are kept until now. */
  function check(accepted: readonly string[]): number {
    const all = arrived();
    expect(all).toEqual(texts.slice(0, all.length));
    for (const text of accepted) expect(all).toContain(text);
    return all.length;
  }

  test.each(["nothing", "half", "all"] as Remains[])(
    "at any write that leaves %s of itself, and the next process likewise: once, in order, none lost",
    async (remains) => {
      let deaths = 0;
      for (let step = 1; step < 24; step++) {
        for (const later of [1, 2, 4]) {
          await renew();
          disk = new MemoryDisk();
          await loggedIn("bob");
          cluster.accounts.set("alice", password);
          disk.crash = { step, remains };
          const first = await live(0);
          const died = !first.life.isAlive;
          if (!died) await end(first);
          if (died) deaths++;
          disk.crash = { step: disk.steps + later, remains };
          const second = begin();
          if (await second.signIn()) await network.run(2000);
          if (second.life.isAlive) await end(second);
          disk.crash = null;
          await finish();
          const next = check(first.accepted);
          const last = await live(next);
          await end(last);
          expect(arrived()).toEqual(texts);
          expect([...disk.files.keys()]).toEqual([]);
        }
      }
      expect(deaths).toBeGreaterThan(15);
    },
  );

  test("at any moment: once, in order, none lost", async () => {
    for (let diesMs = 4; diesMs < 60; diesMs++) {
      await renew();
      disk = new MemoryDisk();
      await loggedIn("bob");
      cluster.accounts.set("alice", password);
      const first = begin();
      network.setTimer(diesMs, () => first.life.kill());
      if (await first.signIn()) {
        for (const text of texts) {
          if (first.life.isAlive) first.send(text);
          await network.run(4);
        }
      }
      first.life.kill();
      await finish();
      const next = check(first.accepted);
      await end(await live(next));
      expect(arrived()).toEqual(texts);
    }
  });

  test("after its messages were sent and before it heard of it: they are found to be done", async () => {
    const run = begin();
    await run.signIn();
    cluster.intercept = (peer, frame) => {
      if (frame.type === "send") peer.send = () => {};
      return false;
    };
    const lost = run.send("hi");
    await network.run(100);
    run.life.kill();
    expect(arrived()).toEqual(["hi"]);
    cluster.intercept = () => false;
    const next = begin();
    await next.signIn();
    const [event] = next.events;
    if (event?.type !== "earlier") throw new Error("nothing was found");
    expect(event.message).toMatchObject({ to: "bob", text: "hi", at: lost.at, isEarlier: true });
    expect(sent((await settled(event.message.answer)) as never).duplicate).toBeTrue();
    await end(next);
    expect(arrived()).toEqual(["hi"]);
  });
});

describe("the session of a process that has ended", () => {
  /** A process that dies with a message under way, which no replica has seen. */
  async function dieSending(...texts: string[]): Promise<string> {
    const run = begin();
    await run.signIn();
    cluster.intercept = (_, frame) => frame.type === "send";
    for (const text of texts) run.send(text);
    await network.run(100);
    expect(run.accepted).toEqual(texts);
    run.life.kill();
    cluster.intercept = () => false;
    return run.client.key?.session ?? "";
  }

  test("is logged in again when it was logged out elsewhere", async () => {
    const session = await dieSending("one", "two");
    const state = cluster.sessions.get(session);
    if (state !== undefined) state.user = null;
    await finish();
    expect(arrived()).toEqual(["one", "two"]);
    expect(cluster.log.filter((entry) => entry.startsWith(session) && entry.endsWith(" send"))).toHaveLength(2);
    expect(state?.user).toBeNull();
  });

  test("sends nothing as somebody else who has used it since", async () => {
    const session = await dieSending("from alice");
    const state = cluster.sessions.get(session);
    if (state !== undefined) state.user = "mallory";
    await finish();
    const [bob] = [...cluster.sessions.values()].filter(({ user }) => user === "bob");
    expect(bob?.messages.map(({ from, text }) => [from, text])).toEqual([["alice", "from alice"]]);
  });

  test("keeps its messages when the password is not known, and sends what is new", async () => {
    const session = await dieSending("old");
    const state = cluster.sessions.get(session);
    if (state !== undefined) state.user = null;
    const run = begin();
    await settled(run.client.request({ type: "login", user: "alice", password }));
    run.outbox.signedIn(run.client, null);
    await settled(run.send("new").answer);
    await end(run);
    expect(arrived()).toEqual(["new"]);
    expect(troubles(run)).toEqual([
      "not sent now, but kept: 1 message written earlier: the session is not logged in as alice any more",
    ]);
    await finish();
    expect(arrived()).toEqual(["new", "old"]);
  });

  test("is not known any more: what it sent is found by its id, the rest is sent anew", async () => {
    const run = begin();
    await run.signIn();
    let seen = 0;
    cluster.intercept = (peer, frame) => {
      if (frame.type !== "send") return false;
      // The first takes effect, and no answer leaves.
      peer.send = () => {};
      return ++seen > 1;
    };
    for (const text of ["one", "two"]) run.send(text);
    await network.run(100);
    run.life.kill();
    const [bob] = [...cluster.sessions.values()].filter(({ user }) => user === "bob");
    const history = [...(bob?.messages ?? [])];
    expect(history.map(({ text }) => text)).toEqual(["one"]);
    cluster.sessions.delete(run.client.key?.session ?? "");
    cluster.intercept = (peer, frame) => {
      if (frame.type !== "messages") return false;
      peer.send({ type: "messageList", request: frame.request, messages: history, more: false });
      return true;
    };
    await finish();
    expect(arrived()).toEqual(["one", "two"]);
  });

  test("goes before what is new, however long it takes", async () => {
    await dieSending("old");
    const run = begin();
    let held = true;
    const late: (() => void)[] = [];
    const old = [...cluster.sessions.keys()].at(-1);
    cluster.intercept = (peer, frame) => {
      if (frame.type !== "openSession" || frame.session !== old || !held) return false;
      late.push(() => peer.close());
      return true;
    };
    await run.signIn();
    const message = run.send("new");
    await settled(message.kept);
    await network.run(1000);
    expect(arrived()).toEqual([]);
    held = false;
    for (const act of late) act();
    await end(run);
    expect(arrived()).toEqual(["old", "new"]);
  });
});

describe("two processes of one account", () => {
  test("have a file each, and none sends what another one holds", async () => {
    const first = begin();
    await first.signIn();
    cluster.intercept = (_, frame) => frame.type === "send" && frame.text === "first";
    first.send("first");
    await network.run(50);
    const second = begin();
    await second.signIn();
    second.send("second");
    await end(second);
    expect(second.events).toEqual([]);
    expect(arrived()).toEqual(["second"]);
    cluster.intercept = () => false;
    first.life.kill();
    await finish();
    expect(arrived()).toEqual(["second", "first"]);
  });
});

describe("what is refused or cannot be kept", () => {
  test("a refusal is final, and nothing of it stays", async () => {
    const run = begin();
    await run.signIn();
    const answer = await settled(run.send("hi", "nobody").answer);
    expect(answer).toMatchObject({ type: "refused", code: "no-such-user" });
    expect(await run.send("\ud800").answer).toMatchObject({ type: "refused", code: "bad-command" });
    await end(run);
    expect(disk.files.size).toBe(0);
  });

  test("unavailable is asked again: the message is kept", async () => {
    const run = begin();
    await run.signIn();
    let refusals = 0;
    cluster.intercept = (peer, frame) => {
      if (frame.type !== "send" || refusals++ >= 3) return false;
      peer.send({ type: "refused", request: frame.request, code: "unavailable", message: "No view." });
      return true;
    };
    expect(sent((await settled(run.send("hi").answer)) as never).copies).toBe(3);
    expect(refusals).toBeGreaterThan(3);
    await end(run);
  });

  test("a full disk refuses the message, which is then never sent; once there is room the next one goes out", async () => {
    const run = begin();
    await run.signIn();
    disk.fault = "cannot write: ENOSPC";
    const refused = run.send("no room");
    const failure: unknown = await refused.kept.catch((error: unknown) => error);
    expect(failure).toMatchObject({ message: "cannot write: ENOSPC", code: "disk" });
    expect(await settled(refused.answer)).toMatchObject({
      message: "It was not sent, as it cannot be kept: cannot write: ENOSPC",
    });
    disk.fault = null;
    run.send("room");
    await end(run);
    await finish();
    expect(arrived()).toEqual(["room"]);
  });

  test("a disk that fills up before a kept message is sent holds it back until there is room", async () => {
    const run = begin();
    run.send("kept");
    await network.run(10);
    expect(run.accepted).toEqual(["kept"]);
    disk.fault = "cannot write: ENOSPC";
    await run.signIn();
    await network.run(1000);
    expect(arrived()).toEqual([]);
    expect(troubles(run)).toEqual(["what is kept cannot be sent yet: cannot write: ENOSPC"]);
    disk.fault = null;
    await end(run);
    expect(arrived()).toEqual(["kept"]);
  });

  test("a directory that cannot be used is told, and the message is not sent", async () => {
    const run = begin();
    disk.isUnusable = true;
    await run.signIn();
    expect(await settled(run.send("hi").answer)).toMatchObject({ code: "unavailable" });
    expect(troubles(run)).toEqual(["cannot read memory: EACCES"]);
    expect(arrived()).toEqual([]);
  });

  test("what was not sent yet can be taken back, what may have been sent cannot", async () => {
    const run = begin();
    const early = run.send("early");
    await settled(early.kept);
    expect(run.outbox.withdraw(early)).toBeTrue();
    await run.signIn();
    const message = run.send("late");
    expect(run.outbox.withdraw(message)).toBeFalse();
    await end(run);
    await finish();
    expect(arrived()).toEqual(["late"]);
  });
});

describe("files", () => {
  /** A file as a process without a server leaves it. */
  async function leave(...texts: string[]): Promise<string> {
    const run = begin();
    for (const text of texts) run.send(text);
    await network.run(1);
    run.life.kill();
    return [...disk.files.keys()].at(-1) ?? "";
  }

  test("of a later version are left alone", async () => {
    const name = await leave("old");
    disk.files.delete(name);
    const later = encodeLine({ record: "begun", format: 2, servers: addresses, more: true });
    disk.files.set(name, later);
    const run = await finish();
    expect(troubles(run).join()).toContain("written by a later version");
    expect(disk.files.get(name)).toEqual(later);
  });

  test("of another cluster, or meant for other servers, are left alone and say nothing", async () => {
    const message = { number: 1, to: "bob", text: "for there", at: 1, binding: null };
    const binding = {
      cluster: "ab".repeat(16),
      session: crypto.randomUUID(),
      token: "00".repeat(32),
      seq: 3,
      user: "alice",
    };
    const kept = [messageRecord(message)];
    disk.files.set("000000001-aa.outbox", encodeRecords([begunRecord(["z:9"]), ...kept]));
    disk.files.set("000000002-bb.outbox", encodeRecords([begunRecord(addresses), ...kept, boundRecord(1, binding)]));
    const run = await finish();
    expect([run.events, arrived(), disk.files.size]).toEqual([[], [], 2]);
    expect(disk.holders.size).toBe(0);
  });

  test("damaged anywhere: what is known to be safe is sent, what may have been sent is not, nothing is deleted", async () => {
    const name = await leave("one", "two");
    const sound = disk.files.get(name) ?? new Uint8Array(0);
    for (let at = 0; at < sound.length - 1; at++) {
      await renew();
      await loggedIn("bob");
      cluster.accounts.set("alice", password);
      disk = new MemoryDisk();
      const broken = Uint8Array.from(sound);
      broken[at] = (broken[at] ?? 0) ^ 0x15;
      disk.files.set(name, broken);
      const run = await finish();
      expect([at, arrived()]).toEqual([at, []]);
      expect(troubles(run).join()).toContain("is damaged");
      expect([...disk.files]).toEqual([[`${name}.damaged`, broken]]);
    }
  });

  test("cut anywhere: what was whole is sent, in order, and no more is said", async () => {
    const name = await leave("one", "two");
    const sound = disk.files.get(name) ?? new Uint8Array(0);
    for (let length = 0; length < sound.length; length++) {
      await renew();
      await loggedIn("bob");
      cluster.accounts.set("alice", password);
      disk = new MemoryDisk();
      disk.files.set(name, sound.slice(0, length));
      const run = await finish();
      const lines = String(Buffer.from(sound.slice(0, length))).split("\n").length - 1;
      expect(arrived()).toEqual(["one", "two"].slice(0, Math.max(0, lines - 1)));
      expect([troubles(run), disk.files.size]).toEqual([[], 0]);
    }
  });

  test("grow no longer than what is open needs", async () => {
    const run = begin();
    await run.signIn();
    const text = "x".repeat(4000);
    for (let count = 0; count < 100; count++) await settled(run.send(text).answer);
    await network.run(10);
    const [content] = [...disk.files.values()];
    expect(content?.length).toBeLessThan(300_000);
    await end(run);
    expect(arrived()).toHaveLength(100);
  });
});
