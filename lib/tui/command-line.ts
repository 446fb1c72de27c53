/**
 * What a typed line does: texts go to whom one talks to, commands to whoever knows how. One place decides whether a line
 * can be taken. The same on every surface, but that what a page would cover is shown as a page.
 */
import { limits } from "../base/limits.ts";
import { unreachable } from "../base/assert.ts";
import { parseLine, helpText, type CommandName } from "./commands.ts";
import type { ChatContext } from "./context.ts";
import { ClusterPage } from "./cluster-page.ts";
import { DraftCommands } from "./draft-commands.ts";
import { DraftPage } from "./draft-page.ts";
import { changePassword, SessionCommands } from "./own-account.ts";
import { historyArguments, messageCount } from "./questions.ts";
import { HelpPage } from "./help-page.ts";
import { olderMessages, openInbox, searchFor } from "./message-sources.ts";
import { PeoplePage } from "./people-page.ts";
import { SessionPage } from "./session-page.ts";
import { byteLength, count, sameName } from "./sentences.ts";
import type { Tone } from "./theme.ts";

/** Why a line cannot be taken; it then stays where it was typed. `partner` is whom a text would go to. */
export function complaint(line: string, partner: string | null): string | null {
  const parsed = parseLine(line);
  switch (parsed.type) {
    case "empty":
      return null;
    case "unknown": {
      const meant = parsed.nearest === null ? "/help lists them" : `did you mean /${parsed.nearest}?`;
      return `no command /${parsed.name}: ${meant}`;
    }
    case "command":
      return line.includes("\n") && !multiline.has(parsed.name)
        ? "a command is one line (// begins a text with /)"
        : null;
    case "text": {
      if (partner === null) return "nobody to send to yet: first /to NAME";
      const longest = Math.max(...parsed.text.split("\n").map(byteLength));
      if (longest <= limits.textBytesMax) return null;
      return `too long: ${longest} of ${limits.textBytesMax} bytes`;
    }
  }
}

/** Commands whose text may have several lines. */
const multiline: ReadonlySet<CommandName> = new Set(["msg", "draft"]);

/** Commands that lead away from the journal: they leave no line there. */
const elsewhere: ReadonlySet<CommandName> = new Set(["home", "to", "next", "search", "find"]);

export class CommandLine {
  readonly #context: ChatContext;
  readonly #drafts: DraftCommands;
  readonly #sessions: SessionCommands;

  constructor(context: ChatContext) {
    this.#context = context;
    this.#drafts = new DraftCommands(context);
    this.#sessions = new SessionCommands(context);
  }

