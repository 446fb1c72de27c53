/**
 * The chat as a deterministic state machine on SQLite: what accounts, sessions and messages mean. Implements
 * `lib/protocol/state-machine.ts`.
 *
 * A newcomer's map of the folder: `apply.ts` and the `*-ops.ts` say what each command does, `prepare.ts` what is checked
 * before it gets there, `queries.ts` what can be asked; `accounts`, `sessions`, `messages`, `summaries`, `drafts`, `notices`
 * and `erasure` own the tables of `schema.ts`, which `database.ts` opens and `migrations.ts` brings up to date; `names`,
 * `pattern`, `results` and `sequence-ranges` are pure. May import `protocol` and `base` only; the
 * database handle is handed in. No clock, no randomness but password salts, no file, no socket.
 */
import type { Database, Statement } from "bun:sqlite";
import { assert, AssertionError } from "../base/assert.ts";
import { decodeCommand } from "../protocol/codec.ts";
import type { OpEntry } from "../protocol/entries.ts";
import type { ClientOp, Push, QueryReply, Refusal } from "../protocol/messages.ts";
import type {
  Applied,
  Attachment,
  CommittedEntry,
  OpResult,
  Prepared,
  SessionRecord,
  StateMachine,
} from "../protocol/state-machine.ts";
import { accountsHeldMaxDefault } from "./accounts.ts";
import { Applier, isSystemSession } from "./apply.ts";
import { emptyDatabase, prepareDatabase } from "./database.ts";
import { digestOf } from "./digest.ts";
import { Passwords, type PasswordHasher } from "./passwords.ts";
import { Preparer } from "./prepare.ts";
import { answer, type ChatQuery } from "./queries.ts";
import { replyTo } from "./replies.ts";
import { forgottenResult, isOverruled, loadFinding, requestDigest, reusedId } from "./results.ts";
import { StateStorageError } from "./schema.ts";
import type { Session } from "./sessions.ts";
import { Statements } from "./statements.ts";
import { Stores } from "./stores.ts";

export { snapshotRefusal } from "./database.ts";
export { StateFormatError, StateStorageError } from "./schema.ts";

/** The state machine, and what tests and the simulator ask of it besides. */
export interface Chat extends StateMachine {
  /** SHA-256 over every row of every table, in hexadecimal: equal on all replicas that have applied the same log. */
  digest(): string;
}

export interface ChatOptions {
  /**
   * SQLite copies its write-ahead log into the database after about so many pages of 4 KiB (4000 when left out), within
   * `apply`; 0: somebody else does, on another thread and connection.
   */
  readonly checkpointPages?: number;
  /** Told before the state of an older build is brought up to date, which takes its time: seconds for a million messages. */
  readonly migrating?: (from: number, to: number) => void;
  /** What makes and compares password hashes: argon2id on the runtime's threads when left out. */
  readonly passwordHasher?: PasswordHasher;
  /** About so many accounts are held in memory beside those that are logged in; 8192 when left out. */
  readonly accountsHeldMax?: number;
}

/**
 * Opens the state in a database, new or not; it becomes the owner of the handle and closes it.
 * The state of an older chatd is brought up to date. Throws `StateFormatError` when the database is of a newer one or
 * not one of chatd, `StateStorageError` when it cannot be read.
 */
export function openChat(database: Database, options: ChatOptions = {}): Chat {
  return guarded("open", () => {
    prepareDatabase(database, options.checkpointPages ?? 4000, options.migrating);
    return new SqliteChat(database, options);
  });
}

interface PointRow {
  number: number;
  view: number;
  chain: Uint8Array;
  settled: number;
  clock: number;
}

interface Point {
  readonly index: number;
  readonly view: number;
  readonly chain: bigint;
}

class SqliteChat implements Chat {
  readonly #database: Database;
  readonly #parts: Parts;
  #applied: Point;
  #clock: number;

