/** Input for the JSON mode, as a test gives it: piece by piece. */

/** Input that the test feeds piece by piece, and that knows how far it was read. */
export class Feed implements AsyncIterable<Uint8Array> {
  taken = 0;
  readonly #chunks: Uint8Array[] = [];
  #ended = false;
  #wake: () => void = () => {};

  put(bytes: string | Uint8Array): void {
    this.#chunks.push(typeof bytes === "string" ? Buffer.from(bytes) : bytes);
    this.#wake();
  }

  do(...commands: object[]): void {
    for (const command of commands) this.put(`${JSON.stringify(command)}\n`);
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        this.taken++;
        yield chunk;
      } else if (this.#ended) {
        return;
      } else {
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    }
  }
}
