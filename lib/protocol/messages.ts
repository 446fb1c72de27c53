/**
 * Every frame that crosses a socket, defined once. Types, codec, validation, the tables of `README.md`, the CDDL and
 * the readable text derive from `frames`. Numbers are never reused. Nothing else in the project spells a frame number.
 *
 * How to add a frame: one entry here, then `bun run generate` (README tables, CDDL), then a golden frame in
 * `fixtures/wire/` (the test says how).
 */
import { limits } from "../base/limits.ts";
import {
  bool,
  bytes,
  define,
  hash64,
  list,
  oneOf,
  optional,
  struct,
  text,
  uint,
  uuid,
  type Infer,
  type ValueOf,
} from "./schema.ts";

/** First field of every hello; never changes, in any version. */
export const protocolMagic = "chatd";

/** `(n, pid)` as the integer n · 256 + pid; 0 is "no view". */
export const view = uint(Number.MAX_SAFE_INTEGER, { as: "view" });
const index = uint();
const pid = uint(limits.pidMax);
const name = text(4 * limits.userNameCharactersMax);
const address = text(300);
const token = bytes(16, 64, { secret: true });

/** The id of an op, and so of the account, message or draft that it created: the session's uuid and its counter. */
export const opId = struct("op-id", { session: uuid, seq: uint() });
export type OpId = Infer<typeof opId>;

/** A point of the log: equal (index, chain) means equal prefixes. Index 0 is before the first entry, view and chain 0. */
export const position = struct("position", { index, view, chain: hash64 });
export type Position = Infer<typeof position>;

/** A replica as a process: who acks and promises is counted by all three, never by pid alone. */
export const member = struct("member", { pid, uuid, incarnation: uint() });
export type Member = Infer<typeof member>;

/** A replica as configured. `uuid` is null until it has been seen (founding). */
export const configured = struct("configured", { pid, address, uuid: optional(uuid) });
export type Configured = Infer<typeof configured>;

export const policy = oneOf("available", "quorum");
export type Policy = Infer<typeof policy>;

const viewStart = struct("view-start", { view, firstIndex: index });
export type ViewStart = Infer<typeof viewStart>;

/** A VIEW entry as others need it to judge whether a view may form. */
export const attempt = struct("attempt", {
  view,
  index,
  epoch: uint(),
  members: list(member, limits.replicasMax),
  config: list(configured, limits.replicasMax),
  awaiting: list(uuid, 4 * limits.replicasMax),
  formed: bool,
});
export type Attempt = Infer<typeof attempt>;

export const messageStruct = struct("message", {
  id: opId,
  index,
  from: name,
  to: name,
  text: text(limits.textBytesMax, { body: true }),
  at: uint(),
  read: bool,
  inbox: bool,
});
export type ChatMessage = Infer<typeof messageStruct>;

export const replicaStatus = struct("replica-status", {
  pid,
  address,
  role: oneOf("primary", "backup", "learner", "candidate", "unreachable"),
  index,
  commit: index,
  /** Entries behind the primary's log. */
  lag: index,
  /** Client connections. */
  connections: uint(),
});
export type ReplicaStatus = Infer<typeof replicaStatus>;

/** Where the answering replica stands; enough for a client to choose, and to tell its user. */
const placementFields = {
  replica: pid,
  /** A member of a formed view: it serves. */
  ready: bool,
  /** 0 when no view is formed. */
  primary: pid,
  view,
  policy,
  /** Since a total stop, a replica that may hold more has not been heard. */
  provisional: bool,
  /** Disks an acknowledgement stands for now. */
  copies: uint(limits.replicasMax),
} as const;

export const errorCode = oneOf(
  "bad-command",
  "bad-name",
  "bad-password",
  "bad-pattern",
  "no-such-user",
  "no-such-message",
  "no-such-draft",
  "name-taken",
  "wrong-password",
  "not-logged-in",
  "already-logged-in",
  "to-self",
  "too-long",
  "too-many",
  "rate-limited",
  "unavailable",
  "unknown",
  "unauthorized",
);
export type ErrorCode = Infer<typeof errorCode>;

