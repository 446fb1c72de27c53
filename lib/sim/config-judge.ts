/** What a view may make of the config of the view that formed before it: the judge's own rules; and what may come into force. */
import type { ViewEntry } from "../protocol/entries.ts";
import type { Configured } from "../protocol/messages.ts";
import { rankOf } from "./judged-entry.ts";

/**
 * A config differs from that of the view formed before it by one replica at most, and the epoch counts that. Returns what
 * is wrong with view `view`, or null. `lossAccepted`: a replica was removed in whatever state it was.
 */
export function configFault(before: ViewEntry, entry: ViewEntry, view: number, lossAccepted: boolean): string | null {
  const pidsOf = ({ config }: ViewEntry): Set<number> => new Set(config.map(({ pid }) => pid));
  const [were, are] = [pidsOf(before), pidsOf(entry)];
  const differ = were.symmetricDifference(are).size;
  const awaiting = before.awaiting.length;
  if (differ > 1) return `view ${view} changes the config by ${differ} replicas at once`;
  if (differ > 0 && awaiting > 0 && !lossAccepted) {
    return `view ${view} changes the config of a provisional view, although ${awaiting} may hold more`;
  }
  if (differ > 0 && entry.epoch <= before.epoch) return `view ${view} changes the config uncounted`;
  if (entry.epoch < before.epoch) return `view ${view} has a lesser epoch than the one before`;
  if (!entry.members.some(({ pid }) => pid === view % 256) || !entry.members.every(({ pid }) => are.has(pid))) {
    return `view ${view} has members that are not in its config`;
  }
  return null;
}

/**
 * Under `quorum` members are a majority of their config, by their disks, and meet each majority of the one that was in force
 * before: else those who are left of that could go on beside them. `before`: null at the founding.
 */
export function quorumFault(before: ViewEntry | null, entry: ViewEntry, view: number): string | null {
  const membersOf = ({ config }: ViewEntry): number =>
    config.filter((each) => entry.members.some(({ uuid }) => uuid === each.uuid)).length;
  const { config } = entry;
  const count = membersOf(entry);
  if (2 * count <= config.length) return `view ${view} formed with ${count} of ${config.length} replicas`;
  const kept = before === null ? 0 : membersOf(before);
  if (before === null || 2 * kept >= before.config.length) return null;
  return `view ${view} formed with ${kept} of the ${before.config.length} disks of the config before: the others may go on`;
}

/** The configs of views that were begun after the last one that formed: any of them may have come, or come yet, into force. */
export class Attempted {
  private views: ViewEntry[] = [];

  get configs(): readonly (readonly Configured[])[] {
    return this.views.map(({ config }) => config);
  }

  began(view: ViewEntry): void {
    this.views.push(view);
  }

  formed(rank: number): void {
    this.views = this.views.filter((each) => rankOf(each) > rank);
  }
}
