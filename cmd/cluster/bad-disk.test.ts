/** Disks that let a replica down: one that is full, and one that returns other bytes than were written to it. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Cluster } from "./cluster.ts";
import { withScene, type Scene } from "./end-to-end.fixture.ts";
import { clientAt, faultsAt, faultsOnDisk } from "./inquiry.ts";
import type { JsonClient } from "./json-client.ts";
import { Ledger } from "./ledger.ts";
import { inspectLog } from "./logs.ts";
import { SmallDisk, smallDisksMissing } from "./small-disk.ts";

// Real processes: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

const users = ["alice", "bob"];
/** Its end is noticed at once; a second is what silence would cost. */
const failoverMs = 2000;
const membersAgainMs = 10_000;

const missing = smallDisksMissing();

describe("a disk that is full", () => {
  if (missing !== null) {
    test.skip(`skipped, because ${missing}`, () => {});
    return;
  }

  test.each([
    [3, "a backup"],
    [1, "the primary"],
  ])("of replica %d, %s: it stops and says why, the others go on, and it comes back", async (pid) => {
    const disk = new SmallDisk();
    try {
      const makeCluster = (directory: string): Cluster => clusterWith(disk, pid, directory);
      await withScene((scene) => fillDiskOf(scene, pid, disk), makeCluster);
    } finally {
      disk.close();
    }
  });
});

function clusterWith(disk: SmallDisk, pid: number, directory: string): Cluster {
  const { places } = Cluster.inDirectory(directory);
  const small = join(disk.path, "data");
  return new Cluster(places.map((place) => (place.pid === pid ? { ...place, dataDirectory: small } : place)));
}

async function fillDiskOf(scene: Scene, pid: number, disk: SmallDisk): Promise<void> {
  const { cluster } = scene;
  const ledger = new Ledger();
  await cluster.start();
  const others = cluster.pids.filter((other) => other !== pid);
  const alice = await scene.signedIn(others[0] ?? 0, "alice");
  // Bob's replica is the one that stops: what it did not answer, others do.
  const bob = await scene.signedIn(pid, "bob");
  await bothSend(ledger, alice, bob, "with room", 20);

  const saidBefore = await linesSaid(cluster, pid);
  let ended = false;
  const ending = cluster.ended(pid).finally(() => (ended = true));
  disk.fill();
  const fullAtMs = performance.now();
  do await bothSend(ledger, alice, bob, "without room", 20);
  while (!ended);
  expect(await ending).toEqual({ exitCode: 74, signal: null });
  await bothSend(ledger, alice, bob, "on two", 20);
  expect(ledger.longestGapMs(fullAtMs)).toBeLessThan(failoverMs);
  expect((await ledger.send(alice, "alice", "bob", "on two")).copies).toBe(2);
  expectFullDiskSaid((await linesSaid(cluster, pid)).slice(saidBefore.length), disk);
  for (const other of others) expect(await faultsAt(cluster, other, ledger, users)).toEqual([]);

  const stillFull = (await linesSaid(cluster, pid)).length;
  disk.fill();
  await expect(cluster.start(pid)).rejects.toThrow("exit 74");
  expectFullDiskSaid((await linesSaid(cluster, pid)).slice(stillFull), disk);

  disk.makeRoom();
  await cluster.start(pid);
  await untilMembers(cluster, pid);
  await bothSend(ledger, alice, bob, "with room again", 20);
  await cluster.kill(...others);
  expect(await faultsAt(cluster, pid, ledger, users)).toEqual([]);
  await cluster.start();
  await alice.end();
  await bob.end();
  expect(await faultsOnDisk(cluster)).toEqual([]);
}

/** One line, of this disk, with what to do. */
function expectFullDiskSaid(lines: readonly string[], disk: SmallDisk): void {
  const errors = lines.filter((line) => /error: |^chatd: /.test(line));
  expect(errors).toEqual([expect.stringContaining(join(disk.path, "data"))]);
  expect(errors[0]).toContain("make room");
}

