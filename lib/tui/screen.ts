/**
 * The interactive surface: keys in, rows out. Owns what is asked just now and the frame made of it; lines that arrive
 * go above it without touching what is being typed. Keys typed ahead wait for the next question. Knows nothing of the
 * chat: see `conversation.ts`.
 */
import type { Draft } from "./editor.ts";
import { buildFrame, type Asked } from "./frame.ts";
import { key, type Key, type Typed } from "./keys.ts";
import { wrap, type Span } from "./layout.ts";
import { Leavings } from "./leaving.ts";
import { Printer } from "./printer.ts";
import { ChoicePrompt } from "./prompt-choice.ts";
import { History, LinePrompt } from "./prompt-line.ts";
import { cleanInput, sanitise, sanitiseLine } from "./sanitise.ts";
import type { Answer, Fate, Leaving, Line, Question, ShownMessage, Surface } from "./surface.ts";
import { Terminal, type InputStream, type OutputStream } from "./terminal.ts";
import { makeTheme, type Style, type Symbols, type Theme } from "./theme.ts";

export interface ScreenOptions {
  readonly input: InputStream;
  readonly output: OutputStream;
  readonly colour: boolean;
  readonly unicode: boolean;
  /** Width of the terminal now, in columns. */
  readonly columns: () => number;
  /** Height of the terminal now, in rows. */
  readonly rows: () => number;
}

/** More than this is not taken as one paste: it is a file, not a message. In characters. */
const pasteMax = 100_000;
const quitHint: Line = { tone: "warning", text: "press Ctrl-C again to quit" };

interface OpenLine {
  readonly question: Question;
  readonly prompt: LinePrompt;
}

export class Screen implements Surface {
  readonly linear = false;
  readonly unattended = null;
  readonly symbols: Symbols;
  readonly #theme: Theme;
  readonly #options: ScreenOptions;
  readonly #printer: Printer;
  readonly #terminal: Terminal;
  readonly #history = new History();
  readonly #leavings = new Leavings();
  readonly #outgoing: ShownMessage[] = [];
  readonly #queue: Typed[] = [];
  #line: OpenLine | null = null;
  #choice: { readonly label: string; readonly prompt: ChoicePrompt } | null = null;
  readonly #busy: string[] = [];
  #interrupted: LinePrompt | null = null;
  #standing: Line | null = null;
  #hint: Line | null = null;
  #activity: () => void = () => {};

