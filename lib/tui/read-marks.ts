/**
 * Marks read what was shown to a person, a batch at a time. Says nothing and is waited for by nobody: a mark that is
 * refused (the message was deleted meanwhile, or its owner logged out) is no loss.
 */
import { limits } from "../base/limits.ts";
import type { ChatClient } from "../client/types.ts";
import type { ChatMessage, OpId } from "../protocol/messages.ts";
import { answered } from "./requests.ts";
import { sameName } from "./sentences.ts";

export class ReadMarks {
  readonly #client: ChatClient;
  #waiting: OpId[] = [];
  #isMarking = false;

  constructor(client: ChatClient) {
    this.#client = client;
  }

  /** These stand on the screen now. */
  shown(...messages: readonly ChatMessage[]): void {
    const { user } = this.#client;
    for (const { id, to, read } of messages) {
      if (!read && user !== null && sameName(to, user)) this.#waiting.push(id);
    }
    void this.#mark();
  }

  async #mark(): Promise<void> {
    if (this.#isMarking) return;
    this.#isMarking = true;
    // What arrives together is marked together.
    await new Promise<void>((resolve) => setImmediate(resolve));
    while (this.#waiting.length > 0) {
      const ids = this.#waiting.splice(0, limits.pageMax);
      await answered(this.#client, { type: "mark", ids, read: true });
    }
    this.#isMarking = false;
  }
}
