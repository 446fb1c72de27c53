/**
 * The views of a log and how they descend from each other, gathered from its records: which were attempted, which formed,
 * which went on, what of them was superseded and whether its ops came back. Keeps a few words a view, and the ids of
 * superseded ops. Must not know how it is drawn (`log-tree.ts`).
 */
import { formatOpId } from "../../lib/protocol/ids.ts";
import { ProtocolError } from "../../lib/protocol/protocol-error.ts";
import { recordKind, type LogRecord } from "../../lib/protocol/record.ts";
import { readBegin } from "../../lib/log/lineage.ts";
import type { InspectedItem, InspectedSegment, Place } from "../../lib/log/reader.ts";
import { entryOf, opOf } from "./log-lines.ts";

/** Ops of forks whose return is looked for; of more it is not told. */
const forkOpsMax = 1_000_000;

export interface Range {
  readonly from: number;
  readonly to: number;
}

/** One view, whether it formed or was only attempted. */
export interface ViewNode {
  readonly view: number;
  /** The view of the entry before its VIEW entry; null if that is not known. */
  parent: number | null;
  /** Where its VIEW entry stands. */
  index: number;
  /** Pids; null if they are not known: it stands before the beginning of this log. */
  members: readonly number[] | null;
  config: readonly number[] | null;
  epoch: number | null;
  policy: string | null;
  /** How many replicas that may hold more had not been heard: such a view is provisional. */
  awaiting: number;
  /** Its ACT stands in this log. */
  formed: boolean;
  /** When its first op was ordered, in milliseconds; null if there is none. */
  at: number | null;
  /** What of it is in the logical log; null if nothing is. */
  live: Range | null;
  /** What of it is on this disk but not in the logical log; null if nothing is. */
  fork: Range | null;
  /** The fork stands behind damage, rather than that something took its place. */
  unlinked: boolean;
  /** The ops of the fork, and how many of them stand in the logical log too. */
  forkOps: number;
  returnedOps: number;
}

export class ViewLineage {
  readonly #nodes = new Map<number, ViewNode>();
  /** The ops of forks that have not been seen in the logical log. */
  readonly #lost = new Map<string, ViewNode>();
  #begun = false;
  #isWhole = true;

  /** Sorted by view, when all segments have been added. */
  views(): ViewNode[] {
    return [...this.#nodes.values()].map(withoutRepeats).sort((left, right) => left.view - right.view);
  }

  /** False if there were more ops in forks than are looked for. */
  get countsReturned(): boolean {
    return this.#isWhole;
  }

  addSegment(segment: InspectedSegment): void {
    const { header } = segment;
    const isBeginning = !this.#begun || header?.isAnew === true;
    for (const item of segment.items()) {
      if (isBeginning && header !== null && "record" in item) this.#takeBegin(item.record, header.previousIndex);
      this.#take(item);
    }
    this.#begun = true;
  }

  #take(item: InspectedItem): void {
    if ("fault" in item || item.place === "torn" || item.record.index === 0) return;
    const { record, place } = item;
    const node = this.#node(record.view, record.index);
    if (record.kind === recordKind.view) this.#takeView(node, record);
    if (record.kind === recordKind.act) node.formed = true;
    if (place === "live") node.live = grown(node.live, record.index);
    else node.fork = grown(node.fork, record.index);
    if (place === "unlinked") node.unlinked = true;
    if (record.kind === recordKind.op) this.#takeOp(node, record, place);
  }

  #takeView(node: ViewNode, record: LogRecord): void {
    const entry = entryOf(record);
    if (entry instanceof ProtocolError || entry.type !== "view") return;
    node.parent = entry.parent;
    node.index = record.index;
    node.members = entry.members.map(({ pid }) => pid);
    node.config = entry.config.map(({ pid }) => pid);
    node.epoch = entry.epoch;
    node.policy = entry.policy;
    node.awaiting = entry.awaiting.length;
  }

  #takeOp(node: ViewNode, record: LogRecord, place: Place): void {
    if (place === "live" && node.at !== null && this.#lost.size === 0) return;
    const op = opOf(record);
    if (op === null) return;
    node.at ??= op.at;
    const id = formatOpId(op);
    if (place === "live") {
      const fork = this.#lost.get(id);
      if (fork === undefined) return;
      fork.returnedOps++;
      this.#lost.delete(id);
    } else if (this.#lost.size < forkOpsMax) {
      // The same op may stand in two forks, or twice in one: it is one op.
      if (this.#lost.has(id)) return;
      this.#lost.set(id, node);
      node.forkOps++;
    } else {
      this.#isWhole = false;
    }
  }

  /** What a segment says of views that stand before it. */
  #takeBegin(record: LogRecord, previousIndex: number): void {
    const begin = readBegin(record);
    if (begin === null) return;
    const { views, attempts, policy } = begin;
    for (const [at, { view, firstIndex }] of views.entries()) {
      const node = this.#node(view, firstIndex);
      const to = (views[at + 1]?.firstIndex ?? previousIndex + 1) - 1;
      node.parent ??= views[at - 1]?.view ?? (firstIndex === 1 ? 0 : null);
      node.live = grown(grown(node.live, firstIndex), to);
      // The second entry of a view is its ACT.
      if (to > firstIndex) node.formed = true;
    }
    for (const { view, index, epoch, members, config, awaiting, formed } of attempts) {
      const node = this.#node(view, index);
      node.members ??= members.map(({ pid }) => pid);
      node.config ??= config.map(({ pid }) => pid);
      node.epoch ??= epoch;
      node.policy ??= policy;
      node.awaiting = Math.max(node.awaiting, awaiting.length);
      node.formed ||= formed;
    }
  }

  #node(view: number, index: number): ViewNode {
    const known = this.#nodes.get(view);
    if (known !== undefined) return known;
    const node: ViewNode = {
      view,
      parent: null,
      index,
      members: null,
      config: null,
      epoch: null,
      policy: null,
      awaiting: 0,
      formed: false,
      at: null,
      live: null,
      fork: null,
      unlinked: false,
      forkOps: 0,
      returnedOps: 0,
    };
    this.#nodes.set(view, node);
    return node;
  }
}

/** What was damaged and fetched again stands twice on disk: that is no fork. */
function withoutRepeats(node: ViewNode): ViewNode {
  const { live, fork } = node;
  if (live === null || fork === null) return node;
  if (fork.to <= live.to) return { ...node, fork: null, forkOps: 0, returnedOps: 0 };
  return { ...node, fork: { from: Math.max(fork.from, live.to + 1), to: fork.to } };
}

const grown = (range: Range | null, index: number): Range => ({
  from: Math.min(range?.from ?? index, index),
  to: Math.max(range?.to ?? index, index),
});
