/** The measurements, each on a running cluster, and the arithmetic on what the senders saw. */
import type { Cluster } from "../cluster/cluster.ts";
import { makeSenders, Sender, talkInPairs, type Stretch } from "./load.ts";

export interface LatencyResult {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export interface ThroughputResult extends LatencyResult {
  readonly clients: number;
  readonly seconds: number;
  readonly acknowledgedPerSecond: number;
  readonly deliveredPerSecond: number;
}

export interface FailoverResult {
  /** What the client that measured it was connected to. */
  readonly clientOn: "primary" | "backup";
  /** The longest time between two acknowledgements around the kill. */
  readonly longestGapMs: number;
  /** The longest between two in the second before, for comparison. */
  readonly usualGapMs: number;
}

export interface StartResult {
  readonly entries: number;
  /** From starting the processes to the last `ready` line. */
  readonly allReadyMs: number;
}

const text = "x".repeat(100);
const warmUpMs = 1000;

/** How fast one client alone is. */
export async function measureAlone(cluster: Cluster, seconds: number): Promise<LatencyResult> {
  const senders = await makeSenders(["alone", "listener"], cluster.addresses());
  const [alone, listener] = senders;
  if (!alone || !listener) throw new Error("two senders were asked for");
  alone.start(listener.user, text);
  await Bun.sleep(warmUpMs);
  const fromMs = performance.now();
  await Bun.sleep(seconds * 1000);
  const stretch = { fromMs, toMs: performance.now() };
  await alone.stop();
  await Promise.all(senders.map((sender) => sender.close()));
  return latencies([alone], stretch);
}

/** Adds to the log until it has `messages` messages at least. Returns how many they are. */
export async function fill(cluster: Cluster, clients: number, messages: number): Promise<number> {
  const names = Array.from({ length: clients }, (_, at) => `filler-${at}`);
  const senders = await makeSenders(names, cluster.addresses());
  const sent = (): number => senders.reduce((sum, sender) => sum + sender.acknowledged.length, 0);
  while (sent() < messages) await talkInPairs(senders, text, 250, 0);
  await Promise.all(senders.map((sender) => sender.close()));
  return sent();
}

/**
 * How much many clients get through together. What is measured is a server that has been running: the compilers of the
 * runtime take a third of the processors for its first ten seconds of load.
 */
export async function measureTogether(
  cluster: Cluster,
  clients: number,
  seconds: number,
  warmUpSeconds: number,
): Promise<ThroughputResult> {
  const names = Array.from({ length: clients }, (_, at) => `client-${at}`);
  const senders = await makeSenders(names, cluster.addresses());
  const stretch = await talkInPairs(senders, text, seconds * 1000, warmUpSeconds * 1000);
  const elapsedMs = stretch.toMs - stretch.fromMs;
  const perSecond = (count: number): number => round((count * 1000) / elapsedMs);
  const delivered = senders.flatMap((sender) => sender.deliveredAtMs).filter((at) => within(stretch, at)).length;
  const latency = latencies(senders, stretch);
  await Promise.all(senders.map((sender) => sender.close()));
  return {
    clients,
    seconds: round(elapsedMs / 1000),
    acknowledgedPerSecond: perSecond(latency.count),
    deliveredPerSecond: perSecond(delivered),
    ...latency,
  };
}

/** Kills the primary under a client that sends all the time, and restarts it. */
export async function measureFailover(cluster: Cluster, clientOn: "primary" | "backup"): Promise<FailoverResult> {
  const scout = new Sender("scout", cluster.addresses(), 0);
  const primary = await scout.primary();
  await scout.close();
  const startAt = cluster.pids.findIndex((pid) => (pid === primary) === (clientOn === "primary"));
  const busy = new Sender(`busy-on-${clientOn}`, cluster.addresses(), startAt);
  const listener = new Sender(`listens-to-${clientOn}`, cluster.addresses(), startAt);
  await Promise.all([busy.createAndLogIn(), listener.createAndLogIn()]);
  const connected = busy.replica === primary ? "primary" : "backup";
  if (connected !== clientOn) throw new Error(`the client is on the ${connected}, not on the ${clientOn}`);
  busy.start(listener.user, text);
  await Bun.sleep(warmUpMs);
  const killedAtMs = performance.now();
  await cluster.kill(primary);
  await Bun.sleep(4000);
  await busy.stop();
  await Promise.all([busy.close(), listener.close()]);
  await cluster.start(primary);
  return {
    clientOn,
    longestGapMs: longestGap(busy, { fromMs: killedAtMs - 50, toMs: Infinity }),
    usualGapMs: longestGap(busy, { fromMs: killedAtMs - warmUpMs / 2, toMs: killedAtMs }),
  };
}

/** Kills all replicas and starts them again together, with the logs that they have. */
export async function measureStart(cluster: Cluster, entries: number): Promise<StartResult> {
  await cluster.losePower();
  const startedAtMs = performance.now();
  await cluster.start();
  return { entries, allReadyMs: round(performance.now() - startedAtMs) };
}

const within = (stretch: Stretch, atMs: number): boolean => atMs >= stretch.fromMs && atMs < stretch.toMs;

function latencies(senders: readonly Sender[], stretch: Stretch): LatencyResult {
  const took = senders
    .flatMap((sender) => sender.acknowledged)
    .filter(({ atMs }) => within(stretch, atMs))
    .map(({ tookMs }) => tookMs)
    .sort((a, b) => a - b);
  const at = (share: number): number => round(took[Math.min(took.length - 1, Math.floor(took.length * share))] ?? NaN);
  return { count: took.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}

function longestGap(sender: Sender, stretch: Stretch): number {
  const times = sender.acknowledged.map(({ atMs }) => atMs).filter((at) => within(stretch, at));
  return round(times.reduce((longest, at, which) => Math.max(longest, at - (times[which - 1] ?? at)), 0));
}

/** Two digits after the point: what is measured here is not more exact. */
const round = (value: number): number => Math.round(value * 100) / 100;
