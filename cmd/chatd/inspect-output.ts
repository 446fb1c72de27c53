/**
 * Lines to stdout for `chatd inspect-log`: no more held than a reader takes, none lost at the end. A reader that leaves
 * is no error; a full disk is one. Knows what a terminal shows, not what the lines mean.
 */
import { dlopen, ptr } from "bun:ffi";
import { StdoutLines } from "../../lib/tui/json-stdio.ts";
import { detectCapabilities } from "../../lib/tui/theme.ts";
import { CommandFailure, exitStatus } from "./failure.ts";
import { codeOf } from "./log-location.ts";

/** In small pieces: what has been written is then forgotten soon, and the first lines are there at once. */
const linesPerTurn = 64;

export class Output {
  /** Nobody reads any more. */
  isGone = false;
  #lines = 0;
  #failure: Error | null = null;
  readonly #stdout = new StdoutLines((cause) => {
    this.isGone = true;
    if (codeOf(cause) !== "EPIPE") this.#failure = cause instanceof Error ? cause : new Error(String(cause));
  });

  line(text: string): void {
    if (this.isGone) return;
    this.#stdout.write(text);
    this.#lines++;
  }

  /** Whether it is time to wait for `drained`. */
  get isFull(): boolean {
    return this.#lines % linesPerTurn === 0;
  }

  /** When all lines have been taken. Throws `CommandFailure` if they cannot be written. */
  async drained(): Promise<void> {
    await this.#stdout.drained();
    if (this.#failure === null) return;
    throw new CommandFailure(`cannot write to stdout: ${this.#failure.message}`, exitStatus.disk, {
      cause: this.#failure,
    });
  }
}

/** How wide lines may be: as wide as the terminal, or as COLUMNS says; else as long as they are. */
export function outputColumns(): number {
  const columns = process.stdout.isTTY ? process.stdout.columns : Number(process.env["COLUMNS"] ?? 0);
  return Number.isSafeInteger(columns) && columns > 0 ? Math.max(20, columns) : Infinity;
}

export const isUnicode = (): boolean => detectCapabilities(process.env, process.stdin, process.stdout).unicode;

const pollErrors = 0x8 | 0x10;

/**
 * Finds out whether whoever read our output has left, without writing: as `tail -f` does it. Where that cannot be found
 * out it never says so, and the next line does.
 */
export function readerWatch(): () => boolean {
  try {
    const library = process.platform === "darwin" ? "libSystem.B.dylib" : "libc.so.6";
    const { symbols } = dlopen(library, { poll: { args: ["ptr", "u64", "i32"], returns: "i32" } });
    const asked = new Uint8Array(8);
    const data = new DataView(asked.buffer);
    return () => {
      data.setInt32(0, 1, true);
      data.setUint32(4, 0, true);
      return symbols.poll(ptr(asked), 1, 0) === 1 && (data.getInt16(6, true) & pollErrors) !== 0;
    };
  } catch {
    return () => false;
  }
}
