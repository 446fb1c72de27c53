/** How far two logs are the same, told by where their views begin. Pure, and knows no log. */
import type { ViewStart } from "../protocol/messages.ts";

/** A log, as far as its view table tells: where its views begin, oldest first, and its last index. */
export interface Outline {
  readonly views: readonly ViewStart[];
  readonly lastIndex: number;
}

/**
 * The last index at which two logs can be the same: two entries of one view at one index are the same entry (a view has
 * one primary). At most `below`; 0 when nothing is known to be the same.
 */
export function commonIndex(one: Outline, other: Outline, below = Infinity): number {
  // Views only grow along a log.
  let at = other.views.length - 1;
  for (let i = one.views.length - 1; i >= 0; i--) {
    const { view, firstIndex } = one.views[i] as ViewStart;
    while ((other.views[at]?.view ?? 0) > view) at--;
    const same = other.views[at];
    if (same?.view !== view || same.firstIndex !== firstIndex) continue;
    const common = Math.min(endOf(one, i), endOf(other, at), below);
    if (common >= firstIndex) return common;
  }
  return 0;
}

/** The last index of a view. */
export const endOf = ({ views, lastIndex }: Outline, i: number): number =>
  (views[i + 1]?.firstIndex ?? lastIndex + 1) - 1;
