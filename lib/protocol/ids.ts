/**
 * Ids as text and numbers: op ids and views. Pure.
 */
import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import type { OpId } from "./messages.ts";

/** The canonical text of a uuid; the only one accepted and produced anywhere. */
const uuidPattern = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
const opIdText = new RegExp(`^(${uuidPattern})/(0|[1-9][0-9]{0,15})$`);

/** `uuid/seq`, the form in which hyperid makes them. */
export function formatOpId(id: OpId): string {
  return `${id.session}/${id.seq}`;
}

/** Null for anything that {@link formatOpId} would not produce. */
export function parseOpId(text: string): OpId | null {
  const match = opIdText.exec(text);
  if (match === null) return null;
  const [, session = "", digits = ""] = match;
  const seq = Number(digits);
  return Number.isSafeInteger(seq) ? { session, seq } : null;
}

/** The view `(count, pid)` as one integer, ordered as the pair is: count · 256 + pid. */
export function makeView(count: number, pid: number): number {
  assert(pid >= 1 && pid <= limits.pidMax, "a view is led by a pid");
  const view = count * 256 + pid;
  assert(Number.isSafeInteger(view) && count >= 0, "a view is a safe integer");
  return view;
}

export const viewCount = (view: number): number => Math.floor(view / 256);

/** The pid of the primary of a view; 0 for no view. */
export const viewPid = (view: number): number => view % 256;

/** `count.pid`, as people read it; "0.0" is no view. */
export const formatView = (view: number): string => `${viewCount(view)}.${viewPid(view)}`;
