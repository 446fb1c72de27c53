/**
 * Names as they are shown: one that could be taken for another in Latin letters says which script it is in. Pure. The
 * server allows letters of one script per name; what it cannot prevent is a whole name of letters that look Latin.
 */

/** Small letters that look like Latin ones (Unicode, confusables.txt: those that differ in no common typeface). */
const lookAlikes: readonly (readonly [script: string, letters: RegExp])[] = [
  [
    "Cyrillic",
    /^[\u0430\u0432\u0433\u0435\u0438\u043a\u043c\u043d\u043e\u043f\u0440\u0441\u0442\u0443\u0445\u0455\u0456\u0458\u0451\u0457\u044c\u0475\u04bb\u04cf\u0501\u051b\u051d]+$/u,
  ],
  [
    "Greek",
    /^[\u03b1\u03b2\u03b3\u03b5\u03b7\u03b9\u03ba\u03bc\u03bd\u03bf\u03c1\u03c2\u03c3\u03c4\u03c5\u03c7\u03c9\u03f2\u03f3]+$/u,
  ],
  ["Armenian", /^[\u0561\u0563\u0570\u0578\u057d\u0581\u0584\u0585\u0566\u0572]+$/u],
  ["Cherokee", /^[\p{Script=Cherokee}]+$/u],
];

/** The name, and its script behind it when all its letters look like Latin ones. */
export function shownName(name: string): string {
  const letters = name.toLowerCase().replace(/[^\p{L}]/gu, "");
  const script = letters === "" ? undefined : lookAlikes.find(([, look]) => look.test(letters))?.[0];
  return script === undefined ? name : `${name} [${script}]`;
}
