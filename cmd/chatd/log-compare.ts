/**
 * Two logs beside each other: up to where they are the same, and what each holds where they part. Equal chains mean equal
 * prefixes, so the first difference is found by halving.
 */
import type { LogInspection } from "../../lib/log/reader.ts";
import { chainText, jsonOf, textLine } from "./log-lines.ts";

export interface NamedLog {
  /** As it was given. */
  readonly name: string;
  /** All of it has been looked at. */
  readonly log: LogInspection;
}

/**
 * `same` · `prefix`: one goes on where the other ends · `differ`: from `index` on · `apart`: they have no index in
 * common, or differ already where the later one begins.
 */
export interface Comparison {
  readonly relation: "same" | "prefix" | "differ" | "apart";
  /** The last index at which they are the same; null if that is not known to be anywhere. */
  readonly sameTo: number | null;
  readonly otherCluster: boolean;
}

export function compareLogs({ log: left }: NamedLog, { log: right }: NamedLog): Comparison {
  const [ends, begins] = [left.verdict(), right.verdict()].map(({ last, first }) => [last, first - 1]) as [
    [number, number],
    [number, number],
  ];
  const last = Math.min(ends[0], begins[0]);
  const base = Math.max(ends[1], begins[1]);
  const isSame = (index: number): boolean => left.at(index)?.chain === right.at(index)?.chain;
  const otherCluster =
    left.cluster !== null && right.cluster !== null && left.cluster.toHex() !== right.cluster.toHex();
  if (last < base || !isSame(base)) return { relation: "apart", sameTo: null, otherCluster };
  let low = base;
  let high = last;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (isSame(middle)) low = middle;
    else high = middle - 1;
  }
  const relation = low < last ? "differ" : ends[0] === begins[0] ? "same" : "prefix";
  return { relation, sameTo: low, otherCluster };
}

/** One line, and where they differ one more for each. */
export function comparisonText(left: NamedLog, right: NamedLog, comparison: Comparison): string[] {
  const { relation, sameTo, otherCluster } = comparison;
  const [ours, theirs] = [left.log.verdict(), right.log.verdict()];
  const clusters = otherCluster ? " (they belong to different clusters)" : "";
  if (relation === "apart" || sameTo === null) {
    const range = ({ name }: NamedLog, { first, last }: { first: number; last: number }): string =>
      last < first ? `${name} holds no entries` : `${name} holds ${first} to ${last}`;
    return [`nothing in common: ${range(left, ours)}, ${range(right, theirs)}${clusters}`];
  }
  if (relation === "same") return [`the same: ${sameTo} entries, chain ${chainText(left.log.at(sameTo)?.chain ?? 0n)}`];
  if (relation === "prefix") {
    const [longer, shorter] = ours.last > sameTo ? [left.name, right.name] : [right.name, left.name];
    const ahead = Math.max(ours.last, theirs.last) - sameTo;
    return [`the same up to index ${sameTo}, where ${shorter} ends; ${longer} goes on for ${ahead} more`];
  }
  const index = sameTo + 1;
  const side = ({ name, log }: NamedLog, { last }: { last: number }): string =>
    `chain ${chainText(log.at(index)?.chain ?? 0n)} in ${name} (to ${last})`;
  return [
    `differ from index ${index} on: ${side(left, ours)}, ${side(right, theirs)}${clusters}`,
    ...[left, right].map(({ log }, at) => `${at === 0 ? "<" : ">"} ${recordText(log, index)}`),
  ];
}

export function comparisonJson(left: NamedLog, right: NamedLog, comparison: Comparison): string {
  const { relation, sameTo, otherCluster } = comparison;
  const index = relation === "differ" && sameTo !== null ? sameTo + 1 : null;
  const side = ({ name, log }: NamedLog): Record<string, unknown> => {
    const { state, first, last } = log.verdict();
    return { log: name, state, first, last, ...(index === null ? {} : { record: recordJson(log, index) }) };
  };
  return JSON.stringify({
    report: "compare",
    relation,
    sameTo,
    differsFrom: index,
    otherCluster,
    left: side(left),
    right: side(right),
  });
}

function recordText(log: LogInspection, index: number): string {
  const found = log.record(index);
  if (found === null) return "";
  return textLine({ ...found, place: "live" }, { bodies: false, columns: Infinity }).trim();
}

function recordJson(log: LogInspection, index: number): Record<string, unknown> | null {
  const found = log.record(index);
  return found === null ? null : jsonOf({ ...found, place: "live" }, false);
}
