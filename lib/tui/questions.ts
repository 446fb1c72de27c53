/**
 * The questions a user asks the server, and how the answers are shown: accounts, inbox, messages, status, and going on
 * with a long list. None of them waits: the prompt stays usable, the answer appears above it when it comes.
 */
import { limits } from "../base/limits.ts";
import type { Answers, ChatClient, OpRequest, QueryRequest, Refused } from "../client/types.ts";
import type { ChatMessage } from "../protocol/messages.ts";
import type { ReadMarks } from "./read-marks.ts";
import { shownName } from "./names.ts";
import { seenSentence, seenText } from "./presence.ts";
import { answered, type InFlight } from "./requests.ts";
import { clockTime, count, inboxText, sameName, snippetParts, statusText } from "./sentences.ts";
import type { Surface } from "./surface.ts";

type Account = Answers["accounts"]["accounts"][number];

/** Who was looked up: "" when nobody is called that, null when it is not known. */
export type Found = Account | "" | null;

/** An answer that takes longer than this is announced as late. */
const patienceMs = 2000;
/** So many are numbered at once. */
const numberedMax = 20;

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
  /** Messages in the order of the numbers that were shown. */
  #numbered: readonly ChatMessage[] = [];
  #numbering: Promise<void> = Promise.resolve();

  /** `marks`: when whoever is shown messages has read them. */
  constructor(surface: Surface, client: ChatClient, inFlight: InFlight, marks: ReadMarks | null) {
    this.#surface = surface;
    this.#client = client;
    this.#inFlight = inFlight;
    this.#marks = marks;
  }

  async accounts(pattern: string | null, after: string | null = null): Promise<void> {
    const answer = await this.ask({ type: "accounts", pattern, after, limit: 100 });
    if (answer === null) return;
    for (const { user } of answer.accounts) this.names.add(user);
    const which = pattern === null ? "" : ` ${answer.accounts.length === 1 ? "matches" : "match"} ${pattern}`;
    const total = `${count(answer.accounts.length, after === null ? "account" : "more account")}${which}`;
    const online = answer.accounts.filter((account) => account.online).map(({ user }) => shownName(user));
    const away = answer.accounts.filter((account) => !account.online).map((account) => awayText(account));
    const rows = [total];
    if (online.length > 0) rows.push(`online: ${online.join(", ")}`);
    if (away.length > 0) rows.push(`away: ${away.join(", ")}`);
    const last = answer.accounts.at(-1);
    this.#continue(answer.more && last !== undefined ? () => void this.accounts(pattern, last.user) : null, rows);
    this.#surface.say({ tone: "info", text: rows.join("\n") });
  }

  /**
   * Says whether `name` exists and is there; resolves with its spelling, "" when there is none, null when it is not known.
   * `looking`: it is being looked up already.
   */
  async whois(name: string, looking = this.lookUp(name)): Promise<string | null> {
    const account = await looking;
    if (account === null || account === "") return account;
    const waits = account.online ? "" : ": messages wait in the inbox there";
    this.#surface.say({ tone: "dim", text: `${seenSentence(account, Date.now())}${waits}` });
    return account.user;
  }

  /** Says only when there is none (""). */
  async lookUp(name: string): Promise<Found> {
    const answer = await this.ask({ type: "accounts", pattern: name, after: null, limit: 10 });
    if (answer === null) return null;
    const account = answer.accounts.find(({ user }) => sameName(user, name));
    if (account === undefined) {
      const text = `There is no account named ${name}: you talk to nobody now.`;
      this.#surface.say({ tone: "warning", text, failed: true });
      return "";
    }
    this.names.add(account.user);
    return account;
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
    const answer = await this.ask({ type: "inbox" });
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
    const answer = await this.ask({ type: "open", count: number });
    if (answer === null) return;
    this.#inboxCount = Math.max(0, this.#inboxCount - answer.messages.length);
    this.#show(answer.messages);
    const text =
      answer.messages.length === 0 ? "The inbox is empty." : `${count(answer.messages.length, "message")} opened`;
    this.#surface.say({ tone: "info", text });
  }

  /** The newest `limit` messages below index `before`, oldest of them first. */
  async history(name: string | null, limit: number, before: number | null = null): Promise<void> {
    const answer = await this.ask({ type: "messages", with: name, before, limit, unread: false });
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

  /** Numbers the last messages, for commands that act on some of them. */
  number(name: string | null, command: string): Promise<void> {
    return this.#inTurn(() => this.#number(name, command));
  }

  async #number(name: string | null, command: string): Promise<void> {
    const answer = await this.ask({ type: "messages", with: name, before: null, limit: numberedMax, unread: false });
    if (answer === null) return;
    const rows = this.#numbers([...answer.messages].reverse(), []);
    rows.push(rows.length === 0 ? "No messages." : `/${command} 1 3-5 takes the first, and the third to fifth`);
    this.#surface.say({ tone: "info", text: rows.join("\n") });
  }

  /** The best matches for a text, numbered like the others. */
  search(text: string, name: string | null, skip = 0): Promise<void> {
    return this.#inTurn(() => this.#search(text, name, skip));
  }

  async #search(text: string, name: string | null, skip: number): Promise<void> {
    const answer = await this.ask({ type: "search", text, with: name, skip, limit: numberedMax });
    if (answer === null) return;
    const { messages, snippets, more } = answer;
    const rows = this.#numbers(messages, snippets);
    rows.unshift(`${count(rows.length, skip === 0 ? "message" : "more message")} found`);
    this.#continue(more ? () => void this.search(text, name, skip + messages.length) : null, rows);
    this.#surface.say({ tone: "info", text: rows.join("\n") });
  }

  /** What gives numbers and what takes them go one after the other: lines may come faster than answers. */
  #inTurn(act: () => Promise<void>): Promise<void> {
    const done = this.#numbering.then(act);
    this.#numbering = this.#inFlight.track(done);
    return done;
  }

  /** Gives messages numbers, and their rows. */
  #numbers(messages: readonly ChatMessage[], snippets: readonly string[]): string[] {
    this.#numbered = messages;
    const { arrow } = this.#surface.symbols;
    const { user } = this.#client;
    return messages.map(({ from, to, text, at, read }, place) => {
      const own = user !== null && sameName(from, user);
      const who = own ? `${arrow} ${shownName(to)}` : `${shownName(from)}${read ? "" : " (unread)"}`;
      const shown = snippetParts(snippets[place] ?? text)
        .join("*")
        .replace(/\s+/g, " ");
      return `${place + 1}  ${clockTime(at, Date.now())} ${who}: ${shown}`;
    });
  }

  /** Deletes messages by the numbers given last, or calls them unread. */
  act(what: "delete" | "unread", text: string): Promise<void> {
    return this.#inTurn(() => this.#act(what, text));
  }

  async #act(what: "delete" | "unread", text: string): Promise<void> {
    const numbers = numbersIn(text, this.#numbered.length);
    if (numbers === null) {
      const known =
        this.#numbered.length === 0 ? `/${what} alone lists messages` : `1 to ${this.#numbered.length} have numbers`;
      return this.#surface.say({ tone: "warning", text: `${text} does not name messages: ${known}.`, failed: true });
    }
    const { user } = this.#client;
    const chosen = numbers.flatMap((number) => this.#numbered[number - 1] ?? []);
    const received = chosen.filter(({ from }) => user === null || !sameName(from, user));
    const ids = (what === "unread" ? received : chosen).map(({ id }) => id);
    if (ids.length === 0) {
      return this.#surface.say({ tone: "warning", text: "Only what others wrote can be unread.", failed: true });
    }
    const request =
      what === "delete" ? ({ type: "deleteMessages", ids } as const) : ({ type: "mark", ids, read: false } as const);
    const answer = await this.ask(request);
    if (answer === null) return;
    const done = what === "delete" ? "deleted" : "unread again";
    if (what === "delete") this.#numbered = [];
    this.#surface.say({ tone: "good", text: `${count(ids.length, "message")} ${done}.` });
  }

  async status(): Promise<void> {
    const answer = await this.ask({ type: "status" });
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
    // They may come when a page covers them already.
    if (!this.#surface.isCovered) this.#marks?.shown(...messages);
  }

  /** Null when it was refused, which has been said. */
  ask<T extends keyof Answers>(request: (OpRequest | QueryRequest) & { type: T }): Promise<Answers[T] | null> {
    return this.answer<Answers[T]>(answered<T>(this.#client, request));
  }

  /** The same of what has been asked already. */
  async answer<A extends { readonly type: string }>(work: Promise<A | Refused>): Promise<A | null> {
    const late = setTimeout(() => {
      this.#surface.say({ tone: "dim", text: "No answer yet: it comes when a replica can be reached." });
    }, patienceMs);
    try {
      const answer = await this.#inFlight.track(work);
      if (!isRefused(answer)) return answer;
      this.#surface.say({ tone: "bad", text: answer.message, failed: true });
      return null;
    } finally {
      clearTimeout(late);
    }
  }
}

function awayText(account: Account): string {
  const name = shownName(account.user);
  return account.lastSeenAt === null ? name : `${name} (${seenText(account, Date.now())})`;
}

const isRefused = (answer: { readonly type: string }): answer is Refused => answer.type === "refused";

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

/** The numbers in `1 3-5`, each once, within 1…`highest`; null when there are others, or none. */
export function numbersIn(text: string, highest: number): number[] | null {
  const numbers = new Set<number>();
  for (const word of text.split(/[\s,]+/).filter((each) => each !== "")) {
    const [, first = "", last = first] = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(word) ?? [];
    const [from, to] = [Number(first), Number(last)];
    if (first === "" || from < 1 || to < from || to > highest) return null;
    for (let number = from; number <= to; number += 1) numbers.add(number);
  }
  return numbers.size === 0 ? null : [...numbers].sort((one, other) => one - other);
}
