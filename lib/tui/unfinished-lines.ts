/**
 * Lines that were begun and not sent, by whom they go to, of an account of which nothing is kept on this machine: they
 * survive Escape, Ctrl-C, a lost connection and a logout, but not the program. On disk: `lib/client/unfinished-lines.ts`.
 */
import type { UnfinishedLine, UnfinishedLines as KeptLines } from "../client/unfinished-lines.ts";

/** What the screens need of them, wherever they are kept. */
export type UnfinishedLines = Pick<KeptLines, "get" | "set">;

export class UnfinishedInMemory implements UnfinishedLines {
  readonly #lines = new Map<string, UnfinishedLine>();

  get(conversation: string): UnfinishedLine | null {
    return this.#lines.get(conversation) ?? null;
  }

  set(conversation: string, line: UnfinishedLine | null): void {
    if (line === null || line.text === "") this.#lines.delete(conversation);
    else this.#lines.set(conversation, line);
  }
}
