/**
 * A stand-in for a cluster, for tests of clients: replicas at several addresses over one state, speaking the real wire
 * protocol, that do what a test tells them to: be not ready, keep an acknowledgement to themselves, hang, refuse. It
 * decides little (accounts, sessions, messages, exactly once); what the chat means is `lib/chat`'s to say.
 */
import { assert } from "../base/assert.ts";
import type { Connection, ConnectionHandlers } from "../base/transport.ts";
import { isClientOp } from "../protocol/answers.ts";
import { decodeFrame, encodeFrame } from "../protocol/codec.ts";
import { FrameReader } from "../protocol/frame-reader.ts";
import { formatOpId } from "../protocol/ids.ts";
import type { ChatMessage, ClientOp, Draft, ErrorCode, Frame, FrameOf, OpReply } from "../protocol/messages.ts";
import type { DistributiveOmit } from "../protocol/state-machine.ts";
import type { ByteNetwork } from "./byte-network.ts";

type Result = DistributiveOmit<OpReply, "request" | "duplicate"> | Omit<FrameOf<"refused">, "request">;

interface SessionState {
  readonly token: Uint8Array;
  user: string | null;
  readonly results: Map<number, Result>;
  readonly messages: ChatMessage[];
  readonly drafts: Map<string, Draft>;
}

/** What one connection of a client has sent, and how to answer it. */
export interface Peer {
  readonly replica: number;
  readonly received: Frame[];
  session: string | null;
  send: (frame: Frame) => void;
  readonly close: () => void;
}

export class ScriptedCluster {
  readonly sessions = new Map<string, SessionState>();
  readonly accounts = new Map<string, string>();
  readonly peers: Peer[] = [];
  readonly ready = new Map<number, boolean>();
  /** Every op that took effect, as `session/seq type`, in order. */
  readonly log: string[] = [];
  view = 257;
  cluster = new Uint8Array(16).fill(7);
  /** Sees each frame first; true means that it was dealt with. */
  intercept: (peer: Peer, frame: Frame) => boolean = () => false;

  #stops = new Map<number, () => void>();

  constructor(
    readonly network: ByteNetwork,
    /** By pid − 1. */
    readonly addresses: readonly string[],
  ) {}

  static async start(network: ByteNetwork, addresses: readonly string[]): Promise<ScriptedCluster> {
    const cluster = new ScriptedCluster(network, addresses);
    for (let pid = 1; pid <= addresses.length; pid++) await cluster.startReplica(pid);
    return cluster;
  }

  async startReplica(pid: number): Promise<void> {
    const address = this.addresses[pid - 1] ?? "";
    const [host = "", port] = address.split(":");
    this.ready.set(pid, true);
    const listener = await this.network.transport.listen(host, Number(port), (connection) =>
      this.#accept(pid, connection),
    );
    this.#stops.set(pid, () => listener.stop());
  }

  /** As kill -9: its port refuses, its connections are reset. */
  kill(pid: number): void {
    this.#stops.get(pid)?.();
    for (const pair of this.network.connections) {
      if (pair.client.remote === this.addresses[pid - 1]) pair.cut("connection reset");
    }
  }

  /** Tells every client of a replica that it (no longer) is a member of a formed view. */
  setReady(pid: number, ready: boolean): void {
    this.ready.set(pid, ready);
    this.place(pid);
  }

  place(pid: number): void {
    const frame: Frame = { type: "placement", ...this.#placement(pid) };
    for (const peer of this.peers) if (peer.replica === pid) peer.send(frame);
  }

  /** Says something to the connections that hold this session. */
  push(session: string, frame: Frame): void {
    for (const peer of this.peers) if (peer.session === session) peer.send(frame);
  }

  /** A message from elsewhere, delivered to a session. */
  deliver(session: string, from: string, text: string): ChatMessage {
    const index = this.#append("deliver");
    const message = this.#message(
      { session: "00000000-0000-4000-8000-000000000000", seq: index },
      index,
      from,
      "x",
      text,
    );
    this.sessions.get(session)?.messages.push(message);
    this.push(session, { type: "message", message });
    return message;
  }

