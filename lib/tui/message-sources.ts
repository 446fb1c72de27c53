/**
 * What pages of messages are filled with: a conversation backwards, or what a search found, in one conversation or in
 * all, the best first.
 */
import type { ChatMessage } from "../protocol/messages.ts";
import { limits } from "../base/limits.ts";
import type { ChatContext } from "./context.ts";
import { MessagePage } from "./message-page.ts";
import { answered } from "./requests.ts";
import { byteLength } from "./sentences.ts";

/** Found messages asked for at once. */
const pageCount = 50;

/** Asks what to look for, then shows it. `partner`: in the conversation with whom; null for all. */
export async function search(context: ChatContext, partner: string | null): Promise<void> {
  const label = partner === null ? "Search for" : `Search with ${partner} for`;
  const accept = (text: string): string | null =>
    byteLength(text) > limits.patternBytesMax ? `At most ${limits.patternBytesMax} bytes.` : null;
  const answer = await context.surface.ask({ kind: "field", label, back: true, accept });
  if (answer.type === "line" && answer.text.trim() !== "") await searchFor(context, answer.text.trim(), partner);
}

/** Shows the messages that hold `text`. */
export async function searchFor(context: ChatContext, text: string, partner: string | null): Promise<void> {
  const load = async (known: readonly ChatMessage[]) => {
    const request = { type: "search", text, with: partner, skip: known.length, limit: pageCount } as const;
    const found = await answered(context.client, request);
    if (found.type !== "refused") return found;
    context.surface.say({ tone: "bad", text: found.message });
    return null;
  };
  const where = partner === null ? "" : ` with ${partner}`;
  await new MessagePage(context, { title: `Found${where}: ${text}`, start: "first", load }).visit();
}

/** Older messages asked for at once. */
const olderCount = 50;

/** The conversation with `partner` from its last message backwards. */
export function olderMessages(context: ChatContext, partner: string): MessagePage {
  const load = async (known: readonly ChatMessage[]) => {
    const before = known[0]?.index ?? null;
    const request = { type: "messages", with: partner, before, limit: olderCount, unread: false } as const;
    const answer = await answered(context.client, request);
    return answer.type === "refused" ? null : { messages: [...answer.messages].reverse(), more: answer.more };
  };
  return new MessagePage(context, { title: partner, start: "last", load, find: () => search(context, partner) });
}
