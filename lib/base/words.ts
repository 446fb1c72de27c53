/**
 * Small grammar for messages that name things from a table. Pure; English only.
 */

/** `1 byte`, `2 bytes`; `-1` and the like are not meant. */
export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;

/** `a login frame`, `an inbox frame`: by the first letter, which does for the names in use. */
export const withArticle = (words: string): string => `${/^[aeio]/i.test(words) ? "an" : "a"} ${words}`;
