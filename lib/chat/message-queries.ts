/**
 * Messages as they are read: pages, the inbox, what a session missed. Changes nothing. Looks at the mailbox and at the
 * tail of messages that are not in it yet (see `messages.ts`), which are newer than all that are.
 */
import type { Statement } from "bun:sqlite";
import type { ChatMessage, OpId } from "../protocol/messages.ts";
import { foldName } from "./names.ts";
import type { Statements } from "./statements.ts";

export interface Page {
  readonly conversation: number | null;
  /** Exclusive. */
  readonly before: number;
  readonly limit: number;
  readonly unread: boolean;
}

interface MessageRow {
  number: number;
  session: string;
  seq: number;
  sender: string;
  recipient: string;
  text: string;
  at: number;
  read: number;
  inbox: number;
}

const columns = `m.number, s.uuid AS session, m.seq, f.name AS sender, t.name AS recipient, m.text, m.at`;
const names = `CROSS JOIN sessions s ON s.number = m.session
  CROSS JOIN accounts f ON f.number = m.sender CROSS JOIN accounts t ON t.number = m.recipient`;
const settledColumns = `SELECT ${columns}, b.read, b.inbox`;
const settled = `${settledColumns} FROM mailbox b CROSS JOIN messages m ON m.number = b.message ${names}`;
/** ?1 is the owner, ?2 the last settled message. */
const tailState = `m.sender = ?1 AS read, m.recipient = ?1 AND m.inbox = 1 AS inbox`;
const tail = `SELECT ${columns}, ${tailState} FROM messages m ${names} WHERE m.number > ?2`;
const tailIds = "SELECT s.uuid AS session, m.seq FROM messages m CROSS JOIN sessions s ON s.number = m.session";

type Rows<P extends number[]> = Statement<MessageRow, P>;

export class MessageQueries {
  readonly #settled: () => number;
  /** Owner, settled, before, conversation or null, unread only, limit. */
  readonly #tailPage: Statement<MessageRow, [number, number, number, number | null, number, number]>;
  /** Owner, before, limit, and the conversation. */
  readonly #page: Rows<[number, number, number]>;
  readonly #unreadPage: Rows<[number, number, number]>;
  readonly #conversationPage: Rows<[number, number, number, number]>;
  readonly #unreadConversationPage: Rows<[number, number, number, number]>;
  readonly #inboxCount: Statement<{ count: number }, [number, number]>;
  readonly #inbox: Statement<OpId, [number, number]>;
  readonly #tailInbox: Statement<OpId, [number, number, number]>;
  readonly #missed: Rows<[number, number, number]>;
  readonly #tailMissed: Rows<[number, number, number, number]>;
  readonly #one: Rows<[number, number]>;
  readonly #tailOne: Rows<[number, number, number]>;
  readonly #owned: Statement<{ found: number }, [number, string, number]>;
  readonly #tailOwned: Statement<OpId, [number, number]>;
  readonly #partners: Statement<{ number: number }, [number, number]>;
  readonly #withBuried: Statement<{ number: number; name: string }, [number]>;
  readonly #conversation: Statement<{ number: number }, [number, number]>;
  readonly #other: Statement<{ number: number }, [number, number]>;

