/**
 * Holds the real chat against the model in a few maps: the same log, and then everything that an account can see: who
 * exists under which name, who is there and was seen when, what is in its inbox, what it has received and read, and its drafts.
 */
import { limits } from "../base/limits.ts";
import { decodeCommand } from "../protocol/codec.ts";
import type { Command } from "../protocol/commands.ts";
import { formatOpId } from "../protocol/ids.ts";
import type { OpId } from "../protocol/messages.ts";
import type { Attachment, CommittedEntry, StateMachine } from "../protocol/state-machine.ts";
import { Model, type Expected, type ModelAccount } from "./chat-model.ts";
import { SimulationFailure } from "./failure.ts";

/** Throws at the first difference. */
export function judgeChat(inner: StateMachine, { model }: Replay): void {
  const listed = accountsIn(inner);
  const expected = [...model.accounts.values()].map((account) => JSON.stringify(model.presence(account))).sort();
  same("accounts", listed.sort(), expected);
  for (const account of model.accounts.values()) {
    const record = {
      session: account.id.session,
      tokenHash: new Uint8Array(32),
      account: account.id,
      user: account.name,
      attachment: null,
      isResumed: false,
    };
    same(`inbox of ${account.name}`, [inner.waiting(record).inbox], [model.inbox(account).length]);
    const drafts = inner.query({ type: "drafts", request: 1 }, record);
    const written = drafts.type === "draftList" ? drafts.drafts.map(({ to, text }) => `${to}: ${text}`) : [drafts.type];
    same(`drafts of ${account.name}`, written, model.draftsOf(account).slice(0, limits.draftListMax));
    const sessions = inner.query({ type: "sessions", request: 1 }, record);
    const names = sessions.type === "sessionList" ? sessions.sessions.map(({ session }) => session) : [sessions.type];
    const loggedIn = model.loggedIn(account).map((uuid) => names.find((name) => uuid.startsWith(name)) ?? uuid);
    same(`sessions of ${account.name}`, names.sort(), loggedIn.sort());
    const page = { type: "messages", request: 1, with: null, before: null, limit: 200, unread: false } as const;
    const reply = inner.query(page, record);
    const texts =
      reply.type === "messageList" ? reply.messages.map(({ text, read }) => line(text, read)) : [reply.type];
    same(`messages of ${account.name}`, texts, model.page(account).slice(0, 200));
    const overview = inner.query({ type: "conversations", request: 1, after: null, limit: 200 }, record);
    const summaries =
      overview.type === "conversationList"
        ? overview.conversations.map(({ user, unread, inbox, last }) =>
            JSON.stringify([user, unread, inbox, last.index]),
          )
        : [overview.type];
    const counted = model.conversations(account).map((each) => JSON.stringify(Object.values(each)));
    same(`conversations of ${account.name}`, summaries, counted);
    const wanted = { type: "search", request: 1, text: searchedWord, with: null, skip: 0, limit: 200 } as const;
    const results = inner.query(wanted, record);
    const found =
      results.type === "searchResults"
        ? results.messages.map(({ index }) => index).sort((one, other) => other - one)
        : [results.type];
    same(`results of a search by ${account.name}`, found, model.search(account, searchedWord).slice(0, 200));
  }
}

/** Stands in some of the messages. */
const searchedWord = "7";

const line = (text: string, read: boolean): string => (read ? `${text} read` : text);

/** All accounts there are, page by page. */
function accountsIn(chat: StateMachine): string[] {
  const accounts: string[] = [];
  for (let after: string | null = null; ;) {
    const reply = chat.query({ type: "accounts", request: 1, pattern: null, after, limit: 200 }, null);
    if (reply.type !== "accountList") throw new SimulationFailure("chat", `the accounts are answered by ${reply.type}`);
    for (const account of reply.accounts) accounts.push(JSON.stringify(account));
    after = reply.accounts.at(-1)?.user ?? null;
    if (!reply.more || after === null) return accounts;
  }
}

/** What the model says of a log. */
export interface Replay {
  readonly model: Model;
  /** What each op of a client came to, by `session/seq`, and where. */
  readonly outcomes: ReadonlyMap<string, { readonly expected: Expected; readonly index: number }>;
  /** For each session: since which index and until which it was logged in to which account; the last may last. */
  readonly logins: ReadonlyMap<string, readonly Login[]>;
}

export interface Login {
  readonly account: ModelAccount;
  readonly since: number;
  until: number;
}

/** What was applied, and what a state made of it. */
export interface Judged {
  readonly entries: readonly CommittedEntry[];
  /** What was refused because its session was not known, or closed. */
  readonly strangers: ReadonlySet<CommittedEntry>;
  /** At which index each session was closed, and forgotten. */
  readonly closed: ReadonlyMap<string, number>;
  readonly forgotten: ReadonlyMap<string, number>;
}

export function replay({ entries, strangers, closed, forgotten }: Judged): Replay {
  const model = new Model();
  const holders = new Holders(model);
  const outcomes = new Map<string, { readonly expected: Expected; readonly index: number }>();
  const logins = new Map<string, Login[]>();
  for (const entry of entries) {
    const { op, index } = entry;
    if (op === null || strangers.has(entry)) continue;
    const command = decodeCommand(op.command);
    const merged = op.origAt !== op.at;
    if (command.type === "attach" || command.type === "detach") {
      holders.apply(command, op.at);
    } else if (command.type === "expire") {
      for (const session of command.sessions) {
        if (closed.get(session) === index) holders.close(session, command.before);
        if (forgotten.get(session) === index) model.forget(session);
      }
    } else if (command.type === "registerSession" || command.type === "openSession") {
      holders.register(op.session, command, op.at, merged);
    } else if (model.sessions.has(op.session)) {
      const id = { session: op.session, seq: op.seq };
      const expected = model.apply(id, op.digest.toHex(), { at: op.origAt, merged }, (own) =>
        effect(model, id, command, own, { index, at: op.origAt, merged }),
      );
      const before = outcomes.get(formatOpId(id))?.expected.type ?? "refused";
      const isRedone = expected.type !== "refused" && before === "refused";
      if (isRedone || !outcomes.has(formatOpId(id))) outcomes.set(formatOpId(id), { expected, index });
      noteLogins(logins, model, index);
    }
    model.look(op.at);
  }
  return { model, outcomes, logins };
}

