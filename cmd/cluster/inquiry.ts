/**
 * Questions to a cluster that has been through something: has each replica what was acknowledged, are the logs the same.
 */
import type { Cluster } from "./cluster.ts";
import { JsonClient } from "./json-client.ts";
import type { Ledger } from "./ledger.ts";
import { compareLogs } from "./logs.ts";

const settleTimeoutMs = 20_000;
const attemptsMax = 3;

/** The password that the demo's and the tests' accounts have. */
export const passwordOf = (user: string): string => `password of ${user}`;

/** A client that knows of one replica only, to begin with. */
export function clientAt(cluster: Cluster, pid: number): JsonClient {
  const { prefix = [] } = cluster.place(pid);
  return new JsonClient(cluster.addresses([pid]), { keeper: cluster.keeper, prefix });
}

/** Asks one replica for everything that each of `users` has; one line for each fault in its answers. */
export async function faultsAt(
  cluster: Cluster,
  pid: number,
  ledger: Ledger,
  users: readonly string[],
): Promise<string[]> {
  const faults: string[] = [];
  for (const user of users) {
    const client = clientAt(cluster, pid);
    await client.must({ do: "login", user, password: passwordOf(user) });
    faults.push(...(await ledger.faultsOf(client, user)));
    if (client.replica !== pid) faults.push(`replica ${client.replica} answered instead`);
    await client.end();
  }
  return faults.map((fault) => `replica ${pid}: ${fault}`);
}

/**
 * Waits until every running replica has committed the same last entry, in one view of them all, then cuts the power of
 * all of them. One line for each fault in the logs on their disks. An entry that was being written at that very moment
 * (sessions end by themselves) may be on some disks only: then it is all done once more.
 */
export async function faultsOnDisk(cluster: Cluster): Promise<string[]> {
  for (let attempt = 1; ; attempt++) {
    const pids = cluster.pids.filter((pid) => cluster.isRunning(pid));
    const clients = pids.map((pid) => clientAt(cluster, pid));
    await settle(clients);
    await cluster.losePower();
    for (const client of clients) client.kill();
    const { faults, uneven } = await compareLogs(cluster.places.map((place) => place.dataDirectory));
    if (faults.length > 0 || uneven === null) return faults;
    if (attempt === attemptsMax) return [uneven];
    await cluster.start();
  }
}

/** Resolves when each client's replica has committed the same last entry, in one view of them all. */
async function settle(clients: readonly JsonClient[]): Promise<void> {
  for (const deadline = performance.now() + settleTimeoutMs; ; await Bun.sleep(20)) {
    const reports = await Promise.all(clients.map((client) => client.must({ do: "status" })));
    const own = reports.map(({ replica, replicas }) => replicas.find((one) => one.pid === replica));
    const indexes = new Set(own.flatMap((place) => [place?.index, place?.commit]));
    const views = new Set(reports.map((report) => `${report.view} on ${report.copies}`));
    const together = reports.every((report) => report.copies === clients.length);
    if (indexes.size === 1 && views.size === 1 && together) return;
    if (performance.now() > deadline) throw new Error(`the replicas do not agree: ${JSON.stringify(reports)}`);
  }
}
