/**
 * The verdict on a cluster that has come together again: everything acknowledged is there exactly once on each replica,
 * the logs are the same, and under `quorum` there was one order at all times. One line for each fault.
 */
import type { Cluster } from "../cluster/cluster.ts";
import { faultsAt, untilTogether } from "../cluster/inquiry.ts";
import type { Entry, Ledger } from "../cluster/ledger.ts";
import { compareLogs, opsIn } from "../cluster/logs.ts";

/** Asks every replica, all of them running. `everything`: not only what came since the last time. */
export async function judge(
  cluster: Cluster,
  ledger: Ledger,
  users: readonly string[],
  options: { readonly oneOrder: boolean; readonly everything: boolean; readonly togetherMs: number },
): Promise<string[]> {
  const { oneOrder, everything, togetherMs } = options;
  const expectations = { ordered: oneOrder, everything };
  const asked = cluster.pids.map((pid) => faultsAt(cluster, pid, ledger, users, expectations));
  const faults = (await Promise.all(asked)).flat();
  faults.push(...(await faultsInRunningLogs(cluster, togetherMs)));
  if (oneOrder) faults.push(...(await faultsOfOrder(cluster, ledger)));
  return faults;
}

/** The logs may grow while they are read (sessions end by themselves): that one goes on further is no fault. */
async function faultsInRunningLogs(cluster: Cluster, togetherMs: number): Promise<string[]> {
  await untilTogether(cluster, togetherMs, cluster.pids);
  return (await compareLogs(cluster.places.map((place) => place.dataDirectory))).faults;
}

/** Under one order each op stands where its acknowledgement said, and time agrees with the order. */
async function faultsOfOrder(cluster: Cluster, ledger: Ledger): Promise<string[]> {
  const ops = await opsIn(cluster.place(cluster.pids[0] ?? 1).dataDirectory);
  const faults: string[] = [];
  const entries = [...ledger.entries()];
  for (const { id, index, copies } of entries) {
    const first = ops.get(id)?.[0];
    if (first !== index) faults.push(`${id} was acknowledged at ${index}, the log has it at ${first ?? "no place"}`);
    if (copies <= cluster.pids.length / 2) faults.push(`${id} was acknowledged with ${copies} copies: no majority`);
  }
  return [...faults, ...disorderInTime(entries)];
}

/** Ops that were acknowledged before others were sent, and stand behind them. */
export function disorderInTime(
  entries: readonly Pick<Entry, "id" | "index" | "sentAtMs" | "acknowledgedAtMs">[],
): string[] {
  const faults: string[] = [];
  let latest = entries[0];
  for (const entry of entries.toSorted((a, b) => a.index - b.index)) {
    if (latest !== undefined && entry.acknowledgedAtMs < latest.sentAtMs) {
      const place = `stands at ${entry.index}, behind ${latest.id} at ${latest.index}`;
      faults.push(`${entry.id} ${place}, and was acknowledged before that was sent`);
    }
    if (latest === undefined || entry.sentAtMs > latest.sentAtMs || latest.index > entry.index) latest = entry;
  }
  return faults;
}
