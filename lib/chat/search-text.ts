/**
 * What a search looks at and what it looks for: texts as their words are indexed, and what people type as an expression of
 * FTS5. Pure. Which words are equal is SQLite's tokenizer's (`unicode61`): whatever the case, with or without diacritics.
 *
 * What is indexed must be found again to be deleted: {@link searchable} may only depend on what no version of Unicode
 * changes.
 */
import { limits } from "../base/limits.ts";

/** Between characters of scripts that are written without spaces: each is a word then, and several are a phrase. */
const joint = "\u200B";
const spaceless =
  /[\u0E00-\u0EFF\u1000-\u109F\u1780-\u17FF\u3040-\u30FF\u31F0-\u31FF\u3400-\u4DBF\u4E00-\u9FFF\uF900-\uFAFF\uFF66-\uFF9D\u{20000}-\u{3FFFF}]/gu;
const plain = /^[\n\x20-\x7E]*$/;

/** Around what was found. No text that is searched holds them. */
export const [hitBegins, hitEnds] = ["\u0002", "\u0003"] as const;

/** The text as it is indexed: NFC, so that composed and decomposed letters are the same. */
export function searchable(text: string): string {
  if (plain.test(text)) return text;
  return text
    .normalize("NFC")
    .replaceAll("\0", " ")
    .replaceAll(hitBegins, " ")
    .replaceAll(hitEnds, " ")
    .replaceAll(spaceless, `${joint}$&${joint}`);
}

/** The same as people see it. */
export const readable = (text: string): string => text.replaceAll(joint, "");

/** A longer one takes longer. */
const wordsMax = 32;
const prefixesMax = 2;

const part = /"([^"]*)"?(\**)|([^\s"]+)/gu;
const words = /[\p{L}\p{N}\p{M}\p{Co}]+/gu;
const telling = /[\p{L}\p{N}\p{Co}]/u;
/** One letter of an alphabet begins too many words. */
const shortPrefix = /(?:^|[^\p{L}\p{N}\p{M}\p{Co}])[\p{L}\p{N}]\p{M}*$/u;
const alphabetic = /[!-\u0DFF]\p{M}*$/u;

/**
 * An expression for the texts that hold every word: `lunch`, `lun*` for what begins so, `"at noon"` for words in this
 * order. What is neither letter nor digit separates words. Anything else is a sentence that says why not.
 */
export function parseSearch(source: string): { readonly expression: string } | string {
  if (!source.isWellFormed()) return "A search must be Unicode: this one holds half of a surrogate pair.";
  if (Buffer.byteLength(source) > limits.patternBytesMax) {
    return `A search has at most ${limits.patternBytesMax} bytes.`;
  }
  const phrases: string[] = [];
  let count = 0;
  let prefixes = 0;
  for (const [, quoted, stars, bare] of source.matchAll(part)) {
    const isPrefix = bare === undefined ? stars !== "" : bare.endsWith("*");
    const phrase = searchable(quoted ?? bare ?? "").replace(/[^\p{L}\p{N}\p{M}\p{Co}]+$/u, "");
    if (!telling.test(phrase)) continue;
    count += phrase.match(words)?.length ?? 0;
    if (isPrefix) {
      prefixes++;
      if (shortPrefix.test(phrase) && alphabetic.test(phrase)) {
        return "What words begin with, before a *, is at least two letters.";
      }
    }
    phrases.push(`"${phrase.replaceAll('"', '""')}"${isPrefix ? "*" : ""}`);
  }
  if (phrases.length === 0) return "A search has at least one letter or digit.";
  if (count > wordsMax) return `A search has at most ${wordsMax} words, this one ${count}.`;
  if (prefixes > prefixesMax) return `A search has at most ${prefixesMax} words that end with *.`;
  return { expression: phrases.join(" AND ") };
}
