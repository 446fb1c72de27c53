/**
 * What a client may ask within its session, and which frame answers each, unless it is refused. Ops go through the log;
 * queries are answered by the replica alone. Tables and types only.
 */
import type { Frame, FrameOf } from "./messages.ts";

export const opAnswers = {
  createAccount: "created",
  login: "loggedIn",
  logout: "done",
  deleteAccount: "done",
  send: "sent",
  open: "opened",
  mark: "done",
  deleteMessages: "done",
  saveDraft: "draftSaved",
  sendDraft: "sent",
  deleteDrafts: "done",
  changePassword: "done",
  endSessions: "done",
  resetPassword: "done",
} as const;

export const queryAnswers = {
  accounts: "accountList",
  inbox: "inboxCount",
  messages: "messageList",
  conversations: "conversationList",
  search: "searchResults",
  drafts: "draftList",
  sessions: "sessionList",
  status: "statusReport",
} as const;

/** Those whose answer may take long to find. */
const longQueries = ["accounts", "messages", "conversations", "search"] as const;

type Ops = typeof opAnswers;
type Queries = typeof queryAnswers;

export type ClientOp = FrameOf<keyof Ops>;
export type ClientQuery = FrameOf<keyof Queries>;
export type LongQuery = FrameOf<(typeof longQueries)[number]>;
/** Replies to ops, which come out of the log. */
export type OpReply = FrameOf<Ops[keyof Ops]>;
export type QueryReply = FrameOf<Queries[keyof Queries]>;
/** Asked and answered, by the names of frames. */
export const answerOf = { ...opAnswers, ...queryAnswers } as const;

type AnswerFrames = { [T in keyof typeof answerOf]: FrameOf<(typeof answerOf)[T]> };
/** The reply to each request. */
export interface Answers extends AnswerFrames {}

const longTypes: ReadonlySet<string> = new Set(longQueries);
const opReplies: ReadonlySet<string> = new Set(Object.values(opAnswers));
const queryReplies: ReadonlySet<string> = new Set(Object.values(queryAnswers));

export const isClientOp = (frame: Frame): frame is ClientOp => Object.hasOwn(opAnswers, frame.type);
/** Also of a request that has no number yet. */
export const isClientQuery = <T extends { readonly type: string }>(
  request: T,
): request is Extract<T, { readonly type: keyof Queries }> => Object.hasOwn(queryAnswers, request.type);
export const isLongQuery = (query: ClientQuery): query is LongQuery => longTypes.has(query.type);
export const isOpReply = (frame: Frame): frame is OpReply => opReplies.has(frame.type);
export const isQueryReply = (frame: Frame): frame is QueryReply => queryReplies.has(frame.type);
