/**
 * What each account has of each of its conversations, as it is written: counted up when messages settle, corrected when
 * one of them changes. Knows the settled messages only; decides no op.
 */
import type { Statement } from "bun:sqlite";
import type { Statements } from "./statements.ts";

export class Summaries {
  readonly #settle: Statement<unknown, [number]>;
  readonly #adjust: Statement<unknown, [number, number, number, number]>;
  readonly #last: Statement<{ last: number }, [number, number]>;
  readonly #before: Statement<{ message: number }, [number, number, number]>;
  readonly #setLast: Statement<unknown, [number, number, number]>;
  readonly #delete: Statement<unknown, [number, number]>;

  constructor(statements: Statements) {
    this.#settle = statements.prepare(
      `INSERT INTO summaries SELECT owner, conversation, sum(unread), sum(inbox), max(number) FROM (
         SELECT sender AS owner, conversation, 0 AS unread, 0 AS inbox, number FROM messages WHERE number > ?1
         UNION ALL SELECT recipient, conversation, 1 - inbox, inbox, number FROM messages WHERE number > ?1)
       GROUP BY 1, 2 ORDER BY 1, 2
       ON CONFLICT DO UPDATE SET unread = unread + excluded.unread, inbox = inbox + excluded.inbox, last = excluded.last`,
    );
    this.#adjust = statements.prepare(
      "UPDATE summaries SET unread = unread + ?3, inbox = inbox + ?4 WHERE owner = ?1 AND conversation = ?2",
    );
    this.#last = statements.prepare("SELECT last FROM summaries WHERE owner = ? AND conversation = ?");
    this.#before = statements.prepare(
      `SELECT c.message FROM conversation_messages c CROSS JOIN mailbox b ON b.owner = ?1 AND b.message = c.message
       WHERE c.conversation = ?2 AND c.message < ?3 ORDER BY c.message DESC LIMIT 1`,
    );
    this.#setLast = statements.prepare("UPDATE summaries SET last = ?3 WHERE owner = ?1 AND conversation = ?2");
    this.#delete = statements.prepare("DELETE FROM summaries WHERE owner = ? AND conversation = ?");
  }

  /** Counts the messages above `settled`. */
  settle(settled: number): void {
    this.#settle.run(settled);
  }

  adjust(owner: number, conversation: number, unread: number, inbox: number): void {
    this.#adjust.run(owner, conversation, unread, inbox);
  }

  /** A message has gone from the owner's mailbox, where it counted as this. */
  removed(owner: number, conversation: number, message: number, unread: number, inbox: number): void {
    const last = this.#last.get(owner, conversation)?.last;
    if (last === message) {
      const before = this.#before.get(owner, conversation, message);
      if (before === null) {
        this.#delete.run(owner, conversation);
        return;
      }
      this.#setLast.run(owner, conversation, before.message);
    }
    if (unread + inbox > 0) this.#adjust.run(owner, conversation, -unread, -inbox);
  }
}
