/** What the commands about messages do. Decides in log order; see `apply.ts`. */
import type { OpId } from "../protocol/messages.ts";
import { isPresent, type Account } from "./accounts.ts";
import type { Deliveries } from "./deliveries.ts";
import { refuse, reusedId, type Finding } from "./results.ts";
import type { Session } from "./sessions.ts";
import { excerptOf, noAccount, ownAccountGone, type CommandOf, type Step } from "./step.ts";
import type { Stores } from "./stores.ts";

/** A message that may be delivered: whose session and seq are its id. */
interface Posted {
  readonly session: Session;
  readonly seq: number;
  readonly sender: Account;
  readonly recipient: Account;
  readonly text: string;
}

export class MessageOps {
  readonly #stores: Stores;
  readonly #deliveries: Deliveries;

  constructor(stores: Stores, deliveries: Deliveries) {
    this.#stores = stores;
    this.#deliveries = deliveries;
  }

  /** The hot path. `from` was resolved when it was accepted: the session may have logged out since. */
  send(step: Step, { from, to, text }: CommandOf<"send">): Finding {
    const { accounts } = this.#stores;
    const sender = accounts.byId(from);
    const named = accounts.byId(to);
    if (sender === null) {
      if (step.merged && named !== null) this.tellLost(named, step, from, text);
      return ownAccountGone(this.#stores, from);
    }
    const asked = named?.formerFold ?? named?.fold ?? "";
    const recipient = globalThis.mistaken?.("name resolved at apply") ? accounts.byName(asked) : named;
    if (recipient === null) {
      if (step.merged) this.tellUndeliverable(sender, step, to, text);
      return noAccount(this.#stores, to);
    }
    if (recipient === sender) return toSelf;
    const { session, op } = step;
    // Refused here before, its number can have become the id of another message meanwhile.
    if (step.merged && this.#stores.messages.isTaken(session, op.seq)) return reusedId;
    this.post(step, { session, seq: op.seq, sender, recipient, text });
    return { type: "sent", at: op.origAt, id: null };
  }

  /** Puts a message into the mailboxes of both, and before the recipient if it is there. */
  post({ entry, op: { origAt: at } }: Step, { session, seq, sender, recipient, text }: Posted): void {
    const { index } = entry;
    const inbox = !isPresent(recipient);
    this.#stores.messages.send({ number: index, session, seq, sender, recipient, inbox, at, text });
    if (inbox) return;
    const id = { session: session.uuid, seq };
    const message = { id, index, from: sender.name, to: recipient.name, text, at, read: false, inbox };
    this.#deliveries.add([...recipient.sessions], { type: "message", message });
  }

  /** The sender of a merged message has its acknowledgement, and the recipient is gone. */
  tellUndeliverable(sender: Account, { entry }: Step, to: OpId, text: string): void {
    const name = this.#stores.accounts.nameOf(to) ?? "an account that is gone";
    this.#deliveries.tell(
      sender,
      entry.index,
      `Your message to ${name} could not be delivered: the account was deleted while the replicas were apart. ` +
        `The message began: ${excerptOf(text)}`,
    );
  }

  /** The recipient of a merged message may have had it on the other side, and its sender is gone, as whose it would be kept. */
  tellLost(recipient: Account, { entry }: Step, from: OpId, text: string): void {
    const name = this.#stores.accounts.nameOf(from) ?? "An account that is gone";
    this.#deliveries.tell(
      recipient,
      entry.index,
      `${name} wrote to you while the replicas were apart, and the account was deleted on the other side: the message is ` +
        `not kept. It began: ${excerptOf(text)}`,
    );
  }

  /** Those no longer in the inbox, opened by another session meanwhile or gone, are left out. */
  open(step: Step, { account: id, ids }: CommandOf<"open">): Finding {
    const account = this.#stores.accounts.byId(id);
    if (account === null) return ownAccountGone(this.#stores, id);
    const opened: { readonly id: OpId; readonly number: number }[] = [];
    for (const message of ids) {
      const number = this.#find(step, account, message);
      if (number !== null && this.#stores.messages.open(account, number)) opened.push({ id: message, number });
    }
    const openedIds = opened.map((message) => message.id);
    this.#deliveries.changed(account, "inbox", openedIds, step.session);
    return { type: "opened", owner: account.number, numbers: opened.map(({ number }) => number) };
  }

  mark(step: Step, { account: id, ids, read }: CommandOf<"mark">): Finding {
    const account = this.#stores.accounts.byId(id);
    if (account === null) return ownAccountGone(this.#stores, id);
    const found = this.#findAll(step, account, ids);
    if (found === null) return noSuchMessage;
    const marked: OpId[] = [];
    for (const [number, message] of found) {
      if (this.#stores.messages.mark(account, number, read)) marked.push(message);
    }
    this.#deliveries.changed(account, "read", marked, step.session);
    return { type: "done", count: marked.length };
  }

  delete(step: Step, { account: id, ids }: CommandOf<"deleteMessages">): Finding {
    const { accounts, messages, erasure } = this.#stores;
    const account = accounts.byId(id);
    if (account === null) return ownAccountGone(this.#stores, id);
    const found = this.#findAll(step, account, ids);
    if (found === null) return noSuchMessage;
    for (const number of found.keys()) {
      const conversation = messages.remove(account.number, number);
      if (conversation !== null) erasure.shrunk(conversation);
    }
    this.#deliveries.changed(account, "deleted", [...found.values()], step.session);
    return { type: "done", count: found.size };
  }

  #find({ entry }: Step, account: Account, { session, seq }: OpId): number | null {
    return this.#stores.messages.find(account, this.#stores.sessions.identified(session), seq, entry.index);
  }

  /**
   * Each once, by its number; null when one of them is not the account's. Of a merged op, which was acknowledged, those
   * count that are left: one may have been deleted on this side.
   */
  #findAll(step: Step, account: Account, ids: readonly OpId[]): ReadonlyMap<number, OpId> | null {
    const found = new Map<number, OpId>();
    for (const id of ids) {
      const number = this.#find(step, account, id);
      if (number !== null) found.set(number, id);
      else if (!step.merged) return null;
    }
    return found;
  }
}

export const toSelf = refuse("to-self", "A message goes to somebody else, not to yourself.");

export const noSuchMessage = refuse(
  "no-such-message",
  "One of these messages is not yours, or deleted: nothing changed.",
);