  constructor(database: Database, options: ChatOptions) {
    this.#database = database;
    this.#parts = new Parts(database, options);
    ({ point: this.#applied, clock: this.#clock } = this.#parts.load());
  }

  get clock(): number {
    return this.#clock;
  }

  get applied(): Point {
    return this.#applied;
  }

  apply(entries: readonly CommittedEntry[]): Applied {
    const last = entries.at(-1);
    if (last === undefined) return { outcomes: [], deliveries: [] };
    const { applier, stores, begin, commit, setPoint } = this.#parts;
    return guarded("apply entries to", () => {
      try {
        begin.run();
        let index = this.#applied.index;
        let clock = this.#clock;
        for (const entry of entries) {
          assert(entry.index === index + 1, `entries are applied in order: ${entry.index} does not follow ${index}`);
          applier.apply(entry);
          stores.accounts.trim();
          index = entry.index;
          clock = Math.max(clock, entry.op?.at ?? 0);
        }
        setPoint.run(last.index, last.view, bytesOf(last.chain), stores.messages.settled, clock);
        commit.run();
        this.#clock = clock;
      } catch (error) {
        this.#rollBack();
        throw error;
      }
      this.#applied = { index: last.index, view: last.view, chain: last.chain };
      return applier.take();
    });
  }

  reset(): void {
    guarded("empty", () => {
      emptyDatabase(this.#database);
      ({ point: this.#applied, clock: this.#clock } = this.#parts.load());
    });
  }

  close(): void {
    this.#parts.statements.finalize();
    this.#database.close();
  }

  session(session: string): SessionRecord | null {
    const known = this.#parts.stores.sessions.byUuid(session);
    return known === null ? null : recordOf(known);
  }

  hasApplied(session: string, seq: number): boolean {
    if (isSystemSession(session)) return true;
    const known = this.#parts.stores.sessions.retained(session);
    return known !== null && (seq === 0 || this.#parts.stores.sessions.hasApplied(known, seq));
  }

  hasMerged(op: OpEntry): boolean {
    // Nobody waits for a refusal that has left the lineage. In front of what was done when the op was asked for again it would
    // take the place of that, and the ops behind it would be refused for want of it.
    return this.#isDone(op) || decodeCommand(op.command).type === "refuse";
  }

  #isDone(op: OpEntry): boolean {
    if (!this.hasApplied(op.session, op.seq)) return false;
    const { sessions } = this.#parts.stores;
    const known = sessions.retained(op.session);
    // A log holds it as it was accepted first; in the lineage it gets another time.
    return known === null || !isOverruled(sessions.resultOf(known, op.seq), { ...op, at: Infinity });
  }

  result(session: string, seq: number, request?: ClientOp): OpResult | null {
    const { stores } = this.#parts;
    const known = stores.sessions.byUuid(session);
    if (known === null) return null;
    if (seq === 0) return { type: "done", index: known.number, view: known.view, duplicate: true, count: 0 };
    if (!stores.sessions.hasApplied(known, seq)) return null;
    const kept = stores.sessions.resultOf(known, seq);
    if (kept === null) return forgottenResult;
    if (request !== undefined && Buffer.compare(kept.digest, requestDigest(request)) !== 0) return reusedId;
    return replyTo(stores, loadFinding(kept), { session, seq }, kept.number, kept.view, true);
  }

  contentDigest(request: ClientOp): Uint8Array {
    return requestDigest(request);
  }

  prepare(request: ClientOp, session: SessionRecord): Promise<Prepared> {
    const { preparer, stores } = this.#parts;
    stores.accounts.trim();
    return preparer.prepare(request, session);
  }

  query(request: ChatQuery, session: SessionRecord | null): QueryReply | Refusal {
    const { stores } = this.#parts;
    const id = session?.account ?? null;
    return answer(stores, request, id === null ? null : stores.accounts.byId(id), session?.session ?? null);
  }

  waiting(session: SessionRecord): { readonly inbox: number; readonly drafts: number } {
    const { accounts, queries, drafts } = this.#parts.stores;
    const account = session.account === null ? null : accounts.byId(session.account);
    if (account === null) return { inbox: 0, drafts: 0 };
    return { inbox: queries.inboxCount(account.number), drafts: drafts.count(account) };
  }

  /**
   * Besides messages, the notices since the attachment before this one began, as nobody can tell whether they arrived;
   * those beyond the last message of a full page come with the next one.
   */
  missed({ session }: SessionRecord, afterIndex: number, limit: number): readonly Push[] {
    const { sessions, queries, notices } = this.#parts.stores;
    const known = sessions.byUuid(session);
    if (known === null || known.account === null) return [];
    const after = Math.max(afterIndex, known.login);
    const messages = queries.delivered(known.account.number, after, limit);
    const last = messages.length < limit ? Number.MAX_SAFE_INTEGER : (messages.at(-1)?.index ?? 0);
    const told = notices.between(known.account, Math.max(after, known.attachedBefore), last);
    return [
      ...messages.map((message) => ({ index: message.index, push: { type: "message", message } as const })),
      ...told.map(({ number, text }) => ({ index: number, push: { type: "notice", text } as const })),
    ]
      .sort((one, other) => one.index - other.index)
      .map(({ push }) => push);
  }

  attachments(): readonly Attachment[] {
    return this.#parts.stores.sessions.attachments();
  }

  idleSessions(before: number, limit: number): readonly string[] {
    return this.#parts.stores.sessions.idle(before, limit);
  }

  digest(): string {
    return digestOf(this.#database);
  }

  /** Leaves memory as the tables are. */
  #rollBack(): void {
    const { applier } = this.#parts;
    applier.take();
    if (!this.#database.inTransaction) return;
    this.#database.run("ROLLBACK");
    ({ point: this.#applied, clock: this.#clock } = this.#parts.load());
  }
}

/** Everything that stands on the tables. */
class Parts {
  readonly statements: Statements;
  readonly stores: Stores;
  readonly applier: Applier;
  readonly preparer: Preparer;
  readonly begin: Statement<unknown, []>;
  readonly commit: Statement<unknown, []>;
  readonly setPoint: Statement<unknown, [number, number, Uint8Array, number, number]>;
  readonly #point: Statement<PointRow, []>;

  constructor(database: Database, { passwordHasher, accountsHeldMax = accountsHeldMaxDefault }: ChatOptions) {
    const statements = new Statements(database);
    this.statements = statements;
    this.stores = new Stores(statements, accountsHeldMax);
    this.applier = new Applier(this.stores);
    this.preparer = new Preparer(this.stores, new Passwords(passwordHasher));
    this.begin = statements.prepare("BEGIN IMMEDIATE");
    this.commit = statements.prepare("COMMIT");
    this.setPoint = statements.prepare("UPDATE point SET number = ?, view = ?, chain = ?, settled = ?, clock = ?");
    this.#point = statements.prepare("SELECT number, view, chain, settled, clock FROM point");
  }

  load(): { readonly point: Point; readonly clock: number } {
    const point = this.#point.get();
    assert(point !== null, "the state has an applied point");
    this.stores.load(point.settled);
    const { buffer, byteOffset } = point.chain;
    const chain = new DataView(buffer, byteOffset).getBigUint64(0);
    return { point: { index: point.number, view: point.view, chain }, clock: point.clock };
  }
}

function recordOf({ uuid, tokenHash, account, attachment, attachedBefore }: Session): SessionRecord {
  const [id, user] = [account?.id ?? null, account?.name ?? null];
  return { session: uuid, tokenHash, account: id, user, attachment, isResumed: attachedBefore > 0 };
}

function bytesOf(chain: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, chain);
  return bytes;
}

/** SQLite's own errors leave with what could not be done. */
function guarded<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof AssertionError || !isSqliteError(error)) throw error;
    throw new StateStorageError(`cannot ${what} the state: ${error.message}`, { cause: error });
  }
}

const isSqliteError = (error: unknown): error is Error => error instanceof Error && error.name === "SQLiteError";
