/**
 * Drafts that accounts keep on the server, and which of them were sent. Decides no op.
 *
 * A draft has an id, that of the op that made it, and a *version*, the id of the op that saved what it holds now. Versions
 * are what commands name: so an op that comes from another side of a partition says what its author saw. A message that
 * was a draft has the version as its id, and `sent_drafts` remembers the version for as long as the account is there: no
 * version becomes a message twice, whoever has deleted the message meanwhile.
 */
import type { Statement } from "bun:sqlite";
import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import type { OpId } from "../protocol/messages.ts";
import type { Account } from "./accounts.ts";
import type { Sessions } from "./sessions.ts";
import type { Statements } from "./statements.ts";

export interface Draft {
  /** The log index of the op that saved it last. */
  readonly number: number;
  readonly id: OpId;
  readonly version: OpId;
  /** The number of an account, which may be gone; null when none is chosen. */
  readonly recipient: number | null;
  readonly at: number;
  readonly text: string;
}

interface DraftRow {
  number: number;
  session: string;
  seq: number;
  version_session: string;
  version_seq: number;
  recipient: number | null;
  at: number;
  text: string;
}

const rows = `SELECT d.number, s.uuid AS session, d.seq, v.uuid AS version_session, d.version_seq, d.recipient, d.at, d.text
  FROM drafts d CROSS JOIN sessions s ON s.number = d.session CROSS JOIN sessions v ON v.number = d.version_session`;

export class Drafts {
  readonly #sessions: Sessions;
  readonly #insert: Statement<unknown, [number, number, number, number, number, number, number | null, number, string]>;
  readonly #delete: Statement<unknown, [number, number]>;
  readonly #byId: Statement<DraftRow, [number, number, number]>;
  readonly #byVersion: Statement<DraftRow, [number, number, number]>;
  readonly #newest: Statement<DraftRow, [number, number]>;
  readonly #count: Statement<{ count: number }, [number]>;
  readonly #insertSent: Statement<unknown, [number, number, number, number]>;
  readonly #sent: Statement<{ at: number }, [number, number, number]>;
  readonly #deleting: readonly Statement<unknown, [number]>[];

  constructor(statements: Statements, sessions: Sessions) {
    this.#sessions = sessions;
    this.#insert = statements.prepare("INSERT INTO drafts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
    this.#delete = statements.prepare("DELETE FROM drafts WHERE owner = ? AND number = ?");
    this.#byId = statements.prepare(`${rows} WHERE d.session = ? AND d.seq = ? AND d.owner = ?`);
    this.#byVersion = statements.prepare(`${rows} WHERE d.version_session = ? AND d.version_seq = ? AND d.owner = ?`);
    this.#newest = statements.prepare(`${rows} WHERE d.owner = ? ORDER BY d.number DESC LIMIT ?`);
    this.#count = statements.prepare("SELECT count(*) AS count FROM drafts WHERE owner = ?");
    this.#insertSent = statements.prepare("INSERT INTO sent_drafts VALUES (?, ?, ?, ?)");
    this.#sent = statements.prepare("SELECT at FROM sent_drafts WHERE owner = ? AND session = ? AND seq = ?");
    this.#deleting = ["drafts", "sent_drafts"].map((table) =>
      statements.prepare<unknown, [number]>(`DELETE FROM ${table} WHERE owner = ?`),
    );
  }

  byId(owner: Account, id: OpId): Draft | null {
    return this.#find(this.#byId, owner, id);
  }

  byVersion(owner: Account, version: OpId): Draft | null {
    return this.#find(this.#byVersion, owner, version);
  }

  count(owner: Account): number {
    return this.#count.get(owner.number)?.count ?? 0;
  }

  /** The one saved last comes first. After a merge there may be more than are listed: the oldest are left out. */
  list(owner: Account): Draft[] {
    return this.#newest.all(owner.number, limits.draftListMax).map(draftOf);
  }

  /** Takes the place of `before`, if that is given. The sessions of its id and version must be known. */
  save(owner: Account, { number, id, version, recipient, at, text }: Draft, before: Draft | null): void {
    const [made, saved] = [this.#numberOf(id), this.#numberOf(version)];
    if (before !== null) this.delete(owner, before);
    this.#insert.run(owner.number, number, made, id.seq, saved, version.seq, recipient, at, text);
  }

  delete(owner: Account, { number }: Draft): void {
    this.#delete.run(owner.number, number);
  }

  /** Notes that this version has become a message. */
  noteSent(owner: Account, version: OpId, at: number): void {
    this.#insertSent.run(owner.number, this.#numberOf(version), version.seq, at);
  }

  /** When this version became a message; null when it has not. */
  sentAt(owner: Account, { session, seq }: OpId): number | null {
    const saved = this.#sessions.identified(session);
    return saved === null ? null : (this.#sent.get(owner.number, saved.number, seq)?.at ?? null);
  }

  deleteAll(owner: Account): void {
    for (const statement of this.#deleting) statement.run(owner.number);
  }

  #numberOf({ session }: OpId): number {
    const known = this.#sessions.identified(session);
    assert(known !== null, "a draft is saved by a session that is known");
    return known.number;
  }

  #find(
    statement: Statement<DraftRow, [number, number, number]>,
    owner: Account,
    { session, seq }: OpId,
  ): Draft | null {
    const known = this.#sessions.identified(session);
    const row = known === null ? null : statement.get(known.number, seq, owner.number);
    return row === null ? null : draftOf(row);
  }
}

const draftOf = (row: DraftRow): Draft => ({
  number: row.number,
  id: { session: row.session, seq: row.seq },
  version: { session: row.version_session, seq: row.version_seq },
  recipient: row.recipient,
  at: row.at,
  text: row.text,
});
