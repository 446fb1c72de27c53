/**
 * What a user does to the own account beside deleting it: another password, and the sessions that are logged in to it.
 * The same for commands and for the page of the account.
 */
import type { Answers } from "../client/types.ts";
import type { ChatContext } from "./context.ts";
import { numbersIn } from "./questions.ts";
import { answered, untilDone } from "./requests.ts";
import { clockTime, count } from "./sentences.ts";
import { askPassword, newPassword } from "./sign-in.ts";

export type Session = Answers["sessions"]["sessions"][number];

/** Asks for the old password, and twice for the new one; nothing of them is shown. */
export async function changePassword({ surface, client }: ChatContext): Promise<void> {
  const password = await askPassword(surface, "Old password", (text) => (text === "" ? "Type your password." : null));
  const next = password === null ? null : await newPassword(surface);
  if (password === null || next === null) return surface.say({ tone: "dim", text: "The password stays as it is." });
  const change = async (): Promise<void> => {
    const answer = await answered(client, { type: "changePassword", password, newPassword: next });
    if (answer.type === "refused") {
      return surface.say({ tone: "bad", text: `The password stays as it is: ${answer.message}`, failed: true });
    }
    surface.say({ tone: "good", text: `The password is changed; ${count(answer.count, "other session")} ended.` });
  };
  await untilDone(surface, "Changing the password", change());
}

/** Where a session runs and since when, as its owner reads it. */
export function sessionText({ since, usedAt, replica, attached, current, software }: Session, nowMs: number): string {
  const facts = [software === "" ? "an unnamed program" : software, `since ${clockTime(since, nowMs)}`];
  facts.push(attached ? `on replica ${replica}` : `away, last used ${clockTime(usedAt, nowMs)}`);
  return `${facts.join(", ")}${current ? ": this one" : ""}`;
}

/** The commands: sessions are listed with numbers, by which they are ended. */
export class SessionCommands {
  readonly #context: ChatContext;
  #numbered: readonly Session[] = [];
  #turn: Promise<void> = Promise.resolve();

  constructor(context: ChatContext) {
    this.#context = context;
  }

  list(): void {
    this.#inTurn(async () => {
      const { questions, surface } = this.#context;
      const answer = await questions.ask({ type: "sessions" });
      if (answer === null) return;
      this.#numbered = answer.sessions;
      const rows = answer.sessions.map((session, at) => `${at + 1}  ${sessionText(session, Date.now())}`);
      rows.unshift(count(rows.length, "session"));
      if (rows.length > 2) rows.push("/end-session 2 logs the second out");
      surface.say({ tone: "info", text: rows.join("\n") });
    });
  }

  end(text: string): void {
    this.#inTurn(async () => {
      const { questions, surface } = this.#context;
      const numbers = numbersIn(text, this.#numbered.length);
      if (numbers === null) {
        const how = surface.isCovered ? "shows" : "numbers";
        const known =
          this.#numbered.length === 0 ? `/sessions ${how} them` : `1 to ${this.#numbered.length} have numbers`;
        const named = text === "" ? "Nothing typed" : text;
        return surface.say({ tone: "warning", text: `${named} names no session: ${known}.`, failed: true });
      }
      const chosen = this.#numbered.filter((_, at) => numbers.includes(at + 1));
      const wrong = unendable(chosen);
      if (wrong !== null) return surface.say({ tone: "warning", text: wrong, failed: true });
      const answer = await questions.ask({ type: "endSessions", sessions: chosen.map(({ session }) => session) });
      if (answer === null) return;
      this.#numbered = [];
      surface.say({ tone: "good", text: `${count(answer.count, "session")} ended.` });
    });
  }

  /** What gives numbers and what takes them go one after the other: lines may come faster than answers. */
  #inTurn(act: () => Promise<void>): void {
    this.#turn = this.#context.requests.track(this.#turn.then(act));
  }
}

/** Why these are not ended; null when they can be. */
export function unendable(sessions: readonly Session[]): string | null {
  return sessions.some(({ current }) => current) ? "That is this session: /logout ends it." : null;
}
