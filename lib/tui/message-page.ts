/**
 * A page of messages to look back in: older history, an opened inbox, what a search found. Messages are marked, deleted
 * for this account, called unread again; older ones come as they are reached. The page is a function of its state.
 */
import type { ChatMessage, OpId } from "../protocol/messages.ts";
import type { ChatContext } from "./context.ts";
import { shownName } from "./names.ts";
import { answered, untilDone } from "./requests.ts";
import { clockTime, count, sameName, snippetParts } from "./sentences.ts";
import type { Span } from "./layout.ts";
import type { Item, Page, PageKey } from "./surface.ts";
import type { Style, Symbols } from "./theme.ts";

export interface MessageSource {
  readonly title: string;
  /** With which to begin; further ones are beyond the other end. */
  readonly start: "first" | "last";
  /** Searches among them. */
  readonly find?: () => Promise<void>;
  /** The messages beyond those that are known, as they are to be shown; null when it was refused. */
  readonly load: (known: readonly ChatMessage[]) => Promise<LoadedMessages | null>;
}

export interface LoadedMessages {
  readonly messages: readonly ChatMessage[];
  /** In place of each text: what was found stands between U+0002 and U+0003. */
  readonly snippets?: readonly string[];
  readonly more: boolean;
}

export interface MessagePageState {
  readonly title: string;
  readonly start: "first" | "last";
  readonly user: string;
  readonly messages: readonly ChatMessage[];
  readonly snippets: ReadonlyMap<string, string>;
  readonly loading: boolean;
  readonly more: boolean;
  readonly nowMs: number;
  readonly symbols: Symbols;
}

const findKey: PageKey = { name: "f", label: "finds" };
const keys: readonly PageKey[] = [
  { name: "return", label: "answers" },
  { name: "d", label: "deletes" },
  { name: "u", label: "unread" },
  { name: "escape", label: "back" },
];

export function messagePage(state: MessagePageState): Omit<Page, "before" | "command"> {
  const { symbols } = state;
  const beyond = state.start === "last" ? "older ones above" : "more below";
  const waiting = state.loading ? `loading${symbols.ellipsis}` : state.more ? beyond : "";
  return {
    title: state.title,
    aside: waiting,
    lines: [],
    items: state.messages.map((message) => messageItem(message, state)),
    empty: state.loading ? `Loading${symbols.ellipsis}` : "No messages.",
    start: state.start,
    marks: true,
    keys,
  };
}

function messageItem(message: ChatMessage, { user, symbols, nowMs, snippets }: MessagePageState): Item {
  const snippet = snippets.get(idText(message.id));
  const own = sameName(message.from, user);
  return {
    id: idText(message.id),
    wraps: true,
    left: [
      { text: `${clockTime(message.at, nowMs)} `, style: "dim" },
      own
        ? { text: `${symbols.arrow} ${shownName(message.to)}: `, style: "own" }
        : { text: `${shownName(message.from)}: `, style: `name:${message.from}` },
      { text: own || message.read ? "" : "(new) ", style: "good" },
      ...(snippet === undefined ? [{ text: message.text, style: "plain" } as const] : found(snippet)),
    ],
  };
}

/** What stands around what was found, and what was found, in turn. */
function found(snippet: string): Span<Style>[] {
  return snippetParts(snippet).map((text, at) => ({ text, style: at % 2 === 1 ? "prompt" : "plain" }));
}

