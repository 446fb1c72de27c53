/**
 * What was acknowledged, and whether a replica still has it: everything exactly once, nothing else. Asks through
 * `chatd chat --json`, as anybody could.
 */
import type { Answer, JsonClient, JsonMessage } from "./json-client.ts";

/** What the ledger needs of a client. */
export type Asked = Pick<JsonClient, "must">;

/** What it needs of one that may be refused. */
export type Asking = Pick<JsonClient, "do">;

interface Sent {
  readonly from: string;
  readonly to: string;
  readonly text: string;
}

export interface Acknowledged {
  readonly index: number;
  /** On how many disks. */
  readonly copies: number;
}

/** A message that was acknowledged, and when, by `performance.now()`. */
export interface Entry extends Sent, Acknowledged {
  readonly id: string;
  readonly sentAtMs: number;
  readonly acknowledgedAtMs: number;
}

export interface Expectations {
  /** Also what {@link Ledger.settle} has let pass. */
  readonly everything?: boolean;
  /** The messages of a session stand in the order in which it sent them. */
  readonly ordered?: boolean;
}

export class Ledger {
  /** By the id in the acknowledgement. */
  readonly #acknowledged = new Map<string, Entry>();
  /** Those since {@link settle}. */
  #fresh = new Map<string, Entry>();
  #settledIndex = 0;
  readonly #texts = new Set<string>();
  /** Texts of what was refused: certainly never to be seen. */
  readonly #refused = new Set<string>();
  /** For each user, the messages that were deleted, or may have been. */
  readonly #deleted = new Map<string, Map<string, "done" | "unknown">>();
  /** For each user, the messages that were marked as read. */
  readonly #read = new Map<string, Set<string>>();
  #sequence = 0;

  get size(): number {
    return this.#acknowledged.size;
  }

  entries(): IterableIterator<Entry> {
    return this.#acknowledged.values();
  }

