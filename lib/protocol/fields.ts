/**
 * What frames and log entries are made of: the values that several of them carry, defined once. Defines no frame.
 */
import { limits } from "../base/limits.ts";
import { bool, bytes, hash64, list, oneOf, optional, struct, text, uint, uuid, type Infer } from "./schema.ts";

/** First field of every hello; never changes, in any version. */
export const protocolMagic = "chatd";

/** `(n, pid)` as the integer n · 256 + pid; 0 is "no view". */
export const view = uint(Number.MAX_SAFE_INTEGER, { as: "view" });
export const index = uint();
export const pid = uint(limits.pidMax);
export const name = text(4 * limits.userNameCharactersMax);
export const address = text(300);
export const token = bytes(16, 64, { secret: true });

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

export const viewStart = struct("view-start", { view, firstIndex: index });
export type ViewStart = Infer<typeof viewStart>;

/** A snapshot of the state: the point of the log at which it was taken, and the whole file. */
export const snapshotName = struct("snapshot-name", { position, sizeBytes: uint(), sha256: bytes(32, 32) });
export type SnapshotName = Infer<typeof snapshotName>;

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

/** Where a page of conversations ended: whether something waits in the last one, and the index of its last message. */
export const conversationPlace = struct("conversation-place", { waiting: bool, index });

/** `unread` counts what was received, is out of the inbox and not marked read. `last`: its text may be cut short. */
export const conversation = struct("conversation", {
  user: name,
  online: bool,
  unread: uint(),
  inbox: uint(),
  last: messageStruct,
});

export const draftStruct = struct("draft", {
  draft: opId,
  /** Empty while the recipient is not chosen, or when that account is gone. */
  to: name,
  text: text(limits.textBytesMax, { body: true }),
  /** When it was saved last. */
  at: uint(),
});
export type Draft = Infer<typeof draftStruct>;

/** A session that is logged in to the account, as its owner sees it. */
export const sessionStruct = struct("session", {
  /** The beginning of its uuid, as long as it takes to tell it from the others of the account. */
  session: text(36),
  /** When it was registered. */
  since: uint(),
  /** Within 64 ops, when it was attached, detached or did something last. */
  usedAt: uint(),
  /** That holds it, or held it last. */
  replica: pid,
  attached: bool,
  /** The one that asks. */
  current: bool,
  software: text(100),
});

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
export const placementFields = {
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
  "no-such-session",
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
