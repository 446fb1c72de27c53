/**
 * What the files that say what each command does have in common: an op being applied, and the refusals they share.
 * Decides nothing.
 */
import type { Command } from "../protocol/commands.ts";
import type { OpEntry } from "../protocol/entries.ts";
import type { OpId } from "../protocol/messages.ts";
import type { CommittedEntry } from "../protocol/state-machine.ts";
import { refuse, type Refused } from "./results.ts";
import type { Session } from "./sessions.ts";
import type { Stores } from "./stores.ts";

export type CommandOf<T extends Command["type"]> = Extract<Command, { type: T }>;

/** An op being applied. */
export interface Step {
  readonly entry: CommittedEntry;
  readonly op: OpEntry;
  readonly session: Session;
  /** It was first accepted on another side of a partition: its sender has its acknowledgement already. */
  readonly merged: boolean;
}

export const idOf = ({ session, seq }: OpId): OpId => ({ session, seq });

/** Of a text whose delivery failed, as much as tells which one it was. */
const excerptCharacters = 60;

export function excerptOf(text: string): string {
  const characters = Array.from(text);
  const excerpt = characters.slice(0, excerptCharacters).join("");
  return characters.length > excerptCharacters ? `${excerpt}…` : excerpt;
}

/** The op's own account was deleted between its acceptance and its place in the log, by another of its sessions. */
export function ownAccountGone(stores: Stores, id: OpId): Refused {
  return refuse("not-logged-in", `You are not logged in any more. ${noAccount(stores, id).message}`);
}

export function noAccount(stores: Stores, id: OpId): Refused {
  const name = stores.accounts.nameOf(id);
  return refuse("no-such-user", name === null ? "The account was deleted." : `The account ${name} was deleted.`);
}
