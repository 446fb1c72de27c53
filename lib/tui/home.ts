/**
 * The home screen as a function of state, and what each choice on it leads to: conversations, the inbox, other screens.
 * Draws nothing; one visit ends with one choice.
 */
import { limits } from "../base/limits.ts";
import type { ConversationEntry } from "./conversation-list.ts";
import type { ChatContext } from "./context.ts";
import { AccountPage } from "./account-page.ts";
import { ClusterPage } from "./cluster-page.ts";
import { DraftPage } from "./draft-page.ts";
import { PeoplePage } from "./people-page.ts";
import { openInbox, search } from "./message-sources.ts";
import { shownName } from "./names.ts";
import { messageCount, type Found } from "./questions.ts";
import { clockTime, onDisks, sameName } from "./sentences.ts";
import type { Item, Line, Page, Question } from "./surface.ts";
import type { Symbols } from "./theme.ts";

export interface HomeState {
  readonly user: string;
  readonly greeting: readonly Line[];
  readonly entries: readonly ConversationEntry[];
  readonly loaded: boolean;
  readonly inbox: number;
  readonly drafts: number;
  /** Whom a line was begun to. */
  readonly begun: (user: string) => boolean;
  readonly connected: string;
  readonly replicas: string;
  readonly nowMs: number;
  readonly symbols: Symbols;
  readonly command: Question;
}

/** How long somebody is looked up before their conversation opens: without a connection it opens all the same. */
const lookUpPatienceMs = 1000;

/** Ids of items that are no conversation begin with a slash, as no name does. */
const entries: readonly { id: string; letter: string; brief: string; label: string }[] = [
  { id: "/write", letter: "w", brief: "write", label: "Write to someone" },
  { id: "/inbox", letter: "i", brief: "inbox", label: "Inbox" },
  { id: "/drafts", letter: "d", brief: "drafts", label: "Drafts" },
  { id: "/search", letter: "s", brief: "search", label: "Search" },
  { id: "/people", letter: "a", brief: "accounts", label: "Accounts" },
  { id: "/cluster", letter: "c", brief: "cluster", label: "Cluster" },
  { id: "/account", letter: "m", brief: "account", label: "My account" },
  { id: "/quit", letter: "q", brief: "quit", label: "Quit" },
];

export function homePage(state: HomeState): Page {
  const { symbols } = state;
  const details: Record<string, string> = {
    "/inbox": state.inbox === 0 ? "empty" : `${state.inbox} ${state.inbox === 1 ? "waits" : "wait"}`,
    "/drafts": state.drafts === 0 ? "" : `${state.drafts}`,
    "/cluster": state.replicas,
  };
  const menu: Item[] = entries.map(({ id, letter, brief, label }, at) => {
    const detail = details[id] ?? "";
    return {
      id,
      letter,
      brief,
      left: [
        { text: `${letter}  `, style: "prompt" },
        { text: label, style: "plain" },
        { text: detail === "" ? "" : `  ${detail}`, style: id === "/inbox" && state.inbox > 0 ? "good" : "dim" },
      ],
      ...(at === 0 ? { apart: true } : {}),
    };
  });
  const talks = state.entries.map((entry) => conversationItem(entry, state));
  const none: Line = {
    tone: "dim",
    text: state.loaded ? "No conversations yet." : `Loading conversations${symbols.ellipsis}`,
  };
  return {
    title: `chatd ${symbols.dot} ${state.user}`,
    aside: state.connected,
    lines: talks.length === 0 && state.greeting.length < 3 ? [...state.greeting, none] : state.greeting,
    items: [...talks, ...menu],
    start: "first",
    marks: false,
    keys: [
      { name: "return", label: "opens" },
      { name: "tab", label: "unread" },
      { name: "/", label: "commands" },
    ],
    command: state.command,
  };
}

function conversationItem(entry: ConversationEntry, state: HomeState): Item {
  const { symbols } = state;
  const { last } = entry;
  const fresh = entry.unread + entry.inbox;
  const presence = entry.online ? symbols.online : symbols.away;
  const own = sameName(last.from, state.user);
  const text = `${own ? `${symbols.arrow} ` : ""}${last.text.replace(/\s+/g, " ")}`;
  return {
    id: entry.user,
    left: [
      { text: `${presence} `, style: entry.online ? "good" : "dim" },
      { text: shownName(entry.user), style: `name:${entry.user}` },
      { text: fresh > 0 ? `  ${fresh} new` : "", style: "good" },
      { text: state.begun(entry.user) ? "  draft" : "", style: "warning" },
      { text: `  ${text}`, style: fresh > 0 ? "plain" : "dim" },
    ],
    right: [{ text: clockTime(last.at, state.nowMs), style: "dim" }],
  };
}