  constructor(statements: Statements, settledNumber: () => number) {
    this.#settled = settledNumber;
    const newest = "ORDER BY b.message DESC LIMIT ?3";
    const inConversation = `${settledColumns}
      FROM conversation_messages c CROSS JOIN mailbox b ON b.owner = ?1 AND b.message = c.message
      CROSS JOIN messages m ON m.number = c.message ${names}
      WHERE c.conversation = ?4 AND c.message < ?2 AND b.inbox = 0`;
    this.#tailPage = statements.prepare(
      `${tail} AND (m.sender = ?1 OR (m.recipient = ?1 AND m.inbox = 0)) AND m.number < ?3
       AND (?4 IS NULL OR m.conversation = ?4) AND (?5 = 0 OR m.recipient = ?1) ORDER BY m.number DESC LIMIT ?6`,
    );
    this.#page = statements.prepare(`${settled} WHERE b.owner = ?1 AND b.message < ?2 AND b.inbox = 0 ${newest}`);
    this.#unreadPage = statements.prepare(
      `${settled} WHERE b.owner = ?1 AND b.message < ?2 AND b.read = 0 AND b.inbox = 0 ${newest}`,
    );
    this.#conversationPage = statements.prepare(`${inConversation} ORDER BY c.message DESC LIMIT ?3`);
    this.#unreadConversationPage = statements.prepare(
      `${inConversation} AND b.read = 0 ORDER BY c.message DESC LIMIT ?3`,
    );
    this.#inboxCount = statements.prepare(
      `SELECT (SELECT count(*) FROM mailbox WHERE owner = ?1 AND inbox = 1)
         + (SELECT count(*) FROM messages WHERE number > ?2 AND recipient = ?1 AND inbox = 1) AS count`,
    );
    this.#inbox = statements.prepare(
      `SELECT s.uuid AS session, m.seq FROM mailbox b CROSS JOIN messages m ON m.number = b.message
       CROSS JOIN sessions s ON s.number = m.session WHERE b.owner = ? AND b.inbox = 1 ORDER BY b.message LIMIT ?`,
    );
    this.#tailInbox = statements.prepare(
      `${tailIds} WHERE m.number > ?2 AND m.recipient = ?1 AND m.inbox = 1 ORDER BY m.number LIMIT ?3`,
    );
    this.#missed = statements.prepare(
      `${settled} WHERE b.owner = ?1 AND b.message > ?2 AND m.recipient = ?1 AND m.inbox = 0
       ORDER BY b.message LIMIT ?3`,
    );
    this.#tailMissed = statements.prepare(
      `${tail} AND m.number > ?3 AND m.recipient = ?1 AND m.inbox = 0 ORDER BY m.number LIMIT ?4`,
    );
    this.#one = statements.prepare(`${settled} WHERE b.owner = ? AND b.message = ?`);
    this.#tailOne = statements.prepare(`${tail} AND m.number = ?3 AND (m.sender = ?1 OR m.recipient = ?1)`);
    this.#owned = statements.prepare(
      `SELECT 1 AS found FROM sessions s CROSS JOIN message_ids i ON i.session = s.number AND i.seq = ?3
       CROSS JOIN mailbox b ON b.owner = ?1 AND b.message = i.message WHERE s.uuid = ?2`,
    );
    this.#tailOwned = statements.prepare(`${tailIds} WHERE m.number > ?2 AND (m.sender = ?1 OR m.recipient = ?1)`);
    this.#partners = statements.prepare(
      `SELECT high AS number FROM conversations WHERE low = ?1
       UNION ALL SELECT low FROM conversations WHERE high = ?1 LIMIT ?2`,
    );
    this.#withBuried = statements.prepare(
      `SELECT c.number, a.name FROM conversations c CROSS JOIN accounts a ON a.number = c.low + c.high - ?1
       WHERE (c.low = ?1 OR c.high = ?1) AND a.fold IS NULL ORDER BY a.number DESC`,
    );
    this.#conversation = statements.prepare("SELECT number FROM conversations WHERE low = ? AND high = ?");
    this.#other = statements.prepare("SELECT low + high - ? AS number FROM conversations WHERE number = ?");
  }

  /** Newest first, without what is still in the inbox. */
  page(owner: number, { conversation, before, limit, unread }: Page): ChatMessage[] {
    const rows = this.#tailPage.all(owner, this.#settled(), before, conversation, unread ? 1 : 0, limit);
    const rest = limit - rows.length;
    if (rest > 0) {
      if (conversation === null) {
        rows.push(...(unread ? this.#unreadPage : this.#page).all(owner, before, rest));
      } else {
        const page = unread ? this.#unreadConversationPage : this.#conversationPage;
        rows.push(...page.all(owner, before, rest, conversation));
      }
    }
    return rows.map(messageOf);
  }

  /** The conversation of two accounts; 0 when there was none yet. */
  conversationBetween(one: number, other: number): number {
    return this.#conversation.get(Math.min(one, other), Math.max(one, other))?.number ?? 0;
  }

  /** The conversation with the last one who had this name, folded; null when nobody is known to have had it. */
  conversationWithBuried(owner: number, fold: string): number | null {
    return this.#withBuried.all(owner).find((buried) => foldName(buried.name) === fold)?.number ?? null;
  }

  /** Whom the owner has this conversation with. */
  otherIn(conversation: number, owner: number): number | null {
    return this.#other.get(owner, conversation)?.number ?? null;
  }

  /** The numbers of those it has a conversation with, at most so many. */
  partners(account: number, limit: number): number[] {
    return this.#partners.all(account, limit).map((partner) => partner.number);
  }

  inboxCount(owner: number): number {
    return this.#inboxCount.get(owner, this.#settled())?.count ?? 0;
  }

  /** The ids of the oldest `count` messages in the inbox. */
  oldestInInbox(owner: number, count: number): OpId[] {
    const ids = this.#inbox.all(owner, count);
    if (ids.length < count) ids.push(...this.#tailInbox.all(owner, this.#settled(), count - ids.length));
    return ids;
  }

  /** The first of these ids that is not in the owner's mailbox; null when all are. */
  firstUnknown(owner: number, ids: readonly OpId[]): OpId | null {
    const unsettled = ids.filter(({ session, seq }) => this.#owned.get(owner, session, seq) === null);
    if (unsettled.length === 0) return null;
    const inTail = this.#tailOwned.all(owner, this.#settled());
    const known = new Set(inTail.map(({ session, seq }) => `${session}/${seq}`));
    return unsettled.find(({ session, seq }) => !known.has(`${session}/${seq}`)) ?? null;
  }

  /** Messages that went to sessions and not to the inbox, above `after`, in log order. */
  delivered(owner: number, after: number, limit: number): ChatMessage[] {
    const rows = this.#missed.all(owner, after, limit);
    if (rows.length < limit) {
      rows.push(...this.#tailMissed.all(owner, this.#settled(), after, limit - rows.length));
    }
    return rows.map(messageOf);
  }

  /** One settled message as the owner sees it; null when it does not have it (any more). */
  message(owner: number, number: number): ChatMessage | null {
    const row = this.#one.get(owner, number);
    return row === null ? null : messageOf(row);
  }

  /** The same, also of one that is not settled yet. */
  any(owner: number, number: number): ChatMessage | null {
    if (number <= this.#settled()) return this.message(owner, number);
    const row = this.#tailOne.get(owner, this.#settled(), number);
    return row === null ? null : messageOf(row);
  }
}

function messageOf(row: MessageRow): ChatMessage {
  return {
    id: { session: row.session, seq: row.seq },
    index: row.number,
    from: row.sender,
    to: row.recipient,
    text: row.text,
    at: row.at,
    read: row.read === 1,
    inbox: row.inbox === 1,
  };
}
