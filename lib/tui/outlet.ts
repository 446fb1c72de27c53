/**
 * How messages leave the screens: through the outbox of whoever is signed in, where one is kept on this machine, else
 * straight through the client. The one place where screens meet the outbox; shows nothing.
 */
import type { Outbox, OutgoingMessage } from "../client/outbox.ts";
import type { ChatClient } from "../client/types.ts";
import type { UnfinishedLines } from "../client/unfinished-lines.ts";
import { answered } from "./requests.ts";

/** What is kept on this machine for one account. */
export interface AccountStorage {
  readonly outbox: Outbox;
  readonly lines: UnfinishedLines;
  /** What is open stays for the next run. */
  close(): Promise<void>;
}

/**
 * Opens what is kept for the account that the client is logged in to. Null when nothing can be kept, after a word to
 * `trouble`.
 */
export type OpenStorage = (client: ChatClient, user: string, trouble: (text: string) => void) => AccountStorage | null;

export interface OutletOwner {
  /** A message of an earlier run, which is sent now. */
  earlier(message: OutgoingMessage): void;
  /** Something is wrong with what is kept: one line. */
  trouble(text: string): void;
}

export class Outlet {
  readonly #client: ChatClient;
  readonly #open: OpenStorage;
  readonly #owner: OutletOwner;
  #storage: AccountStorage | null = null;
  #password = "";
  /** Of who was signed in before. */
  #closing: Promise<void> = Promise.resolve();

  constructor(client: ChatClient, open: OpenStorage | undefined, owner: OutletOwner) {
    this.#client = client;
    this.#open = open ?? (() => null);
    this.#owner = owner;
  }

  /** What is sent outlives this process. */
  get keeps(): boolean {
    return this.#storage !== null;
  }

  /** Null when nothing is kept. */
  get lines(): UnfinishedLines | null {
    return this.#storage?.lines ?? null;
  }

  async signedIn(user: string, password: string): Promise<void> {
    await this.#closing;
    this.#password = password;
    this.#storage = this.#open(this.#client, user, (text) => this.#owner.trouble(text));
    this.#storage?.outbox.on((event) => {
      if (event.type === "earlier") this.#owner.earlier(event.message);
      else this.#owner.trouble(event.text);
    });
    this.#storage?.outbox.signedIn(this.#client, password);
  }

  /**
   * What is kept stays so until `wake`. Before a logout: what is sent behind that would be refused, and kept no longer.
   */
  rest(): void {
    this.#storage?.outbox.signedOut();
  }

  /** They are signed in still. */
  wake(): void {
    this.#storage?.outbox.signedIn(this.#client, this.#password);
  }

  send(to: string, text: string): OutgoingMessage {
    if (this.#storage !== null) return this.#storage.outbox.send(to, text);
    const answer = answered(this.#client, { type: "send", to, text });
    return { to, text, at: Date.now(), isEarlier: false, kept: Promise.resolve(), answer };
  }

  /** Also at the end of a run. */
  signedOut(): Promise<void> {
    const storage = this.#storage;
    this.#storage = null;
    if (storage !== null) this.#closing = storage.close();
    return this.#closing;
  }
}
