/**
 * The drafts of the user, which the server keeps: how many there are, the list as it was read last, saving, sending and
 * deleting. Asks the server and keeps in step with what is done here; shows nothing.
 */
import { sendDrafts, type DraftsSent } from "../client/drafts.ts";
import type { Answers, ChatClient, Refused } from "../client/types.ts";
import { formatOpId } from "../protocol/ids.ts";
import type { OpId } from "../protocol/messages.ts";
import { answered, unlessClosed } from "./requests.ts";

export type Draft = Answers["drafts"]["drafts"][number];

export interface DraftsOwner {
  /** Another number of drafts, or other drafts. */
  changed(): void;
  /** It is a message now, of this id. */
  sent(draft: Draft, id: OpId): void;
}

export class Drafts {
  count = 0;
  /** The one saved last first; null before they were read. */
  entries: readonly Draft[] | null = null;
  readonly #client: ChatClient;
  readonly #owner: DraftsOwner;
  /** Counts the questions: an answer to an earlier one tells of before. */
  #turn = 0;

  constructor(client: ChatClient, owner: DraftsOwner) {
    this.#client = client;
    this.#owner = owner;
  }

  /** Of somebody who has just signed in. */
  begin(count: number): void {
    this.#turn += 1;
    this.count = count;
    this.entries = null;
  }

  async load(): Promise<Answers["drafts"] | Refused> {
    this.#turn += 1;
    const turn = this.#turn;
    const answer = await answered(this.#client, { type: "drafts" });
    if (answer.type !== "refused" && turn === this.#turn) {
      this.entries = answer.drafts;
      this.count = answer.drafts.length;
      this.#owner.changed();
    }
    return answer;
  }

  /** A new one, or another text and recipient ("" is nobody yet) of the one that is `draft` now. */
  save(draft: OpId | null, to: string, text: string): Promise<Answers["saveDraft"] | Refused> {
    return this.#changing(answered(this.#client, { type: "saveDraft", draft, to, text }));
  }

  delete(drafts: readonly Draft[]): Promise<Answers["deleteDrafts"] | Refused> {
    const ids = drafts.map(({ draft }) => draft);
    return this.#changing(answered(this.#client, { type: "deleteDrafts", drafts: ids }));
  }

  /** In this order. Refused as a whole when one of them names nobody, is empty or is not there any more. */
  async send(drafts: readonly Draft[]): Promise<DraftsSent | Refused> {
    const ids = drafts.map(({ draft }) => draft);
    const outcome = await this.#changing(unlessClosed(sendDrafts(this.#client, ids)));
    if (outcome.type === "refused") return outcome;
    const byId = new Map(drafts.map((each) => [formatOpId(each.draft), each]));
    for (const { draft, id } of outcome.sent) {
      const known = byId.get(formatOpId(draft));
      if (known !== undefined) this.#owner.sent(known, id);
    }
    return outcome;
  }

  /** What was refused may be so because another session of the account was first: the list is read anew either way. */
  async #changing<T>(work: Promise<T>): Promise<T> {
    const answer = await work;
    void this.load();
    return answer;
  }
}

/** Why these cannot be sent, by what is known here; null when they can. `name`: what one of them is called. */
export function unsendable(drafts: readonly Draft[], name: (draft: Draft) => string): string | null {
  const nobody = drafts.find(({ to }) => to === "");
  if (nobody !== undefined) return `${name(nobody)} names nobody: nothing was sent.`;
  const empty = drafts.find(({ text }) => text === "");
  return empty === undefined ? null : `${name(empty)} is empty: nothing was sent.`;
}
