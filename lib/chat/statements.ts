/** The prepared statements of one database, made once and let go together: an open one would keep the file open. */
import type { Database, Statement } from "bun:sqlite";

type Parameters = (string | number | Uint8Array | null)[];

export class Statements {
  readonly #database: Database;
  readonly #prepared: { finalize(): void }[] = [];

  constructor(database: Database) {
    this.#database = database;
  }

  /** Stays valid when the tables are made anew: SQLite compiles it again by itself. */
  prepare<Row, P extends Parameters>(sql: string): Statement<Row, P> {
    const statement = this.#database.prepare(sql) as Statement<unknown, never[]>;
    this.#prepared.push(statement);
    return statement as unknown as Statement<Row, P>;
  }

  finalize(): void {
    for (const statement of this.#prepared) statement.finalize();
    this.#prepared.length = 0;
  }
}
