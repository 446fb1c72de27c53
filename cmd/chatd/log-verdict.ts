/** The state of a log in words and in JSON, and the exit status that tells it. */
import { counted } from "../../lib/base/words.ts";
import type { LogState, LogVerdict } from "../../lib/log/reader.ts";
import { segmentName } from "../../lib/log/segment.ts";
import { formatView } from "../../lib/protocol/ids.ts";

/** Part of the contract, like those of `failure.ts`. */
export const inspectStatus = { clean: 0, torn: 2, corrupt: 3, unknown: 4 } as const satisfies Record<LogState, number>;

const placesShown = 3;

/** In one line, with what to know of it. */
export function verdictText(verdict: LogVerdict): string {
  const { state, torn, unknown } = verdict;
  switch (state) {
    case "clean":
      return `clean: ${summary(verdict)}`;
    case "unknown":
      return `unknown: ${unknown[0]}${unknown.length > 1 ? ` (and ${unknown.length - 1} more)` : ""}`;
    case "torn":
      return (
        `torn: the last write did not finish, at offset ${torn?.offset} of ${torn?.file} (${torn?.fault}); ` +
        `${nextStart(verdict)}; ${summary(verdict)}`
      );
    case "corrupt":
      return `corrupt: ${places(verdict)}; ${remedy(verdict)}; ${summary(verdict)}`;
  }
}

/** Without its only segment a log is new, or lost: what it had acknowledged and promised is not known. */
function nextStart({ torn, segments }: LogVerdict): string {
  const isNothing = segments === 1 && torn?.fault === "header" && torn.file === segmentName(1);
  if (!isNothing) return "the next start goes on from the record before it";
  return "a replica that has started before has lost its log, and does not start on this: put it back from a copy";
}

function places({ damage }: LogVerdict): string {
  const shown = damage
    .slice(0, placesShown)
    .map(
      ({ file, offset, bytes, fault, index }) =>
        `offset ${offset} of ${file} (${fault}, ${bytes} bytes, from index ${index} on)`,
    );
  if (damage.length > placesShown) shown.push(`${damage.length - placesShown} more places`);
  return shown.join(", ");
}

function remedy({ replicas }: LogVerdict): string {
  if (replicas === 1) {
    return (
      "this cluster has no other replica to repair it from: restore the data directory from a copy, " +
      "chatd serve does not start on it"
    );
  }
  return replicas === null
    ? "if its cluster has other replicas, this one will repair its log from one of them"
    : "the replica will repair its log from a peer";
}

function summary(verdict: LogVerdict): string {
  const { first, last, firstView, lastView, segments, superseded, damage, promised, commit } = verdict;
  const range =
    last < first
      ? "no entries"
      : `entries ${first} to ${last}, views ${formatView(firstView)} to ${formatView(lastView)}`;
  const outside = damage.length > 0 ? "superseded or behind the damage" : "superseded";
  const beginning = first > 1 ? `, begins at index ${first}` : "";
  return (
    `${range}${beginning}, ${counted(segments, "segment")}, ${superseded} ${outside}, ` +
    `promised ${formatView(promised)}, commit ${commit}`
  );
}

export function verdictJson(verdict: LogVerdict): string {
  const { firstView, lastView, promised, first, last, state, ...rest } = verdict;
  return JSON.stringify({
    report: "verify",
    state,
    first,
    last,
    firstView: formatView(firstView),
    lastView: formatView(lastView),
    promised: formatView(promised),
    ...rest,
  });
}
