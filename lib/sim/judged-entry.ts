/** What the judge of a run knows of an entry, and how it speaks of entries, views and logs. Judges nothing. */
import type { ViewEntry } from "../protocol/entries.ts";
import type { ShadowLog } from "./shadow-log.ts";

/** One entry, wherever it is: equal chains are equal prefixes, so one object stands for all its copies. */
export interface EntryInfo {
  readonly index: number;
  readonly view: number;
  readonly kind: number;
  readonly previous: bigint;
  readonly op: string | null;
  /** The time of the last op up to here. */
  readonly at: number;
  readonly viewEntry: ViewEntry | null;
  /** Disks to which it has ever been appended, and on which it has ever been durable, as bits. */
  appenders: number;
  holders: number;
  /** Of these, disks on which it is behind damage. */
  lost: number;
  committed: boolean;
}

export const name = (log: ShadowLog): string => `replica ${log.pid}`;
/** Of two views the one with the greater rank goes on. */
export const rankOf = ({ policy, epoch, view }: ViewEntry): number =>
  (policy === "quorum" ? 0 : epoch) * 2 ** 40 + view;
export const place = (entry: { readonly index: number; readonly view: number }): string =>
  `${entry.index}@${Math.floor(entry.view / 256)}.${entry.view % 256}`;

/** How many bits are set. */
export function bits(set: number): number {
  let count = 0;
  for (let rest = set; rest !== 0; rest &= rest - 1) count++;
  return count;
}
