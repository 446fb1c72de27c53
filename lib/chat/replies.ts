/** Findings as the results that sessions get, the first time and for every retry. Changes nothing. */
import { unreachable } from "../base/assert.ts";
import type { ChatMessage, OpId } from "../protocol/messages.ts";
import type { OpResult } from "../protocol/state-machine.ts";
import type { Finding } from "./results.ts";
import type { Stores } from "./stores.ts";

/** `index` and `view` are of the entry that applied the op first, `id` is the op's. */
export function replyTo(
  stores: Stores,
  finding: Finding,
  { session, seq }: OpId,
  index: number,
  view: number,
  duplicate: boolean,
): OpResult {
  switch (finding.type) {
    case "refused":
      return finding;
    case "created":
      return { type: "created", index, view, duplicate, user: finding.user };
    case "loggedIn":
      return {
        type: "loggedIn",
        index,
        view,
        duplicate,
        user: finding.user,
        inbox: finding.inbox,
        drafts: finding.drafts,
      };
    case "done":
      return { type: "done", index, view, duplicate, count: finding.count };
    case "sent":
      return { type: "sent", index, view, duplicate, id: finding.id ?? { session, seq }, at: finding.at };
    case "draftSaved":
      return { type: "draftSaved", index, view, duplicate, draft: finding.draft };
    case "opened":
      return {
        type: "opened",
        index,
        view,
        duplicate,
        messages: openedMessages(stores, finding.owner, finding.numbers),
      };
    default:
      return unreachable(finding);
  }
}

/** Those deleted since are left out: nobody has their text any more. */
function openedMessages(stores: Stores, owner: number, numbers: readonly number[]): ChatMessage[] {
  const account = stores.accounts.byNumber(owner);
  if (account === null) return [];
  return numbers.flatMap((number) => stores.queries.message(account.number, number) ?? []);
}
