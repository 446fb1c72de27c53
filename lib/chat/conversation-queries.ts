/**
 * The overview of an account's conversations: those in which something waits first, then the latest first. Changes
 * nothing. What is settled is counted in `summaries`, the tail after it is counted here.
 */
import type { Statement } from "bun:sqlite";
import type { ChatMessage, FrameOf } from "../protocol/messages.ts";
import type { AccountQueries } from "./account-queries.ts";
import type { MessageQueries } from "./message-queries.ts";
import type { Statements } from "./statements.ts";

type Conversation = FrameOf<"conversationList">["conversations"][number];
/** A place in the order: what comes after it is less. */
type Place = NonNullable<FrameOf<"conversations">["after"]>;

interface Summary {
  readonly conversation: number;
  readonly unread: number;
  readonly inbox: number;
  readonly last: number;
}

/** Of the last message, as much as a line shows. */
const excerptCharacters = 120;

export class ConversationQueries {
  readonly #settled: () => number;
  readonly #accounts: AccountQueries;
  readonly #messages: MessageQueries;
  readonly #tail: Statement<Summary, [number, number]>;
  readonly #one: Statement<Summary, [number, number]>;
  /** Owner, place (waiting, last), those left out as JSON, limit. */
  readonly #page: Statement<Summary, [number, number, number, string, number]>;
  readonly #other: Statement<{ number: number; name: string }, [number, number]>;

  constructor(statements: Statements, accounts: AccountQueries, messages: MessageQueries, settled: () => number) {
    this.#settled = settled;
    this.#accounts = accounts;
    this.#messages = messages;
    this.#tail = statements.prepare(
      `SELECT conversation, sum(recipient = ?1 AND inbox = 0) AS unread, sum(recipient = ?1 AND inbox = 1) AS inbox,
         max(number) AS last
       FROM messages WHERE number > ?2 AND (sender = ?1 OR recipient = ?1) GROUP BY conversation`,
    );
    const columns = "SELECT conversation, unread, inbox, last FROM summaries WHERE owner = ?1";
    this.#one = statements.prepare(`${columns} AND conversation = ?2`);
    this.#page = statements.prepare(
      `${columns} AND (unread + inbox > 0, last) < (?2, ?3) AND conversation NOT IN (SELECT value FROM json_each(?4))
       ORDER BY unread + inbox > 0 DESC, last DESC LIMIT ?5`,
    );
    this.#other = statements.prepare(
      `SELECT a.number, a.name FROM conversations c CROSS JOIN accounts a ON a.number = c.low + c.high - ?1
       WHERE c.number = ?2`,
    );
  }

  list(owner: number, after: Place | null, limit: number): Conversation[] {
    const from = after ?? { waiting: true, index: Number.MAX_SAFE_INTEGER };
    const recent = this.#tail.all(owner, this.#settled()).map((tail) => this.#whole(owner, tail));
    const known = JSON.stringify(recent.map(({ conversation }) => conversation));
    return this.#page
      .all(owner, from.waiting ? 1 : 0, from.index, known, limit)
      .concat(recent.filter((summary) => isBefore(from, placeOf(summary))))
      .sort((one, other) => (isBefore(placeOf(one), placeOf(other)) ? -1 : 1))
      .slice(0, limit)
      .flatMap((summary) => this.#shown(owner, summary));
  }

  #whole(owner: number, tail: Summary): Summary {
    const settled = this.#one.get(owner, tail.conversation);
    if (settled === null) return tail;
    return { ...tail, unread: settled.unread + tail.unread, inbox: settled.inbox + tail.inbox };
  }

  #shown(owner: number, { conversation, unread, inbox, last }: Summary): Conversation[] {
    const other = this.#other.get(owner, conversation);
    const message = this.#messages.any(owner, last);
    if (other === null || message === null) return [];
    const online = this.#accounts.isOnline(other.number);
    return [{ user: other.name, online, unread, inbox, last: excerptOf(message) }];
  }
}

const placeOf = ({ unread, inbox, last }: Summary): Place => ({ waiting: unread + inbox > 0, index: last });

const isBefore = (one: Place, other: Place): boolean =>
  one.waiting === other.waiting ? one.index > other.index : one.waiting;

function excerptOf(message: ChatMessage): ChatMessage {
  if (message.text.length <= excerptCharacters) return message;
  const characters = Array.from(message.text);
  if (characters.length <= excerptCharacters) return message;
  return { ...message, text: `${characters.slice(0, excerptCharacters).join("")}…` };
}
