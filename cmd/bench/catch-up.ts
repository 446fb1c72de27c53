/**
 * `bun run bench catch-up`: a replica that has missed many messages, and one whose disk was replaced, come back under
 * load: how long it takes until each is a member again, and what the others get through meanwhile.
 */
import { readFile, rm } from "node:fs/promises";
import type { Cluster } from "../cluster/cluster.ts";
import { makeSenders, talkInPairs, type Sender } from "./load.ts";

export interface CatchUpResult {
  readonly what: "behind" | "wiped";
  readonly entries: number;
  /** From starting the process to its `ready` line. */
  readonly readyMs: number;
  /** Acknowledged by the other two: in the seconds before, until it was ready, and the least of any whole second. */
  readonly beforePerSecond: number;
  readonly duringPerSecond: number;
  readonly leastPerSecond: number;
  /** It took a snapshot instead of applying the log. */
  readonly bySnapshot: boolean;
}

const text = "x".repeat(100);
const away = 3;

export interface CatchUpOptions {
  readonly clients: number;
  readonly messages: number;
  /** For how long the others are measured before each return, and how long they send before that. */
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly say: (line: string) => void;
}

/** On a cluster of three that runs and is empty. */
export async function measureCatchUp(cluster: Cluster, options: CatchUpOptions): Promise<CatchUpResult[]> {
  const { clients, messages, say } = options;
  // Who has missed a million messages takes a minute on a slow machine.
  cluster.readyTimeoutMs += messages;
  await cluster.kill(away);
  const servers = cluster.addresses(cluster.pids.filter((pid) => pid !== away));
  const names = Array.from({ length: clients }, (_, at) => `client-${at}`);
  const senders = await makeSenders(names, servers);
  const sent = (): number => senders.reduce((sum, sender) => sum + sender.acknowledged.length, 0);
  say(`${messages} messages while replica ${away} is away …`);
  while (sent() < messages) await talkInPairs(senders, text, 250, 0);
  senders.forEach((sender, at) => sender.start((senders[at ^ 1] ?? senders[0] ?? sender).user, text));
  const results = [await comeBack(cluster, senders, "behind", options)];
  await cluster.kill(away);
  await rm(cluster.place(away).dataDirectory, { recursive: true });
  results.push(await comeBack(cluster, senders, "wiped", options));
  await Promise.all(senders.map((sender) => sender.stop()));
  await Promise.all(senders.map((sender) => sender.close()));
  return results;
}

async function comeBack(
  cluster: Cluster,
  senders: readonly Sender[],
  what: CatchUpResult["what"],
  { seconds: beforeSeconds, warmUpSeconds, say }: CatchUpOptions,
): Promise<CatchUpResult> {
  const beforeMs = 1000 * beforeSeconds;
  const { stderrFile } = cluster.place(away);
  const saidBefore = (await readFile(stderrFile, "utf8")).length;
  await Bun.sleep(1000 * warmUpSeconds + beforeMs);
  const entries = senders.reduce((sum, sender) => sum + sender.acknowledged.length, 0);
  say(`replica ${away}, ${what}, comes back to ${entries} messages …`);
  const startedMs = performance.now();
  await cluster.start(away);
  const readyMs = performance.now();
  const said = (await readFile(stderrFile, "utf8")).slice(saidBefore);
  const times = senders.flatMap((sender) => sender.acknowledged.map(({ atMs }) => atMs));
  const perSecond = (fromMs: number, toMs: number): number =>
    Math.round((1000 * times.filter((at) => at >= fromMs && at < toMs).length) / (toMs - fromMs));
  const seconds = Math.floor((readyMs - startedMs) / 1000);
  const each = Array.from({ length: seconds }, (_, at) =>
    perSecond(startedMs + at * 1000, startedMs + at * 1000 + 1000),
  );
  const duringPerSecond = perSecond(startedMs, readyMs);
  return {
    what,
    entries,
    readyMs: Math.round(readyMs - startedMs),
    beforePerSecond: perSecond(startedMs - beforeMs, startedMs),
    duringPerSecond,
    leastPerSecond: Math.min(duringPerSecond, ...each),
    bySnapshot: said.includes("goes on from the snapshot"),
  };
}

/** Lines for people. */
export function catchUpRows(results: readonly CatchUpResult[]): [what: string, value: string][] {
  return results.flatMap((result): [string, string][] => {
    const { what, entries, readyMs, beforePerSecond, duringPerSecond, leastPerSecond, bySnapshot } = result;
    const share = Math.round((100 * duringPerSecond) / beforePerSecond);
    return [
      [`${what}, ${entries} messages: ready after`, `${readyMs} ms${bySnapshot ? ", by snapshot" : ""}`],
      [
        "  the others meanwhile",
        `${duringPerSecond} messages/s, ${share} % of the ${beforePerSecond} before; ${leastPerSecond} in the worst second`,
      ],
    ];
  });
}
