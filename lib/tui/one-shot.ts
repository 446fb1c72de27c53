/**
 * What one command at a shell does and then ends: send one message, show what is new, show what arrives. Owns the order
 * of things, the lines and the exit status. Files, passwords, signals and the terminal are its caller's.
 */
import { limits } from "../base/limits.ts";
import { PrivateFilesError } from "../base/private-files.ts";
import type { Clock } from "../base/transport.ts";
import { refusalOf } from "../client/check.ts";
import { ClientClosedError } from "../client/closed.ts";
import type { Outbox, OutgoingMessage } from "../client/outbox.ts";
import type { Answers, ChatClient, ClientEvent, Refused } from "../client/types.ts";
import type { ChatMessage } from "../protocol/messages.ts";
import { formatOpId } from "../protocol/ids.ts";
import { showAnswer } from "./json-commands.ts";
import { showEvent, ShownConnection, type JsonLine } from "./json-events.ts";
import type { JsonOutput } from "./json.ts";
import { sanitise, sanitiseLine } from "./sanitise.ts";
import { clockTime, duration } from "./sentences.ts";

export type Task =
  | { readonly type: "send"; readonly to: string; readonly text: string }
  /** `new`: begin with what is new. `follow`: stay, and show what arrives. */
  | { readonly type: "show"; readonly new: boolean; readonly follow: boolean };

export interface OneShotOptions {
  readonly user: string;
  readonly password: string;
  readonly json: boolean;
  readonly unicode: boolean;
  readonly clock: Clock;
  /** How long to wait for a server and its answers. */
  readonly giveUpMs: number;
  readonly output: JsonOutput;
  /** One line for whoever started it, on stderr. */
  readonly complain: (line: string) => void;
  /** End now. The reason is how: {@link Stop}. */
  readonly signal: AbortSignal;
}

/** `cancelled`: whoever asked for it does not want it any more. */
export interface Stop {
  readonly isCancelled: boolean;
  /** Nobody reads the output any more: what was written last counts as not shown. */
  readonly isUnread: boolean;
}

/** As sysexits.h has them; `kept`: the message goes out with the next run. */
export const oneShotExit = {
  done: 0,
  failed: 1,
  kept: 69,
  unreachable: 69,
  noPlace: 73,
  unwritable: 74,
  notAllowed: 77,
} as const;

/** What a login may be refused for that will be over in a moment. */
const passing = new Set<string>(["rate-limited", "unavailable"]);
/** How long who is told to stop waits for what it has shown to count as read. */
const lastMarksMs = 1_000;
const tryAgainMs = 1000;
/** Messages that are remembered, so that one that comes by two ways is shown once. */
const shownMax = 4096;
/** How long is waited at the end for what does not matter any more. */
const tidyMs = 1000;

/** Resolves with the exit status, the client and the outbox closed. */
export async function runOneShot(
  client: ChatClient,
  outbox: Outbox,
  task: Task,
  options: OneShotOptions,
): Promise<number> {
  const run = new OneShot(client, outbox, options);
  const status = await (task.type === "send" ? run.send(task.to, task.text) : run.show(task.new, task.follow));
  await run.end();
  return status;
}

class OneShot {
  readonly #client: ChatClient;
  readonly #outbox: Outbox;
  readonly #options: OneShotOptions;
  readonly #stopped: Promise<"stopped">;
  /** Messages that arrived and are not shown yet. */
  readonly #arrived: ChatMessage[] = [];
  readonly #shownIds = new Set<string>();
  readonly #connection = new ShownConnection();
  #isShowing = false;
  #tellsConnection = false;
  #mustLook = false;
  /** Under way, while what arrives is shown. */
  readonly #marks = new Set<Promise<unknown>>();
  #wake: () => void = () => {};

