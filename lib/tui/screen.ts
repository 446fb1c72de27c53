/**
 * The interactive surface: keys in, rows out. Lines and messages are printed one below the other (the journal), with the
 * question below them; what arrives goes above it without touching what is being typed. Pages fill the window instead.
 * Knows nothing of the chat: see `chat.ts`.
 */
import { Asking } from "./asking.ts";
import { buildFrame } from "./frame.ts";
import type { Key, Typed } from "./keys.ts";
import { wrap, type Span } from "./layout.ts";
import { Leavings } from "./leaving.ts";
import { buildPage } from "./page-frame.ts";
import { Printer } from "./printer.ts";
import { sanitise, sanitiseLine } from "./sanitise.ts";
import { shownName } from "./names.ts";
import type { Answer, Fate, Leaving, Line, Page, Picked, Question, ShownMessage, Surface } from "./surface.ts";
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

const quitHint: Line = { tone: "warning", text: "press Ctrl-C again to quit" };
/** Lines said that a page keeps to show. */
const notesMax = 20;

export class Screen implements Surface {
  readonly linear = false;
  readonly unattended = null;
  readonly symbols: Symbols;
  readonly #theme: Theme;
  readonly #options: ScreenOptions;
  readonly #printer: Printer;
  readonly #terminal: Terminal;
  readonly #asking: Asking;
  readonly #leavings = new Leavings();
  readonly #outgoing: ShownMessage[] = [];
  /** What was said since something was last answered or chosen: a page shows it. */
  #notes: Line[] = [];
  #pageRows = 1;
  #standing: Line | null = null;
  #activity: () => void = () => {};

  constructor(options: ScreenOptions) {
    this.#options = options;
    this.#theme = makeTheme(options);
    this.symbols = this.#theme.symbols;
    this.#printer = new Printer(options.output);
    const pageRows = (): number => this.#pageRows;
    this.#asking = new Asking({
      changed: () => this.#redraw(),
      leave: () => this.leave(),
      get pageRows() {
        return pageRows();
      },
    });
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
      restoring: () => this.#printer.restoring,
      ended: (code) => this.#left({ how: "signal", code }),
    });
    this.#terminal.open();
  }

  get isCovered(): boolean {
    return this.#asking.page !== null;
  }

  say(line: Line): void {
    const sign = this.#sign(line);
    this.#print([
      { text: sign, style: line.tone },
      { text: sanitise(line.text, this.#theme.unicode), style: sign === "" ? line.tone : "plain" },
    ]);
    this.#note(line);
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
      const { arrow, dot } = this.symbols;
      const [first = ""] = message.text.split("\n", 1);
      this.#note({ tone: fate.tone, text: `${arrow} ${message.to}: ${first} ${dot} ${fate.text}` });
      this.#redraw();
    };
  }

  standing(line: Line | null): void {
    this.#standing = line;
    this.#redraw();
  }

  async ask(question: Question): Promise<Answer> {
    if (this.#leavings.any) return new Promise(() => {});
    const answer = await this.#asking.ask(question);
    // On a page nothing is left behind of a question.
    if (answer.type === "line" && question.kind === "field" && this.#asking.page === null) {
      const shown = question.secret === true ? this.symbols.mask.repeat(8) : answer.text;
      this.say({ tone: "dim", text: `${question.label}: ${shown}` });
    }
    // A page says why it is there, when it was not the user who wanted it.
    if (answer.type !== "interrupted") this.#notes = [];
    return answer;
  }

  async confirm(question: string, no: string, yes: string): Promise<boolean> {
    if (this.#leavings.any) return new Promise(() => {});
    const confirmed = (await this.#asking.choose(question, [no, yes])) === 1;
    if (this.#asking.page === null) this.say({ tone: "dim", text: `${question} ${confirmed ? yes : no}` });
    return confirmed;
  }

  busy<T>(label: string, work: Promise<T>, ahead?: "ahead"): Promise<T | "left"> {
    return this.#asking.wait(label, work, ahead === "ahead");
  }

  async pick(page: () => Page): Promise<Picked> {
    if (this.#leavings.any) return new Promise(() => {});
    const picked = await this.#asking.pick(page);
    this.#notes = [];
    return picked;
  }

  refresh(): void {
    if (this.#asking.page !== null) this.#redraw();
  }

  journal(): void {
    this.#asking.closePage();
  }

  takeTyped(): string {
    return this.#asking.takeTyped();
  }

  ring(): void {
    this.#options.output.write("\x07");
  }

  interrupt(): void {
    this.#asking.interrupt();
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
    this.#asking.stop();
    this.#asking.closePage();
    this.#leavings.push(leaving);
    this.#redraw();
  }

  #input(inputs: readonly Typed[]): void {
    this.#activity();
    for (const input of inputs) {
      if (input.type === "key" && input.ctrl && this.#control(input)) continue;
      this.#asking.typed(input);
    }
    this.#asking.drain();
  }

  /** Keys that act at once, whatever is waiting before them. */
  #control(pressed: Key): boolean {
    switch (pressed.name) {
      case "c":
        if (this.#asking.hint === quitHint || this.#leavings.any) this.leave();
        this.#asking.hint = quitHint;
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

  #redraw(): void {
    const { asked, hint, page } = this.#asking;
    const [columns, rows] = [this.#columns(), Math.max(this.#options.rows(), 2)];
    const outgoing = this.#outgoing;
    const standing = this.#standing;
    this.#printer.draw(buildFrame({ outgoing, standing, asked, hint }, this.#theme, columns, rows));
    if (page === null) return this.#printer.page(null);
    const shown = page.page();
    const state = {
      page: shown,
      choice: page.choice,
      notes: this.#notes,
      outgoing: outgoing.length,
      standing,
      asked,
      hint,
    };
    const frame = buildPage(state, this.#theme, columns, rows);
    this.#pageRows = Math.max(frame.bodyRows - 1, 1);
    this.#printer.page(frame);
    if (frame.showsFirst) shown.before?.();
    if (frame.showsLast) shown.after?.();
    shown.inWindow?.(frame.inView);
  }

  #note(line: Line): void {
    this.#notes = [...this.#notes, line].slice(-notesMax);
    this.refresh();
  }

  #print(spans: readonly Span<Style>[]): void {
    this.#printer.print(wrap(spans, this.#columns(), 2).map((row) => this.#theme.row(row)));
  }

  #messageSpans(message: ShownMessage): Span<Style>[] {
    const { from, to, own, when, text } = message;
    const name: Span<Style>[] = own
      ? [{ text: `${this.#name(from)} ${this.symbols.arrow} ${this.#name(to)}: `, style: "own" }]
      : [{ text: `${this.#name(from)}: `, style: `name:${from}` }];
    const body = sanitise(text, this.#theme.unicode);
    return [{ text: `${when} `, style: "dim" }, ...name, { text: body, style: "plain" }];
  }

  #name(name: string): string {
    return this.#clean(shownName(name));
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
