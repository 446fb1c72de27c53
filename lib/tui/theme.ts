/**
 * Looks: symbols and colours by what the terminal can show, and how that is found out. Holds no state.
 * Symbols are those of @clack/prompts where the character set allows.
 */
import { S_ERROR, S_INFO, S_RADIO_ACTIVE, S_RADIO_INACTIVE, S_SUCCESS, S_WARN } from "@clack/prompts";
import type { Span } from "./layout.ts";

export type Tone = "plain" | "dim" | "info" | "good" | "warning" | "bad" | "title" | "own" | "prompt";
/** A tone, or the colour of a name (`name:alice`). */
export type Style = Tone | `name:${string}`;

export interface Symbols {
  readonly info: string;
  readonly good: string;
  readonly warning: string;
  readonly bad: string;
  readonly arrow: string;
  readonly prompt: string;
  readonly dot: string;
  readonly ellipsis: string;
  readonly newline: string;
  readonly mask: string;
  readonly dash: string;
  readonly chosen: string;
  readonly other: string;
  readonly marked: string;
  readonly online: string;
  readonly away: string;
}

export interface Theme {
  readonly colour: boolean;
  readonly unicode: boolean;
  readonly symbols: Symbols;
  paint(style: Style, text: string): string;
  /** A row of spans as text with colours. */
  row(spans: readonly Span<Style>[]): string;
}

const unicodeSymbols: Symbols = {
  info: S_INFO,
  good: S_SUCCESS,
  warning: S_WARN,
  bad: S_ERROR,
  arrow: "→",
  prompt: "›",
  dot: "·",
  ellipsis: "…",
  newline: "⏎",
  mask: "•",
  dash: "–",
  chosen: S_RADIO_ACTIVE,
  other: S_RADIO_INACTIVE,
  marked: "✓",
  online: "●",
  away: "○",
};

export const asciiSymbols: Symbols = {
  info: "*",
  good: "+",
  warning: "!",
  bad: "x",
  arrow: "->",
  prompt: ">",
  dot: "-",
  ellipsis: "...",
  newline: "^J",
  mask: "*",
  dash: "-",
  chosen: ">",
  other: " ",
  marked: "x",
  online: "*",
  away: "o",
};

const codes: Readonly<Record<Tone, string>> = {
  plain: "",
  dim: "2",
  info: "36",
  good: "32",
  warning: "33",
  bad: "31",
  title: "1",
  own: "2",
  prompt: "1;36",
};
/** Colours of names; none of them is one that a tone has alone. */
const nameCodes = ["1;34", "1;35", "1;32", "1;33", "1;36", "1;94"] as const;

export function makeTheme({ colour, unicode }: { colour: boolean; unicode: boolean }): Theme {
  const paint = (style: Style, text: string): string => {
    const code = colour && text !== "" ? codeOf(style) : "";
    return code === "" ? text : `\x1b[${code}m${text}\x1b[0m`;
  };
  return {
    colour,
    unicode,
    symbols: unicode ? unicodeSymbols : asciiSymbols,
    paint,
    row: (spans) => spans.map(({ style, text }) => paint(style, text)).join(""),
  };
}

function codeOf(style: Style): string {
  if (!isName(style)) return codes[style];
  let hash = 0;
  for (const character of style) hash = (hash * 31 + (character.codePointAt(0) ?? 0)) % 65_521;
  return nameCodes[hash % nameCodes.length] ?? nameCodes[0];
}

function isName(style: Style): style is `name:${string}` {
  return style.startsWith("name:");
}

/** What a terminal can do, from the environment and the two streams. */
export interface Capabilities {
  /** Redrawing is impossible or unwanted: both streams must be terminals, and not dumb ones. */
  readonly plain: boolean;
  readonly colour: boolean;
  readonly unicode: boolean;
}

/** Reads TERM, NO_COLOR (no-color.org: any non-empty value), LC_ALL, LC_CTYPE and LANG (POSIX: the first one set). */
export function detectCapabilities(
  environment: Readonly<Record<string, string | undefined>>,
  input: { readonly isTTY?: boolean },
  output: { readonly isTTY?: boolean },
): Capabilities {
  const terminals = input.isTTY === true && output.isTTY === true;
  const dumb = environment["TERM"] === undefined || environment["TERM"] === "" || environment["TERM"] === "dumb";
  const locale = [environment["LC_ALL"], environment["LC_CTYPE"], environment["LANG"]].find((each) => !!each) ?? "";
  return {
    plain: !terminals || dumb,
    colour: terminals && !dumb && !environment["NO_COLOR"],
    unicode: /utf-?8/i.test(locale),
  };
}
