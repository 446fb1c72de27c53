/**
 * What the commands about drafts do. Decides in log order; see `apply.ts`.
 *
 * Every one names the version that its author saw, which is of one account alone, and so they can be merged: an edit
 * takes the place of that version wherever it is now; when it is there no more (edited, sent or deleted on another
 * side, or by another session a moment before), what was written is kept as a draft of its own. What is deleted is that
 * version and no later one. Of a version one message is made, whoever sends it and however often; a merged sending
 * counts although the draft was edited or deleted here, as it was acknowledged there. So nothing that was written is
 * lost, and nothing sent is doubled. But a version whose id is that of a message here is no draft: its session used one
 * number for two things, on two sides.
 */
import { limits } from "../base/limits.ts";
import type { OpId } from "../protocol/messages.ts";
import type { Account } from "./accounts.ts";
import type { Deliveries } from "./deliveries.ts";
import { toSelf, type MessageOps } from "./message-ops.ts";
import { refuse, type Finding } from "./results.ts";
import { idOf, noAccount, ownAccountGone, type CommandOf, type Step } from "./step.ts";
import type { Stores } from "./stores.ts";

export class DraftOps {
  readonly #stores: Stores;
  readonly #deliveries: Deliveries;
  readonly #messages: MessageOps;

  constructor(stores: Stores, deliveries: Deliveries, messages: MessageOps) {
    this.#stores = stores;
    this.#deliveries = deliveries;
    this.#messages = messages;
  }

  save(step: Step, { account: owner, version: seen, to, text }: CommandOf<"saveDraft">): Finding {
    const { accounts, drafts } = this.#stores;
    const { entry, op, merged } = step;
    const account = accounts.byId(owner);
    if (account === null) return ownAccountGone(this.#stores, owner);
    const recipient = to === null ? null : accounts.byId(to);
    if (recipient === account) return toSelf;
    const version = idOf(op);
    const before = seen === null ? null : drafts.byVersion(account, seen);
    const id = before?.id ?? version;
    // What was sent on the other side came before it: there is nothing left to keep.
    if (drafts.sentAt(account, version) !== null) return { type: "draftSaved", draft: id };
    if (before === null && !merged && drafts.count(account) >= limits.draftsMax) return tooManyDrafts;
    const isCopy = seen !== null && before === null && merged;
    if (isCopy && globalThis.mistaken?.("one edit wins")) return { type: "draftSaved", draft: id };
    const saved = { number: entry.index, id, version, recipient: recipient?.number ?? null, at: op.origAt, text };
    drafts.save(account, saved, before);
    if (isCopy) this.#deliveries.tell(account, entry.index, keptBoth);
    this.#changed(step, account, [id]);
    return { type: "draftSaved", draft: id };
  }

  send(step: Step, { from, version, to, text }: CommandOf<"sendDraft">): Finding {
    const { accounts, sessions, drafts, messages } = this.#stores;
    const { op, merged } = step;
    const sender = accounts.byId(from);
    if (sender === null) {
      const named = merged ? accounts.byId(to) : null;
      if (named !== null) this.#messages.tellLost(named, step, from, text);
      return ownAccountGone(this.#stores, from);
    }
    const sentAt = drafts.sentAt(sender, version);
    if (sentAt !== null) return { type: "sent", at: sentAt, id: version };
    const draft = drafts.byVersion(sender, version);
    const session = sessions.identified(version.session);
    // Seq 0 registers a session: whatever names it as a draft, no message can have that id.
    if (session === null || version.seq === 0 || (draft === null && !merged)) return noSuchDraft;
    // A number that its session has not used yet may become a message of its own: no two messages have one id.
    const isUnused = sessions.retained(version.session) !== null && !sessions.hasApplied(session, version.seq);
    const id = isUnused ? { session: step.session, seq: op.seq } : { session, seq: version.seq };
    if (messages.isTaken(id.session, id.seq)) return noSuchDraft;
    const recipient = accounts.byId(to);
    if (recipient === null) {
      // The draft stays, and names nobody any more.
      if (merged) this.#messages.tellUndeliverable(sender, step, to, text);
      return noAccount(this.#stores, to);
    }
    if (recipient === sender) return toSelf;
    if (draft !== null) drafts.delete(sender, draft);
    drafts.noteSent(sender, version, op.origAt);
    this.#messages.post(step, { ...id, sender, recipient, text });
    if (draft !== null) this.#changed(step, sender, [draft.id]);
    return { type: "sent", at: op.origAt, id: isUnused ? null : version };
  }

  /** Those that are not there in the version seen are left out. */
  delete(step: Step, { account: owner, versions }: CommandOf<"deleteDrafts">): Finding {
    const { accounts, drafts } = this.#stores;
    const account = accounts.byId(owner);
    if (account === null) return ownAccountGone(this.#stores, owner);
    const deleted: OpId[] = [];
    for (const version of versions) {
      const draft = drafts.byVersion(account, version);
      if (draft === null) continue;
      drafts.delete(account, draft);
      deleted.push(draft.id);
    }
    this.#changed(step, account, deleted);
    return { type: "done", count: deleted.length };
  }

  /** The session that did it on another side may know them by other ids. */
  #changed({ session, merged }: Step, account: Account, ids: readonly OpId[]): void {
    this.#deliveries.changed(account, "drafts", ids, merged ? null : session);
  }
}

const keptBoth =
  "While the replicas were apart, a draft that you edited was also edited, sent or deleted on the other side. What you " +
  "wrote is kept as a draft of its own.";

export const tooManyDrafts = refuse(
  "too-many",
  `An account keeps at most ${limits.draftsMax} drafts: send or delete some first.`,
);

export const noSuchDraft = refuse(
  "no-such-draft",
  "This draft was sent, deleted or changed by another session of yours meanwhile.",
);
