/**
 * stdin and stdout as the JSON mode needs them: input in chunks that leaves signals and sockets their turn, output that
 * is not lost at exit however slowly it is read. Must not know what the lines mean.
 */
import type { JsonOutput } from "./json.ts";

/** The chunks of stdin until it ends; not read ahead of whoever asks for them. */
export async function* stdinChunks(): AsyncGenerator<Uint8Array> {
  const reader = Bun.stdin.stream().getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
    // A flood of input that is always ready would otherwise never let go: no signal, no socket, no timer.
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

/** Lines to stdout: all of one turn in one write, the next when that one has been taken. */
export class StdoutLines implements JsonOutput {
  readonly #sink = Bun.stdout.writer();
  readonly #onGone: (error: unknown) => void;
  #waiting: string[] = [];
  #flushing: Promise<void> | null = null;
  #gone = false;

  /**
   * `onGone`: it cannot be written to any more, because nobody reads or for the reason given. What is written then goes
   * nowhere.
   */
  constructor(onGone: (error: unknown) => void) {
    this.#onGone = onGone;
  }

  write(line: string): void {
    if (this.#gone) return;
    this.#waiting.push(line);
    this.#flushing ??= this.#flush();
  }

  async drained(): Promise<void> {
    while (this.#flushing !== null) await this.#flushing;
  }

  async #flush(): Promise<void> {
    // The end of this turn: whatever arrives together leaves together.
    await Promise.resolve();
    try {
      while (this.#waiting.length > 0) {
        const text = `${this.#waiting.join("\n")}\n`;
        this.#waiting = [];
        await this.#sink.write(text);
        await this.#sink.flush();
      }
    } catch (error) {
      this.#gone = true;
      this.#waiting = [];
      this.#onGone(error);
    } finally {
      this.#flushing = null;
    }
  }
}