  constructor(options: ScreenOptions) {
    this.#options = options;
    this.#theme = makeTheme(options);
    this.symbols = this.#theme.symbols;
    this.#printer = new Printer(options.output);
    this.#terminal = new Terminal(options.input, options.output, {
      input: (inputs) => this.#input(inputs),
      resizing: () => this.#printer.hold(),
      resized: (column) => {
        this.#printer.resized(this.#columns(), column);
        this.#redraw();
      },
      suspending: () => this.#printer.erase(),
      resumed: () => {
        this.#printer.forget();
        this.#redraw();
      },
      ended: (code) => this.#left({ how: "signal", code }),
    });
    this.#terminal.open();
  }

  say(line: Line): void {
    const sign = this.#sign(line);
    this.#print([
      { text: sign, style: line.tone },
      { text: sanitise(line.text, this.#theme.unicode), style: sign === "" ? line.tone : "plain" },
    ]);
  }

  message(message: ShownMessage): void {
    this.#print(this.#messageSpans(message));
  }

  outgoing(message: ShownMessage): (fate: Fate) => void {
    this.#outgoing.push(message);
    this.#redraw();
    return (fate) => {
      const at = this.#outgoing.indexOf(message);
      if (at < 0) return;
      this.#outgoing.splice(at, 1);
      const state: Span<Style> = { text: ` ${this.symbols.dot} ${this.#clean(fate.text)}`, style: fate.tone };
      this.#print([...this.#messageSpans({ ...message, when: fate.when }), state]);
      this.#redraw();
    };
  }

  standing(line: Line | null): void {
    this.#standing = line;
    this.#redraw();
  }

  async ask(question: Question): Promise<Answer> {
    if (this.#leavings.any) return new Promise(() => {});
    const prompt = new LinePrompt({
      ...(question.initial === undefined ? {} : { initial: question.initial }),
      ...(question.kind === "prompt" ? { history: this.#history } : {}),
      accept: question.accept ?? (() => null),
      changed: (complaint) => {
        this.#hint = complaint === null ? null : { tone: "warning", text: complaint };
      },
    });
    this.#line = { question, prompt };
    const answered = prompt.answer();
    this.#redraw();
    this.#drain();
    const text = await answered;
    if (text !== null) return this.#answered(question, text);
    return this.#interrupted === prompt ? { type: "interrupted", draft: prompt.draft } : { type: "back" };
  }

  async confirm(question: string, no: string, yes: string): Promise<boolean> {
    if (this.#leavings.any) return new Promise(() => {});
    const prompt = new ChoicePrompt([no, yes], () => this.#redraw());
    this.#choice = { label: question, prompt };
    const answered = prompt.answer();
    this.#redraw();
    this.#drain();
    const confirmed = (await answered) === 1;
    this.say({ tone: "dim", text: `${question} ${confirmed ? yes : no}` });
    return confirmed;
  }

  async busy<T>(label: string, work: Promise<T>): Promise<T> {
    this.#busy.push(label);
    this.#redraw();
    try {
      return await work;
    } finally {
      this.#busy.splice(this.#busy.indexOf(label), 1);
      this.#redraw();
    }
  }

  interrupt(): void {
    if (this.#line === null) return;
    this.#interrupted = this.#line.prompt;
    this.#line.prompt.interrupt();
    this.#drain();
  }

  onActivity(listener: () => void): void {
    this.#activity = listener;
  }

  leave(): void {
    this.#left({ how: "user", code: 0 });
  }

  nextLeaving(): Promise<Leaving> {
    return this.#leavings.next();
  }

  close(): void {
    try {
      this.#printer.stop();
    } finally {
      this.#terminal.close();
    }
  }

  /** Nothing more is asked from here on; only leaving faster is possible. */
  #left(leaving: Leaving): void {
    this.#line = null;
    this.#choice = null;
    this.#queue.length = 0;
    this.#leavings.push(leaving);
    this.#redraw();
  }

  #answered(question: Question, text: string): Answer {
    if (question.kind === "prompt") this.#history.add(text);
    else {
      const shown = question.secret === true ? this.symbols.mask.repeat(8) : text;
      this.say({ tone: "dim", text: `${question.label}: ${shown}` });
    }
    return { type: "line", text };
  }

  #input(inputs: readonly Typed[]): void {
    this.#activity();
    for (const input of inputs) {
      if (input.type === "key" && input.ctrl && this.#control(input)) continue;
      this.#queue.push(input);
    }
    this.#drain();
  }

  /** Keys that act at once, whatever is waiting before them. */
  #control(pressed: Key): boolean {
    switch (pressed.name) {
      case "c":
        this.#quitKey();
        return true;
      case "z":
        this.#terminal.suspend();
        return true;
      case "l":
        this.#printer.clearScreen();
        return true;
      default:
        return false;
    }
  }

  #quitKey(): void {
    if (this.#hint === quitHint || this.#leavings.any) this.leave();
    this.#hint = quitHint;
    this.#redraw();
  }

  #drain(): void {
    for (;;) {
      if (this.#line?.prompt.over === true) this.#line = null;
      if (this.#choice?.prompt.over === true) this.#choice = null;
      if (this.#line === null && this.#choice === null) break;
      const input = this.#queue.shift();
      if (input === undefined) break;
      this.#hint = null;
      if (this.#choice !== null) {
        if (input.type === "key") this.#choice.prompt.press(input);
      } else if (this.#line !== null) this.#typed(this.#line, input);
    }
    this.#redraw();
  }

  #typed(line: OpenLine, input: Typed): void {
    if (input.type === "paste") return this.#pasted(line, cleanInput(input.text));
    const { prompt, question } = line;
    if (input.ctrl && input.name === "d" && prompt.draft.text === "") return this.leave();
    if (input.name === "escape" && question.back !== true) {
      this.#hint = escapeHint(prompt.draft);
      return;
    }
    if (input.name === "tab") return this.#complete(line);
    prompt.press(input.text === "" ? input : { ...input, text: cleanInput(input.text) });
  }

  #pasted({ prompt, question }: OpenLine, text: string): void {
    if (text.length > pasteMax) {
      this.#hint = {
        tone: "warning",
        text: `That is too much to paste (${text.length} characters): nothing was taken.`,
      };
      return;
    }
    if (question.kind === "field") {
      // In a field the end of a pasted line is Enter, and what follows answers the next question.
      const keys = text
        .split("\n")
        .flatMap((part, at) => [...(at > 0 ? [key("return")] : []), key("", { text: part })]);
      this.#queue.unshift(...keys.filter((each) => each.name !== "" || each.text !== ""));
      return;
    }
    const whole = text.replace(/\n+$/, "");
    prompt.insert(whole);
    const lines = prompt.draft.text.split("\n").length;
    if (lines > 1) this.#hint = { tone: "dim", text: `${lines} lines: Enter sends them as one message` };
  }

  #complete({ prompt, question }: OpenLine): void {
    const { text, cursor } = prompt.draft;
    const before = text.slice(0, cursor);
    const candidates = question.complete?.(before) ?? [];
    const common = commonPrefix(candidates);
    if (common.length > before.length || candidates.length === 1) prompt.replaceBefore(common);
    if (candidates.length > 1) {
      const words = candidates.map((each) => each.trim().split(" ").at(-1) ?? "");
      this.#hint = { tone: "dim", text: words.join("  ") };
    }
  }

  #redraw(): void {
    const asked = this.#asked();
    const state = { outgoing: this.#outgoing, standing: this.#standing, asked, hint: this.#hint };
    this.#printer.draw(buildFrame(state, this.#theme, this.#columns(), this.#options.rows()));
  }

  #asked(): Asked | null {
    if (this.#choice !== null) {
      const { label, prompt } = this.#choice;
      return { kind: "choice", label, options: prompt.options, chosen: prompt.chosen };
    }
    if (this.#line !== null) {
      const { question, prompt } = this.#line;
      const { label, kind, secret = false } = question;
      return { kind: "line", label, field: kind === "field", secret, draft: prompt.draft };
    }
    const label = this.#busy.at(-1);
    return label === undefined ? null : { kind: "busy", label };
  }

  #print(spans: readonly Span<Style>[]): void {
    this.#printer.print(wrap(spans, this.#columns(), 2).map((row) => this.#theme.row(row)));
  }

  #messageSpans(message: ShownMessage): Span<Style>[] {
    const { from, to, own, when, text } = message;
    const name: Span<Style>[] = own
      ? [{ text: `${this.#clean(from)} ${this.symbols.arrow} ${this.#clean(to)}: `, style: "own" }]
      : [{ text: `${this.#clean(from)}: `, style: `name:${from}` }];
    const body = sanitise(text, this.#theme.unicode);
    return [{ text: `${when} `, style: "dim" }, ...name, { text: body, style: "plain" }];
  }

  #clean(text: string): string {
    return sanitiseLine(text, this.#theme.unicode);
  }

  #sign({ tone }: Line): string {
    return tone === "info" || tone === "good" || tone === "warning" || tone === "bad" ? `${this.symbols[tone]} ` : "";
  }

  #columns(): number {
    return Math.max(this.#options.columns(), 10);
  }
}

function escapeHint(draft: Draft): Line {
  const text = draft.text === "" ? "/help lists the commands, Ctrl-D quits" : "the draft is kept: Ctrl-U clears it";
  return { tone: "dim", text };
}

function commonPrefix(texts: readonly string[]): string {
  let prefix = texts[0] ?? "";
  for (const text of texts) while (!text.startsWith(prefix)) prefix = prefix.slice(0, -1);
  return prefix;
}
