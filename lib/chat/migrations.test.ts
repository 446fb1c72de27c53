/**
 * States of older builds, made by those builds (`fixtures/state`), under today's. What their users see afterwards is
 * `cmd/chatd/migration.test.ts`'s.
 */
import { Database } from "bun:sqlite";
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openChat } from "./chat.ts";
import { prepareDatabase } from "./database.ts";
import { stateVersion, tableNames } from "./schema.ts";

const fixture = new URL("../../fixtures/state/version-2/state.sqlite.gz", import.meta.url);

const folder = mkdtempSync(join(tmpdir(), "chatd-migrations-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;

function ofVersion2(): Database {
  const path = join(folder, `${++files}.sqlite`);
  writeFileSync(path, Bun.gunzipSync(readFileSync(fixture)));
  return new Database(path, { readwrite: true, create: false, strict: true });
}

const versionOf = (database: Database): unknown => database.query("PRAGMA user_version").values()[0]?.[0];

/** What each table and index is made of, however its name is quoted and whatever is said of it. */
const schemaOf = (database: Database): unknown[][] =>
  database
    .query<{ name: string; sql: string }, []>("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
    .all()
    .map(({ name, sql }) => [name, sql.replaceAll(/--.*|"/g, "").replaceAll(/\s+/g, " ")]);

test("a state of version 2 has today's tables afterwards, and lost nothing", () => {
  const database = ofVersion2();
  expect(versionOf(database)).toBe(2);
  const kept = ["accounts", "sessions", "results", "conversations", "messages", "mailbox", "notices"];
  const count = (table: string) => database.query(`SELECT count(*) FROM ${table}`).values();
  const before = kept.map(count);
  const told: number[][] = [];
  prepareDatabase(database, 4000, (from, to) => void told.push([from, to]));
  expect(told).toEqual([[2, stateVersion]]);
  expect(versionOf(database)).toBe(stateVersion);
  const fresh = new Database(":memory:");
  prepareDatabase(fresh, 4000);
  expect(schemaOf(database)).toEqual(schemaOf(fresh));
  expect(kept.map(count)).toEqual(before);
  expect(database.query("PRAGMA foreign_keys").values()).toEqual([[1]]);
  expect(database.query("PRAGMA foreign_key_check").values()).toEqual([]);
  expect(database.query("PRAGMA integrity_check").values()).toEqual([["ok"]]);
  const summaries = database.query(
    `SELECT o.name, p.name, s.unread, s.inbox FROM summaries s JOIN conversations c ON c.number = s.conversation
     JOIN accounts o ON o.number = s.owner JOIN accounts p ON p.number = c.low + c.high - s.owner ORDER BY 1, 2`,
  );
  expect(summaries.values()).toEqual([
    ["Bob", "alice", 1, 2],
    ["Bob", "carol", 0, 1],
    ["Bob", "dave", 0, 0],
    ["Zoë", "alice", 0, 1],
    ["alice", "Bob", 0, 1],
    ["alice", "Zoë", 0, 0],
    ["alice", "carol", 0, 0],
    ["dave", "Bob", 1, 0],
  ]);
});

test("the step is told of once, and not for a state that is new or up to date", () => {
  const told: number[] = [];
  const database = new Database(":memory:");
  prepareDatabase(database, 4000, (from) => void told.push(from));
  prepareDatabase(database, 4000, (from) => void told.push(from));
  expect(told).toEqual([]);
});

test("a step that cannot be finished leaves the state as it was, to be tried again", () => {
  const database = ofVersion2();
  database.run("INSERT INTO messages VALUES (9999999, 1, 1, 9999999, 1, 2, 0, 0, 'broken')");
  database.run("PRAGMA foreign_keys = OFF");
  database.run("INSERT INTO mailbox VALUES (424242, 9999999, 0, 0)");
  const before = schemaOf(database);
  expect(() => openChat(database)).toThrow("the step to version 3 leaves no broken reference");
  expect(versionOf(database)).toBe(2);
  expect(schemaOf(database)).toEqual(before);
  database.run("DELETE FROM mailbox WHERE owner = 424242");
  database.run("DELETE FROM messages WHERE number = 9999999");
  const chat = openChat(database);
  expect(chat.applied.index).toBe(40);
  chat.close();
});

test("every table takes part in what is emptied and compared", () => {
  const database = new Database(":memory:");
  prepareDatabase(database, 4000);
  const tables = database.query<{ name: string }, []>("PRAGMA table_list").all();
  // But the index, which is derived from them.
  const own = tables.map(({ name }) => name).filter((name) => !/^(sqlite_|words)/.test(name));
  expect(own.sort()).toEqual([...tableNames].sort());
});
