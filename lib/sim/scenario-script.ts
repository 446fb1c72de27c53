/**
 * Scenario files as text: comments, commands, and beneath each group of commands what came of it. Parses a file into
 * groups and puts it together again with other results. Knows no command.
 *
 * A group is one or more lines of commands; `----` and the expected output stand beneath; an empty line ends it. Lines
 * that begin with `#` are comments. (The shape is that of the data-driven tests of etcd-io/raft.)
 */

export interface Command {
  readonly name: string;
  readonly words: readonly string[];
  /** Line of the file, from 1. */
  readonly line: number;
}

/** Comments and empty lines as they stand, or commands with the output that is expected of them. */
export type Part =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "group"; readonly source: string; readonly commands: readonly Command[]; readonly output: string };

const divider = "----";

export function parseScript(text: string): Part[] {
  const parts: Part[] = [];
  const lines = text.replace(/\n+$/, "").split("\n");
  for (let at = 0; at < lines.length;) {
    const source: string[] = [];
    if (isComment(lines[at])) {
      while (at < lines.length && isComment(lines[at])) source.push(lines[at++] ?? "");
      parts.push({ type: "text", text: source.join("\n") });
      continue;
    }
    const commands: Command[] = [];
    while (at < lines.length && lines[at] !== "" && lines[at] !== divider) {
      const line = lines[at++] ?? "";
      source.push(line);
      const [name = "", ...words] = line
        .replace(/\s#.*$/, "")
        .trim()
        .split(/\s+/);
      if (!line.startsWith("#")) commands.push({ name, words, line: at });
    }
    const output: string[] = [];
    if (lines[at] === divider) for (at++; at < lines.length && lines[at] !== ""; at++) output.push(lines[at] ?? "");
    parts.push({ type: "group", source: source.join("\n"), commands, output: output.join("\n") });
  }
  return parts;
}

/** The file with these outputs, one for each group. */
export function formatScript(parts: readonly Part[], outputs: readonly string[]): string {
  let next = 0;
  const blocks = parts.map((part) =>
    part.type === "text" ? part.text : `${part.source}\n${divider}\n${outputs[next++] ?? ""}`,
  );
  // Comments keep the empty lines that follow them; a group is followed by one.
  return `${blocks.join("\n").replace(/\n+$/, "")}\n`;
}

const isComment = (line: string | undefined): boolean => line === "" || line?.startsWith("#") === true;
