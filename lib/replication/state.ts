/**
 * What a replica keeps, part by part: a view that it is in, an own attempt at one, a fetch, a transfer of state, ops that
 * wait. Shapes only, and no decisions: `core.ts` holds them, and each is moved by the file that its subject belongs to.
 */
import { limits } from "../base/limits.ts";
import type { OpEntry, ViewEntry } from "../protocol/entries.ts";
import type { SnapshotName } from "../protocol/fields.ts";
import type { FrameOf, Member, Position } from "../protocol/messages.ts";
import type { WantedChange } from "./config-change.ts";
import type { ConfigChange } from "./events.ts";
import type { Formation, PromiseGiven } from "./formation.ts";
import { Portion } from "./portion.ts";

/** How far one member of the primary's view has come. */
export interface Progress {
  readonly member: Member;
  /** On its disk up to here. */
  matchIndex: number;
  /** Sent up to before here. */
  nextIndex: number;
  /** The commit index it was last told. */
  toldCommit: number;
  /** When matchIndex last moved, or there was nothing to wait for. */
  progressMs: number;
  /** When records were last sent again. */
  resentMs: number;
  /** So many bytes may be under way beyond what is acked. */
  readonly window: Portion;
  /** What is, in the order in which it was sent: up to which entry, and how many bytes. */
  underWay: { readonly index: number; readonly bytes: number; readonly sentMs: number }[];
  /** How long it was from sending to the ack the last time. */
  tookMs: number;
}

/** The view whose VIEW entry this incarnation has appended as one of its members. */
export interface Installed {
  readonly view: number;
  readonly entry: ViewEntry;
  readonly primary: Member;
  readonly isPrimary: boolean;
  /** The append that carries its VIEW entry. */
  readonly sequence: number;
  readonly actIndex: number;
  /** Its ACT has committed, and since when. */
  formed: boolean;
  formedMs: number;
  primaryHeardMs: number;
  /** Since when the primary, which is heard, says that it is stuck; null when it does not. */
  primaryStuckSinceMs: number | null;
  /** When commit last moved, or nothing was outstanding. */
  progressMs: number;
  /** Primary only: every member but itself. */
  readonly progress: Map<number, Progress>;
  /** Primary only: how much of each sender's forwarding stream has been taken. */
  readonly streams: Map<number, { incarnation: number; stream: number; next: number }>;
  /** By uuid: up to here the log of this view is on its disk, as it has told in this view. */
  readonly onDisk: Map<string, number>;
  /** Primary only: where its log ended, from half a timeout ago on; see `noteEnd`. */
  readonly ends: { readonly atMs: number; readonly index: number }[];
}

/** An own try to start a view. */
export interface Candidacy {
  stage: "asking" | "joining" | "fetching" | "installing";
  readonly why: string;
  /** The change of config that it brings, and the formed view from which it was started. */
  readonly wanted: WantedChange | null;
  readonly nonce: number;
  view: number;
  /** Its view is far ahead of all that were heard of. */
  leaps: boolean;
  startedMs: number;
  sentMs: number;
  /** Pids that answered `go`. */
  readonly go: Set<number>;
  readonly promises: Map<number, PromiseGiven>;
  /** The pid of one whose removal only others knew to be begun: its JOINs name it from then on. Null if there was none. */
  removes: number | null;
  members: readonly Member[];
  formation: Formation | null;
  /** Entries of its log and bytes of a state, together: it changes as long as the base is on its way. */
  fetched: number;
  /** Pids of those who have offered a state from behind the base: they have gone on with what the view leaves. */
  readonly beyondBase: Set<number>;
  newView: FrameOf<"newView"> | null;
  readonly okay: Set<number>;
  /** Why it may not form yet, in words. */
  obstacle: string;
}

/** A change that an operator asks for at this replica. */
export interface Wish {
  readonly change: ConfigChange;
  /** When it was last asked for: a wish that nobody repeats lapses. */
  askedMs: number;
  /** The view last started for it; 0 for none. */
  attempted: number;
  /** Whoever is to be added was reached at the address given. */
  readonly answers: boolean;
}

