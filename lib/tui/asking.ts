/**
 * What is asked just now, and what typed keys do to it: a line, a choice between two, or the page that is open. Keys that
 * are typed ahead wait for the next question, but those that are typed while something is awaited only if it is known
 * which question that will be. Draws nothing: `screen.ts` does, and is told when something has changed.
 */
import { assert } from "../base/assert.ts";
import type { Asked } from "./frame.ts";
import { key, type Typed } from "./keys.ts";
import { isPicked, nothingChosen, press, type Choice } from "./list.ts";
import { ChoicePrompt } from "./prompt-choice.ts";
import { keyName } from "./page-frame.ts";
import { History, LinePrompt } from "./prompt-line.ts";
import { cleanInput } from "./sanitise.ts";
import type { Answer, Line, Page, Picked, Question } from "./surface.ts";

export interface AskingOwner {
  changed(): void;
  /** Ctrl-D on an empty line. */
  leave(): void;
  /** How many rows a page key goes. */
  readonly pageRows: number;
}

interface OpenLine {
  readonly question: Question;
  readonly prompt: LinePrompt;
  /** The key that left it. */
  left: string | null;
}

export interface OpenPage {
  readonly page: () => Page;
  choice: Choice;
}

interface OpenWait {
  readonly label: string;
  /** What is typed meanwhile is for the question that follows. */
  readonly takesAhead: boolean;
  readonly leave: (left: "left") => void;
}

/** More than this is not taken as one paste: it is a file, not a message. In characters. */
const pasteMax = 100_000;
const draftHint: Line = { tone: "dim", text: "the draft is kept: Ctrl-U clears it" };
const fieldHint: Line = { tone: "dim", text: "/help lists the commands, Ctrl-D quits" };

const waitHint: Line = { tone: "dim", text: "nothing can be typed now: Escape leaves" };

export class Asking {
  /** Below the question, until the next key. */
  hint: Line | null = null;
  readonly #owner: AskingOwner;
  readonly #history = new History();
  readonly #queue: Typed[] = [];
  #line: OpenLine | null = null;
  #choice: { readonly label: string; readonly prompt: ChoicePrompt } | null = null;
  #page: OpenPage | null = null;
  #pick: ((picked: Picked) => void) | null = null;
  #interrupted: LinePrompt | null = null;
  /** The last one is on the screen, in place of what may be asked. */
  readonly #waits: OpenWait[] = [];

  constructor(owner: AskingOwner) {
    this.#owner = owner;
  }

  /** The page that is shown; it stays while questions are asked. */
  get page(): OpenPage | null {
    return this.#page;
  }

