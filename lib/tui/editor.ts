/**
 * The one-line editor as pure functions: a draft and a key give a draft. Moves by graphemes and words, keeps what was
 * cut for pasting back, and shows a window of the draft that fits on one row. A draft may hold newlines (a paste, or
 * Alt-Enter); they show as a mark. Knows no terminal and no prompt.
 */
import type { Key } from "./keys.ts";
import { graphemes, width } from "./layout.ts";
import { sanitiseLine } from "./sanitise.ts";

export interface Draft {
  readonly text: string;
  /** Where the next character goes, in UTF-16 units, 0…text.length. */
  readonly cursor: number;
  /** What the last cut removed. */
  readonly cut: string;
}

export const emptyDraft: Draft = { text: "", cursor: 0, cut: "" };

export function draftOf(text: string): Draft {
  return { text, cursor: text.length, cut: "" };
}

export function insert(draft: Draft, text: string): Draft {
  const { before, after } = split(draft);
  return { ...draft, text: before + text + after, cursor: draft.cursor + text.length };
}

/** The draft after a key; null when the key is not one that edits or moves. */
export function edit(draft: Draft, pressed: Key): Draft | null {
  if (pressed.text !== "") return insert(draft, pressed.text);
  const name = shortcut(pressed);
  const { text, cursor } = draft;
  switch (name) {
    case "left":
      return { ...draft, cursor: previous(text, cursor) };
    case "right":
      return { ...draft, cursor: next(text, cursor) };
    case "word-left":
      return { ...draft, cursor: wordStart(text, cursor) };
    case "word-right":
      return { ...draft, cursor: wordEnd(text, cursor) };
    case "home":
      return { ...draft, cursor: 0 };
    case "end":
      return { ...draft, cursor: text.length };
    case "backspace":
      return remove(draft, previous(text, cursor), cursor, false);
    case "delete":
      return remove(draft, cursor, next(text, cursor), false);
    case "cut-word":
      return remove(draft, wordStart(text, cursor), cursor, true);
    case "cut-word-right":
      return remove(draft, cursor, wordEnd(text, cursor), true);
    case "cut-start":
      return remove(draft, 0, cursor, true);
    case "cut-end":
      return remove(draft, cursor, text.length, true);
    case "paste-cut":
      return insert(draft, draft.cut);
    case "newline":
      return insert(draft, "\n");
    default:
      return null;
  }
}

function shortcut({ name, ctrl, meta }: Key): string {
  if (ctrl) {
    const names: Record<string, string> = {
      a: "home",
      b: "left",
      d: "delete",
      e: "end",
      f: "right",
      k: "cut-end",
      u: "cut-start",
      w: "cut-word",
      y: "paste-cut",
      left: "word-left",
      right: "word-right",
      home: "home",
      end: "end",
    };
    return names[name] ?? "";
  }
  if (meta) {
    const names: Record<string, string> = {
      b: "word-left",
      f: "word-right",
      d: "cut-word-right",
      backspace: "cut-word",
      left: "word-left",
      right: "word-right",
      return: "newline",
    };
    return names[name] ?? "";
  }
  return ["left", "right", "home", "end", "backspace", "delete"].includes(name) ? name : "";
}

function split(draft: Draft): { before: string; after: string } {
  return { before: draft.text.slice(0, draft.cursor), after: draft.text.slice(draft.cursor) };
}

function remove(draft: Draft, from: number, to: number, keep: boolean): Draft {
  if (from === to) return draft;
  const text = draft.text.slice(0, from) + draft.text.slice(to);
  return { text, cursor: from, cut: keep ? draft.text.slice(from, to) : draft.cut };
}

function previous(text: string, cursor: number): number {
  return cursor - (graphemes(text.slice(0, cursor)).at(-1)?.length ?? 0);
}

function next(text: string, cursor: number): number {
  return cursor + (graphemes(text.slice(cursor))[0]?.length ?? 0);
}

function wordStart(text: string, cursor: number): number {
  return text.slice(0, cursor).replace(/\S*\s*$/u, "").length;
}

function wordEnd(text: string, cursor: number): number {
  const rest = text.slice(cursor);
  return cursor + (/^\s*\S*/u.exec(rest)?.[0].length ?? 0);
}

export interface Window {
  /** At most `columns` wide, one line, safe to print. */
  readonly text: string;
  /** Column of the cursor within it, 0…columns − 1. */
  readonly column: number;
}

export interface WindowOptions {
  readonly columns: number;
  readonly unicode: boolean;
  readonly newline: string;
  readonly ellipsis: string;
  /** Shown for each character in its place, when given. */
  readonly mask?: string;
}

/** The part of the draft around the cursor that fits on one row, with an ellipsis where it goes on. */
export function view(draft: Draft, options: WindowOptions): Window {
  const columns = Math.max(options.columns, 4);
  const cells = graphemes(draft.text).map((grapheme) => show(grapheme, options));
  const widths = cells.map(width);
  const cursor = graphemes(draft.text.slice(0, draft.cursor)).length;
  const total = sum(widths);
  // One column stays free for the cursor behind the last character.
  if (total < columns) return { text: cells.join(""), column: sum(widths.slice(0, cursor)) };
  const edge = width(options.ellipsis);
  let start = cursor;
  let used = 0;
  // The window begins as far to the left as leaves a few columns to the right of the cursor, where there is text.
  const ahead = Math.min(sum(widths.slice(cursor)), Math.floor(columns / 4));
  while (start > 0 && used + (widths[start - 1] ?? 0) <= columns - 2 * edge - 1 - ahead) {
    start -= 1;
    used += widths[start] ?? 0;
  }
  const left = start > 0 ? options.ellipsis : "";
  let text = left + cells.slice(start, cursor).join("");
  const column = width(text);
  let end = cursor;
  let filled = column;
  while (end < cells.length && filled + (widths[end] ?? 0) <= columns - edge) {
    filled += widths[end] ?? 0;
    end += 1;
  }
  text += cells.slice(cursor, end).join("") + (end < cells.length ? options.ellipsis : "");
  return { text, column };
}

function show(grapheme: string, options: WindowOptions): string {
  if (options.mask !== undefined) return options.mask;
  if (grapheme === "\n") return options.newline;
  return grapheme === "\t" ? " " : sanitiseLine(grapheme, options.unicode);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
