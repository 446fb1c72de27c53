/** The page of accounts: who there is and who is online, by a pattern; choosing one opens the conversation. */
import { limits } from "../base/limits.ts";
import type { Answers } from "../client/types.ts";
import type { ChatContext } from "./context.ts";
import { shownName } from "./names.ts";
import { seenText } from "./presence.ts";
import { answered } from "./requests.ts";
import { sameName } from "./sentences.ts";
import type { Page } from "./surface.ts";

type Account = Answers["accounts"]["accounts"][number];

export class PeoplePage {
  readonly #context: ChatContext;
  #pattern: string | null;
  #accounts: Account[] = [];
  #more = true;
  #loading = false;
  /** Counts the patterns: an answer to an earlier one is not shown. */
  #turn = 0;
  readonly #page = (): Page => this.#shown();

  constructor(context: ChatContext, pattern: string | null = null) {
    this.#context = context;
    this.#pattern = pattern;
  }

  async visit(): Promise<void> {
    const { surface, user } = this.#context;
    for (;;) {
      const picked = await surface.pick(this.#page);
      if (picked.type === "back" || picked.type === "interrupted") return;
      if (picked.type === "line") return this.#context.runLine(picked.text);
      const chosen = picked.type === "item" ? picked.id : picked.ids[0];
      if (picked.type === "key" && picked.name === "f") await this.#filter();
      else if (chosen === undefined) continue;
      else if (sameName(chosen, user)) surface.say({ tone: "dim", text: "That is you: nobody sends to themselves." });
      else return this.#context.talkTo(chosen);
    }
  }

  async #filter(): Promise<void> {
    const answer = await this.#context.surface.ask({
      kind: "field",
      label: "Names like (a* ?ob [a-c]*)",
      back: true,
    });
    if (answer.type !== "line") return;
    this.#pattern = answer.text.trim() === "" ? null : answer.text.trim();
    this.#turn += 1;
    this.#accounts = [];
    this.#more = true;
    this.#loading = false;
  }

  async #load(): Promise<void> {
    if (this.#loading || !this.#more) return;
    this.#loading = true;
    const turn = this.#turn;
    const { client, surface, questions } = this.#context;
    const after = this.#accounts.at(-1)?.user ?? null;
    const answer = await answered(client, { type: "accounts", pattern: this.#pattern, after, limit: limits.pageMax });
    if (turn !== this.#turn) return;
    this.#loading = false;
    if (answer.type === "refused") {
      this.#more = false;
      return surface.say({ tone: "bad", text: answer.message });
    }
    this.#more = answer.more;
    this.#accounts.push(...answer.accounts);
    for (const { user } of answer.accounts) questions.names.add(user);
    surface.refresh();
  }

  #shown(): Page {
    const { surface, command, user, presence } = this.#context;
    const { symbols } = surface;
    return {
      title: this.#pattern === null ? "Accounts" : `Accounts like ${this.#pattern}`,
      aside: this.#loading ? `loading${symbols.ellipsis}` : `${this.#accounts.length}${this.#more ? "+" : ""}`,
      lines: [],
      items: this.#accounts
        .map((each) => presence.of(each))
        .map((account) => ({
          id: account.user,
          left: [
            { text: `${account.online ? symbols.online : symbols.away} `, style: account.online ? "good" : "dim" },
            { text: shownName(account.user), style: `name:${account.user}` },
            { text: sameName(account.user, user) ? "  you" : "", style: "dim" },
          ],
          right: [{ text: seenText(account, Date.now()), style: "dim" }],
        })),
      empty: this.#loading ? `Loading${symbols.ellipsis}` : "Nobody is called like that.",
      start: "first",
      marks: false,
      keys: [
        { name: "return", label: "writes" },
        { name: "f", label: "finds names" },
        { name: "escape", label: "back" },
      ],
      command,
      after: () => void this.#load(),
    };
  }
}
