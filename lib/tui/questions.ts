/**
 * The questions a user asks the server, and how the answers are shown: accounts, inbox, messages, status, and going on
 * with a long list. None of them waits: the prompt stays usable, the answer appears above it when it comes.
 */
import { limits } from "../base/limits.ts";
import type { Answers, ChatClient, OpRequest, QueryRequest, Refused } from "../client/types.ts";
import type { ChatMessage } from "../protocol/messages.ts";
import type { ReadMarks } from "./read-marks.ts";
import { answered, type InFlight } from "./requests.ts";
import { clockTime, count, sameName, statusText } from "./sentences.ts";
import type { Surface } from "./surface.ts";

/** An answer that takes longer than this is announced as late. */
const patienceMs = 2000;

export class Questions {
  readonly #surface: Surface;
  readonly #client: ChatClient;
  readonly #inFlight: InFlight;
  readonly #marks: ReadMarks | null;
  /** Names seen so far, for completion. */
  readonly names = new Set<string>();
  #isLearning = false;
  /** What the user was told last. */
  #inboxCount = 0;
  #more: (() => void) | null = null;

  /** `marks`: when whoever is shown messages has read them. */
  constructor(surface: Surface, client: ChatClient, inFlight: InFlight, marks: ReadMarks | null) {
    this.#surface = surface;
    this.#client = client;
    this.#inFlight = inFlight;
    this.#marks = marks;
  }

  async accounts(pattern: string | null, after: string | null = null): Promise<void> {
    const answer = await this.#ask({ type: "accounts", pattern, after, limit: 100 });
    if (answer === null) return;
    for (const { user } of answer.accounts) this.names.add(user);
    const which = pattern === null ? "" : ` ${answer.accounts.length === 1 ? "matches" : "match"} ${pattern}`;
    const total = `${count(answer.accounts.length, after === null ? "account" : "more account")}${which}`;
    const online = answer.accounts.filter((account) => account.online).map(({ user }) => user);
    const away = answer.accounts.filter((account) => !account.online).map(({ user }) => user);
    const rows = [total];
    if (online.length > 0) rows.push(`online: ${online.join(", ")}`);
    if (away.length > 0) rows.push(`away: ${away.join(", ")}`);
    const last = answer.accounts.at(-1);
    this.#continue(answer.more && last !== undefined ? () => void this.accounts(pattern, last.user) : null, rows);
    this.#surface.say({ tone: "info", text: rows.join("\n") });
  }

