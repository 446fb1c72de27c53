/**
 * What may come next on a command line of chatd, told from commander's own definitions: nothing that they hold is written
 * here again. What only a running cluster knows is asked for by the caller (`Sources`). Prints nothing.
 */
import type { Command, Option } from "commander";
import { kinds } from "./log-lines.ts";
import { parsePeers } from "./serve-flags.ts";

export interface Candidate {
  readonly value: string;
  /** One line; may be empty. */
  readonly description: string;
}

export interface Completion {
  readonly candidates: readonly Candidate[];
  /** The shell knows what else: names of files. */
  readonly files: boolean;
}

/** What is asked for when it is needed. Both may take a while and give nothing. */
export interface Sources {
  accounts(servers: readonly string[], prefix: string): Promise<readonly string[]>;
  replicas(servers: readonly string[]): Promise<readonly number[]>;
}

const nothing: Completion = { candidates: [], files: false };

/** `words`: those after the program's name up to the cursor; the last one is being typed, and may be empty. */
export async function complete(
  root: Command,
  words: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  sources: Sources,
): Promise<Completion> {
  const line = new Line(root, words.slice(0, -1), environment);
  const current = words.at(-1) ?? "";
  const values = new Values(line, sources);
  if (line.awaiting !== null) return matching(await values.of(line.awaiting, current), current);
  const [, flag = "", value = ""] = line.isOver ? [] : (/^(--[^=]+)=(.*)$/s.exec(current) ?? []);
  if (flag !== "") {
    const option = line.option(flag);
    if (option === undefined || !takesValue(option)) return nothing;
    const { candidates, files } = matching(await values.of(option, value), value);
    return { candidates: candidates.map((each) => ({ ...each, value: `${flag}=${each.value}` })), files };
  }
  if (!line.isOver && current.startsWith("-")) return matching({ candidates: line.flags(), files: false }, current);
  const argument = line.argument;
  const expected = argument === null ? nothing : await values.of(argument, current);
  const candidates = [...line.subcommands(), ...expected.candidates];
  if (candidates.length > 0 || expected.files) return matching({ candidates, files: expected.files }, current);
  return line.isOver ? nothing : matching({ candidates: line.flags(), files: false }, current);
}

function matching({ candidates, files }: Completion, typed: string): Completion {
  return { candidates: candidates.filter(({ value }) => value.startsWith(typed)), files };
}

/** The words before the cursor, read as commander would read them. */
class Line {
  #command: Command;
  /** Values by the name of their flag, as they were typed. */
  readonly #given = new Map<string, string>();
  /** Words that are no flags, since the command. */
  #positionals = 0;
  /** The flag whose value comes next. */
  #awaiting: Option | null = null;
  #isOver = false;

  constructor(
    root: Command,
    words: readonly string[],
    readonly environment: Readonly<Record<string, string | undefined>>,
  ) {
    this.#command = root;
    for (const word of words) this.#take(word);
  }

  get awaiting(): Option | null {
    return this.#awaiting;
  }

  /** After `--` nothing is a flag. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** The argument that comes next; null if there is no more. */
  get argument(): Described | null {
    const { registeredArguments } = this.#command;
    const argument = registeredArguments[this.#positionals];
    if (argument !== undefined) return described(argument.name(), argument.argChoices);
    const last = registeredArguments.at(-1);
    return last?.variadic === true ? described(last.name(), last.argChoices) : null;
  }

  option(flag: string): Option | undefined {
    return this.#visible().find(({ long, short }) => long === flag || short === flag);
  }

  /** Those that may still be given: not again, and not beside what they contradict. */
  flags(): Candidate[] {
    const given = (name: string): boolean => this.#given.has(name);
    const clashes = (option: Option): boolean =>
      conflictsOf(option).some(given) ||
      this.#visible().some(
        (other) => given(other.attributeName()) && conflictsOf(other).includes(option.attributeName()),
      );
    return this.#visible()
      .filter((option) => (option.variadic || !given(option.attributeName())) && !clashes(option))
      .map((option) => ({ value: option.long ?? option.short ?? "", description: oneLine(option.description) }));
  }

