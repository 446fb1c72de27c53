/**
 * The commands that are typed with a slash, described once: parsing, help, completion and suggestions derive from this
 * table. What they do is in `command-line.ts` and `questions.ts`.
 */

export interface CommandDescription {
  readonly name: string;
  /** Arguments, in the notation of manual pages. */
  readonly usage: string;
  readonly about: string;
  /** Works before anyone is signed in. */
  readonly anywhere: boolean;
}

const define = <const Name extends string>(name: Name, usage: string, about: string, anywhere = false) => ({
  name,
  usage,
  about,
  anywhere,
});

export const commands = [
  define("help", "", "this list", true),
  define("to", "NAME", "talk to NAME: every line you type then goes there (no NAME: to nobody)"),
  define("msg", "NAME TEXT", "send one message without changing whom you talk to"),
  define("home", "", "your conversations, those with unread messages first"),
  define("next", "", "go to the next conversation with unread messages; also Tab on an empty line"),
  define("inbox", "", "how many messages wait in your inbox"),
  define("open", "[N]", "read the oldest N messages of the inbox (10)"),
  define("history", "[NAME] [N]", "the last N messages (20), with NAME or with whom you talk"),
  define("more", "", "go on with the last list"),
  define("search", "TEXT", 'find messages: words, begin*, "a phrase"; /more goes on'),
  define("find", "TEXT", "the same among those with whom you talk"),
  define("delete", "[N...]", "number the last messages, or delete those numbers (2 4-6) for you alone"),
  define("unread", "[N...]", "the same, to call them unread again"),
  define("drafts", "", "number your drafts: texts that are kept for later, on all your devices"),
  define("draft", "[@NAME] TEXT", "keep a draft, to NAME or whom you talk to; /draft N [@NAME] [TEXT] changes one"),
  define("send-draft", "N...|all", "send drafts by those numbers (2 4-6)"),
  define("delete-draft", "N...|all", "delete drafts by those numbers"),
  define("bell", "[on|off]", "whether a message to you rings (off)"),
  define("accounts", "[PATTERN]", "who has an account; a* ?ob [a-c]* match names", true),
  define("status", "", "the replicas, and on how many disks messages are kept", true),
  define("logout", "", "log out and sign in anew"),
  define("password", "", "change your password, which ends your other sessions"),
  define("sessions", "", "number the sessions that are logged in to your account"),
  define("end-session", "N...", "log sessions out by those numbers"),
  define("delete-account", "", "delete your account, after asking"),
  define("quit", "", "leave; also Ctrl-D on an empty line", true),
] as const satisfies readonly CommandDescription[];

export type CommandName = (typeof commands)[number]["name"];

export type Parsed =
  | { readonly type: "empty" }
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "command"; readonly name: CommandName; readonly rest: string }
  | { readonly type: "unknown"; readonly name: string; readonly nearest: CommandName | null };

/** What a typed line means. `//text` is the text `/text`. */
export function parseLine(line: string): Parsed {
  if (line.trim() === "") return { type: "empty" };
  if (!line.startsWith("/")) return { type: "text", text: line };
  if (line.startsWith("//")) return { type: "text", text: line.slice(1) };
  const [, word = "", rest = ""] = /^\/(\S*)\s?([\s\S]*)$/.exec(line) ?? [];
  const name = word.toLowerCase();
  const known = commands.find((command) => command.name === name);
  if (known === undefined) return { type: "unknown", name: word, nearest: nearest(name) };
  return { type: "command", name: known.name, rest: known.name === "msg" ? rest : rest.trim() };
}

/** What other chats call them. */
const synonyms: Readonly<Record<string, CommandName>> = {
  exit: "quit",
  bye: "quit",
  who: "accounts",
  query: "to",
  list: "home",
  older: "history",
  remove: "delete",
};

/** The command that was probably meant: one called so elsewhere, one it begins, or one at most two keys away. */
export function nearest(word: string): CommandName | null {
  const synonym = synonyms[word];
  if (synonym !== undefined) return synonym;
  const begun = word === "" ? undefined : commands.find((command) => command.name.startsWith(word));
  if (begun !== undefined) return begun.name;
  const ranked = commands
    .map(({ name }) => ({ name, distance: editDistance(word, name) }))
    .sort((one, other) => one.distance - other.distance);
  const best = ranked[0];
  return best !== undefined && best.distance <= Math.min(2, word.length - 1) ? best.name : null;
}

/** The list of commands as text, one a row. */
export function helpText(signedIn: boolean): string {
  const shown = commands.filter((command) => signedIn || command.anywhere);
  return shown.map((command) => `${usageText(command)}: ${command.about}`).join("\n");
}

/** A command as it is typed. */
export function usageText({ name, usage }: CommandDescription): string {
  return `/${name}${usage === "" ? "" : ` ${usage}`}`;
}

/** Whole lines that `before` could become: commands, and names where a command takes one. */
export function completions(before: string, names: readonly string[]): string[] {
  const argument = /^\/(to|msg|history) (\S*)$/.exec(before);
  if (argument !== null) {
    const [, command = "", begun = ""] = argument;
    const matching = names.filter((name) => name.toLowerCase().startsWith(begun.toLowerCase()));
    return matching.map((name) => `/${command} ${name}${command === "msg" ? " " : ""}`);
  }
  if (!/^\/\S*$/.test(before)) return [];
  const begun = commands.filter(({ name }) => `/${name}`.startsWith(before));
  return begun.map(({ name, usage }) => `/${name}${usage === "" ? "" : " "}`);
}

/** Insertions, deletions, replacements and swaps of neighbours that turn one word into another. */
function editDistance(one: string, other: string): number {
  const rows: number[][] = [Array.from({ length: other.length + 1 }, (_, at) => at)];
  for (let i = 1; i <= one.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= other.length; j += 1) {
      const same = one[i - 1] === other[j - 1] ? 0 : 1;
      const above = rows[i - 1] ?? [];
      let least = Math.min((above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (above[j - 1] ?? 0) + same);
      if (i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1]) {
        least = Math.min(least, (rows[i - 2]?.[j - 2] ?? 0) + 1);
      }
      row.push(least);
    }
    rows.push(row);
  }
  return rows.at(-1)?.at(-1) ?? 0;
}