  get asked(): Asked | null {
    const wait = this.#waits.at(-1);
    if (wait !== undefined) return { kind: "busy", label: wait.label };
    if (this.#choice !== null) {
      const { label, prompt } = this.#choice;
      return { kind: "choice", label, options: prompt.options, chosen: prompt.chosen };
    }
    if (this.#line === null) return null;
    const { question, prompt } = this.#line;
    const { label, kind, secret = false } = question;
    return { kind: "line", label, field: kind === "field", secret, draft: prompt.draft };
  }

  /** Until `work` is done, or Escape leaves it; see `Surface.busy`. */
  async wait<T>(label: string, work: Promise<T>, takesAhead: boolean): Promise<T | "left"> {
    const left = Promise.withResolvers<"left">();
    const wait: OpenWait = { label, takesAhead, leave: left.resolve };
    this.#waits.push(wait);
    this.drain();
    try {
      const ended = await Promise.race([work, left.promise]);
      // A fault in what goes on alone must be heard of.
      if (ended === "left") void work.then(() => {});
      return ended;
    } finally {
      this.#end(wait);
    }
  }

  async ask(question: Question): Promise<Answer> {
    const prompt = new LinePrompt({
      ...(question.initial === undefined ? {} : { initial: question.initial }),
      ...(question.kind === "prompt" ? { history: this.#history } : {}),
      accept: question.accept ?? (() => null),
      clears: question.secret === true,
      changed: (complaint) => {
        this.hint = complaint === null ? null : { tone: "warning", text: complaint };
        if (complaint === null) question.typing?.(prompt.begun);
      },
    });
    const line: OpenLine = { question, prompt, left: null };
    this.#line = line;
    const answered = prompt.answer();
    this.#owner.changed();
    this.drain();
    const text = await answered;
    const { begun: draft } = prompt;
    if (text !== null) {
      if (question.kind === "prompt") this.#history.add(text);
      return { type: "line", text };
    }
    if (this.#interrupted === prompt) return { type: "interrupted", draft };
    return line.left === null ? { type: "back", draft } : { type: "key", name: line.left, draft };
  }

  /** The number of the option chosen. */
  async choose(label: string, options: readonly string[]): Promise<number> {
    const prompt = new ChoicePrompt(options, () => this.#owner.changed());
    this.#choice = { label, prompt };
    const answered = prompt.answer();
    this.#owner.changed();
    this.drain();
    return answered;
  }

  pick(page: () => Page): Promise<Picked> {
    assert(this.#pick === null, "one page is open at a time");
    this.#page = this.#page?.page === page ? this.#page : { page, choice: nothingChosen };
    return new Promise((resolve) => {
      this.#pick = resolve;
      this.#owner.changed();
      this.drain();
    });
  }

  closePage(): void {
    this.#page = null;
    this.#owner.changed();
  }

  interrupt(): void {
    if (this.#line !== null) {
      this.#interrupted = this.#line.prompt;
      this.#line.prompt.interrupt();
    }
    this.#picked({ type: "interrupted" });
    this.drain();
  }

  /** Nothing more is asked from here on. */
  stop(): void {
    this.#line = null;
    this.#choice = null;
    this.#pick = null;
    this.#queue.length = 0;
  }

  typed(input: Typed): void {
    this.#queue.push(input);
  }

  /** Takes what was typed ahead as text: it was meant for a question that does not come. */
  takeTyped(): string {
    const text = this.#queue
      .map((input) => (input.type === "key" && input.name === "return" ? "" : input.text))
      .join("");
    this.#queue.length = 0;
    return cleanInput(text);
  }

  drain(): void {
    for (;;) {
      if (this.#line?.prompt.over === true) this.#line = null;
      if (this.#choice?.prompt.over === true) this.#choice = null;
      if (this.#waits.length > 0) {
        this.#toWait();
        break;
      }
      if (this.#line === null && this.#choice === null && this.#pick === null) break;
      const input = this.#queue.shift();
      if (input === undefined) break;
      this.hint = null;
      if (this.#choice !== null) {
        if (input.type === "key") this.#choice.prompt.press(input);
      } else if (this.#line !== null) this.#toLine(this.#line, input);
      else if (this.#page !== null) this.#toPage(this.#page, input);
    }
    this.#owner.changed();
  }

  /** Whoever leaves a wait does not want what they typed before done either. */
  #toWait(): void {
    const wait = this.#waits.at(-1);
    if (wait === undefined || this.#queue.length === 0) return;
    const escape = this.#queue.findLastIndex((input) => input.type === "key" && input.name === "escape");
    this.#queue.splice(0, escape + 1);
    if (escape >= 0) {
      this.#end(wait);
      wait.leave("left");
    } else if (!wait.takesAhead) {
      this.#queue.length = 0;
      this.hint = waitHint;
    }
  }

  #end(wait: OpenWait): void {
    const at = this.#waits.indexOf(wait);
    if (at >= 0) this.#waits.splice(at, 1);
    if (this.hint === waitHint) this.hint = null;
    this.drain();
  }

  #picked(picked: Picked): void {
    const resolve = this.#pick;
    this.#pick = null;
    resolve?.(picked);
  }

  #toPage(open: OpenPage, input: Typed): void {
    const page = open.page();
    const text = input.text;
    if (text.startsWith("/") && page.command !== undefined) return this.#command(page.command, input);
    if (input.type === "paste") {
      this.hint = { tone: "dim", text: "Nothing can be pasted here: open a conversation first." };
      return;
    }
    if (input.ctrl && input.name === "d") return this.#owner.leave();
    // Several letters that arrived together are as many keys.
    if (text.length > 1) {
      const [first = "", ...rest] = Array.from(text);
      if (rest.length > 0) this.#queue.unshift(key("", { text: rest.join("") }));
      return this.#toPage(open, key(first, { text: first }));
    }
    const outcome = press(page, open.choice, input, this.#owner.pageRows);
    if (outcome === null) {
      const names = page.keys.filter(({ name }) => name !== "return").map(({ name }) => keyName(name));
      this.hint = { tone: "dim", text: `no such key here; there are ${[...names, "Enter", "arrows"].join(" ")}` };
    } else if (!isPicked(outcome)) open.choice = outcome;
    else {
      // What was marked has been worked on.
      if (outcome.type === "key") open.choice = { ...open.choice, marked: new Set() };
      this.#picked(outcome);
    }
  }

  /** A line that begins with a slash, asked for below the page. */
  #command(question: Question, input: Typed): void {
    this.#queue.unshift(input);
    // Keys behind the line's end are for whatever comes after it.
    const resolve = this.#pick;
    this.#pick = null;
    void this.ask({ ...question, back: true }).then((answer) => {
      if (answer.type === "line") resolve?.(answer);
      else if (answer.type === "interrupted") resolve?.({ type: "interrupted" });
      else {
        this.#pick = resolve;
        this.drain();
      }
    });
  }

  #toLine(line: OpenLine, input: Typed): void {
    if (input.type === "paste") return this.#pasted(line, cleanInput(input.text));
    const { prompt, question } = line;
    const isEmpty = prompt.draft.text === "";
    if (input.ctrl && input.name === "d" && isEmpty) return this.#owner.leave();
    if (input.name === "escape" && question.back !== true) {
      this.hint = isEmpty ? fieldHint : draftHint;
      return;
    }
    if (
      !input.ctrl &&
      !input.meta &&
      question.keys?.includes(input.name) === true &&
      (input.name !== "tab" || isEmpty)
    ) {
      line.left = input.name;
      return prompt.interrupt();
    }
    if (input.name === "tab") return this.#complete(line);
    prompt.press(input.text === "" ? input : { ...input, text: cleanInput(input.text) });
  }

  #pasted({ prompt, question }: OpenLine, text: string): void {
    if (text.length > pasteMax) {
      this.hint = {
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
    if (lines > 1) this.hint = { tone: "dim", text: `${lines} lines: Enter sends them as one message` };
  }

  #complete({ prompt, question }: OpenLine): void {
    const { text, cursor } = prompt.draft;
    const before = text.slice(0, cursor);
    const candidates = question.complete?.(before) ?? [];
    const common = commonPrefix(candidates);
    if (common.length > before.length || candidates.length === 1) prompt.replaceBefore(common);
    if (candidates.length > 1) {
      const words = candidates.map((each) => each.trim().split(" ").at(-1) ?? "");
      this.hint = { tone: "dim", text: words.join("  ") };
    }
  }
}

function commonPrefix(texts: readonly string[]): string {
  let prefix = texts[0] ?? "";
  for (const text of texts) while (!text.startsWith(prefix)) prefix = prefix.slice(0, -1);
  return prefix;
}
