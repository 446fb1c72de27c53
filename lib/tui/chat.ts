/**
 * The chat as one user has it: signing in, home and conversations in turn, messages that arrive, being logged out,
 * leaving. Written once over `Surface`, for the interactive screen and the plain mode alike. Draws nothing and reads no
 * keys; what lines do is in `command-line.ts`.
 */
import { limits } from "../base/limits.ts";
import type { ChatClient, ClientEvent } from "../client/types.ts";
import type { ChatMessage, OpId } from "../protocol/messages.ts";
import { CommandLine, complaint } from "./command-line.ts";
import { completions } from "./commands.ts";
import type { ConnectionLines } from "./connection-lines.ts";
import type { ChatContext } from "./context.ts";
import { ConversationList } from "./conversation-list.ts";
import { draftOf, emptyDraft } from "./editor.ts";
import { Drafts, type Draft } from "./drafts.ts";
import { Home } from "./home.ts";
import { IdleTimer } from "./idle.ts";
import { olderMessages } from "./message-sources.ts";
import { shownName } from "./names.ts";
import { OpenConversation } from "./open-conversation.ts";
import { Outlet, type OpenStorage } from "./outlet.ts";
import { Presence, seenSentence } from "./presence.ts";
import { Questions, type Found } from "./questions.ts";
import { ReadMarks } from "./read-marks.ts";
import { answered, InFlight, untilDone } from "./requests.ts";
import { Sending } from "./sending.ts";
import { byteLength, clockTime, newcomerLines, returnLines, sameName } from "./sentences.ts";
import { signIn, type SignedIn } from "./sign-in.ts";
import type { Line, Question, Surface } from "./surface.ts";
import type { Tone } from "./theme.ts";
import { UnfinishedInMemory, type UnfinishedLines } from "./unfinished-lines.ts";

export interface ChatRunOptions {
  readonly user?: string;
  /** Log out after this many seconds without a key; 0 for never. */
  readonly idleLogoutSeconds: number;
  /** Nothing is kept on this machine unless given. */
  readonly openStorage?: OpenStorage;
}

/** How long the prompt waits for the last messages of a conversation that was entered. */
const historyPatienceMs = 300;

export class Chat implements ChatContext {
  /** A name has been given, and nobody is signed in under it yet. */
  isSigningIn = false;
  bell = false;
  readonly requests = new InFlight();
  readonly surface: Surface;
  readonly client: ChatClient;
  readonly connection: ConnectionLines;
  readonly list: ConversationList;
  readonly drafts: Drafts;
  readonly presence = new Presence();
  readonly questions: Questions;
  readonly sending: Sending;
  readonly marks: ReadMarks | null;
  /** Of accounts whose lines are kept nowhere else. */
  readonly #unfinished = new Map<string, UnfinishedLines>();
  readonly #outlet: Outlet;
  readonly #options: ChatRunOptions;
  readonly #commands: CommandLine;
  readonly #home: Home;
  readonly #idle: IdleTimer;
  #user: string | null = null;
  #partner: string | null = null;
  /** The one that is, or was last, on the journal; null in plain mode, where all are. */
  #open: OpenConversation | null = null;
  #isEntered = false;
  /** It has been said who the partner is. */
  #introduced: Promise<void> = Promise.resolve();
  #answerHintSaid = false;
  #loggingOut: Promise<void> | null = null;