/** A formed view that this replica is not in and learns from. */
export interface Following {
  readonly view: number;
  readonly epoch: number;
  readonly members: readonly Member[];
  heardMs: number;
}

/** The one fetch under way: bringing the log to `target`, or to the end of another's log for ever (learning). */
export interface Fetch {
  readonly from: number;
  /** Who is asked. */
  readonly process: Member;
  nonce: number;
  after: Position;
  readonly target: Position | null;
  /** Where the other's log ended when it last answered. */
  end: number;
  sentMs: number;
  /** A reply is awaited. */
  waiting: boolean;
  /** When none is: not to ask again before. */
  askMs: number;
  /** Learning: all that was applied here stands in the log of one who is in the view that is followed. */
  isOnLineage: boolean;
  readonly done: () => void;
}

export interface PendingOp {
  op: OpEntry;
  /**
   * What it was prepared from is in the log up to here at most: without that it means nothing. Infinity: it goes whenever the
   * log is cut, for its owner has it still.
   */
  basis: number;
  readonly sinceMs: number;
  /** It has been appended or forwarded by this replica: its fate is open until it comes out of the log. */
  sent: boolean;
}

/** The forks on this disk on their way into the lineage, a portion at a time. */
export interface Merging {
  portions: Iterator<readonly Uint8Array[]>;
  /** Those of the portion that have not come out of the log, by key. */
  ops: Map<string, OpEntry>;
  /** How many were owed in this pass so far, and in the one before; null in the first. */
  owed: number;
  owedBefore: number | null;
  /** Not all that was looked at was there already. */
  isBegun: boolean;
}

export const keyOf = (op: { readonly session: string; readonly seq: number }): string => `${op.session}/${op.seq}`;

/** The state as it was found: where it stands, and the greatest time of an op in it. */
export interface StateFound {
  readonly position: Position;
  readonly clock: number;
  /** The log holds its place. If not, that may be where a damaged log cannot be read. */
  readonly isLogged: boolean;
}

/** What is known of how much of the log may go. */
export class Floors {
  /** Up to here what was applied is durable. */
  appliedDurably = 0;
  /** A sync of the state is under way, for what was applied up to here. */
  syncing: number | null = null;
  lookedMs: number | null = null;
  /** Since when somebody is missing without whom nothing can be deleted, and when that was said. */
  missingSinceMs: number | null = null;
  saidMs = -Infinity;

  /** The log has dropped what stood after `keptIndex`. */
  superseded(keptIndex: number): void {
    this.appliedDurably = Math.min(this.appliedDurably, keptIndex);
    if (this.syncing !== null) this.syncing = Math.min(this.syncing, keptIndex);
  }
}

/** A snapshot that this replica has made for others. */
interface Made {
  readonly snapshot: SnapshotName;
  askedMs: number;
  /** Whom it was made for has heard of it. */
  isOffered: boolean;
}

/** A snapshot that this replica fetches. */
export interface Transfer {
  from: number;
  /** What is being fetched; null until one was offered. */
  snapshot: SnapshotName | null;
  /** `whole`: all is here, and waits for the log to come as far. */
  stage: "asking" | "fetching" | "checking" | "whole" | "installing";
  nonce: number;
  /** Fetched up to here. */
  offset: number;
  /** When it last got on, and when to ask next. */
  progressMs: number;
  askMs: number;
  /** The question that is not answered yet was asked then; -Infinity when there is none. */
  askedMs: number;
}

/** The copies of states that come and go, and a state that waits for its log. */
export class Snapshots {
  /** The own state, whose place could not be read in the log: it can be given, and gone on with once the log holds that again. */
  kept: StateFound | null = null;
  made: Made | null = null;
  isMaking = false;
  /** Of another's. */
  readonly portion = new Portion({ most: limits.snapshotPartBytes, first: 8 * 1024, least: 2 * 1024 });
  /** How many were checked: which one a report is about. */
  checks = 0;
  transfer: Transfer | null = null;
  /** Until when those whose state this build cannot read are not asked again, by pid. */
  readonly unreadable = new Map<number, number>();

  /** What is committed is not applied meanwhile: the snapshot holds it. */
  get holdsUpApplying(): boolean {
    return this.transfer !== null && this.transfer.snapshot !== null;
  }
}
