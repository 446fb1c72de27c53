/**
 * Sessions: their tokens, logins and attachments, and which of their ops have been applied with what result. All are held
 * in memory as well; the tables are the truth. Decides no op.
 *
 * The set of applied seqs of a session is what `applied_ranges` holds and the seqs whose results are kept. So an op in
 * sequence writes one row, its result, and the ranges are brought up to date once in 64 ops, just before a result goes
 * whose seq they lack.
 */
import type { Statement } from "bun:sqlite";
import { limits } from "../base/limits.ts";
import type { Attachment } from "../protocol/state-machine.ts";
import { enter, leave, type Account, type Accounts } from "./accounts.ts";
import type { StoredResult } from "./results.ts";
import { SequenceRanges } from "./sequence-ranges.ts";
import type { Statements } from "./statements.ts";

const kept = limits.sessionWindow;

export interface Session {
  /** The log index of its registration. */
  readonly number: number;
  readonly uuid: string;
  /** In which it was registered. */
  readonly view: number;
  readonly tokenHash: Uint8Array;
  account: Account | null;
  /** The log index of the login; 0 while logged out. */
  login: number;
  readonly createdAt: number;
  /** What its program calls itself; null of a session registered by a build that did not ask. */
  readonly software: string | null;
  /** Null when nobody holds it. */
  attachment: Attachment | null;
  /** The attachment, or the one that ended last: an older one of the same process comes too late. */
  lastAttachment: Attachment;
  /** The log indexes at which the last attachment began, and the one before it. */
  attached: number;
  attachedBefore: number;
  /** As `used_at`. */
  usedAt: number;
  /** As `closed`. */
  closed: number;
  readonly applied: AppliedOps;
}

interface AppliedOps {
  /** As in `applied_ranges`. */
  readonly ranges: SequenceRanges;
  /** By seq modulo 64: the seq whose result is kept, and where. Those not in the ranges yet are all here. */
  readonly seqs: (number | undefined)[];
  readonly numbers: (number | undefined)[];
}

export interface KeptResult extends StoredResult {
  readonly number: number;
  readonly view: number;
  readonly digest: Uint8Array;
}

interface SessionRow {
  number: number;
  uuid: string;
  view: number;
  token_hash: Uint8Array;
  account: number | null;
  login: number | null;
  pid: number;
  incarnation: number;
  attachment: number;
  held: number;
  attached: number;
  attached_before: number;
  used_at: number;
  closed: number;
  expired: number;
  created_at: number;
  software: string | null;
}

interface RangeRow {
  session: number;
  first: number;
  last: number;
}

interface ResultRow {
  number: number;
  session: number;
  seq: number;
}

type Place = { readonly number: number; readonly view: number; readonly at: number };

export class Sessions {
  readonly #byUuid = new Map<string, Session>();
  readonly #expired = new Map<string, Session>();
  readonly #byNumber = new Map<number, Session>();
  readonly #accounts: Accounts;
  readonly #insert: Statement<
    unknown,
    [number, string, number, Uint8Array, number, number, number, number, number, number, string | null]
  >;
  readonly #setAccount: Statement<unknown, [number | null, number | null, number, number]>;
  readonly #setAttachment: Statement<unknown, [number, number, number, number, number, number, number, number]>;
  readonly #touch: Statement<unknown, [number, number]>;
  readonly #close: Statement<unknown, [number, number]>;
  readonly #expire: Statement<unknown, [number]>;
  readonly #deleteRanges: Statement<unknown, [number]>;
  readonly #setRange: Statement<unknown, [number, number, number]>;
  readonly #deleteRange: Statement<unknown, [number, number]>;
  readonly #insertResult: Statement<
    unknown,
    [number, number, number, Uint8Array, number, number, number, string | null]
  >;
  readonly #deleteResult: Statement<unknown, [number]>;
  readonly #result: Statement<KeptResult, [number]>;

  readonly #sessions: Statement<SessionRow, []>;
  readonly #ranges: Statement<RangeRow, []>;
  readonly #results: Statement<ResultRow, []>;

