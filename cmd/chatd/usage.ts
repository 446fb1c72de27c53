/**
 * What all commands of chatd have in common on the command line: strict flags, usage errors as one line with status 64,
 * "did you mean". Knows no command.
 */
import { InvalidArgumentError, type Command, type CommanderError } from "commander";
import { complain, exitStatus } from "./failure.ts";
import { print, remark } from "./output.ts";

/** Makes a command and those below it strict: it throws `CommanderError` instead of ending the process. */
export function makeStrict(command: Command): Command {
  command.exitOverride();
  command.allowExcessArguments(false);
  command.configureOutput({
    writeOut: print,
    writeErr: remark,
    outputError: (text) => complain(oneLine(text, command)),
  });
  for (const child of command.commands) makeStrict(child);
  return command;
}

/** What to say, in one line, when the words end where one of several commands is due; null when they do not. */
export function missingCommand(root: Command, words: readonly string[]): string | null {
  let command = root;
  for (const word of words) {
    const next = command.commands.find((each) => each.name() === word);
    if (next === undefined) return null;
    command = next;
  }
  const names = command
    .createHelp()
    .visibleCommands(command)
    .map((each) => each.name());
  const due = names.filter((name) => name !== "help");
  if (due.length === 0) return null;
  return `what is to be done? One of ${due.join(", ")}; see ${fullName(command)} --help`;
}

/** The exit status for what commander threw after it has told the user. */
export function statusOf(error: CommanderError): number {
  return error.exitCode === 0 ? exitStatus.done : exitStatus.usage;
}

/** A whole number within bounds, as a parser of an option's argument. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : -1;
    if (value < min || value > max) throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
    return value;
  };
}

function oneLine(text: string, command: Command): string {
  const said = text
    .trim()
    .replace(/^error: /, "")
    .replace(/\s*\n\s*\(Did you mean (.*)\?\)/, " (did you mean $1?)");
  return `${said.replace(/\.$/, "")}; see ${fullName(command)} --help`;
}

function fullName(command: Command): string {
  const names: string[] = [];
  for (let at: Command | null = command; at !== null; at = at.parent) names.unshift(at.name());
  return names.join(" ");
}
