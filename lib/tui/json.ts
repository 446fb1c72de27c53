/**
 * The JSON mode: one command a line in, one event a line out. Owns the order of commands, when reading stops, and the
 * exit status; the connection is the client's, the fields of commands and replies are `json-commands.ts`'s. Must not
 * touch stdin and stdout themselves: they are handed in.
 */
import { limits } from "../base/limits.ts";
import type { Clock } from "../base/transport.ts";
import { ClientClosedError } from "../client/closed.ts";
import { sendDrafts, type DraftsSent } from "../client/drafts.ts";
import type { Answers, ChatClient, ClientEvent, ConnectionState, Refused } from "../client/types.ts";
import type { ErrorCode } from "../protocol/messages.ts";
import { parseCommand, showAnswer, type Command } from "./json-commands.ts";
import { showEvent, ShownConnection } from "./json-events.ts";
import { LineSplitter, type InputLine } from "./json-lines.ts";

/** Where the lines go. */
export interface JsonOutput {
  /** Takes one line, without its newline. Never blocks. */
  write(line: string): void;
  /** Resolves when what was written has been taken up by whoever reads, or nobody reads any more. */
  drained(): Promise<void>;
}

export interface JsonOptions {
  readonly clock: Clock;
  /** How long to wait for answers after the input has ended. */
  readonly giveUpMs: number;
  /** One line for the person at the terminal. */
  readonly complain: (line: string) => void;
  /** Stop now: what is open is unknown. */
  readonly signal?: AbortSignal;
}

/** A line that was read, until its reply is written. */
interface Slot {
  readonly tag: string | null;
  /** Null when the line was no command. */
  readonly command: Command | null;
  /** What the reply says; null while it is not known. */
  reply: Readonly<Record<string, unknown>> | null;
}

type Open = Slot & { readonly command: Command };

/** Nothing failed; something stayed unknown or went wrong; no server was ever reached. */
export const jsonExit = { done: 0, failed: 1, unreachable: 69 } as const;

/**
 * Runs commands from `input` until it ends and everything is answered, and closes the client. Resolves with the exit
 * status. Each command has exactly one reply.
 */
export async function runJson(
  client: ChatClient,
  input: AsyncIterable<Uint8Array>,
  output: JsonOutput,
  options: JsonOptions,
): Promise<number> {
  const mode = new JsonMode(client, output, options);
  const status = await mode.run(input);
  await client.close();
  await output.drained();
  return status;
}

class JsonMode {
  readonly #client: ChatClient;
  readonly #output: JsonOutput;
  readonly #options: JsonOptions;
  /** Lines whose replies are not written yet, in their order: so the replies come, but for commands that wait for nothing. */
  readonly #open = new Set<Slot>();
  /** Those that have not begun. */
  readonly #waiting: Open[] = [];
  /** Under way now. */
  #ops = 0;
  #steps = 0;
  #queries = 0;
  readonly #shown = new ShownConnection();
  #reached = false;
  #failed = false;
  /** There is no more to come from the client. */
  #closedBecause: string | null = null;
  /** Wakes whoever waits for a change of any of the above. */
  #changed: () => void = () => {};

  constructor(client: ChatClient, output: JsonOutput, options: JsonOptions) {
    this.#client = client;
    this.#output = output;
    this.#options = options;
  }

  async run(input: AsyncIterable<Uint8Array>): Promise<number> {
    const { signal } = this.#options;
    const wake = () => this.#changed();
    signal?.addEventListener("abort", wake);
    const unsubscribe = this.#client.on((event) => this.#told(event));
    this.#connection(this.#client.connection);
    // The first line says where we are, before any reply.
    await this.#until(() => this.#shown.isKnown);
    await this.#read(input);
    await this.#until(() => this.#answered(), this.#options.giveUpMs);
    unsubscribe();
    const { connection } = this.#client;
    await this.#giveUp();
    signal?.removeEventListener("abort", wake);
    return this.#status(connection);
  }

