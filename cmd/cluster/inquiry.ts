/**
 * Questions to a cluster that has been through something: has each replica what was acknowledged, are the logs the same.
 */
import type { Cluster } from "./cluster.ts";
import { JsonClient } from "./json-client.ts";
import type { Ledger } from "./ledger.ts";
import { logFaults } from "./logs.ts";

const settleTimeoutMs = 20_000;

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

/** Resolves when every running replica has committed the same last entry, in one view of them all. */
export async function settle(cluster: Cluster): Promise<void> {
  const pids = cluster.pids.filter((pid) => cluster.isRunning(pid));
  const clients = pids.map((pid) => clientAt(cluster, pid));
  for (const deadline = performance.now() + settleTimeoutMs; ; await Bun.sleep(20)) {
    const reports = await Promise.all(clients.map((client) => client.must({ do: "status" })));
    const own = reports.map(({ replica, replicas }) => replicas.find((one) => one.pid === replica));
    const indexes = new Set(own.flatMap((place) => [place?.index, place?.commit]));
    const views = new Set(reports.map((report) => `${report.view} on ${report.copies}`));
    if (indexes.size === 1 && views.size === 1 && reports.every((report) => report.copies === pids.length)) break;
    if (performance.now() > deadline) throw new Error(`the replicas do not agree: ${JSON.stringify(reports)}`);
  }
  await Promise.all(clients.map((client) => client.end()));
}

/** Cuts the power of a settled cluster; one line for each fault in the logs on its disks. */
export async function faultsOnDisk(cluster: Cluster): Promise<string[]> {
  await settle(cluster);
  await cluster.losePower();
  return logFaults(cluster.places.map((place) => place.dataDirectory));
}