  constructor(surface: Surface, client: ChatClient, connection: ConnectionLines, options: ChatRunOptions) {
    this.surface = surface;
    this.client = client;
    this.connection = connection;
    this.#options = options;
    this.marks = surface.unattended === null ? new ReadMarks(client) : null;
    this.list = new ConversationList(client, () => {
      if (!surface.linear) this.questions.inboxIs(this.list.inbox);
      surface.refresh();
    });
    this.drafts = new Drafts(client, {
      changed: () => surface.refresh(),
      sent: (draft, id) => this.#draftSent(draft, id),
    });
    this.questions = new Questions(surface, client, this.requests, this.marks);
    this.#outlet = new Outlet(client, options.openStorage, {
      earlier: (message) => this.sending.follow(message),
      trouble: (text) => this.#say("warning", text),
    });
    this.sending = new Sending(surface, client, connection, this.#outlet);
    this.sending.acknowledged = (message) => this.#acknowledged(message);
    this.#commands = new CommandLine(this);
    this.#home = new Home(this);
    this.#idle = new IdleTimer(options.idleLogoutSeconds, {
      warn: (seconds) =>
        this.#say("warning", `Nothing typed for a while: logging out in ${seconds} s. Any key stops it.`),
      expire: () => void this.#expire(),
    });
  }

  get user(): string {
    return this.#user ?? "";
  }

  get unfinished(): UnfinishedLines {
    return this.#unfinishedOf(this.user);
  }

  get partner(): string | null {
    return this.#partner;
  }

  get command(): Question {
    return { kind: "prompt", label: this.user, ...this.#lineQuestion(null) };
  }

  /** Goes on until the run is ended from outside; rejects only for a fault in the program. */
  async run(): Promise<never> {
    this.client.on((event) => this.#happened(event));
    this.surface.onActivity(() => {
      if (this.#user !== null && this.#loggingOut === null) this.#idle.touch();
    });
    let user = this.#options.user;
    this.#say("dim", "Your user name signs you in; a new one makes an account. /accounts shows who there is.");
    for (;;) {
      const command = (line: string): void => this.#commands.runSignedOut(line);
      const named = (isNamed: boolean): void => void (this.isSigningIn = isNamed);
      await this.#signedIn(await signIn(this.surface, this.client, { user, command, named }));
      user = undefined;
    }
  }

  /** No more is to come: what is still under way has an unknown outcome. */
  giveUp(): void {
    this.#idle.stop();
    this.sending.giveUp();
  }

  /** Gives up what is kept on this machine; what is open of it waits for the next run. */
  close(): Promise<void> {
    return this.#outlet.signedOut();
  }

  talkTo(name: string | null, looking?: Promise<Found>): void {
    this.#partner = name;
    if (name === null) {
      if (this.surface.linear) this.#say("dim", "You talk to nobody now.");
      return;
    }
    this.#introduced = this.questions.whois(name, looking).then((found) => {
      if (found === null || found === name || this.#partner !== name) return;
      this.#partner = found === "" ? null : found;
      const ahead = found === "" ? this.surface.takeTyped() : "";
      if (ahead !== "") this.unfinished.set("", draftOf(ahead));
      // The label of the open prompt names whom its line goes to.
      this.surface.interrupt();
    });
  }

  async runLine(line: string): Promise<void> {
    await this.#commands.run(line);
  }

  async logOut(): Promise<void> {
    const done = await untilDone(this.surface, "Logging out", this.#logOutOnce("Logged out."));
    if (done !== "left" || !this.#outlet.keeps) return;
    this.#say("dim", "What you write from now on is kept until you sign in again.");
  }

  #logOutOnce(text: string): Promise<void> {
    if (this.#user === null) return Promise.resolve();
    this.#loggingOut ??= this.#logOut(text).finally(() => {
      this.#loggingOut = null;
    });
    return this.#loggingOut;
  }

  async #logOut(text: string): Promise<void> {
    this.#idle.stop();
    this.#outlet.rest();
    const answer = await answered(this.client, { type: "logout" });
    // Still logged in: the session would take nobody else.
    if (answer.type === "refused" && answer.code !== "not-logged-in") {
      this.#idle.touch();
      this.#outlet.wake();
      return this.surface.say({ tone: "bad", text: `Not logged out: ${answer.message}`, failed: true });
    }
    this.#loggedOut("dim", text);
  }

  async deleteAccount(): Promise<void> {
    const { surface, user } = this;
    const question = `Delete ${user} for good? Nobody can undo it.`;
    if (!(await surface.confirm(question, "No, keep it", `Yes, delete ${user}`))) return;
    const accept = (text: string): string | null => (text === "" ? "Type your password." : null);
    const answer = await surface.ask({ kind: "field", label: "Password", secret: true, back: true, accept });
    if (answer.type !== "line") return this.#say("dim", `${user} is kept.`);
    await untilDone(surface, "Deleting the account", this.#deleteAccount(answer.text));
  }

  async #deleteAccount(password: string): Promise<void> {
    const { user } = this;
    const answer = await answered(this.client, { type: "deleteAccount", password });
    if (answer.type === "refused") {
      return this.surface.say({ tone: "bad", text: `Not deleted: ${answer.message}`, failed: true });
    }
    this.#outlet.lines?.clear();
    this.#loggedOut("good", `The account ${user} is deleted.`);
  }

  async #signedIn(signedIn: SignedIn): Promise<void> {
    this.#user = signedIn.user;
    this.list.clear();
    this.list.inbox = signedIn.inbox;
    this.presence.clear();
    this.drafts.begin(signedIn.drafts);
    this.#greet(signedIn);
    await this.#outlet.signedIn(signedIn.user, signedIn.password);
    void this.questions.learnNames();
    this.#idle.touch();
    while (this.#user !== null) {
      if (this.surface.linear) await this.#prompt();
      else if (this.#partner === null) await this.#home.visit();
      else await this.#converse(this.#partner);
    }
    this.#open = null;
    this.#isEntered = false;
    this.surface.journal();
  }

  #greet({ user, isNew, inbox }: SignedIn): void {
    this.questions.inboxIs(inbox);
    const { linear } = this.surface;
    const lines = isNew ? newcomerLines(linear) : returnLines(inbox, linear);
    if (linear) for (const line of lines) this.surface.say(line);
    const welcome: Line = { tone: "good", text: isNew ? "Welcome, new user!" : `Welcome back, ${user}!` };
    this.#home.greeting = [welcome, ...lines];
  }

  /** The conversation that is open, one line of it. */
  async #converse(name: string): Promise<void> {
    if (!this.#isEntered || this.#open?.name !== name || this.#open.isMissed) {
      this.surface.journal();
      if (this.#open?.name !== name) {
        this.#open = new OpenConversation(name, this.surface, this.client, this.list, this.marks);
      }
      this.#isEntered = true;
      const patience = new Promise<void>((resolve) => setTimeout(resolve, historyPatienceMs));
      await Promise.race([this.#open.enter(this.#introduced), patience]);
      // Its name may have turned out to be nobody's, or spelled otherwise.
      if (this.#partner !== name) return;
    }
    this.surface.journal();
    await this.#prompt();
  }

  async #prompt(): Promise<void> {
    const partner = this.#partner;
    const { arrow } = this.surface.symbols;
    const { user } = this;
    // Of whoever types now, also when somebody else has signed in before the answer is there.
    const unfinished = this.#unfinishedOf(user);
    const here = partner ?? "";
    const begun = unfinished.get(here) ?? unfinished.get("");
    unfinished.set("", null);
    unfinished.set(here, begun);
    const answer = await this.surface.ask({
      kind: "prompt",
      label: partner === null ? user : `${user} ${arrow} ${partner}`,
      initial: { ...emptyDraft, ...begun },
      back: !this.surface.linear,
      keys: this.surface.linear ? [] : ["pageup", "tab"],
      typing: (draft) => unfinished.set(here, draft),
      ...this.#lineQuestion(partner),
    });
    if (answer.type === "line") {
      // What is too long for one message is asked about first, and stays until that is answered.
      const isAskedAbout = byteLength(answer.text) > limits.textBytesMax;
      if (!isAskedAbout) unfinished.set(here, null);
      const isDone = await this.#commands.run(answer.text);
      if (isAskedAbout) unfinished.set(here, isDone ? null : draftOf(answer.text));
    } else {
      // It waits, under the name that may have been corrected meanwhile.
      const there = answer.type === "interrupted" && this.#user !== null ? (this.#partner ?? "") : here;
      if (there !== here) unfinished.set(here, null);
      if (there !== here) unfinished.set(there, answer.draft);
      if (answer.type === "back") this.#partner = null;
      else if (answer.type === "key") await this.#key(answer.name);
    }
    if (this.#partner === null) this.#isEntered = false;
  }

  async #key(name: string): Promise<void> {
    const partner = this.#partner;
    if (partner === null) return;
    if (name === "tab") {
      const next = this.list.nextUnread(partner);
      return next === null ? this.#say("dim", "Nothing is unread.") : this.talkTo(next);
    }
    await olderMessages(this, partner).visit();
  }

  #lineQuestion(partner: string | null): Pick<Question, "accept" | "complete"> {
    return {
      accept: (line) => complaint(line, partner),
      complete: (before) => completions(before, this.questions.knownNames()),
    };
  }

  #unfinishedOf(user: string): UnfinishedLines {
    // Lines only: one that was begun on a screen cannot be shown there, and is not to be taken away by another one.
    if (this.#outlet.lines !== null && !this.surface.linear) return this.#outlet.lines;
    const known = this.#unfinished.get(user) ?? new UnfinishedInMemory();
    this.#unfinished.set(user, known);
    return known;
  }

  #loggedOut(tone: Tone, text: string): void {
    if (this.#user === null) return;
    this.#idle.stop();
    this.#user = null;
    this.surface.interrupt();
    this.#partner = null;
    this.surface.journal();
    this.surface.say({ tone, text, ...(tone === "warning" ? { failed: true } : {}) });
    this.sending.signedOut();
  }

  /** Whoever comes to the terminal next must not go on here, also when the logout was refused, or is not waited for. */
  async #expire(): Promise<void> {
    await this.surface.busy("Logging out", this.#logOutOnce("Logged out because nothing was typed."));
    if (this.#user === null) this.#leaveUnattended();
    else this.surface.leave();
  }

  /** Logged out by something else than a line of a script: what it says next is no name and no password. */
  #leaveUnattended(): void {
    if (this.surface.unattended !== null) this.surface.leave();
  }

  #acknowledged(message: ChatMessage): void {
    this.#open?.isShown(message.id);
    this.list.happened(message, true);
  }

  /** No answer tells its place in the log: the list of conversations is asked for anew. */
  #draftSent({ to, text }: Draft, id: OpId): void {
    if (this.surface.linear) return;
    const { index } = this.client.position;
    const message = { id, index, from: this.user, to, text, at: Date.now(), read: true, inbox: false };
    if (this.#isEntered && this.#open?.has(message) === true) this.#open.show(message);
    void this.list.load();
  }

  #arrived(message: ChatMessage): void {
    const own = this.#user !== null && sameName(message.from, this.#user);
    const { from, at } = message;
    this.questions.names.add(from);
    if (this.bell && !own) this.surface.ring();
    if (this.surface.linear) {
      this.surface.message({ ...message, own, when: clockTime(at, Date.now()) });
      this.marks?.shown(message);
      this.list.happened(message, true);
      if (own || this.#answerHintSaid || this.#partner !== null) return;
      this.#say("dim", `/to ${from} answers`);
      this.#answerHintSaid = true;
      return;
    }
    const isHere = this.#open?.has(message) === true && this.#open.name === this.#partner;
    const isSeen = isHere && this.#isEntered && !this.surface.isCovered;
    this.list.happened(message, isSeen);
    if (isSeen) return this.#open?.show(message);
    // It is shown when the conversation is seen again.
    if (isHere) this.#isEntered = false;
    if (own || this.#partner === null) return;
    if (isHere) return this.#say("info", `${shownName(from)} has written.`);
    const { ellipsis } = this.surface.symbols;
    const [first = ""] = message.text.split("\n", 1);
    const shown = first.length > 200 ? `${first.slice(0, 200)}${ellipsis}` : first;
    this.#say("info", `${shownName(from)}: ${shown}${this.surface.isCovered ? "" : " (Tab opens)"}`);
  }

  #presence(event: Extract<ClientEvent, { type: "presence" }>): void {
    this.presence.happened(event);
    this.list.presence(event.user, event.online);
    if (this.#partner !== null && sameName(this.#partner, event.user)) {
      this.#say("dim", seenSentence(event, Date.now()));
    }
  }

  #happened(event: ClientEvent): void {
    switch (event.type) {
      case "message":
        return this.#arrived(event.message);
      case "notice":
        return this.#say("info", event.text);
      case "changed":
        if (this.#user === null) return;
        if (event.what === "inbox") void this.questions.inboxNews();
        if (event.what === "deleted") this.#say("dim", "Messages were deleted in another session of yours.");
        if (event.what === "drafts") return void (this.surface.linear || this.drafts.load());
        if (!this.surface.linear) void this.list.load();
        return;
      case "logged-out":
        this.#loggedOut("warning", `You were logged out: ${event.reason}`);
        return this.#leaveUnattended();
      case "presence":
        return this.#presence(event);
      case "connection":
        if (event.connection.state === "connecting") this.presence.clear();
        this.surface.refresh();
        // What came while the session was away for long waits there.
        if (event.connection.state !== "reconnected" || this.#user === null) return;
        void this.questions.inboxNews();
        if (this.surface.linear) return;
        void this.list.load();
        void this.drafts.load();
        return;
    }
  }

  #say(tone: Tone, text: string): void {
    this.surface.say({ tone, text });
  }
}