  #accept(pid: number, connection: Connection): ConnectionHandlers {
    const peer: Peer = {
      replica: pid,
      received: [],
      session: null,
      send: (frame) => connection.send(encodeFrame(frame)),
      close: () => connection.close(),
    };
    this.peers.push(peer);
    const reader = new FrameReader(() => 65536);
    return {
      data: (chunk) =>
        reader.push(chunk, (payload) => {
          const frame = decodeFrame(payload);
          peer.received.push(frame);
          if (!this.intercept(peer, frame)) this.#answer(peer, frame);
        }),
      closed: () => {
        this.peers.splice(this.peers.indexOf(peer), 1);
      },
    };
  }

  #placement(pid: number): DistributiveOmit<FrameOf<"placement">, "type"> {
    const ready = this.ready.get(pid) ?? false;
    const replicas = this.addresses.map((address, at) => ({ pid: at + 1, address, uuid: null }));
    const { view } = this;
    const primary = ready ? view % 256 : 0;
    return { replica: pid, ready, primary, view, policy: "available", provisional: false, copies: 3, replicas };
  }

  #answer(peer: Peer, frame: Frame): void {
    switch (frame.type) {
      case "hello": {
        const { cluster } = this;
        return peer.send({
          type: "welcome",
          version: 1,
          software: "scripted",
          cluster,
          ...this.#placement(peer.replica),
        });
      }
      case "ping":
        return peer.send({ type: "pong", nonce: frame.nonce });
      case "openSession":
        return this.#openSession(peer, frame);
      case "status": {
        const { replicas: _, ...placement } = this.#placement(peer.replica);
        return peer.send({ type: "statusReport", request: frame.request, ...placement, replicas: [] });
      }
      case "inbox":
        return peer.send({ type: "inboxCount", request: frame.request, count: 0 });
      case "accounts": {
        const accounts = [...this.accounts.keys()]
          .toSorted()
          .map((user) => ({ user, online: false, lastSeenAt: null }));
        return peer.send({ type: "accountList", request: frame.request, accounts, more: false });
      }
      case "messages": {
        const messages = (this.sessions.get(peer.session ?? "")?.messages ?? []).toReversed();
        return peer.send({ type: "messageList", request: frame.request, messages, more: false });
      }
      case "conversations": {
        const last = this.sessions.get(peer.session ?? "")?.messages.at(-1);
        const conversations =
          last === undefined ? [] : [{ user: last.from, online: true, unread: 1, inbox: 0, last: { ...last } }];
        return peer.send({ type: "conversationList", request: frame.request, conversations, more: false });
      }
      case "search": {
        const messages =
          this.sessions.get(peer.session ?? "")?.messages.filter((each) => each.text === frame.text) ?? [];
        const snippets = messages.map((each) => `\u0002${each.text}\u0003`);
        return peer.send({ type: "searchResults", request: frame.request, messages, snippets, more: false });
      }
      case "sessions":
        return peer.send({ type: "sessionList", request: frame.request, sessions: [] });
      case "drafts": {
        const drafts = [...(this.sessions.get(peer.session ?? "")?.drafts.values() ?? [])].toReversed();
        return peer.send({ type: "draftList", request: frame.request, drafts });
      }
      default:
        if (isClientOp(frame)) return this.#op(peer, frame);
    }
  }

  #openSession(peer: Peer, frame: FrameOf<"openSession">): void {
    const { request, session, token } = frame;
    let state = this.sessions.get(session);
    if (state === undefined && frame.create) {
      state = { token, user: null, results: new Map(), messages: [], drafts: new Map() };
      this.sessions.set(session, state);
      this.#append("register");
    }
    if (state === undefined || !Buffer.from(state.token).equals(token)) {
      return peer.send({ type: "refused", request, code: "unauthorized", message: "Unknown session." });
    }
    peer.session = session;
    const { user } = state;
    peer.send({ type: "sessionOpened", request, user, inbox: 0, drafts: 0, index: this.log.length, view: this.view });
    for (const message of state.messages) {
      if (message.index > frame.lastMessageIndex) peer.send({ type: "message", message });
    }
  }

  #op(peer: Peer, frame: ClientOp): void {
    const { request, seq } = frame;
    const state = this.sessions.get(peer.session ?? "");
    assert(state !== undefined && peer.session !== null, "ops come after openSession");
    assert(seq < frame.oldest + 64, "ops stay within the window");
    const known = state.results.get(seq);
    const result = known ?? this.#apply(peer.session, state, frame);
    state.results.set(seq, result);
    const duplicate = known !== undefined;
    peer.send(result.type === "refused" ? { ...result, request } : { ...result, request, duplicate });
  }

  #apply(session: string, state: SessionState, frame: ClientOp): Result {
    const refusal = this.#refusal(state, frame);
    if (refusal !== null) return { type: "refused", ...refusal };
    const index = this.#append(`${session}/${frame.seq} ${frame.type}`);
    const reply = { index, view: this.view, copies: 3 };
    switch (frame.type) {
      case "createAccount":
        this.accounts.set(frame.user, frame.password);
        return { type: "created", ...reply, user: frame.user };
      case "login":
        state.user = frame.user;
        return { type: "loggedIn", ...reply, user: frame.user, inbox: 0, drafts: 0 };
      case "logout":
        state.user = null;
        return { type: "done", ...reply, count: 0 };
      case "deleteAccount":
        this.accounts.delete(state.user ?? "");
        state.user = null;
        return { type: "done", ...reply, count: 0 };
      case "send": {
        const id = { session, seq: frame.seq };
        return { type: "sent", ...reply, id, at: this.#send(id, index, state, frame) };
      }
      case "saveDraft": {
        const draft = frame.draft ?? { session, seq: frame.seq };
        const { to, text } = frame;
        state.drafts.set(formatOpId(draft), { draft, to, text, at: this.network.wallMs() });
        return { type: "draftSaved", ...reply, draft };
      }
      case "sendDraft": {
        const name = formatOpId(frame.draft);
        const draft = state.drafts.get(name);
        state.drafts.delete(name);
        const at = draft === undefined ? 0 : this.#send(frame.draft, index, state, draft);
        return { type: "sent", ...reply, id: frame.draft, at };
      }
      case "changePassword":
      case "resetPassword":
        this.accounts.set(frame.type === "resetPassword" ? frame.user : (state.user ?? ""), frame.newPassword);
        return { type: "done", ...reply, count: 0 };
      case "endSessions":
        return { type: "done", ...reply, count: frame.sessions.length };
      case "deleteDrafts":
        for (const draft of frame.drafts) state.drafts.delete(formatOpId(draft));
        return { type: "done", ...reply, count: frame.drafts.length };
      case "open":
        return { type: "opened", ...reply, messages: [] };
      case "mark":
      case "deleteMessages":
        return { type: "done", ...reply, count: frame.ids.length };
    }
  }

  #refusal(state: SessionState, frame: ClientOp): { code: ErrorCode; message: string } | null {
    if (frame.type === "createAccount") {
      return this.accounts.has(frame.user) ? { code: "name-taken", message: `${frame.user} is taken.` } : null;
    }
    if (frame.type === "login") {
      return this.accounts.get(frame.user) === frame.password ? null : { code: "wrong-password", message: "Wrong." };
    }
    if (state.user === null) return { code: "not-logged-in", message: "Log in first." };
    if (frame.type === "send" && !this.accounts.has(frame.to)) {
      return { code: "no-such-user", message: `There is no account named ${frame.to}.` };
    }
    const named = frame.type === "sendDraft" || frame.type === "saveDraft" ? [frame.draft] : [];
    const wanted = frame.type === "deleteDrafts" ? frame.drafts : named;
    const unknown = wanted.some((draft) => draft !== null && !state.drafts.has(formatOpId(draft)));
    return unknown ? { code: "no-such-draft", message: "You have no such draft." } : null;
  }

  /** When it was sent. */
  #send(
    id: ChatMessage["id"],
    index: number,
    { user: from }: SessionState,
    { to, text }: Pick<Draft, "to" | "text">,
  ): number {
    const message = this.#message(id, index, from ?? "", to, text);
    for (const [session, { user, messages }] of this.sessions) {
      if (user !== to) continue;
      messages.push(message);
      this.push(session, { type: "message", message });
    }
    return message.at;
  }

  #message(id: ChatMessage["id"], index: number, from: string, to: string, text: string): ChatMessage {
    return { id, index, from, to, text, at: this.network.wallMs(), read: false, inbox: false };
  }

  #append(what: string): number {
    return this.log.push(what);
  }
}
