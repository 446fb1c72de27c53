/**
 * Messages as they are written: sending, settling, moving out of the inbox, marking, deleting, erasing. Decides no op.
 *
 * Sending only appends to `messages`. Every `tailMax` messages the tail is *settled*: entered into `message_ids`,
 * `conversation_messages`, `mailbox`, `summaries` and the index of words, in the order of their keys, which touches a
 * few pages per thousand messages instead of several per message. Whatever changes the state of a message settles
 * first, so that only sending knows of the tail, and reading (`message-queries.ts`) looks at both. When to settle
 * depends on the log alone.
 */
import type { Statement } from "bun:sqlite";
import type { OpId } from "../protocol/messages.ts";
import type { Account } from "./accounts.ts";
import type { Session } from "./sessions.ts";
import type { Statements } from "./statements.ts";
import type { Summaries } from "./summaries.ts";
import type { WordIndex } from "./word-index.ts";

/** Reading may scan the tail: about 0.2 ms for this many. */
const tailMax = 2048;

/** More than this, in the few seconds in which a session is lost, stays where it is: apply must not take long. */
const undeliveredMax = 8192;

export interface NewMessage {
  readonly number: number;
  readonly session: Session;
  readonly seq: number;
  readonly sender: Account;
  readonly recipient: Account;
  readonly inbox: boolean;
  readonly at: number;
  readonly text: string;
}

type Row = [number, number, number, number, number, number, number, number, string];

interface RemovedRow {
  readonly number: number;
  readonly session: number;
  readonly seq: number;
  readonly conversation: number;
  readonly sender: number;
  readonly recipient: number;
  readonly text: string;
  /** Somebody has it still. */
  readonly kept: number;
}

/** How a message counts in a mailbox. */
interface Kept {
  readonly inbox: number;
  readonly read: number;
}

