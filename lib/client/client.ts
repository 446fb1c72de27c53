/**
 * The chat client: one session on whichever replica can be reached. Owns what is asked and not yet answered, resends it
 * under the same ids when the connection moves, and turns frames into events and answers. Must not touch terminals,
 * sockets, time or randomness but through its ports, and never shows a protocol frame other than an answer.
 */
import { answerOf, isClientQuery, isOpReply, isQueryReply } from "../protocol/answers.ts";
import type { ClientOp, ClientQuery, Frame, FrameOf, OpReply, QueryReply } from "../protocol/messages.ts";
import { AddressBook } from "./addresses.ts";
import { refusalOf } from "./check.ts";
import { ClientClosedError } from "./closed.ts";
import { Connector, type ConnectorOwner } from "./connector.ts";
import { hyperidIds } from "./ids.ts";
import type { Link } from "./link.ts";
import { OpSender } from "./op-sender.ts";
import { Session, type PendingOp } from "./session.ts";
import { standingOn } from "./standing.ts";
import type {
  Answers,
  ChatClient,
  ClientEvent,
  ClientOptions,
  ClientPorts,
  ConnectionState,
  OpOptions,
  OpRequest,
  QueryRequest,
  Refused,
  ResumedSession,
  SessionKey,
} from "./types.ts";

const connectTimeoutMsDefault = 1000;
const silenceMsDefault = 3000;
/** A replica may wait for a view before it opens a session; it says `unavailable` after 5 s. */
const openTimeoutMs = 6000;
/** For how long a replica that takes the session for another account's may yet learn whose it is. */
const othersMs = 30_000;
/** For how long a replica that the client has left may still bring it about that the session goes on there. */
const openLateMs = 30_000;
const goodbyeMs = 500;

type Reply = OpReply | QueryReply;
interface Waiter {
  readonly resolve: (answer: Reply | Refused) => void;
  readonly reject: (error: Error) => void;
}
interface PendingQuery extends Waiter {
  readonly query: QueryRequest;
}

/** A client with a new session. It begins to connect at once; nothing is told before this call has returned. */
export function createClient(options: ClientOptions, ports: ClientPorts): ChatClient {
  return new Client(Session.begin((ports.ids ?? hyperidIds)(), ports.randomBytes(32)), options, ports);
}

/**
 * A client that goes on with the session of a process that has ended. It asks for nothing by itself: what was open there
 * is asked for with its seq. Closes, as `unauthorized`, when the cluster does not know the session any more.
 */
export function resumeClient(resumed: ResumedSession, options: ClientOptions, ports: ClientPorts): ChatClient {
  const { cluster, lastIndex, lastView, ...saved } = resumed;
  const nothingElse = { registered: true, user: null, recentMessages: [], ops: [] };
  const session = Session.restore({ ...saved, ...nothingElse, lastIndex, lastView, lastMessageIndex: lastIndex });
  return new Client(session, options, ports, cluster);
}

/**
 * Requests are numbered 2 · seq for ops, so that an op keeps its number wherever it is resent, and odd for the others.
 */
class Client implements ChatClient, ConnectorOwner {
  connection: ConnectionState = { state: "connecting", tried: [] };

  readonly #session: Session;
  readonly #sender: OpSender;
  readonly #connector: Connector;
  readonly #ports: ClientPorts;
  readonly #remedy: string | null;
  readonly #listeners = new Set<(event: ClientEvent) => void>();
  readonly #ops = new Map<number, Waiter>();
  /** By request number, in the order asked. */
  readonly #queries = new Map<number, PendingQuery>();
  #nextQuery = 1;
  /** The connection whose session is being opened or stands. */
  #link: Link | null = null;
  #open = false;
  #openRequest = 0;
  /** When the session stood last; null before the first time. */
  #lostAtMs: number | null = null;
  /** When a connection was given up last on which the session was asked for and not opened. */
  #unopenedMs = -Infinity;
  /** When the session was taken back last that seemed to go on with another client. */
  #takenBackMs = -Infinity;
  #cancelOpen: () => void = () => {};
  /** Since when replicas take the session for another account's. */
  #othersSinceMs: number | null = null;

