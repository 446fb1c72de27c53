/**
 * Sending several drafts, each an op of its own: a message has a place of its own in the log. Looks at all of them first,
 * so that an oversight sends none. Keeps nothing.
 */
import { limits } from "../base/limits.ts";
import { formatOpId } from "../protocol/ids.ts";
import type { OpId } from "../protocol/messages.ts";
import { ClientClosedError } from "./closed.ts";
import type { Answers, ChatClient, Refused } from "./types.ts";

export interface DraftsSent {
  readonly type: "draftsSent";
  /** In the order asked for; `id` is the message's. */
  readonly sent: readonly { readonly draft: OpId; readonly id: OpId }[];
  /** Those that another session sent, deleted or changed in this very moment, or whose recipient went. */
  readonly refused: readonly { readonly draft: OpId; readonly refusal: Refused }[];
}

/**
 * Sends these drafts in this order. Refused as a whole, with nothing sent, when one of them is not there, names nobody or
 * is empty, or when none could be sent. Rejects as `ChatClient.request` does.
 */
export async function sendDrafts(client: ChatClient, drafts: readonly OpId[]): Promise<DraftsSent | Refused> {
  const known = await client.request({ type: "drafts" });
  if (known.type === "refused") return known;
  const wrong = refusalOf(drafts, known.drafts);
  if (wrong !== null) return wrong;
  const asked = await Promise.allSettled(drafts.map((draft) => client.request({ type: "sendDraft", draft })));
  const sent: { draft: OpId; id: OpId }[] = [];
  const refused: { draft: OpId; refusal: Refused }[] = [];
  let failure: Error | null = null;
  let mayBeDone = false;
  for (const [at, draft] of drafts.entries()) {
    const outcome = asked[at];
    if (outcome?.status === "rejected") {
      failure ??= outcome.reason as Error;
      mayBeDone ||= !(outcome.reason instanceof ClientClosedError) || outcome.reason.mayBeDone;
    } else if (outcome?.value.type === "refused") refused.push({ draft, refusal: outcome.value });
    else if (outcome !== undefined) sent.push({ draft, id: outcome.value.id });
  }
  if (failure !== null) throw new ClientClosedError(failure.message, mayBeDone || sent.length > 0);
  const [first] = refused;
  return sent.length === 0 && first !== undefined ? first.refusal : { type: "draftsSent", sent, refused };
}

function refusalOf(drafts: readonly OpId[], known: Answers["drafts"]["drafts"]): Refused | null {
  if (drafts.length > limits.pageMax) {
    return refused("too-many", `At most ${limits.pageMax} drafts at once, not ${drafts.length}.`);
  }
  const byId = new Map(known.map((draft) => [formatOpId(draft.draft), draft]));
  if (new Set(drafts.map(formatOpId)).size < drafts.length) {
    return refused("bad-command", "One of these drafts is named twice: nothing was sent.");
  }
  for (const id of drafts) {
    const name = formatOpId(id);
    const draft = byId.get(name);
    if (draft === undefined) return refused("no-such-draft", `You have no draft ${name}: nothing was sent.`);
    if (draft.to === "") return refused("no-such-user", `Draft ${name} names no account: nothing was sent.`);
    if (draft.text === "") return refused("bad-command", `Draft ${name} is empty: nothing was sent.`);
  }
  return null;
}

const refused = (code: Refused["code"], message: string): Refused => ({ type: "refused", code, message });
