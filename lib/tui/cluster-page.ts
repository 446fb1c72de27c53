/**
 * The page of the cluster: its replicas as the one that answers sees them. Asked anew by a key and when the connection
 * changes.
 */
import type { FrameOf } from "../protocol/messages.ts";
import type { ChatContext } from "./context.ts";
import { answered } from "./requests.ts";
import { statusText } from "./sentences.ts";
import type { Line, Page } from "./surface.ts";

export class ClusterPage {
  readonly #context: ChatContext;
  #status: FrameOf<"statusReport"> | null = null;
  readonly #page = (): Page => this.#shown();

  constructor(context: ChatContext) {
    this.#context = context;
  }

  async visit(): Promise<void> {
    const { surface, client } = this.#context;
    const stop = client.on((event) => {
      if (event.type === "connection") void this.#load();
    });
    try {
      for (;;) {
        void this.#load();
        const picked = await surface.pick(this.#page);
        if (picked.type === "line") return await this.#context.runLine(picked.text);
        if (picked.type === "back" || picked.type === "interrupted") return;
      }
    } finally {
      stop();
    }
  }

  async #load(): Promise<void> {
    const answer = await answered(this.#context.client, { type: "status" });
    if (answer.type !== "refused") this.#status = answer;
    this.#context.surface.refresh();
  }

  #shown(): Page {
    const { surface, command } = this.#context;
    const asking: Line = { tone: "dim", text: `Asking${surface.symbols.ellipsis}` };
    const [head = "", ...rows] = (this.#status === null ? "" : statusText(this.#status, surface.symbols).text).split(
      "\n",
    );
    return {
      title: "Cluster",
      aside: "",
      lines:
        this.#status === null
          ? [asking]
          : [{ tone: "plain", text: head }, ...rows.map((text): Line => ({ tone: "plain", text }))],
      items: [],
      start: "first",
      marks: false,
      keys: [
        { name: "r", label: "asks again" },
        { name: "escape", label: "back" },
      ],
      command,
    };
  }
}
