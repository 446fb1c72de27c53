/**
 * The commands of the JSON mode, each described once: its fields, the request it becomes, what its reply shows, and how
 * it is ordered among others. A contract with other people's scripts. Must not send, read or write anything.
 */
import * as v from "valibot";
import { limits } from "../base/limits.ts";
import type { DraftsSent } from "../client/drafts.ts";
import type { Answers, OpRequest, QueryRequest } from "../client/types.ts";
import type { ChatMessage, ErrorCode, OpId } from "../protocol/messages.ts";
import { formatOpId, formatView, parseOpId } from "../protocol/ids.ts";

/**
 * Commands have their effects in the order of their lines. `free` ones may be under way together: the log keeps their
 * order. A `step` decides with what is there when it is asked (who exists, who is logged in, what is in the inbox): it
 * waits for everything before it and everything after it waits for it. A `query` sees what the lines before it did.
 * `anytime` waits for nothing, and its reply may overtake others; all other replies come in the order of the lines.
 */
export type Ordering = "free" | "step" | "query" | "anytime";

export interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
}

/** What a line asks for: one request, or several drafts to be sent. */
export type Asked = OpRequest | QueryRequest | { readonly type: "sendDrafts"; readonly drafts: readonly OpId[] };

/** A line that can be done. */
export interface Command {
  readonly name: string;
  readonly tag: string | null;
  readonly ordering: Ordering;
  readonly request: Asked;
}

export type Parsed =
  | { readonly ok: true; readonly command: Command }
  | { readonly ok: false; readonly tag: string | null; readonly refusal: Refusal };

interface Definition {
  readonly fields: v.ObjectEntries;
  readonly ordering: Ordering;
  /** The fields have been checked. A refusal is for what no request can say. */
  readonly request: (fields: never) => Asked | Refusal;
}

/** Binds the fields' types to `request`. */
const command = <const E extends v.ObjectEntries>(
  ordering: Ordering,
  fields: E,
  request: (fields: v.InferOutput<v.StrictObjectSchema<E, undefined>>) => Asked | Refusal,
): Definition => ({ ordering, fields, request });

type ConversationPlace = NonNullable<Extract<QueryRequest, { type: "conversations" }>["after"]>;

const text = v.string("must be a string");
const flag = v.boolean("must be true or false");
const whole = (min: number, max: number) => {
  const message = `must be a whole number from ${min} to ${max}`;
  return v.pipe(v.number(message), v.integer(message), v.minValue(min, message), v.maxValue(max, message));
};
const place = v.custom<ConversationPlace>(isPlace, 'must be {"waiting":…,"index":…}');
const limit = v.optional(whole(1, limits.pageMax));
const ids = v.array(v.string("must be an array of ids"), "must be an array of ids");

const pageDefault = 50;
const account = { user: text, password: text };

const savedWithoutRecipient: Refusal = {
  code: "bad-command",
  message: '"draft" needs the field "to" when it saves a draft that exists; "" is nobody yet.',
};

