/**
 * The lineage of views as a tree for people, and as JSON: what went on from top to bottom, what did not beside it. Knows
 * how wide lines may be; reads no log.
 */
import { counted } from "../../lib/base/words.ts";
import { formatView } from "../../lib/protocol/ids.ts";
import type { LogVerdict } from "../../lib/log/reader.ts";
import { time } from "./log-lines.ts";
import type { Range, ViewLineage, ViewNode } from "./log-lineage.ts";

export interface TreeStyle {
  readonly columns: number;
  readonly unicode: boolean;
}

interface Glyphs {
  readonly live: string;
  readonly fork: string;
  readonly branch: string;
  readonly lastBranch: string;
  readonly line: string;
}

const unicodeGlyphs: Glyphs = { live: "●", fork: "○", branch: "├─", lastBranch: "└─", line: "│ " };
const asciiGlyphs: Glyphs = { live: "*", fork: "o", branch: "|-", lastBranch: "`-", line: "| " };

/** Something beside what went on: a view, or what of a view that went on was superseded. */
interface Branch {
  readonly node: ViewNode;
  readonly isTail: boolean;
  readonly from: number;
}

/** What the tree is told of the log beside its views. */
export type TreeAbout = Pick<LogVerdict, "promised" | "first">;

export function treeLines(lineage: ViewLineage, about: TreeAbout, style: TreeStyle): string[] {
  return new ViewTree(lineage, style).lines(about);
}

class ViewTree {
  readonly #lines: string[] = [];
  readonly #views: readonly ViewNode[];
  readonly #trunk: readonly ViewNode[];
  readonly #branches = new Map<number, Branch[]>();
  readonly #glyphs: Glyphs;
  readonly #labelWidth: number;

  constructor(
    readonly lineage: ViewLineage,
    readonly style: TreeStyle,
  ) {
    this.#views = lineage.views();
    this.#trunk = this.#views.filter(({ live }) => live !== null).sort((left, right) => begin(left) - begin(right));
    this.#glyphs = style.unicode ? unicodeGlyphs : asciiGlyphs;
    this.#labelWidth = Math.max(0, ...this.#views.map(({ view }) => formatView(view).length));
    for (const node of this.#views) {
      if (node.fork === null) continue;
      const isTail = node.live !== null;
      this.#attach({ node, isTail, from: node.fork.from }, isTail ? node.view : this.#parentOf(node));
    }
  }

  lines({ promised, first }: TreeAbout): string[] {
    const last = this.#trunk.at(-1);
    if (this.#views.length === 0) return ["no views were found"];
    if (last?.config != null) this.#wrapped("", "", `policy ${last.policy}, replicas ${last.config.join(" ")}`);
    if (first > 1)
      this.#wrapped("", "", `the log begins at index ${first}: of what stood before only the views are known`);
    const roots = this.#branches.get(0) ?? [];
    for (const [at, branch] of roots.entries()) {
      this.#drawBranch(branch, "", at === roots.length - 1 && this.#trunk.length === 0);
    }
    for (const [at, node] of this.#trunk.entries()) this.#drawTrunk(node, this.#trunk[at - 1], at);
    this.#wrapped("", "", this.#sum());
    if (promised > (this.#views.at(-1)?.view ?? 0)) {
      this.#wrapped("", "", `promised ${formatView(promised)}, of which this log holds nothing`);
    }
    return this.#lines;
  }

  /** The view it departs from; 0 if that is not in this log. */
  #parentOf({ parent, view, index }: ViewNode): number {
    if (parent !== null && parent < view && this.#views.some((node) => node.view === parent)) return parent;
    return this.#liveAt(index - 1)?.view ?? 0;
  }

  #liveAt(index: number): ViewNode | undefined {
    return this.#trunk.find(({ live }) => live !== null && live.from <= index && index <= live.to);
  }

  #attach(branch: Branch, parent: number): void {
    const siblings = this.#branches.get(parent) ?? [];
    siblings.push(branch);
    siblings.sort((left, right) => left.from - right.from);
    this.#branches.set(parent, siblings);
  }

  #drawTrunk(node: ViewNode, before: ViewNode | undefined, at: number): void {
    const { live, line } = this.#glyphs;
    const branches = this.#branches.get(node.view) ?? [];
    const isLast = at === this.#trunk.length - 1;
    const rest = isLast && branches.length === 0 ? "  " : line;
    this.#wrapped(`${live} ${this.#label(node, stateOf(node))}`, rest, this.#about(node, node.live, before));
    for (const [place, branch] of branches.entries()) {
      this.#drawBranch(branch, "", isLast && place === branches.length - 1);
    }
  }

