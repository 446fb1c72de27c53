/**
 * Shell patterns over user names: `*`, `?`, `[a-z]`, `[!a-z]`; everything else stands for itself, whatever its case.
 * Pure. Names are given as `foldCharacters` makes them, so that `?` is one character as people see it.
 */
import { limits } from "../base/limits.ts";
import { quoted } from "../base/words.ts";
import { foldCharacter } from "./names.ts";

type Token = (character: string) => boolean;

export interface Pattern {
  /** Every matching name begins with this, folded; for a search by an index. */
  readonly prefix: string;
  /** The longest part that every matching name contains, folded; "" if there is none. */
  readonly part: string;
  /**
   * Time at most (characters of the name) × (tokens that a name can hold): a star is never tried anew once a later star
   * has been reached, so that no pattern makes it worse.
   */
  matches(characters: readonly string[]): boolean;
}

/** A sentence instead of a pattern says what is wrong with it. */
export function parsePattern(source: string): Pattern | string {
  if (!source.isWellFormed()) return "A pattern must be Unicode: this one holds half of a surrogate pair.";
  if (Buffer.byteLength(source) > limits.patternBytesMax) {
    return `A pattern has at most ${limits.patternBytesMax} bytes.`;
  }
  const characters = Array.from(source.normalize("NFC"));
  /** Runs of tokens between the stars. */
  const runs: Token[][] = [[]];
  let prefix = "";
  let literal = true;
  /** Literal parts, the last one still growing. */
  const parts = [""];
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at] ?? "";
    const run = runs.at(-1) ?? [];
    if ("*?[".includes(character)) parts.push("");
    if (character === "*") {
      literal = false;
      if (run.length > 0 || runs.length === 1) runs.push([]);
    } else if (character === "?") {
      literal = false;
      run.push(() => true);
    } else if (character === "[") {
      literal = false;
      const close = characters.indexOf("]", at + 1);
      if (close < 0) return `The pattern ${quoted(source)} has a [ without a ].`;
      const token = parseClass(characters.slice(at + 1, close));
      if (typeof token === "string") return token;
      run.push(token);
      at = close;
    } else {
      const folded = foldCharacter(character);
      if (literal) prefix += folded;
      parts[parts.length - 1] += folded;
      run.push((candidate) => candidate === folded);
    }
  }
  const part = parts.reduce((longest, each) => (each.length > longest.length ? each : longest));
  return { prefix, part, matches: matcher(runs) };
}

function parseClass(characters: readonly string[]): Token | string {
  const text = characters.join("");
  const negated = characters[0] === "!" || characters[0] === "^";
  const members = negated ? characters.slice(1) : characters;
  if (members.length === 0) return `The pattern's [${text}] names no character.`;
  const singles = new Set<string>();
  const ranges: { readonly from: number; readonly to: number }[] = [];
  for (let at = 0; at < members.length; at++) {
    const from = foldCharacter(members[at] ?? "");
    const to = members[at + 2];
    if (members[at + 1] === "-" && to !== undefined) {
      const range = { from: codePoint(from), to: codePoint(foldCharacter(to)) };
      if (range.from > range.to) return `The pattern's [${text}] holds a range that ends before it begins.`;
      ranges.push(range);
      at += 2;
    } else {
      singles.add(from);
    }
  }
  return (candidate) => {
    const code = codePoint(candidate);
    const within = singles.has(candidate) || ranges.some(({ from, to }) => code >= from && code <= to);
    return within !== negated;
  };
}

const codePoint = (character: string): number => character.codePointAt(0) ?? 0;

function matcher(runs: readonly (readonly Token[])[]): (name: readonly string[]) => boolean {
  const first = runs[0] ?? [];
  const last = runs.at(-1) ?? [];
  const between = runs.slice(1, -1);
  const fewest = runs.reduce((sum, run) => sum + run.length, 0);
  if (runs.length === 1) return (name) => name.length === first.length && runMatches(first, name, 0);
  return (name) => {
    if (name.length < fewest) return false;
    if (!runMatches(first, name, 0) || !runMatches(last, name, name.length - last.length)) return false;
    const end = name.length - last.length;
    let at = first.length;
    for (const run of between) {
      while (at + run.length <= end && !runMatches(run, name, at)) at++;
      if (at + run.length > end) return false;
      at += run.length;
    }
    return true;
  };
}

function runMatches(run: readonly Token[], name: readonly string[], at: number): boolean {
  return run.every((token, offset) => token(name[at + offset] ?? ""));
}
