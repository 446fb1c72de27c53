/**
 * What the generated tables say about things whose definitions hold no text: limits and error codes. Typed so that a
 * new one without a note does not compile.
 */
import type { limits } from "../../lib/base/limits.ts";
import type { ErrorCode, FrameOf } from "../../lib/protocol/messages.ts";

export const limitNotes: Readonly<Record<keyof typeof limits, string>> = {
  protocolVersion: "protocol version spoken",
  protocolVersionOldest: "oldest protocol version accepted",
  clientFrameBytesMax: "bytes of a frame from a client, after the length prefix",
  replicaFrameBytesMax: "bytes of a frame between replicas, and from a replica to a client",
  frameDepthMax: "nested arrays in a frame",
  recordPayloadBytesMax: "bytes of the payload of one log record",
  segmentBytes: "bytes of one log segment, header included",
  snapshotPartBytes: "bytes of a snapshot in one frame",
  viewTableMax: "beginnings of views remembered of what stands before the first entry of a log",
  batchBytesMax: "bytes of records in one APPEND frame",
  entriesBytesMax: "bytes of records in one ENTRIES frame",
  applyBatchEntriesMax: "entries handed to the state machine at once",
  sessionWindow: "ops of one session unacknowledged at once: seq < oldest + window",
  sendQueueBytesMax: "bytes queued towards a slow reader before it is disconnected",
  helloSeconds: "seconds that a new connection has for its hello",
  idleSeconds: "seconds of silence after which a client is taken for gone",
  graceSeconds: "seconds for which the session of a connection that was lost stays attached",
  sessionDays: "days after which a session that was not used is forgotten",
  pidMax: "greatest pid of a replica",
  replicasMax: "replicas of a cluster",
  userNameCharactersMax: "characters of a user name",
  passwordBytesMin: "bytes of a password, at least",
  passwordBytesMax: "bytes of a password",
  textBytesMax: "bytes of a message's text, as UTF-8",
  patternBytesMax: "bytes of a pattern for account names, and of a search",
  searchSkipMax: "results of a search that can be left out",
  draftsMax: "drafts that an account may make",
  draftListMax: "drafts of one list: a merge can leave an account with more than it may make",
  pageMax: "items of one page (accounts, messages) or of one list of ids",
  openMax: "messages moved out of the inbox by one open",
  jsonLineBytesMax: "bytes of one line of `chatd chat --json`",
};

export const refusalNotes: Readonly<Record<ErrorCode, string>> = {
  "bad-command":
    "the request makes no sense as it stands: an empty text, a page of 0, an oldest above its seq, a seq used again for other content",
  "bad-name": "not a user name",
  "bad-password": "too short or too long for a password",
  "bad-pattern": "not a shell pattern, or a search without a word, or of too many",
  "no-such-user": "there is no account of that name",
  "no-such-message": "one of the messages does not exist for this account; nothing was changed",
  "no-such-draft": "one of the drafts does not exist; nothing was changed",
  "no-such-session": "one of the sessions is none that is logged in to this account; nothing was changed",
  "name-taken": "there is an account of that name already",
  "wrong-password": "the password is not that account's",
  "not-logged-in": "log in first",
  "already-logged-in": "log out first",
  "to-self": "a message to oneself",
  "too-long": "a text is longer than its limit",
  "too-many": "more at once than there may be: a seq ahead of the window",
  "rate-limited": "too many sign-ins at once, or too many wrong passwords for one account; try again in some seconds",
  unavailable: "certainly not proposed by this replica, which serves no clients now; try again, here or elsewhere",
  unknown: "this op was applied before, so long ago that its result is no longer kept: what it did stands",
  unauthorized: "no such session, or not its token; or an operator's request from where it may not come from",
};

export const errorNotes: Readonly<Record<FrameOf<"error">["code"], string>> = {
  version: "the version in hello is not spoken here; `versionOldest` and `versionNewest` say which are",
  protocol: "the first frame is of another protocol",
  cluster: "the replica belongs to another cluster, or is not one of its replicas",
  policy: "the replica was started with another policy",
  frame: "bytes that are no frame: too long, not CBOR, of an unknown number or the wrong shape",
  unexpected: "a sound frame at a time or from a side where it does not belong",
  replaced: "the session goes on over another connection, which was opened later",
  overloaded: "too many connections that have not said hello",
  idle: "nothing was heard for too long",
  internal: "a fault of the sender's own",
};
