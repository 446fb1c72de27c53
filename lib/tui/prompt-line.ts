/**
 * One question to be answered on one row: a prompt of @clack/core that edits by `editor.ts` and is drawn by others.
 * Clack's own drawing is switched off (its render callback returns nothing and its output leads nowhere), because it
 * cannot share the screen with lines that arrive meanwhile; its state machine decides what submits and what cancels.
 */
import { isCancel, Prompt } from "@clack/core";
import { Readable, Writable } from "node:stream";
import { edit, emptyDraft, insert, draftOf, type Draft } from "./editor.ts";
import type { Key } from "./keys.ts";

/** An input that says nothing by itself: keys are handed to the prompt one by one. */
export class Silence extends Readable {
  override _read(): void {}
}

/** An output that leads nowhere. */
export class Nowhere extends Writable {
  override _write(_chunk: unknown, _encoding: string, done: () => void): void {
    done();
  }
}

/** Lines that were entered before, newest last; walks through them while keeping the draft it started from. */
export class History {
  readonly #lines: string[] = [];
  #at = 0;
  #unfinished: Draft = emptyDraft;

  /** Another question: what was begun in the one before is kept by whoever asked it. */
  begin(): void {
    this.#at = this.#lines.length;
    this.#unfinished = emptyDraft;
  }

  /** The draft that the walk started from, while an earlier line is shown as it is; else what is shown. */
  begun(shown: Draft): Draft {
    return this.#lines[this.#at] === shown.text ? this.#unfinished : shown;
  }

  add(line: string): void {
    if (line !== "" && this.#lines.at(-1) !== line) this.#lines.push(line);
    if (this.#lines.length > 1000) this.#lines.shift();
    this.begin();
  }

  /** The line before or after the one shown, null at the ends. */
  walk(direction: -1 | 1, shown: Draft): Draft | null {
    const at = this.#at + direction;
    if (at < 0 || at > this.#lines.length) return null;
    if (this.#at === this.#lines.length) this.#unfinished = shown;
    this.#at = at;
    const line = this.#lines[at];
    return line === undefined ? this.#unfinished : { ...draftOf(line), cut: shown.cut };
  }
}

export interface LinePromptOptions {
  readonly initial?: Draft;
  /** Why the text cannot be taken, or null. */
  readonly accept: (text: string) => string | null;
  /** The draft, or why it was not taken, has changed. */
  readonly changed: (complaint: string | null) => void;
  readonly history?: History;
  /** A text that cannot be taken does not stay. */
  readonly clears?: boolean;
}

export class LinePrompt extends Prompt<string> {
  readonly #keys: Silence;
  readonly #abort: AbortController;
  readonly #options: LinePromptOptions;
  #draft: Draft;

  constructor(options: LinePromptOptions) {
    const input = new Silence();
    const abort = new AbortController();
    super({ input, output: new Nowhere(), signal: abort.signal, render: () => undefined }, false);
    this.#keys = input;
    this.#abort = abort;
    this.#options = options;
    this.#draft = options.initial ?? emptyDraft;
    options.history?.begin();
    this.on("finalize", () => {
      this.value = this.#draft.text;
    });
  }

  get draft(): Draft {
    return this.#draft;
  }

  /** What is to be kept of it when it is left: an earlier line that is only looked at takes the place of none. */
  get begun(): Draft {
    return this.#options.history?.begun(this.#draft) ?? this.#draft;
  }

  /** Answered or left: takes no more keys. */
  get over(): boolean {
    return this.state === "submit" || this.state === "cancel";
  }

  /** Resolves with the text, or null when it was left. Call once. */
  async answer(): Promise<string | null> {
    const answer = await this.prompt();
    return isCancel(answer) || answer === undefined ? null : answer;
  }

  press(pressed: Key): void {
    if (this.over) return;
    const edited = edit(this.#draft, pressed) ?? this.#walk(pressed);
    if (edited !== null) return this.#set(edited);
    // Only names that clack acts on are handed over: to it any text could be the name of a key.
    if (pressed.name === "return") this.#keys.emit("keypress", undefined, { name: "return", sequence: "\r" });
    else if (pressed.name === "escape") this.#keys.emit("keypress", undefined, { name: "escape", sequence: "\x1b" });
  }

  insert(text: string): void {
    if (!this.over) this.#set(insert(this.#draft, text));
  }

  /** Replaces everything before the cursor. */
  replaceBefore(text: string): void {
    if (this.over) return;
    const after = this.#draft.text.slice(this.#draft.cursor);
    this.#set({ ...this.#draft, text: text + after, cursor: text.length });
  }

  /** Leaves the question; the draft can still be read. */
  interrupt(): void {
    if (!this.over) this.#abort.abort();
  }

  protected override _shouldSubmit(): boolean {
    const complaint = this.#options.accept(this.#draft.text);
    if (complaint === null) return true;
    if (this.#options.clears === true) this.#draft = emptyDraft;
    this.#options.changed(complaint);
    return false;
  }

  #walk(pressed: Key): Draft | null {
    const direction = historyDirection(pressed);
    if (direction === 0) return null;
    return this.#options.history?.walk(direction, this.#draft) ?? null;
  }

  #set(draft: Draft): void {
    this.#draft = draft;
    this.#options.changed(null);
  }
}

function historyDirection({ name, ctrl, meta }: Key): -1 | 0 | 1 {
  if (meta) return 0;
  if ((name === "up" && !ctrl) || (name === "p" && ctrl)) return -1;
  return (name === "down" && !ctrl) || (name === "n" && ctrl) ? 1 : 0;
}
