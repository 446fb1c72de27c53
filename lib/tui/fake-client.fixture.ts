/**
 * A `ChatClient` in memory for tests of the screens: accounts, an inbox, and a connection that a test can cut and mend.
 * Answers like the server does, as far as the screens can see; holds back everything while it is cut.
 */
import type {
  Answers,
  ChatClient,
  ClientEvent,
  ConnectionState,
  OpRequest,
  QueryRequest,
  Refused,
} from "../client/types.ts";
import type { ChatMessage, ErrorCode } from "../protocol/messages.ts";

/** What a test can make happen. Plain data, so that it can be sent to another process. */
export type Happening =
  | { readonly do: "message"; readonly from: string; readonly text: string }
  | { readonly do: "lose" }
  | { readonly do: "find"; readonly replica: number; readonly afterMs: number; readonly copies: number }
  | { readonly do: "offline"; readonly reason: string }
  | { readonly do: "presence"; readonly user: string; readonly online: boolean; readonly lastSeenAt: number | null }
  | { readonly do: "notice"; readonly text: string }
  | { readonly do: "log-out"; readonly reason: string }
  | { readonly do: "close"; readonly reason: string }
  | { readonly do: "throw" };

export interface FakeAccount {
  password: string;
  online: boolean;
  lastSeenAt: number | null;
  inbox: ChatMessage[];
  messages: ChatMessage[];
  drafts: Draft[];
  sessions: Session[];
}

type Draft = Answers["drafts"]["drafts"][number];
type Session = Answers["sessions"]["sessions"][number];

type Request = OpRequest | QueryRequest;
type Reply = Answers[keyof Answers] | Refused;

const session = "00000000-0000-4000-8000-000000000000";
const replicas = [1, 2, 3];

export class FakeClient implements ChatClient {
  readonly accounts = new Map<string, FakeAccount>();
  /** Every request in the order of asking. */
  readonly asked: Request[] = [];
  connection: ConnectionState = { state: "connecting", tried: [] };
  user: string | null = null;
  readonly key = null;
  readonly position = { index: 0, view: 0 };
  readonly #listeners = new Set<(event: ClientEvent) => void>();
  #waiting: { readonly request: Request; readonly resolve: (reply: Reply) => void; reject(error: Error): void }[] = [];
  #index = 100;
  #replica = 1;
  #copies = 3;

  constructor(accounts: Readonly<Record<string, string>> = {}) {
    for (const [user, password] of Object.entries(accounts)) this.addAccount(user, password);
    this.#connect("connected", 1, 3, 0);
  }

  get outstanding(): number {
    return this.#waiting.length;
  }

  addAccount(user: string, password: string): FakeAccount {
    const account: FakeAccount = {
      password,
      online: false,
      lastSeenAt: null,
      inbox: [],
      messages: [],
      drafts: [],
      sessions: [],
    };
    this.accounts.set(user, account);
    return account;
  }