  constructor(session: Session, options: ClientOptions, ports: ClientPorts, cluster: Uint8Array | null = null) {
    this.#session = session;
    this.#sender = new OpSender(session, ports.clock, (pending) => this.#transmit(pending));
    this.#ports = ports;
    this.#remedy = options.remedy ?? null;
    const settings = {
      connectTimeoutMs: options.connectTimeoutMs ?? connectTimeoutMsDefault,
      silenceMs: options.silenceMs ?? silenceMsDefault,
      software: options.software ?? "chatd client",
    };
    const book = new AddressBook(options.servers, options.startAt);
    this.#connector = new Connector(this, book, settings, ports, cluster);
    this.#connector.start();
  }

  get user(): string | null {
    return this.#session.user;
  }

  get outstanding(): number {
    return this.#session.outstanding;
  }

  get key(): SessionKey | null {
    const { cluster } = this.#connector;
    const { session, token } = this.#session;
    return cluster === null ? null : { cluster, session, token };
  }

  get position(): { readonly index: number; readonly view: number } {
    return { index: this.#session.lastIndex, view: this.#session.lastView };
  }

  on(listener: (event: ClientEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  request<T extends keyof Answers>(
    request: (OpRequest | QueryRequest) & { type: T },
    { keep, seq }: OpOptions = {},
  ): Promise<Answers[T] | Refused> {
    if (this.connection.state === "closed") return Promise.reject(this.#closedError(request.type, false));
    const refusal = refusalOf(request);
    if (refusal !== null) return Promise.resolve(refusal);
    return new Promise<Reply | Refused>((resolve, reject) => {
      if (isClientQuery(request)) {
        const number = this.#nextQuery;
        this.#nextQuery += 2;
        this.#queries.set(number, { query: request, resolve, reject });
        if (this.#open) this.#ask(number, request);
      } else {
        const isKept = keep !== undefined;
        const pending = seq === undefined ? this.#session.add(request, isKept) : this.#session.repeat(seq, request);
        this.#ops.set(pending.seq, { resolve, reject });
        this.#sender.added(pending);
        if (isKept) this.#keep(pending, keep);
      }
    }) as Promise<Answers[T] | Refused>;
  }

  close(): Promise<void> {
    return this.#shut("closed here");
  }

  // What the connector tells.

  tried(addresses: readonly string[]): void {
    // Rounds after a failed one are silent: "offline" stands until the session does.
    if (this.connection.state === "connecting") this.#show({ state: "connecting", tried: addresses });
  }

  offline(why: string): void {
    const { connection } = this;
    const isMet = this.#connector.cluster !== null;
    const reason = isMet || this.#remedy === null ? why : `${why}; ${this.#remedy}`;
    if (connection.state === "offline" && connection.reason === reason) return;
    this.#show({ state: "offline", reason, lost: this.#session.outstanding });
  }

  found(link: Link): void {
    this.#link = link;
    this.#openSession(link);
    this.#cancelOpen = this.#ports.clock.setTimer(openTimeoutMs, () =>
      this.#connector.giveUp(`did not open the session within ${openTimeoutMs} ms`),
    );
  }

  lost(_reason: string, replaced: boolean): void {
    const nowMs = this.#ports.clock.monotonicMs();
    this.#cancelOpen();
    this.#sender.closed();
    this.#link = null;
    if (!this.#open) {
      this.#unopenedMs = nowMs;
      return;
    }
    // Two clients with one session would take it from each other for ever.
    if (replaced && !this.#isOwnDoing(nowMs)) {
      void this.#shut("another client goes on with this session");
      return;
    }
    this.#open = false;
    this.#lostAtMs = nowMs;
    if (this.connection.state !== "offline") this.#show({ state: "connecting", tried: [] });
  }

  /**
   * Whether what has replaced this connection may have been asked for by this client itself: on one that it gave up before
   * the session was open there, or on the one before this, if that came out of the log once more. The latter is believed once.
   */
  #isOwnDoing(nowMs: number): boolean {
    if (nowMs - this.#unopenedMs <= openLateMs) return true;
    if (nowMs - (this.#lostAtMs ?? -Infinity) > openLateMs || nowMs - this.#takenBackMs <= openLateMs) return false;
    this.#takenBackMs = nowMs;
    return true;
  }

  placed(link: Link): void {
    const { connection } = this;
    if (!this.#open || (connection.state !== "connected" && connection.state !== "reconnected")) return;
    const now = standingOn(link, "connected", 0);
    const { primary, view, copies, provisional } = connection;
    if (now.primary === primary && now.view === view && now.copies === copies && now.provisional === provisional)
      return;
    this.#show(now);
  }

  frame(link: Link, frame: Frame): void {
    if (isOpReply(frame)) return this.#acknowledged(link, frame);
    if (isQueryReply(frame)) return this.#answered(link, frame);
    switch (frame.type) {
      case "sessionOpened":
        return this.#opened(link, frame);
      case "refused":
        return this.#refused(frame);
      case "message":
        if (this.#session.admit(frame.message)) this.#emit({ type: "message", message: frame.message });
        return;
      case "changed":
        return this.#emit({ type: "changed", what: frame.what, ids: frame.ids });
      case "presence":
        return this.#emit({ ...frame });
      case "notice":
        return this.#emit({ type: "notice", text: frame.text });
      case "loggedOut":
        this.#session.user = null;
        return this.#emit({ type: "logged-out", reason: frame.reason });
      default:
        return link.refuse("unexpected", `a ${frame.type} frame is not for clients`);
    }
  }

  // The session.

  #openSession(link: Link): void {
    const { session, token, registered, lastView, lastIndex, lastMessageIndex } = this.#session;
    this.#openRequest = this.#nextQuery;
    this.#nextQuery += 2;
    const request = this.#openRequest;
    const create = !registered;
    link.send({ type: "openSession", request, session, token, create, lastView, lastIndex, lastMessageIndex });
  }

  #opened(link: Link, frame: FrameOf<"sessionOpened">): void {
    if (this.#open || frame.request !== this.#openRequest) return;
    if (this.#isOthers(frame.user)) return this.#openedForOther(frame.user);
    this.#othersSinceMs = null;
    this.#cancelOpen();
    this.#connector.steady();
    this.#open = true;
    this.#session.resumed(frame.index, frame.view);
    const { user } = this.#session;
    this.#session.user = frame.user;
    // Before anybody is told: a listener that asks for more must not get ahead of what waits.
    this.#sender.opened();
    for (const [request, { query }] of this.#queries) this.#ask(request, query);
    const state = this.#lostAtMs === null ? "connected" : "reconnected";
    const afterMs = this.#lostAtMs === null ? 0 : this.#ports.clock.monotonicMs() - this.#lostAtMs;
    this.#show(standingOn(link, state, Math.round(afterMs)));
    if (user !== null && frame.user === null && !this.#leavesAccount()) {
      this.#emit({ type: "logged-out", reason: "the account was logged out while the connection was away" });
    }
  }

  /**
   * Whether the replica takes the session for another account's. The change of accounts was on another side of a partition then,
   * and may come with a merge; what is asked for before would be done in the name of the other.
   */
  #isOthers(user: string | null): user is string {
    const own = this.#session.user;
    if (own === null || user === null || own === user || this.#leavesAccount()) return false;
    return !isNamedAfter(own, user) && !isNamedAfter(user, own);
  }

  #openedForOther(user: string): void {
    const nowMs = this.#ports.clock.monotonicMs();
    this.#othersSinceMs ??= nowMs;
    const reason = `takes this session for one of ${user}, not of ${this.#session.user}`;
    if (nowMs - this.#othersSinceMs < othersMs) return this.#connector.giveUp(reason);
    void this.#shut(`the server ${reason}`);
  }

  /** Whether an op whose answer was lost explains that nobody, or somebody else, is logged in. */
  #leavesAccount(): boolean {
    for (let seq = this.#session.oldest; seq < this.#session.next; seq++) {
      const type = this.#session.get(seq)?.op.type;
      if (type === "logout" || type === "deleteAccount") return true;
    }
    return false;
  }

  #notOpened(refusal: FrameOf<"refused">): void {
    if (refusal.code !== "unauthorized") return this.#connector.giveUp(`did not open the session: ${refusal.message}`);
    if (this.#session.registered && !this.#session.used && this.#link !== null) {
      // Nothing was ever done under this session: to register it once more loses and doubles nothing.
      this.#session.registered = false;
      return this.#openSession(this.#link);
    }
    void this.#shut(`the server does not accept this session: ${refusal.message}`, true);
  }

  // Requests and answers.

  #keep(pending: PendingOp, keep: (seq: number) => Promise<void>): void {
    keep(pending.seq).then(
      () => {
        pending.held = false;
        this.#sender.pump();
      },
      (error: unknown) => {
        const waiter = this.#ops.get(pending.seq);
        this.#session.acknowledge(pending.seq);
        this.#ops.delete(pending.seq);
        waiter?.reject(error instanceof Error ? error : new Error(String(error)));
        this.#sender.pump();
      },
    );
  }

  #transmit({ seq, op }: PendingOp): void {
    this.#link?.send({ ...op, request: 2 * seq, seq, oldest: this.#session.oldest } as ClientOp);
  }

  #ask(request: number, query: QueryRequest): void {
    this.#link?.send({ ...query, request } as ClientQuery);
  }

  #acknowledged(link: Link, reply: OpReply): void {
    const seq = reply.request / 2;
    const pending = this.#session.get(seq);
    if (pending === undefined) return;
    const { type } = pending.op;
    if (answerOf[type] !== reply.type) return link.refuse("unexpected", `a ${reply.type} frame answers a ${type}`);
    this.#session.saw(reply.index, reply.view);
    if (reply.type === "loggedIn") this.#session.user = reply.user;
    if (type === "logout" || type === "deleteAccount") this.#session.user = null;
    this.#settle(seq, reply);
  }

  #answered(link: Link, reply: QueryReply): void {
    const pending = this.#queries.get(reply.request);
    if (pending === undefined) return;
    const { type } = pending.query;
    if (answerOf[type] !== reply.type) return link.refuse("unexpected", `a ${reply.type} frame answers a ${type}`);
    this.#queries.delete(reply.request);
    pending.resolve(reply);
  }

  #refused(frame: FrameOf<"refused">): void {
    if (frame.request === this.#openRequest) {
      if (!this.#open) this.#notOpened(frame);
      return;
    }
    const refusal: Refused = { type: "refused", code: frame.code, message: frame.message };
    if (frame.request % 2 === 1) {
      const pending = this.#queries.get(frame.request);
      this.#queries.delete(frame.request);
      return pending?.resolve(refusal);
    }
    const pending = this.#session.get(frame.request / 2);
    if (pending === undefined) return;
    if (frame.code === "unavailable" && (pending.kept || pending.connections > 1))
      return this.#sender.askAgain(pending);
    this.#settle(pending.seq, refusal);
  }

  #settle(seq: number, answer: OpReply | Refused): void {
    this.#session.acknowledge(seq);
    const waiter = this.#ops.get(seq);
    this.#ops.delete(seq);
    waiter?.resolve(answer);
    this.#sender.pump();
  }

  // The end, and events.

  async #shut(reason: string, unauthorized = false): Promise<void> {
    if (this.connection.state === "closed") return;
    this.#open = false;
    this.#link = null;
    this.#cancelOpen();
    this.#sender.closed();
    const gone = this.#connector.stop("the client quits", goodbyeMs);
    this.#show({ state: "closed", reason, ...(unauthorized ? { unauthorized } : {}) });
    for (const [seq, waiter] of this.#ops) {
      const pending = this.#session.get(seq);
      if (pending !== undefined) waiter.reject(this.#closedError(pending.op.type, pending.connections > 0));
    }
    for (const { query, reject } of this.#queries.values()) reject(this.#closedError(query.type, false));
    this.#ops.clear();
    this.#queries.clear();
    await gone;
  }

  #closedError(type: string, mayBeDone: boolean): ClientClosedError {
    const why = this.connection.state === "closed" ? this.connection.reason : "";
    const outcome = mayBeDone ? "the outcome is unknown" : "nothing was changed";
    return new ClientClosedError(`${type}: ${outcome}, the client was closed: ${why}`, mayBeDone);
  }

  #show(connection: ConnectionState): void {
    this.connection = connection;
    this.#emit({ type: "connection", connection });
  }

  #emit(event: ClientEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}

/** Whether an account of this name may be the other one, which lost its name in a merge. */
function isNamedAfter(name: string, other: string): boolean {
  const begins = name.replace(/~\d+$/, "");
  return begins !== name && other.startsWith(begins);
}
