/**
 * The chat in a few maps, as the model that the tables are tested against: the same commands, the obvious data
 * structures, no batches, no tail, no erasure in steps.
 */
import { formatOpId } from "../protocol/ids.ts";
import type { OpId } from "../protocol/messages.ts";

export interface Expected {
  readonly type: string;
  readonly code?: string;
  readonly user?: string;
  readonly count?: number;
  readonly inbox?: number;
  readonly drafts?: number;
  readonly draft?: OpId;
  readonly id?: OpId;
  readonly texts?: readonly string[];
}

export interface ModelAccount {
  readonly id: OpId;
  readonly name: string;
  /** The op that set the password, and when it was first accepted. */
  password: OpId;
  passwordAt: number;
  lastSeenAt: number | null;
  wasPresent: boolean;
}

interface ModelSession {
  account: ModelAccount | null;
  /** The log index of the login. */
  login: number;
  attached: boolean;
  /** `copies`: when each copy of it was first accepted that came to this. */
  readonly applied: Map<
    number,
    { readonly content: string; readonly expected: Expected; readonly copies: readonly number[] }
  >;
}

export interface ModelMessage {
  readonly id: OpId;
  readonly text: string;
  readonly owners: Map<ModelAccount, { inbox: boolean; read: boolean }>;
  readonly index: number;
  /** To sessions, and not to the inbox. */
  delivered: boolean;
  /** It has been in the inbox, then or later. */
  stored: boolean;
  readonly sender: ModelAccount;
  readonly recipient: ModelAccount;
}

/** A conversation as an account sees it in the overview. */
export interface ModelSummary {
  readonly user: string;
  readonly unread: number;
  readonly inbox: number;
  readonly last: number;
}

/** An op being applied, and where. */
interface Place {
  readonly id: OpId;
  readonly index: number;
  readonly merged: boolean;
}

interface ModelDraft {
  readonly id: OpId;
  readonly version: OpId;
  readonly owner: ModelAccount;
  readonly to: ModelAccount | null;
  readonly text: string;
}

const refused = (code: string): Expected => ({ type: "refused", code });

export class Model {
  readonly sessions = new Map<string, ModelSession>();
  readonly accounts = new Map<string, ModelAccount>();
  readonly messages: ModelMessage[] = [];
  /** The one saved last comes last. */
  drafts: ModelDraft[] = [];
  /** Also of sessions that are forgotten: their ids still name what they have made. */
  readonly known = new Set<string>();
  /** Versions that became messages. */
  readonly sentDrafts = new Set<string>();

  register(session: string): void {
    this.known.add(session);
    this.sessions.set(session, { account: null, login: 0, attached: true, applied: new Map() });
  }

  forget(session: string): void {
    this.sessions.delete(session);
  }

  attached(session: string, attached: boolean): void {
    this.#session(session).attached = attached;
  }

  /** The session is gone, and what it was sent above index `seen` has not arrived. */
  detached(session: string, seen: number): void {
    const { account, login } = this.#session(session);
    this.attached(session, false);
    const present = [...this.sessions.values()].filter((other) => other.account === account && other.attached);
    for (const message of this.messages) {
      const state = account === null ? undefined : message.owners.get(account);
      if (state === undefined || message.sender === account || !message.delivered || state.read) continue;
      if (message.index <= Math.max(seen, login)) continue;
      if (present.some((other) => other.login <= message.index)) continue;
      state.inbox = true;
      message.delivered = false;
      message.stored = true;
    }
  }

  /** What the op must come to; `content` stands for its digest, `at` is when it was first accepted. */
  apply(
    { session, seq }: OpId,
    content: string,
    { at, merged }: { readonly at: number; readonly merged: boolean },
    effect: (own: ModelSession) => Expected,
  ): Expected {
    const own = this.#session(session);
    const known = own.applied.get(seq);
    if (known !== undefined) {
      const newer = [...own.applied.keys()].some((other) => other > seq && other % 64 === seq % 64);
      if (newer) return refused("unknown");
      if (known.content !== content) return refused("bad-command");
      // Asked for again on another side, and done there.
      const isOverruled = merged && known.expected.type === "refused" && !known.copies.includes(at);
      if (!isOverruled) return known.expected;
    }
    const expected = effect(own);
    own.applied.set(seq, { content, expected, copies: [...(known?.copies ?? []), at] });
    return expected;
  }

