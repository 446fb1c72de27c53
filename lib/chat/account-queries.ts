/** Accounts as they are read by anybody: who has which name, and who is online. Changes nothing; reads the tables alone. */
import type { Statement } from "bun:sqlite";
import type { OpId } from "../protocol/messages.ts";
import { foldCharacters } from "./names.ts";
import type { Pattern } from "./pattern.ts";
import type { Statements } from "./statements.ts";

/** An iteration left early would hold the table: so they are read in chunks. */
const chunkSize = 512;

/** A living account, as far as questions need it. */
export interface KnownAccount {
  readonly number: number;
  readonly name: string;
}

/** As it is listed. */
export interface ListedAccount extends KnownAccount {
  /** When its last session left; of no meaning while it is online. */
  readonly last_seen_at: number | null;
}

interface NameRow extends ListedAccount {
  readonly fold: string;
}

export class AccountQueries {
  readonly #byId: Statement<KnownAccount, [string, number]>;
  readonly #byFold: Statement<KnownAccount, [string]>;
  readonly #after: Statement<NameRow, [string, string, string, number]>;
  readonly #held: Statement<{ held: number }, [number]>;

  constructor(statements: Statements) {
    this.#byId = statements.prepare(
      "SELECT number, name FROM accounts WHERE session = ? AND seq = ? AND fold IS NOT NULL",
    );
    this.#byFold = statements.prepare("SELECT number, name FROM accounts WHERE fold = ?");
    this.#after = statements.prepare(
      "SELECT number, name, fold, last_seen_at FROM accounts WHERE fold > ? AND fold >= ? AND instr(fold, ?) > 0 ORDER BY fold LIMIT ?",
    );
    this.#held = statements.prepare("SELECT 1 AS held FROM sessions WHERE account = ? AND held = 1 LIMIT 1");
  }

  byId({ session, seq }: OpId): KnownAccount | null {
    return this.#byId.get(session, seq);
  }

  byFold(fold: string): KnownAccount | null {
    return this.#byFold.get(fold);
  }

  /** Whether messages reach it live. */
  isOnline(account: number): boolean {
    return this.#held.get(account) !== null;
  }

  /** By folded name, above `after`; at most so many. */
  matching(pattern: Pattern, after: string, limit: number): ListedAccount[] {
    const found: ListedAccount[] = [];
    for (let last = after; ;) {
      const rows = this.#after.all(last, pattern.prefix, pattern.part, chunkSize);
      for (const row of rows) {
        if (!row.fold.startsWith(pattern.prefix)) return found;
        if (pattern.matches(charactersOf(row))) found.push(row);
        if (found.length === limit) return found;
        last = row.fold;
      }
      if (rows.length < chunkSize) return found;
    }
  }
}

/** Most names are plain: their characters are those of the folded form. */
const plain = /^[!-~]*$/;
const charactersOf = ({ name, fold }: NameRow): readonly string[] =>
  plain.test(name) ? fold.split("") : foldCharacters(name);
