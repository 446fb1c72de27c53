/**
 * Small grammar for messages that name things from a table, or what others have written. Pure; English only.
 */

/** `1 byte`, `2 bytes`; `-1` and the like are not meant. */
export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;

/** Characters of a foreign text that are quoted: six bytes each at the most, so that every message has room for them. */
const quotedMax = 80;

/** What somebody else has written, for a message about it: its beginning only where it is long. */
export function quoted(text: string): string {
  const characters = Array.from(text);
  if (characters.length <= quotedMax) return JSON.stringify(text);
  return JSON.stringify(`${characters.slice(0, quotedMax).join("")}…`);
}

/** `a login frame`, `an inbox frame`: by the first letter, which does for the names in use. */
export const withArticle = (words: string): string => `${/^[aeio]/i.test(words) ? "an" : "a"} ${words}`;
