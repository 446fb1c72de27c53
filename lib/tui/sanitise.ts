/**
 * Makes text that came from elsewhere harmless for a terminal. Everything that is printed passes through here once,
 * before any styling is added. Pure. It must never throw and never let a control character out, newline excepted.
 *
 * What is dangerous is made visible (an escape character shows as ␛) or dropped when it is invisible by nature
 * (controls of direction, zero-width fillers); emoji, combining marks and right-to-left text stay as they are.
 */

/** How many combining marks may sit on one character; more of them would paint over neighbouring lines. */
const marksMax = 8;

/** Ends of lines other than \n: \r\n, \r, vertical tab, form feed, NEL, line and paragraph separator. */
const lineEnds = /\r\n|[\r\v\f\u0085\u2028\u2029]/g;
/**
 * Characters that cannot be seen and reorder, hide or pad what stands around them: everything that Unicode calls
 * ignorable or a control of direction (marks, embeddings, overrides, isolates, fillers, zero-width space, soft hyphen, byte order
 * mark), and annotation marks. Joiners, variation selectors and tags are looked at by themselves.
 */
const invisible =
  /[[\p{Default_Ignorable_Code_Point}\p{Bidi_Control}\ufff9-\ufffb]--[\p{Join_Control}\p{Variation_Selector}\u{e0020}-\u{e007f}]]/gv;
/** Tag characters are kept only as part of a flag (England, Scotland, Wales). */
const tags = /(\u{1f3f4}[\u{e0020}-\u{e007e}]{1,8}\u{e007f})|[\u{e0020}-\u{e007f}]/gu;
/** A variation selector says how the character before it looks; without one, or after another one, it only hides. */
const strayVariants = /(?<=^|[\s\p{Default_Ignorable_Code_Point}])\p{Variation_Selector}+/gu;
/** Joiners belong between letters (Persian, Indic scripts) and emoji. */
const strayJoiners = /(?<![\p{L}\p{M}\p{Emoji}])[\u200c\u200d]|[\u200c\u200d](?![\p{L}\p{Emoji}])/gu;
// eslint-disable-next-line no-control-regex
const controls = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g;
const marks = new RegExp(`(\\p{M}{${marksMax}})\\p{M}+`, "gu");
/** What a mark without a letter is shown on (Unicode, 2.11). */
const dottedCircle = "\u25cc";
/** Marks that begin a line would sit on whatever stands before the text. */
const strayMarks = /(?<=^|\n)(?=\p{M})/gu;
const loneSurrogates = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/**
 * Text safe to print, with \n as the only control character.
 * With `unicode` false (the terminal's character set is not UTF-8) everything beyond ASCII is spelled `\u{e9}`: the
 * bytes of UTF-8 could be read there as control characters.
 */
export function sanitise(text: string, unicode: boolean): string {
  const visible = text
    .replace(lineEnds, "\n")
    .replaceAll("\t", "    ")
    .replace(controls, (control) => visibleControl(control, unicode))
    .replace(loneSurrogates, "\ufffd")
    .replace(invisible, "")
    .replace(tags, (_, flag: string | undefined) => flag ?? "")
    .replace(strayVariants, "")
    .replace(strayJoiners, "")
    .replace(marks, "$1");
  return unicode ? visible.replace(strayMarks, dottedCircle) : spellOut(visible);
}

/** The same on one line: for names, reasons and labels. */
export function sanitiseLine(text: string, unicode: boolean): string {
  return sanitise(text, unicode).replaceAll("\n", " ");
}

/** Drops what cannot be seen from text that is typed or pasted: control characters but newline and tab. */
export function cleanInput(text: string): string {
  return text
    .replace(lineEnds, "\n")
    .replace(controls, (control) => (control === "\t" ? "\t" : ""))
    .replace(loneSurrogates, "\ufffd");
}

function visibleControl(control: string, unicode: boolean): string {
  const code = control.charCodeAt(0);
  if (code >= 0x80) return unicode ? "\ufffd" : spellOut(control);
  if (!unicode) return code === 0x7f ? "^?" : `^${String.fromCharCode(code + 0x40)}`;
  return code === 0x7f ? "\u2421" : String.fromCharCode(0x2400 + code);
}

function spellOut(text: string): string {
  return text.replace(/[^\n\x20-\x7e]/gu, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}