function noteLogins(logins: Map<string, Login[]>, model: Model, index: number): void {
  for (const [session, { account }] of model.sessions) {
    const last = logins.get(session)?.at(-1);
    const current = last !== undefined && last.until === Infinity ? last.account : null;
    if (current === account) continue;
    if (last !== undefined && current !== null) last.until = index;
    if (account === null) continue;
    const login = { account, since: index, until: Infinity };
    const own = logins.get(session);
    if (own === undefined) logins.set(session, [login]);
    else own.push(login);
  }
}

/** Which attachment of a session is the one that counts. */
class Holders {
  readonly #last = new Map<string, Attached>();
  readonly #held = new Set<string>();
  readonly #usedAt = new Map<string, number>();
  readonly #closed = new Set<string>();

  constructor(private readonly model: Model) {}

  register(session: string, attachment: Omit<Attached, "session">, at: number, merged: boolean): void {
    if (this.model.sessions.has(session)) {
      if (!merged) this.#attach({ ...attachment, session }, at);
      return;
    }
    this.model.register(session);
    this.#last.set(session, { ...attachment, session });
    this.#usedAt.set(session, at);
    this.#held.add(session);
  }

  apply(
    command: Attached & ({ readonly type: "attach" } | { readonly type: "detach"; readonly seen: number }),
    at: number,
  ): void {
    const { session } = command;
    if (!this.model.sessions.has(session)) return;
    if (command.type === "attach") return this.#attach(command, at);
    const last = this.#last.get(session);
    if (!this.#held.has(session) || last === undefined || !isSame(last, command)) return;
    this.#held.delete(session);
    this.#usedAt.set(session, at);
    this.model.detached(session, command.seen);
  }

  /** It may be later than told here that a session was used last, not earlier. */
  close(session: string, before: number): void {
    const usedAt = this.#usedAt.get(session) ?? Infinity;
    this.#closed.add(session);
    if (!this.#held.has(session) && usedAt < before) return;
    throw new SimulationFailure("chat", `session ${session} has expired, although held or used at ${usedAt}`);
  }

  #attach(attachment: Attached, at: number): void {
    const { session, pid, incarnation, number } = attachment;
    if (this.#closed.has(session)) return;
    const last = this.#last.get(session);
    // One that the same process has replaced or ended already comes too late.
    if (last !== undefined && last.pid === pid && last.incarnation === incarnation && last.number >= number) return;
    this.#last.set(session, attachment);
    this.#usedAt.set(session, at);
    this.#held.add(session);
    this.model.attached(session, true);
  }
}

type Attached = Pick<Attachment, "session" | "pid" | "incarnation" | "number">;

const isSame = (one: Attached, other: Attached): boolean =>
  one.pid === other.pid && one.incarnation === other.incarnation && one.number === other.number;

type Own = Parameters<Model["logout"]>[0];

/** What the simulated clients ask for, as the model does it. */
function effect(
  model: Model,
  id: OpId,
  command: Command,
  own: Own,
  { index, at, merged }: { readonly index: number; readonly at: number; readonly merged: boolean },
): Expected {
  switch (command.type) {
    case "createAccount":
      return model.create(id, command.user, merged, at);
    case "signIn":
      return model.login(own, command.account, command.credential, index);
    case "changePassword":
      return model.setPassword(own, id, command.account, command.credential, at, merged);
    case "resetPassword":
      return model.setPassword(own, id, command.account, null, at, merged);
    case "endSessions":
      return model.endSessions(command.account, command.sessions);
    case "logout":
      return model.logout(own);
    case "deleteAccount":
      return model.deleteAccount(command.account);
    case "send":
      return model.send({ id, index, merged }, command.from, command.to, command.text);
    case "open":
      return model.open(command.account, command.ids);
    case "mark":
      return model.mark(command.account, command.ids, command.read, merged);
    case "deleteMessages":
      return model.deleteMessages(command.account, command.ids, merged);
    case "saveDraft":
      return model.saveDraft(id, command.account, command.version, command.to, command.text);
    case "sendDraft":
      return model.sendDraft({ id, index, merged }, command.version, command.from, command.to, command.text);
    case "deleteDrafts":
      return model.deleteDrafts(command.account, command.versions);
    case "refuse":
      return { type: "refused", code: command.code };
    default:
      throw new SimulationFailure("simulator", `the model knows no ${command.type} (${formatOpId(id)})`);
  }
}

function same(what: string, found: readonly unknown[], expected: readonly unknown[]): void {
  const at = expected.findIndex((each, index) => each !== found[index]);
  if (at < 0 && found.length === expected.length) return;
  const place = at < 0 ? expected.length : at;
  throw new SimulationFailure(
    "chat",
    `${what}: the state has ${found.length}, the model ${expected.length}; at ${place} ` +
      `${JSON.stringify(found[place])} instead of ${JSON.stringify(expected[place])}`,
  );
}
