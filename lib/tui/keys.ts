/**
 * Turns the bytes of a terminal's keyboard into keys and pastes, whatever way they are cut into chunks. Pure: the
 * caller owns the time after which an unfinished sequence counts as finished (`flush`).
 */

export interface Key {
  readonly type: "key";
  /** `return`, `up`, `backspace`, a letter with ctrl or meta …; empty for plain text. */
  readonly name: string;
  /** What it types; empty for keys that type nothing. May be several characters that arrived together. */
  readonly text: string;
  readonly ctrl: boolean;
  readonly meta: boolean;
  readonly shift: boolean;
}

export interface Paste {
  readonly type: "paste";
  readonly text: string;
}

/** The terminal's answer to {@link askPosition}; column counted from 0. F3 with a modifier looks the same. */
export interface Position {
  readonly type: "position";
  readonly column: number;
}

/** What a person did. */
export type Typed = Key | Paste;
export type Input = Typed | Position;

/** Device status report: where is the cursor? (ECMA-48, 8.3.35) */
export const askPosition = "\x1b[6n";

export const pasteStart = "\x1b[200~";
export const pasteEnd = "\x1b[201~";

const finals: Readonly<Record<string, string>> = {
  A: "up",
  B: "down",
  C: "right",
  D: "left",
  E: "clear",
  F: "end",
  H: "home",
  M: "return",
  Z: "tab",
};
const numbered: Readonly<Record<string, string>> = {
  "1": "home",
  "2": "insert",
  "3": "delete",
  "4": "end",
  "5": "pageup",
  "6": "pagedown",
  "7": "home",
  "8": "end",
};
/** Code points of `CSI code ; modifiers u` that are not text. */
const codes: Readonly<Record<string, string>> = { "9": "tab", "13": "return", "27": "escape", "127": "backspace" };

// eslint-disable-next-line no-control-regex
const csi = /^\x1b\[([0-9:;<=>?]*)[ -/]*([@-~])/;
// eslint-disable-next-line no-control-regex
const csiBegun = /^\x1b\[[0-9:;<=>?]*[ -/]*$/;
/** Replies of the terminal that nobody asked for: swallowed whole. */
// eslint-disable-next-line no-control-regex
const string = /^\x1b[\]P_^X][^\x07\x1b]*(?:\x07|\x1b\\)/;
// eslint-disable-next-line no-control-regex
const stringBegun = /^\x1b[\]P_^X][^\x07\x1b]*\x1b?$/;
// eslint-disable-next-line no-control-regex
const printable = /^[^\x00-\x1f\x7f\x1b]+/;

export function key(name: string, options: Partial<Omit<Key, "type" | "name">> = {}): Key {
  return { type: "key", name, text: "", ctrl: false, meta: false, shift: false, ...options };
}

/** Whether the end of a paste, or its first bytes, stand here. */
const isEnd = (text: string): boolean => text.startsWith(pasteEnd) || pasteEnd.startsWith(text);

/** How many characters at the end of this may be the first ones of the end of a paste. */
function endBegun(text: string): number {
  const at = text.lastIndexOf("\x1b");
  return at >= 0 && pasteEnd.startsWith(text.slice(at)) ? text.length - at : 0;
}

export class KeyDecoder {
  readonly #utf8 = new TextDecoder();
  #buffer = "";
  #pasting = false;
  /** A paste stood still before its end came. */
  #stalled = false;

  /** Something has begun that more bytes, or `flush`, must finish. */
  get pending(): boolean {
    return this.#pasting || (this.#buffer !== "" && !this.#stalled);
  }

  get pasting(): boolean {
    return this.#pasting;
  }

  push(chunk: Uint8Array): Input[] {
    this.#buffer += this.#utf8.decode(chunk, { stream: true });
    if (this.#stalled) {
      // On a slow line the rest of it comes in pieces; nobody types several keys at once, or its end.
      this.#pasting = this.#buffer.length > 1 && (!this.#buffer.startsWith("\x1b") || isEnd(this.#buffer));
      this.#stalled = false;
    }
    return this.#drain(false);
  }

