/**
 * Owns what is on the screen below the last printed line: the frame, a few rows that are redrawn in place, with the
 * cursor in one of them. `print` puts finished lines above the frame without disturbing it. It moves only within its
 * own rows, never clears what was printed, and writes at most once per turn of the event loop.
 * It knows rows of text, not what they mean; their text is safe already (`sanitise.ts`).
 */
import { width } from "./layout.ts";

/** Where the text goes: a terminal's stream, or a test's. */
export interface Output {
  write(text: string): unknown;
}

export interface Frame {
  /** Rows with colours; what is wider than the terminal is cut off by it. */
  readonly rows: readonly string[];
  /** Where the cursor stands, null to hide it. */
  readonly cursor: { readonly row: number; readonly column: number } | null;
}

export const emptyFrame: Frame = { rows: [], cursor: null };

const wrapOff = "\x1b[?7l";
const wrapOn = "\x1b[?7h";
const showCursor = "\x1b[?25h";
const hideCursor = "\x1b[?25l";
const clearRight = "\x1b[K";
/** Clears the row and all below it; tmux would move them to its history if that were one command at the window's top. */
const clearDown = "\x1b[K\x1b7\x1b[B\x1b[J\x1b8";
/** The alternate screen: what is below it stays as it is (xterm, DECSET 1049). */
const pageOn = "\x1b[?1049h";
const pageOff = "\x1b[?1049l";
/** More than this is not kept back while a page is shown. In characters. */
const keptBackMax = 256 * 1024;

export class Printer {
  readonly #output: Output;
  #drawn: Frame = emptyFrame;
  #next: Frame = emptyFrame;
  #above = "";
  #page: Frame | null = null;
  #pageShown = false;
  #scheduled = false;
  #held = false;
  #stopped = false;

  constructor(output: Output) {
    this.#output = output;
  }

  /** Rows above the frame, for good. */
  print(rows: readonly string[]): void {
    for (const row of rows) this.#above += `${row}\r\n`;
    this.#schedule();
  }

  draw(frame: Frame): void {
    this.#next = frame;
    this.#schedule();
  }

  /** Fills the window with rows, on a screen of its own; null goes back. Rows printed meanwhile wait below it. */
  page(frame: Frame | null): void {
    this.#page = frame;
    this.#schedule();
  }

  /** What gives the terminal back its usual screen, when nothing can be drawn any more. */
  get restoring(): string {
    return this.#pageShown ? pageOff : "";
  }

  /** Clears the whole screen; the frame goes to its top. */
  clearScreen(): void {
    this.flush();
    this.#output.write("\x1b[2J\x1b[H");
    this.#drawn = emptyFrame;
    this.#schedule();
  }

  /** Writes nothing until `resized`: the terminal is moving its rows just now. */
  hold(): void {
    this.#held = true;
  }

  /**
   * The terminal became `columns` wide, and its cursor is in `column` now (null when it did not say). Terminals break
   * rows that are too long anew, some of them not the one with the cursor; so the way to the first row of the frame is
   * counted again. In doubt it is taken as shorter: better a remnant of the frame left than a printed line cleared.
   */
  resized(columns: number, column: number | null): void {
    this.#held = false;
    const { rows, cursor } = this.#drawn;
    if (rows.length > 0) {
      const at = cursor ?? { row: rows.length - 1, column: 0 };
      const above = rows.slice(0, at.row).reduce((sum, row) => sum + rowsOf(width(row), columns), 0);
      const broken = at.column >= columns && column === at.column % columns && column < columns - 1;
      const within = broken ? Math.floor(at.column / columns) : 0;
      this.#drawn = { rows, cursor: { row: above + within, column: at.column % columns } };
    }
    this.#schedule();
  }

  /** Someone else wrote to the terminal, or it was given back: the frame is drawn anew from where the cursor is. */
  forget(): void {
    this.#drawn = emptyFrame;
    this.#schedule();
  }

  /** Takes frame and page off the screen until they are drawn again, and leaves the cursor where the frame began. */
  erase(): void {
    this.#next = emptyFrame;
    this.#page = null;
    this.flush();
  }

  flush(): void {
    this.#scheduled = false;
    if (this.#stopped || this.#held) return;
    if (this.#page !== null) return this.#flushPage(this.#page);
    if (!this.#pageShown && this.#above === "" && this.#next === this.#drawn) return;
    const back = this.restoring;
    this.#pageShown = false;
    const text = back + this.#toTop() + this.#above + this.#frame();
    this.#above = "";
    this.#drawn = this.#next;
    this.#output.write(text);
  }

  #flushPage(page: Frame): void {
    let text = "";
    if (!this.#pageShown || this.#above.length > keptBackMax) {
      text = this.restoring + this.#toTop() + this.#above + pageOn;
      this.#above = "";
      this.#drawn = emptyFrame;
    }
    this.#pageShown = true;
    // Cleared before it is written: behind a row that ends at the edge the cursor stands on its last character.
    const rows = page.rows.map((row) => clearRight + row).join("\r\n");
    text += `${hideCursor}${wrapOff}\x1b[H${rows}${wrapOn}`;
    if (page.cursor !== null) text += `\x1b[${page.cursor.row + 1};${page.cursor.column + 1}H${showCursor}`;
    this.#output.write(text);
  }

  stop(): void {
    this.#held = false;
    this.erase();
    this.#stopped = true;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      if (this.#scheduled) this.flush();
    });
  }

  #toTop(): string {
    const { rows, cursor } = this.#drawn;
    if (rows.length === 0) return "\r";
    const up = cursor === null ? rows.length - 1 : cursor.row;
    return `${up > 0 ? `\x1b[${up}A` : ""}\r${clearDown}`;
  }

  #frame(): string {
    const { rows, cursor } = this.#next;
    if (rows.length === 0) return showCursor;
    const text = `${wrapOff}${rows.join("\r\n")}${wrapOn}\r`;
    if (cursor === null) return text + hideCursor;
    const up = rows.length - 1 - cursor.row;
    const right = cursor.column;
    return `${text}${up > 0 ? `\x1b[${up}A` : ""}${right > 0 ? `\x1b[${right}C` : ""}${showCursor}`;
  }
}

function rowsOf(columnsOfRow: number, columns: number): number {
  return Math.max(1, Math.ceil(columnsOfRow / columns));
}
