/**
 * A partition of real replicas, and its heal. Under `available` both sides go on and are merged; under `quorum` only the
 * majority goes on and there is nothing to merge. One replica is cut off, the primary or a backup, in silence or with
 * rejections.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { withScene, type Scene } from "./end-to-end.fixture.ts";
import { clientAt, faultsAt, faultsOnDisk, passwordOf, untilTogether } from "./inquiry.ts";
import type { JsonClient } from "./json-client.ts";
import { Ledger } from "./ledger.ts";
import type { CutKind } from "./links.ts";
import { inspectLog, opsIn, supersededOpsIn } from "./logs.ts";
import { namespacesMissing, Network } from "./network.ts";

// Real processes, and waits for timeouts.
setDefaultTimeout(120_000);

const users = ["alice", "bob"];
const sides: [alone: number, cut: CutKind][] = [
  [1, "drop"],
  [3, "reject"],
];
const togetherMs = 60_000;
const missing = namespacesMissing();

if (missing === null) {
  describe("a partition", () => {
    let network: Network;
    beforeAll(() => {
      network = new Network();
    });
    afterAll(() => network.close());

    test.each(sides)("available: replica %d alone (%s), both sides go on, and nothing is lost", async (alone, cut) => {
      await withScene(
        (scene) => bothSidesGoOn(scene, network, alone, cut),
        (directory) => network.cluster(directory),
      );
    });

    test("quorum: the primary alone refuses, the others go on, and there is nothing to merge", async () => {
      await withScene(
        (scene) => majorityGoesOn(scene, network, 1, "drop"),
        (directory) => network.cluster(directory, ["--policy", "quorum"]),
      );
    });
  });
} else {
  test.skip(`a partition: skipped, because ${missing}`, () => {});
}

/** Of the two sides of a partition: who sends there, and an account that goes there while the other side writes to it. */
interface Side {
  readonly sender: JsonClient;
  readonly writer: JsonClient;
  readonly leaver: JsonClient;
  readonly copies: number;
}

async function bothSidesGoOn(scene: Scene, network: Network, alone: number, cut: CutKind): Promise<void> {
  const { cluster } = scene;
  const ledger = new Ledger();
  await cluster.start();
  const other = cluster.pids.find((pid) => pid !== alone) ?? 0;
  const alice = await scene.signedIn(alone, "alice");
  const bob = await scene.signedIn(other, "bob");
  const one = await sideOf(scene, alone, alice, "carol", "dave", 1);
  const two = await sideOf(scene, other, bob, "erin", "frank", 2);
  const devices = [alice, await scene.signedIn(other, "alice")];
  const { draft } = await alice.must({ do: "draft", to: "bob", text: "begun together" });
  await ledger.sendMany(alice, "alice", "bob", "while all are together", 10);

  network.part([alone], cut);
  await Promise.all([untilCopies(alice, one.copies), untilCopies(bob, two.copies)]);
  await Promise.all([
    ledger.sendMany(alice, "alice", "bob", "from one side", 30),
    ledger.sendMany(bob, "bob", "alice", "from the other", 30),
  ]);
  expect(bob.received.filter(({ text }) => text.startsWith("from one side"))).toEqual([]);
  await Promise.all([one, two].map(({ sender }, at) => sender.must(zoe(at))));
  await Promise.all(devices.map((device, at) => device.must({ do: "draft", draft, to: "bob", text: textOfSide(at) })));
  await Promise.all([writeAndLeave(one, two, "dave", "frank"), writeAndLeave(two, one, "frank", "dave")]);

  network.mendAll();
  await untilTogether(cluster, togetherMs);
  await ledger.send(alice, "alice", "bob", "together again");
  await bob.until("everything from the other side arrives", () => bob.received.length === 10 + 30 + 1);
  for (const pid of cluster.pids) {
    expect(await faultsAt(cluster, pid, ledger, users)).toEqual([]);
    await expectConflictRules(clientAt(cluster, pid));
    await expectBothDrafts(clientAt(cluster, pid));
  }
  await expectOneNotice(one, two);
  await expectFork(cluster.places.map((place) => place.dataDirectory));
  expect(await faultsOnDisk(cluster)).toEqual([]);
}

async function sideOf(scene: Scene, pid: number, sender: JsonClient, writer: string, leaver: string, copies: number) {
  return { sender, copies, writer: await scene.signedIn(pid, writer), leaver: await scene.signedIn(pid, leaver) };
}

const zoe = (side: number) => ({ do: "create", user: "zoe", password: `password of side ${side}` }) as const;

/** An account goes on this side, after the other side's writer has written to it there. */
async function writeAndLeave(here: Side, there: Side, goes: string, stays: string): Promise<void> {
  await here.writer.must({ do: "send", to: stays, text: `to ${stays}, who may have gone` });
  await here.leaver.must({ do: "delete-account", password: passwordOf(goes) });
  // On this side the account is there no more; on the other side, which has not heard of it, it is.
  expect(await here.writer.do({ do: "send", to: goes, text: "gone" })).toMatchObject({ error: "no-such-user" });
  expect(there.copies).not.toBe(here.copies);
}

