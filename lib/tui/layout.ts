/**
 * Measures and wraps text by what a terminal shows: graphemes and their widths in columns. Pure.
 * Knows styles only as labels that it carries along; colours are `theme.ts`.
 */

const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** A piece of text under one style label. */
export interface Span<Style> {
  readonly text: string;
  readonly style: Style;
}

export function graphemes(text: string): string[] {
  // Plain ASCII, the common case, needs no segmenter.
  if (/^[\n\x20-\x7e]*$/.test(text)) return text.split("");
  return Array.from(segmenter.segment(text), ({ segment }) => segment);
}

/** Columns that `text` takes on a terminal; it holds no control characters. */
export function width(text: string): number {
  return Bun.stringWidth(text);
}

/** `text`, or as much of it as fits into `columns` with `ellipsis` at the end. */
export function truncate(text: string, columns: number, ellipsis: string): string {
  if (width(text) <= columns) return text;
  const room = columns - width(ellipsis);
  if (room <= 0) return columns > 0 ? ellipsis.slice(0, columns) : "";
  let kept = "";
  let used = 0;
  for (const grapheme of graphemes(text)) {
    used += width(grapheme);
    if (used > room) break;
    kept += grapheme;
  }
  return kept + ellipsis;
}

/** The same from the other end: the last part of `text` is kept. */
export function truncateStart(text: string, columns: number, ellipsis: string): string {
  if (width(text) <= columns) return text;
  const room = columns - width(ellipsis);
  let kept = "";
  for (const grapheme of graphemes(text).reverse()) {
    if (width(grapheme + kept) > room) break;
    kept = grapheme + kept;
  }
  return ellipsis + kept;
}

interface Cell<Style> {
  readonly grapheme: string;
  readonly columns: number;
  readonly style: Style;
}

/**
 * Breaks spans into rows of at most `columns` columns, at spaces where there are any. Rows after the first, also those
 * that begin at a newline in the text, are indented by `indent` columns: no text can pass for the start of a line.
 * What goes on from such a row is indented once more.
 */
export function wrap<Style>(spans: readonly Span<Style>[], columns: number, indent: number): Span<Style>[][] {
  const step = Math.min(indent, Math.floor(columns / 4));
  const rows: Span<Style>[][] = [];
  let row: Cell<Style>[] = [];
  let margin = 0;
  let paragraph = 0;
  let used = 0;
  const finish = (nextMargin: number): void => {
    rows.push(join(row, margin));
    row = [];
    margin = nextMargin;
    used = nextMargin;
  };
  for (const { text, style } of spans) {
    for (const grapheme of graphemes(text)) {
      if (grapheme === "\n") {
        paragraph = step;
        finish(paragraph);
        continue;
      }
      const cell = { grapheme, columns: width(grapheme), style };
      if (used + cell.columns > columns && row.length > 0) {
        const rest = grapheme === " " ? [] : carryOver(row, columns - paragraph - step - cell.columns);
        finish(paragraph + step);
        if (grapheme === " ") continue;
        row = rest;
        used += columnsOf(rest);
      }
      row.push(cell);
      used += cell.columns;
    }
  }
  rows.push(join(row, margin));
  return rows;
}

/** Takes the unfinished word off the end of a full row, if it fits into `room` and leaves an earlier word there. */
function carryOver<Style>(row: Cell<Style>[], room: number): Cell<Style>[] {
  const space = row.findLastIndex((cell) => cell.grapheme === " ");
  if (space <= 0 || columnsOf(row.slice(space + 1)) > room) return [];
  const rest = row.splice(space + 1);
  row.pop();
  return rest;
}

function columnsOf<Style>(cells: readonly Cell<Style>[]): number {
  return cells.reduce((sum, cell) => sum + cell.columns, 0);
}

function join<Style>(cells: readonly Cell<Style>[], margin: number): Span<Style>[] {
  const spans: { text: string; style: Style }[] = [];
  for (const cell of cells) {
    const last = spans.at(-1);
    if (last?.style === cell.style) last.text += cell.grapheme;
    else spans.push({ text: cell.grapheme, style: cell.style });
  }
  const first = spans[0];
  if (first !== undefined && margin > 0) first.text = " ".repeat(margin) + first.text;
  return spans;
}