export class MessagePage {
  readonly #context: ChatContext;
  readonly #source: MessageSource;
  #messages: ChatMessage[] = [];
  readonly #snippets = new Map<string, string>();
  /** Those that have not been in the window yet: they are not read. */
  readonly #unseen = new Map<string, ChatMessage>();
  #more = true;
  #loading = false;
  readonly #page = (): Page => ({
    ...messagePage(this.#state()),
    command: this.#context.command,
    ...(this.#source.find === undefined ? {} : { keys: [findKey, ...keys] }),
    [this.#source.start === "last" ? "before" : "after"]: () => void this.#load(),
    inWindow: (ids) => this.#seen(ids),
  });

  constructor(context: ChatContext, source: MessageSource) {
    this.#context = context;
    this.#source = source;
  }

  /** Until it is left; the conversation of a message that was chosen is opened then. */
  async visit(): Promise<void> {
    const { surface, user } = this.#context;
    for (;;) {
      const picked = await surface.pick(this.#page);
      if (picked.type === "back" || picked.type === "interrupted") return;
      if (picked.type === "line") {
        await this.#context.runLine(picked.text);
        return;
      }
      if (picked.type === "key" && picked.name === "f") return this.#source.find?.();
      const ids = picked.type === "item" ? [picked.id] : picked.ids;
      const messages = this.#messages.filter(({ id }) => ids.includes(idText(id)));
      const [first] = messages;
      if (first === undefined) continue;
      if (picked.type === "key" && picked.name === "d") await this.#delete(messages);
      else if (picked.type === "key" && picked.name === "u") await this.#unread(messages);
      else return this.#context.talkTo(sameName(first.from, user) ? first.to : first.from);
    }
  }

  async #load(): Promise<void> {
    if (this.#loading || !this.#more) return;
    this.#loading = true;
    const loaded = await this.#source.load(this.#messages);
    this.#loading = false;
    this.#more = loaded?.more ?? false;
    if (loaded !== null) {
      const [one, other] =
        this.#source.start === "last" ? [loaded.messages, this.#messages] : [this.#messages, loaded.messages];
      this.#messages = [...one, ...other];
      loaded.messages.forEach(({ id }, at) => {
        const snippet = loaded.snippets?.[at];
        if (snippet !== undefined) this.#snippets.set(idText(id), snippet);
      });
      for (const message of loaded.messages) this.#unseen.set(idText(message.id), message);
    }
    this.#context.surface.refresh();
  }

  #seen(ids: readonly string[]): void {
    const seen = ids.flatMap((id) => this.#unseen.get(id) ?? []);
    for (const id of ids) this.#unseen.delete(id);
    if (seen.length > 0) this.#context.marks?.shown(...seen);
  }

  async #delete(messages: readonly ChatMessage[]): Promise<void> {
    const { surface, client, list } = this.#context;
    const what = count(messages.length, "message");
    if (!(await surface.confirm(`Delete ${what}? For you alone, for good.`, "No, keep", "Yes, delete"))) return;
    const ids = messages.map(({ id }) => id);
    const remove = async (): Promise<void> => {
      const answer = await answered(client, { type: "deleteMessages", ids });
      if (answer.type === "refused") return surface.say({ tone: "bad", text: `Not deleted: ${answer.message}` });
      const gone = new Set(ids.map(idText));
      this.#messages = this.#messages.filter(({ id }) => !gone.has(idText(id)));
      surface.say({ tone: "good", text: `${what} deleted.` });
      void list.load();
    };
    await untilDone(surface, "Deleting", remove());
  }

  async #unread(messages: readonly ChatMessage[]): Promise<void> {
    const { surface, client, list, user } = this.#context;
    const received = messages.filter(({ from }) => !sameName(from, user));
    if (received.length === 0) return surface.say({ tone: "dim", text: "Only what others wrote can be unread." });
    const ids = received.map(({ id }) => id);
    const mark = async (): Promise<void> => {
      const answer = await answered(client, { type: "mark", ids, read: false });
      if (answer.type === "refused") return surface.say({ tone: "bad", text: answer.message });
      const marked = new Set(ids.map(idText));
      this.#messages = this.#messages.map((each) => (marked.has(idText(each.id)) ? { ...each, read: false } : each));
      surface.say({ tone: "dim", text: `${count(received.length, "message")} unread again.` });
      void list.load();
    };
    await untilDone(surface, "Marking", mark());
  }

  #state(): MessagePageState {
    const { surface, user } = this.#context;
    const { title, start } = this.#source;
    const [messages, snippets, loading, more] = [this.#messages, this.#snippets, this.#loading, this.#more];
    return { title, start, user, messages, snippets, loading, more, nowMs: Date.now(), symbols: surface.symbols };
  }
}

const idText = ({ session, seq }: OpId): string => `${session}/${seq}`;