export class Home {
  /** What is said at the top until home is left for the first time. */
  greeting: readonly Line[] = [];
  readonly #context: ChatContext;
  readonly #page = (): Page => ({ ...homePage(this.#state()), after: () => void this.#context.list.loadMore() });

  constructor(context: ChatContext) {
    this.#context = context;
  }

  /** Shows home until one thing is chosen, and does that. */
  async visit(): Promise<void> {
    const { surface, list } = this.#context;
    void list.load();
    const picked = await surface.pick(this.#page);
    switch (picked.type) {
      case "item":
        this.greeting = [];
        return this.#open(picked.id);
      case "key": {
        const next = list.nextUnread(null);
        if (next === null) return surface.say({ tone: "dim", text: "Nothing is unread." });
        return this.#context.talkTo(next);
      }
      case "line":
        return this.#context.runLine(picked.text);
      case "back":
        return surface.say({ tone: "dim", text: "This is home: q, or Ctrl-C twice, quits." });
      case "interrupted":
        return;
    }
  }

  async #open(id: string): Promise<void> {
    const context = this.#context;
    switch (id) {
      case "/write":
        return this.#write();
      case "/inbox":
        return this.#inbox();
      case "/drafts":
        return new DraftPage(context).visit();
      case "/search":
        return search(context, null);
      case "/people":
        return new PeoplePage(context).visit();
      case "/cluster":
        return new ClusterPage(context).visit();
      case "/account":
        return new AccountPage(context).visit();
      case "/quit":
        return context.surface.leave();
      default:
        return context.talkTo(id);
    }
  }

  async #write(): Promise<void> {
    const { surface, questions, user } = this.#context;
    const complete = (before: string): string[] =>
      questions.knownNames().filter((name) => name.toLowerCase().startsWith(before.toLowerCase()));
    const answer = await surface.ask({ kind: "field", label: "To (Tab completes)", back: true, complete });
    if (answer.type !== "line" || answer.text.trim() === "") return;
    const name = answer.text.trim().replace(/^@/, "");
    if (sameName(name, user)) return surface.say({ tone: "dim", text: "That is you: nobody sends to themselves." });
    const looking = questions.lookUp(name);
    const found = await surface.busy("Looking for the account", soon(looking), "ahead");
    if (found === "late") this.#context.talkTo(name, looking);
    // What was typed ahead was for a conversation that does not open.
    else if (found === null || found === "") surface.takeTyped();
    else if (found !== "left") this.#context.talkTo(found.user);
  }

  async #inbox(): Promise<void> {
    const { surface, list } = this.#context;
    if (list.inbox === 0) return surface.say({ tone: "dim", text: "Your inbox is empty." });
    const all = Math.min(list.inbox, limits.openMax);
    const label = `Open how many (Enter: ${all})`;
    const accept = (text: string): string | null =>
      messageCount(text.trim(), all) === null ? `A number from 1 to ${limits.openMax}.` : null;
    const answer = await surface.ask({ kind: "field", label, back: true, accept });
    if (answer.type !== "line") return;
    return openInbox(this.#context, messageCount(answer.text.trim(), all) ?? all);
  }

  #state(): HomeState {
    const { surface, list, drafts, client, connection, unfinished, user, command } = this.#context;
    const { connection: now } = client;
    const isUp = now.state === "connected" || now.state === "reconnected";
    const disks = isUp ? onDisks(now.copies, connection.replicas).text : "";
    return {
      user,
      greeting: this.greeting,
      entries: list.entries,
      loaded: list.loaded,
      inbox: list.inbox,
      drafts: drafts.count,
      begun: (name) => unfinished.get(name) !== null,
      connected: isUp ? `replica ${now.replica} ${surface.symbols.dot} ${disks}` : "not connected",
      replicas: isUp && connection.replicas > 0 ? disks : "",
      nowMs: Date.now(),
      symbols: surface.symbols,
      command,
    };
  }
}

async function soon(looking: Promise<Found>): Promise<Found | "late"> {
  const { promise: late, resolve } = Promise.withResolvers<"late">();
  const timer = setTimeout(resolve, lookUpPatienceMs, "late");
  try {
    return await Promise.race([looking, late]);
  } finally {
    clearTimeout(timer);
  }
}
