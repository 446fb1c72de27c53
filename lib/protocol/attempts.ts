/** Which VIEW entries have to be told, of very many that did not form. Pure. */
import type { Attempt } from "./fields.ts";

/**
 * Of the VIEW entries from the last formed view on, oldest first: that one, and of those after it that say the same the
 * newest. While a view fails to form again and again, for hours, they become more than a message or a record holds; and what
 * is judged by them (who can have been in a view after which one, with which config) the newest tells for all.
 */
export function telling(attempts: readonly Attempt[]): Attempt[] {
  const told = new Set<string>();
  const kept = attempts.toReversed().filter((attempt, at) => {
    const saying = sayingOf(attempt);
    const isNews = !told.has(saying);
    told.add(saying);
    return isNews || at === attempts.length - 1;
  });
  return kept.reverse();
}

/** Not which process it was: whoever did not form a view with the others is known by its disk. */
const sayingOf = ({ epoch, members, config, awaiting }: Attempt): string =>
  JSON.stringify([epoch, members.map(({ pid, uuid }) => [pid, uuid]), config, awaiting]);
