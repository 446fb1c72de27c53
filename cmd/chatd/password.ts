/**
 * Where a command that asks nobody takes a password from: a file, a file descriptor, the environment. Never from an
 * argument, which every other user of the machine can read.
 */
import { readFileSync } from "node:fs";
import { Option } from "commander";
import { CommandFailure, exitStatus } from "./failure.ts";
import { wholeNumber } from "./usage.ts";

export interface PasswordFlags {
  readonly passwordFile?: string;
  readonly passwordFd?: number;
  readonly password?: string;
}

export const passwordOptions = (): Option[] => [
  new Option("--password-file <FILE>", "the password is the first line of a file").conflicts("passwordFd"),
  new Option("--password-fd <N>", "… or of a file descriptor, such as 3 with 3<FILE").argParser(wholeNumber(0, 65_535)),
  new Option("--password [PASSWORD]", "refused").preset("").hideHelp(),
];

/** Throws `CommandFailure` (64), without repeating what was given. */
export function refusePasswordArgument({ password }: PasswordFlags): void {
  if (password === undefined) return;
  const why = "a password is never taken from an argument, which others on this machine can read";
  throw new CommandFailure(`${why}: use --password-file, --password-fd or CHATD_PASSWORD`, exitStatus.usage);
}

/** Throws `CommandFailure`: 64 when none is given, 1 when it cannot be read. */
export function readPassword(
  { passwordFile, passwordFd }: PasswordFlags,
  environment: Readonly<Record<string, string | undefined>>,
): string {
  const source = passwordFd ?? passwordFile;
  const given = source === undefined ? environment["CHATD_PASSWORD"] : firstLine(source);
  if (given !== undefined && given !== "") return given;
  const where =
    passwordFile !== undefined
      ? `${passwordFile} begins with an empty line`
      : passwordFd !== undefined
        ? `file descriptor ${passwordFd} begins with an empty line`
        : "it is in --password-file FILE, --password-fd N or CHATD_PASSWORD";
  throw new CommandFailure(`a password is needed: ${where}`, exitStatus.usage);
}

function firstLine(source: string | number): string {
  try {
    return /^[^\r\n]*/.exec(readFileSync(source, "utf8"))?.[0] ?? "";
  } catch (error) {
    const what = typeof source === "number" ? `file descriptor ${source}` : source;
    const why = error instanceof Error ? error.message : String(error);
    throw new CommandFailure(`cannot read the password from ${what}: ${why}`, exitStatus.failed, { cause: error });
  }
}