  /** Says whether `name` exists and is there; resolves with its spelling, "" when there is none, null when it is not known. */
  async whois(name: string): Promise<string | null> {
    const answer = await this.#ask({ type: "accounts", pattern: name, after: null, limit: 10 });
    if (answer === null) return null;
    const account = answer.accounts.find(({ user }) => sameName(user, name));
    if (account === undefined) {
      this.#surface.say({
        tone: "warning",
        text: `There is no account named ${name}: you talk to nobody now.`,
        failed: true,
      });
      return "";
    }
    this.names.add(account.user);
    const where = account.online ? "online" : "away: messages wait in the inbox there";
    this.#surface.say({ tone: "dim", text: `${account.user} is ${where}` });
    return account.user;
  }

  /** For completion: those seen so far, of accounts and in messages. Looks for more, for the next time. */
  knownNames(): string[] {
    void this.learnNames();
    return [...this.names];
  }

  /** Fills `names` without a word. */
  async learnNames(): Promise<void> {
    if (this.#isLearning) return;
    this.#isLearning = true;
    const answer = await answered(this.#client, {
      type: "accounts",
      pattern: null,
      after: null,
      limit: limits.pageMax,
    });
    this.#isLearning = false;
    if (answer.type !== "refused") for (const { user } of answer.accounts) this.names.add(user);
  }

  async inbox(): Promise<void> {
    const answer = await this.#ask({ type: "inbox" });
    if (answer === null) return;
    this.#inboxCount = answer.count;
    this.#surface.say({ tone: "info", text: inboxText(answer.count) });
  }

  /** The user was told so many. */
  inboxIs(number: number): void {
    this.#inboxCount = number;
  }

  /** Says what waits in the inbox if that is another number than the user knows. */
  async inboxNews(): Promise<void> {
    const answer = await answered(this.#client, { type: "inbox" });
    if (answer.type === "refused" || answer.count === this.#inboxCount) return;
    this.#inboxCount = answer.count;
    this.#surface.say({ tone: answer.count > 0 ? "good" : "dim", text: inboxText(answer.count) });
  }

  async open(number: number): Promise<void> {
    const answer = await this.#ask({ type: "open", count: number });
    if (answer === null) return;
    this.#inboxCount = Math.max(0, this.#inboxCount - answer.messages.length);
    this.#show(answer.messages);
    const text =
      answer.messages.length === 0 ? "The inbox is empty." : `${count(answer.messages.length, "message")} opened`;
    this.#surface.say({ tone: "info", text });
  }

  /** The newest `limit` messages below index `before`, oldest of them first. */
  async history(name: string | null, limit: number, before: number | null = null): Promise<void> {
    const answer = await this.#ask({ type: "messages", with: name, before, limit, unread: false });
    if (answer === null) return;
    const oldest = answer.messages.at(-1);
    const whom = name === null ? "" : ` with ${name}`;
    const rows = [`${count(answer.messages.length, before === null ? "message" : "older message")}${whom}`];
    this.#continue(
      answer.more && oldest !== undefined ? () => void this.history(name, limit, oldest.index) : null,
      rows,
    );
    this.#show([...answer.messages].reverse());
    this.#surface.say({ tone: "info", text: rows.join("\n") });
  }

  async status(): Promise<void> {
    const answer = await this.#ask({ type: "status" });
    if (answer !== null) this.#surface.say(statusText(answer, this.#surface.symbols));
  }

  more(): void {
    if (this.#more === null) this.#surface.say({ tone: "dim", text: "There is no list that goes on." });
    else this.#more();
  }

  #continue(more: (() => void) | null, rows: string[]): void {
    this.#more = more;
    if (more !== null) rows.push("there are more: /more goes on");
  }

  #show(messages: readonly ChatMessage[]): void {
    for (const message of messages) {
      this.names.add(message.from);
      const { user } = this.#client;
      const own = user !== null && sameName(message.from, user);
      this.#surface.message({ ...message, own, when: clockTime(message.at, Date.now()) });
    }
    this.#marks?.shown(...messages);
  }

  /** Null when it was refused, which has been said. */
  async #ask<T extends keyof Answers>(request: (OpRequest | QueryRequest) & { type: T }): Promise<Answers[T] | null> {
    const late = setTimeout(() => {
      this.#surface.say({ tone: "dim", text: "No answer yet: it comes when a replica can be reached." });
    }, patienceMs);
    try {
      const answer: Answers[T] | Refused = await this.#inFlight.track(answered<T>(this.#client, request));
      if (answer.type !== "refused") return answer;
      this.#surface.say({ tone: "bad", text: answer.message, failed: true });
      return null;
    } finally {
      clearTimeout(late);
    }
  }
}

export function inboxText(number: number): string {
  if (number === 0) return "Your inbox is empty.";
  return `${count(number, "message")} ${number === 1 ? "waits" : "wait"} in your inbox: /open reads`;
}

/** A number of messages as typed, within 1…200; `fallback` when nothing was typed, null when it is no number. */
export function messageCount(text: string, fallback: number): number | null {
  if (text === "") return fallback;
  const number = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  return number >= 1 ? Math.min(number, limits.pageMax, limits.openMax) : null;
}

/** The arguments of `/history [NAME] [N]`. */
export function historyArguments(rest: string): { name: string | null; number: string } {
  const words = rest.split(/\s+/).filter((word) => word !== "");
  const [first = "", second] = words;
  if (second !== undefined) return { name: first, number: second };
  return /^\d+$/.test(first) ? { name: null, number: first } : { name: first === "" ? null : first, number: "" };
}
