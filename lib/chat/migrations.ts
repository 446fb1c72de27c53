/**
 * How the tables of an older build become today's, one version after the other. Each step is one transaction that ends
 * with the number of the version it has reached: a crash leaves a state of one version or the other, and the next start
 * goes on from there.
 *
 * A step uses the definitions of `schema.ts` as long as its version is the newest. Who changes a table for a later version
 * writes down here, in the steps before, what it was; a state of every version in `fixtures/state` shows that it works.
 */
import type { Database } from "bun:sqlite";
import { assert } from "../base/assert.ts";
import { indexes, stateVersion, tables, wordIndex } from "./schema.ts";
import { Statements } from "./statements.ts";
import { WordIndex } from "./word-index.ts";

/** States before this one were always built from a whole log, and are emptied to be built again. */
export const oldestMigrated = 2;

/** By the version that they reach. */
const steps: Readonly<Record<number, (database: Database) => void>> = {
  3: (database) => {
    database.run(`CREATE TABLE summaries (${tables.summaries}`);
    database.run(
      `INSERT INTO summaries SELECT b.owner, m.conversation, sum(b.read = 0 AND b.inbox = 0), sum(b.inbox), max(b.message)
       FROM mailbox b CROSS JOIN messages m ON m.number = b.message GROUP BY 1, 2`,
    );
    for (const table of ["drafts", "sent_drafts"] as const) database.run(`CREATE TABLE ${table} (${tables[table]}`);
    remake(database, "results");
    remake(database, "accounts", ", NULL, NULL, NULL, NULL");
    remake(database, "sessions", ", NULL, 0");
    for (const index of indexes) if (index.includes(" ON sessions ")) database.run(index);
    for (const sql of wordIndex) database.run(sql);
    const settled = database.query<{ settled: number }, []>("SELECT settled FROM point").get()?.settled ?? 0;
    const statements = new Statements(database);
    new WordIndex(statements).enter(0, settled);
    statements.finalize();
  },
};

/** Makes a table as it is defined now, with the rows it has; `rest` are values for columns that are new, and come last. */
function remake(database: Database, table: keyof typeof tables, rest = ""): void {
  database.run(`CREATE TABLE remade (${tables[table]}`);
  database.run(`INSERT INTO remade SELECT *${rest} FROM ${table}`);
  database.run(`DROP TABLE ${table}`);
  database.run(`ALTER TABLE remade RENAME TO ${table}`);
}

/** Foreign keys are checked at the end of each step, not meanwhile: a table may be made anew under its name. */
export function migrate(database: Database, from: number): void {
  database.run("PRAGMA foreign_keys = OFF");
  try {
    for (let version = from + 1; version <= stateVersion; version++) {
      const step = steps[version];
      assert(step !== undefined, `there is a step to version ${version} of the state`);
      const run = database.transaction(() => {
        step(database);
        const broken = database.query("PRAGMA foreign_key_check").values();
        assert(broken.length === 0, `the step to version ${version} leaves no broken reference: ${String(broken[0])}`);
        database.run(`PRAGMA user_version = ${version}`);
      });
      run.immediate();
    }
  } finally {
    database.run("PRAGMA foreign_keys = ON");
  }
}
