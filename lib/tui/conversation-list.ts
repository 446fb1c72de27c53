/**
 * The conversations of the user as the home screen shows them: with whom, how many unread, the last message, who is
 * online; and how many messages wait in the inbox. Asks the server and keeps in step with what arrives. Shows nothing.
 */
import { limits } from "../base/limits.ts";
import type { Answers, ChatClient } from "../client/types.ts";
import type { ChatMessage } from "../protocol/messages.ts";
import { answered } from "./requests.ts";
import { sameName } from "./sentences.ts";

export interface ConversationEntry {
  readonly user: string;
  /** Messages received and not read, without those in the inbox. */
  readonly unread: number;
  /** Messages of theirs in the inbox. */
  readonly inbox: number;
  /** Its text may be cut short. */
  readonly last: ChatMessage;
  readonly online: boolean;
}

export class ConversationList {
  inbox = 0;
  /** The server has been asked once. */
  loaded = false;
  readonly #client: ChatClient;
  readonly #changed: () => void;
  #entries = new Map<string, ConversationEntry>();
  #loading: Promise<void> | null = null;
  #again = false;
  #more = false;

  constructor(client: ChatClient, changed: () => void) {
    this.#client = client;
    this.#changed = changed;
  }

  /** Those with unread messages first, then the latest first. */
  get entries(): readonly ConversationEntry[] {
    const waits = (entry: ConversationEntry): number => (isWaiting(entry) ? 1 : 0);
    return [...this.#entries.values()].sort(
      (one, other) => waits(other) - waits(one) || other.last.index - one.last.index,
    );
  }

  /** The conversation to go to next, other than the one with `user`. */
  nextUnread(user: string | null): string | null {
    return this.entries.find((each) => isWaiting(each) && (user === null || !sameName(each.user, user)))?.user ?? null;
  }

  get(user: string): ConversationEntry | null {
    return this.#entries.get(keyOf(user)) ?? null;
  }

  clear(): void {
    this.#entries.clear();
    this.inbox = 0;
    this.loaded = false;
  }

  /** Asks the server; calls that come meanwhile are one more question afterwards. */
  async load(): Promise<void> {
    this.#again = true;
    this.#loading ??= this.#loadAll().finally(() => {
      this.#loading = null;
    });
    return this.#loading;
  }

  /** Asks for those beyond the last one, if there are any. */
  async loadMore(): Promise<void> {
    const last = this.entries.at(-1);
    if (!this.#more || last === undefined || this.#loading !== null) return;
    this.#more = false;
    const page = await this.#fetch(last);
    for (const entry of page?.conversations ?? []) this.#put(entry);
    this.#more = page?.more ?? false;
    this.#changed();
  }

  /** A message was sent or has arrived, and was shown or not. */
  happened(message: ChatMessage, seen: boolean): void {
    const { user: self } = this.#client;
    if (self === null) return;
    // The answer that is awaited may be of before.
    if (this.#loading !== null) this.#again = true;
    const own = sameName(message.from, self);
    const user = own ? message.to : message.from;
    const known = this.get(user);
    const unread = (known?.unread ?? 0) + (own || seen ? 0 : 1);
    this.#put({ user, unread, inbox: known?.inbox ?? 0, last: message, online: known?.online ?? !own });
    this.#changed();
  }

  /** Somebody came or went. */
  presence(user: string, online: boolean): void {
    // The answer that is awaited may be of before.
    if (this.#loading !== null) this.#again = true;
    const known = this.get(user);
    if (known !== null) this.#put({ ...known, online });
    this.#changed();
  }

  /** Everything of `user` that had arrived was shown. */
  seen(user: string): void {
    const known = this.get(user);
    if (known === null || known.unread === 0) return;
    this.#put({ ...known, unread: 0 });
    this.#changed();
  }

  #put(entry: ConversationEntry): void {
    this.#entries.set(keyOf(entry.user), entry);
  }

  async #loadAll(): Promise<void> {
    while (this.#again) {
      this.#again = false;
      const self = this.#client.user;
      const page = await this.#fetch(null);
      const inbox = await answered(this.#client, { type: "inbox" });
      if (this.#client.user !== self || self === null) return;
      if (inbox.type !== "refused") this.inbox = inbox.count;
      // Of what is beyond the first page, what was loaded is kept: it comes up again when something happens in it.
      if (page !== null && !page.more) this.#entries.clear();
      for (const entry of page?.conversations ?? []) this.#put(entry);
      this.#more = page?.more ?? false;
      this.loaded = true;
      this.#changed();
    }
  }

  /** A page of those in which something waits, then the latest; null when it was refused. */
  async #fetch(last: ConversationEntry | null): Promise<Answers["conversations"] | null> {
    const after = last === null ? null : { waiting: isWaiting(last), index: last.last.index };
    const answer = await answered(this.#client, { type: "conversations", after, limit: limits.pageMax });
    return answer.type === "refused" ? null : answer;
  }
}

/** Something was received there and not read yet. */
export const isWaiting = ({ unread, inbox }: ConversationEntry): boolean => unread + inbox > 0;

const keyOf = (user: string): string => user.normalize("NFC").toLowerCase();