  /** Does what a line says; false when a text was not sent and is to be typed on. */
  async run(line: string): Promise<boolean> {
    const { surface, partner, sending } = this.#context;
    const parsed = parseLine(line);
    if (parsed.type === "text") return partner === null || sending.text(partner, parsed.text);
    if (parsed.type !== "command") return true;
    const isEchoed = !surface.linear && partner !== null && !elsewhere.has(parsed.name);
    if (isEchoed) this.#say("dim", `${surface.symbols.prompt} ${line}`);
    return (await this.#command(parsed.name, parsed.rest)) !== false;
  }

  /** Before anybody is signed in. */
  runSignedOut(line: string): void {
    const { surface, questions } = this.#context;
    const parsed = parseLine(line);
    if (parsed.type === "command" && parsed.name === "help") this.#say("info", helpText(false));
    else if (parsed.type === "command" && parsed.name === "accounts") void questions.accounts(parsed.rest || null);
    else if (parsed.type === "command" && parsed.name === "more") questions.more();
    else if (parsed.type === "command" && parsed.name === "status") void questions.status();
    else if (parsed.type === "command" && parsed.name === "quit") surface.leave();
    else if (parsed.type === "command") this.#fail(`/${parsed.name} needs you to sign in first.`);
    else this.#fail(complaint(line, null) ?? "Type your user name, or /help.");
  }

  async #command(name: CommandName, rest: string): Promise<boolean | void> {
    const context = this.#context;
    const { questions, partner, surface, list } = context;
    switch (name) {
      case "help":
        return surface.isCovered ? new HelpPage(context).visit() : this.#say("info", helpText(true));
      case "to":
        return this.#talkTo(rest);
      case "msg":
        return this.#message(rest);
      case "home":
        return surface.linear ? this.#home() : context.talkTo(null);
      case "next": {
        if (surface.linear) await list.load();
        const next = list.nextUnread(partner);
        return next === null ? this.#say("dim", "Nothing is unread.") : context.talkTo(next);
      }
      case "inbox":
        return void questions.inbox();
      case "open":
        return this.#withCount(rest, 10, (number) =>
          surface.isCovered ? openInbox(context, number) : questions.open(number),
        );
      case "history": {
        const { name: whom, number } = historyArguments(rest);
        return this.#withCount(number, 20, (limit) =>
          surface.isCovered
            ? olderMessages(context, whom ?? partner).visit()
            : questions.history(whom ?? partner, limit),
        );
      }
      case "more":
        return questions.more();
      case "search":
      case "find": {
        const whom = name === "find" ? partner : null;
        if (name === "find" && whom === null)
          return this.#fail("/find looks with whom you talk: first /to NAME, or /search.");
        if (rest === "") return this.#fail(`Usage: /${name} TEXT`);
        return surface.linear ? void questions.search(rest, whom) : searchFor(context, rest, whom);
      }
      case "delete":
      case "unread":
        // Those of a page are marked there, not numbered.
        if (rest === "" && surface.isCovered) return olderMessages(context, partner).visit();
        return void (rest === "" ? questions.number(partner, name) : questions.act(name, rest));
      case "drafts":
        return surface.isCovered ? new DraftPage(context).visit() : this.#drafts.list();
      case "draft":
        return this.#drafts.draft(rest);
      case "send-draft":
        return this.#drafts.send(rest);
      case "delete-draft":
        return this.#drafts.delete(rest);
      case "bell":
        return this.#bell(rest);
      case "accounts":
        return this.#accounts(rest === "" ? null : rest);
      case "status":
        return surface.isCovered ? new ClusterPage(context).visit() : void questions.status();
      case "logout":
        return context.logOut();
      case "password":
        return changePassword(context);
      case "sessions":
        return surface.isCovered ? new SessionPage(context).visit() : this.#sessions.list();
      case "end-session":
        return this.#sessions.end(rest);
      case "delete-account":
        return context.deleteAccount();
      case "quit":
        return surface.leave();
      default:
        return unreachable(name);
    }
  }

  /** The conversations in lines, as the home screen has them. */
  async #home(): Promise<void> {
    const { list } = this.#context;
    await list.load();
    const rows = list.entries.map(({ user, unread, inbox, online }) => {
      const waiting = inbox === 0 ? "" : ` and ${inbox} in the inbox`;
      const news = unread + inbox === 0 ? "nothing new" : `${count(unread, "unread message")}${waiting}`;
      return `${user}: ${news}, ${online ? "online" : "away"}`;
    });
    const head = `${count(rows.length, "conversation")}, ${list.inbox === 0 ? "inbox empty" : `${list.inbox} in the inbox`}`;
    this.#say("info", [head, ...rows].join("\n"));
  }

  #bell(rest: string): void {
    const context = this.#context;
    if (rest !== "" && rest !== "on" && rest !== "off") return this.#fail("/bell on, or /bell off.");
    if (rest !== "") context.bell = rest === "on";
    this.#say(
      "dim",
      context.bell ? "A message to you rings the bell." : "The bell is off: /bell on rings it for messages to you.",
    );
  }

  async #accounts(pattern: string | null): Promise<void> {
    const context = this.#context;
    if (context.surface.isCovered) return new PeoplePage(context, pattern).visit();
    void context.questions.accounts(pattern);
  }

  /** A page is waited for; lines come when they come. */
  async #withCount(text: string, fallback: number, act: (number: number) => Promise<void>): Promise<void> {
    const number = messageCount(text, fallback);
    if (number === null) return this.#fail(`${text} is not a number of messages (1 to ${limits.pageMax}).`);
    const done = act(number);
    if (this.#context.surface.isCovered) await done;
  }

  #talkTo(rest: string): void {
    const { user } = this.#context;
    const name = rest.replace(/^@/, "");
    if (name !== "" && sameName(name, user)) return this.#fail("That is you: nobody sends to themselves.");
    if (/\s/.test(name)) return this.#fail("/to takes one name; /msg NAME TEXT sends one message.");
    this.#context.talkTo(name === "" ? null : name);
  }

  async #message(rest: string): Promise<boolean> {
    const [, name = "", text = ""] = /^\s*@?(\S+)\s([\s\S]+)$/.exec(rest) ?? [];
    if (text.trim() !== "") return this.#context.sending.text(name, text);
    this.#fail("Usage: /msg NAME TEXT");
    return true;
  }

  #say(tone: Tone, text: string): void {
    this.#context.surface.say({ tone, text });
  }

  /** What was asked for is not done. */
  #fail(text: string): void {
    this.#context.surface.say({ tone: "warning", text, failed: true });
  }
}
