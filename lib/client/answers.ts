/** What kind of reply belongs to each request. Pure tables over the protocol's names. */
import type { Answers, OpRequest, QueryRequest } from "./types.ts";

/** Which reply answers which request; any other is a server's error. */
export const answerOf = {
  createAccount: "created",
  login: "loggedIn",
  logout: "done",
  deleteAccount: "done",
  send: "sent",
  open: "opened",
  mark: "done",
  deleteMessages: "done",
  accounts: "accountList",
  inbox: "inboxCount",
  messages: "messageList",
  conversations: "conversationList",
  search: "searchResults",
  status: "statusReport",
} as const satisfies { [T in keyof Answers]: Answers[T]["type"] };

const queries: ReadonlySet<string> = new Set<QueryRequest["type"]>([
  ...(["accounts", "inbox", "messages", "conversations", "search", "status"] as const),
]);

/** Queries are answered by the replica alone; everything else is an op and goes through the log. */
export const isQuery = (request: OpRequest | QueryRequest): request is QueryRequest => queries.has(request.type);
