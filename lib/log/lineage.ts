/**
 * What has to be known of a log without its entries: where its views begin, the last VIEW entries, what was promised.
 * Fed with the records in the order in which they are written or found; makes the BEGIN record with which a segment
 * says it of all that stands before it, so that the segments before can go. Does no I/O.
 */
import { limits } from "../base/limits.ts";
import { telling } from "../protocol/attempts.ts";
import { encodeEntry } from "../protocol/codec.ts";
import type { BeginEntry } from "../protocol/entries.ts";
import type { Attempt, Configured, Policy, Position, ViewStart } from "../protocol/fields.ts";
import { viewPid } from "../protocol/ids.ts";
import type { LogBeginning } from "../protocol/log-port.ts";
import { encodeRecord, recordKind, type LogRecord } from "../protocol/record.ts";
import { decodedEntry } from "./scan.ts";

interface KnownView extends ViewStart {
  /** Its VIEW entry; null if that was not seen, or not told. Whether it formed is told by what follows. */
  attempt: Attempt | null;
}

type Taken = Pick<LogRecord, "kind" | "index" | "view" | "payload">;

export class Lineage {
  promised = 0;
  /**
   * This disk was in the first view of the log, or has led one of its views that lacked no replica, and was not replaced
   * since.
   */
  isKnown = false;
  /** Of this replica, as soon as a view tells; 0 before. */
  #pid = 0;
  #policy: Policy = "available";
  #views: KnownView[] = [];

  /** The uuid of the replica whose log it is; empty where nobody asks whether the disk is known. */
  constructor(public replica: string) {}

  /** The next entry of the logical log; what stood at its index and after is superseded. */
  take({ kind, index, view, payload }: Taken): void {
    this.cut(index - 1);
    const isFirst = this.#views.length === 0;
    if (this.#views.at(-1)?.view !== view) this.#views.push({ view, firstIndex: index, attempt: null });
    if (kind !== recordKind.view) return;
    const entry = decodedEntry({ kind, payload });
    const known = this.#views.at(-1);
    if (entry?.type !== "view" || known?.firstIndex !== index) return;
    const { epoch, members, config, awaiting, policy } = entry;
    known.attempt = { view, index, epoch, members, config, awaiting, formed: false };
    this.#policy = policy;
    const own = members.find(({ uuid }) => uuid === this.replica);
    const isWhole = members.length === config.length;
    this.#noteReplaced(config);
    if (own !== undefined && (isFirst || (isWhole && viewPid(view) === own.pid))) this.isKnown = true;
  }

  /** Another disk under its pid may have started views that this one knows nothing of. */
  #noteReplaced(config: readonly Configured[]): void {
    this.#pid = config.find(({ uuid }) => uuid === this.replica)?.pid ?? this.#pid;
    const there = config.find(({ pid }) => pid === this.#pid);
    if (there !== undefined && there.uuid !== null && there.uuid !== this.replica) this.isKnown = false;
  }

  promise(view: number): void {
    this.promised = Math.max(this.promised, view);
  }

  cut(lastIndex: number): void {
    while ((this.#views.at(-1)?.firstIndex ?? 0) > lastIndex) this.#views.pop();
  }

  /** The log begins behind entries that are not here. */
  begin({ views, attempts, policy }: Pick<LogBeginning, "views" | "attempts" | "policy">): void {
    const byView = new Map(attempts.map((attempt) => [attempt.view, attempt]));
    this.#views = views.map((start) => ({ ...start, attempt: byView.get(start.view) ?? null }));
    this.#policy = policy;
    for (const { config } of attempts) this.#noteReplaced(config);
  }

  /** Of the log as far as `position`. */
  beginning(position: Position): LogBeginning {
    const views = this.#views.filter(({ firstIndex }) => firstIndex <= position.index);
    const attempts: Attempt[] = [];
    for (let at = views.length - 1; at >= 0; at--) {
      const { firstIndex, attempt } = views[at] as KnownView;
      const formed = (views[at + 1]?.firstIndex ?? position.index + 1) - 1 > firstIndex;
      if (attempt !== null) attempts.push({ ...attempt, formed });
      if (formed) break;
    }
    return {
      position,
      policy: this.#policy,
      views: views.slice(-limits.viewTableMax).map(({ view, firstIndex }) => ({ view, firstIndex })),
      attempts: telling(attempts.reverse()),
    };
  }

  /** The BEGIN record of a segment that begins after the beginning's position. */
  record(clusterTag: number, { policy, views, attempts }: LogBeginning, kept: number): Uint8Array {
    const { promised, isKnown } = this;
    const payload = encodeEntry({
      type: "begin",
      ...{ promised, kept, isKnown, policy, views: [...views], attempts: [...attempts] },
    });
    return encodeRecord({ kind: recordKind.begin, clusterTag, index: 0, view: 0, payload }, 0n).bytes;
  }
}

/** Null if the record is no BEGIN that this build can read. */
export function readBegin(record: LogRecord): BeginEntry | null {
  const entry = record.kind === recordKind.begin ? decodedEntry(record) : null;
  return entry?.type === "begin" ? entry : null;
}
