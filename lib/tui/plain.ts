/**
 * The plain surface: one line after the other, nothing redrawn, no symbols beyond ASCII, no colours. For screen
 * readers, dumb terminals and pipes. Reads whole lines; on a terminal, passwords are read without echo.
 */
import { assert } from "../base/assert.ts";
import type { ChatClient } from "../client/types.ts";
import { emptyDraft } from "./editor.ts";
import { Leavings } from "./leaving.ts";
import { LineReader } from "./line-reader.ts";
import { shownName } from "./names.ts";
import { runChat, type RunOptions } from "./run.ts";
import { sanitise, sanitiseLine } from "./sanitise.ts";
import type { Answer, Fate, Leaving, Line, Picked, Question, ShownMessage, Surface, Unattended } from "./surface.ts";
import type { InputStream, OutputStream } from "./terminal.ts";
import { asciiSymbols, type Symbols } from "./theme.ts";

/** Exit status of a run whose output cannot be written (sysexits.h, EX_IOERR). */
const outputError = 74;

export interface PlainOptions {
  readonly input: InputStream;
  readonly output: OutputStream;
  readonly unicode: boolean;
  /** One line for whoever started it, on stderr. */
  readonly complain: (line: string) => void;
}

/** The chat in lines; see `runInteractive`. Waits for acknowledgements when input ends, for `giveUpMs` at most. */
export function runPlain(client: ChatClient, options: PlainOptions & RunOptions): Promise<number> {
  return runChat(client, new PlainSurface(options), options);
}

const signalCodes = { SIGHUP: 129, SIGTERM: 143 } as const;

export class PlainSurface implements Surface {
  readonly linear = true;
  readonly isCovered = false;
  readonly symbols: Symbols = asciiSymbols;
  readonly #output: OutputStream;
  readonly #unicode: boolean;
  readonly #complain: (line: string) => void;
  readonly #isAttended: boolean;
  readonly #reader: LineReader;
  readonly #leavings = new Leavings();
  #sent = 0;
  #failures = 0;
  #firstFailure = "";
  #interrupt: (() => void) | null = null;

  constructor({ input, output, unicode, complain }: PlainOptions) {
    this.#output = output;
    this.#unicode = unicode;
    this.#complain = complain;
    this.#isAttended = input.isTTY === true;
    this.#reader = new LineReader(input);
    output.on("error", this.#gone);
    process.on("SIGHUP", this.#signalled);
    process.on("SIGTERM", this.#signalled);
    process.on("SIGINT", this.#wished);
  }

  get unattended(): Unattended | null {
    if (this.#isAttended) return null;
    const { count: lines, exhausted } = this.#reader;
    return { lines, failures: this.#failures, firstFailure: this.#firstFailure, exhausted };
  }

  say({ tone, text, failed }: Line): void {
    if (failed === true) this.#failed(text);
    this.#print(tone === "bad" ? `error: ${text}` : tone === "warning" ? `warning: ${text}` : text);
  }

  message({ from, to, own, text, when }: ShownMessage): void {
    this.#print(`${when} ${own ? `to ${shownName(to)}` : `from ${shownName(from)}`}: ${text}`);
  }

  outgoing({ to, text }: ShownMessage): (fate: Fate) => void {
    this.#sent += 1;
    const number = this.#sent;
    this.#print(`sending ${number} to ${to}: ${text}`);
    return (fate) => {
      const became = `message ${number} ${sanitiseLine(fate.text, this.#unicode)}`;
      if (fate.failed === true) this.#failed(became);
      this.#print(became);
    };
  }

  standing(): void {
    // What holds for a while is said once by whoever knows it begins: a line cannot be taken back.
  }

  async ask(question: Question): Promise<Answer> {
    for (;;) {
      // Asked for before it is said: what is typed at once must not be echoed.
      const next = this.#nextLine(question.secret === true);
      if (question.kind === "field") this.#print(question.label + (question.back === true ? " (empty: back):" : ":"));
      const line = await next;
      if (line === null) return { type: "interrupted", draft: question.initial ?? emptyDraft };
      if (question.back === true && line === "") return { type: "back", draft: question.initial ?? emptyDraft };
      const complaint = question.accept?.(line) ?? null;
      if (complaint === null) return { type: "line", text: line };
      this.say({ tone: "warning", text: complaint, failed: true });
    }
  }

  async confirm(question: string, no: string, yes: string): Promise<boolean> {
    this.#print(`${question} Type yes (${yes}) or no (${no}):`);
    return /^y(es)?$/i.test(((await this.#nextLine(false)) ?? "").trim());
  }

  busy<T>(_label: string, work: Promise<T>): Promise<T | "left"> {
    return work;
  }

  pick(): Promise<Picked> {
    assert(false, "a linear surface has no pages");
  }

  refresh(): void {
    // Nothing that stands here changes.
  }

  journal(): void {
    // It is never left.
  }

  takeTyped(): string {
    return "";
  }

  ring(): void {
    if (this.#isAttended) this.#output.write("\x07");
  }

  interrupt(): void {
    this.#interrupt?.();
  }

  onActivity(listener: () => void): void {
    this.#reader.onActivity = listener;
  }

  leave(): void {
    this.#leavings.push({ how: "user", code: 0 });
  }

  nextLeaving(): Promise<Leaving> {
    return this.#leavings.next();
  }

  close(): void {
    this.#reader.close();
    process.off("SIGHUP", this.#signalled);
    process.off("SIGTERM", this.#signalled);
    process.off("SIGINT", this.#wished);
  }

  /** The next line, null when interrupted; never resolves when there is none left, or the surface was left. */
  async #nextLine(secret: boolean): Promise<string | null> {
    if (this.#leavings.any) return new Promise(() => {});
    const interrupted = new Promise<"interrupted">((resolve) => {
      this.#interrupt = () => resolve("interrupted");
    });
    const next = await Promise.race([this.#reader.next(secret), interrupted]);
    this.#interrupt = null;
    if (next === "interrupted") {
      this.#reader.cancel();
      return null;
    }
    if (next.type === "line") return next.text;
    this.#leavings.push({ how: "end of input", code: 0 });
    return new Promise(() => {});
  }

  #print(text: string): void {
    this.#output.write(`${sanitise(text, this.#unicode).replaceAll("\n", "\n  ")}\n`);
  }

  #failed(text: string): void {
    if (this.#failures === 0) this.#firstFailure = text;
    this.#failures += 1;
  }

  readonly #gone = (error: NodeJS.ErrnoException): void => {
    // Whoever read has read enough: that is no failure.
    const isFailure = error.code !== "EPIPE";
    if (isFailure) this.#complain(`cannot write to stdout: ${error.message}`);
    this.#leavings.push({ how: "signal", code: isFailure ? outputError : 0 });
  };

  readonly #wished = (): void => this.leave();

  readonly #signalled = (signal: keyof typeof signalCodes): void => {
    this.#leavings.push({ how: "signal", code: signalCodes[signal] });
  };
}
