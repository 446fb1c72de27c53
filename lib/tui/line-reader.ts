/**
 * Lines of an input stream, asked for one by one. Reads no further than a few lines ahead, and leaves the event loop
 * free between chunks, so that a flood of input stops neither signals nor the network. On a terminal a secret line is
 * read in raw mode, key by key, so that it is not echoed.
 */
import { edit, emptyDraft } from "./editor.ts";
import { key, KeyDecoder, type Input } from "./keys.ts";
import { cleanInput } from "./sanitise.ts";
import type { InputStream } from "./terminal.ts";

export type Read = { readonly type: "line"; readonly text: string } | { readonly type: "end" };

/** Lines kept ahead of the asking. */
const aheadMax = 64;
/** What a longer line goes on with is dropped: no message is as long, so that what is given out of it is refused. */
const lineMax = 256 * 1024;

export class LineReader {
  onActivity: () => void = () => {};
  /** Lines given out. */
  count = 0;
  readonly #input: InputStream;
  readonly #utf8 = new TextDecoder();
  readonly #lines: string[] = [];
  #rest = "";
  /** The line that goes on has been given out: it was too long. */
  #isDropping = false;
  #ended = false;
  #closed = false;
  #waiting: ((read: Read) => void) | null = null;
  #secret: { readonly decoder: KeyDecoder; draft: typeof emptyDraft } | null = null;

  constructor(input: InputStream) {
    this.#input = input;
    input.on("data", this.#onData);
    input.on("end", this.#onEnd);
    input.on("error", this.#onEnd);
  }

  /** No more can be taken in: the input has ended, or enough lines wait already. */
  get exhausted(): boolean {
    return this.#ended || this.#lines.length >= aheadMax;
  }

  /** The next line without its end, or the end of input. One call at a time. */
  next(secret: boolean): Promise<Read> {
    const line = this.#lines.shift();
    if (line !== undefined) {
      this.count += 1;
      this.#flow();
      return Promise.resolve({ type: "line", text: line });
    }
    if (this.#ended) return Promise.resolve({ type: "end" });
    return new Promise((resolve) => {
      this.#waiting = resolve;
      if (secret && this.#input.isTTY === true) this.#beginSecret();
      this.#flow();
    });
  }

  /** The line that was asked for is not wanted any more. */
  cancel(): void {
    this.#waiting = null;
    this.#endSecret();
  }

  close(): void {
    this.#closed = true;
    this.cancel();
    this.#input.off("data", this.#onData);
    this.#input.off("end", this.#onEnd);
    this.#input.off("error", this.#onEnd);
    this.#input.pause();
  }

  readonly #onData = (chunk: Uint8Array | string): void => {
    const bytes = typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk;
    this.onActivity();
    if (this.#secret !== null) this.#typeSecret(this.#secret.decoder.push(bytes));
    else this.#take(this.#utf8.decode(bytes, { stream: true }));
    this.#input.pause();
    setImmediate(() => this.#flow());
  };

  readonly #onEnd = (): void => {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#rest !== "") this.#lines.push(this.#rest);
    this.#rest = "";
    this.#give();
  };

  #flow(): void {
    if (!this.#closed && !this.#ended && this.#lines.length < aheadMax) this.#input.resume();
  }

  #take(text: string): void {
    const parts = (this.#rest + text).split("\n");
    this.#rest = parts.pop() ?? "";
    if (this.#isDropping && parts.length > 0) {
      parts.shift();
      this.#isDropping = false;
    }
    if (this.#rest.length > lineMax && !this.#isDropping) {
      parts.push(this.#rest);
      this.#isDropping = true;
    }
    if (this.#isDropping) this.#rest = "";
    for (const part of parts) this.#lines.push(part.replace(/\r$/, ""));
    this.#give();
  }

  #give(): void {
    if (this.#waiting === null) return;
    const line = this.#lines.shift();
    if (line === undefined && !this.#ended) return;
    const resolve = this.#waiting;
    if (line !== undefined) this.count += 1;
    this.cancel();
    resolve(line === undefined ? { type: "end" } : { type: "line", text: line });
  }

  #beginSecret(): void {
    this.#input.setRawMode?.(true);
    this.#secret = { decoder: new KeyDecoder(), draft: emptyDraft };
  }

  #endSecret(): void {
    if (this.#secret === null) return;
    this.#secret = null;
    this.#input.setRawMode?.(false);
  }

  #typeSecret(inputs: readonly Input[]): void {
    for (const input of inputs) {
      if (input.type === "position") continue;
      const pressed = input.type === "key" ? input : key("", { text: cleanInput(input.text).replaceAll("\n", "") });
      const secret = this.#secret;
      if (secret === null) this.#take(pressed.name === "return" ? "\n" : pressed.text);
      else if (pressed.name === "return") {
        this.#lines.push(secret.draft.text);
        this.#give();
      } else if (pressed.ctrl && pressed.name === "c") process.kill(process.pid, "SIGINT");
      else if (pressed.ctrl && pressed.name === "d" && secret.draft.text === "") this.#onEnd();
      else secret.draft = edit(secret.draft, pressed) ?? secret.draft;
    }
  }
}
