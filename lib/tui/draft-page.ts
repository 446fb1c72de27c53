/**
 * Drafts on a page of their own: marked, sent, deleted, changed, begun. What the page shows is a function of its state;
 * the drafts themselves are in `drafts.ts`.
 */
import { formatOpId } from "../protocol/ids.ts";
import type { ChatContext } from "./context.ts";
import { editDraft } from "./draft-editor.ts";
import { unsendable, type Draft } from "./drafts.ts";
import { shownName } from "./names.ts";
import { untilDone } from "./requests.ts";
import { clockTime, count, sentLines } from "./sentences.ts";
import type { Item, Page } from "./surface.ts";
import type { Symbols } from "./theme.ts";

export interface DraftPageState {
  /** Null while they are read. */
  readonly drafts: readonly Draft[] | null;
  readonly nowMs: number;
  readonly symbols: Symbols;
}

export function draftPage({ drafts, nowMs, symbols }: DraftPageState): Omit<Page, "command"> {
  return {
    title: "Drafts",
    aside: drafts === null ? "" : `${drafts.length}`,
    lines: [],
    items: (drafts ?? []).map((draft) => draftItem(draft, nowMs, symbols)),
    empty: drafts === null ? `Loading${symbols.ellipsis}` : "No drafts: n begins one.",
    start: "first",
    marks: true,
    keys: [
      { name: "return", label: "edits" },
      { name: "s", label: "sends" },
      { name: "d", label: "deletes" },
      { name: "n", label: "new" },
      { name: "escape", label: "back" },
    ],
  };
}

function draftItem({ draft, to, text, at }: Draft, nowMs: number, symbols: Symbols): Item {
  return {
    id: formatOpId(draft),
    wraps: true,
    left: [
      { text: `${clockTime(at, nowMs)} `, style: "dim" },
      to === ""
        ? { text: `${symbols.arrow} nobody yet: `, style: "warning" }
        : { text: `${symbols.arrow} ${shownName(to)}: `, style: "own" },
      { text, style: "plain" },
    ],
  };
}

export class DraftPage {
  readonly #context: ChatContext;
  readonly #page = (): Page => {
    const { drafts, surface, command } = this.#context;
    return { ...draftPage({ drafts: drafts.entries, nowMs: Date.now(), symbols: surface.symbols }), command };
  };

  constructor(context: ChatContext) {
    this.#context = context;
  }

  /** Until it is left. */
  async visit(): Promise<void> {
    const { surface, drafts } = this.#context;
    void drafts.load().then((answer) => {
      if (answer.type === "refused") surface.say({ tone: "bad", text: answer.message });
    });
    for (;;) {
      const picked = await surface.pick(this.#page);
      if (picked.type === "back" || picked.type === "interrupted") return;
      if (picked.type === "line") return this.#context.runLine(picked.text);
      if (picked.type === "key" && picked.name === "n") {
        await editDraft(this.#context, null);
        continue;
      }
      const ids = picked.type === "item" ? [picked.id] : picked.ids;
      const chosen = (drafts.entries ?? []).filter(({ draft }) => ids.includes(formatOpId(draft)));
      const [first] = chosen;
      if (first === undefined) continue;
      if (picked.type === "item") await editDraft(this.#context, first);
      else if (picked.name === "s") await this.#send(chosen);
      else if (picked.name === "d") await this.#delete(chosen);
    }
  }

  async #send(chosen: readonly Draft[]): Promise<void> {
    const { surface, drafts } = this.#context;
    const wrong = unsendable(chosen, ({ text }) => `"${text.slice(0, 20)}"`);
    if (wrong !== null) return surface.say({ tone: "warning", text: wrong });
    const send = async (): Promise<void> => {
      const outcome = await drafts.send(chosen);
      if (outcome.type === "refused") return surface.say({ tone: "bad", text: `Not sent: ${outcome.message}` });
      for (const line of sentLines(outcome)) surface.say(line);
    };
    await untilDone(surface, "Sending", send());
  }

  async #delete(chosen: readonly Draft[]): Promise<void> {
    const { surface, drafts } = this.#context;
    const what = count(chosen.length, "draft");
    if (!(await surface.confirm(`Delete ${what} for good?`, "No, keep", "Yes, delete"))) return;
    const remove = async (): Promise<void> => {
      const answer = await drafts.delete(chosen);
      if (answer.type === "refused") return surface.say({ tone: "bad", text: `Not deleted: ${answer.message}` });
      surface.say({ tone: "good", text: `${what} deleted.` });
    };
    await untilDone(surface, "Deleting", remove());
  }
}
