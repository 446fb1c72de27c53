/**
 * Erases what a deleted account leaves: its mailbox, messages that nobody has any more, and in the end its tombstone.
 * A large mailbox is erased a little with every entry applied, so that no entry holds up the log; nobody can see it
 * meanwhile. How much goes with which entry depends on the log alone.
 */
import type { Statement } from "bun:sqlite";
import type { Account } from "./accounts.ts";
import type { Messages } from "./messages.ts";
import type { Statements } from "./statements.ts";

/** Messages erased with the deletion itself (about 50 ms), and with each entry after it. */
const atOnceMax = 2000;
const perEntryMax = 64;

interface ConversationRow {
  number: number;
  low: number;
  high: number;
}

export class Erasure {
  readonly #messages: Messages;
  readonly #pending: number[] = [];
  readonly #load: Statement<{ account: number }, []>;
  readonly #insert: Statement<unknown, [number]>;
  readonly #delete: Statement<unknown, [number]>;
  readonly #owned: Statement<{ message: number }, [number, number]>;
  readonly #conversation: Statement<ConversationRow, [number]>;
  readonly #conversationsOf: Statement<ConversationRow, [number]>;
  /** Only when no message is left in it. */
  readonly #deleteConversation: Statement<unknown, [number]>;
  /** Only a tombstone that nothing refers to. */
  readonly #deleteAccount: Statement<unknown, [number]>;

  constructor(statements: Statements, messages: Messages) {
    this.#messages = messages;
    this.#load = statements.prepare("SELECT account FROM erasures ORDER BY account");
    this.#insert = statements.prepare("INSERT INTO erasures VALUES (?)");
    this.#delete = statements.prepare("DELETE FROM erasures WHERE account = ?");
    this.#owned = statements.prepare("SELECT message FROM mailbox WHERE owner = ? ORDER BY message LIMIT ?");
    this.#conversation = statements.prepare("SELECT number, low, high FROM conversations WHERE number = ?");
    this.#conversationsOf = statements.prepare(
      "SELECT number, low, high FROM conversations WHERE low = ?1 OR high = ?1",
    );
    this.#deleteConversation = statements.prepare(
      `DELETE FROM conversations WHERE number = ?1
       AND NOT EXISTS (SELECT 1 FROM conversation_messages WHERE conversation = ?1)
       AND EXISTS (SELECT 1 FROM accounts WHERE number IN (low, high) AND fold IS NULL)`,
    );
    this.#deleteAccount = statements.prepare(
      `DELETE FROM accounts WHERE number = ?1 AND fold IS NULL
       AND NOT EXISTS (SELECT 1 FROM conversations WHERE low = ?1 OR high = ?1)
       AND NOT EXISTS (SELECT 1 FROM erasures WHERE account = ?1)`,
    );
  }

  load(): void {
    this.#pending.length = 0;
    for (const { account } of this.#load.all()) this.#pending.push(account);
  }

  /** The account must have been buried and all messages settled. */
  begin(account: Account): void {
    this.#insert.run(account.number);
    this.#pending.push(account.number);
    this.#pending.sort((one, other) => one - other);
    this.#erase(account.number, atOnceMax);
  }

  /** To be called once with every entry. */
  goOn(): void {
    const account = this.#pending[0];
    if (account !== undefined) this.#erase(account, perEntryMax);
  }

  /** A message was erased from this conversation: what only it had kept may go. */
  shrunk(conversation: number): void {
    const row = this.#conversation.get(conversation);
    if (row !== null) this.#clear(row);
  }

  #erase(account: number, limit: number): void {
    const owned = this.#owned.all(account, limit);
    for (const { message } of owned) {
      const conversation = this.#messages.remove(account, message);
      if (conversation !== null) this.shrunk(conversation);
    }
    if (owned.length === limit) return;
    this.#delete.run(account);
    this.#pending.splice(this.#pending.indexOf(account), 1);
    for (const row of this.#conversationsOf.all(account)) this.#clear(row);
    this.#deleteAccount.run(account);
  }

  #clear({ number, low, high }: ConversationRow): void {
    if (this.#deleteConversation.run(number).changes === 0) return;
    this.#deleteAccount.run(low);
    this.#deleteAccount.run(high);
  }
}
