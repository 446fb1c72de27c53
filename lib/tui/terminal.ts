/**
 * The terminal as a resource: raw mode, bracketed paste, the keyboard's bytes, window size, and the signals that end,
 * stop and continue the program. Whatever happens, the terminal is given back as it was found. Decides nothing about
 * what keys mean, and draws nothing.
 */
import { writeSync } from "node:fs";
import type { Readable, Writable } from "node:stream";
import { askPosition, KeyDecoder, type Input, type Typed } from "./keys.ts";

/** A stream of input, a terminal when `isTTY`: `process.stdin` or a test's. */
export type InputStream = Readable & { readonly isTTY?: boolean; setRawMode?(raw: boolean): unknown };
/** A stream of output, a terminal when `isTTY`: `process.stdout` or a test's. */
export type OutputStream = Writable & {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  readonly fd?: number;
};

export interface TerminalHandlers {
  input(inputs: readonly Typed[]): void;
  /** The window gets another size: nothing may be drawn until `resized`. */
  resizing(): void;
  /** It has its new size, and its cursor is in this column (from 0; null when it did not say). */
  resized(column: number | null): void;
  /** About to be stopped (Ctrl-Z): take off what will be redrawn. */
  suspending(): void;
  /** Running in the foreground again. */
  resumed(): void;
  /** What has to be written to take off what cannot be redrawn any more. */
  restoring(): string;
  /** The terminal is gone or a signal asks to end; `code` is the exit status that goes with it. */
  ended(code: number): void;
}

const pasteOn = "\x1b[?2004h";
const pasteOff = "\x1b[?2004l";
/** Cursor shown, rows wrap, colours off, pastes unmarked. */
const restore = `\x1b[?25h\x1b[?7h\x1b[0m${pasteOff}`;

/** After an escape that nothing followed, it was the Escape key. */
const escapeMs = 40;
/** After a paste that has not ended for this long, its end is lost. */
const pasteMs = 2000;

/** A window that is being dragged has its size when it has kept it for this long. */
const settledMs = 50;
/** A terminal that has not said where its cursor is by then will not. */
const positionMs = 200;

const signalCodes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
type EndingSignal = keyof typeof signalCodes;

export class Terminal {
  readonly #decoder = new KeyDecoder();
  readonly #input: InputStream;
  readonly #output: OutputStream;
  readonly #handlers: TerminalHandlers;
  #flushTimer: ReturnType<typeof setTimeout> | null = null;
  #resizeTimer: ReturnType<typeof setTimeout> | null = null;
  #entered = false;
  #opened = false;

  constructor(input: InputStream, output: OutputStream, handlers: TerminalHandlers) {
    this.#input = input;
    this.#output = output;
    this.#handlers = handlers;
  }

  open(): void {
    this.#opened = true;
    this.#input.on("data", this.#onData);
    this.#input.on("end", this.#onEnd);
    this.#input.on("error", this.#onEnd);
    // A terminal that went away refuses what is written: the end of input says so too, and decides.
    this.#output.on("error", this.#onEnd);
    this.#output.on("resize", this.#onResize);
    for (const signal of Object.keys(signalCodes)) process.on(signal, this.#onSignal);
    process.on("SIGCONT", this.#onContinue);
    process.on("exit", this.#restoreNow);
    this.#enter();
  }

  close(): void {
    if (!this.#opened) return;
    this.#opened = false;
    this.#leave();
    if (this.#flushTimer !== null) clearTimeout(this.#flushTimer);
    if (this.#resizeTimer !== null) clearTimeout(this.#resizeTimer);
    this.#input.off("data", this.#onData);
    this.#input.off("end", this.#onEnd);
    this.#input.off("error", this.#onEnd);
    this.#input.pause();
    this.#output.off("resize", this.#onResize);
    for (const signal of Object.keys(signalCodes)) process.off(signal, this.#onSignal);
    process.off("SIGCONT", this.#onContinue);
    process.off("exit", this.#restoreNow);
  }

  /** Stops the program as the terminal's own Ctrl-Z would: the whole foreground group. Returns when it goes on. */
  suspend(): void {
    this.#handlers.suspending();
    this.#leave();
    process.kill(0, "SIGTSTP");
    // Reached at once when nothing can be stopped (no shell to go on from), else when the program was continued.
    setTimeout(this.#onContinue, 20);
  }

  #enter(): void {
    if (this.#entered) return;
    this.#entered = true;
    this.#input.setRawMode?.(true);
    this.#input.resume();
    this.#output.write(pasteOn);
  }

  #leave(): void {
    if (!this.#entered) return;
    this.#entered = false;
    this.#output.write(this.#handlers.restoring() + restore);
    this.#input.setRawMode?.(false);
  }

  /** For the last moment of a process, when what is queued may never be written. */
  readonly #restoreNow = (): void => {
    if (!this.#entered) return;
    this.#entered = false;
    try {
      this.#input.setRawMode?.(false);
      const text = this.#handlers.restoring() + restore;
      if (this.#output.fd === undefined) this.#output.write(text);
      else writeSync(this.#output.fd, `\r\n${text}`);
    } catch {
      // The terminal is gone: there is nothing to restore.
    }
  };

  readonly #onData = (chunk: Uint8Array | string): void => {
    if (this.#flushTimer !== null) clearTimeout(this.#flushTimer);
    this.#flushTimer = null;
    const inputs = this.#decoder.push(typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk);
    if (this.#decoder.pending) {
      this.#flushTimer = setTimeout(this.#onPause, this.#decoder.pasting ? pasteMs : escapeMs);
    }
    this.#pass(inputs);
  };

  readonly #onPause = (): void => {
    this.#flushTimer = null;
    this.#pass(this.#decoder.flush());
  };

  #pass(inputs: readonly Input[]): void {
    const typed = inputs.filter((input): input is Typed => input.type !== "position");
    for (const input of inputs) if (input.type === "position") this.#resized(input.column);
    if (typed.length > 0) this.#handlers.input(typed);
  }

  readonly #onEnd = (): void => this.#handlers.ended(signalCodes.SIGHUP);

  readonly #onResize = (): void => {
    this.#handlers.resizing();
    if (this.#resizeTimer !== null) clearTimeout(this.#resizeTimer);
    this.#resizeTimer = setTimeout(() => {
      this.#output.write(askPosition);
      this.#resizeTimer = setTimeout(() => this.#resized(null), positionMs);
    }, settledMs);
  };

  #resized(column: number | null): void {
    if (this.#resizeTimer === null) return;
    clearTimeout(this.#resizeTimer);
    this.#resizeTimer = null;
    this.#handlers.resized(column);
  }

  readonly #onSignal = (signal: EndingSignal): void => this.#handlers.ended(signalCodes[signal]);

  readonly #onContinue = (): void => {
    if (!this.#opened) return;
    // Also after a stop from outside (kill -STOP), when the shell has taken raw mode away: what is set already is not set.
    if (this.#entered) this.#input.setRawMode?.(false);
    this.#entered = false;
    this.#enter();
    this.#handlers.resumed();
  };
}
