/**
 * What was heard of the other replicas: the last heartbeat of each, when each process was heard last and how far it had
 * come then. Holds no connection, and no clock: whoever hears something says when.
 */
import type { FrameOf, Member } from "../protocol/messages.ts";
import type { Place } from "../replication/kinship.ts";

/** Processes whose last word is kept: a replica that is restarted again and again must not fill the memory. */
const commitsMax = 256;

export class Heartbeats {
  readonly #latest = new Map<number, { readonly heartbeat: FrameOf<"heartbeat">; readonly atMs: number }>();
  /** When each process was last heard: `pid/incarnation`. */
  readonly #alive = new Map<string, number>();
  /** How far each knew the log committed when it was heard last; those heard first go first. */
  readonly #commits = new Map<string, Place>();

  heard({ pid, incarnation }: Member, heartbeat: FrameOf<"heartbeat">, atMs: number): void {
    const process = `${pid}/${incarnation}`;
    this.#latest.set(pid, { heartbeat, atMs });
    this.#alive.set(process, atMs);
    this.#commits.set(process, { index: heartbeat.commit, view: heartbeat.lastView });
    for (const first of this.#commits.keys()) {
      if (this.#commits.size <= commitsMax) break;
      this.#commits.delete(first);
    }
  }

  /** The last heartbeat of a replica; null if it was not heard since then. */
  latest(pid: number, sinceMs: number): FrameOf<"heartbeat"> | null {
    const last = this.#latest.get(pid);
    return last === undefined || last.atMs < sinceMs ? null : last.heartbeat;
  }

  /** Pids of the replicas that were heard since then. */
  pidsSince(sinceMs: number): number[] {
    return [...this.#latest].filter(([, { atMs }]) => atMs >= sinceMs).map(([pid]) => pid);
  }

  /** Whether this very process was heard since then. */
  heardSince(pid: number, incarnation: number, sinceMs: number): boolean {
    return (this.#alive.get(`${pid}/${incarnation}`) ?? -Infinity) >= sinceMs;
  }

  /** How far this very process knew the log committed when it was heard last; null when it never was, or long ago. */
  commitOf(pid: number, incarnation: number): Place | null {
    return this.#commits.get(`${pid}/${incarnation}`) ?? null;
  }

  /** Nobody asks any more who was heard before that. */
  forget(beforeMs: number): void {
    for (const [process, atMs] of this.#alive) if (atMs < beforeMs) this.#alive.delete(process);
  }
}
