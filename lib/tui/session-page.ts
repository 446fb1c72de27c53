/** The page of the sessions that are logged in to the own account: which there are, and ending some. */
import type { ChatContext } from "./context.ts";
import { sessionText, unendable, type Session } from "./own-account.ts";
import { answered, untilDone } from "./requests.ts";
import { count } from "./sentences.ts";
import type { Page } from "./surface.ts";

export class SessionPage {
  readonly #context: ChatContext;
  /** Null while they are read. */
  #sessions: readonly Session[] | null = null;
  readonly #page = (): Page => this.#shown();

  constructor(context: ChatContext) {
    this.#context = context;
  }

  /** Until it is left. */
  async visit(): Promise<void> {
    const { surface } = this.#context;
    void this.#load();
    for (;;) {
      const picked = await surface.pick(this.#page);
      if (picked.type === "back" || picked.type === "interrupted") return;
      if (picked.type === "line") return this.#context.runLine(picked.text);
      const ids = picked.type === "item" ? [picked.id] : picked.ids;
      const chosen = (this.#sessions ?? []).filter(({ session }) => ids.includes(session));
      if (chosen.length > 0) await this.#end(chosen);
    }
  }

  async #load(): Promise<void> {
    const { surface, client } = this.#context;
    const answer = await answered(client, { type: "sessions" });
    if (answer.type === "refused") return surface.say({ tone: "bad", text: answer.message });
    this.#sessions = answer.sessions;
    surface.refresh();
  }

  async #end(chosen: readonly Session[]): Promise<void> {
    const { surface, client } = this.#context;
    const wrong = unendable(chosen);
    if (wrong !== null) return surface.say({ tone: "warning", text: wrong });
    const what = count(chosen.length, "session");
    if (!(await surface.confirm(`End ${what}? Whoever is there must log in again.`, "No, keep", "Yes, end"))) return;
    const sessions = chosen.map(({ session }) => session);
    const end = async (): Promise<void> => {
      const answer = await answered(client, { type: "endSessions", sessions });
      if (answer.type === "refused") surface.say({ tone: "bad", text: `Not ended: ${answer.message}` });
      else surface.say({ tone: "good", text: `${count(answer.count, "session")} ended.` });
      await this.#load();
    };
    await untilDone(surface, "Ending", end());
  }

  #shown(): Page {
    const { surface, command } = this.#context;
    const { symbols } = surface;
    const sessions = this.#sessions;
    return {
      title: "Sessions",
      aside: sessions === null ? "" : `${sessions.length}`,
      lines: [],
      items: (sessions ?? []).map((session) => ({
        id: session.session,
        wraps: true,
        left: [
          {
            text: `${session.attached ? symbols.online : symbols.away} `,
            style: session.attached ? "good" : "dim",
          },
          { text: sessionText(session, Date.now()), style: "plain" },
        ],
      })),
      empty: sessions === null ? `Loading${symbols.ellipsis}` : "No sessions.",
      start: "first",
      marks: true,
      keys: [
        { name: "d", label: "ends" },
        { name: "escape", label: "back" },
      ],
      command,
    };
  }
}
