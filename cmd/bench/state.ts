/**
 * `bun run bench state`: the first page of every screen, searches and the memory of a real replica with a large state. The
 * state is built by the state machine itself, from a log that the replica goes on with.
 */
import { Database } from "bun:sqlite";
import { statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { openChat } from "../../lib/chat/chat.ts";
import { Passwords } from "../../lib/chat/passwords.ts";
import { createClient } from "../../lib/client/client.ts";
import type { ChatClient, QueryRequest } from "../../lib/client/types.ts";
import { systemClock } from "../../lib/io/clock.ts";
import { readIdentity } from "../../lib/io/data-directory.ts";
import { openDisk } from "../../lib/io/disk.ts";
import { tcpTransport } from "../../lib/io/tcp.ts";
import { clusterTagOf } from "../../lib/log/segment.ts";
import { openLog } from "../../lib/log/wal.ts";
import { encodeCommand, encodeEntry } from "../../lib/protocol/codec.ts";
import type { OpEntry } from "../../lib/protocol/entries.ts";
import { encodeRecord, recordKind } from "../../lib/protocol/record.ts";
import type { CommittedEntry } from "../../lib/protocol/state-machine.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { busyUser, historyOf, knownUser, password } from "./state-history.ts";

export interface StateOptions {
  readonly accounts: number;
  readonly messages: number;
  readonly say: (line: string) => void;
}

export interface QueryResult {
  readonly what: string;
  readonly firstMs: number;
  readonly medianMs: number;
}

export interface StateResult {
  readonly accounts: number;
  readonly messages: number;
  /** Of applying one entry, the index of words included; and of the slowest batch of 512. */
  readonly applyMicroseconds: number;
  readonly slowestBatchMs: number;
  readonly stateMegabytes: number;
  readonly readyMs: number;
  readonly queries: readonly QueryResult[];
  /** Resident, when it was ready and after all questions. */
  readonly readyMegabytes: number;
  readonly memoryMegabytes: number;
}

const batchSize = 512;
const repeats = 7;

/** On a cluster of one replica that has never run. */
export async function measureState(cluster: Cluster, options: StateOptions): Promise<StateResult> {
  const { accounts, messages, say } = options;
  const { dataDirectory } = cluster.place(1);
  // It founds the cluster.
  await cluster.start();
  await cluster.stop();
  const built = await build(dataDirectory, options);
  const stateMegabytes = round(statSync(join(dataDirectory, "state.sqlite")).size / 1e6);
  say("a replica with this state …");
  const startedMs = performance.now();
  await cluster.start();
  const process = cluster.processOf(1);
  const readyMs = round(performance.now() - startedMs);
  const readyMegabytes = await residentMegabytes(process);
  const queries: QueryResult[] = [];
  for (const user of [busyUser, knownUser]) queries.push(...(await ask(cluster, user, say)));
  const memoryMegabytes = await residentMegabytes(process);
  return { accounts, messages, ...built, stateMegabytes, readyMs, queries, readyMegabytes, memoryMegabytes };
}

/** Appends the history to the log, and applies it. */
async function build(directory: string, { accounts, messages, say }: StateOptions) {
  const owner = readIdentity(directory);
  const passwordHash = await new Passwords().hash(password);
  if (owner === null || typeof passwordHash !== "string") throw new Error("the replica has founded its cluster");
  const chat = openChat(new Database(join(directory, "state.sqlite"), { readwrite: true, strict: true }));
  const persisted = new Map<number, () => void>();
  const handlers = {
    persisted: (sequence: number) => {
      for (const [number, resolve] of persisted) if (number <= sequence) resolve();
    },
    failed: (error: Error) => say(`the log cannot be written: ${error.message}`),
  };
  const log = openLog(openDisk(join(directory, "log")), { cluster: owner.cluster, replica: owner.replica }, handlers);
  const clusterTag = clusterTagOf(owner.cluster);
  const { views, chains } = log.recovered;
  let chain = chains.at(-1) ?? 0n;
  const view = views.at(-1) ?? 0;
  let sequence = 0;
  let at = chat.clock;
  let took = 0;
  let slowestBatchMs = 0;
  const total = 2 * accounts + messages;
  let entries: CommittedEntry[] = [];
  let records: Uint8Array[] = [];
  // What stands in the log already.
  const first = log.lastIndex;
  const flush = async (): Promise<void> => {
    log.append(++sequence, records, log.lastIndex + records.length);
    const done = new Promise<void>((resolve) => persisted.set(sequence, resolve));
    const startedMs = performance.now();
    chat.apply(entries);
    const tookMs = performance.now() - startedMs;
    took += tookMs;
    slowestBatchMs = Math.max(slowestBatchMs, tookMs);
    await done;
    persisted.delete(sequence);
    entries = [];
    records = [];
  };
  let index = first;
  if (chat.applied.index < first) throw new Error("the replica has applied what it has founded");
  for (const { session, seq, command } of historyOf({ accounts, messages, passwordHash })) {
    const op: OpEntry = {
      ...{ session, seq, oldest: Math.max(1, seq), at: ++at, origAt: at },
      ...{ digest: new Uint8Array(8), command: encodeCommand(command) },
    };
    const payload = encodeEntry({ type: "op", ...op });
    const record = encodeRecord({ kind: recordKind.op, clusterTag, index: ++index, view, payload }, chain);
    ({ chain } = record);
    records.push(record.bytes);
    entries.push({ index, view, chain, op });
    if (records.length === batchSize) await flush();
    if ((index - first) % 100_000 === 0) say(`${index - first} of about ${total} entries …`);
  }
  if (records.length > 0) await flush();
  chat.close();
  return { applyMicroseconds: round((1000 * took) / (index - first)), slowestBatchMs: round(slowestBatchMs) };
}

type Question = readonly [what: string, query: QueryRequest];

function questionsOf(user: string): Question[] {
  const conversations = { type: "conversations", after: null, limit: 50 } as const;
  const messages = { type: "messages", with: null, before: null, limit: 50, unread: false } as const;
  if (user === knownUser) return [["conversations of one who has very many", conversations]];
  const accounts = { type: "accounts", pattern: null, after: null, limit: 100 } as const;
  const search = { type: "search", text: "lunch", with: null, skip: 0, limit: 50 } as const;
  return [
    ["conversations", conversations],
    ["messages", messages],
    ["messages with one account", { ...messages, with: knownPartner }],
    ["unread messages", { ...messages, unread: true }],
    ["inbox", { type: "inbox" }],
    ["accounts", accounts],
    ["accounts *99*", { ...accounts, pattern: "*99*" }],
    ["accounts *nobody*", { ...accounts, pattern: "*nobody*" }],
    ["search lunch", search],
    ["search for a word that is nowhere", { ...search, text: "nowhere" }],
    ["search ba* lunch", { ...search, text: "ba* lunch" }],
    ['search "de fi"', { ...search, text: '"de fi"' }],
    ["search lunch with one account", { ...search, with: knownPartner }],
  ];
}

/** A name that the first page of the busy one's conversations holds; found before the questions are asked. */
let knownPartner = "";

async function ask(cluster: Cluster, user: string, say: (line: string) => void): Promise<QueryResult[]> {
  const client = createClient(
    { servers: cluster.addresses(), software: "chatd bench" },
    {
      transport: tcpTransport(),
      clock: systemClock,
      randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
    },
  );
  const signedIn = await client.request({ type: "login", user, password });
  if (signedIn.type === "refused") throw new Error(signedIn.message);
  if (user === busyUser) {
    const overview = await client.request({ type: "conversations", after: null, limit: 1 });
    knownPartner = overview.type === "refused" ? "" : (overview.conversations[0]?.user ?? "");
  }
  const results: QueryResult[] = [];
  for (const [what, query] of questionsOf(user)) {
    say(`${what} …`);
    results.push({ what, ...(await time(client, query)) });
  }
  await client.close();
  return results;
}

async function time(client: ChatClient, query: QueryRequest): Promise<Omit<QueryResult, "what">> {
  const took: number[] = [];
  for (let n = 0; n < repeats; n++) {
    const startedMs = performance.now();
    const answer = await client.request(query);
    took.push(round(performance.now() - startedMs));
    if (answer.type === "refused") throw new Error(`${query.type} was refused: ${answer.message}`);
  }
  const [firstMs = NaN] = took;
  return { firstMs, medianMs: took.toSorted((one, other) => one - other)[Math.floor(repeats / 2)] ?? NaN };
}

async function residentMegabytes(pid: number | null): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return round(Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? NaN) / 1024);
}

const round = (value: number): number => Math.round(value * 100) / 100;

/** Lines for people. */
export function stateRows(result: StateResult): [what: string, value: string][] {
  const { accounts, messages, applyMicroseconds, slowestBatchMs, stateMegabytes, readyMs, queries } = result;
  return [
    ["state", `${messages} messages, ${accounts} accounts, ${stateMegabytes} MB`],
    ["applying", `${applyMicroseconds} µs an entry; the slowest batch of ${batchSize} ${slowestBatchMs} ms`],
    ["start to ready", `${readyMs} ms, ${result.readyMegabytes} MB resident`],
    ...queries.map(({ what, firstMs, medianMs }): [string, string] => [what, `${firstMs} ms, then ${medianMs} ms`]),
    ["resident after all this", `${result.memoryMegabytes} MB`],
  ];
}