  /** Sends one message whose text is like no other and waits for its acknowledgement; a refusal throws. */
  async send(client: Asked, from: string, to: string, about: string): Promise<Acknowledged> {
    return this.sendExactly(client, from, to, this.#textOf(from, about));
  }

  /** The same with a text that the caller sends only once. */
  async sendExactly(client: Asked, from: string, to: string, text: string): Promise<Acknowledged> {
    this.#texts.add(text);
    const sentAtMs = performance.now();
    const reply = await client.must({ do: "send", to, text });
    this.#enter({ from, to, text }, reply, sentAtMs);
    return reply;
  }

  /** The same, and a refusal is entered too. When the client ends first it stays unknown whether it was sent. */
  async attempt(client: Asking, from: string, to: string, about: string): Promise<Answer<"send">> {
    const text = this.#textOf(from, about);
    this.#texts.add(text);
    const sentAtMs = performance.now();
    const reply = await client.do({ do: "send", to, text });
    if (reply.ok) this.#enter({ from, to, text }, reply, sentAtMs);
    else if (reply.error !== "unknown") this.#refused.add(text);
    return reply;
  }

  /** Sends `count` messages without waiting in between; resolves when all are acknowledged. */
  async sendMany(client: Asked, from: string, to: string, about: string, count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, () => this.send(client, from, to, about)));
  }

  /** `user` has asked to delete these: was it acknowledged, refused, or did no answer come? */
  deleted(user: string, ids: readonly string[], outcome: "done" | "unknown"): void {
    const of = this.#deleted.get(user) ?? new Map<string, "done" | "unknown">();
    this.#deleted.set(user, of);
    for (const id of ids) if (of.get(id) !== "done") of.set(id, outcome);
  }

  /** It was acknowledged to `user` that these are marked as read. */
  marked(user: string, ids: readonly string[]): void {
    const of = this.#read.get(user) ?? new Set<string>();
    this.#read.set(user, of);
    for (const id of ids) of.add(id);
  }

  /** All that was acknowledged so far was found on every replica, whose logs are the same up to this index. */
  settle(index: number): void {
    this.#settledIndex = index;
    this.#fresh = new Map();
  }

  /** The longest time without an acknowledgement from `fromMs` on, in milliseconds. */
  longestGapMs(fromMs: number): number {
    return longestGapMs(
      [...this.#acknowledged.values()].map((entry) => entry.acknowledgedAtMs),
      fromMs,
    );
  }

  /**
   * What is wrong with what `user`, logged in on `client`, finds: one line for each message that is missing, doubled,
   * changed, out of order, was refused or never sent. Opens the inbox on the way.
   */
  async faultsOf(client: Asked, user: string, expectations: Expectations = {}): Promise<string[]> {
    const { everything = true, ordered = false } = expectations;
    const faults: string[] = [];
    const found = await allMessages(client, everything ? 0 : this.#settledIndex);
    const texts = new Map<string, string>();
    const ids = new Set<string>();
    for (const message of found) {
      const { id, text } = message;
      if (ids.has(id)) faults.push(`${user} has ${id} twice`);
      ids.add(id);
      const other = texts.get(text);
      if (other !== undefined) faults.push(`${user} has "${text}" as ${other} and as ${id}`);
      texts.set(text, id);
      faults.push(...this.#faultsIn(message, user));
    }
    for (const [id, sent] of everything ? this.#acknowledged : this.#fresh) {
      if (ids.has(id) || this.#deleted.get(user)?.has(id)) continue;
      if (sent.from === user || sent.to === user) faults.push(`${user} lacks ${id} "${sent.text}"`);
    }
    if (ordered) faults.push(...disorder(found).map((fault) => `${user} has ${fault}`));
    return faults;
  }

  #faultsIn(message: JsonMessage, user: string): string[] {
    const { id, text } = message;
    const faults: string[] = [];
    if (!this.#texts.has(text)) faults.push(`${user} has "${text}", which nobody sent`);
    if (this.#refused.has(text)) faults.push(`${user} has "${text}", which was refused`);
    const sent = this.#acknowledged.get(id);
    if (sent && (sent.text !== text || sent.from !== message.from || sent.to !== message.to)) {
      faults.push(`${user} has ${id} as ${JSON.stringify(message)}, sent was ${JSON.stringify(sent)}`);
    }
    if (this.#deleted.get(user)?.get(id) === "done") faults.push(`${user} has ${id} "${text}", which was deleted`);
    if (!message.read && this.#read.get(user)?.has(id)) faults.push(`${user} has ${id} "${text}" unread again`);
    return faults;
  }

  #textOf(from: string, about: string): string {
    return `${about} #${++this.#sequence} from ${from}`;
  }

  #enter(sent: Sent, reply: Acknowledged & { readonly id: string }, sentAtMs: number): void {
    const { id, index, copies } = reply;
    if (this.#acknowledged.has(id)) throw new Error(`two messages were acknowledged under the id ${id}`);
    const entry = { ...sent, id, index, copies, sentAtMs, acknowledgedAtMs: performance.now() };
    this.#acknowledged.set(id, entry);
    this.#fresh.set(id, entry);
  }
}

/** The longest time between two of these that lie at `fromMs` or after; they ascend. */
export function longestGapMs(timesMs: readonly number[], fromMs: number): number {
  const times = timesMs.filter((at) => at >= fromMs);
  return times.reduce((longest, at, which) => Math.max(longest, at - (times[which - 1] ?? at)), 0);
}

/** Messages, newest first, in which a session's come in another order than it sent them. */
function disorder(found: readonly JsonMessage[]): string[] {
  const faults: string[] = [];
  const later = new Map<string, number>();
  for (const { id } of found) {
    const slash = id.lastIndexOf("/");
    const [session, seq] = [id.slice(0, slash), Number(id.slice(slash + 1))];
    const before = later.get(session);
    if (before !== undefined && before < seq) faults.push(`${session}/${before} behind ${id}`);
    later.set(session, seq);
  }
  return faults;
}

/**
 * The messages of the account above an index, newest first; those of the inbox are first opened. Once more when something
 * has come into the inbox meanwhile: what went to a session of which nothing was heard since goes back there.
 */
async function allMessages(client: Asked, above: number): Promise<JsonMessage[]> {
  await openAll(client);
  for (;;) {
    const all = await pages(client, above);
    if ((await openAll(client)) === 0) return all;
  }
}

/** Empties the inbox; resolves with how many messages were in it. */
async function openAll(client: Asked): Promise<number> {
  for (let opened = 0; ;) {
    const { messages } = await client.must({ do: "open", count: 200 });
    if (messages.length === 0) return opened;
    opened += messages.length;
  }
}

async function pages(client: Asked, above: number): Promise<JsonMessage[]> {
  const all: JsonMessage[] = [];
  for (let before: number | undefined; ;) {
    const command = { do: "messages", limit: 200, ...(before === undefined ? {} : { before }) } as const;
    const page = await client.must(command);
    all.push(...page.messages.filter((message) => message.index > above));
    before = page.messages.at(-1)?.index;
    if (!page.more || before === undefined || before <= above) return all;
  }
}