  /** Nothing more came: a lone escape was the Escape key; of a paste without an end there may be no more. */
  flush(): Input[] {
    if (this.#stalled) return [];
    if (!this.#pasting) return this.#drain(true);
    const text = this.#buffer.slice(0, this.#buffer.length - endBegun(this.#buffer));
    this.#buffer = this.#buffer.slice(text.length);
    this.#pasting = false;
    this.#stalled = true;
    return text === "" ? [] : [{ type: "paste", text }];
  }

  #drain(final: boolean): Input[] {
    const out: Input[] = [];
    for (;;) {
      const next = this.#pasting ? this.#paste() : this.#next(final);
      if (next === null) return out;
      if (next !== "nothing") out.push(next);
    }
  }

  #paste(): Input | "nothing" | null {
    const end = this.#buffer.indexOf(pasteEnd);
    if (end < 0) return null;
    const text = this.#buffer.slice(0, end);
    this.#buffer = this.#buffer.slice(end + pasteEnd.length);
    this.#pasting = false;
    return text === "" ? "nothing" : { type: "paste", text };
  }

  /** The next input, null when more bytes are needed. */
  #next(final: boolean): Input | "nothing" | null {
    const first = this.#buffer[0];
    if (first === undefined) return null;
    if (first === "\x1b") return this.#escape(final);
    const run = printable.exec(this.#buffer)?.[0];
    if (run !== undefined) return this.#take(run.length, key(run.length === 1 ? run : "", { text: run }));
    return this.#take(1, control(first, false));
  }

  #escape(final: boolean): Input | "nothing" | null {
    const buffer = this.#buffer;
    if (buffer.startsWith(pasteStart)) {
      this.#pasting = true;
      return this.#take(pasteStart.length, "nothing");
    }
    const sequence = csi.exec(buffer);
    if (sequence !== null) return this.#take(sequence[0].length, sequenceKey(sequence[1] ?? "", sequence[2] ?? ""));
    const reply = string.exec(buffer)?.[0];
    if (reply !== undefined) return this.#take(reply.length, "nothing");
    if (!final && (buffer === "\x1b" || buffer === "\x1bO" || csiBegun.test(buffer) || stringBegun.test(buffer))) {
      return null;
    }
    const second = buffer[1];
    if (second === undefined || second === "\x1b") return this.#take(1, key("escape"));
    if (second === "O" && buffer[2] !== undefined) {
      const name = finals[buffer[2]];
      return this.#take(3, name === undefined ? "nothing" : key(name));
    }
    if (second < " " || second === "\x7f") return this.#take(2, control(second, true));
    const character = String.fromCodePoint(buffer.codePointAt(1) ?? 0);
    return this.#take(1 + character.length, key(character, { meta: true }));
  }

  #take<T>(length: number, value: T): T {
    this.#buffer = this.#buffer.slice(length);
    return value;
  }
}

function control(character: string, meta: boolean): Key {
  switch (character) {
    case "\r":
    case "\n":
      return key("return", { meta });
    case "\t":
      return key("tab", { meta });
    case "\x7f":
    case "\b":
      return key("backspace", { meta });
    default:
      return key(String.fromCharCode(character.charCodeAt(0) + 0x60), { ctrl: true, meta });
  }
}

function sequenceKey(parameters: string, final: string): Input | "nothing" {
  const [code = "", modifiers = "1"] = parameters.split(";");
  if (final === "R") return { type: "position", column: (Number.parseInt(modifiers, 10) || 1) - 1 };
  const bits = (Number.parseInt(modifiers, 10) || 1) - 1;
  const held = { shift: (bits & 1) !== 0 || final === "Z", meta: (bits & 2) !== 0, ctrl: (bits & 4) !== 0 };
  if (final === "u") return codeKey(code, held);
  const name = final === "~" ? numbered[code] : finals[final];
  return name === undefined ? "nothing" : key(name, held);
}

function codeKey(code: string, held: Pick<Key, "ctrl" | "meta" | "shift">): Key | "nothing" {
  const named = codes[code];
  if (named !== undefined) return key(named, held);
  const point = Number.parseInt(code, 10);
  if (!(point >= 0x20 && point <= 0x10ffff)) return "nothing";
  const character = String.fromCodePoint(point);
  return key(character, { ...held, text: held.ctrl || held.meta ? "" : character });
}
