/** What is received of another's state is judged before it takes the place of the own one: real files, a real worker. */
import { Database } from "bun:sqlite";
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StateReport } from "../protocol/state-files.ts";
import { memoryState } from "../sim/state-stores.ts";
import { openStateFiles } from "./state-files.ts";

const folder = mkdtempSync(join(tmpdir(), "chatd-state-files-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function databaseAt(path: string, version: number): void {
  const database = new Database(path);
  database.run("CREATE TABLE point (number INTEGER)");
  database.run("PRAGMA application_id = 77");
  database.run(`PRAGMA user_version = ${version}`);
  database.close();
}

test("says of a snapshot whether it is the one of that name, and whether this build can read it", async () => {
  const [own, theirs] = [join(folder, "state.sqlite"), join(folder, "theirs.sqlite")];
  databaseAt(own, 1);
  databaseAt(theirs, 9);
  const bytes = readFileSync(theirs);
  const said: string[] = [];
  const openNothing = () => memoryState(false).stateMachine;
  let told = Promise.withResolvers<StateReport>();
  const files = openStateFiles({
    ...{ path: own, openState: openNothing, openNothing, replace: () => {} },
    refusal: ({ version, application }) => (version > 8 ? `${application} has version ${version}` : null),
    report: (report) => told.resolve(report),
    failed: (error) => told.reject(error),
    log: (level, message) => void said.push(`${level}: ${message}`),
  });
  const received = (sent: Uint8Array, check: number): Promise<StateReport> => {
    told = Promise.withResolvers<StateReport>();
    const position = { index: 5, view: 257, chain: 1n };
    const sha256 = new Uint8Array(new Bun.CryptoHasher("sha256").update(bytes).digest());
    files.run({ type: "receive" });
    files.run({ type: "write", offset: 0, bytes: sent });
    files.run({ type: "finish", snapshot: { position, sizeBytes: bytes.length, sha256 }, check });
    return told.promise;
  };
  expect(await received(bytes, 1)).toEqual({ type: "finished", check: 1, verdict: "unreadable" });
  expect(said).toEqual(["error: cannot go on with the state of another replica: 77 has version 9"]);
  const older = Buffer.from(bytes);
  older.writeUInt32BE(8, 60);
  expect(await received(older, 2)).toEqual({ type: "finished", check: 2, verdict: "different" });
  bytes.writeUInt32BE(8, 60);
  expect(await received(bytes, 3)).toEqual({ type: "finished", check: 3, verdict: "whole" });
  await files.stop();
});

test("a sync that is ordered while another state is put in place comes after that", async () => {
  const own = join(folder, "replaced.sqlite");
  const database = new Database(own);
  for (const sql of ["PRAGMA journal_mode = WAL", "CREATE TABLE point (number INTEGER)"]) database.run(sql);
  const theirs = join(folder, "successor.sqlite");
  databaseAt(theirs, 1);
  const opened: Database[] = [];
  const reports: string[] = [];
  const done = Promise.withResolvers<void>();
  const files = openStateFiles({
    path: own,
    openState: () => {
      const successor = new Database(own);
      successor.run("PRAGMA journal_mode = WAL");
      successor.run("CREATE TABLE more (number INTEGER)");
      opened.push(successor);
      return memoryState(false).stateMachine;
    },
    openNothing: () => memoryState(false).stateMachine,
    replace: () => database.close(),
    refusal: () => null,
    report: ({ type }) => {
      reports.push(type);
      if (type === "synced") done.resolve();
    },
    failed: (error) => done.reject(error),
    log: () => {},
  });
  const bytes = readFileSync(theirs);
  files.run({ type: "receive" });
  files.run({ type: "write", offset: 0, bytes });
  files.run({ type: "install" });
  files.run({ type: "sync" });
  await done.promise;
  expect(reports).toEqual(["installed", "synced"]);
  await files.stop();
  for (const each of opened) each.close();
});
