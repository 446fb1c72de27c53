/**
 * Cuts TypeScript source into words, strings and punctuation, without comments, so that the tidy rules read code and
 * not what is said about it. Not a parser: it knows where strings, templates, regular expressions and comments end.
 */

export interface Token {
  readonly kind: "word" | "string" | "punctuation";
  /** For a string: what stands between its quotes, unescaped escapes left as they are. */
  readonly text: string;
}

/** After one of these a slash starts a regular expression; after any other word it divides. */
const wordsBeforeExpression = new Set("return typeof case in of delete void throw new else do yield await".split(" "));

const pattern =
  /(?<space>\s+|\/\/[^\n]*|\/\*[^]*?\*\/)|(?<string>"(?:[^"\\\n]|\\[^])*"|'(?:[^'\\\n]|\\[^])*')|(?<word>[\p{L}\p{N}_$#]+)|(?<other>[^])/uy;
const regularExpression = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/uy;

/** Tokens of a whole file, in order. A template gives its literal text as one string, then its expressions' tokens. */
export function tokens(source: string): Token[] {
  const found: Token[] = [];
  // The number of open braces within each template expression that is open.
  const templates: number[] = [];
  let position = source.startsWith("#!") ? source.indexOf("\n") : 0;
  while (position < source.length) {
    const last = found.at(-1);
    if (source[position] === "/" && !/^\/[/*]/.test(source.slice(position, position + 2)) && startsExpression(last)) {
      regularExpression.lastIndex = position;
      const match = regularExpression.exec(source);
      if (match) {
        found.push({ kind: "string", text: match[0] });
        position = regularExpression.lastIndex;
        continue;
      }
    }
    pattern.lastIndex = position;
    const match = pattern.exec(source);
    if (!match) break;
    position = pattern.lastIndex;
    const { string, word, other } = match.groups ?? {};
    if (string !== undefined) found.push({ kind: "string", text: string.slice(1, -1) });
    else if (word !== undefined) found.push({ kind: "word", text: word });
    else if (other !== undefined) {
      const depth = templates.at(-1);
      const closesExpression = other === "}" && depth === 0;
      if (depth !== undefined && other === "{") templates[templates.length - 1] = depth + 1;
      if (depth !== undefined && other === "}") templates[templates.length - 1] = depth - 1;
      if (closesExpression) templates.pop();
      if (other === "`" || closesExpression) {
        const end = endOfTemplateText(source, position);
        found.push({ kind: "string", text: source.slice(position, end) });
        if (source[end] === "$") templates.push(0);
        position = end + (source[end] === "$" ? 2 : 1);
      } else found.push({ kind: "punctuation", text: other });
    }
  }
  return found;
}

function startsExpression(last: Token | undefined): boolean {
  if (!last) return true;
  if (last.kind === "word") return wordsBeforeExpression.has(last.text);
  return last.kind === "punctuation" && !")]}".includes(last.text);
}

/** The position of the closing backtick or of the `$` of a `${`. */
function endOfTemplateText(source: string, start: number): number {
  let position = start;
  while (position < source.length) {
    if (source[position] === "\\") position++;
    else if (source[position] === "`" || source.startsWith("${", position)) return position;
    position++;
  }
  return position;
}

/** Every module that the source names: `import`, `import type`, `export … from`, `import()`, `require()`, in types too. */
export function importedModules(source: string): string[] {
  const all = tokens(source);
  const modules = new Set<string>();
  all.forEach((token, at) => {
    if (token.kind !== "string") return;
    const [before, beforeThat] = [all[at - 1], all[at - 2]];
    const called = before?.text === "(" && (beforeThat?.text === "import" || beforeThat?.text === "require");
    if (before?.kind === "word" && (before.text === "from" || before.text === "import")) modules.add(token.text);
    else if (called && beforeThat?.kind === "word") modules.add(token.text);
  });
  return [...modules];
}

/** Names read as globals: words that are neither a member (`x.name`) nor a key (`name:`). With the member, if any. */
export function globalsUsed(source: string): string[] {
  const all = tokens(source);
  const names: string[] = [];
  all.forEach((token, at) => {
    if (token.kind !== "word" || all[at - 1]?.text === ".") return;
    const [next, afterNext] = [all[at + 1], all[at + 2]];
    if (next?.kind === "punctuation" && next.text === ":") return;
    names.push(next?.text === "." && afterNext?.kind === "word" ? `${token.text}.${afterNext.text}` : token.text);
  });
  return names;
}