  subcommands(): Candidate[] {
    if (this.#positionals > 0) return [];
    return this.#command
      .createHelp()
      .visibleCommands(this.#command)
      .map((command) => ({ value: command.name(), description: oneLine(command.description()) }));
  }

  /** The value of a flag of this command: as typed, or of the environment, or the default; undefined without any. */
  value(name: string): unknown {
    const option = this.#visible().find((each) => each.attributeName() === name);
    if (option === undefined) return undefined;
    const text = this.#given.get(name) ?? (option.envVar === undefined ? undefined : this.environment[option.envVar]);
    if (text === undefined || option.parseArg === undefined) return text ?? option.defaultValue;
    try {
      return option.parseArg(text, option.defaultValue);
    } catch {
      return undefined;
    }
  }

  #take(word: string): void {
    if (this.#awaiting !== null) {
      this.#given.set(this.#awaiting.attributeName(), word);
      this.#awaiting = null;
    } else if (!this.#isOver && word === "--") {
      this.#isOver = true;
    } else if (!this.#isOver && word.length > 1 && word.startsWith("-")) {
      const [, flag = word, value] = /^(--[^=]+)=(.*)$/s.exec(word) ?? [];
      const option = this.option(flag);
      if (option === undefined) return;
      if (takesValue(option) && value === undefined) this.#awaiting = option;
      else this.#given.set(option.attributeName(), value ?? "");
    } else {
      const child = this.#positionals === 0 ? this.#command.commands.find((each) => each.name() === word) : undefined;
      if (child === undefined) this.#positionals++;
      else this.#command = child;
    }
  }

  #visible(): Option[] {
    return this.#command.createHelp().visibleOptions(this.#command);
  }
}

/** What a value is: its name in the help, in capitals, and what it can be when that is fixed. */
interface Described {
  readonly placeholder: string;
  readonly choices: readonly string[];
}

const described = (name: string, choices: readonly string[] | undefined): Described => ({
  placeholder: name.replace(/^[<[]|[>\]]$/g, ""),
  choices: choices ?? [],
});

/** The values that a flag or an argument may have, by its name in the help. */
class Values {
  readonly #line: Line;
  readonly #sources: Sources;

  constructor(line: Line, sources: Sources) {
    this.#line = line;
    this.#sources = sources;
  }

  async of(what: Option | Described, typed: string): Promise<Completion> {
    const { placeholder, choices } =
      "placeholder" in what ? what : described(/[<[].*[>\]]/.exec(what.flags)?.[0] ?? "", what.argChoices);
    if (choices.length > 0) return words(choices);
    switch (placeholder) {
      case "NAME":
        return words(await this.#sources.accounts(this.#servers(), typed));
      case "PID":
        return words((await this.#pids()).map(String));
      case "KIND,…": {
        const before = typed.slice(0, typed.lastIndexOf(",") + 1);
        return words(kinds.map((kind) => before + kind));
      }
      case "DIR":
      case "FILE":
        return { candidates: [], files: true };
      default:
        return nothing;
    }
  }

  /** A replica's own pid is one of its `--peers`; elsewhere a pid is of the cluster that runs. */
  async #pids(): Promise<readonly number[]> {
    const peers = this.#line.value("peers");
    if (typeof peers !== "string") return this.#sources.replicas(this.#servers());
    try {
      return parsePeers(peers).map(({ pid }) => pid);
    } catch {
      return [];
    }
  }

  #servers(): readonly string[] {
    const servers = this.#line.value("server");
    return Array.isArray(servers) ? servers : [];
  }
}

const words = (values: readonly string[]): Completion => ({
  candidates: values.map((value) => ({ value, description: "" })),
  files: false,
});

const takesValue = (option: Option): boolean => option.required || option.optional;
const oneLine = (text: string): string => text.replace(/\s+/g, " ");

/** Commander keeps this to itself, and has no other way to ask. */
function conflictsOf(option: Option): readonly string[] {
  const { conflictsWith }: { conflictsWith?: unknown } = option as object;
  return Array.isArray(conflictsWith) ? conflictsWith.map(String) : [];
}
