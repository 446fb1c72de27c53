/**
 * Accounts: who has which name. Living ones are held in memory as well, without their passwords, as every op needs them; the
 * tables are the truth.
 * Decides no op: whoever calls has decided.
 */
import type { Statement } from "bun:sqlite";
import { assert } from "../base/assert.ts";
import type { OpId } from "../protocol/messages.ts";
import { foldName, suffixedName } from "./names.ts";
import type { Session } from "./sessions.ts";
import type { Statements } from "./statements.ts";

/** A living account. */
export interface Account {
  /** The log index of its creation. */
  readonly number: number;
  readonly id: OpId;
  readonly name: string;
  readonly fold: string;
  /** The name it asked for and did not get in a merge, folded. */
  readonly formerFold: string | null;
  /** The op that set the password: the account's own, or a change. */
  passwordOp: OpId;
  /** When that op was first accepted. */
  passwordAt: number;
  /** When its last session left; null when none has yet. */
  lastSeenAt: number | null;
  /** The sessions logged in to it, in the order of their logins. */
  sessions: readonly Session[];
  /** Conversations by the other's number, as far as they have been needed; most accounts never need any. */
  conversations: Map<number, number> | null;
}

interface AccountRow {
  number: number;
  session: string;
  seq: number;
  name: string;
  fold: string;
  former_fold: string | null;
  created_at: number;
  password_session: string | null;
  password_seq: number | null;
  password_at: number | null;
  last_seen_at: number | null;
}

export class Accounts {
  readonly #byId = new Map<string, Account>();
  readonly #byFold = new Map<string, Account>();
  readonly #byFormerFold = new Map<string, Account[]>();
  readonly #byNumber = new Map<number, Account>();
  readonly #insert: Statement<unknown, [number, string, number, string, string, string | null, string, number]>;
  readonly #setPassword: Statement<unknown, [string, string, number, number, number]>;
  readonly #sawLast: Statement<unknown, [number, number]>;
  readonly #bury: Statement<unknown, [number]>;
  readonly #nameOfBuried: Statement<{ name: string }, [string, number]>;
  readonly #passwordHash: Statement<{ password_hash: string }, [number]>;
  readonly #living: Statement<AccountRow, []>;