  #drawBranch({ node, isTail }: Branch, lead: string, isLast: boolean): void {
    const { branch, lastBranch, fork, line } = this.#glyphs;
    const below = isTail ? [] : (this.#branches.get(node.view) ?? []);
    const under = lead + (isLast ? "  " : line);
    const label = this.#label(node, isTail ? (node.unlinked ? "rest" : "fork") : stateOf(node));
    const about = isTail ? entriesText(node.fork) : this.#about(node, node.fork);
    const rest = under + (below.length > 0 ? line : "  ");
    this.#wrapped(`${lead}${isLast ? lastBranch : branch}${fork} ${label}`, rest, `${about}; ${this.#fate(node)}`);
    for (const [at, each] of below.entries()) this.#drawBranch(each, under, at === below.length - 1);
  }

  #label({ view }: ViewNode, state: string): string {
    return `${formatView(view).padEnd(this.#labelWidth)} ${state.padEnd(7)} `;
  }

  #about(node: ViewNode, range: Range | null, before?: ViewNode): string {
    const parts = [entriesText(range)];
    if (node.members !== null) parts.push(`members ${node.members.join(" ")}`);
    const config = node.config?.join(" ");
    if (before?.config != null && config !== undefined && config !== before.config.join(" ")) {
      parts.push(`replicas from here on ${config}`);
    }
    if (node.awaiting > 0) {
      parts.push(`provisional: ${counted(node.awaiting, "replica")} that may hold more not heard`);
    }
    if (node.at !== null) parts.push(`from ${time(node.at).slice(0, 19).replace("T", " ")}`);
    return parts.join(", ");
  }

  /** What became of what did not go on. */
  #fate(node: ViewNode): string {
    const { fork, forkOps, returnedOps, unlinked } = node;
    const successor = fork === null ? undefined : this.#liveAt(fork.from);
    const by = unlinked
      ? "behind damage"
      : successor === undefined
        ? "left behind"
        : `superseded by ${formatView(successor.view)}`;
    return `${by}, ${opsText(forkOps, returnedOps, this.lineage.countsReturned)}`;
  }

  #sum(): string {
    const branches = [...this.#branches].flatMap(([parent, some]) => some.map((branch) => ({ ...branch, parent })));
    const trunk = new Set([0, ...this.#trunk.map(({ view }) => view)]);
    const last = this.#trunk.at(-1);
    const text = [last === undefined ? "nothing goes on" : `${formatView(last.view)} goes on`];
    for (const isDamage of [false, true]) {
      const some = branches.filter(({ node }) => node.unlinked === isDamage);
      const ops = some.reduce((sum, { node }) => sum + node.forkOps, 0);
      const returned = some.reduce((sum, { node }) => sum + node.returnedOps, 0);
      const about = opsText(ops, returned, this.lineage.countsReturned);
      // What departs from a fork belongs to that fork.
      const forks = some.filter(({ parent }) => trunk.has(parent)).length;
      if (some.length > 0) text.push(isDamage ? `behind damage ${about}` : `${counted(forks, "fork")}: ${about}`);
      else if (!isDamage) text.push("no forks");
    }
    return text.join("; ");
  }

  /** Breaks lines between words where they would be too long. */
  #wrapped(head: string, rest: string, text: string): void {
    const { columns } = this.style;
    const hang = rest === "" ? "" : `${rest}  `;
    let line = head;
    let isEmpty = true;
    for (const word of text.split(" ")) {
      const longer = isEmpty ? line + word : `${line} ${word}`;
      if (longer.length > columns && !(isEmpty && line === hang)) {
        this.#lines.push(line.trimEnd());
        line = hang + word;
      } else {
        line = longer;
      }
      isEmpty = false;
    }
    this.#lines.push(line);
  }
}

const begin = ({ live }: ViewNode): number => live?.from ?? 0;
const stateOf = ({ formed }: ViewNode): string => (formed ? "formed" : "attempt");

function entriesText(range: Range | null): string {
  if (range === null) return "no entries";
  return range.from === range.to ? `entry ${range.from}` : `entries ${range.from} to ${range.to}`;
}

function opsText(ops: number, returned: number, isWhole: boolean): string {
  if (ops === 0) return "no ops";
  const text = counted(ops, "op");
  if (!isWhole) return `at least ${text}`;
  if (returned === ops) return `${text}, ${ops === 1 ? "which is" : "all"} in the lineage again`;
  return returned === 0 ? `${text}, not in the lineage` : `${text}, ${returned} in the lineage again`;
}

/** One line a view. */
export function* lineageJson(lineage: ViewLineage): Generator<string, void, undefined> {
  for (const { view, parent, fork, forkOps, returnedOps, unlinked, live, ...rest } of lineage.views()) {
    yield JSON.stringify({
      report: "view",
      view: formatView(view),
      parent: parent === null ? null : formatView(parent),
      ...rest,
      live,
      fork: fork === null ? null : { ...fork, ops: forkOps, returned: returnedOps, unlinked },
    });
  }
}