/** What every op of a client begins with. `request` comes back on the reply; (session, seq) is the op's identity. */
const op = {
  request: uint(),
  /** 1, 2, 3 … within the session, each used for one op alone; 0 is the registration. */
  seq: uint(),
  /** The oldest seq not yet answered, from 1 to seq: results below it may be forgotten. seq < oldest + window. */
  oldest: uint(),
} as const;
/** What every reply to an op begins with: where in the log it stands. */
const opReply = { request: uint(), index, view, copies: uint(limits.replicasMax), duplicate: bool } as const;

export const frames = {
  // Both kinds of peer. The first three elements of hello and peerHello — number, magic, version — are the same in
  // every version, so that an unknown version can be answered.
  hello: define(1, "client", "Opens a client's connection; the first frame it sends.", {
    magic: text(16),
    version: uint(65535),
    software: text(100),
  }),
  peerHello: define(2, "replica", "Opens a replica's connection; the accepting replica answers with its own.", {
    magic: text(16),
    version: uint(65535),
    cluster: bytes(16, 16),
    pid,
    uuid,
    incarnation: uint(),
    address,
    policy,
  }),
  welcome: define(3, "server", "Answers hello.", {
    version: uint(65535),
    software: text(100),
    cluster: bytes(16, 16),
    ...placementFields,
    replicas: list(configured, limits.replicasMax),
  }),
  error: define(4, "any", "Says why the sender closes the connection.", {
    code: oneOf(
      "version",
      "protocol",
      "cluster",
      "policy",
      "frame",
      "unexpected",
      "replaced",
      "overloaded",
      "idle",
      "internal",
    ),
    message: text(1000),
    versionOldest: uint(65535),
    versionNewest: uint(65535),
  }),
  ping: define(5, "any", "Asks for a pong with the same nonce.", { nonce: uint() }),
  pong: define(6, "any", "Answers ping.", { nonce: uint() }),
  goodbye: define(
    7,
    "any",
    "The sender leaves on purpose: a client quits, a replica stops or goes over to another log.",
    { reason: text(200) },
  ),

  // A client's session and ops.
  openSession: define(20, "client", "Registers (create) or resumes a session on this connection.", {
    request: uint(),
    session: uuid,
    token,
    create: bool,
    /** The last place in the log this client has seen, or 0: the replica answers when it has applied it, or after 2 s. */
    lastView: view,
    lastIndex: index,
    /** Messages pushed to the account above this index (0: since the login) are pushed after the reply. */
    lastMessageIndex: index,
  }),
  createAccount: define(30, "client", "Creates an account; does not log in.", {
    ...op,
    user: name,
    password: text(limits.passwordBytesMax, { secret: true }),
  }),
  login: define(31, "client", "Logs this session in.", {
    ...op,
    user: name,
    password: text(limits.passwordBytesMax, { secret: true }),
  }),
  logout: define(32, "client", "Logs this session out.", { ...op }),
  deleteAccount: define(33, "client", "Deletes the account this session is logged in to.", {
    ...op,
    password: text(limits.passwordBytesMax, { secret: true }),
  }),
  send: define(34, "client", "Sends a message to an account.", {
    ...op,
    to: name,
    text: text(limits.textBytesMax, { body: true }),
  }),
  open: define(35, "client", "Moves the oldest `count` messages from the inbox to the messages.", {
    ...op,
    count: uint(limits.openMax),
  }),
  mark: define(36, "client", "Marks messages read or unread.", {
    ...op,
    ids: list(opId, limits.pageMax),
    read: bool,
  }),
  deleteMessages: define(37, "client", "Deletes messages for this account alone.", {
    ...op,
    ids: list(opId, limits.pageMax),
  }),

  // Queries, answered locally.
  accounts: define(50, "client", "Lists accounts whose name matches a shell pattern, by name; works before login.", {
    request: uint(),
    pattern: optional(text(limits.patternBytesMax)),
    after: optional(name),
    limit: uint(limits.pageMax),
  }),
  inbox: define(51, "client", "Asks for the number of messages in the inbox.", { request: uint() }),
  messages: define(52, "client", "Asks for messages, newest first.", {
    request: uint(),
    with: optional(name),
    before: optional(index),
    limit: uint(limits.pageMax),
    unread: bool,
  }),
  status: define(53, "client", "Asks for the state of the cluster as this replica sees it.", { request: uint() }),

  // Replies.
  refused: define(70, "server", "Refuses a request; nothing was changed.", {
    request: uint(),
    code: errorCode,
    message: text(1000),
  }),
  sessionOpened: define(71, "server", "Answers openSession.", {
    request: uint(),
    /** Null when the session is not logged in. */
    user: optional(name),
    inbox: uint(),
    drafts: uint(),
    index,
    view,
  }),
  created: define(72, "server", "Answers createAccount.", { ...opReply, user: name }),
  loggedIn: define(73, "server", "Answers login.", { ...opReply, user: name, inbox: uint(), drafts: uint() }),
  done: define(74, "server", "Answers logout, deleteAccount, mark, deleteMessages; `count` things were changed.", {
    ...opReply,
    count: uint(),
  }),
  sent: define(75, "server", "Answers send.", { ...opReply, id: opId, at: uint() }),
  opened: define(76, "server", "Answers open.", { ...opReply, messages: list(messageStruct, limits.openMax) }),
  accountList: define(77, "server", "Answers accounts.", {
    request: uint(),
    accounts: list(struct("account", { user: name, online: bool }), limits.pageMax),
    more: bool,
  }),
  inboxCount: define(78, "server", "Answers inbox.", { request: uint(), count: uint() }),
  messageList: define(79, "server", "Answers messages.", {
    request: uint(),
    messages: list(messageStruct, limits.pageMax),
    more: bool,
  }),
  statusReport: define(80, "server", "Answers status.", {
    request: uint(),
    ...placementFields,
    replicas: list(replicaStatus, limits.replicasMax),
  }),

  // What nobody asked for.
  message: define(90, "server", "A message arrived for the account of this session.", { message: messageStruct }),
  changed: define(91, "server", "Another session of this account marked, deleted or opened messages.", {
    what: oneOf("read", "deleted", "drafts", "inbox"),
    ids: list(opId, limits.pageMax),
  }),
  notice: define(92, "server", "Something the user should know.", { text: text(1000) }),
  loggedOut: define(93, "server", "The account was deleted: the session stands, and is not logged in.", {
    reason: text(200),
  }),
  placement: define(94, "server", "The view changed, or this replica's place in it.", {
    ...placementFields,
    replicas: list(configured, limits.replicasMax),
  }),

  // Between replicas. What each is for: lib/replication/README.md.
  heartbeat: define(128, "replica", "I am alive, and this is where I stand.", {
    role: oneOf("primary", "backup", "learner", "candidate"),
    /** The view whose VIEW entry this incarnation has installed; 0 for none. */
    installed: view,
    /** Its ACT has committed. */
    formed: bool,
    promised: view,
    /** The view this replica is starting right now, promises being gathered or members installing; 0 for none. */
    starting: view,
    epoch: uint(),
    lastActView: view,
    lastIndex: index,
    lastView: view,
    commit: index,
    durableIndex: index,
    /** Pids heard within the timeout. */
    hears: list(pid, limits.replicasMax),
    /** For one timeout the primary has neither committed nor formed. */
    stuck: bool,
    /** A member, without interruption, of a formed view: it has all that was acknowledged. */
    hot: bool,
    /** Its disk hangs: it has left its view and must be counted out until it says otherwise. */
    left: bool,
    /** Pids and identities of the installed view's members. */
    members: list(member, limits.replicasMax),
    connections: uint(),
  }),
  ask: define(129, "replica", "May I start a view? Changes nothing.", {
    nonce: uint(),
    epoch: uint(),
    lastActView: view,
  }),
  askReply: define(130, "replica", "Answers ask.", {
    nonce: uint(),
    verdict: oneOf("go", "hear-primary", "later-config"),
    maxSeen: view,
  }),
  join: define(131, "replica", "Promise me this view.", { view, epoch: uint(), lastActView: view }),
  promised: define(132, "replica", "The promise is on disk; this is my log.", {
    view,
    epoch: uint(),
    last: position,
    floor: index,
    hot: bool,
    damaged: bool,
    behind: bool,
    commit: index,
    /** The VIEW entries of this log from the last formed view on (that one included), oldest first. */
    attempts: list(attempt, 1024),
  }),
  joinRefused: define(133, "replica", "I have promised a view as great or greater, or you are not in my config.", {
    view,
    promised: view,
    reason: oneOf("promised", "later-config"),
  }),
  newView: define(134, "replica", "Bring your log to this base, append this VIEW record, and answer viewOk.", {
    view,
    base: position,
    /** The VIEW record, as on disk. */
    record: bytes(1, limits.recordPayloadBytesMax),
  }),
  viewOk: define(135, "replica", "The VIEW record is on this disk.", { view }),
  append: define(136, "replica", "Records to append after `previous`; everything up to `commit` is committed.", {
    view,
    previous: position,
    commit: index,
    /** Whole log records, back to back, as on disk. */
    records: bytes(0, limits.replicaFrameBytesMax),
  }),
  appendOk: define(137, "replica", "Everything up to `durableIndex` is on this disk.", {
    view,
    durableIndex: index,
    /** Set when an append did not fit: send from after this index. */
    resendAfter: optional(index),
  }),
  commit: define(138, "replica", "Everything up to `commit` is committed.", { view, commit: index }),
  fetch: define(139, "replica", "Send me the log after this point; or say where ours part.", {
    nonce: uint(),
    after: position,
  }),
  entries: define(140, "replica", "Answers fetch: records that follow `previous`.", {
    nonce: uint(),
    previous: position,
    commit: index,
    lastIndex: index,
    records: bytes(0, limits.replicaFrameBytesMax),
  }),
  diverged: define(141, "replica", "Answers fetch: my log does not hold that point; this is my view table below it.", {
    nonce: uint(),
    lastIndex: index,
    views: list(viewStart, 4096),
  }),
  forward: define(142, "replica", "Ops of my clients, for the primary of this view, in order.", {
    view,
    /** A sender begins a new stream when it sends again what it has sent before; older streams are void. */
    stream: uint(),
    /** The number within the stream of the first op here, from 0: gaps and repeats are told. */
    first: uint(),
    ops: list(bytes(1, limits.recordPayloadBytesMax), 4096),
  }),
  probe: define(144, "replica", "Is the view you speak of formed now?", { nonce: uint() }),
  probeReply: define(145, "replica", "Answers probe with what holds at this moment.", {
    nonce: uint(),
    installed: view,
    formed: bool,
    hot: bool,
    epoch: uint(),
    lastIndex: index,
    lastView: view,
    members: list(member, limits.replicasMax),
  }),
} as const;