  constructor(statements: Statements) {
    this.#insert = statements.prepare("INSERT INTO accounts VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL, NULL)");
    this.#setPassword = statements.prepare(
      `UPDATE accounts SET password_hash = ?, password_session = ?, password_seq = ?, password_at = ? WHERE number = ?`,
    );
    this.#sawLast = statements.prepare("UPDATE accounts SET last_seen_at = ? WHERE number = ?");
    this.#bury = statements.prepare(
      `UPDATE accounts SET fold = NULL, former_fold = NULL, password_hash = NULL, password_session = NULL,
         password_seq = NULL, password_at = NULL, last_seen_at = NULL WHERE number = ?`,
    );
    this.#nameOfBuried = statements.prepare("SELECT name FROM accounts WHERE session = ? AND seq = ?");
    this.#passwordHash = statements.prepare("SELECT password_hash FROM accounts WHERE number = ?");
    this.#living = statements.prepare(
      `SELECT number, session, seq, name, fold, former_fold, created_at, password_session, password_seq, password_at,
         last_seen_at FROM accounts WHERE fold IS NOT NULL ORDER BY number`,
    );
  }

  /** Forgets what is in memory and reads the tables anew. */
  load(): void {
    for (const map of [this.#byId, this.#byFold, this.#byFormerFold, this.#byNumber]) map.clear();
    for (const row of this.#living.iterate()) {
      const id = { session: row.session, seq: row.seq };
      const { password_session: session, password_seq: seq, password_at: at } = row;
      this.#remember({
        number: row.number,
        id,
        name: row.name,
        // Mostly they are equal: one text of them.
        fold: row.fold === row.name ? row.name : row.fold,
        formerFold: row.former_fold,
        passwordOp: session === null || seq === null ? id : { session, seq },
        passwordAt: at ?? row.created_at,
        lastSeenAt: row.last_seen_at,
        sessions: none,
        conversations: null,
      });
    }
  }

  byId(id: OpId): Account | null {
    return this.#byId.get(keyOf(id)) ?? null;
  }

  byNumber(number: number): Account | null {
    return this.#byNumber.get(number) ?? null;
  }

  /** The holder of a name, whatever its case. */
  byName(name: string): Account | null {
    return this.#byFold.get(foldName(name)) ?? null;
  }

  /** Who may sign in under a name: its holder first, then those who lost it in a merge, the older ones first. */
  signingInAs(name: string): readonly Account[] {
    const fold = foldName(name);
    const holder = this.#byFold.get(fold);
    const former = this.#byFormerFold.get(fold) ?? [];
    return holder === undefined ? former : [holder, ...former];
  }

  /** The name of an account living or dead, if anything of it is left. */
  nameOf(id: OpId): string | null {
    return this.byId(id)?.name ?? this.#nameOfBuried.get(id.session, id.seq)?.name ?? null;
  }

  /** The first free one of `name~2`, `name~3` …. */
  freeNameLike(name: string): string {
    for (let n = 2; ; n++) {
      const candidate = suffixedName(name, n);
      if (!this.#byFold.has(foldName(candidate))) return candidate;
    }
  }

  /** The name must be free. */
  create(number: number, id: OpId, name: string, askedFor: string, passwordHash: string, at: number): Account {
    const formerFold = askedFor === name ? null : foldName(askedFor);
    const fold = foldName(name);
    this.#insert.run(number, id.session, id.seq, name, fold, formerFold, passwordHash, at);
    const account: Account = {
      number,
      id,
      name,
      fold,
      formerFold,
      passwordOp: id,
      passwordAt: at,
      lastSeenAt: null,
      sessions: none,
      conversations: null,
    };
    this.#remember(account);
    return account;
  }

  /** Only in the table: there may be many accounts, and few sign in at a time. */
  passwordHashOf(account: Account): string {
    const row = this.#passwordHash.get(account.number);
    assert(row !== null, "a living account has a password");
    return row.password_hash;
  }

  /** `op` sets it, and was first accepted at `at`. */
  setPassword(account: Account, op: OpId, passwordHash: string, at: number): void {
    this.#setPassword.run(passwordHash, op.session, op.seq, at, account.number);
    account.passwordOp = op;
    account.passwordAt = at;
  }

  /** Its last session has left. */
  sawLast(account: Account, at: number): void {
    this.#sawLast.run(at, account.number);
    account.lastSeenAt = at;
  }

  /** Makes the name free and forgets the password; the row stays for those who have messages with it. */
  bury(account: Account): void {
    this.#bury.run(account.number);
    this.#byId.delete(keyOf(account.id));
    this.#byFold.delete(account.fold);
    this.#byNumber.delete(account.number);
    if (account.formerFold === null) return;
    const others = (this.#byFormerFold.get(account.formerFold) ?? []).filter((other) => other !== account);
    if (others.length === 0) this.#byFormerFold.delete(account.formerFold);
    else this.#byFormerFold.set(account.formerFold, others);
  }

  #remember(account: Account): void {
    this.#byId.set(keyOf(account.id), account);
    this.#byFold.set(account.fold, account);
    this.#byNumber.set(account.number, account);
    if (account.formerFold === null) return;
    this.#byFormerFold.set(account.formerFold, [...(this.#byFormerFold.get(account.formerFold) ?? []), account]);
  }
}

/** Whether messages reach the account live; otherwise they go to its inbox. */
export const isPresent = ({ sessions }: Account): boolean => sessions.some(({ attachment }) => attachment !== null);

/** What most accounts have. */
const none: readonly Session[] = [];

const keyOf = (id: OpId): string => `${id.session}/${id.seq}`;
