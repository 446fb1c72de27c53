/**
 * What travels inside an OP entry: the commands of the chat, defined once. Opaque bytes to `lib/replication`.
 * Every command names accounts, messages and drafts by id, resolved before it is proposed, and carries everything random.
 */
import { limits } from "../base/limits.ts";
import { errorCode, opId } from "./fields.ts";
import { bool, bytes, define, list, optional, text, uint, uuid, type ValueOf } from "./schema.ts";

/** Which connection of which process holds a session. A later attachment replaces an earlier one. */
const attachment = {
  pid: uint(limits.pidMax),
  incarnation: uint(),
  /** Counts the attachments made by that incarnation. */
  number: uint(),
} as const;

export const commands = {
  // System ops, proposed by a replica under its own incarnation: idempotent, not deduplicated.
  attach: define(2, "log", "A replica holds this session now.", { session: uuid, ...attachment }),
  detach: define(3, "log", "This attachment has ended; nothing happens if a later one has replaced it.", {
    session: uuid,
    ...attachment,
    /** What was delivered to the session above this index has reached nobody. */
    seen: uint(),
  }),
  expire: define(
    12,
    "log",
    "Closes sessions that nobody holds and nobody has used since; forgets those that were closed long enough ago.",
    {
      /** Every replica of the config held the log up to here, and nothing of a fork was left to be merged. */
      settled: uint(),
      before: uint(),
      sessions: list(uuid, limits.pageMax),
    },
  ),
  // Ops of a client's session.
  registerSession: define(1, "log", "As openSession, of a program without a name: in older logs.", {
    /** SHA-256 of the session's token. */
    tokenHash: bytes(32, 32, { secret: true }),
    ...attachment,
  }),
  createAccount: define(4, "log", "Claims a name; the account's id is the op's id.", {
    user: text(4 * limits.userNameCharactersMax),
    passwordHash: text(300, { secret: true }),
  }),
  login: define(5, "log", "As signIn, whatever the password is now: in older logs.", { account: opId }),
  logout: define(6, "log", "Logs the op's session out.", {}),
  deleteAccount: define(7, "log", "Deletes an account.", { account: opId }),
  send: define(8, "log", "A message; its id is the op's id.", {
    from: opId,
    to: opId,
    text: text(limits.textBytesMax, { body: true }),
  }),
  open: define(9, "log", "Moves messages out of an account's inbox.", {
    account: opId,
    ids: list(opId, limits.openMax),
  }),
  mark: define(10, "log", "Marks messages of an account read or unread.", {
    account: opId,
    ids: list(opId, limits.pageMax),
    read: bool,
  }),
  deleteMessages: define(11, "log", "Deletes messages for one account.", {
    account: opId,
    ids: list(opId, limits.pageMax),
  }),
  saveDraft: define(13, "log", "Keeps a draft; the op's id is that of the version, and of the draft if it is new.", {
    account: opId,
    /** The one that its author saw, which it takes the place of; null for a new draft. */
    version: optional(opId),
    to: optional(opId),
    text: text(limits.textBytesMax, { body: true }),
  }),
  sendDraft: define(14, "log", "Makes a message of a version of a draft; its id is that of the version.", {
    from: opId,
    version: opId,
    to: opId,
    text: text(limits.textBytesMax, { body: true }),
  }),
  deleteDrafts: define(15, "log", "Deletes drafts that still are in these versions.", {
    account: opId,
    versions: list(opId, limits.pageMax),
  }),
  changePassword: define(16, "log", "Gives an account another password; the op's id is that of the password.", {
    account: opId,
    /** The op that set the password which was checked: the account's own, or a change. */
    credential: opId,
    passwordHash: text(300, { secret: true }),
  }),
  endSessions: define(17, "log", "Logs sessions out that are logged in to this account.", {
    account: opId,
    sessions: list(uuid, limits.pageMax),
  }),
  resetPassword: define(18, "log", "Gives an account another password, asked for by an operator.", {
    account: opId,
    passwordHash: text(300, { secret: true }),
  }),
  signIn: define(19, "log", "Logs the op's session in, if the password that was checked is still the account's.", {
    account: opId,
    /** The op that set it. */
    credential: opId,
  }),
  openSession: define(20, "log", "Makes the op's session known; its seq is 0.", {
    /** SHA-256 of the session's token. */
    tokenHash: bytes(32, 32, { secret: true }),
    ...attachment,
    /** What its program calls itself. */
    software: text(100),
  }),
  refuse: define(21, "log", "Refuses the op for good: a copy of it that comes out of the log later is not done.", {
    code: errorCode,
    message: text(1000),
  }),
} as const;

export type Command = ValueOf<typeof commands>;