  on(listener: (event: ClientEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  request<T extends keyof Answers>(request: Request & { type: T }): Promise<Answers[T] | Refused> {
    this.asked.push(request);
    if (this.connection.state === "closed") return Promise.reject(new Error("the client is closed"));
    return new Promise<Reply>((resolve, reject) => {
      this.#waiting.push({ request, resolve, reject });
      setImmediate(() => this.#answerAll());
    }) as Promise<Answers[T] | Refused>;
  }

  async close(): Promise<void> {
    this.#end("closed by the user");
  }

  happen(happening: Happening): void {
    switch (happening.do) {
      case "message": {
        const message = this.message(happening.from, this.user ?? "", happening.text);
        this.accounts.get(message.to)?.messages.push(message);
        return this.#emit({ type: "message", message });
      }
      case "lose":
        return this.#set({ state: "connecting", tried: [] });
      case "find":
        return this.#connect("reconnected", happening.replica, happening.copies, happening.afterMs);
      case "offline":
        return this.#set({ state: "offline", reason: happening.reason, lost: this.outstanding });
      case "presence": {
        const { user, online, lastSeenAt } = happening;
        const account = this.accounts.get(user);
        if (account !== undefined) Object.assign(account, { online, lastSeenAt });
        return this.#emit({ type: "presence", user, online, lastSeenAt });
      }
      case "notice":
        return this.#emit({ type: "notice", text: happening.text });
      case "log-out":
        this.user = null;
        return this.#emit({ type: "logged-out", reason: happening.reason });
      case "close":
        return this.#end(happening.reason);
      case "throw":
        setImmediate(() => {
          throw new Error("thrown on purpose");
        });
        return;
    }
  }

  message(from: string, to: string, text: string): ChatMessage {
    this.#index += 1;
    const id = { session, seq: this.#index };
    return { id, index: this.#index, from, to, text, at: Date.now(), read: false, inbox: false };
  }

  get #up(): boolean {
    return this.connection.state === "connected" || this.connection.state === "reconnected";
  }

  #connect(state: "connected" | "reconnected", replica: number, copies: number, afterMs: number): void {
    this.#replica = replica;
    this.#copies = copies;
    const address = `127.0.0.1:${replica}538`;
    this.#set({ state, address, replica, primary: replica, view: "3.1", copies, provisional: false, afterMs });
    this.#answerAll();
  }

  #set(connection: ConnectionState): void {
    this.connection = connection;
    this.#emit({ type: "connection", connection });
  }

  #end(reason: string): void {
    if (this.connection.state === "closed") return;
    this.#set({ state: "closed", reason });
    for (const waiting of this.#waiting.splice(0)) waiting.reject(new Error("the client is closed"));
  }

  #emit(event: ClientEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  #answerAll(): void {
    if (!this.#up) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { request, resolve } of waiting) resolve(this.#answer(request));
  }

  #answer(request: Request): Reply {
    const op = { request: 0, index: this.#index, view: 769, copies: this.#copies, duplicate: false };
    const own = this.user === null ? undefined : this.accounts.get(this.user);
    switch (request.type) {
      case "createAccount": {
        if (this.#find(request.user) !== null) return refused("name-taken", `${request.user} is taken.`);
        this.addAccount(request.user, request.password);
        return { type: "created", ...op, user: request.user };
      }
      case "login": {
        const user = this.#find(request.user) ?? this.#find(`${request.user}~2`);
        const account = user === null ? undefined : this.accounts.get(user);
        if (user === null || account === undefined)
          return refused("no-such-user", `There is no account named ${request.user}.`);
        if (account.password !== request.password) return refused("wrong-password", "Wrong password.");
        this.user = user;
        account.online = true;
        return { type: "loggedIn", ...op, user, inbox: account.inbox.length, drafts: account.drafts.length };
      }
      case "accounts": {
        const pattern = new Bun.Glob((request.pattern ?? "*").toLowerCase());
        const users = [...this.accounts.keys()].sort().filter((user) => pattern.match(user.toLowerCase()));
        const from = users.filter((user) => request.after === null || user > request.after);
        const page = from.slice(0, request.limit);
        const accounts = page.map((user) => ({
          user,
          online: this.accounts.get(user)?.online ?? false,
          lastSeenAt: this.accounts.get(user)?.lastSeenAt ?? null,
        }));
        return { type: "accountList", request: 0, accounts, more: from.length > page.length };
      }
      case "status": {
        const rows = replicas.map((pid) => ({
          pid,
          address: `127.0.0.1:${pid}538`,
          role: pid === this.#replica ? ("primary" as const) : ("backup" as const),
          index: this.#index,
          commit: this.#index,
          lag: 0,
          connections: pid,
        }));
        const placement = {
          replica: this.#replica,
          ready: true,
          primary: this.#replica,
          view: 769,
          policy: "available" as const,
        };
        return {
          type: "statusReport",
          request: 0,
          ...placement,
          provisional: false,
          copies: this.#copies,
          replicas: rows,
        };
      }
      default:
        return own === undefined || this.user === null
          ? refused("not-logged-in", "Log in first.")
          : this.#answerUser(request, op, this.user, own);
    }
  }

  #answerUser(request: Request, op: Omit<Answers["logout"], "type" | "count">, user: string, own: FakeAccount): Reply {
    switch (request.type) {
      case "send": {
        const to = this.#find(request.to);
        if (to === null) return refused("no-such-user", `There is no account named ${request.to}.`);
        if (to === user) return refused("to-self", "Nobody sends to themselves.");
        const message = this.message(user, to, request.text);
        own.messages.push(message);
        this.accounts.get(to)?.inbox.push({ ...message, inbox: true });
        return { type: "sent", ...op, index: message.index, id: message.id, at: message.at };
      }
      case "mark": {
        const marked = new Set(request.ids.map(({ seq }) => seq));
        const mark = (message: ChatMessage): ChatMessage =>
          marked.has(message.id.seq) ? { ...message, read: request.read } : message;
        own.messages = own.messages.map(mark);
        return { type: "done", ...op, count: request.ids.length };
      }
      case "deleteMessages": {
        const deleted = new Set(request.ids.map(({ seq }) => seq));
        own.messages = own.messages.filter(({ id }) => !deleted.has(id.seq));
        return { type: "done", ...op, count: request.ids.length };
      }
      case "inbox":
        return { type: "inboxCount", request: 0, count: own.inbox.length };
      case "conversations":
        return { type: "conversationList", request: 0, conversations: this.#conversations(user, own), more: false };
      case "search": {
        const { text, with: whom, skip, limit } = request;
        const found = own.messages
          .filter(({ from, to }) => whom === null || from === whom || to === whom)
          .filter((message) => message.text.toLowerCase().includes(text.toLowerCase()))
          .reverse();
        const messages = found.slice(skip, skip + limit);
        const snippets = messages.map((message) => message.text.replace(new RegExp(text, "i"), "\u0002$&\u0003"));
        return { type: "searchResults", request: 0, messages, snippets, more: found.length > skip + limit };
      }
      case "open": {
        const messages = own.inbox.splice(0, request.count).map((message) => ({ ...message, inbox: false }));
        own.messages.push(...messages);
        return { type: "opened", ...op, messages };
      }
      case "messages": {
        const { with: whom, before, limit, unread } = request;
        const all = own.messages
          .filter(({ to, read }) => !unread || (!read && to === user))
          .filter(({ from, to }) => whom === null || from === whom || to === whom)
          .filter(({ index }) => before === null || index < before)
          .reverse();
        return { type: "messageList", request: 0, messages: all.slice(0, limit), more: all.length > limit };
      }
      case "drafts":
        return { type: "draftList", request: 0, drafts: own.drafts };
      case "saveDraft":
        return this.#saveDraft(request, op, own);
      case "sendDraft": {
        const draft = own.drafts.find(({ draft: id }) => id.seq === request.draft.seq);
        if (draft === undefined) return refused("no-such-draft", "That draft is gone.");
        own.drafts = own.drafts.filter((each) => each !== draft);
        return this.#answerUser({ type: "send", to: draft.to, text: draft.text }, op, user, own);
      }
      case "deleteDrafts": {
        const gone = new Set(request.drafts.map(({ seq }) => seq));
        if (!own.drafts.some(({ draft }) => gone.has(draft.seq))) {
          return refused("no-such-draft", "Those drafts are gone.");
        }
        own.drafts = own.drafts.filter(({ draft }) => !gone.has(draft.seq));
        return { type: "done", ...op, count: gone.size };
      }
      case "changePassword":
        if (own.password !== request.password) return refused("wrong-password", "Wrong password.");
        own.password = request.newPassword;
        return { type: "done", ...op, count: own.sessions.splice(1).length };
      case "sessions":
        return { type: "sessionList", request: 0, sessions: own.sessions };
      case "endSessions": {
        const before = own.sessions.length;
        own.sessions = own.sessions.filter((each) => !request.sessions.includes(each.session));
        return { type: "done", ...op, count: before - own.sessions.length };
      }
      case "deleteAccount":
        if (own.password !== request.password) return refused("wrong-password", "Wrong password.");
        this.accounts.delete(user);
        this.user = null;
        return { type: "done", ...op, count: 1 };
      case "logout":
        own.online = false;
        this.user = null;
        return { type: "done", ...op, count: 1 };
      default:
        return refused("bad-command", `${request.type} is not part of this test.`);
    }
  }

  #saveDraft(
    { draft: before, to, text }: Extract<Request, { type: "saveDraft" }>,
    op: Omit<Answers["logout"], "type" | "count">,
    own: FakeAccount,
  ): Reply {
    const known = to === "" ? "" : this.#find(to);
    if (known === null) return refused("no-such-user", `There is no account named ${to}.`);
    if (before !== null && !own.drafts.some(({ draft }) => draft.seq === before.seq)) {
      return refused("no-such-draft", "That draft is gone.");
    }
    this.#index += 1;
    const draft = { session, seq: this.#index };
    own.drafts = own.drafts.filter((each) => each.draft.seq !== before?.seq);
    own.drafts.unshift({ draft, to: known, text, at: Date.now() });
    return { type: "draftSaved", ...op, draft };
  }

  #conversations(user: string, own: FakeAccount): Answers["conversations"]["conversations"] {
    const all = [...own.messages, ...own.inbox];
    const other = ({ from, to }: ChatMessage): string => (from === user ? to : from);
    const places = [...new Set(all.map(other))].map((name) => {
      const theirs = all.filter((message) => other(message) === name);
      const received = theirs.filter(({ from }) => from === name);
      const last = theirs.reduce((one, each) => (each.index > one.index ? each : one));
      const unread = received.filter(({ read, inbox }) => !read && !inbox).length;
      const inbox = received.filter((message) => message.inbox).length;
      return { user: name, online: this.accounts.get(name)?.online ?? false, unread, inbox, last };
    });
    const waits = ({ unread, inbox }: { unread: number; inbox: number }): number => (unread + inbox > 0 ? 1 : 0);
    return places.sort((one, next) => waits(next) - waits(one) || next.last.index - one.last.index);
  }

  #find(name: string): string | null {
    return [...this.accounts.keys()].find((user) => user.toLowerCase() === name.toLowerCase()) ?? null;
  }
}

function refused(code: ErrorCode, message: string): Refused {
  return { type: "refused", code, message };
}
