/**
 * The commands about drafts: they are listed with numbers, and the numbers stay with them until they are listed again,
 * also when one was changed meanwhile. One command goes after the other; the prompt waits for none of them.
 */
import { limits } from "../base/limits.ts";
import type { Answers, Refused } from "../client/types.ts";
import type { ChatContext } from "./context.ts";
import { unsendable, type Draft } from "./drafts.ts";
import { editDraft } from "./draft-editor.ts";
import { shownName } from "./names.ts";
import { numbersIn } from "./questions.ts";
import { byteLength, clockTime, count, sentLines } from "./sentences.ts";

export class DraftCommands {
  readonly #context: ChatContext;
  /** In the order of the numbers that were shown; null is one that was sent or deleted since. */
  #numbered: (Draft | null)[] = [];
  #turn: Promise<void> = Promise.resolve();

  constructor(context: ChatContext) {
    this.#context = context;
  }

  list(): void {
    void this.#inTurn(async () => {
      const drafts = await this.#number();
      if (drafts === null) return;
      const rows = drafts.map((draft, at) => this.#row(draft, at));
      rows.unshift(count(drafts.length, "draft"));
      if (drafts.length > 0) rows.push("/send-draft 1 3-5 sends the first, and the third to fifth; all: all of them");
      this.#context.surface.say({ tone: "info", text: rows.join("\n") });
    });
  }

  /** `[@NAME] TEXT` keeps a new one; `N [@NAME] [TEXT]` changes one, and `N` alone opens or shows it. */
  async draft(rest: string): Promise<void> {
    const [, number = "", name, text = ""] = /^(?:(\d{1,4})(?:\s+|$))?(?:@(\S+)(?:\s+|$))?([\s\S]*)$/.exec(rest) ?? [];
    if (byteLength(text) > limits.textBytesMax) {
      return this.#fail(`too long: ${byteLength(text)} of ${limits.textBytesMax} bytes`);
    }
    if (number === "") {
      if (text === "") return this.#fail("Usage: /draft [@NAME] TEXT, or /draft N [@NAME] [TEXT]");
      const to = name ?? this.#context.partner ?? "";
      return void this.#inTurn(() => this.#save(null, to, text));
    }
    if (name === undefined && text === "") return this.#open(number);
    void this.#inTurn(async () => {
      const [place] = this.#places(number) ?? [];
      const draft = place === undefined ? null : this.#numbered[place];
      if (place === undefined || draft == null) return this.#unnamed(number);
      await this.#save(place, name ?? draft.to, text === "" ? draft.text : text);
    });
  }

  send(text: string): void {
    void this.#inTurn(async () => {
      const chosen = await this.#chosen("send-draft", text);
      if (chosen === null) return;
      const wrong = unsendable(chosen, (draft) => this.#row(draft, this.#numbered.indexOf(draft)));
      if (wrong !== null) return this.#fail(wrong);
      const outcome = await this.#answer(this.#context.drafts.send(chosen));
      if (outcome === null) return;
      this.#forget(chosen.filter(({ draft }) => !outcome.refused.some((refused) => refused.draft === draft)));
      for (const line of sentLines(outcome)) this.#context.surface.say(line);
    });
  }

  delete(text: string): void {
    void this.#inTurn(async () => {
      const chosen = await this.#chosen("delete-draft", text);
      if (chosen === null) return;
      if ((await this.#answer(this.#context.drafts.delete(chosen))) === null) return;
      this.#forget(chosen);
      this.#context.surface.say({ tone: "good", text: `${count(chosen.length, "draft")} deleted.` });
    });
  }

  /** On a page its fields are asked for; where there are lines only it is shown whole. */
  #open(number: string): Promise<void> {
    let chosen: Draft | null = null;
    const found = this.#inTurn(async () => {
      const [place] = this.#places(number) ?? [];
      chosen = place === undefined ? null : (this.#numbered[place] ?? null);
      if (place === undefined || chosen === null) return this.#unnamed(number);
      if (this.#context.surface.linear) this.#say(this.#row(chosen, place, false));
    });
    if (this.#context.surface.linear) return Promise.resolve();
    return this.#edit(found.then(() => chosen));
  }

  async #edit(found: Promise<Draft | null>): Promise<void> {
    const { surface } = this.#context;
    const draft = await surface.busy("Looking for the draft", found, "ahead");
    // What was typed ahead was for its fields: here it would be as many keys.
    if (draft === null && surface.isCovered) surface.takeTyped();
    if (draft === null || draft === "left") return;
    const saved = await editDraft(this.#context, draft);
    if (saved !== null) this.#numbered = this.#numbered.map((each) => (each === draft ? saved : each));
  }

  async #save(place: number | null, to: string, text: string): Promise<void> {
    const before = place === null ? null : (this.#numbered[place]?.draft ?? null);
    const answer = await this.#answer(this.#context.drafts.save(before, to, text));
    if (answer === null) return;
    const saved: Draft = { draft: answer.draft, to, text, at: Date.now() };
    const at = place ?? this.#numbered.length;
    this.#numbered[at] = saved;
    this.#context.surface.say({ tone: "good", text: `Draft saved\n${this.#row(saved, at)}` });
  }

  /** Reads them anew and gives numbers. */
  async #number(): Promise<readonly Draft[] | null> {
    const answer = await this.#answer<Answers["drafts"]>(this.#context.drafts.load());
    if (answer === null) return null;
    this.#numbered = [...answer.drafts];
    return answer.drafts;
  }

  async #chosen(command: string, text: string): Promise<Draft[] | null> {
    if (text === "all") {
      const all = await this.#number();
      if (all?.length === 0) this.#say("You have no drafts.");
      return all === null || all.length === 0 ? null : [...all];
    }
    if (text === "") {
      this.#fail(`Usage: /${command} N..., or /${command} all`);
      return null;
    }
    const chosen = this.#places(text)?.map((place) => this.#numbered[place] ?? null) ?? [null];
    const drafts = chosen.filter((draft) => draft !== null);
    if (drafts.length === chosen.length) return drafts;
    this.#unnamed(text);
    return null;
  }

  #places(text: string): number[] | null {
    return numbersIn(text, this.#numbered.length)?.map((number) => number - 1) ?? null;
  }

  #unnamed(text: string): void {
    const known = this.#numbered.length === 0 ? "has no number yet" : "is not among those numbered";
    const where = this.#context.surface.isCovered ? "shows" : "numbers";
    this.#fail(`${text} names no draft: it ${known}, /drafts ${where} them.`);
  }

  #forget(drafts: readonly Draft[]): void {
    this.#numbered = this.#numbered.map((each) => (each !== null && drafts.includes(each) ? null : each));
  }

  #row({ to, text, at }: Draft, place: number, short = true): string {
    const { arrow } = this.#context.surface.symbols;
    const whom = to === "" ? "nobody yet" : shownName(to);
    return `${place + 1}  ${clockTime(at, Date.now())} ${arrow} ${whom}: ${short ? text.replace(/\s+/g, " ") : text}`;
  }

  #answer<A extends { readonly type: string }>(work: Promise<A | Refused>): Promise<A | null> {
    return this.#context.questions.answer(work);
  }

  #inTurn(act: () => Promise<void>): Promise<void> {
    this.#turn = this.#context.requests.track(this.#turn.then(act));
    return this.#turn;
  }

  #say(text: string): void {
    this.#context.surface.say({ tone: "info", text });
  }

  /** What was asked for is not done. */
  #fail(text: string): void {
    this.#context.surface.say({ tone: "warning", text, failed: true });
  }
}