/** Both accounts of one name are there, each with its password; the later one has another name and is told. */
async function expectConflictRules(client: JsonClient): Promise<void> {
  const { accounts } = await client.must({ do: "accounts" });
  const names = accounts.map(({ user }) => user).filter((user) => !users.includes(user));
  expect(names).toEqual(["carol", "erin", "zoe", "zoe~2"]);
  const found: string[] = [];
  for (const side of [0, 1]) {
    const { user } = await client.must({ ...zoe(side), do: "login" });
    found.push(user);
    await client.must({ do: "logout" });
  }
  expect(found.toSorted()).toEqual(["zoe", "zoe~2"]);
  await client.end();
}

const textOfSide = (side: number): string => `gone on with on side ${side}`;

/** A draft that was edited on both sides: each side's text is there. */
async function expectBothDrafts(client: JsonClient): Promise<void> {
  await client.must({ do: "login", user: "alice", password: passwordOf("alice") });
  const { drafts } = await client.must({ do: "drafts" });
  expect(drafts.map(({ text }) => text).toSorted()).toEqual([textOfSide(0), textOfSide(1)]);
  await client.end();
}

/**
 * Both writers were acknowledged a message to an account that had gone on the other side. The one whose side did not go
 * on is told; the other's message was there before the account went.
 */
async function expectOneNotice(one: Side, two: Side): Promise<void> {
  const told = (): string[] => [...one.writer.notices, ...two.writer.notices];
  await one.writer.until("a writer is told, or the other is", () => told().length > 0, 1000).catch(() => {});
  await two.writer.until("a writer is told", () => told().length > 0);
  // Whether anything still knows how that account was called depends on what else was sent to it.
  const wanted = /^Your message to (dave|frank|an account that is gone) could not be delivered.* (dave|frank), who/;
  expect(told()).toEqual([expect.stringMatching(wanted)]);
}

/** The side that did not go on keeps what it wrote in its log, and all of it stands in the log of all as well. */
async function expectFork(directories: readonly string[]): Promise<void> {
  const forks = await Promise.all(directories.map(supersededOpsIn));
  const [common] = await Promise.all(directories.map(opsIn));
  const fork = forks.flat();
  expect(fork.length).toBeGreaterThan(30);
  expect(fork.filter((op) => !common?.has(op))).toEqual([]);
  const views = await Promise.all(directories.map((directory) => inspectLog(directory, "--views")));
  for (const [at, { output }] of views.entries()) {
    if (forks[at]?.length === 0) continue;
    expect(output).toMatch(/superseded by \d+\.\d,\s+\d+\s+ops,\s+all in the lineage again/);
    expect(output).toMatch(/goes on; \d fork.*all in the\s+lineage again/);
  }
}

async function majorityGoesOn(scene: Scene, network: Network, alone: number, cut: CutKind): Promise<void> {
  const { cluster } = scene;
  const ledger = new Ledger();
  await cluster.start();
  const other = cluster.pids.find((pid) => pid !== alone) ?? 0;
  const alice = await scene.signedIn(alone, "alice");
  const carol = await scene.signedIn(alone, "carol");
  const bob = await scene.signedIn(other, "bob");
  await ledger.sendMany(alice, "alice", "bob", "while all are together", 10);

  network.part([alone], cut);
  await untilCopies(bob, 2);
  const [refused, refusedToo] = await Promise.all([
    Promise.all(Array.from({ length: 5 }, () => ledger.attempt(alice, "alice", "bob", "from the minority"))),
    carol.do(zoe(0)),
    ledger.sendMany(bob, "bob", "alice", "from the majority", 30),
  ]);
  for (const reply of [...refused, refusedToo]) expect(reply).toMatchObject({ ok: false, error: "unavailable" });
  await bob.must(zoe(1));

  network.mendAll();
  await untilTogether(cluster, togetherMs);
  await ledger.send(alice, "alice", "bob", "together again");
  for (const pid of cluster.pids) expect(await faultsAt(cluster, pid, ledger, users, { ordered: true })).toEqual([]);
  const { accounts } = await bob.must({ do: "accounts", pattern: "z*" });
  expect(accounts.map(({ user }) => user)).toEqual(["zoe"]);
  const directories = cluster.places.map((place) => place.dataDirectory);
  expect((await Promise.all(directories.map(supersededOpsIn))).flat()).toEqual([]);
  expect(await faultsOnDisk(cluster)).toEqual([]);
}

/** Resolves when the replica of this client is in a view of so many. */
async function untilCopies(client: JsonClient, copies: number): Promise<void> {
  for (const deadline = performance.now() + 30_000; ; await Bun.sleep(20)) {
    const status = await client.must({ do: "status" });
    if (status.copies === copies) return;
    if (performance.now() > deadline) throw new Error(`not ${copies} copies, but ${JSON.stringify(status)}`);
  }
}
