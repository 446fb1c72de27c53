/**
 * A choice between a few options: the select prompt of @clack/core, drawn by others for the same reason as in
 * `prompt-line.ts`. Escape takes the first option, which must be the harmless one.
 */
import { isCancel, SelectPrompt } from "@clack/core";
import type { Key } from "./keys.ts";
import { Nowhere, Silence } from "./prompt-line.ts";

const forwarded = new Set(["up", "down", "left", "right", "return", "escape"]);

export class ChoicePrompt {
  readonly options: readonly string[];
  readonly #keys = new Silence();
  readonly #prompt: SelectPrompt<{ value: number }>;
  readonly #changed: () => void;

  constructor(options: readonly string[], changed: () => void) {
    this.options = options;
    this.#changed = changed;
    this.#prompt = new SelectPrompt({
      options: options.map((_, value) => ({ value })),
      input: this.#keys,
      output: new Nowhere(),
      render: () => undefined,
    });
  }

  get chosen(): number {
    return this.#prompt.cursor;
  }

  get over(): boolean {
    return this.#prompt.state === "submit" || this.#prompt.state === "cancel";
  }

  /** The number of the option chosen; 0 when it was left. Call once. */
  async answer(): Promise<number> {
    const answer = await this.#prompt.prompt();
    return isCancel(answer) || answer === undefined ? 0 : answer;
  }

  press(pressed: Key): void {
    if (this.over || pressed.ctrl || pressed.meta || !forwarded.has(pressed.name)) return;
    this.#keys.emit("keypress", undefined, { name: pressed.name, sequence: "" });
    this.#changed();
  }
}