const definitions: ReadonlyMap<string, Definition> = new Map([
  ["create", command("step", account, ({ user, password }) => ({ type: "createAccount", user, password }))],
  ["login", command("step", account, ({ user, password }) => ({ type: "login", user, password }))],
  ["logout", command("step", {}, () => ({ type: "logout" }))],
  ["delete-account", command("step", { password: text }, ({ password }) => ({ type: "deleteAccount", password }))],
  [
    "change-password",
    command("step", { password: text, new: text }, (fields) => ({
      type: "changePassword",
      password: fields.password,
      newPassword: fields.new,
    })),
  ],
  ["sessions", command("query", {}, () => ({ type: "sessions" }))],
  ["end-sessions", command("step", { sessions: ids }, ({ sessions }) => ({ type: "endSessions", sessions }))],
  [
    "accounts",
    command("query", { pattern: v.optional(text), after: v.optional(text), limit }, (fields) => ({
      type: "accounts",
      pattern: fields.pattern ?? null,
      after: fields.after ?? null,
      limit: fields.limit ?? limits.pageMax,
    })),
  ],
  ["send", command("free", { to: text, text }, (fields) => ({ type: "send", to: fields.to, text: fields.text }))],
  ["inbox", command("query", {}, () => ({ type: "inbox" }))],
  ["open", command("step", { count: whole(1, limits.openMax) }, ({ count }) => ({ type: "open", count }))],
  [
    "messages",
    command(
      "query",
      {
        with: v.optional(text),
        before: v.optional(whole(0, Number.MAX_SAFE_INTEGER)),
        limit,
        unread: v.optional(flag),
      },
      (fields) => ({
        type: "messages",
        with: fields.with ?? null,
        before: fields.before ?? null,
        limit: fields.limit ?? pageDefault,
        unread: fields.unread ?? false,
      }),
    ),
  ],
  [
    "conversations",
    command("query", { after: v.optional(place), limit }, (fields) => ({
      type: "conversations",
      after: fields.after ?? null,
      limit: fields.limit ?? pageDefault,
    })),
  ],
  [
    "search",
    command(
      "query",
      { text, with: v.optional(text), skip: v.optional(whole(0, limits.searchSkipMax)), limit },
      (fields) => ({
        type: "search",
        text: fields.text,
        with: fields.with ?? null,
        skip: fields.skip ?? 0,
        limit: fields.limit ?? pageDefault,
      }),
    ),
  ],
  [
    "mark",
    command("free", { ids, read: flag }, (fields) =>
      withIds("message", fields.ids, (parsed) => ({ type: "mark", ids: parsed, read: fields.read })),
    ),
  ],
  [
    "delete",
    command("free", { ids }, (fields) =>
      withIds("message", fields.ids, (parsed) => ({ type: "deleteMessages", ids: parsed })),
    ),
  ],
  ["drafts", command("query", {}, () => ({ type: "drafts" }))],
  [
    "draft",
    command("step", { draft: v.optional(text), to: v.optional(text), text }, (fields) => {
      const save = (draft: OpId | null) =>
        ({ type: "saveDraft", draft, to: fields.to ?? "", text: fields.text }) as const;
      // A recipient must not get lost because somebody saves another text.
      if (fields.draft !== undefined && fields.to === undefined) return savedWithoutRecipient;
      return fields.draft === undefined
        ? save(null)
        : withIds("draft", [fields.draft], ([draft = null]) => save(draft));
    }),
  ],
  [
    "send-drafts",
    command("step", { drafts: ids }, (fields) =>
      withIds("draft", fields.drafts, (parsed) => ({ type: "sendDrafts", drafts: parsed })),
    ),
  ],
  [
    "delete-drafts",
    command("step", { drafts: ids }, (fields) =>
      withIds("draft", fields.drafts, (parsed) => ({ type: "deleteDrafts", drafts: parsed })),
    ),
  ],
  ["status", command("anytime", {}, () => ({ type: "status" }))],
]);

function isPlace(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Object.keys(value).length !== 2) return false;
  const { waiting, index } = value as Readonly<Record<string, unknown>>;
  return typeof waiting === "boolean" && Number.isSafeInteger(index) && Number(index) >= 0;
}

/** In the order of the table above, for messages and help. */
export const commandNames: readonly string[] = [...definitions.keys()];

const schemas = new Map(
  [...definitions].map(([name, { fields }]) => [
    name,
    v.strictObject({ do: v.literal(name), tag: v.optional(v.string("must be a string")), ...fields }),
  ]),
);

/** Reads one line. Whatever is wrong with it is a refusal that says what. */
export function parseCommand(line: string): Parsed {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return badCommand(null, "The line is not JSON.");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return badCommand(null, "The line is not a JSON object.");
  }
  const { do: name, tag: rawTag } = value as Readonly<Record<string, unknown>>;
  const tag = typeof rawTag === "string" ? rawTag : null;
  if (typeof name !== "string") return badCommand(tag, '"do" must be a string that names a command.');
  const definition = definitions.get(name);
  const schema = schemas.get(name);
  if (definition === undefined || schema === undefined) {
    const shown = JSON.stringify(name.slice(0, 40));
    return badCommand(tag, `There is no command ${shown}. The commands are: ${commandNames.join(", ")}.`);
  }
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (!result.success) return badCommand(tag, explain(name, result.issues[0]));
  const request = definition.request(result.output as never);
  if ("code" in request) return { ok: false, tag, refusal: request };
  return { ok: true, command: { name, tag, ordering: definition.ordering, request } };
}

function badCommand(tag: string | null, message: string): Parsed {
  return { ok: false, tag, refusal: { code: "bad-command", message } };
}

