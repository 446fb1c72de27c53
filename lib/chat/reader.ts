/**
 * Answers the questions that may take long, from the tables alone: on the connection that applies, or on one of its own on
 * another thread, which sees what was committed when the question came. Changes nothing, and holds nothing in memory.
 */
import type { Database } from "bun:sqlite";
import { unreachable } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import type { ErrorCode, LongQuery, OpId, QueryReply, Refusal } from "../protocol/messages.ts";
import { AccountQueries, type KnownAccount } from "./account-queries.ts";
import { ConversationQueries } from "./conversation-queries.ts";
import { MessageQueries } from "./message-queries.ts";
import { foldName, knownNameFault, type Fault } from "./names.ts";
import { parsePattern } from "./pattern.ts";
import { parseSearch } from "./search-text.ts";
import { Search } from "./search.ts";
import { noSuchUser, notLoggedIn } from "./prepare.ts";
import { Statements } from "./statements.ts";

type QueryOf<T extends LongQuery["type"]> = Extract<LongQuery, { type: T }>;
type Answer = QueryReply | Refusal;

export class Reader {
  readonly #accounts: AccountQueries;
  readonly #messages: MessageQueries;
  readonly #conversations: ConversationQueries;
  readonly #search: Search;

  constructor(statements: Statements) {
    const point = statements.prepare<{ settled: number }, []>("SELECT settled FROM point");
    const settled = (): number => point.get()?.settled ?? 0;
    this.#accounts = new AccountQueries(statements);
    this.#messages = new MessageQueries(statements, settled);
    this.#conversations = new ConversationQueries(statements, this.#accounts, this.#messages, settled);
    this.#search = new Search(statements, this.#messages, settled);
  }

  /** `account` is the one that the asking session is logged in to. */
  answer(query: LongQuery, account: OpId | null): Answer {
    if (query.type === "accounts") return this.#listAccounts(query);
    const owner = account === null ? null : this.#accounts.byId(account);
    if (owner === null) return refusal(query, notLoggedIn);
    switch (query.type) {
      case "messages":
        return this.#listMessages(query, owner);
      case "conversations":
        return this.#listConversations(query, owner);
      case "search":
        return this.#searchMessages(query, owner);
      default:
        return unreachable(query);
    }
  }

  #listAccounts(query: QueryOf<"accounts">): Answer {
    const { request, limit } = query;
    const wrong = limitFault(limit);
    if (wrong !== null) return refusal(query, wrong);
    const pattern = parsePattern(query.pattern ?? "*");
    if (typeof pattern === "string") return refusal(query, fault("bad-pattern", pattern));
    const after = query.after === null ? "" : foldName(query.after);
    const found = this.#accounts.matching(pattern, after, limit + 1);
    const accounts = found.slice(0, limit).map(({ number, name, last_seen_at }) => {
      const online = this.#accounts.isOnline(number);
      return { user: name, online, lastSeenAt: online ? null : last_seen_at };
    });
    return { type: "accountList", request, accounts, more: found.length > limit };
  }

  #listMessages(query: QueryOf<"messages">, owner: KnownAccount): Answer {
    const { request, limit, unread } = query;
    const wrong = limitFault(limit);
    if (wrong !== null) return refusal(query, wrong);
    const conversation = query.with === null ? null : this.#conversationWith(owner, query.with);
    if (typeof conversation === "object" && conversation !== null) return refusal(query, conversation);
    const before = query.before ?? Number.MAX_SAFE_INTEGER;
    const messages = this.#messages.page(owner.number, { conversation, before, limit: limit + 1, unread });
    return { type: "messageList", request, messages: messages.slice(0, limit), more: messages.length > limit };
  }

  #listConversations(query: QueryOf<"conversations">, owner: KnownAccount): Answer {
    const { request, limit, after } = query;
    const wrong = limitFault(limit);
    if (wrong !== null) return refusal(query, wrong);
    const conversations = this.#conversations.list(owner.number, after, limit + 1);
    const more = conversations.length > limit;
    return { type: "conversationList", request, conversations: conversations.slice(0, limit), more };
  }

  #searchMessages(query: QueryOf<"search">, { number: owner, name }: KnownAccount): Answer {
    const { request, limit, skip } = query;
    const wrong = limitFault(limit);
    if (wrong !== null) return refusal(query, wrong);
    const parsed = parseSearch(query.text);
    if (typeof parsed === "string") return refusal(query, fault("bad-pattern", parsed));
    let other: number | null = null;
    if (query.with !== null) {
      const conversation = this.#conversationWith({ number: owner, name }, query.with);
      if (typeof conversation === "object") return refusal(query, conversation);
      // Nothing was written yet: no account has the number 0.
      other = this.#messages.otherIn(conversation, owner) ?? 0;
    }
    const found = this.#search.find({ owner, other, expression: parsed.expression, skip, limit: limit + 1 });
    const shown = found.slice(0, limit);
    return {
      type: "searchResults",
      request,
      messages: shown.map(({ message }) => message),
      snippets: shown.map(({ snippet }) => snippet),
      more: found.length > limit,
    };
  }

  /** The conversation with whoever has this name, or had it last; 0 when there was none yet. */
  #conversationWith(owner: KnownAccount, name: string): number | Fault {
    const wrong = knownNameFault(name);
    if (wrong !== null) return wrong;
    const fold = foldName(name);
    const other = this.#accounts.byFold(fold);
    const found =
      other === null
        ? this.#messages.conversationWithBuried(owner.number, fold)
        : this.#messages.conversationBetween(owner.number, other.number);
    return found ?? noSuchUser(name);
  }
}

export interface OpenReader {
  answer(query: LongQuery, account: OpId | null): QueryReply | Refusal;
  close(): void;
}

/** A reader on a connection of its own; who asks opens and closes that, and sees to it that nobody writes with it. */
export function openReader(database: Database): OpenReader {
  const statements = new Statements(database);
  const reader = new Reader(statements);
  // All of an answer is of one moment.
  const answer = database.transaction((query: LongQuery, account: OpId | null) => reader.answer(query, account));
  return { answer, close: () => statements.finalize() };
}

const fault = (code: ErrorCode, message: string): Fault => ({ code, message });

const refusal = ({ request }: LongQuery, { code, message }: Fault): Refusal => ({
  type: "refused",
  request,
  code,
  message,
});

function limitFault(limit: number): Fault | null {
  if (limit >= 1 && limit <= limits.pageMax) return null;
  return fault("bad-command", `A page has 1 to ${limits.pageMax} lines, not ${limit}.`);
}
