/**
 * What was acknowledged, and whether a replica still has it: everything exactly once, nothing else. Asks through
 * `chatd chat --json`, as anybody could.
 */
import type { JsonClient, JsonMessage } from "./json-client.ts";

/** What the ledger needs of a client. */
export type Asked = Pick<JsonClient, "must">;

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

export class Ledger {
  /** By the id in the acknowledgement. */
  readonly #acknowledged = new Map<string, Sent & { readonly index: number }>();
  readonly #texts = new Set<string>();
  /** When each acknowledgement came, by `performance.now()`. */
  readonly acknowledgedAtMs: number[] = [];
  #sequence = 0;

  get size(): number {
    return this.#acknowledged.size;
  }

  /** Sends one message whose text is like no other and waits for its acknowledgement; a refusal throws. */
  async send(client: Asked, from: string, to: string, about: string): Promise<Acknowledged> {
    return this.sendExactly(client, from, to, `${about} #${++this.#sequence} from ${from}`);
  }

  /** The same with a text that the caller sends only once. */
  async sendExactly(client: Asked, from: string, to: string, text: string): Promise<Acknowledged> {
    this.#texts.add(text);
    const reply = await client.must({ do: "send", to, text });
    if (this.#acknowledged.has(reply.id)) throw new Error(`two messages were acknowledged under the id ${reply.id}`);
    this.#acknowledged.set(reply.id, { from, to, text, index: reply.index });
    this.acknowledgedAtMs.push(performance.now());
    return reply;
  }

  /** Sends `count` messages without waiting in between; resolves when all are acknowledged. */
  async sendMany(client: Asked, from: string, to: string, about: string, count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, () => this.send(client, from, to, about)));
  }

  /** The longest time without an acknowledgement from `fromMs` on, in milliseconds. */
  longestGapMs(fromMs: number): number {
    const times = this.acknowledgedAtMs.filter((at) => at >= fromMs);
    return times.reduce((longest, at, which) => Math.max(longest, at - (times[which - 1] ?? at)), 0);
  }

  /**
   * What is wrong with what `user`, logged in on `client`, finds: one line for each message that is missing, doubled,
   * changed or was never sent. Opens the inbox on the way.
   */
  async faultsOf(client: Asked, user: string): Promise<string[]> {
    const faults: string[] = [];
    const found = await everything(client);
    const texts = new Map<string, string>();
    const ids = new Set<string>();
    for (const message of found) {
      const { id, text } = message;
      if (ids.has(id)) faults.push(`${user} has ${id} twice`);
      ids.add(id);
      const other = texts.get(text);
      if (other !== undefined) faults.push(`${user} has "${text}" as ${other} and as ${id}`);
      texts.set(text, id);
      if (!this.#texts.has(text)) faults.push(`${user} has "${text}", which nobody sent`);
      const sent = this.#acknowledged.get(id);
      if (sent && (sent.text !== text || sent.from !== message.from || sent.to !== message.to)) {
        faults.push(`${user} has ${id} as ${JSON.stringify(message)}, sent was ${JSON.stringify(sent)}`);
      }
    }
    for (const [id, sent] of this.#acknowledged) {
      if ((sent.from === user || sent.to === user) && !ids.has(id)) faults.push(`${user} lacks ${id} "${sent.text}"`);
    }
    return faults;
  }
}

/** All messages of the account, those of the inbox first opened. */
async function everything(client: Asked): Promise<JsonMessage[]> {
  for (let opened = 1; opened > 0;) opened = (await client.must({ do: "open", count: 200 })).messages.length;
  const all: JsonMessage[] = [];
  for (let before: number | undefined; ;) {
    const command = { do: "messages", limit: 200, ...(before === undefined ? {} : { before }) } as const;
    const page = await client.must(command);
    all.push(...page.messages);
    before = page.messages.at(-1)?.index;
    if (!page.more || before === undefined) return all;
  }
}
