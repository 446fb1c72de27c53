/** The outbox when something cannot be kept or read: refusals, full disks, files of others, damage anywhere. */
import { beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { encodeLine } from "./checked-lines.ts";
import { addresses, cluster, network, sent, settled } from "./client.fixture.ts";
import { arrived, begin, disk, end, finish, renewAll, troubles } from "./outbox.fixture.ts";
import { begunRecord, boundRecord, encodeRecords, messageRecord, readOutbox } from "./outbox-records.ts";

// Hundreds of lives each, on a busy machine: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

beforeEach(renewAll);

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
      at: 1,
    };
    const kept = [messageRecord(message)];
    disk.files.set("000000001-aa.outbox", encodeRecords([begunRecord(["z:9"]), ...kept]));
    disk.files.set("000000002-bb.outbox", encodeRecords([begunRecord(addresses), ...kept, boundRecord(1, binding)]));
    const run = await finish();
    expect([run.events, arrived(), disk.files.size]).toEqual([[], [], 2]);
    expect(disk.holders.size).toBe(0);
  });

  test("of early builds do not say when a message was bound: it counts as when it was written", () => {
    const binding = { cluster: "ab".repeat(16), session: crypto.randomUUID(), token: "00".repeat(32), seq: 3 };
    const bound = encodeLine({ record: "bound", number: 1, ...binding, user: "alice" });
    const written = messageRecord({ number: 1, to: "bob", text: "hi", at: 7, binding: null });
    const { messages, damaged } = readOutbox(Buffer.concat([encodeRecords([begunRecord(addresses), written]), bound]));
    expect([messages[0]?.binding, damaged]).toEqual([{ ...binding, user: "alice", at: 7 }, 0]);
  });

  test("damaged anywhere: what is known to be safe is sent, what may have been sent is not, nothing is deleted", async () => {
    const name = await leave("one", "two");
    const sound = disk.files.get(name) ?? new Uint8Array(0);
    for (let at = 0; at < sound.length - 1; at++) {
      await renewAll();
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
      await renewAll();
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
