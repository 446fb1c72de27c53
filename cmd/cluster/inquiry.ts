/**
 * Questions to a cluster that has been through something: has each replica what was acknowledged, are the logs the same.
 */
import type { Cluster } from "./cluster.ts";
import { JsonClient, type Answer } from "./json-client.ts";
import type { Expectations, Ledger } from "./ledger.ts";
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

/** Asks one replica for what each of `users` has; one line for each fault in its answers. */
export async function faultsAt(
  cluster: Cluster,
  pid: number,
  ledger: Ledger,
  users: readonly string[],
  expectations: Expectations = {},
): Promise<string[]> {
  const faults: string[] = [];
  for (const user of users) {
    const client = clientAt(cluster, pid);
    await client.must({ do: "login", user, password: passwordOf(user) });
    faults.push(...(await ledger.faultsOf(client, user, expectations)));
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
    await untilTogether(cluster, settleTimeoutMs);
    await cluster.losePower();
    const { faults, uneven } = await compareLogs(cluster.places.map((place) => place.dataDirectory));
    if (faults.length > 0 || uneven === null) return faults;
    if (attempt === attemptsMax) return [uneven];
    await cluster.start();
  }
}

/**
 * Resolves with the index of the last entry when each of these replicas (all that run, by default), asked itself, has
 * committed it, in one view of them all in which nobody is missed. Rejects with what they said last when that takes too
 * long.
 */
export async function untilTogether(
  cluster: Cluster,
  withinMs: number,
  pids: readonly number[] = cluster.pids.filter((pid) => cluster.isRunning(pid)),
): Promise<number> {
  const clients = new Map<number, JsonClient>();
  let reports: Answer<"status">[] = [];
  const timedOut = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const last = reports.length === 0 ? "they do not answer" : JSON.stringify(reports);
    timedOut.reject(new Error(`the replicas are not together after ${withinMs} ms: ${last}`));
  }, withinMs);
  try {
    for (;;) {
      const asked = pids.map((pid) => {
        const client = clients.get(pid) ?? clientAt(cluster, pid);
        clients.set(pid, client);
        return client.do({ do: "status" });
      });
      reports = await Promise.race([Promise.all(asked), timedOut.promise]);
      const index = commonIndex(reports, pids);
      if (index !== null) return index;
      // Who found its replica not ready has gone to another one, and would stay there.
      for (const [at, pid] of pids.entries()) {
        const report = reports[at];
        if (report?.ok === true && report.replica === pid) continue;
        clients.get(pid)?.kill();
        clients.delete(pid);
      }
      await Promise.race([Bun.sleep(20), timedOut.promise]);
    }
  } finally {
    clearTimeout(timer);
    for (const client of clients.values()) client.kill();
  }
}

/** The index that all have committed and end with, if these replicas are together. */
function commonIndex(reports: readonly Answer<"status">[], pids: readonly number[]): number | null {
  const indexes = new Set<number>();
  const views = new Set<string>();
  for (const [at, report] of reports.entries()) {
    if (!report.ok || report.replica !== pids[at] || report.copies !== pids.length || report.provisional) return null;
    const own = report.replicas.find((one) => one.pid === report.replica);
    if (own === undefined || own.index === null || own.commit === null) return null;
    indexes.add(own.index).add(own.commit);
    views.add(report.view);
  }
  const [index] = indexes;
  return indexes.size === 1 && views.size === 1 && index !== undefined ? index : null;
}
