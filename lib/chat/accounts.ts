/**
 * Accounts: who has which name. The tables are the truth; those that are logged in, and those used of late, are held in memory
 * as well, as every op needs some: there may be a great many of which few write at a time.
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
  /** The sessions logged in to it; changed by {@link enter} and {@link leave} alone. */
  sessions: ReadonlySet<Session>;
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

/** Accounts that nobody is logged in to are held in memory up to about so many. */
export const accountsHeldMaxDefault = 8_192;

export class Accounts {
  /** Those in memory, and by what they are looked up. */
  readonly #byNumber = new Map<number, Account>();
  readonly #byId = new Map<string, Account>();
  readonly #byFold = new Map<string, Account>();
  /** All there are, by number: few have lost a name in a merge. */
  readonly #byFormerFold = new Map<string, readonly number[]>();
  readonly #heldMax: number;
  /** When more are held than this, it is time to look which may go. */
  #full: number;
  readonly #insert: Statement<unknown, [number, string, number, string, string, string | null, string, number]>;
  readonly #setPassword: Statement<unknown, [string, string, number, number, number]>;
  readonly #sawLast: Statement<unknown, [number, number]>;
  readonly #bury: Statement<unknown, [number]>;
  readonly #nameOf: Statement<{ name: string }, [string, number]>;
  readonly #passwordHash: Statement<{ password_hash: string }, [number]>;
  readonly #renamed: Statement<{ number: number; former_fold: string }, []>;
  readonly #findByNumber: Statement<AccountRow, [number]>;
  readonly #findById: Statement<AccountRow, [string, number]>;
  readonly #findByFold: Statement<AccountRow, [string]>;

