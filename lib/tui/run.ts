/** A whole run of the chat on a surface: from the first word to the exit code, leaving nothing open behind. */
import type { ChatClient } from "../client/types.ts";
import { ConnectionLines } from "./connection-lines.ts";
import { Conversation, type ConversationOptions } from "./conversation.ts";
import { count } from "./sentences.ts";
import type { Leaving, Surface } from "./surface.ts";

/** How long a run without a user waits for the last acknowledgements after its input has ended. */
const giveUpMs = 30_000;

/**
 * Resolves with the exit code: 0 when the user left, 1 when input ended before anybody was signed in or something
 * stayed unacknowledged, 69 when the client gave up, 128 + n for signal n. Closes the client and the surface. Rejects
 * with any fault that nobody caught, after the terminal was given back.
 */
export async function runChat(client: ChatClient, surface: Surface, options: ConversationOptions): Promise<number> {
  const connection = new ConnectionLines(client, surface);
  const conversation = new Conversation(surface, client, connection, options);
  const fault = Promise.withResolvers<never>();
  // While the entry module still waits for the run, Bun reports what nobody caught and goes on: the run must end itself.
  process.on("uncaughtException", fault.reject);
  process.on("unhandledRejection", fault.reject);
  try {
    const gaveUp = connection.ended.then((code): Leaving => ({ how: "signal", code }));
    const leaving = await Promise.race([conversation.run(), surface.nextLeaving(), gaveUp, fault.promise]);
    const settled = await settle(conversation, surface, leaving, connection.ended);
    conversation.giveUp();
    if (leaving.how === "user" && surface.linear && !settled) return 1;
    if (leaving.how !== "end of input") return leaving.code;
    return settled && conversation.begun ? leaving.code : 1;
  } finally {
    process.off("uncaughtException", fault.reject);
    process.off("unhandledRejection", fault.reject);
    connection.stop();
    surface.close();
    await client.close();
  }
}

/** The next wish to leave that is one: that a pipe has no more lines after `/quit` is none. */
async function secondWish(surface: Surface): Promise<void> {
  while ((await surface.nextLeaving()).how === "end of input");
}

/** Waits for what is under way unless there is no time for it; false when something stayed open. */
async function settle(
  conversation: Conversation,
  surface: Surface,
  leaving: Leaving,
  ended: Promise<number>,
): Promise<boolean> {
  const { messages, requests } = conversation;
  const open = (): number => messages.size + (surface.linear ? requests.size : 0);
  if (open() === 0) return true;
  if (leaving.how === "signal" || leaving.how === "insisted") return false;
  const answers = surface.linear ? requests.fewerThan(1) : Promise.resolve();
  const all = Promise.all([messages.fewerThan(1), answers]).then(() => true);
  const limit = Promise.withResolvers<boolean>();
  const timer = surface.linear ? setTimeout(() => limit.resolve(false), giveUpMs) : null;
  const stopped = Promise.race([secondWish(surface), ended]).then(() => false);
  const how = surface.linear ? "" : " (Ctrl-C leaves now)";
  const label = `Waiting for ${count(open(), "acknowledgement")}${how}`;
  const settled = await surface.busy(label, Promise.race([all, stopped, limit.promise]));
  if (timer !== null) clearTimeout(timer);
  return settled;
}
