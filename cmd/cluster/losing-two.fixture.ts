/**
 * The story of losing two of three replicas in one order, with clients that send before, between, after and during each
 * loss; then each comes back, and each is asked alone. Told on one machine and across network namespaces.
 */
import { expect } from "bun:test";
import type { Scene } from "./end-to-end.fixture.ts";
import { faultsAt, faultsOnDisk } from "./inquiry.ts";
import type { JsonClient } from "./json-client.ts";
import { Ledger } from "./ledger.ts";

const users = ["alice", "bob", "carol"];

/** All orders in which two of three replicas can be lost. */
export const orders: readonly (readonly [first: number, second: number])[] = [
  [1, 2],
  [1, 3],
  [2, 1],
  [2, 3],
  [3, 1],
  [3, 2],
];

/** Expects that nothing acknowledged is missing, doubled or changed on any replica at the end. */
export async function loseTwo(scene: Scene, first: number, second: number): Promise<void> {
  const { cluster } = scene;
  const ledger = new Ledger();
  await cluster.start();
  const clients = await Promise.all(users.map((user, at) => scene.signedIn(cluster.pids[at] ?? 1, user)));
  const everybodySends = (about: string, count: number): Promise<void> => sendInCircle(ledger, clients, about, count);

  await everybodySends("before any loss", 5);
  for (const [lost, about] of [
    [first, "the first loss"],
    [second, "the second loss"],
  ] as const) {
    const during = everybodySends(`during ${about}`, 20);
    await cluster.kill(lost);
    await during;
    await everybodySends(`after ${about}`, 5);
  }
  const survivor = cluster.pids.find((pid) => pid !== first && pid !== second) ?? 0;
  expect(await faultsAt(cluster, survivor, ledger, users)).toEqual([]);

  await cluster.start(first);
  await everybodySends("with the first one back", 5);
  await cluster.start(second);
  await everybodySends("with both back", 5);
  await Promise.all(clients.map(expectLiveDelivery));
  expect(await Promise.all(clients.map((client) => client.end()))).toEqual([0, 0, 0]);

  for (const alone of cluster.pids) {
    await cluster.kill(...cluster.pids.filter((pid) => pid !== alone));
    expect(await faultsAt(cluster, alone, ledger, users)).toEqual([]);
    await cluster.start();
  }
  expect(ledger.size).toBe(3 * (5 + 2 * 25 + 10));
  expect(await faultsOnDisk(cluster)).toEqual([]);
}

async function sendInCircle(ledger: Ledger, clients: JsonClient[], about: string, count: number): Promise<void> {
  const sending = clients.map((client, at) => {
    const [from = "", to = ""] = [users[at], users[(at + 1) % users.length]];
    return ledger.sendMany(client, from, to, about, count);
  });
  await Promise.all(sending);
}

/** A session that never logged out has had every message pushed, once and in the order of the log. */
async function expectLiveDelivery(client: JsonClient): Promise<void> {
  await client.until("every message sent to it was pushed", () => client.received.length >= 65);
  const indexes = client.received.map((message) => message.index);
  expect(indexes).toEqual([...new Set(indexes)].sort((a, b) => a - b));
  expect(indexes).toHaveLength(65);
}