  constructor(client: ChatClient, outbox: Outbox, options: OneShotOptions) {
    this.#client = client;
    this.#outbox = outbox;
    this.#options = options;
    this.#stopped = new Promise((resolve) => {
      if (options.signal.aborted) resolve("stopped");
      options.signal.addEventListener("abort", () => resolve("stopped"));
    });
    outbox.on((event) => {
      if (event.type === "trouble") options.complain(event.text);
      else void this.#followEarlier(event.message);
    });
  }

  async send(to: string, text: string): Promise<number> {
    const { complain } = this.#options;
    const wrong = refusalOf({ type: "send", to, text });
    if (wrong !== null) {
      complain(`not sent to ${to}: ${wrong.message}`);
      return oneShotExit.failed;
    }
    const message = this.#outbox.send(to, text);
    const failure = await message.kept.then(
      () => null,
      (error: Error) => error,
    );
    if (failure !== null) {
      complain(`not sent, as the message cannot be kept: ${failure.message}`);
      const isPlace = failure instanceof PrivateFilesError && failure.code === "place";
      return isPlace ? oneShotExit.noPlace : oneShotExit.unwritable;
    }
    const refusal = await this.#signedIn(message);
    if (typeof refusal === "number") return refusal;
    const answer = await this.#within(message.answer);
    if (answer === "stopped") return this.#stop(message);
    if (answer === "late") {
      complain(`no acknowledgement within ${this.#patience()}: ${this.#kept(message)}`);
      return oneShotExit.kept;
    }
    if (answer.type === "refused") {
      complain(`not sent to ${to}: ${answer.message}`);
      return this.#refused(answer);
    }
    if (this.#options.json) this.#write({ event: "reply", tag: null, ok: true, ...showAnswer("send", answer) });
    return oneShotExit.done;
  }

  async show(isNew: boolean, follow: boolean): Promise<number> {
    const stop = this.#client.on((event) => this.#told(event));
    this.#tellsConnection = this.#options.json && follow;
    this.#showConnection();
    const refusal = await this.#signedIn(null);
    if (typeof refusal === "number") return refusal;
    this.#isShowing = follow;
    if (isNew) {
      const shown = await this.#within(this.#showNew());
      if (shown === "late") return this.#unanswered();
      if (shown === "stopped") return oneShotExit.done;
    }
    // What an earlier run kept goes out with this one.
    const settled = await this.#within(this.#outbox.settled());
    if (settled === "late")
      this.#options.complain("what an earlier run kept is not sent yet: it goes out with the next");
    const status = follow ? await this.#follow() : oneShotExit.done;
    stop();
    return status;
  }

  /** Leaves no session behind on the servers, unless one is needed for what is kept. */
  async end(): Promise<void> {
    // What it would send from here on came after the logout: it would be refused, and kept no longer.
    this.#outbox.signedOut();
    if (this.#client.user !== null && this.#client.outstanding === 0 && this.#client.connection.state !== "closed") {
      const loggedOut = this.#client.request({ type: "logout" }).catch(() => {});
      const late = Promise.withResolvers<void>();
      const cancel = this.#options.clock.setTimer(tidyMs, late.resolve);
      await Promise.race([loggedOut, late.promise]);
      cancel();
    }
    await this.#client.close();
    await this.#outbox.close();
    await this.#options.output.drained();
  }

  // Signing in.

  /** Null when somebody is; else the exit status. */
  async #signedIn(message: OutgoingMessage | null): Promise<number | null> {
    const { user, password, complain } = this.#options;
    const answer = await this.#within(this.#logIn());
    if (answer === "stopped") return this.#stop(message);
    if (answer === "late") return message === null ? this.#unanswered() : this.#keeps(message);
    if (answer.type === "refused") {
      // It is known not to be sent: a message that waits for a password that is wrong would wait for ever.
      const isBack = message === null || this.#outbox.withdraw(message);
      complain(
        `${user} cannot sign in: ${answer.message}${message === null || !isBack ? "" : " The message is not sent."}`,
      );
      return this.#refused(answer);
    }
    this.#outbox.signedIn(this.#client, password);
    return null;
  }

  async #logIn(): Promise<Answers["login"] | Refused> {
    const { user, password } = this.#options;
    for (;;) {
      const answer = await this.#client.request({ type: "login", user, password });
      if (answer.type !== "refused" || !passing.has(answer.code)) return answer;
      await this.#pause(tryAgainMs);
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#options.clock.setTimer(ms, resolve));
  }

  #refused({ code }: Refused): number {
    return code === "wrong-password" ? oneShotExit.notAllowed : oneShotExit.failed;
  }

  #stop(message: OutgoingMessage | null): number {
    const { signal, complain } = this.#options;
    const { isCancelled } = signal.reason as Stop;
    if (message === null) return oneShotExit.done;
    if (isCancelled && this.#outbox.withdraw(message)) complain("stopped before the message was sent: it is not kept");
    else complain(`stopped: ${this.#kept(message)}`);
    return oneShotExit.kept;
  }

  #keeps(message: OutgoingMessage): number {
    this.#options.complain(`${this.#noServer()}; ${this.#kept(message)}`);
    return oneShotExit.kept;
  }

  #unanswered(): number {
    this.#options.complain(this.#noServer());
    return oneShotExit.unreachable;
  }

  #noServer(): string {
    const { connection } = this.#client;
    const why = "reason" in connection ? `: ${connection.reason}` : "";
    if (connection.state === "closed") return `the connection is closed${why}`;
    if (connection.state === "connected" || connection.state === "reconnected") {
      return `replica ${connection.replica} did not answer for ${this.#patience()}`;
    }
    return `no server could be reached for ${this.#patience()}${why}`;
  }

  #kept({ to }: OutgoingMessage): string {
    return `the message to ${to} is kept, and goes out, once, with the next run`;
  }

  /** A message of an earlier run: only what went wrong is said, its sender is not here any more. */
  async #followEarlier(message: OutgoingMessage): Promise<void> {
    const answer = await message.answer;
    if (answer.type !== "refused") return;
    const when = clockTime(message.at, this.#options.clock.wallMs());
    this.#options.complain(`a message to ${message.to}, written ${when}, was refused: ${answer.message}`);
  }

  // What is new and what arrives.

  #told(event: ClientEvent): void {
    if (event.type === "message") this.#arrived.push(event.message);
    else if (event.type === "connection") this.#connectionChanged(event.connection.state);
    else if (this.#isShowing && this.#options.json) this.#write(showEvent(event));
    else if (this.#isShowing && event.type === "notice") this.#options.complain(event.text);
    // What came while this session was lost waits in the inbox.
    if (event.type === "changed" && event.what === "inbox") this.#mustLook = true;
    this.#wake();
  }

  #connectionChanged(state: ChatClient["connection"]["state"]): void {
    if (state === "reconnected") this.#mustLook = true;
    this.#showConnection();
  }

  #showConnection(): void {
    if (!this.#tellsConnection) return;
    const line = this.#connection.show(this.#client.connection);
    if (line !== null) this.#write(line);
  }

  async #follow(): Promise<number> {
    for (;;) {
      while (this.#arrived.length > 0) await this.#show(this.#arrived.splice(0));
      if (this.#options.signal.aborted) {
        await Promise.race([Promise.allSettled(this.#marks), this.#pause(lastMarksMs)]);
        return oneShotExit.done;
      }
      const { connection, user } = this.#client;
      if (connection.state === "closed" || user === null) {
        const why = "reason" in connection ? connection.reason : "the account was logged out";
        this.#options.complain(why);
        return oneShotExit.failed;
      }
      if (this.#mustLook) {
        this.#mustLook = false;
        await this.#within(this.#showInbox(), false);
        continue;
      }
      const news = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      await Promise.race([news, this.#stopped]);
    }
  }

  /** What waits in the inbox and what is unread, the oldest first. */
  async #showNew(): Promise<void> {
    while ((await this.#open()).length === limits.openMax);
    const unread: ChatMessage[] = [];
    for (let before: number | null = null; ;) {
      const page: Answers["messages"] | Refused = await this.#client.request({
        type: "messages",
        with: null,
        before,
        limit: limits.pageMax,
        unread: true,
      });
      if (page.type === "refused") break;
      unread.push(...page.messages);
      const last = page.messages.at(-1);
      if (!page.more || last === undefined) break;
      before = last.index;
    }
    await this.#show(unread.reverse());
  }

  async #showInbox(): Promise<void> {
    for (;;) {
      const opened = await this.#open();
      await this.#show(opened);
      if (opened.length < limits.openMax) return;
    }
  }

  async #open(): Promise<readonly ChatMessage[]> {
    const answer = await this.#client.request({ type: "open", count: limits.openMax });
    return answer.type === "refused" ? [] : answer.messages;
  }

  /** They count as read once whoever reads has taken them. */
  async #show(messages: readonly ChatMessage[]): Promise<void> {
    const shown = messages.filter((message) => !this.#shownIds.has(formatOpId(message.id)));
    for (const message of shown) {
      this.#remember(formatOpId(message.id));
      if (this.#options.json) this.#write(showEvent({ type: "message", message }));
      else this.#options.output.write(this.#lineOf(message));
    }
    await this.#options.output.drained();
    const { signal } = this.#options;
    if (signal.aborted && (signal.reason as Stop).isUnread) return;
    for (let from = 0; from < shown.length; from += limits.pageMax) {
      const ids = shown.slice(from, from + limits.pageMax).map(({ id }) => id);
      const marked = this.#client.request({ type: "mark", ids, read: true });
      // Who stays goes on meanwhile; who leaves waits for it.
      if (!this.#isShowing) {
        await marked;
        continue;
      }
      this.#marks.add(marked);
      const isOver = (): void => void this.#marks.delete(marked);
      marked.then(isOver, isOver);
    }
  }

  #remember(id: string): void {
    this.#shownIds.add(id);
    const [oldest] = this.#shownIds;
    if (this.#shownIds.size > shownMax && oldest !== undefined) this.#shownIds.delete(oldest);
  }

  #lineOf({ from, text, at }: ChatMessage): string {
    const { clock, unicode } = this.#options;
    const name = sanitiseLine(from, unicode);
    return `${clockTime(at, clock.wallMs())} ${name}: ${sanitise(text, unicode).replaceAll("\n", "\n  ")}`;
  }

  #write(line: JsonLine): void {
    this.#options.output.write(JSON.stringify(line));
  }

  #patience(): string {
    return duration(this.#options.giveUpMs);
  }

  /** What comes of it, unless it is stopped or takes too long; the latter also when the client is closed for good. */
  async #within<T>(work: Promise<T>, limited = true): Promise<T | "stopped" | "late"> {
    const { clock, giveUpMs } = this.#options;
    const late = Promise.withResolvers<"late">();
    const cancel = limited ? clock.setTimer(giveUpMs, () => late.resolve("late")) : () => {};
    try {
      return await Promise.race([work, this.#stopped, late.promise]);
    } catch (error) {
      if (error instanceof ClientClosedError) return "late";
      throw error;
    } finally {
      cancel();
    }
  }
}