  constructor(statements: Statements, heldMax: number) {
    this.#heldMax = heldMax;
    this.#full = heldMax;
    this.#insert = statements.prepare("INSERT INTO accounts VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL, NULL)");
    this.#setPassword = statements.prepare(
      `UPDATE accounts SET password_hash = ?, password_session = ?, password_seq = ?, password_at = ? WHERE number = ?`,
    );
    this.#sawLast = statements.prepare("UPDATE accounts SET last_seen_at = ? WHERE number = ?");
    this.#bury = statements.prepare(
      `UPDATE accounts SET fold = NULL, former_fold = NULL, password_hash = NULL, password_session = NULL,
         password_seq = NULL, password_at = NULL, last_seen_at = NULL WHERE number = ?`,
    );
    this.#nameOf = statements.prepare("SELECT name FROM accounts WHERE session = ? AND seq = ?");
    this.#passwordHash = statements.prepare("SELECT password_hash FROM accounts WHERE number = ?");
    this.#renamed = statements.prepare(
      "SELECT number, former_fold FROM accounts WHERE former_fold IS NOT NULL ORDER BY number",
    );
    const living = `SELECT number, session, seq, name, fold, former_fold, created_at, password_session, password_seq,
      password_at, last_seen_at FROM accounts`;
    this.#findByNumber = statements.prepare(`${living} WHERE number = ? AND fold IS NOT NULL`);
    this.#findById = statements.prepare(`${living} WHERE session = ? AND seq = ? AND fold IS NOT NULL`);
    this.#findByFold = statements.prepare(`${living} WHERE fold = ?`);
  }

  /** Forgets what is in memory, for the tables have changed. */
  load(): void {
    for (const map of [this.#byId, this.#byFold, this.#byFormerFold, this.#byNumber]) map.clear();
    this.#full = this.#heldMax;
    for (const { number, former_fold: fold } of this.#renamed.all()) this.#noteFormer(fold, number);
  }

  /** To be called between two ops: nobody may hold an account that is not logged in longer than that. */
  trim(): void {
    if (this.#byNumber.size <= this.#full) return;
    let idle = 0;
    for (const { sessions } of this.#byNumber.values()) if (sessions.size === 0) idle++;
    // The longest held first.
    for (const account of this.#byNumber.values()) {
      if (2 * idle <= this.#heldMax) break;
      if (account.sessions.size > 0) continue;
      this.#drop(account);
      idle--;
    }
    this.#full = this.#byNumber.size + this.#heldMax - idle;
  }

  byId(id: OpId): Account | null {
    return this.#byId.get(keyOf(id)) ?? this.#hold(this.#findById.get(id.session, id.seq));
  }

  byNumber(number: number): Account | null {
    return this.#byNumber.get(number) ?? this.#hold(this.#findByNumber.get(number));
  }

  /** The holder of a name, whatever its case. */
  byName(name: string): Account | null {
    return this.#withFold(foldName(name));
  }

  /** Who may sign in under a name: its holder first, then those who lost it in a merge, the older ones first. */
  signingInAs(name: string): readonly Account[] {
    const fold = foldName(name);
    const former = this.#byFormerFold.get(fold) ?? [];
    return [this.#withFold(fold), ...former.map((number) => this.byNumber(number))].filter((each) => each !== null);
  }

  /** The name of an account living or dead, if anything of it is left. */
  nameOf(id: OpId): string | null {
    return this.#byId.get(keyOf(id))?.name ?? this.#nameOf.get(id.session, id.seq)?.name ?? null;
  }

  /** The first free one of `name~2`, `name~3` …. */
  freeNameLike(name: string): string {
    for (let n = 2; ; n++) {
      const candidate = suffixedName(name, n);
      if (this.byName(candidate) === null) return candidate;
    }
  }

  /** The name must be free. */
  create(number: number, id: OpId, name: string, askedFor: string, passwordHash: string, at: number): Account {
    const formerFold = askedFor === name ? null : foldName(askedFor);
    const fold = foldName(name);
    this.#insert.run(number, id.session, id.seq, name, fold, formerFold, passwordHash, at);
    if (formerFold !== null) this.#noteFormer(formerFold, number);
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

  /** In the table only. */
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
    const { number, formerFold } = account;
    this.#bury.run(number);
    this.#drop(account);
    if (formerFold === null) return;
    const others = (this.#byFormerFold.get(formerFold) ?? []).filter((other) => other !== number);
    if (others.length === 0) this.#byFormerFold.delete(formerFold);
    else this.#byFormerFold.set(formerFold, others);
  }

  #withFold(fold: string): Account | null {
    return this.#byFold.get(fold) ?? this.#hold(this.#findByFold.get(fold));
  }

  #hold(row: AccountRow | null): Account | null {
    if (row === null) return null;
    // By another key than it was looked for: it is held already.
    const held = this.#byNumber.get(row.number);
    if (held !== undefined) return held;
    const id = { session: row.session, seq: row.seq };
    const { password_session: session, password_seq: seq, password_at: at } = row;
    const account: Account = {
      number: row.number,
      id,
      name: row.name,
      fold: row.fold,
      formerFold: row.former_fold,
      passwordOp: session === null || seq === null ? id : { session, seq },
      passwordAt: at ?? row.created_at,
      lastSeenAt: row.last_seen_at,
      sessions: none,
      conversations: null,
    };
    this.#remember(account);
    return account;
  }

  #remember(account: Account): void {
    this.#byNumber.set(account.number, account);
    this.#byId.set(keyOf(account.id), account);
    this.#byFold.set(account.fold, account);
  }

  #drop({ number, id, fold }: Account): void {
    this.#byNumber.delete(number);
    this.#byId.delete(keyOf(id));
    this.#byFold.delete(fold);
  }

  #noteFormer(fold: string, number: number): void {
    this.#byFormerFold.set(fold, [...(this.#byFormerFold.get(fold) ?? []), number]);
  }
}

/** Whether messages reach the account live; otherwise they go to its inbox. */
export function isPresent({ sessions }: Account): boolean {
  for (const { attachment } of sessions) if (attachment !== null) return true;
  return false;
}

/** What most accounts have: one set for all of them. */
const none: ReadonlySet<Session> = new Set();

/** The session is logged in to the account. Both take no longer for an account with very many sessions. */
export function enter(account: Account, session: Session): void {
  if (account.sessions === none) account.sessions = new Set([session]);
  else (account.sessions as Set<Session>).add(session);
}

export function leave(account: Account, session: Session): void {
  if (account.sessions === none) return;
  (account.sessions as Set<Session>).delete(session);
  if (account.sessions.size === 0) account.sessions = none;
}

const keyOf = (id: OpId): string => `${id.session}/${id.seq}`;
