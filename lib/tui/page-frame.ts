/**
 * The rows of a page as a function of its state: title, items around the chosen one, and below them what was said, what
 * holds for a while, a question or the keys. Fills the window exactly. Pure: no terminal, no time.
 */
import { askedRows, lineRow, type Asked } from "./frame.ts";
import { truncate, width, wrap, type Span } from "./layout.ts";
import { chosenAt, type Choice } from "./list.ts";
import type { Frame } from "./printer.ts";
import { sanitise, sanitiseLine } from "./sanitise.ts";
import type { Item, Line, Page } from "./surface.ts";
import type { Style, Theme } from "./theme.ts";

export interface PageState {
  readonly page: Page;
  readonly choice: Choice;
  /** What was said since the page came up. */
  readonly notes: readonly Line[];
  /** Messages that are on their way. */
  readonly outgoing: number;
  readonly standing: Line | null;
  readonly asked: Asked | null;
  readonly hint: Line | null;
}

/** Rows of what was said that are shown, when the items need the room. */
const notesRowsMax = 4;
/** Rows of items that are kept, whatever else there is to show. */
const bodyRowsMin = 3;

export interface PageFrame extends Frame {
  /** How many rows of items there is room for: as far as a page key goes. */
  readonly bodyRows: number;
  /** Whether the first and the last item are in view. */
  readonly showsFirst: boolean;
  readonly showsLast: boolean;
  /** The ids of the items in view, of which at least one row is. */
  readonly inView: readonly string[];
}

export function buildPage(state: PageState, theme: Theme, columns: number, rows: number): PageFrame {
  const frame = pageFrame(state, theme, columns, rows, []);
  const lettered = state.page.items.filter(({ letter }) => letter !== undefined);
  const inView = lettered.filter(({ id }) => frame.inView.includes(id));
  // Who sees most of them sees that there are more.
  if (inView.length * 2 >= lettered.length) return frame;
  return pageFrame(state, theme, columns, rows, lettered);
}

/** `named`: the items whose letters the keys at the bottom are to tell, as they are not in view. */
function pageFrame(state: PageState, theme: Theme, columns: number, rows: number, named: readonly Item[]): PageFrame {
  const { page, choice } = state;
  const foot = footRows(state, theme, columns, named);
  const lines = page.lines.flatMap((line) => paragraph(line, theme, columns));
  const room = rows - 1 - foot.rows.length;
  const head = lines.slice(0, Math.max(0, room - bodyRowsMin));
  const bare = itemRows(page, choice, theme, columns, false);
  const apart = itemRows(page, choice, theme, columns, true);
  const notes = state.notes.flatMap((line) => paragraph(line, theme, columns));
  const free = room - head.length - bare.length;
  const noteRows = Math.max(
    0,
    Math.min(notes.length, Math.max(free - 1, Math.min(notesRowsMax, room - head.length - bodyRowsMin))),
  );
  const bodyRows = Math.max(1, room - head.length - noteRows);
  const spaced = page.items[0]?.apart === true || page.items.length === 0 ? apart : [blank, ...apart];
  const all = spaced.length <= bodyRows ? spaced : bare;
  const chosen = chosenAt(page, choice);
  const start = windowStart(all, chosen, bodyRows);
  const body = all.slice(start, start + bodyRows);
  const padding = Array.from({ length: bodyRows - body.length }, () => "");
  const above = [titleRow(page, theme, columns), ...head];
  const shown = notes.slice(notes.length - noteRows);
  const before = above.length + bodyRows + noteRows;
  const at = body.findIndex(({ item }) => item === chosen && chosen >= 0);
  const cursor = foot.cursor === null ? null : { row: before + foot.cursor.row, column: foot.cursor.column };
  return {
    rows: [...above, ...body.map(({ text }) => text), ...padding, ...shown, ...foot.rows].slice(0, Math.max(rows, 1)),
    cursor: cursor ?? (state.asked !== null || at < 0 ? null : { row: above.length + at, column: 0 }),
    bodyRows,
    showsFirst: start === 0 || body.some(({ item }) => item === 0),
    showsLast: start + bodyRows >= all.length,
    inView: page.items.filter((_, at) => body.some(({ item }) => item === at)).map(({ id }) => id),
  };
}

interface BodyRow {
  readonly text: string;
  /** Which item it belongs to; -1 for none. */
  readonly item: number;
}
const blank: BodyRow = { text: "", item: -1 };

function titleRow(page: Page, theme: Theme, columns: number): string {
  const { ellipsis } = theme.symbols;
  const title = truncate(sanitiseLine(page.title, theme.unicode), columns, ellipsis);
  const room = columns - width(title) - 2;
  const aside = room < 8 ? "" : truncate(sanitiseLine(page.aside, theme.unicode), room, ellipsis);
  const gap = " ".repeat(Math.max(0, columns - width(title) - width(aside)));
  return aside === "" ? theme.paint("title", title) : theme.paint("title", title) + gap + theme.paint("dim", aside);
}

function paragraph(line: Line, theme: Theme, columns: number): string[] {
  const spans: Span<Style>[] = [{ text: sanitise(line.text, theme.unicode), style: line.tone }];
  return wrap(spans, columns, 2).map((row) => theme.row(row));
}