  constructor(statements: Statements, accounts: Accounts) {
    this.#accounts = accounts;
    this.#insert = statements.prepare(
      "INSERT INTO sessions VALUES (?, ?, ?, ?, NULL, NULL, ?, ?, ?, 1, ?, 0, ?, ?, 0, ?, 0)",
    );
    this.#setAccount = statements.prepare("UPDATE sessions SET account = ?, login = ?, used_at = ? WHERE number = ?");
    this.#setAttachment = statements.prepare(
      `UPDATE sessions SET pid = ?, incarnation = ?, attachment = ?, held = ?, attached = ?, attached_before = ?, used_at = ?
       WHERE number = ?`,
    );
    this.#touch = statements.prepare("UPDATE sessions SET used_at = ? WHERE number = ?");
    this.#close = statements.prepare("UPDATE sessions SET closed = ? WHERE number = ?");
    this.#expire = statements.prepare("UPDATE sessions SET expired = 1 WHERE number = ?");
    this.#deleteRanges = statements.prepare("DELETE FROM applied_ranges WHERE session = ?");
    this.#setRange = statements.prepare(
      "INSERT INTO applied_ranges VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET last = excluded.last",
    );
    this.#deleteRange = statements.prepare("DELETE FROM applied_ranges WHERE session = ? AND first = ?");
    this.#insertResult = statements.prepare("INSERT INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
    this.#deleteResult = statements.prepare("DELETE FROM results WHERE number = ?");
    this.#sessions = statements.prepare("SELECT * FROM sessions ORDER BY number");
    this.#ranges = statements.prepare("SELECT session, first, last FROM applied_ranges ORDER BY session, first");
    this.#results = statements.prepare("SELECT number, session, seq FROM results");
    this.#result = statements.prepare("SELECT number, view, digest, kind, value, detail FROM results WHERE number = ?");
  }

  /** Forgets what is in memory and reads the tables anew; after the accounts. */
  load(): void {
    this.#byUuid.clear();
    this.#byNumber.clear();
    this.#expired.clear();
    for (const row of this.#sessions.iterate()) {
      const account = row.account === null ? null : this.#accounts.byNumber(row.account);
      const { uuid, pid, incarnation } = row;
      const lastAttachment: Attachment = { session: uuid, pid, incarnation, number: row.attachment };
      const session: Session = {
        number: row.number,
        uuid,
        view: row.view,
        tokenHash: row.token_hash,
        account,
        login: row.login ?? 0,
        createdAt: row.created_at,
        software: row.software,
        attachment: row.held === 1 ? lastAttachment : null,
        lastAttachment,
        attached: row.attached,
        attachedBefore: row.attached_before,
        usedAt: row.used_at,
        closed: row.closed,
        applied: noOps(),
      };
      if (account !== null) enter(account, session);
      if (row.expired === 1) this.#expired.set(uuid, session);
      else this.#remember(session);
    }
    for (const { session, first, last } of this.#ranges.iterate()) {
      this.#byNumber.get(session)?.applied.ranges.append(first, last);
    }
    for (const { number, session, seq } of this.#results.iterate()) {
      const applied = this.#byNumber.get(session)?.applied;
      if (applied === undefined) continue;
      applied.seqs[seq % kept] = seq;
      applied.numbers[seq % kept] = number;
    }
  }

  /** One that is open. */
  byUuid(uuid: string): Session | null {
    const session = this.retained(uuid);
    return session?.closed === 0 ? session : null;
  }

  /** Also one that is closed: which of its ops were applied is still known. */
  retained(uuid: string): Session | null {
    return this.#byUuid.get(uuid) ?? null;
  }

  /** Also one that has expired: whose op an id names. */
  identified(uuid: string): Session | null {
    return this.retained(uuid) ?? this.#expired.get(uuid) ?? null;
  }

  /** Those that nobody holds and nobody has used since, and those that are closed already, at most so many. */
  idle(before: number, limit: number): string[] {
    const found: string[] = [];
    for (const session of this.#byUuid.values()) {
      if (session.closed === 0 && !isIdle(session, before)) continue;
      found.push(session.uuid);
      if (found.length === limit) break;
    }
    return found;
  }

  /** Takes no ops any more but those that a fork had taken, if it is still idle. */
  close(session: Session, before: number, index: number): void {
    if (!isIdle(session, before)) return;
    session.closed = index;
    this.#close.run(index, session.number);
  }

  /** Forgets all but the uuid. */
  forget(session: Session, at: number): void {
    if (session.account !== null) this.logOut(session, at);
    const { applied, number, uuid } = session;
    for (const result of applied.numbers) if (result !== undefined) this.#deleteResult.run(result);
    this.#deleteRanges.run(number);
    this.#expire.run(number);
    this.#byUuid.delete(uuid);
    this.#byNumber.delete(number);
    this.#expired.set(uuid, { ...session, applied: noOps() });
  }

  /** All attachments, in the order of registration. */
  attachments(): Attachment[] {
    const found: Attachment[] = [];
    for (const { attachment } of this.#byUuid.values()) if (attachment !== null) found.push(attachment);
    return found;
  }

  register(place: Place, tokenHash: Uint8Array, attachment: Attachment, software: string | null): void {
    const { session: uuid, pid, incarnation, number } = attachment;
    const { at } = place;
    this.#insert.run(
      place.number,
      uuid,
      place.view,
      tokenHash,
      pid,
      incarnation,
      number,
      place.number,
      at,
      at,
      software,
    );
    this.#remember({
      number: place.number,
      uuid,
      view: place.view,
      tokenHash: tokenHash.slice(),
      account: null,
      login: 0,
      createdAt: at,
      software,
      attachment,
      lastAttachment: attachment,
      attached: place.number,
      attachedBefore: 0,
      usedAt: at,
      closed: 0,
      applied: noOps(),
    });
  }

  attach(session: Session, place: Place, attachment: Attachment): void {
    session.attachment = attachment;
    session.lastAttachment = attachment;
    session.attachedBefore = session.attached;
    session.attached = place.number;
    this.#writeAttachment(session, place.at);
  }

  detach(session: Session, at: number): void {
    session.attachment = null;
    this.#writeAttachment(session, at);
  }

  logIn(session: Session, account: Account, place: Place): void {
    session.account = account;
    session.login = place.number;
    enter(account, session);
    session.usedAt = place.at;
    this.#setAccount.run(account.number, place.number, place.at, session.number);
  }

  logOut(session: Session, at: number): void {
    const { account } = session;
    if (account !== null) leave(account, session);
    session.account = null;
    session.login = 0;
    session.usedAt = at;
    this.#setAccount.run(null, null, at, session.number);
  }

  /** Whether the op was applied, however long ago. */
  hasApplied({ applied }: Session, seq: number): boolean {
    if (globalThis.mistaken?.("dedup by highest seq")) return applied.seqs.some((applied = 0) => applied >= seq);
    return applied.seqs[seq % kept] === seq || applied.ranges.has(seq);
  }

  /** Null when the op was not applied, or so many ops ago that its result has gone. */
  resultOf({ applied }: Session, seq: number): KeptResult | null {
    const slot = seq % kept;
    const number = applied.numbers[slot];
    return number === undefined || applied.seqs[slot] !== seq ? null : this.#result.get(number);
  }

  /** Notes that an op was applied for the first time, and its result. */
  record(session: Session, seq: number, digest: Uint8Array, place: Place, result: StoredResult): void {
    const { applied } = session;
    const slot = seq % kept;
    const held = applied.seqs[slot] ?? 0;
    if (held > seq) {
      // From a fork, and 64 ops or more behind: nobody waits for it any more.
      this.#writeRanges(session, place.at, [seq]);
      return;
    }
    if (held !== 0) {
      if (!applied.ranges.has(held)) this.#writeRanges(session, place.at, []);
      this.#deleteResult.run(applied.numbers[slot] ?? 0);
    }
    const { number, view } = place;
    this.#insertResult.run(number, session.number, seq, digest, view, result.kind, result.value, result.detail);
    applied.seqs[slot] = seq;
    applied.numbers[slot] = number;
  }

  /** Of all whose results are kept, and of others. */
  #writeRanges(session: Session, at: number, others: readonly number[]): void {
    const { ranges, seqs } = session.applied;
    const changed = new Set<number>();
    for (const seq of [...seqs, ...others]) if (seq !== undefined) ranges.add(seq, (first) => changed.add(first));
    for (const first of changed) {
      const last = ranges.lastOf(first);
      if (last === null) this.#deleteRange.run(session.number, first);
      else this.#setRange.run(session.number, first, last);
    }
    session.usedAt = at;
    this.#touch.run(at, session.number);
  }

  #writeAttachment(session: Session, at: number): void {
    const { number, attachment, lastAttachment: last, attached, attachedBefore } = session;
    session.usedAt = at;
    const held = attachment === null ? 0 : 1;
    this.#setAttachment.run(last.pid, last.incarnation, last.number, held, attached, attachedBefore, at, number);
  }

  #remember(session: Session): void {
    this.#byUuid.set(session.uuid, session);
    this.#byNumber.set(session.number, session);
  }
}

/** Of a uuid, as much as names a session unless two of an account begin alike. */
export const sessionNameCharactersMin = 8;

/** For each the shortest beginning of its uuid that no other one has, but for `sessionNameCharactersMin`. */
export function namesOf(sessions: readonly Session[]): ReadonlyMap<Session, string> {
  const sorted = sessions.toSorted((one, other) => (one.uuid < other.uuid ? -1 : 1));
  const common = (one = "", other = ""): number => {
    let length = 0;
    while (length < one.length && one[length] === other[length]) length++;
    return length;
  };
  return new Map(
    sorted.map((session, at) => {
      const { uuid } = session;
      const shared = Math.max(common(uuid, sorted[at - 1]?.uuid), common(uuid, sorted[at + 1]?.uuid));
      return [session, uuid.slice(0, Math.max(sessionNameCharactersMin, shared + 1))];
    }),
  );
}

const noOps = (): AppliedOps => ({ ranges: new SequenceRanges(), seqs: [], numbers: [] });

const isIdle = ({ attachment, usedAt }: Session, before: number): boolean => attachment === null && usedAt < before;
