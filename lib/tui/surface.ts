/**
 * What the conversation and the sign-in need of whatever they are shown on: the interactive screen, the plain mode or
 * a test. Types only. Texts may come from anyone: a surface makes them harmless itself.
 */
import type { Draft } from "./editor.ts";
import type { Span } from "./layout.ts";
import type { Style, Symbols, Tone } from "./theme.ts";

/** A paragraph; newlines begin indented rows of the same paragraph. */
export interface Line {
  readonly tone: Tone;
  readonly text: string;
  /** Something that was asked for is not done. */
  readonly failed?: true;
}

export interface ShownMessage {
  readonly from: string;
  readonly to: string;
  readonly own: boolean;
  readonly text: string;
  /** When, in words: `14:02`. */
  readonly when: string;
}

/** What became of a message of ours. */
export interface Fate {
  readonly tone: Tone;
  /** `on 3 disks`, `failed: …`. */
  readonly text: string;
  readonly when: string;
  /** It did not get through, or nobody knows whether it did. */
  readonly failed?: true;
}

export interface Question {
  /** A field stands for one value and is printed with its answer; a prompt is lingered in. */
  readonly kind: "field" | "prompt";
  readonly label: string;
  /** Nothing of the answer is shown, and nothing of what was not taken stays: nobody sees what they would type on to. */
  readonly secret?: boolean;
  readonly initial?: Draft;
  /** Whether Escape leaves it; if not, the text says what Escape does not do. */
  readonly back?: boolean;
  /** Why the answer cannot be taken, or null. What was typed stays, unless it is secret. */
  readonly accept?: (text: string) => string | null;
  /** Completions of what stands before the cursor, whole. */
  readonly complete?: (before: string) => readonly string[];
  /** Keys that leave the question with the draft as it is: `pageup`, and `tab` while nothing is typed. */
  readonly keys?: readonly string[];
  /** Told what is typed, at each change. */
  readonly typing?: (draft: Draft) => void;
}

export type Answer =
  | { readonly type: "line"; readonly text: string }
  | { readonly type: "back"; readonly draft: Draft }
  | { readonly type: "key"; readonly name: string; readonly draft: Draft }
  /** `interrupt` was called: what had been typed comes back. */
  | { readonly type: "interrupted"; readonly draft: Draft };

/** One thing on a page that can be chosen. */
export interface Item {
  readonly id: string;
  readonly left: readonly Span<Style>[];
  /** Kept whole at the right edge. */
  readonly right?: readonly Span<Style>[];
  /** Shown over as many rows as it takes, not cut at the edge. */
  readonly wraps?: true;
  /** The letter that chooses it. */
  readonly letter?: string;
  /** In a word what the letter leads to, for when the item is not in view. */
  readonly brief?: string;
  /** Stands apart from what is above it, where there is room. */
  readonly apart?: true;
}

/** A key that does something with what is marked or chosen. */
export interface PageKey {
  readonly name: string;
  readonly label: string;
}

/** What fills the window: a function of state, made anew whenever it is drawn. */
export interface Page {
  readonly title: string;
  /** Beside the title, at the right edge. */
  readonly aside: string;
  /** Above the items. */
  readonly lines: readonly Line[];
  readonly items: readonly Item[];
  /** In place of items when there are none. */
  readonly empty?: string;
  /** Where the choice begins. */
  readonly start: "first" | "last";
  /** Space marks items. */
  readonly marks: boolean;
  readonly keys: readonly PageKey[];
  /** A line that begins with a slash is asked for with this. */
  readonly command?: Question;
  /** Called when the first or the last item has come into view and something may be beyond it. */
  readonly before?: () => void;
  readonly after?: () => void;
  /** Told which items stand in the window, whenever it is drawn. */
  readonly inWindow?: (ids: readonly string[]) => void;
}

export type Picked =
  | { readonly type: "item"; readonly id: string }
  /** With the ids marked, or else the one chosen, if there is one. */
  | { readonly type: "key"; readonly name: string; readonly ids: readonly string[] }
  | { readonly type: "line"; readonly text: string }
  | { readonly type: "back" }
  | { readonly type: "interrupted" };

/** Why the surface ends: the user left (at once when they insisted), input is over, or a signal came. */
export interface Leaving {
  readonly how: "user" | "insisted" | "end of input" | "signal";
  /** Exit code that goes with it. */
  readonly code: number;
}

/** How a run went that nobody watches: its exit status, and one line on stderr, must say what a person would have seen. */
export interface Unattended {
  /** Lines of input that were read. */
  readonly lines: number;
  /** Lines of it that were not done, and what was said about the first of them. */
  readonly failures: number;
  readonly firstFailure: string;
  /** There is no more input, or more than is read ahead: nothing that could come changes what waits. */
  readonly exhausted: boolean;
}

export interface Surface {
  /** Null when somebody sits there. */
  readonly unattended: Unattended | null;
  readonly symbols: Symbols;
  /** Output is a sequence of lines that are never redrawn: what changes must be said again. */
  readonly linear: boolean;
  /** A page covers the journal: what is printed there is not seen now. */
  readonly isCovered: boolean;
  say(line: Line): void;
  message(message: ShownMessage): void;
  /** A message of ours is on its way; the returned function says, once, what became of it. */
  outgoing(message: ShownMessage): (fate: Fate) => void;
  /** One row that holds for a while (`not connected …`), null when it is over. */
  standing(line: Line | null): void;
  /** Never resolves once the surface is left. One question at a time. */
  ask(question: Question): Promise<Answer>;
  /** A choice between no (first) and yes. */
  confirm(question: string, no: string, yes: string): Promise<boolean>;
  /**
   * Shows that something is awaited. Escape leaves it ("left"): `work` goes on, and nobody waits for it. What is typed
   * meanwhile is thrown away, as it could be meant for anything; `ahead`: it is kept for the question that follows, and if
   * another one does, whoever asks that takes it away (`takeTyped`). A linear surface is never left so.
   */
  busy<T>(label: string, work: Promise<T>, ahead?: "ahead"): Promise<T | "left">;
  /**
   * Fills the window with a page until something is chosen; it stays there, also behind questions, until `journal`.
   * Never on a surface that is linear: there the same is reached by commands.
   */
  pick(page: () => Page): Promise<Picked>;
  /** What the page shows has changed. */
  refresh(): void;
  /** Goes back from pages to where lines and messages are printed one below the other. */
  journal(): void;
  /** The bell of the terminal. */
  ring(): void;
  /** Ends the question or the page that is open, if one is. */
  interrupt(): void;
  /** Takes back the text that was typed ahead of any question; "" where input is lines. */
  takeTyped(): string;
  /** Called whenever the user does anything. */
  onActivity(listener: () => void): void;
  /** Asks to leave, as the user does. */
  leave(): void;
  /** Resolves when the user leaves, and again after `left` was read once: a second time means at once. */
  nextLeaving(): Promise<Leaving>;
  /** Gives the terminal back. */
  close(): void;
}