describe("a log with a byte that is not what was written", () => {
  test("is found out, repaired from the others, and then as good as theirs", async () => {
    await withScene(async (scene) => {
      const { cluster } = scene;
      const { alice, bob, ledger } = await scene.begin(1, 3);
      await bothSend(ledger, alice, bob, "before the damage", 100);
      await cluster.kill(2);
      const damagedAt = await damageMiddle(join(cluster.place(2).dataDirectory, "log", "00000001.wal"));
      await bothSend(ledger, alice, bob, "while it is away", 100);

      const saidBefore = (await linesSaid(cluster, 2)).length;
      await cluster.start(2);
      await untilMembers(cluster, 2);
      const said = (await linesSaid(cluster, 2)).slice(saidBefore);
      const [, offset, index] = matching(said, /00000001\.wal is damaged at (\d+) \(.+\), from index (\d+) on/);
      // A record is damaged from its beginning on.
      expect(Number(offset)).toBeLessThanOrEqual(damagedAt);
      expect(Number(offset)).toBeGreaterThan(damagedAt - 1024);
      expect(Number(index)).toBeGreaterThan(1);
      expect(Number(index)).toBeLessThan(250);
      matching(said, /the log is repaired/);
      await bothSend(ledger, alice, bob, "repaired", 20);

      expect(await cluster.stop(2)).toEqual([{ exitCode: 0, signal: null }]);
      const { dataDirectory } = cluster.place(2);
      expect(await inspectLog(dataDirectory, "--verify")).toMatchObject({ exitCode: 0 });
      const saidUntilStop = (await linesSaid(cluster, 2)).length;
      await cluster.start(2);
      expect((await linesSaid(cluster, 2)).slice(saidUntilStop).join("\n")).not.toMatch(/damage|repair|error/);
      await untilMembers(cluster, 2);
      await cluster.kill(1, 3);
      expect(await faultsAt(cluster, 2, ledger, users)).toEqual([]);
      await bothSend(ledger, alice, bob, "on it alone", 20);
      await cluster.start();
      expect(await faultsAt(cluster, 1, ledger, users)).toEqual([]);
      await alice.end();
      await bob.end();
      expect(await faultsOnDisk(cluster)).toEqual([]);
    });
  });
});

/** Turns one bit of a byte in the middle of what is written in a segment; returns where. */
async function damageMiddle(path: string): Promise<number> {
  const bytes = await readFile(path);
  const end = bytes.findLastIndex((byte) => byte !== 0);
  const middle = end >> 1;
  bytes[middle] = (bytes[middle] ?? 0) ^ 1;
  await writeFile(path, bytes);
  return middle;
}

async function bothSend(ledger: Ledger, alice: JsonClient, bob: JsonClient, about: string, count: number) {
  await Promise.all([
    ledger.sendMany(alice, "alice", "bob", about, count),
    ledger.sendMany(bob, "bob", "alice", about, count),
  ]);
}

/** Resolves when this replica serves in a view of all three. */
async function untilMembers(cluster: Cluster, pid: number): Promise<void> {
  const client = clientAt(cluster, pid);
  for (const deadline = performance.now() + membersAgainMs; ; await Bun.sleep(20)) {
    const { copies } = await client.must({ do: "status" });
    if (copies === cluster.pids.length) break;
    if (performance.now() > deadline) throw new Error(`replica ${pid} has ${copies} copies, not all`);
  }
  await client.end();
}

async function linesSaid(cluster: Cluster, pid: number): Promise<string[]> {
  const text = await readFile(cluster.place(pid).stderrFile, "utf8").catch(() => "");
  return text.split("\n").filter((line) => line !== "");
}

function matching(lines: readonly string[], pattern: RegExp): RegExpExecArray {
  const match = pattern.exec(lines.join("\n"));
  if (match === null) throw new Error(`it never said ${pattern}, but:\n${lines.join("\n")}`);
  return match;
}
