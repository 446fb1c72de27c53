/** The page of one's own account: the bell, another password, its sessions, logging out, deleting it. */
import type { ChatContext } from "./context.ts";
import { changePassword } from "./own-account.ts";
import { SessionPage } from "./session-page.ts";
import type { Item, Page } from "./surface.ts";

export class AccountPage {
  readonly #context: ChatContext;
  readonly #page = (): Page => this.#shown();

  constructor(context: ChatContext) {
    this.#context = context;
  }

  async visit(): Promise<void> {
    const { surface } = this.#context;
    for (;;) {
      const picked = await surface.pick(this.#page);
      if (picked.type === "line") return this.#context.runLine(picked.text);
      if (picked.type !== "item") return;
      if (picked.id === "bell") this.#context.bell = !this.#context.bell;
      else if (picked.id === "password") await changePassword(this.#context);
      else if (picked.id === "sessions") await new SessionPage(this.#context).visit();
      else if (picked.id === "logout") return this.#context.logOut();
      else if (picked.id === "delete") await this.#context.deleteAccount();
      if (this.#context.user === "") return;
    }
  }

  #shown(): Page {
    const item = (id: string, letter: string, label: string, detail = ""): Item => ({
      id,
      letter,
      brief: id,
      left: [
        { text: `${letter}  `, style: "prompt" },
        { text: label, style: "plain" },
        { text: detail === "" ? "" : `  ${detail}`, style: "dim" },
      ],
    });
    return {
      title: `My account ${this.#context.surface.symbols.dot} ${this.#context.user}`,
      aside: "",
      lines: [],
      items: [
        item("bell", "b", "Bell when a message arrives", this.#context.bell ? "on" : "off"),
        item("password", "p", "Change the password", "ends other sessions"),
        item("sessions", "s", "Sessions"),
        item("logout", "l", "Log out"),
        item("delete", "x", "Delete the account", "asks first"),
      ],
      start: "first",
      marks: false,
      keys: [
        { name: "return", label: "chooses" },
        { name: "escape", label: "back" },
      ],
      command: this.#context.command,
    };
  }
}
