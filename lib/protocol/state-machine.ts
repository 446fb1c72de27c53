/**
 * The state machine as the server sees it, and the committed entries it is fed. `lib/chat` implements it and is handed
 * in; `lib/server` never imports it. Types only.
 */
import type { ClientOp, ClientQuery, ErrorCode, OpId, OpReply, Push, QueryReply, Refusal } from "./messages.ts";
import type { Command } from "./commands.ts";
import type { OpEntry } from "./entries.ts";

export interface CommittedEntry {
  readonly index: number;
  readonly view: number;
  readonly chain: bigint;
  /** Null for VIEW and ACT entries: they only move the applied point. */
  readonly op: OpEntry | null;
}

/** Which connection of which process holds a session: attached sessions get messages live, others in the inbox. */
export interface Attachment {
  readonly session: string;
  readonly pid: number;
  readonly incarnation: number;
  readonly number: number;
}

/** A session as the applied state knows it. */
export interface SessionRecord {
  readonly session: string;
  readonly tokenHash: Uint8Array;
  readonly account: OpId | null;
  readonly user: string | null;
  readonly attachment: Attachment | null;
  /** It has stood on another connection before: what it asks for now it may have asked for there. */
  readonly isResumed: boolean;
}

/** Without what only the connection knows: the request number. `copies` is filled in by the server when it replies. */
export type OpResult = DistributiveOmit<OpReply, "request" | "copies"> | Omit<Refusal, "request">;
export type DistributiveOmit<T, K extends string> = T extends unknown ? Omit<T, K> : never;

/** What applying one op brought about. */
export interface Outcome {
  readonly session: string;
  readonly seq: number;
  /** Of what was asked for, as the op in the log has it; see {@link StateMachine.contentDigest}. */
  readonly digest: Uint8Array;
  /** Null for ops nobody waits for. */
  readonly result: OpResult | null;
}

/** A frame for some logged-in sessions, whichever of them sit on this replica; in log order. */
export interface Delivery {
  readonly sessions: readonly string[];
  readonly push: Push;
}

export interface Applied {
  readonly outcomes: readonly Outcome[];
  readonly deliveries: readonly Delivery[];
}

export type Prepared =
  | { readonly ok: true; readonly command: Command; readonly digest: Uint8Array }
  /** `unauthorized` and the like: decided here, nothing is proposed. */
  | { readonly ok: false; readonly code: ErrorCode; readonly message: string };

/** All methods are synchronous but `prepare`, which may hash a password on another thread. */
export interface StateMachine {
  /** The last applied entry; index 0 when new. */
  readonly applied: { readonly index: number; readonly view: number; readonly chain: bigint };
  /** The greatest time (`at`) of an op applied; 0 when new. */
  readonly clock: number;
  /** Applies a batch in one transaction, the applied position in it. Deterministic: sees only state and entries. */
  apply(entries: readonly CommittedEntry[]): Applied;
  /** Empties the state: it left the lineage of the log. */
  reset(): void;
  close(): void;

  session(session: string): SessionRecord | null;
  /** Whether this op has been applied in this lineage, however long ago; true for system ops, which only hold once. */
  hasApplied(session: string, seq: number): boolean;
  /**
   * Whether to merge this op would do nothing that anybody waits for: it has been applied here, and no refusal gives way to what
   * was done elsewhere; or it is nothing but a refusal.
   */
  hasMerged(op: OpEntry): boolean;
  /**
   * The stored result if this op was applied already (a retry), else null. Throws nothing.
   * Given what is asked now, answers a refusal when it was something else that was done under this id.
   */
  result(session: string, seq: number, request?: ClientOp): OpResult | null;
  /** The same for all requests that ask for the same, whatever their request number; no secret goes into it. */
  contentDigest(request: ClientOp): Uint8Array;
  /** Everything that can be decided at the connection: shape, limits, passwords, names to ids, counts to ids. */
  prepare(request: ClientOp, session: SessionRecord, attachment: Attachment): Promise<Prepared>;
  query(request: Exclude<ClientQuery, { type: "status" }>, session: SessionRecord | null): QueryReply | Refusal;
  /** Inbox and draft counts for sessionOpened. */
  waiting(session: SessionRecord): { readonly inbox: number; readonly drafts: number };
  /** Messages that arrived for a session while no replica held it, index above `afterIndex`, in log order. */
  missed(session: SessionRecord, afterIndex: number, limit: number): readonly Push[];
  /** All attachments, for the primary to find those that no live replica holds. */
  attachments(): readonly Attachment[];
  /** Sessions that nobody holds and nobody has used since `before` (milliseconds since the epoch), at most so many. */
  idleSessions(before: number, limit: number): readonly string[];
}
