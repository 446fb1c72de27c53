/** Replicas without a state that goes with their log, when the log does not reach back to build it again: real files. */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ChatClient } from "../client/types.ts";
import type { Policy } from "../protocol/messages.ts";
import { TestCluster, until } from "./cluster.fixture.ts";

// Real sockets, disks or threads on a busy machine: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

const clusters: TestCluster[] = [];
afterAll(async () => {
  await Promise.all(clusters.map((cluster) => cluster.close()));
});

const retention = { laggardEntries: 10, snapshotBehindEntries: 50, snapshotBytesPerSecond: 1e9, compactMs: 50 };
const password = "correct horse";

async function send(client: ChatClient, from: number, to: number): Promise<void> {
  const texts = Array.from({ length: to - from }, (_, at) => `message ${from + at}`);
  const answers = await Promise.all(texts.map((text) => client.request({ type: "send", to: "bob", text })));
  expect(new Set(answers.map(({ type }) => type))).toEqual(new Set(["sent"]));
}

/** What replica `pid` has of bob's, who was away. */
async function inboxOn(cluster: TestCluster, pid: number): Promise<number> {
  const client = cluster.client(pid);
  try {
    await client.request({ type: "login", user: "bob", password });
    const answer = await client.request({ type: "inbox" });
    return answer.type === "inboxCount" ? answer.count : -1;
  } finally {
    await client.close();
  }
}

/** All of the config, with accounts, and a log that does not begin at 1 any more. */
async function shortened(
  size: number,
  policy: Policy,
): Promise<{ readonly cluster: TestCluster; readonly alice: ChatClient }> {
  const cluster = new TestCluster(size, policy);
  clusters.push(cluster);
  cluster.segmentBytes = 16 * 1024;
  for (const { pid } of cluster.peers) await cluster.start(pid, { retention });
  await until(() => cluster.ready.length === size, "all to be ready");
  const alice = cluster.client(1);
  const bob = cluster.client(2);
  for (const [client, user] of [
    [alice, "alice"],
    [bob, "bob"],
  ] as const) {
    await client.request({ type: "createAccount", user, password });
    await client.request({ type: "login", user, password });
  }
  await bob.close();
  await send(alice, 0, 400);
  for (const { pid } of cluster.peers)
    await until(() => !cluster.segments(pid).includes("00000001.wal"), `${pid} to delete`);
  return { cluster, alice };
}

describe.each(["available", "quorum"] as const)("under %s", (policy: Policy) => {
  test("a replica with an empty disk goes on from another's snapshot, where the others' logs begin", async () => {
    const { cluster: three, alice } = await shortened(3, policy);

    await three.stop(3);
    await send(alice, 400, 500);
    three.wipe(3);
    await three.start(3, { retention });
    await until(() => three.nodes.get(3)?.standing.ready === true, "replica 3 to be ready");
    expect(three.said.filter((line) => line.startsWith("3 ")).join("\n")).toContain("goes on from the snapshot");
    await send(alice, 500, 520);
    await alice.close();
    await until(() => three.nodes.get(3)?.standing.commit === three.nodes.get(1)?.standing.commit, "the same commit");
    expect(await inboxOn(three, 3)).toBe(520);

    // What it has of the log begins above 1 as well, and a restart finds log and state that go together.
    await three.stop(3);
    three.said.length = 0;
    await three.start(3, { retention });
    await until(() => three.nodes.get(3)?.standing.ready === true, "replica 3 to be ready again");
    expect(three.said.filter((line) => /snapshot|lineage|replaying/.test(line))).toEqual([]);
    expect(await inboxOn(three, 3)).toBe(520);
    expect(three.fatal).toEqual([]);
  });
});

const flipped = [
  { what: "an entry", offset: 6_000 },
  { what: "where the log begins", offset: 128 + 41 },
];

test.each(flipped)("one bit of $what that rots takes no state, not even the last one", async ({ offset }) => {
  const { cluster, alice } = await shortened(2, "available");
  await alice.close();
  for (const pid of [1, 2]) await cluster.stop(pid);
  cluster.forgetState(2);
  const path = join(cluster.directory, "1", cluster.segments(1).toSorted()[0] ?? "");
  const bytes = readFileSync(path);
  bytes.writeUInt8(bytes.readUInt8(offset) ^ 4, offset);
  writeFileSync(path, bytes);
  cluster.said.length = 0;
  for (const pid of [1, 2]) await cluster.start(pid, { retention, recoveryWaitMs: 500 });
  await until(() => [1, 2].every((pid) => cluster.nodes.get(pid)?.standing.ready === true), "both to be ready");
  const said = cluster.said.join("\n");
  expect(said).toContain("1 info: the log is damaged: waiting for a replica to repair it from");
  expect(said).toMatch(/2 info: goes on from the snapshot of the state at index \d+/);
  expect(said).toMatch(/1 info: goes on from the state at index \d+: the log has been fetched as far again/);
  for (const pid of [1, 2]) expect(await inboxOn(cluster, pid)).toBe(400);
  expect(cluster.fatal).toEqual([]);
});
