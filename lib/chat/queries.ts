/**
 * Questions answered from the state of this replica, without the log. Changes nothing. What a client may ask is checked
 * here.
 */
import { unreachable } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import type { ClientQuery, ErrorCode, QueryReply, Refusal } from "../protocol/messages.ts";
import type { Account } from "./accounts.ts";
import { isPresent } from "./apply.ts";
import { foldCharacters, foldName, knownNameFault, type Fault } from "./names.ts";
import { parsePattern } from "./pattern.ts";
import { noSuchUser, notLoggedIn } from "./prepare.ts";
import type { Stores } from "./stores.ts";

export type ChatQuery = Exclude<ClientQuery, { type: "status" }>;
type QueryOf<T extends ChatQuery["type"]> = Extract<ChatQuery, { type: T }>;
type Answer = QueryReply | Refusal;

/** `account` is the one that the asking session is logged in to. */
export function answer(stores: Stores, query: ChatQuery, account: Account | null): Answer {
  switch (query.type) {
    case "accounts":
      return listAccounts(stores, query);
    case "inbox":
      if (account === null) return refusal(query, notLoggedIn);
      return { type: "inboxCount", request: query.request, count: stores.queries.inboxCount(account) };
    case "messages":
      return account === null ? refusal(query, notLoggedIn) : listMessages(stores, query, account);
    default:
      return unreachable(query);
  }
}

function listAccounts(stores: Stores, query: QueryOf<"accounts">): Answer {
  const { request, limit } = query;
  const wrong = limitFault(limit);
  if (wrong !== null) return refusal(query, wrong);
  const pattern = parsePattern(query.pattern ?? "*");
  if (typeof pattern === "string") return refusal(query, fault("bad-pattern", pattern));
  const after = query.after === null ? "" : foldName(query.after);
  const accounts: { user: string; online: boolean }[] = [];
  let more = false;
  for (const account of stores.accounts.sorted(after, pattern.prefix)) {
    if (!account.fold.startsWith(pattern.prefix)) break;
    if (!pattern.matches(foldCharacters(account.name))) continue;
    more = accounts.length === limit;
    if (more) break;
    accounts.push({ user: account.name, online: isPresent(account) });
  }
  return { type: "accountList", request, accounts, more };
}

function listMessages(stores: Stores, query: QueryOf<"messages">, account: Account): Answer {
  const { request, limit, unread } = query;
  const wrong = limitFault(limit) ?? (query.with === null ? null : knownNameFault(query.with));
  if (wrong !== null) return refusal(query, wrong);
  const conversation = query.with === null ? null : stores.queries.conversationWith(account, query.with);
  if (query.with !== null && conversation === null) return refusal(query, noSuchUser(query.with));
  const before = query.before ?? Number.MAX_SAFE_INTEGER;
  const messages = stores.queries.page(account, { conversation, before, limit: limit + 1, unread });
  return { type: "messageList", request, messages: messages.slice(0, limit), more: messages.length > limit };
}

const fault = (code: ErrorCode, message: string): Fault => ({ code, message });

const refusal = ({ request }: ChatQuery, { code, message }: Fault): Refusal => ({
  type: "refused",
  request,
  code,
  message,
});

function limitFault(limit: number): Fault | null {
  if (limit >= 1 && limit <= limits.pageMax) return null;
  return fault("bad-command", `A page has 1 to ${limits.pageMax} lines, not ${limit}.`);
}
