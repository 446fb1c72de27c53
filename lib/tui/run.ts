/** A whole run of the chat on a surface: from the first word to the exit code, leaving nothing open behind. */
import type { ChatClient } from "../client/types.ts";
import { ConnectionLines } from "./connection-lines.ts";
import { Chat, type ChatRunOptions } from "./chat.ts";
import { answered } from "./requests.ts";
import { count } from "./sentences.ts";
import type { Leaving, Surface, Unattended } from "./surface.ts";

export interface RunOptions extends ChatRunOptions {
  /** How long a run that nobody watches waits for a server, and for the last answers after its input has ended. */
  readonly giveUpMs: number;
  /** One line for whoever started it, on stderr. */
  readonly complain: (line: string) => void;
}

/** How long the end of a run waits for its logout: longer than a replica that is well takes. */
const tidyMs = 1000;

/**
 * Resolves with the exit code: 0 when the user left; of a run that nobody watches 1 when something that was asked for is
 * not done or nobody knows whether it is; 69 when no server could be reached or the client gave up, 128 + n for signal
 * n. Closes the client and the surface. Rejects with any fault that nobody caught, after the terminal was given back.
 */
export async function runChat(client: ChatClient, surface: Surface, options: RunOptions): Promise<number> {
  const connection = new ConnectionLines(client, surface, options);
  const chat = new Chat(surface, client, connection, options);
  let isOver = false;
  const fault = Promise.withResolvers<never>();
  // While the entry module still waits for the run, Bun reports what nobody caught and goes on: the run must end itself.
  process.on("uncaughtException", fault.reject);
  process.on("unhandledRejection", fault.reject);
  try {
    const gaveUp = connection.ended.then((code): Leaving => ({ how: "signal", code }));
    const leaving = await Promise.race([chat.run(), surface.nextLeaving(), gaveUp, fault.promise]);
    const settled = await settle(chat, surface, leaving, connection.ended, options.giveUpMs);
    chat.giveUp();
    isOver = settled && (leaving.how === "user" || leaving.how === "end of input");
    if (leaving.how !== "user" && leaving.how !== "end of input") return leaving.code;
    return verdict(surface, chat, settled, options.complain) ?? leaving.code;
  } finally {
    process.off("uncaughtException", fault.reject);
    process.off("unhandledRejection", fault.reject);
    connection.stop();
    surface.close();
    if (isOver) await leaveNoSession(client, chat);
    await client.close();
    await chat.close();
  }
}

/** Nobody can go on with it: it would stand among the sessions of the account until it expires. */
async function leaveNoSession(client: ChatClient, chat: Chat): Promise<void> {
  const { state } = client.connection;
  if (client.user === null || (state !== "connected" && state !== "reconnected")) return;
  // What the outbox would send from here on came after the logout: it would be refused, and kept no longer.
  void chat.close();
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, tidyMs);
  await Promise.race([answered(client, { type: "logout" }), late.promise]);
  clearTimeout(timer);
}

/** The exit code of a run that was not ended from outside, when it is not the one that goes with its end. */
function verdict(surface: Surface, chat: Chat, settled: boolean, complain: (line: string) => void): number | null {
  const { unattended } = surface;
  if (unattended === null) return surface.linear && !settled ? 1 : null;
  const wrong = faultOf(unattended, chat, settled);
  if (wrong !== null) complain(wrong);
  else if (unattended.lines === 0) {
    complain("nothing to do: the input is empty (chatd chat --help shows what it can hold)");
  }
  return wrong === null ? null : 1;
}

/** What went wrong in a run that nobody watched; null when all is done. */
function faultOf(run: Unattended, chat: Chat, settled: boolean): string | null {
  if (chat.isSigningIn) return "the input ended before anybody was signed in: a name and its password come first";
  if (run.failures > 0) {
    return `${count(run.failures, "line")} of the input ${run.failures === 1 ? "was" : "were"} not done, the first: ${run.firstFailure}`;
  }
  return settled ? null : "not everything was answered in time";
}

/** The next wish to leave that is one: that a pipe has no more lines after `/quit` is none. */
async function secondWish(surface: Surface): Promise<void> {
  while ((await surface.nextLeaving()).how === "end of input");
}

/** Waits for what is under way unless there is no time for it; false when something stayed open. */
async function settle(
  chat: Chat,
  surface: Surface,
  leaving: Leaving,
  ended: Promise<number>,
  giveUpMs: number,
): Promise<boolean> {
  const { requests } = chat;
  const { messages } = chat.sending;
  const open = (): number => messages.size + (surface.linear ? requests.size : 0);
  if (open() === 0) return true;
  if (leaving.how === "signal" || leaving.how === "insisted") return false;
  const answers = surface.linear ? requests.fewerThan(1) : Promise.resolve();
  const all = Promise.all([messages.fewerThan(1), answers]).then(() => true);
  const limit = Promise.withResolvers<boolean>();
  const timer = surface.linear ? setTimeout(() => limit.resolve(false), giveUpMs) : null;
  const stopped = Promise.race([secondWish(surface), ended]).then(() => false);
  const label = `Waiting for ${count(open(), "acknowledgement")}`;
  const settled = await surface.busy(label, Promise.race([all, stopped, limit.promise]));
  if (timer !== null) clearTimeout(timer);
  return settled === true;
}