function footRows(state: PageState, theme: Theme, columns: number, named: readonly Item[]): Frame {
  const standing = state.standing === null ? [] : [lineRow(state.standing, theme, columns)];
  const { ellipsis } = theme.symbols;
  const way = `${state.outgoing} ${state.outgoing === 1 ? "message" : "messages"} sending${ellipsis}`;
  if (state.outgoing > 0) standing.push(lineRow({ tone: "dim", text: way }, theme, columns));
  const hint = state.hint === null ? [] : [lineRow(state.hint, theme, columns)];
  if (state.asked === null)
    return { rows: [...standing, ...(hint.length > 0 ? hint : keyRows(state, theme, columns, named))], cursor: null };
  const asked = askedRows(state.asked, theme, columns);
  const { cursor } = asked;
  return {
    rows: [...standing, ...asked.rows, ...hint],
    cursor: cursor === null ? null : { row: standing.length + cursor.row, column: cursor.column },
  };
}

function keyRows({ page, choice }: PageState, theme: Theme, columns: number, named: readonly Item[]): string[] {
  const words = page.keys.map(({ name, label }) => `${keyName(name)} ${label}`);
  if (page.marks) words.unshift(`Space marks${choice.marked.size > 0 ? ` (${choice.marked.size})` : ""}`);
  const plain = joined(words, theme, columns);
  const spelled = joined([...words, ...named.map(({ letter, brief }) => `${letter} ${brief}`)], theme, columns);
  const letters = named.map(({ letter }) => letter).join(" ");
  // In words where one row more will do: items are worth more.
  const rows = spelled.length <= plain.length + 1 ? spelled : [...plain, `also ${letters}: End shows them`];
  return rows.map((text) => lineRow({ tone: "dim", text }, theme, columns));
}

/** As many on a row as there is room for. */
function joined(words: readonly string[], theme: Theme, columns: number): string[] {
  const { dot } = theme.symbols;
  const rows: string[] = [];
  for (const word of words) {
    const row = rows.at(-1);
    if (row !== undefined && width(`${row} ${dot} ${word}`) <= columns) rows[rows.length - 1] = `${row} ${dot} ${word}`;
    else rows.push(word);
  }
  return rows;
}

const keyNames: Readonly<Record<string, string>> = { return: "Enter", escape: "Esc", tab: "Tab", "/": "/" };
/** A key as it is called on the screen. */
export const keyName = (name: string): string => keyNames[name] ?? name;

function itemRows(page: Page, choice: Choice, theme: Theme, columns: number, gaps: boolean): BodyRow[] {
  if (page.items.length === 0) {
    const text = page.empty ?? "";
    return text === ""
      ? []
      : paragraph({ tone: "dim", text: `  ${text}` }, theme, columns).map((row) => ({ text: row, item: -1 }));
  }
  const chosen = chosenAt(page, choice);
  return page.items.flatMap((item, number) => {
    const rows = oneItem(item, number === chosen, page.marks ? choice.marked.has(item.id) : null, theme, columns);
    const own = rows.map((text) => ({ text, item: number }));
    return gaps && item.apart === true ? [blank, ...own] : own;
  });
}

/** `marked` is null where nothing can be marked. */
function oneItem(item: Item, chosen: boolean, marked: boolean | null, theme: Theme, columns: number): string[] {
  const { symbols } = theme;
  const sign = chosen ? symbols.prompt : " ".repeat(width(symbols.prompt));
  const mark = marked === null ? "" : marked ? symbols.marked : " ".repeat(width(symbols.marked));
  const lead = `${sign}${mark} `;
  const start = theme.paint("prompt", lead);
  const room = columns - width(lead);
  const clean = (spans: readonly Span<Style>[], lines: boolean): Span<Style>[] =>
    spans.map(({ text, style }) => ({
      text: lines ? sanitise(text, theme.unicode) : sanitiseLine(text, theme.unicode),
      style: chosen && style === "plain" ? "title" : style,
    }));
  if (item.wraps === true) {
    const indent = " ".repeat(width(lead));
    return wrap(clean(item.left, true), room, 2).map((row, at) => (at === 0 ? start : indent) + theme.row(row));
  }
  const right = cut(clean(item.right ?? [], false), Math.floor(room / 2), symbols.ellipsis);
  const rightWidth = spansWidth(right);
  const left = cut(clean(item.left, false), room - rightWidth - (rightWidth > 0 ? 1 : 0), symbols.ellipsis);
  const gap = rightWidth > 0 ? " ".repeat(Math.max(1, room - spansWidth(left) - rightWidth)) : "";
  return [start + theme.row(left) + gap + theme.row(right)];
}

function spansWidth(spans: readonly Span<Style>[]): number {
  return spans.reduce((sum, { text }) => sum + width(text), 0);
}

function cut(spans: readonly Span<Style>[], columns: number, ellipsis: string): Span<Style>[] {
  const kept: Span<Style>[] = [];
  let room = columns;
  for (const { text, style } of spans) {
    if (room <= 0) break;
    const short = truncate(text, room, ellipsis);
    kept.push({ text: short, style });
    room -= width(short);
    if (short !== text) break;
  }
  return kept;
}

/** The first row shown, so that the chosen item is in view with as much as possible around it. */
function windowStart(rows: readonly BodyRow[], chosen: number, room: number): number {
  const first = rows.findIndex(({ item }) => item === chosen);
  if (first < 0 || rows.length <= room) return 0;
  const height = rows.findLastIndex(({ item }) => item === chosen) - first + 1;
  if (height >= room) return first;
  return Math.max(0, Math.min(first - Math.floor((room - height) / 2), rows.length - room));
}
