/**
 * Names that follow from what is configured: the cluster's id, and the uuid under which one process of a replica puts its
 * own ops into the log. Pure: the hash is handed in.
 */
import type { Configured, Member } from "../protocol/messages.ts";

type Hash = (bytes: Uint8Array) => Uint8Array;

const utf8 = new TextEncoder();

/** The first 16 bytes of SHA-256 over the founding peers, sorted by pid: `1=host:port,2=…`. */
export function clusterIdOf(founders: readonly Configured[], sha256: Hash): Uint8Array {
  const sorted = founders.toSorted((a, b) => a.pid - b.pid);
  return sha256(utf8.encode(sorted.map(({ pid, address }) => `${pid}=${address}`).join(","))).slice(0, 16);
}

/** What a replica's own ops go into the log under; no client may have such a session. */
export const isSystemSession = (session: string): boolean => session.startsWith(systemPrefix);
const systemPrefix = "00000000-0000-0000-";

/**
 * The session of one process's own ops: the pid and the incarnation (below 2^53) in the last eight bytes, so that
 * (session, seq) never repeats that of another process, of any replica.
 */
export function systemSessionOf({ pid, incarnation }: Member): string {
  const hex = pid.toString(16).padStart(2, "0") + incarnation.toString(16).padStart(14, "0");
  return `${systemPrefix}${hex.slice(0, 4)}-${hex.slice(4)}`;
}
