/**
 * The chat as one user has it: signing in, lines and commands, messages that arrive, being logged out, leaving. Written
 * once over `Surface`, for the interactive screen and the plain mode alike. Draws nothing and reads no keys.
 */
import { limits } from "../base/limits.ts";
import { unreachable } from "../base/assert.ts";
import type { OutgoingMessage } from "../client/outbox.ts";
import type { ChatClient, ClientEvent } from "../client/types.ts";
import { completions, helpText, parseLine, type CommandName } from "./commands.ts";
import type { ConnectionLines } from "./connection-lines.ts";
import { draftOf, emptyDraft, type Draft } from "./editor.ts";
import { IdleTimer } from "./idle.ts";
import { Outlet, type OpenStorage } from "./outlet.ts";
import { ReadMarks } from "./read-marks.ts";
import { historyArguments, inboxText, messageCount, Questions } from "./questions.ts";
import { answered, InFlight } from "./requests.ts";
import { byteLength, clockTime, onDisks, refusedFate, sameName } from "./sentences.ts";
import { signIn, type SignedIn } from "./sign-in.ts";
import type { Fate, Surface } from "./surface.ts";
import type { Tone } from "./theme.ts";

export interface ConversationOptions {
  readonly user?: string;
  /** Log out after this many seconds without a key; 0 for never. */
  readonly idleLogoutSeconds: number;
  /** Nothing is kept on this machine unless given. */
  readonly openStorage?: OpenStorage;
}

export class Conversation {
  /** A name has been given, and nobody is signed in under it yet. */
  isSigningIn = false;
  readonly messages = new InFlight();
  readonly requests = new InFlight();
  readonly #surface: Surface;
  readonly #client: ChatClient;
  readonly #connection: ConnectionLines;
  readonly #options: ConversationOptions;
  readonly #questions: Questions;
  /** Null when nobody reads. */
  readonly #marks: ReadMarks | null;
  readonly #idle: IdleTimer;
  readonly #outlet: Outlet;
  /** Messages whose fate is not known yet. */
  readonly #unsettled = new Set<(fate: Fate) => void>();
  #user: string | null = null;
  #lastUser: string | null = null;
  #partner: string | null = null;
  #draft: Draft = emptyDraft;
  #answerHintSaid = false;
  #loggingOut = false;

