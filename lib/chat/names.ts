/**
 * What a user name, a password and a text may be, and by what names are compared. Pure.
 *
 * A name is folded when it is claimed, in `apply`: case mappings of letters that a version of Unicode knows never change
 * in later ones (Unicode stability policy), and only letters known to the accepting replica get that far.
 */
import { limits } from "../base/limits.ts";
import { quoted } from "../base/words.ts";
import type { ErrorCode } from "../protocol/messages.ts";

export interface Fault {
  readonly code: ErrorCode;
  readonly message: string;
}

/**
 * Scripts whose letters may stand together in one name: the recommended and limited-use scripts of UAX #31, with the
 * combinations of UTS #39 for Japanese, Korean and Bopomofo.
 */
const scriptGroups: readonly (readonly string[])[] = [
  ["Latin"],
  ["Greek"],
  ["Cyrillic"],
  ["Han", "Hiragana", "Katakana"],
  ["Han", "Hangul"],
  ["Han", "Bopomofo"],
  ...(
    "Adlam Arabic Armenian Balinese Bamum Batak Bengali Canadian_Aboriginal Chakma Cham Cherokee Devanagari Ethiopic " +
    "Georgian Gujarati Gurmukhi Hebrew Javanese Kannada Kayah_Li Khmer Lao Lepcha Limbu Lisu Malayalam Mandaic " +
    "Meetei_Mayek Miao Mongolian Myanmar New_Tai_Lue Newa Nko Nyiakeng_Puachue_Hmong Ol_Chiki Oriya Osage " +
    "Hanifi_Rohingya Saurashtra Sinhala Sundanese Syloti_Nagri Syriac Tai_Le Tai_Tham Tai_Viet Tamil Telugu Thaana " +
    "Thai Tibetan Tifinagh Vai Wancho Yi"
  )
    .split(" ")
    .map((script) => [script]),
];

const groupPatterns = scriptGroups.map((scripts) => {
  const letters = scripts.map((script) => `\\p{Script_Extensions=${script}}`).join("");
  return new RegExp(`^[0-9._\\-${letters}]*$`, "u");
});

const allowed = /^[\p{L}\p{M}\p{Nd}._-]*$/u;
/** Without any of these a name is punctuation: nobody could tell whom it means. */
const telling = /[\p{L}\p{Nd}]/u;
/** Letters that cannot be seen, and other forms of letters (full width, ligatures) that look like the plain ones. */
const deceptive = /[\p{Default_Ignorable_Code_Point}\uFB00-\uFDFF\uFE70-\uFFEF]/u;
/** Marks belong to a letter, and few of them: piled up they reach into the lines above. */
const strayMarks = /(?:^|[^\p{L}\p{M}])\p{M}|\p{M}{3}/u;
/** What a merge adds to the second account of a name. */
const suffix = /~[1-9][0-9]{0,5}$/;

/** A name as it is kept: NFC. */
export const normaliseName = (name: string): string => name.normalize("NFC");

/** The form in which two names are equal when they differ in nothing but case and composition. */
export function foldName(name: string): string {
  return foldCharacters(name).join("");
}

/** The characters of a name, each folded on its own: what patterns are matched against. */
export function foldCharacters(name: string): string[] {
  return Array.from(normaliseName(name), foldCharacter);
}

/** By way of upper case, so that ß, ẞ and ss are one, and both forms of sigma. */
export const foldCharacter = (character: string): string => {
  let folded = "";
  for (const upper of character.toLowerCase().toUpperCase().normalize("NFC")) folded += upper.toLowerCase();
  return folded;
};

/** Why `name` cannot be claimed; null if it can. */
export function newNameFault(name: string): Fault | null {
  return nameFault(name, false);
}

/** Why `name` cannot be the name of any account; null if it may be one. */
export function knownNameFault(name: string): Fault | null {
  return nameFault(name, true);
}

function nameFault(name: string, suffixAllowed: boolean): Fault | null {
  const bad = (message: string): Fault => ({ code: "bad-name", message });
  if (!name.isWellFormed()) return bad("A user name must be Unicode: this one holds half of a surrogate pair.");
  const whole = normaliseName(name);
  const characters = Array.from(whole).length;
  if (characters < 1 || characters > limits.userNameCharactersMax) {
    return bad(`A user name has 1 to ${limits.userNameCharactersMax} characters, this one ${characters}.`);
  }
  const plain = suffixAllowed ? whole.replace(suffix, "") : whole;
  if (!allowed.test(plain) || plain === "") {
    return bad(`A user name consists of letters, digits and . _ -; ${quoted(whole)} does not.`);
  }
  if (!telling.test(whole)) return bad(`A user name has at least one letter or digit; ${quoted(whole)} has none.`);
  if (deceptive.test(plain) || strayMarks.test(plain)) {
    return bad(`The user name ${quoted(whole)} holds characters that cannot be told from others: use plain letters.`);
  }
  if (!groupPatterns.some((pattern) => pattern.test(plain))) {
    return bad(`The letters of a user name are of one script; those of ${quoted(whole)} are not.`);
  }
  return null;
}

/** `name~n`, cut so that it is no longer than a name may be. */
export function suffixedName(name: string, n: number): string {
  const end = `~${n}`;
  const characters = Array.from(name).slice(0, limits.userNameCharactersMax - end.length);
  return characters.join("") + end;
}

export function newPasswordFault(password: string): Fault | null {
  const bytes = Buffer.byteLength(password);
  if (password.isWellFormed() && bytes >= limits.passwordBytesMin && bytes <= limits.passwordBytesMax) return null;
  const { passwordBytesMin, passwordBytesMax } = limits;
  return { code: "bad-password", message: `A password has ${passwordBytesMin} to ${passwordBytesMax} bytes of UTF-8.` };
}

export function textFault(text: string): Fault | null {
  if (text === "") return { code: "bad-command", message: "A message has at least one character: write something." };
  return draftTextFault(text);
}

/** A draft is a message to be: it may still be empty. */
export function draftTextFault(text: string): Fault | null {
  if (!text.isWellFormed()) {
    return { code: "bad-command", message: "A message must be Unicode: this one holds half of a surrogate pair." };
  }
  const bytes = Buffer.byteLength(text);
  if (bytes <= limits.textBytesMax) return null;
  return { code: "too-long", message: `A message has at most ${limits.textBytesMax} bytes, this one ${bytes}.` };
}
