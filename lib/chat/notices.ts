/**
 * Things that an account should know and that are no messages: what a merge did to it. Kept so that they reach somebody:
 * those that found no session attached wait for the next login.
 */
import type { Statement } from "bun:sqlite";
import type { Account } from "./accounts.ts";
import type { Statements } from "./statements.ts";

/** Older ones are forgotten. */
const keptMax = 32;

export class Notices {
  readonly #insert: Statement<unknown, [number, number, number, string]>;
  readonly #prune: Statement<unknown, [number]>;
  readonly #waiting: Statement<{ text: string }, [number]>;
  readonly #delivered: Statement<unknown, [number]>;
  readonly #between: Statement<{ number: number; text: string }, [number, number, number]>;
  readonly #delete: Statement<unknown, [number]>;

  constructor(statements: Statements) {
    this.#insert = statements.prepare("INSERT INTO notices VALUES (?, ?, ?, ?)");
    this.#prune = statements.prepare(
      `DELETE FROM notices WHERE account = ?1 AND number <=
         (SELECT number FROM notices WHERE account = ?1 ORDER BY number DESC LIMIT 1 OFFSET ${keptMax})`,
    );
    this.#waiting = statements.prepare("SELECT text FROM notices WHERE account = ? AND waiting = 1 ORDER BY number");
    this.#delivered = statements.prepare("UPDATE notices SET waiting = 0 WHERE account = ? AND waiting = 1");
    this.#between = statements.prepare(
      "SELECT number, text FROM notices WHERE account = ? AND number > ? AND number <= ? ORDER BY number",
    );
    this.#delete = statements.prepare("DELETE FROM notices WHERE account = ?");
  }

  /** `number` is the log index of the op it is about; one notice to an account from each. */
  add(account: Account, number: number, waiting: boolean, text: string): void {
    this.#insert.run(account.number, number, waiting ? 1 : 0, text);
    this.#prune.run(account.number);
  }

  /** The texts that waited for a login; they wait no longer. */
  take(account: Account): string[] {
    const texts = this.#waiting.all(account.number).map(({ text }) => text);
    if (texts.length > 0) this.#delivered.run(account.number);
    return texts;
  }

  /** Those of the ops at log indexes above `after`, up to `last`. */
  between(account: Account, after: number, last: number): { readonly number: number; readonly text: string }[] {
    return this.#between.all(account.number, after, last);
  }

  deleteAll(account: Account): void {
    this.#delete.run(account.number);
  }
}
