/**
 * The words of the settled messages, as they are written: entered when messages settle, taken out when a message is erased.
 * FTS5 without a content of its own: a word taken out leaves no byte (secure-delete), and the texts stand in `messages`
 * alone. What is searched is `search.ts`'s.
 */
import type { Statement } from "bun:sqlite";
import { searchable } from "./search-text.ts";
import type { Statements } from "./statements.ts";

interface Text {
  readonly number: number;
  readonly sender: number;
  readonly recipient: number;
  readonly text: string;
}

/** In chunks, so that a whole state can be indexed that does not fit into memory. */
const chunkSize = 2048;

export class WordIndex {
  readonly #texts: Statement<Text, [number, number, number]>;
  readonly #insert: Statement<unknown, [number, string, string]>;
  readonly #delete: Statement<unknown, [number, string, string]>;

  constructor(statements: Statements) {
    this.#texts = statements.prepare(
      "SELECT number, sender, recipient, text FROM messages WHERE number > ? AND number <= ? ORDER BY number LIMIT ?",
    );
    this.#insert = statements.prepare("INSERT INTO words (rowid, owners, text) VALUES (?, ?, ?)");
    this.#delete = statements.prepare("INSERT INTO words (words, rowid, owners, text) VALUES ('delete', ?, ?, ?)");
  }

  /** Enters the messages above `after`, up to `last`. */
  enter(after: number, last: number): void {
    for (let from = after; ;) {
      const rows = this.#texts.all(from, last, chunkSize);
      for (const row of rows) this.#insert.run(row.number, ownersOf(row), searchable(row.text));
      from = rows.at(-1)?.number ?? last;
      if (rows.length < chunkSize) return;
    }
  }

  /** The message as it was entered. */
  takeOut(message: Text): void {
    this.#delete.run(message.number, ownersOf(message), searchable(message.text));
  }
}

const ownersOf = ({ sender, recipient }: Text): string => `${sender} ${recipient}`;
