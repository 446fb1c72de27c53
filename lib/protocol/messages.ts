/**
 * Every frame that crosses a socket, defined once. Types, codec, validation, the tables of `README.md`, the CDDL and
 * the readable text derive from `frames`. Numbers are never reused. Nothing else in the project spells a frame number.
 * The frames between replicas are in `replica-frames.ts`, those of operators in `admin-frames.ts`, the values that
 * several frames carry in `fields.ts`.
 *
 * How to add a frame: one entry here, then `bun run generate` (README tables, CDDL), then a golden frame in
 * `fixtures/wire/` (the test says how).
 */
import { limits } from "../base/limits.ts";
import { adminFrames } from "./admin-frames.ts";
import {
  configured,
  conversation,
  conversationPlace,
  draftStruct,
  errorCode,
  index,
  address,
  messageStruct,
  name,
  opId,
  pid,
  placementFields,
  policy,
  replicaStatus,
  sessionStruct,
  token,
  view,
} from "./fields.ts";
import { replicaFrames } from "./replica-frames.ts";
import { bool, bytes, define, list, oneOf, optional, struct, text, uint, uuid, type ValueOf } from "./schema.ts";

// What frames are made of is found here too: outside of this folder everything about messages has one address.
export { errorCode, protocolMagic } from "./fields.ts";
export type { Answers, ClientOp, ClientQuery, LongQuery, OpReply, QueryReply } from "./answers.ts";
export type { ReplicaReport } from "./admin-frames.ts";
export type {
  Attempt,
  ChatMessage,
  Configured,
  Draft,
  ErrorCode,
  Member,
  OpId,
  Policy,
  Position,
  ReplicaStatus,
  ViewStart,
} from "./fields.ts";

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

const presence = {
  online: bool,
  /** When its last session left; null for who is online, and for who never was. */
  lastSeenAt: optional(uint()),
} as const;

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
    software: text(100),
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
  saveDraft: define(38, "client", "Keeps a draft: a new one, or another text and recipient of one.", {
    ...op,
    /** Null for a new one. */
    draft: optional(opId),
    /** Empty while the recipient is not chosen. */
    to: name,
    text: text(limits.textBytesMax, { body: true }),
  }),
  sendDraft: define(39, "client", "Sends a draft as it was saved last, which then is a draft no more.", {
    ...op,
    draft: opId,
  }),
  deleteDrafts: define(40, "client", "Deletes drafts.", { ...op, drafts: list(opId, limits.pageMax) }),
  changePassword: define(
    41,
    "client",
    "Gives the account this session is logged in to another password, and ends its other sessions.",
    {
      ...op,
      password: text(limits.passwordBytesMax, { secret: true }),
      newPassword: text(limits.passwordBytesMax, { secret: true }),
    },
  ),
  endSessions: define(42, "client", "Logs sessions of the account out.", {
    ...op,
    /** As they are listed, or more of their uuids. */
    sessions: list(text(36), limits.pageMax),
  }),
  resetPassword: define(
    43,
    "client",
    "An operator gives an account another password; from the replica's machine only.",
    {
      ...op,
      user: name,
      newPassword: text(limits.passwordBytesMax, { secret: true }),
    },
  ),

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
  conversations: define(
    56,
    "client",
    "Asks for an overview of conversations: those in which something waits first, then the latest first.",
    { request: uint(), after: optional(conversationPlace), limit: uint(limits.pageMax) },
  ),
  search: define(57, "client", "Asks for messages that hold words, the best first.", {
    request: uint(),
    text: text(limits.patternBytesMax, { body: true }),
    with: optional(name),
    /** How many of the best are left out. */
    skip: uint(limits.searchSkipMax),
    limit: uint(limits.pageMax),
  }),
  status: define(53, "client", "Asks for the state of the cluster as this replica sees it.", { request: uint() }),
  drafts: define(60, "client", "Asks for the drafts of the account.", { request: uint() }),
  sessions: define(61, "client", "Asks which sessions are logged in to the account.", { request: uint() }),

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
  done: define(
    74,
    "server",
    "Answers the ops that only do something: `count` things were changed, or sessions ended.",
    {
      ...opReply,
      count: uint(),
    },
  ),
  sent: define(75, "server", "Answers send and sendDraft.", {
    ...opReply,
    /** Of the message. That of one that was a draft is made before it is sent: so it cannot be sent twice. */
    id: opId,
    at: uint(),
  }),
  opened: define(76, "server", "Answers open.", { ...opReply, messages: list(messageStruct, limits.openMax) }),
  accountList: define(77, "server", "Answers accounts.", {
    request: uint(),
    accounts: list(struct("account", { user: name, ...presence }), limits.pageMax),
    more: bool,
  }),
  inboxCount: define(78, "server", "Answers inbox.", { request: uint(), count: uint() }),
  messageList: define(79, "server", "Answers messages.", {
    request: uint(),
    messages: list(messageStruct, limits.pageMax),
    more: bool,
  }),
  conversationList: define(83, "server", "Answers conversations.", {
    request: uint(),
    conversations: list(conversation, limits.pageMax),
    more: bool,
  }),
  searchResults: define(
    84,
    "server",
    "Answers search; of each message a snippet, what was found between U+0002 and U+0003.",
    {
      request: uint(),
      messages: list(messageStruct, limits.pageMax),
      snippets: list(text(limits.textBytesMax, { body: true }), limits.pageMax),
      more: bool,
    },
  ),
  statusReport: define(80, "server", "Answers status.", {
    request: uint(),
    ...placementFields,
    replicas: list(replicaStatus, limits.replicasMax),
  }),
  draftSaved: define(86, "server", "Answers saveDraft.", {
    ...opReply,
    /** Another one than was asked for when that was edited, sent or deleted meanwhile: then both are kept. */
    draft: opId,
  }),
  draftList: define(87, "server", "Answers drafts, the one saved last first.", {
    request: uint(),
    drafts: list(draftStruct, limits.draftListMax),
  }),
  sessionList: define(
    88,
    "server",
    "Answers sessions, the one used last first; of very many the oldest are left out.",
    {
      request: uint(),
      sessions: list(sessionStruct, limits.pageMax),
    },
  ),

  // What nobody asked for.
  message: define(90, "server", "A message arrived for the account of this session.", { message: messageStruct }),
  changed: define(
    91,
    "server",
    "Another session of this account marked, deleted or opened messages, or has changed drafts.",
    {
      what: oneOf("read", "deleted", "drafts", "inbox"),
      ids: list(opId, limits.pageMax),
    },
  ),
  notice: define(92, "server", "Something the user should know.", { text: text(1000) }),
  loggedOut: define(93, "server", "The session stands, and is not logged in any more: somebody else ended that.", {
    reason: text(200),
  }),
  presence: define(95, "server", "Somebody with whom this account has talked has come or gone.", {
    user: name,
    ...presence,
  }),
  placement: define(94, "server", "The view changed, or this replica's place in it.", {
    ...placementFields,
    replicas: list(configured, limits.replicasMax),
  }),

  // Of operators.
  ...adminFrames,

  // Between replicas.
  ...replicaFrames,
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
  | "compacted"
  | "snapshotFetch"
  | "snapshotOffer"
  | "snapshotPart"
  | "forward"
  | "probe"
  | "probeReply"
  | "goodbye"
>;
export type AdminRequest = FrameOf<"clusterStatus" | "changeConfig">;
export type Refusal = FrameOf<"refused">;
export type Push = FrameOf<"message" | "changed" | "notice" | "loggedOut" | "presence">;
export type Placement = FrameOf<"placement">;
