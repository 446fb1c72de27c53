/**
 * Who is online and who was seen when, as the server has told since the connection stands: newer than any list that was
 * read before. Only of those with whom the user has talked; of all others a list is all there is. Asks nothing.
 */
import type { ClientEvent } from "../client/types.ts";
import { shownName } from "./names.ts";
import { clockTime } from "./sentences.ts";

export interface Seen {
  readonly user: string;
  readonly online: boolean;
  readonly lastSeenAt: number | null;
}

export class Presence {
  readonly #told = new Map<string, Seen>();

  happened({ user, online, lastSeenAt }: Extract<ClientEvent, { type: "presence" }>): void {
    this.#told.set(keyOf(user), { user, online, lastSeenAt });
  }

  /** What was told may have changed without a word: somebody else is signed in, or the connection was lost. */
  clear(): void {
    this.#told.clear();
  }

  /** An account out of a list, as it is now. */
  of(account: Seen): Seen {
    return this.#told.get(keyOf(account.user)) ?? account;
  }
}

/** `online`, `last seen 14:02`, or `away` when nobody knows since when. */
export function seenText({ online, lastSeenAt }: Omit<Seen, "user">, nowMs: number): string {
  if (online) return "online";
  return lastSeenAt === null ? "away" : `last seen ${clockTime(lastSeenAt, nowMs)}`;
}

/** The same in a sentence. */
export function seenSentence(seen: Seen, nowMs: number): string {
  const was = !seen.online && seen.lastSeenAt !== null;
  return `${shownName(seen.user)} ${was ? "was" : "is"} ${seenText(seen, nowMs)}`;
}

const keyOf = (user: string): string => user.normalize("NFC").toLowerCase();
