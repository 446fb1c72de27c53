/**
 * The conversation that is open on the journal: its last messages when it is entered, then what arrives, each message
 * once and in order. Knows which messages are shown; leaves asking and sending to others.
 */
import { limits } from "../base/limits.ts";
import type { ChatClient } from "../client/types.ts";
import type { ChatMessage, OpId } from "../protocol/messages.ts";
import type { ConversationList } from "./conversation-list.ts";
import type { ReadMarks } from "./read-marks.ts";
import { answered } from "./requests.ts";
import { clockTime, count, sameName } from "./sentences.ts";
import type { Surface } from "./surface.ts";

/** Messages shown of what was said before, besides those that are new. */
const contextMax = 10;

export class OpenConversation {
  readonly name: string;
  /** Its last messages came when a page covered the journal: nobody would have seen them, so they wait for the next entering. */
  isMissed = false;
  readonly #surface: Surface;
  readonly #client: ChatClient;
  readonly #list: ConversationList;
  readonly #marks: ReadMarks | null;
  readonly #shown = new Set<string>();
  /** What arrives before the last messages are there waits for its place behind them. */
  #held: ChatMessage[] | null = [];
  #entered = false;
  /** It may be left and entered again before the answer has come. */
  #entering: Promise<void> | null = null;
  /** Where the first of those stands with which it was entered at first; 0 while that is not known. */
  #firstIndex = 0;

  constructor(name: string, surface: Surface, client: ChatClient, list: ConversationList, marks: ReadMarks | null) {
    this.name = name;
    this.#surface = surface;
    this.#client = client;
    this.#list = list;
    this.#marks = marks;
  }

  /** Whether a message belongs here. */
  has({ from, to }: ChatMessage): boolean {
    const { user } = this.#client;
    if (user === null) return false;
    return (sameName(from, this.name) && sameName(to, user)) || (sameName(to, this.name) && sameName(from, user));
  }

  /**
   * Shows the last messages, those that are not there yet. Without a connection that comes later: what is typed goes on
   * meanwhile. `introduced` resolves when it has been said who that is.
   */
  enter(introduced: Promise<void>): Promise<void> {
    this.#entering ??= this.#enter(introduced).finally(() => {
      this.#entering = null;
    });
    return this.#entering;
  }

  async #enter(introduced: Promise<void>): Promise<void> {
    const { dash } = this.#surface.symbols;
    this.#held = [];
    if (!this.#entered) this.#surface.say({ tone: "title", text: `${dash}${dash} ${this.name} ${dash}${dash}` });
    await introduced;
    await this.#openInbox();
    const unread = this.#list.get(this.name)?.unread ?? 0;
    const limit = Math.min(contextMax + unread, limits.pageMax);
    const answer = await answered(this.#client, {
      type: "messages",
      with: this.name,
      before: null,
      limit,
      unread: false,
    });
    const held = this.#held;
    this.#held = null;
    this.isMissed = this.#surface.isCovered;
    if (this.isMissed) return;
    if (answer.type === "messageList") this.#history([...answer.messages].reverse(), answer.more);
    this.#entered = true;
    for (const message of held) this.show(message);
  }

  /** Shows a message that has just come, or was sent elsewhere by the same user. */
  show(message: ChatMessage): void {
    if (this.#held !== null) return void this.#held.push(message);
    if (this.#shown.has(keyOf(message.id))) return;
    this.#print(message);
    this.#marks?.shown(message);
    this.#list.seen(this.name);
  }

  /** The surface has shown it itself. */
  isShown(id: OpId): void {
    this.#shown.add(keyOf(id));
  }

  /** What waits in the inbox becomes part of its conversations first; it stays unread until it is shown. */
  async #openInbox(): Promise<void> {
    for (;;) {
      const here = this.#list.loaded ? (this.#list.get(this.name)?.inbox ?? 0) : this.#list.inbox;
      if (here === 0) return;
      // The oldest come first: what was said last is there when all of this conversation is.
      const answer = await answered(this.#client, { type: "open", count: limits.openMax });
      if (answer.type !== "opened" || answer.messages.length === 0) return;
      await this.#list.load();
    }
  }

  #history(messages: readonly ChatMessage[], more: boolean): void {
    const { user } = this.#client;
    const fresh = messages.findIndex(({ from, read }) => !read && (user === null || !sameName(from, user)));
    const [oldest] = messages;
    // Also when more has come since it was left than is shown here.
    if (more && oldest !== undefined && !this.#shown.has(keyOf(oldest.id)) && oldest.index >= this.#firstIndex) {
      this.#surface.say({ tone: "dim", text: "PageUp shows older ones" });
    }
    if (!this.#entered) this.#firstIndex = oldest?.index ?? 0;
    messages.forEach((message, at) => {
      if (this.#shown.has(keyOf(message.id))) return;
      // Among the last ones because later ones were deleted: it has no place below those that are shown.
      if (message.index < this.#firstIndex && (fresh < 0 || at < fresh)) return;
      if (at === fresh) this.#surface.say({ tone: "good", text: `${count(messages.length - at, "new message")}:` });
      this.#print(message);
    });
    if (messages.length === 0) this.#surface.say({ tone: "dim", text: "No messages yet: type one and press Enter." });
    this.#marks?.shown(...messages);
    this.#list.seen(this.name);
  }

  #print(message: ChatMessage): void {
    this.#shown.add(keyOf(message.id));
    const own = !sameName(message.from, this.name);
    this.#surface.message({ ...message, own, when: clockTime(message.at, Date.now()) });
  }
}

const keyOf = ({ session, seq }: OpId): string => `${session}/${seq}`;