  constructor(surface: Surface, client: ChatClient, connection: ConnectionLines, options: ConversationOptions) {
    this.#surface = surface;
    this.#client = client;
    this.#connection = connection;
    this.#options = options;
    this.#marks = surface.unattended === null ? new ReadMarks(client) : null;
    this.#questions = new Questions(surface, client, this.requests, this.#marks);
    this.#outlet = new Outlet(client, options.openStorage, {
      earlier: (message) => void this.messages.track(this.#follow(message)),
      trouble: (text) => this.#say("warning", text),
    });
    this.#idle = new IdleTimer(options.idleLogoutSeconds, {
      warn: (seconds) =>
        this.#say("warning", `Nothing typed for a while: logging out in ${seconds} s. Any key stops it.`),
      expire: () => void this.#logOut("Logged out because nothing was typed."),
    });
  }

  /** Goes on until the run is ended from outside; rejects only for a fault in the program. */
  async run(): Promise<never> {
    this.#client.on((event) => this.#happened(event));
    this.#surface.onActivity(() => {
      if (this.#user !== null && !this.#loggingOut) this.#idle.touch();
    });
    let user = this.#options.user;
    this.#say("dim", "Your user name signs you in; a new one makes an account. /accounts shows who there is.");
    for (;;) {
      const command = (line: string): void => this.#signedOutCommand(line);
      const named = (isNamed: boolean): void => void (this.isSigningIn = isNamed);
      await this.#converse(await signIn(this.#surface, this.#client, { user, command, named }));
      user = undefined;
    }
  }

  /** No more is to come: what is still under way has an unknown outcome. */
  giveUp(): void {
    this.#idle.stop();
    const fate: Fate = {
      tone: "warning",
      text: this.#outlet.keeps
        ? "not acknowledged yet: it is kept, and goes out with the next run"
        : "not acknowledged: it may arrive or not",
      when: clockTime(Date.now(), Date.now()),
      failed: true,
    };
    for (const settle of this.#unsettled) settle(fate);
    this.#unsettled.clear();
  }

  /** Gives up what is kept on this machine; what is open of it waits for the next run. */
  close(): Promise<void> {
    return this.#outlet.signedOut();
  }

  async #converse(signedIn: SignedIn): Promise<void> {
    // An unfinished line waits for whoever began it, and for nobody else.
    if (this.#lastUser !== signedIn.user) this.#draft = emptyDraft;
    this.#lastUser = signedIn.user;
    this.#user = signedIn.user;
    this.#greet(signedIn);
    await this.#outlet.signedIn(signedIn.user, signedIn.password);
    void this.#questions.learnNames();
    this.#idle.touch();
    for (;;) {
      const initial = this.#draft;
      this.#draft = emptyDraft;
      const { arrow } = this.#surface.symbols;
      const answer = await this.#surface.ask({
        kind: "prompt",
        label: this.#partner === null ? signedIn.user : `${signedIn.user} ${arrow} ${this.#partner}`,
        initial,
        accept: (line) => this.#complaint(line),
        complete: (before) => completions(before, this.#questions.knownNames()),
      });
      if (answer.type === "interrupted") this.#draft = answer.draft;
      else if (answer.type === "line") await this.#line(answer.text);
      if (this.#user === null) return;
    }
  }

  #greet({ isNew, inbox }: SignedIn): void {
    this.#questions.inboxIs(inbox);
    if (!isNew) {
      this.#say(inbox > 0 ? "good" : "dim", inboxText(inbox));
      this.#say("dim", "/help lists the commands.");
      return;
    }
    this.#say("plain", "Talk to someone: type /to and a name, then lines, each sent with Enter.");
    this.#say("plain", "What others write appears above your line while you type.");
    this.#say("plain", "/accounts shows who there is, /help all commands, /quit leaves.");
  }

  /** Why a line cannot be taken; it then stays where it was typed. */
  #complaint(line: string): string | null {
    const parsed = parseLine(line);
    switch (parsed.type) {
      case "empty":
        return null;
      case "unknown": {
        const meant = parsed.nearest === null ? "/help lists them" : `did you mean /${parsed.nearest}?`;
        return `no command /${parsed.name}: ${meant}`;
      }
      case "command":
        return line.includes("\n") && parsed.name !== "msg" ? "a command is one line (// begins a text with /)" : null;
      case "text": {
        if (this.#partner === null) return "nobody to send to yet: first /to NAME";
        const longest = Math.max(...parsed.text.split("\n").map(byteLength));
        if (longest <= limits.textBytesMax) return null;
        return `too long: ${longest} of ${limits.textBytesMax} bytes`;
      }
    }
  }

  async #line(line: string): Promise<void> {
    const parsed = parseLine(line);
    if (parsed.type === "text") {
      if (this.#partner !== null) await this.#sendText(this.#partner, parsed.text, line);
    } else if (parsed.type === "command") {
      if (!this.#surface.linear) this.#say("dim", `${this.#surface.symbols.prompt} ${line}`);
      await this.#command(parsed.name, parsed.rest);
    }
  }

  #signedOutCommand(line: string): void {
    const parsed = parseLine(line);
    if (parsed.type === "command" && parsed.name === "help") this.#say("info", helpText(false));
    else if (parsed.type === "command" && parsed.name === "accounts")
      void this.#questions.accounts(parsed.rest || null);
    else if (parsed.type === "command" && parsed.name === "more") this.#questions.more();
    else if (parsed.type === "command" && parsed.name === "status") void this.#questions.status();
    else if (parsed.type === "command" && parsed.name === "quit") this.#surface.leave();
    else if (parsed.type === "command") this.#fail(`/${parsed.name} needs you to sign in first.`);
    else this.#fail(this.#complaint(line) ?? "Type your user name, or /help.");
  }

  async #command(name: CommandName, rest: string): Promise<void> {
    switch (name) {
      case "help":
        return this.#say("info", helpText(true));
      case "to":
        return this.#talkTo(rest);
      case "msg":
        return this.#message(rest);
      case "inbox":
        return void this.#questions.inbox();
      case "open":
        return this.#withCount(rest, 10, (number) => this.#questions.open(number));
      case "history": {
        const { name: whom, number } = historyArguments(rest);
        return this.#withCount(number, 20, (limit) => this.#questions.history(whom ?? this.#partner, limit));
      }
      case "more":
        return this.#questions.more();
      case "accounts":
        return void this.#questions.accounts(rest === "" ? null : rest);
      case "status":
        return void this.#questions.status();
      case "logout":
        return this.#logOut("Logged out.");
      case "delete-account":
        return this.#deleteAccount();
      case "quit":
        return this.#surface.leave();
      default:
        return unreachable(name);
    }
  }

  #withCount(text: string, fallback: number, act: (number: number) => Promise<void>): void {
    const number = messageCount(text, fallback);
    if (number === null) this.#fail(`${text} is not a number of messages (1 to ${limits.pageMax}).`);
    else void act(number);
  }

  #talkTo(rest: string): void {
    const name = rest.replace(/^@/, "");
    if (name !== "" && this.#user !== null && sameName(name, this.#user)) {
      return this.#fail("That is you: nobody sends to themselves.");
    }
    if (/\s/.test(name)) return this.#fail("/to takes one name; /msg NAME TEXT sends one message.");
    this.#partner = name === "" ? null : name;
    if (name === "") return this.#say("dim", "You talk to nobody now.");
    void this.#questions.whois(name).then((found) => {
      if (found === null || found === name || this.#partner !== name) return;
      this.#partner = found === "" ? null : found;
      // The label of the open prompt names whom its line goes to.
      this.#surface.interrupt();
    });
  }

  async #message(rest: string): Promise<void> {
    const [, name = "", text = ""] = /^\s*@?(\S+)\s([\s\S]+)$/.exec(rest) ?? [];
    if (text.trim() === "") return this.#fail("Usage: /msg NAME TEXT");
    await this.#sendText(name, text, `/msg ${rest}`);
  }

  /** Sends a text, in one message or, when it is too long and the user agrees, line by line. */
  async #sendText(to: string, text: string, typed: string): Promise<void> {
    if (byteLength(text) <= limits.textBytesMax) return this.#send(to, text);
    const lines = text.split("\n").filter((line) => line.trim() !== "");
    const longest = Math.max(...lines.map(byteLength));
    const size = `${byteLength(text)} bytes are too many for one message (${limits.textBytesMax}).`;
    if (longest > limits.textBytesMax) {
      this.#fail(size);
      this.#draft = draftOf(typed);
      return;
    }
    const yes = `Yes, ${lines.length} messages`;
    if (await this.#surface.confirm(`${size} Send it line by line?`, "No, go on editing", yes)) {
      for (const line of lines) await this.#send(to, line);
    } else this.#draft = draftOf(typed);
  }

  async #send(to: string, text: string): Promise<void> {
    // A pipe can be faster than the network: only so much is taken in before it is on its way.
    if (this.#surface.linear) await this.messages.fewerThan(limits.sessionWindow);
    void this.messages.track(this.#follow(this.#outlet.send(to, text)));
  }

  /** Shows a message from the moment it is kept until it is known what became of it. */
  async #follow({ to, text, at, kept, answer }: OutgoingMessage): Promise<void> {
    const failure = await kept.then(
      () => null,
      (error: Error) => error.message,
    );
    if (failure !== null) return this.#fail(`Not sent to ${to}: ${text}\n${failure}`, "bad");
    const when = clockTime(at, Date.now());
    const settle = this.#surface.outgoing({ from: this.#user ?? "", to, own: true, text, when });
    this.#unsettled.add(settle);
    const became = await answer;
    if (!this.#unsettled.delete(settle)) return;
    if (became.type === "refused") return settle({ ...refusedFate(became), when });
    const fate = onDisks(became.copies, this.#connection.replicas);
    settle({ ...fate, when: clockTime(became.at, Date.now()) });
  }

  async #logOut(text: string): Promise<void> {
    if (this.#user === null || this.#loggingOut) return;
    this.#loggingOut = true;
    this.#idle.stop();
    await this.#surface.busy("Logging out", answered(this.#client, { type: "logout" }));
    this.#loggingOut = false;
    this.#loggedOut("dim", text);
  }

  async #deleteAccount(): Promise<void> {
    const user = this.#user ?? "";
    const question = `Delete ${user} for good? Nobody can undo it.`;
    if (!(await this.#surface.confirm(question, "No, keep it", `Yes, delete ${user}`))) return;
    const accept = (text: string): string | null => (text === "" ? "Type your password." : null);
    const answer = await this.#surface.ask({ kind: "field", label: "Password", secret: true, back: true, accept });
    if (answer.type !== "line") return this.#say("dim", `${user} is kept.`);
    const request = answered(this.#client, { type: "deleteAccount", password: answer.text });
    const reply = await this.#surface.busy("Deleting the account", request);
    if (reply.type === "refused") this.#fail(`Not deleted: ${reply.message}`, "bad");
    else this.#loggedOut("good", `The account ${user} is deleted.`);
  }

  #loggedOut(tone: Tone, text: string): void {
    if (this.#user === null) return;
    this.#idle.stop();
    void this.#outlet.signedOut();
    this.#user = null;
    this.#partner = null;
    this.#say(tone, text);
    this.#surface.interrupt();
  }

  #happened(event: ClientEvent): void {
    switch (event.type) {
      case "message": {
        const { message } = event;
        const own = this.#user !== null && sameName(message.from, this.#user);
        this.#questions.names.add(message.from);
        this.#surface.message({ ...message, own, when: clockTime(message.at, Date.now()) });
        this.#marks?.shown(message);
        if (!own && !this.#answerHintSaid && this.#partner === null) {
          this.#say("dim", `/to ${message.from} answers`);
          this.#answerHintSaid = true;
        }
        return;
      }
      case "notice":
        return this.#say("info", event.text);
      case "changed":
        if (event.what === "inbox") void this.#questions.inboxNews();
        if (event.what === "deleted") this.#say("dim", "Messages were deleted in another session of yours.");
        return;
      case "logged-out":
        return this.#loggedOut("warning", `You were logged out: ${event.reason}`);
      case "connection":
        // What came while the session was away for long waits there.
        if (event.connection.state === "reconnected" && this.#user !== null) void this.#questions.inboxNews();
        return;
    }
  }

  #say(tone: Tone, text: string): void {
    this.#surface.say({ tone, text });
  }

  /** What was asked for is not done. */
  #fail(text: string, tone: Tone = "warning"): void {
    this.#surface.say({ tone, text, failed: true });
  }
}
