/** The page of commands: all that can be typed after a slash, and beginning one of them. Where a page covers the journal. */
import type { ChatContext } from "./context.ts";
import { commands, usageText } from "./commands.ts";
import { draftOf } from "./editor.ts";
import type { Page } from "./surface.ts";

export class HelpPage {
  readonly #context: ChatContext;
  readonly #page = (): Page => this.#shown();

  constructor(context: ChatContext) {
    this.#context = context;
  }

  /** Until it is left; a command that was chosen can be completed below it. */
  async visit(): Promise<void> {
    const { surface, command } = this.#context;
    for (;;) {
      const picked = await surface.pick(this.#page);
      if (picked.type === "line") return this.#context.runLine(picked.text);
      if (picked.type !== "item") return;
      const answer = await surface.ask({ ...command, initial: draftOf(`/${picked.id} `), back: true });
      if (answer.type === "line") return this.#context.runLine(answer.text);
    }
  }

  #shown(): Page {
    return {
      title: "Commands",
      aside: "",
      lines: [],
      items: commands.map((each) => ({
        id: each.name,
        wraps: true,
        left: [
          { text: usageText(each), style: "prompt" },
          { text: `: ${each.about}`, style: "plain" },
        ],
      })),
      start: "first",
      marks: false,
      keys: [
        { name: "return", label: "begins one" },
        { name: "escape", label: "back" },
      ],
      command: this.#context.command,
    };
  }
}
