/**
 * Cuts a stream of bytes into lines of bounded length, without losing its place at one that is too long or not UTF-8.
 * Must not know what a line means.
 */
export type InputLine =
  { readonly kind: "line"; readonly text: string } | { readonly kind: "tooLong" } | { readonly kind: "notUtf8" };

const newline = 0x0a;

export class LineSplitter {
  readonly #bytesMax: number;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  /** What has come of the line in progress, at most `bytesMax` bytes of it. */
  #pieces: Uint8Array[] = [];
  #length = 0;
  #tooLong = false;

  /** `bytesMax`: longest line in bytes, without its newline. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** The lines that this chunk ends. */
  *push(chunk: Uint8Array): Generator<InputLine, void> {
    let from = 0;
    for (;;) {
      const end = chunk.indexOf(newline, from);
      if (end < 0) break;
      this.#take(chunk.subarray(from, end));
      yield this.#finish();
      from = end + 1;
    }
    if (from < chunk.length) this.#take(chunk.subarray(from));
  }

  /** The input has ended: the last line, if it had no newline. */
  end(): InputLine | null {
    return this.#length === 0 && !this.#tooLong ? null : this.#finish();
  }

  #take(piece: Uint8Array): void {
    if (this.#tooLong) return;
    this.#length += piece.length;
    if (this.#length > this.#bytesMax) {
      this.#tooLong = true;
      this.#pieces = [];
    } else if (piece.length > 0) {
      this.#pieces.push(piece);
    }
  }

  #finish(): InputLine {
    const [first] = this.#pieces;
    const bytes = this.#pieces.length === 1 && first !== undefined ? first : Buffer.concat(this.#pieces);
    const tooLong = this.#tooLong;
    this.#pieces = [];
    this.#length = 0;
    this.#tooLong = false;
    if (tooLong) return { kind: "tooLong" };
    try {
      return { kind: "line", text: this.#decoder.decode(bytes) };
    } catch {
      return { kind: "notUtf8" };
    }
  }
}
