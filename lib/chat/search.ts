/**
 * Full-text search in one account's messages. Changes nothing in the state. The index says which of them match, newest
 * first; a window of those, with the tail that is not indexed yet, is put into a table of its own in memory, where FTS5
 * ranks them and cuts the snippets. So what others have written has no influence on the order, and the work is bounded.
 */
import type { Statement } from "bun:sqlite";
import type { ChatMessage } from "../protocol/messages.ts";
import type { MessageQueries } from "./message-queries.ts";
import { hitBegins, hitEnds, readable, searchable } from "./search-text.ts";
import type { Statements } from "./statements.ts";

export interface Wanted {
  readonly owner: number;
  /** Only what was written with this account. */
  readonly other: number | null;
  readonly expression: string;
  /** Of the best, so many are left out. */
  readonly skip: number;
  readonly limit: number;
}

export interface Found {
  readonly message: ChatMessage;
  readonly snippet: string;
}

interface Candidate {
  readonly number: number;
  readonly text: string;
}

interface Hit {
  readonly number: number;
  readonly snippet: string;
}

/** Messages that are ranked together; those before them follow. */
const windowSize = 500;
/** Words of a snippet, and bytes: a word may be as long as a text. */
const snippetWords = 16;
const snippetCharactersMax = 500;

export class Search {
  readonly #statements: Statements;
  readonly #messages: MessageQueries;
  readonly #settled: () => number;
  #prepared: Prepared | null = null;

  constructor(statements: Statements, messages: MessageQueries, settled: () => number) {
    this.#statements = statements;
    this.#messages = messages;
    this.#settled = settled;
  }

  find({ owner, other, expression, skip, limit }: Wanted): Found[] {
    const { windows, tail, clear, enter, count, best } = (this.#prepared ??= prepare(this.#statements));
    const owners = other === null ? `"${owner}"` : `"${owner}" AND "${other}"`;
    const match = `owners : (${owners}) AND text : (${expression})`;
    const found: Found[] = [];
    let left = skip;
    let candidates: Candidate[] = tail.all(owner, this.#settled(), other);
    for (let before = Number.MAX_SAFE_INTEGER; found.length < limit;) {
      const settled = windows.all(owner, match, before, windowSize);
      candidates.push(...settled);
      clear.run();
      for (const { number, text } of candidates) enter.run(number, searchable(text));
      const hits = count.get(expression)?.count ?? 0;
      for (const hit of best.all(expression, limit - found.length, left)) {
        const message = this.#messages.any(owner, hit.number);
        if (message !== null) found.push({ message, snippet: shown(hit.snippet) });
      }
      left = Math.max(0, left - hits);
      before = settled.at(-1)?.number ?? 0;
      candidates = [];
      if (settled.length < windowSize) break;
    }
    clear.run();
    return found;
  }
}

interface Prepared {
  /** Owner, expression, exclusive upper bound, limit. */
  readonly windows: Statement<Candidate, [number, string, number, number]>;
  /** Owner, the last settled message, the other one or null. */
  readonly tail: Statement<Candidate, [number, number, number | null]>;
  readonly clear: Statement<unknown, []>;
  readonly enter: Statement<unknown, [number, string]>;
  readonly count: Statement<{ count: number }, [string]>;
  /** Expression, limit, how many are left out. */
  readonly best: Statement<Hit, [string, number, number]>;
}

/** Not before the first search: most connections never see one. */
function prepare(statements: Statements): Prepared {
  const tokenize = `tokenize = "unicode61 remove_diacritics 2"`;
  statements.prepare(`CREATE VIRTUAL TABLE IF NOT EXISTS temp.found USING fts5 (text, ${tokenize})`).run();
  return {
    windows: statements.prepare(
      `SELECT w.rowid AS number, m.text FROM words w
       CROSS JOIN mailbox b ON b.owner = ?1 AND b.message = w.rowid AND b.inbox = 0
       CROSS JOIN messages m ON m.number = w.rowid
       WHERE w.words MATCH ?2 AND w.rowid < ?3 ORDER BY w.rowid DESC LIMIT ?4`,
    ),
    tail: statements.prepare(
      `SELECT number, text FROM messages
       WHERE number > ?2 AND (sender = ?1 OR (recipient = ?1 AND inbox = 0)) AND (?3 IS NULL OR ?3 IN (sender, recipient))`,
    ),
    clear: statements.prepare("DELETE FROM temp.found"),
    enter: statements.prepare("INSERT INTO temp.found (rowid, text) VALUES (?, ?)"),
    count: statements.prepare("SELECT count(*) AS count FROM temp.found WHERE found MATCH ?"),
    best: statements.prepare(
      `SELECT rowid AS number, snippet(found, 0, '${hitBegins}', '${hitEnds}', '…', ${snippetWords}) AS snippet
       FROM temp.found WHERE found MATCH ? ORDER BY rank, rowid DESC LIMIT ? OFFSET ?`,
    ),
  };
}

function shown(snippet: string): string {
  const text = readable(snippet);
  if (text.length <= snippetCharactersMax) return text;
  const cut = Array.from(text).slice(0, snippetCharactersMax).join("");
  return `${cut}…${cut.lastIndexOf(hitBegins) > cut.lastIndexOf(hitEnds) ? hitEnds : ""}`;
}
