/**
 * Questions answered from the state of this replica, without the log. Changes nothing. What a client may ask is checked
 * here, and in `reader.ts` for what may take long.
 */
import { unreachable } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import type { ClientQuery, QueryReply, Refusal } from "../protocol/messages.ts";
import type { Account } from "./accounts.ts";
import { notLoggedIn } from "./prepare.ts";
import { namesOf } from "./sessions.ts";
import type { Stores } from "./stores.ts";

export type ChatQuery = Exclude<ClientQuery, { type: "status" }>;

/** `account` is the one that the asking session, if there is one, is logged in to. */
export function answer(
  stores: Stores,
  query: ChatQuery,
  account: Account | null,
  session: string | null,
): QueryReply | Refusal {
  const { request } = query;
  switch (query.type) {
    case "accounts":
    case "messages":
    case "conversations":
    case "search":
      return stores.reader.answer(query, account?.id ?? null);
    case "inbox":
      if (account === null) return { type: "refused", request, ...notLoggedIn };
      return { type: "inboxCount", request, count: stores.queries.inboxCount(account.number) };
    case "drafts":
      if (account === null) return { type: "refused", request, ...notLoggedIn };
      return { type: "draftList", request, drafts: listDrafts(stores, account) };
    case "sessions":
      if (account === null) return { type: "refused", request, ...notLoggedIn };
      return { type: "sessionList", request, sessions: listSessions(account, session) };
    default:
      return unreachable(query);
  }
}

function listSessions(account: Account, asking: string | null) {
  const all = [...account.sessions];
  const names = namesOf(all);
  const newest = all
    .sort((one, other) => other.usedAt - one.usedAt || other.login - one.login)
    .slice(0, limits.pageMax);
  return newest.map((session) => ({
    session: names.get(session) ?? session.uuid,
    since: session.createdAt,
    usedAt: session.usedAt,
    replica: session.lastAttachment.pid,
    attached: session.attachment !== null,
    current: session.uuid === asking,
    software: session.software ?? "",
  }));
}

function listDrafts(stores: Stores, account: Account) {
  return stores.drafts.list(account).map(({ id, recipient, text, at }) => {
    const to = recipient === null ? null : stores.accounts.byNumber(recipient);
    return { draft: id, to: to?.name ?? "", text, at };
  });
}
