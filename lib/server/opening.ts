/**
 * One request to open a session, from its arrival until the log has brought it about: waits until this replica has seen
 * what the client has seen, checks the token, registers or attaches, and tells the outcome once. Holds no connection.
 */
import type { OpEntry } from "../protocol/entries.ts";
import { encodeCommand } from "../protocol/codec.ts";
import type { ErrorCode, FrameOf, Refusal } from "../protocol/messages.ts";
import type { Attachment, SessionRecord, StateMachine } from "../protocol/state-machine.ts";
import type { Place } from "../replication/kinship.ts";
import { isSystemSession } from "./identity.ts";

/** Sweeps (seconds) to wait for what the client has seen; then it lies on another lineage, if this replica serves. */
const otherLineageSweeps = 2;
/** Sweeps after which a request that could not even be proposed is refused. */
const waitSweeps = 5;

export interface OpeningPorts {
  readonly state: StateMachine;
  /** This replica is a member of a view, not between two, and has applied all that it knows to be committed. */
  caughtUp(): boolean;
  /** For so many sweeps a member may not have noticed yet that the others go on without it. */
  readonly staleSweeps: number;
  /** Somebody who is heard, this replica perhaps, has yet to merge what it holds of a fork. */
  merging(): boolean;
  /** Somebody of the config is not heard, who may hold a fork. */
  lacksSomebody(): boolean;
  propose(op: OpEntry): void;
  /** Puts an attach into the log; returns its seq. */
  attach(attachment: Attachment): number;
  /** The last place, at most at index `upTo`, that the log has in common with one that went through `place`. */
  common(place: Place, upTo: number): Place;
  sha256(bytes: Uint8Array): Uint8Array;
}

/** Where a client goes on. */
export interface Resumption {
  /** It has been on a fork, and knows what only that holds, as long as it is not merged. */
  readonly isFromFork: boolean;
  /** Up to here it has seen what was delivered: it is told what came after. */
  readonly from: number;
  /** Where it is told to be in the log. */
  readonly at: Place;
}

export interface OpeningOwner {
  opened(record: SessionRecord, resumption: Resumption): void;
  refused(code: ErrorCode, message: string): void;
}

type Stage = "waiting" | "registering" | "attaching" | "done";

export class Opening {
  readonly request: FrameOf<"openSession">;
  readonly attachment: Attachment;
  readonly #software: string;
  readonly #tokenHash: Uint8Array;
  readonly #ports: OpeningPorts;
  readonly #owner: OpeningOwner;
  #stage: Stage = "waiting";
  #sweeps = 0;
  /** The op under way: its session and seq. */
  #op: { readonly session: string; readonly seq: number } | null = null;

  /** `software`: what the client calls its program. */
  constructor(
    request: FrameOf<"openSession">,
    attachment: Attachment,
    software: string,
    ports: OpeningPorts,
    owner: OpeningOwner,
  ) {
    this.request = request;
    this.attachment = attachment;
    this.#software = software;
    this.#ports = ports;
    this.#owner = owner;
    this.#tokenHash = ports.sha256(request.token);
  }

  /** The log may hold its attachment, now or later. */
  get proposed(): boolean {
    return this.#op !== null;
  }

  /** Up to where what the client has seen is in this log, as far as can be known. Who names no place is believed. */
  get seen(): number {
    const { lastIndex, lastView, lastMessageIndex } = this.request;
    if (lastView === 0) return lastMessageIndex;
    return this.#ports.common({ index: lastIndex, view: lastView }, lastMessageIndex).index;
  }

  sweep(): void {
    this.#sweeps++;
    this.advance();
    if (this.#stage === "waiting" && this.#sweeps >= Math.max(waitSweeps, this.#ports.staleSweeps + 1)) {
      this.#refuse("unavailable", "This replica cannot open the session now: it does not serve, or is behind.");
    }
  }