  /** Nothing is to be waited for any more. */
  get #over(): boolean {
    return this.#closedBecause !== null || this.#options.signal?.aborted === true;
  }

  /** Resolves when the condition holds, the end has come, or after `withinMs`. */
  #until(condition: () => boolean, withinMs?: number): Promise<void> {
    return new Promise((resolve) => {
      const finish = () => {
        cancel?.();
        this.#changed = () => {};
        resolve();
      };
      const cancel = withinMs === undefined ? null : this.#options.clock.setTimer(withinMs, finish);
      this.#changed = () => {
        if (this.#over || condition()) finish();
      };
      this.#changed();
    });
  }

  async #read(input: AsyncIterable<Uint8Array>): Promise<void> {
    const splitter = new LineSplitter(limits.jsonLineBytesMax);
    const chunks = input[Symbol.asyncIterator]();
    while (!this.#over) {
      const chunk = await this.#nextChunk(chunks);
      if (chunk === null) break;
      for (const line of splitter.push(chunk)) {
        await this.#take(line);
        if (this.#over) return;
      }
      await this.#output.drained();
    }
    const last = splitter.end();
    if (last !== null && !this.#over) await this.#take(last);
  }

  /** Null at the end of the input, or when there is no use in reading on. */
  async #nextChunk(chunks: AsyncIterator<Uint8Array>): Promise<Uint8Array | null> {
    let chunk: Uint8Array | null | undefined;
    chunks.next().then(
      (result) => {
        chunk = result.done === true ? null : result.value;
        this.#changed();
      },
      (error: unknown) => {
        this.#options.complain(`cannot read stdin: ${error instanceof Error ? error.message : String(error)}`);
        chunk = null;
        this.#changed();
      },
    );
    await this.#until(() => chunk !== undefined);
    return chunk ?? null;
  }

  /** Waits for room in the window, then does or refuses what the line says. */
  async #take(line: InputLine): Promise<void> {
    await this.#until(() => this.#open.size < limits.sessionWindow);
    const kilobytes = limits.jsonLineBytesMax / 1024;
    if (line.kind === "tooLong") return this.#refuseLine(null, "too-long", `A line is at most ${kilobytes} KiB long.`);
    if (line.kind === "notUtf8") return this.#refuseLine(null, "bad-command", "The line is not UTF-8.");
    const parsed = parseCommand(line.text);
    if (!parsed.ok) return this.#refuseLine(parsed.tag, parsed.refusal.code, parsed.refusal.message);
    const { command } = parsed;
    const slot: Open = { tag: command.tag, command, reply: null };
    this.#open.add(slot);
    if (this.#over) return this.#unanswered(slot, false);
    if (command.ordering === "anytime") this.#begin(slot);
    else this.#waiting.push(slot);
    this.#advance();
  }

  #refuseLine(tag: string | null, error: ErrorCode, message: string): void {
    const slot: Slot = { tag, command: null, reply: null };
    this.#open.add(slot);
    this.#reply(slot, refusal(error, message));
  }

  /** Begins what may begin now, in the order of the lines. */
  #advance(): void {
    for (let next = this.#waiting[0]; next !== undefined && this.#mayBegin(next); next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#begin(next);
    }
  }

  #mayBegin({ command: { ordering } }: Open): boolean {
    if (ordering === "step") return this.#ops + this.#steps + this.#queries === 0;
    return ordering === "free" ? this.#steps === 0 : this.#ops + this.#steps === 0;
  }

  #begin(slot: Open): void {
    const { command } = slot;
    this.#count(command, 1);
    this.#ask(command).then(
      (answer) => {
        if (answer.type === "refused") this.#reply(slot, refusal(answer.code, answer.message));
        else this.#reply(slot, { ok: true, ...showAnswer(command.name, answer) });
        this.#ended(command);
      },
      (error: unknown) => {
        this.#unanswered(slot, !(error instanceof ClientClosedError) || error.mayBeDone);
        this.#ended(command);
      },
    );
  }

  #ask({ request }: Command): Promise<Answers[keyof Answers] | DraftsSent | Refused> {
    return request.type === "sendDrafts" ? sendDrafts(this.#client, request.drafts) : this.#client.request(request);
  }

  #ended(command: Command): void {
    this.#count(command, -1);
    this.#advance();
    this.#changed();
  }

  #count({ ordering }: Command, by: 1 | -1): void {
    if (ordering === "free") this.#ops += by;
    else if (ordering === "step") this.#steps += by;
    else if (ordering === "query") this.#queries += by;
  }

  #answered(): boolean {
    for (const { reply } of this.#open) if (reply === null) return false;
    return true;
  }

  /** Closes the client: what has no answer by now gets the reply that it has none. */
  async #giveUp(): Promise<void> {
    const isToldWhy = this.#over;
    const open = [...this.#open].filter(({ reply }) => reply === null);
    for (const slot of this.#waiting.splice(0)) this.#unanswered(slot, false);
    await this.#client.close();
    // Whoever sent a signal, stopped reading, or was told why the session ended needs no list.
    for (const { command, tag, reply } of isToldWhy ? [] : open) {
      const tagged = tag === null ? "" : ` (tag ${JSON.stringify(tag)})`;
      const outcome = reply?.["error"] === "unknown" ? "it may or may not be done" : "it was not done";
      this.#options.complain(`${command?.name}${tagged}: no answer within ${this.#options.giveUpMs} ms; ${outcome}`);
    }
  }

  // Lines out.

  #told(event: ClientEvent): void {
    if (event.type === "connection") this.#connection(event.connection);
    else this.#write(showEvent(event));
  }

  #connection(connection: ConnectionState): void {
    if (connection.state === "connected" || connection.state === "reconnected") this.#reached = true;
    if (connection.state === "closed") {
      this.#closedBecause = connection.reason;
      this.#options.complain(connection.reason);
    }
    const line = this.#shown.show(connection);
    if (line !== null) this.#write(line);
    this.#changed();
  }

  /** The one reply to a line, written when those to the lines before it are. */
  #reply(slot: Slot, reply: Readonly<Record<string, unknown>>): void {
    slot.reply = reply;
    for (const each of this.#open) {
      const mayOvertake = each.command?.ordering === "anytime";
      if (each.reply === null && !mayOvertake) break;
      if (each.reply !== null) this.#writeReply(each, each.reply);
    }
    if (slot.command?.ordering === "anytime" && this.#open.has(slot)) this.#writeReply(slot, reply);
  }

  #writeReply(slot: Slot, reply: Readonly<Record<string, unknown>>): void {
    this.#open.delete(slot);
    this.#write({ event: "reply", tag: slot.tag, ...reply });
  }

  /** No answer will come. */
  #unanswered(slot: Slot, mayBeDone: boolean): void {
    this.#failed = true;
    const reply = mayBeDone
      ? refusal("unknown", "No answer came: it may or may not be done.")
      : refusal("unavailable", "No replica could be asked: nothing was changed.");
    this.#reply(slot, reply);
  }

  #write(line: Readonly<Record<string, unknown>>): void {
    this.#output.write(JSON.stringify(line));
  }

  #status(connection: ConnectionState): number {
    if (!this.#reached && !this.#over) {
      this.#options.complain(`no server: ${"reason" in connection ? connection.reason : "none could be reached"}`);
    }
    if (!this.#reached) return jsonExit.unreachable;
    return this.#failed || this.#closedBecause !== null ? jsonExit.failed : jsonExit.done;
  }
}

const refusal = (error: ErrorCode, message: string) => ({ ok: false, error, message });