  create(id: OpId, user: string, merged: boolean, at: number): Expected {
    let name = user;
    if (this.#holder(user) !== undefined) {
      if (!merged) return refused("name-taken");
      for (let n = 2; this.#holder(name) !== undefined; n++) name = `${user}~${n}`;
    }
    this.accounts.set(formatOpId(id), { id, name, password: id, passwordAt: at, lastSeenAt: null, wasPresent: false });
    return { type: "created", user: name };
  }

  login(own: ModelSession, id: OpId, password: OpId, index: number): Expected {
    if (own.account !== null) return refused("already-logged-in");
    const account = this.accounts.get(formatOpId(id));
    if (account === undefined) return refused("no-such-user");
    if (formatOpId(password) !== formatOpId(account.password)) return refused("wrong-password");
    own.account = account;
    own.login = index;
    return {
      type: "loggedIn",
      user: account.name,
      inbox: this.inbox(account).length,
      drafts: this.draftsOf(account).length,
    };
  }

  logout(own: ModelSession): Expected {
    if (own.account === null) return refused("not-logged-in");
    own.account = null;
    return { type: "done" };
  }

  deleteAccount(id: OpId): Expected {
    const account = this.accounts.get(formatOpId(id));
    if (account === undefined) return refused("not-logged-in");
    this.accounts.delete(formatOpId(id));
    for (const session of this.sessions.values()) if (session.account === account) session.account = null;
    for (const message of this.messages) message.owners.delete(account);
    this.drafts = this.drafts.filter(({ owner }) => owner !== account);
    return { type: "done" };
  }

  /** `seen` is null when an operator does it. */
  setPassword(own: ModelSession, op: OpId, id: OpId, seen: OpId | null, at: number, merged: boolean): Expected {
    const account = this.accounts.get(formatOpId(id));
    if (account === undefined) return refused(seen === null ? "no-such-user" : "not-logged-in");
    if (seen !== null && !merged && formatOpId(seen) !== formatOpId(account.password)) return refused("wrong-password");
    if (merged && at < account.passwordAt) return { type: "done", count: 0 };
    account.password = op;
    account.passwordAt = at;
    return this.#end(account, (session) => seen === null || session !== own);
  }

  endSessions(id: OpId, sessions: readonly string[]): Expected {
    const account = this.accounts.get(formatOpId(id));
    if (account === undefined) return refused("not-logged-in");
    const ended = new Set(sessions.map((session) => this.sessions.get(session)));
    return this.#end(account, (session) => ended.has(session));
  }

  /** Who is logged in, by what the session is called. */
  loggedIn(account: ModelAccount): string[] {
    return [...this.sessions].flatMap(([session, own]) => (own.account === account ? [session] : []));
  }

  #end(account: ModelAccount, isMeant: (session: ModelSession) => boolean): Expected {
    const ended = [...this.sessions.values()].filter((session) => session.account === account && isMeant(session));
    for (const session of ended) session.account = null;
    return { type: "done", count: ended.length };
  }

  saveDraft(id: OpId, owner: OpId, seen: OpId | null, to: OpId | null, text: string): Expected {
    const account = this.accounts.get(formatOpId(owner));
    if (account === undefined) return refused("not-logged-in");
    const recipient = to === null ? null : (this.accounts.get(formatOpId(to)) ?? null);
    if (recipient === account) return refused("to-self");
    const before = seen === null ? undefined : this.#draft(account, seen);
    const draft = before?.id ?? id;
    if (this.sentDrafts.has(formatOpId(id))) return { type: "draftSaved", draft };
    this.drafts = this.drafts.filter((each) => each !== before);
    this.drafts.push({ id: draft, version: id, owner: account, to: recipient, text });
    return { type: "draftSaved", draft };
  }

