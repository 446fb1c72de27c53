/** What many runs came to, added up: for the last lines of a hunt and for the file that notes how far it is. */
import type { Report } from "./worker.ts";

export interface Totals {
  seeds: number;
  acknowledged: number;
  viewsFormed: number;
  changes: number;
  merges: number;
  repairs: number;
  stateTransfers: number;
  compactions: number;
  expiries: number;
  /** Runs that struck at least five times and acknowledged at least 100 ops. */
  full: number;
  readonly struck: Record<string, number>;
  readonly failed: { readonly seed: number; readonly rule: string }[];
}

export const newTotals = (): Totals => ({
  ...{ seeds: 0, acknowledged: 0, viewsFormed: 0, changes: 0, merges: 0, repairs: 0 },
  ...{ stateTransfers: 0, compactions: 0, expiries: 0, full: 0 },
  struck: {},
  failed: [],
});

export function add(
  totals: Totals,
  { seed, failure, acknowledged, viewsFormed, struck, changes, tally }: Report,
): void {
  totals.seeds++;
  totals.acknowledged += acknowledged;
  totals.viewsFormed += viewsFormed;
  totals.changes += changes;
  totals.merges += tally.merges;
  totals.repairs += tally.repairs;
  totals.stateTransfers += tally.stateTransfers;
  totals.compactions += tally.compactions;
  totals.expiries += tally.expiries;
  let strikes = 0;
  for (const [kind, count] of Object.entries(struck)) {
    strikes += count;
    totals.struck[kind] = (totals.struck[kind] ?? 0) + count;
  }
  if (strikes >= 5 && acknowledged >= 100) totals.full++;
  if (failure !== null) totals.failed.push({ seed, rule: failure.rule });
}

export function describeTotals(totals: Totals): string {
  const { seeds, acknowledged, viewsFormed, changes, merges, repairs, full, struck } = totals;
  const { stateTransfers, compactions, expiries } = totals;
  const kinds = Object.entries(struck).sort(([, one], [, other]) => other - one);
  const faults = kinds.reduce((sum, [, count]) => sum + count, 0);
  return [
    `${acknowledged} ops acknowledged, ${viewsFormed} views formed, ${changes} changes of the config, ${merges} merges, ${repairs} repairs, ` +
      `${stateTransfers} state transfers, ${compactions} times a log was shortened, ${expiries} sessions expired; ${full} of ${seeds} runs with 100 ops and five faults or more`,
    `${faults} faults: ${kinds.map(([kind, count]) => `${kind} ${count}`).join(", ")}`,
  ].join("\n");
}
