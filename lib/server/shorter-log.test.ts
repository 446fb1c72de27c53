/**
 * A log that has lost its end although nothing in it is damaged: a segment that is gone, or an old copy that was put in its
 * place. The state beside it knows better. Real files.
 */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { TestCluster, until } from "./cluster.fixture.ts";

// Real sockets, disks or threads on a busy machine: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

const password = "correct horse";

test("what only the others' disks and a lost segment held is not voted away by who has lost it", async () => {
  const cluster = new TestCluster(3, "quorum");
  afterAll(() => cluster.close());
  cluster.segmentBytes = 16 * 1024;
  await cluster.startAll();
  const alice = cluster.client(1);
  for (const user of ["alice", "bob"]) await alice.request({ type: "createAccount", user, password });
  await alice.request({ type: "login", user: "alice", password });
  await cluster.stop(3);
  for (let count = 0; count < 100; count++) {
    const { type } = await alice.request({ type: "send", to: "bob", text: `message ${count}` });
    expect(type).toBe("sent");
  }
  await alice.close();
  for (const pid of [1, 2]) await cluster.stop(pid);
  const last = cluster.segments(2).toSorted().at(-1) ?? "";
  rmSync(join(cluster.directory, "2", last));

  cluster.said.length = 0;
  for (const pid of [2, 3]) await cluster.start(pid);
  await until(() => cluster.said.some((line) => line.startsWith("2 error: the log ends at index")), "2 to notice");
  await Bun.sleep(1500);
  expect([2, 3].filter((pid) => cluster.nodes.get(pid)?.standing.ready)).toEqual([]);

  await cluster.start(1);
  await until(() => [1, 2, 3].every((pid) => cluster.nodes.get(pid)?.standing.ready === true), "all to be ready");
  const again = cluster.client(2);
  await again.request({ type: "login", user: "bob", password });
  const found = await again.request({ type: "inbox" });
  await again.close();
  expect(found).toMatchObject({ type: "inboxCount", count: 100 });
  expect(cluster.said.join("\n")).toMatch(/2 info: the log is repaired from a peer/);
  expect(cluster.fatal).toEqual([]);
});