  sendDraft({ id, index, merged }: Place, version: OpId, from: OpId, to: OpId, text: string): Expected {
    const sender = this.accounts.get(formatOpId(from));
    if (sender === undefined) return refused("not-logged-in");
    if (this.sentDrafts.has(formatOpId(version))) return { type: "sent", id: version };
    const draft = this.#draft(sender, version);
    const isKnown = this.known.has(version.session);
    if (!isKnown || version.seq === 0 || (draft === undefined && !merged)) return refused("no-such-draft");
    // Two messages never have one id.
    const isUnused = this.sessions.get(version.session)?.applied.has(version.seq) === false;
    const message = isUnused ? id : version;
    if (this.#exists(message)) return refused("no-such-draft");
    const sent = this.send({ id: message, index, merged }, from, to, text);
    if (sent.type !== "sent") return sent;
    this.sentDrafts.add(formatOpId(version));
    this.drafts = this.drafts.filter((each) => each !== draft);
    return { type: "sent", id: message };
  }

  deleteDrafts(owner: OpId, versions: readonly OpId[]): Expected {
    const account = this.accounts.get(formatOpId(owner));
    if (account === undefined) return refused("not-logged-in");
    const gone = new Set(versions.map((version) => this.#draft(account, version)));
    const before = this.drafts.length;
    this.drafts = this.drafts.filter((draft) => !gone.has(draft));
    return { type: "done", count: before - this.drafts.length };
  }

  /** As they are listed: the one saved last first, without recipients that are gone. */
  draftsOf(account: ModelAccount): string[] {
    const living = new Set(this.accounts.values());
    const own = this.drafts.filter(({ owner }) => owner === account);
    return own.map(({ to, text }) => `${to !== null && living.has(to) ? to.name : ""}: ${text}`).reverse();
  }

  send({ id, index, merged }: Place, from: OpId, to: OpId, text: string): Expected {
    const [sender, recipient] = [this.accounts.get(formatOpId(from)), this.accounts.get(formatOpId(to))];
    if (sender === undefined) return refused("not-logged-in");
    if (recipient === undefined) return refused("no-such-user");
    if (sender === recipient) return refused("to-self");
    if (merged && this.#exists(id)) return refused("bad-command");
    const delivered = this.isPresent(recipient);
    const owners = new Map([
      [sender, { inbox: false, read: true }],
      [recipient, { inbox: !delivered, read: false }],
    ]);
    this.messages.push({ id, text, owners, sender, recipient, index, delivered, stored: !delivered });
    return { type: "sent" };
  }

  open(owner: OpId, ids: readonly OpId[]): Expected {
    const account = this.accounts.get(formatOpId(owner));
    if (account === undefined) return refused("not-logged-in");
    const texts: string[] = [];
    for (const id of ids) {
      const message = this.#find(id);
      const state = message?.owners.get(account);
      if (message === undefined || state?.inbox !== true) continue;
      state.inbox = false;
      texts.push(message.text);
    }
    return { type: "opened", texts };
  }

  mark(owner: OpId, ids: readonly OpId[], read: boolean, merged: boolean): Expected {
    return this.#each(owner, ids, merged, (account, message) => {
      const state = message.owners.get(account);
      if (state === undefined || message.sender === account || state.read === read) return false;
      state.read = read;
      return true;
    });
  }

  deleteMessages(owner: OpId, ids: readonly OpId[], merged: boolean): Expected {
    return this.#each(owner, ids, merged, (account, message) => message.owners.delete(account));
  }

  /** To be called after every entry, with its time. */
  look(at: number): void {
    for (const account of this.accounts.values()) {
      const isPresent = this.isPresent(account);
      if (account.wasPresent && !isPresent) account.lastSeenAt = at;
      account.wasPresent = isPresent;
    }
  }

  presence(account: ModelAccount): { user: string; online: boolean; lastSeenAt: number | null } {
    const online = this.isPresent(account);
    return { user: account.name, online, lastSeenAt: online ? null : account.lastSeenAt };
  }

  isPresent(account: ModelAccount): boolean {
    return [...this.sessions.values()].some((session) => session.account === account && session.attached);
  }

  inbox(account: ModelAccount): string[] {
    return this.messages.filter(({ owners }) => owners.get(account)?.inbox === true).map(({ text }) => text);
  }

  /** Newest first, a mark behind what is read. */
  page(account: ModelAccount): string[] {
    const seen = this.messages.flatMap(({ owners, text }) => {
      const state = owners.get(account);
      return state === undefined || state.inbox ? [] : [state.read ? `${text} read` : text];
    });
    return seen.reverse();
  }

  /** Those in which something waits first, then the latest first. */
  conversations(account: ModelAccount): ModelSummary[] {
    const found = new Map<ModelAccount, ModelSummary>();
    for (const { owners, sender, recipient, index } of this.messages) {
      const state = owners.get(account);
      if (state === undefined) continue;
      const other = sender === account ? recipient : sender;
      const { unread, inbox } = found.get(other) ?? { unread: 0, inbox: 0 };
      found.set(other, {
        user: other.name,
        unread: unread + (state.inbox || state.read ? 0 : 1),
        inbox: inbox + (state.inbox ? 1 : 0),
        last: index,
      });
    }
    const waits = ({ unread, inbox }: ModelSummary): number => (unread + inbox > 0 ? 1 : 0);
    return [...found.values()].sort((one, other) => waits(other) - waits(one) || other.last - one.last);
  }

  /** The indexes of the messages that hold a word, newest first. */
  search(account: ModelAccount, word: string): number[] {
    const found = this.messages.filter(({ owners, text }) => {
      const state = owners.get(account);
      return state !== undefined && !state.inbox && text.split(/[^a-z0-9]+/).includes(word);
    });
    return found.map(({ index }) => index).reverse();
  }

  /** `change` says whether it was one. */
  #each(
    owner: OpId,
    ids: readonly OpId[],
    merged: boolean,
    change: (account: ModelAccount, message: ModelMessage) => boolean,
  ): Expected {
    const account = this.accounts.get(formatOpId(owner));
    if (account === undefined) return refused("not-logged-in");
    const messages = new Set<ModelMessage>();
    for (const id of ids) {
      const message = this.#find(id);
      if (message?.owners.has(account) === true) messages.add(message);
      else if (!merged) return refused("no-such-message");
    }
    return { type: "done", count: [...messages].filter((message) => change(account, message)).length };
  }

  #draft(account: ModelAccount, version: OpId): ModelDraft | undefined {
    return this.drafts.find((each) => each.owner === account && formatOpId(each.version) === formatOpId(version));
  }

  /** Somebody has a message with this id. */
  #exists(id: OpId): boolean {
    return this.messages.some((message) => message.owners.size > 0 && formatOpId(message.id) === formatOpId(id));
  }

  #find(id: OpId): ModelMessage | undefined {
    return this.messages.find((message) => formatOpId(message.id) === formatOpId(id));
  }

  #holder(name: string): ModelAccount | undefined {
    return [...this.accounts.values()].find((account) => account.name.toLowerCase() === name.toLowerCase());
  }

  #session(session: string): ModelSession {
    const own = this.sessions.get(session);
    if (own === undefined) throw new Error(`the model knows session ${session}`);
    return own;
  }
}
