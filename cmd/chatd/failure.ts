/**
 * How a command of chatd ends when it cannot do what it was asked: one line on stderr and an exit status. The statuses
 * are a contract (README, "Exit status").
 */
import { writeSync } from "node:fs";

export const exitStatus = {
  done: 0,
  failed: 1,
  usage: 64,
  unreachable: 69,
  dataDirectory: 73,
  disk: 74,
  notAllowed: 77,
} as const;

/** The command cannot go on. `message` says what happened, to which thing, and what to do, in one line. */
export class CommandFailure extends Error {
  override readonly name = "CommandFailure";
  constructor(
    message: string,
    readonly status: number,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Written at once: the process may end next. */
export function complain(line: string): void {
  try {
    writeSync(2, `chatd: ${line.replace(/\s*\n\s*/g, " ")}\n`);
  } catch {
    // There is nobody to tell.
  }
}
