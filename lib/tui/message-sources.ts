/**
 * What pages of messages are filled with: a conversation backwards, what waited in the inbox, or what a search found, in
 * one conversation or in all, the best first.
 */
import type { ChatMessage } from "../protocol/messages.ts";
import { limits } from "../base/limits.ts";
import type { ChatContext } from "./context.ts";
import { MessagePage } from "./message-page.ts";
import { answered, untilDone } from "./requests.ts";
import { byteLength, count } from "./sentences.ts";

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

/** The conversation with `partner`, all of them for null, from its last message backwards. */
export function olderMessages(context: ChatContext, partner: string | null): MessagePage {
  const load = async (known: readonly ChatMessage[]) => {
    const before = known[0]?.index ?? null;
    const request = { type: "messages", with: partner, before, limit: olderCount, unread: false } as const;
    const answer = await answered(context.client, request);
    if (answer.type !== "refused") return { messages: [...answer.messages].reverse(), more: answer.more };
    context.surface.say({ tone: "bad", text: answer.message });
    return null;
  };
  const title = partner ?? "All conversations";
  return new MessagePage(context, { title, start: "last", load, find: () => search(context, partner) });
}

/** Opens the oldest messages of the inbox, and shows those. */
export async function openInbox(context: ChatContext, number: number): Promise<void> {
  const { surface, client, list } = context;
  const open = async (): Promise<readonly ChatMessage[] | null> => {
    const opened = await answered(client, { type: "open", count: number });
    if (opened.type === "refused") surface.say({ tone: "bad", text: opened.message });
    else if (opened.messages.length === 0) surface.say({ tone: "dim", text: "Your inbox is empty." });
    else void list.load();
    return opened.type === "refused" || opened.messages.length === 0 ? null : opened.messages;
  };
  // What is opened when nobody waits for it any more is new in its conversations.
  const messages = await untilDone(surface, "Opening", open());
  if (messages === null || messages === "left") return;
  const title = `Inbox ${surface.symbols.dot} ${count(messages.length, "message")} opened`;
  const load = () => Promise.resolve({ messages, more: false });
  return new MessagePage(context, { title, start: "first", load }).visit();
}