export type Frame = ValueOf<typeof frames>;
export type FrameType = Frame["type"];
export type FrameOf<T extends FrameType> = Extract<Frame, { type: T }>;

/** Frames by who sends them. */
export type ReplicaMessage = FrameOf<
  | "heartbeat"
  | "ask"
  | "askReply"
  | "join"
  | "promised"
  | "joinRefused"
  | "newView"
  | "viewOk"
  | "append"
  | "appendOk"
  | "commit"
  | "fetch"
  | "entries"
  | "diverged"
  | "forward"
  | "probe"
  | "probeReply"
  | "goodbye"
>;
export type ClientOp = FrameOf<
  "createAccount" | "login" | "logout" | "deleteAccount" | "send" | "open" | "mark" | "deleteMessages"
>;
export type ClientQuery = FrameOf<"accounts" | "inbox" | "messages" | "status">;
/** Replies to ops that come out of the log. */
export type OpReply = FrameOf<"created" | "loggedIn" | "done" | "sent" | "opened">;
export type QueryReply = FrameOf<"accountList" | "inboxCount" | "messageList" | "statusReport">;
export type Refusal = FrameOf<"refused">;
export type Push = FrameOf<"message" | "changed" | "notice" | "loggedOut">;
export type Placement = FrameOf<"placement">;