export class Messages {
  #settled = 0;
  /** Messages above `settled`. */
  #tail = 0;
  readonly #insert: Statement<unknown, Row>;
  readonly #settling: readonly Statement<unknown, [number]>[];
  readonly #countTail: Statement<{ count: number }, [number]>;
  readonly #find: Statement<{ message: number }, [number, number]>;
  readonly #conversation: Statement<{ number: number }, [number, number]>;
  readonly #insertConversation: Statement<unknown, [number, number, number]>;
  readonly #owned: Statement<{ found: number }, [number, number]>;
  readonly #conversationOfMessage: Statement<{ conversation: number }, [number]>;
  readonly #open: Statement<{ read: number }, [number, number]>;
  readonly #mark: Statement<{ inbox: number }, [number, number, number]>;
  readonly #remove: Statement<Kept, [number, number]>;
  readonly #unseenInTail: Statement<{ found: number }, [number, number, number]>;
  readonly #unseen: Statement<
    { number: number; conversation: number; session: string; seq: number },
    [number, number, number, number]
  >;
  readonly #arrivedInInbox: Statement<unknown, [number]>;
  readonly #returnToInbox: Statement<unknown, [number, number]>;
  readonly #row: Statement<RemovedRow, [number]>;
  readonly #findInTail: Statement<{ found: number }, [number, number, number]>;
  readonly #erasing: readonly [
    Statement<unknown, [number, number, number]>,
    Statement<unknown, [number, number]>,
    Statement<unknown, [number]>,
  ];

  readonly #summaries: Summaries;
  readonly #words: WordIndex;

  constructor(statements: Statements, summaries: Summaries, words: WordIndex) {
    this.#summaries = summaries;
    this.#words = words;
    this.#insert = statements.prepare("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
    this.#settling = [
      // Builds before this one could make two messages of one id: the first one has it.
      `INSERT OR IGNORE INTO message_ids SELECT session, seq, number FROM messages WHERE number > ? ORDER BY 1, 2, 3`,
      `INSERT INTO conversation_messages SELECT conversation, number FROM messages WHERE number > ? ORDER BY 1, 2`,
      `INSERT INTO mailbox SELECT * FROM (
         SELECT sender, number, 0, 1 FROM messages WHERE number > ?1
         UNION ALL SELECT recipient, number, inbox, 0 FROM messages WHERE number > ?1) ORDER BY 1, 2`,
    ].map((sql) => statements.prepare<unknown, [number]>(sql));
    this.#countTail = statements.prepare("SELECT count(*) AS count FROM messages WHERE number > ?");
    this.#find = statements.prepare("SELECT message FROM message_ids WHERE session = ? AND seq = ?");
    this.#findInTail = statements.prepare(
      "SELECT 1 AS found FROM messages WHERE number > ? AND session = ? AND seq = ? LIMIT 1",
    );
    this.#conversation = statements.prepare("SELECT number FROM conversations WHERE low = ? AND high = ?");
    this.#insertConversation = statements.prepare("INSERT INTO conversations VALUES (?, ?, ?)");
    this.#owned = statements.prepare("SELECT 1 AS found FROM mailbox WHERE owner = ? AND message = ?");
    this.#conversationOfMessage = statements.prepare("SELECT conversation FROM messages WHERE number = ?");
    this.#open = statements.prepare(
      "UPDATE mailbox SET inbox = 0 WHERE owner = ? AND message = ? AND inbox = 1 RETURNING read",
    );
    this.#mark = statements.prepare(
      `UPDATE mailbox SET read = ?1 WHERE owner = ?2 AND message = ?3 AND read <> ?1
       AND EXISTS (SELECT 1 FROM messages WHERE number = ?3 AND recipient = ?2) RETURNING inbox`,
    );
    this.#unseenInTail = statements.prepare(
      "SELECT 1 AS found FROM messages WHERE number > ? AND number < ? AND recipient = ? AND inbox = 0 LIMIT 1",
    );
    this.#unseen = statements.prepare(
      `SELECT m.number, m.conversation, s.uuid AS session, m.seq FROM mailbox b
       CROSS JOIN messages m ON m.number = b.message CROSS JOIN sessions s ON s.number = m.session
       WHERE b.owner = ?1 AND b.message > ?2 AND b.message < ?3 AND b.inbox = 0 AND b.read = 0
       AND m.recipient = ?1 AND m.inbox = 0 ORDER BY b.message LIMIT ?4`,
    );
    this.#arrivedInInbox = statements.prepare("UPDATE messages SET inbox = 1 WHERE number = ?");
    this.#returnToInbox = statements.prepare("UPDATE mailbox SET inbox = 1 WHERE owner = ? AND message = ?");
    this.#remove = statements.prepare("DELETE FROM mailbox WHERE owner = ? AND message = ? RETURNING inbox, read");
    this.#row = statements.prepare(
      `SELECT number, session, seq, conversation, sender, recipient, text,
         EXISTS (SELECT 1 FROM mailbox WHERE owner IN (sender, recipient) AND message = ?1) AS kept
       FROM messages WHERE number = ?1`,
    );
    this.#erasing = [
      statements.prepare("DELETE FROM message_ids WHERE session = ? AND seq = ? AND message = ?"),
      statements.prepare("DELETE FROM conversation_messages WHERE conversation = ? AND message = ?"),
      statements.prepare("DELETE FROM messages WHERE number = ?"),
    ];
  }

  /** The number of the last message that the tables of lookups hold. */
  get settled(): number {
    return this.#settled;
  }

  load(settled: number): void {
    this.#settled = settled;
    this.#tail = this.#countTail.get(settled)?.count ?? 0;
  }

  send(message: NewMessage): void {
    const { number, session, seq, sender, recipient, inbox, at, text } = message;
    const conversation = this.#conversationOf(sender, recipient, number);
    const row: Row = [
      number,
      session.number,
      seq,
      conversation,
      sender.number,
      recipient.number,
      inbox ? 1 : 0,
      at,
      text,
    ];
    this.#insert.run(...row);
    this.#tail++;
    if (this.#tail >= tailMax) this.settle(number);
  }

  /** Enters the tail into the tables of lookups; `number` is the index of the entry being applied. */
  settle(number: number): void {
    if (this.#tail === 0) return;
    for (const statement of this.#settling) statement.run(this.#settled);
    this.#summaries.settle(this.#settled);
    this.#words.enter(this.#settled, number);
    this.#settled = number;
    this.#tail = 0;
  }

  /** The message with this id if it is in the owner's mailbox, inbox included; else null. Settles when it must. */
  find(owner: Account, session: Session | null, seq: number, number: number): number | null {
    if (session === null) return null;
    let found = this.#find.get(session.number, seq);
    if (found === null && this.#tail > 0) {
      this.settle(number);
      found = this.#find.get(session.number, seq);
    }
    return found !== null && this.#owned.get(owner.number, found.message) !== null ? found.message : null;
  }

  /** Whether there is a message with this id, whoever has it. */
  isTaken(session: Session, seq: number): boolean {
    if (this.#find.get(session.number, seq) !== null) return true;
    return this.#findInTail.get(this.#settled, session.number, seq) !== null;
  }

  /** Moves a message out of the inbox; false when it was not there. */
  open(owner: Account, message: number): boolean {
    const opened = this.#open.get(owner.number, message);
    if (opened === null) return false;
    this.#adjust(owner, message, opened.read === 0 ? 1 : 0, -1);
    return true;
  }

  /** Marks a message that the owner received; those it sent are always read. False when that changed nothing. */
  mark(owner: Account, message: number, read: boolean): boolean {
    const marked = this.#mark.get(read ? 1 : 0, owner.number, message);
    if (marked === null) return false;
    if (marked.inbox === 0) this.#adjust(owner, message, read ? -1 : 1, 0);
    return true;
  }

  /**
   * Puts into the inbox what was delivered to sessions of the owner above `after` and below `before`, and is not read: as
   * if nobody had been there. Returns their ids. `number` is the index of the entry being applied.
   */
  undeliver(owner: Account, after: number, before: number, number: number): OpId[] {
    const inTail = this.#unseenInTail.get(Math.max(after, this.#settled), before, owner.number);
    if (inTail !== null) this.settle(number);
    const unseen = this.#unseen.all(owner.number, after, before, undeliveredMax);
    for (const message of unseen) {
      this.#arrivedInInbox.run(message.number);
      this.#returnToInbox.run(owner.number, message.number);
      this.#summaries.adjust(owner.number, message.conversation, -1, 1);
    }
    return unseen.map(({ session, seq }) => ({ session, seq }));
  }

  /**
   * Deletes a message for one owner, and erases it when nobody has it any more.
   * Returns the conversation of an erased one, else null.
   */
  remove(owner: number, message: number): number | null {
    const removed = this.#remove.get(owner, message);
    const row = this.#row.get(message);
    if (removed === null || row === null) return null;
    const { session, seq, conversation } = row;
    this.#summaries.removed(owner, conversation, message, isUnread(removed) ? 1 : 0, removed.inbox);
    if (row.kept === 1) return null;
    const [ids, conversations, messages] = this.#erasing;
    this.#words.takeOut(row);
    ids.run(session, seq, message);
    conversations.run(conversation, message);
    messages.run(message);
    return conversation;
  }

  #adjust(owner: Account, message: number, unread: number, inbox: number): void {
    const found = this.#conversationOfMessage.get(message);
    if (found !== null) this.#summaries.adjust(owner.number, found.conversation, unread, inbox);
  }

  #conversationOf(one: Account, other: Account, number: number): number {
    const known = one.conversations?.get(other.number);
    if (known !== undefined) return known;
    const low = Math.min(one.number, other.number);
    const high = Math.max(one.number, other.number);
    let found = this.#conversation.get(low, high)?.number;
    if (found === undefined) {
      this.#insertConversation.run(number, low, high);
      found = number;
    }
    one.conversations ??= new Map();
    one.conversations.set(other.number, found);
    return found;
  }
}

const isUnread = ({ inbox, read }: Kept): boolean => inbox === 0 && read === 0;