function explain(name: string, issue: v.BaseIssue<unknown>): string {
  const key = issue.path?.[0]?.key;
  const field = JSON.stringify(typeof key === "string" ? key.slice(0, 40) : "");
  if (issue.type !== "strict_object") return `${field} ${issue.message}.`;
  return issue.expected === "never" ? `"${name}" has no field ${field}.` : `"${name}" needs the field ${field}.`;
}

/** What is not of the form of an id is the id of nothing. */
function withIds<T>(of: "message" | "draft", texts: readonly string[], request: (ids: OpId[]) => T): T | Refusal {
  const parsed: OpId[] = [];
  for (const each of texts) {
    const id = parseOpId(each);
    if (id === null)
      return { code: `no-such-${of}`, message: `${JSON.stringify(each.slice(0, 80))} is no ${of}'s id.` };
    parsed.push(id);
  }
  return request(parsed);
}

/** Commands whose reply says how many they changed. */
const counted: ReadonlySet<string> = new Set(["mark", "delete", "delete-drafts", "change-password", "end-sessions"]);

/** A message as scripts see it. */
export function showMessage({ id, index, from, to, text: body, at, read, inbox }: ChatMessage) {
  return { id: formatOpId(id), index, from, to, text: body, at, read, inbox };
}

/** What stands around what was found, and what was found, in turn. */
const partsOf = (snippet: string): string[] => snippet.replaceAll("\u0003", "\u0002").split("\u0002");

function showConversation({ user, online, unread, inbox, last }: Answers["conversations"]["conversations"][number]) {
  return { user, online, unread, inbox, last: showMessage(last) };
}

/** The fields of the reply to a command that was done, after `"ok":true`. */
export function showAnswer(
  name: string,
  answer: Answers[keyof Answers] | DraftsSent,
): Readonly<Record<string, unknown>> {
  switch (answer.type) {
    case "created":
      return { user: answer.user };
    case "loggedIn":
      return { user: answer.user, inbox: answer.inbox, drafts: answer.drafts };
    case "done":
      return counted.has(name) ? { count: answer.count } : {};
    case "sent": {
      const { id, index, at, copies, duplicate } = answer;
      return { id: formatOpId(id), index, at, copies, ...(duplicate ? { duplicate } : {}) };
    }
    case "opened":
      return { messages: answer.messages.map(showMessage) };
    case "accountList":
      return {
        accounts: answer.accounts.map(({ user, online, lastSeenAt: lastSeen }) => ({ user, online, lastSeen })),
        more: answer.more,
      };
    case "inboxCount":
      return { count: answer.count };
    case "messageList":
      return { messages: answer.messages.map(showMessage), more: answer.more };
    case "conversationList":
      return { conversations: answer.conversations.map(showConversation), more: answer.more };
    case "searchResults": {
      const { messages, snippets, more } = answer;
      const shown = messages.map((message, at) => ({ ...showMessage(message), snippet: partsOf(snippets[at] ?? "") }));
      return { messages: shown, more };
    }
    case "draftSaved":
      return { draft: formatOpId(answer.draft) };
    case "draftList":
      return { drafts: answer.drafts.map((draft) => ({ ...draft, draft: formatOpId(draft.draft) })) };
    case "sessionList":
      return {
        sessions: answer.sessions.map(({ session, since, usedAt, replica, attached, current, software }) => {
          return { session, since, lastUsed: usedAt, replica, attached, current, software };
        }),
      };
    case "draftsSent": {
      const refused = answer.refused.map(({ draft, refusal: { code: error, message } }) => {
        return { draft: formatOpId(draft), error, message };
      });
      const sent = answer.sent.map(({ draft, id }) => ({ draft: formatOpId(draft), id: formatOpId(id) }));
      return { sent, ...(refused.length === 0 ? {} : { refused }) };
    }
    case "statusReport": {
      const { replica, primary, view, policy, provisional, copies, replicas } = answer;
      return {
        replica,
        primary,
        view: formatView(view),
        policy,
        provisional,
        copies,
        replicas: replicas.map(showReplica),
      };
    }
  }
}

/** Of one that is not heard nothing but its address is known. */
function showReplica(replica: Answers["status"]["replicas"][number]) {
  const { pid, address, role, index, commit, lag, connections } = replica;
  if (role === "unreachable") return { pid, address, role, index: null, commit: null, lag: null, connections: null };
  return { pid, address, role, index, commit, lag, connections };
}
