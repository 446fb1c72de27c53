/**
 * The rows below the last printed line as a function of state: messages on their way, a standing line, the question
 * being answered, a hint. Pure: no terminal, no time.
 */
import { view, type Draft } from "./editor.ts";
import { truncate, truncateStart, width, wrap, type Span } from "./layout.ts";
import type { Frame } from "./printer.ts";
import { sanitiseLine } from "./sanitise.ts";
import type { Line, ShownMessage } from "./surface.ts";
import type { Style, Theme } from "./theme.ts";

export type Asked =
  | {
      readonly kind: "line";
      readonly label: string;
      readonly field: boolean;
      readonly secret: boolean;
      readonly draft: Draft;
    }
  | { readonly kind: "choice"; readonly label: string; readonly options: readonly string[]; readonly chosen: number }
  | { readonly kind: "busy"; readonly label: string };

export interface FrameState {
  readonly outgoing: readonly ShownMessage[];
  readonly standing: Line | null;
  readonly asked: Asked | null;
  readonly hint: Line | null;
}

/** Rows of messages on their way that are shown one by one. */
const outgoingRowsMax = 3;

export function buildFrame(state: FrameState, theme: Theme, columns: number, rows: number): Frame {
  const asked = state.asked === null ? { rows: [], cursor: null } : askedRows(state.asked, theme, columns);
  const hint = state.hint === null ? [] : [lineRow(state.hint, theme, columns)];
  const standing = state.standing === null ? [] : [lineRow(state.standing, theme, columns)];
  const room = rows - asked.rows.length - hint.length - standing.length - 1;
  const above = [...outgoingRows(state.outgoing, theme, columns, room), ...standing];
  const { cursor } = asked;
  return {
    rows: [...above, ...asked.rows, ...hint],
    cursor: cursor === null ? null : { row: above.length + cursor.row, column: cursor.column },
  };
}

/** One line on one row, cut at the edge. */
export function lineRow(line: Line, theme: Theme, columns: number): string {
  const text = truncate(sanitiseLine(line.text, theme.unicode), columns, theme.symbols.ellipsis);
  return theme.paint(line.tone, text);
}

function outgoingRows(outgoing: readonly ShownMessage[], theme: Theme, columns: number, room: number): string[] {
  const { symbols } = theme;
  const shown = outgoing.length <= outgoingRowsMax ? outgoing.length : outgoingRowsMax - 1;
  const rows = outgoing.slice(0, shown).map((message) => {
    const state = ` ${symbols.dot} sending${symbols.ellipsis}`;
    const text = sanitiseLine(`${symbols.arrow} ${message.to}: ${message.text}`, theme.unicode);
    return theme.paint("dim", truncate(text, columns - width(state), symbols.ellipsis) + state);
  });
  if (shown < outgoing.length) {
    const more = `${symbols.ellipsis} and ${outgoing.length - shown} more waiting to be sent`;
    rows.push(theme.paint("dim", truncate(more, columns, symbols.ellipsis)));
  }
  return rows.slice(0, Math.max(room, 0));
}

/** The rows of a question. */
export function askedRows(asked: Asked, theme: Theme, columns: number): Frame {
  const { symbols } = theme;
  switch (asked.kind) {
    case "line": {
      const room = Math.max(Math.floor(columns * (asked.field ? 0.6 : 0.5)), 8);
      // Of a long label the end counts: to whom a line goes.
      const label = truncateStart(sanitiseLine(asked.label, theme.unicode), room, symbols.ellipsis);
      const sign = asked.field ? ": " : ` ${symbols.prompt} `;
      const start = width(label) + width(sign);
      const window = view(asked.draft, {
        columns: columns - start,
        unicode: theme.unicode,
        newline: symbols.newline,
        ellipsis: symbols.ellipsis,
        ...(asked.secret ? { mask: symbols.mask } : {}),
      });
      return {
        rows: [theme.paint("prompt", label + sign) + window.text],
        cursor: { row: 0, column: start + window.column },
      };
    }
    case "choice":
      return choiceRows(asked, theme, columns);
    case "busy":
      return {
        rows: [lineRow({ tone: "dim", text: `${asked.label}${symbols.ellipsis} (Escape leaves)` }, theme, columns)],
        cursor: null,
      };
  }
}

function choiceRows(asked: Extract<Asked, { kind: "choice" }>, theme: Theme, columns: number): Frame {
  const { symbols } = theme;
  const question: Span<Style>[] = [{ text: sanitiseLine(asked.label, theme.unicode), style: "title" }];
  const rows = wrap(question, columns, 0).map((row) => theme.row(row));
  const options = asked.options.map((option, number) => {
    const chosen = number === asked.chosen;
    const mark = chosen ? symbols.chosen : symbols.other;
    const text = truncate(sanitiseLine(`${mark} ${option}`, theme.unicode), columns, symbols.ellipsis);
    return theme.paint(chosen ? "prompt" : "dim", text);
  });
  return { rows: [...rows, ...options], cursor: { row: rows.length + asked.chosen, column: 0 } };
}
