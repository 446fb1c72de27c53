/**
 * How the database of the state is opened, made and emptied. What stands in it is `schema.ts`'s, how an older one becomes
 * today's `migrations.ts`'s.
 */
import type { Database } from "bun:sqlite";
import { migrate, oldestMigrated } from "./migrations.ts";
import { applicationId, indexes, StateFormatError, stateVersion, tableNames, tables, wordIndex } from "./schema.ts";

/**
 * Sets the connection up, makes the tables in a new database and brings those of an older build up to date (`migrating`
 * is told first). Throws {@link StateFormatError} when the database is of a newer build or not a state of chatd.
 */
export function prepareDatabase(
  database: Database,
  checkpointPages: number,
  migrating: (from: number, to: number) => void = () => {},
): void {
  const settings = [
    "journal_mode = WAL",
    "synchronous = NORMAL",
    "cache_size = -32768",
    "foreign_keys = ON",
    "secure_delete = ON",
    // What is sorted when messages settle needs no file.
    "temp_store = MEMORY",
    `wal_autocheckpoint = ${checkpointPages}`,
    // What a burst made longer is given back.
    "journal_size_limit = 67108864",
  ];
  for (const setting of settings) database.run(`PRAGMA ${setting}`);
  beginLogAnew(database);
  const version = readPragma(database, "user_version");
  const application = readPragma(database, "application_id");
  if (version === 0 && application === 0 && !hasTables(database)) {
    database.transaction(() => createTables(database)).immediate();
    return;
  }
  const refusal = refusalOf({ application, version });
  if (refusal !== null) throw new StateFormatError(refusal);
  // It is built again from the log, which at that version always began at 1.
  if (version < oldestMigrated) return emptyDatabase(database);
  if (version === stateVersion) return;
  migrating(version, stateVersion);
  migrate(database, version);
}

/** Two numbers in the header of a database: its application id and its user version. */
export interface StateFormat {
  readonly application: number;
  readonly version: number;
}

/** Why this build can make nothing of a state of that format; null when it can. */
function refusalOf({ application, version }: StateFormat): string | null {
  if (application !== applicationId) return "the database is not a state of chatd";
  if (version > stateVersion)
    return `the state has version ${version}; this chatd reads versions up to ${stateVersion}: start a newer chatd`;
  return version < 1 ? `the state has version ${version}, which never existed` : null;
}

/** The same of another's state, which cannot be built again from the log here. */
export function snapshotRefusal(format: StateFormat): string | null {
  const { version } = format;
  const old = `the state has version ${version}; this chatd reads versions from ${oldestMigrated} on: start a newer chatd there`;
  return refusalOf(format) ?? (version < oldestMigrated ? old : null);
}

/**
 * What stands in SQLite's write-ahead log may be in memory alone, if a process before this one could not make it durable: the
 * next sync of that file would succeed and say nothing of it (Rebello et al. 2020, §3). Copied into the database it is written
 * anew, and SQLite syncs that before it begins the log again. A reader of another program puts it off. Whoever opens a file
 * sees to it that the log is on the disk before that (`writeLogAnew` in `lib/io/state-copy.ts`), for this may be cut short.
 */
function beginLogAnew(database: Database): void {
  database.run("PRAGMA wal_checkpoint(TRUNCATE)");
}

/**
 * Empties the database in one transaction, then gives its pages back. Takes time by the page, not by the row: nothing is
 * overwritten first, as the file is cut.
 */
export function emptyDatabase(database: Database): void {
  database.run("PRAGMA foreign_keys = OFF");
  database.run("PRAGMA secure_delete = OFF");
  try {
    database
      .transaction(() => {
        database.run("DROP TABLE IF EXISTS words");
        for (const table of tableNames.toReversed()) database.run(`DROP TABLE IF EXISTS ${table}`);
        createTables(database);
      })
      .immediate();
    database.run("VACUUM");
    beginLogAnew(database);
  } finally {
    database.run("PRAGMA secure_delete = ON");
    database.run("PRAGMA foreign_keys = ON");
  }
}

function createTables(database: Database): void {
  for (const [name, columns] of Object.entries(tables)) database.run(`CREATE TABLE ${name} (${columns}`);
  for (const index of [...indexes, ...wordIndex]) database.run(index);
  database.run("INSERT INTO point VALUES (1, 0, 0, zeroblob(8), 0, 0)");
  database.run(`PRAGMA application_id = ${applicationId}`);
  database.run(`PRAGMA user_version = ${stateVersion}`);
}

function readPragma(database: Database, pragma: string): number {
  const row = database.query<Record<string, number>, []>(`PRAGMA ${pragma}`).get();
  return row?.[pragma] ?? 0;
}

function hasTables(database: Database): boolean {
  return database.query("SELECT 1 FROM sqlite_schema LIMIT 1").get() !== null;
}