  /** Its op was certainly not proposed. True if it was its op. */
  unavailable(op: { readonly session: string; readonly seq: number }, isSystem: boolean): boolean {
    if (this.#op === null || this.#op.seq !== op.seq || (this.#stage === "attaching") !== isSystem) return false;
    if (!isSystem && op.session !== this.request.session) return false;
    this.#op = null;
    this.#refuse("unavailable", "No view of the cluster could be reached.");
    return true;
  }

  /** A registration of its session came out of the log refused: that was known once, and has expired. */
  notRegistered({ code, message }: Pick<Refusal, "code" | "message">): void {
    if (this.#stage !== "registering") return;
    this.#op = null;
    this.#refuse(code, message);
  }

  /** Called whenever the state or this replica's standing has changed. */
  advance(): void {
    if (this.#stage === "done") return;
    if (isSystemSession(this.request.session)) {
      return this.#refuse("unauthorized", "Such a session is a replica's own.");
    }
    const record = this.#ports.state.session(this.request.session);
    if (this.#stage === "waiting") return this.#begin(record);
    if (record === null) return;
    if (!sameBytes(record.tokenHash, this.#tokenHash)) return this.#unauthorized();
    if (isSame(record.attachment, this.attachment)) {
      this.#stage = "done";
      this.#owner.opened(record, this.#resumption());
    } else if (this.#stage === "registering") {
      // An earlier registration got through, its answer did not.
      this.#attach();
    }
  }

  #begin(record: SessionRecord | null): void {
    const { lastIndex, create } = this.request;
    const { state } = this.#ports;
    if (state.applied.index < lastIndex) {
      // What a client has seen was on every member's disk: a member that serves has it within moments, or never.
      const sweeps = Math.max(otherLineageSweeps, this.#ports.staleSweeps);
      if (this.#sweeps < sweeps || !this.#ports.caughtUp()) return;
    }
    if (record === null) {
      if (create) this.#register();
      else if (this.#ports.caughtUp() && !this.#comesWithMerge())
        this.#refuse("unauthorized", "This session is not known in this cluster.");
      return;
    }
    if (!sameBytes(record.tokenHash, this.#tokenHash)) return this.#unauthorized();
    // Told that nobody is logged in, its client would take itself for logged out, and be refused until it logs out.
    if (record.user === null && this.#comesWithMerge()) return;
    this.#attach();
  }

  /**
   * It may have begun, or logged in, in a fork, as its client names a place that is not in this log; then that will be known
   * here soon. Who is not heard may have that fork: mostly it is a moment later, but it may be gone for good.
   */
  #comesWithMerge(): boolean {
    const isThere = this.#ports.merging() || (this.#sweeps < waitSweeps && this.#ports.lacksSomebody());
    return isThere && this.#isFromFork();
  }

  #isFromFork(): boolean {
    const { lastIndex: index, lastView: view } = this.request;
    return view !== 0 && this.#ports.common({ index, view }, index).index < index;
  }

  /**
   * What the client has seen after `from` may stand elsewhere in this log, and something else in its place. A place before
   * its own tells it to take again what it is told from there.
   */
  #resumption(): Resumption {
    const { lastIndex, lastView, lastMessageIndex } = this.request;
    const { index, view } = this.#ports.state.applied;
    const from = Math.min(this.seen, index);
    const isFromFork = this.#isFromFork();
    if (from >= lastMessageIndex || lastIndex === 0) return { isFromFork, from, at: { index, view } };
    const at = this.#ports.common({ index: lastIndex, view: lastView }, Math.min(from, lastIndex - 1));
    return { isFromFork, from, at };
  }

  #register(): void {
    const { session } = this.request;
    const { pid, incarnation, number } = this.attachment;
    const tokenHash = this.#tokenHash;
    this.#stage = "registering";
    this.#op = { session, seq: 0 };
    this.#ports.propose({
      session,
      seq: 0,
      oldest: 0,
      at: 0,
      origAt: 0,
      digest: this.#ports.sha256(tokenHash).slice(0, 8),
      command: encodeCommand({ type: "openSession", tokenHash, pid, incarnation, number, software: this.#software }),
    });
  }

  #attach(): void {
    this.#stage = "attaching";
    this.#op = { session: this.request.session, seq: this.#ports.attach(this.attachment) };
  }

  #unauthorized(): void {
    this.#refuse("unauthorized", "The token does not fit this session.");
  }

  #refuse(code: ErrorCode, message: string): void {
    this.#stage = "done";
    this.#owner.refused(code, message);
  }
}

export const isSame = (a: Attachment | null, b: Attachment): boolean =>
  a !== null && a.pid === b.pid && a.incarnation === b.incarnation && a.number === b.number;

/** In time that depends on the lengths alone. */
function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length;
  for (let at = 0; at < b.length; at++) difference |= (a[at] ?? 0) ^ (b[at] ?? 0);
  return difference === 0;
}
