/**
 * Presence as this replica brings it into the log: attaching the sessions that it holds, detaching those whose connection
 * has ended, on whatever lineage, and, as the primary, those whose replica is gone. Each is a system op under this
 * process's own name. Holds no connection.
 */
import { limits } from "../base/limits.ts";
import { encodeCommand } from "../protocol/codec.ts";
import type { Command } from "../protocol/commands.ts";
import type { OpEntry } from "../protocol/entries.ts";
import type { Member } from "../protocol/messages.ts";
import type { Attachment, StateMachine } from "../protocol/state-machine.ts";
import type { Place } from "../replication/kinship.ts";

/** How many sweeps (seconds) a replica has to come back, or a new primary to hear of it, before its sessions are detached. */
const absenceSweeps = 10;
/** The primary looks for sessions of absent replicas this often, and detaches so many of them at a time. */
const searchSweeps = 3;
const searchOpsMax = 1000;
/** Ended attachments of which it is remembered what had arrived, should they turn out to be in the log still. */
const endedMax = 10_000;

/** How often the primary looks for sessions that have expired, in sweeps. */
const expirySweeps = 60;

const origin: Place = { index: 0, view: 0 };
const noDigest = new Uint8Array(8);
const keyOf = ({ pid, incarnation, number }: Attachment): string => `${pid}/${incarnation}/${number}`;

/** An attachment that has ended, and up to which place of which lineage what was delivered to it has arrived. */
interface Ended {
  readonly attachment: Attachment;
  readonly seen: Place;
}

export interface AttachmentsPorts {
  readonly propose: (op: OpEntry) => void;
  /** The last place, at most at index `upTo`, that the log has in common with one that went through `place`. */
  readonly common: (place: Place, upTo: number) => Place;
  /** How far the state has come: with it goes what is proposed, should the log leave that. */
  readonly applied: () => number;
}

/** What is known of the processes that hold, or held, sessions. */
export interface Processes {
  /** Whether that process was heard within the time of absence. */
  readonly isLive: (pid: number, incarnation: number) => boolean;
  /** How far it knew the log committed when it was heard last: what came after reached none of its clients. */
  readonly commitOf: (pid: number, incarnation: number) => Place;
}

export class Attachments {
  readonly #self: Member;
  readonly #systemSession: string;
  readonly #ports: AttachmentsPorts;
  readonly #unusedMs: number;
  #number = 0;
  #seq = 0;
  /** Detaches under way, by the seq of their op. */
  readonly #detaching = new Map<number, Ended>();
  /** Attachments whose connection was lost, and for how many sweeps they may still be resumed. */
  readonly #lost = new Map<Ended, number>();
  /** Attachments of absent replicas for which a detach was proposed, with the sweep in which it was. */
  readonly #orphaned = new Map<string, number>();
  /** Attachments of this process that have ended, by their number: up to which place what was delivered had arrived. */
  readonly #ended = new Map<number, Place>();
  /** The log went over to another lineage, on which what has ended here may not have ended. */
  #hasMoved = false;
  #sweeps = 0;
  #primarySweeps = 0;

  /**
   * `systemSession` is this process's alone: under it every system op has its own seq. `unusedMs`: for how long sessions
   * stay that nobody uses.
   */
  constructor(
    self: Member,
    systemSession: string,
    ports: AttachmentsPorts,
    unusedMs = limits.sessionDays * 86_400_000,
  ) {
    this.#self = self;
    this.#systemSession = systemSession;
    this.#ports = ports;
    this.#unusedMs = unusedMs;
  }

  /** An attachment for a new connection; not in the log yet. */
  next(session: string): Attachment {
    const { pid, incarnation } = this.#self;
    return { session, pid, incarnation, number: ++this.#number };
  }

  attach(attachment: Attachment): number {
    return this.#op({ type: "attach", ...attachment });
  }

  /**
   * The connection ended on purpose. `seen`: what was delivered after this place has not arrived. If the log has gone
   * another way meanwhile, nor has what it holds since. MUST NOT be proposed before the state has come so far again: the log
   * may go another way once more from before that place, and the op would stay, and tell of one of the lineage before.
   */
  detach(attachment: Attachment, seen: Place): void {
    this.#remember(attachment, seen);
    const { index } = this.#ports.common(seen, seen.index);
    if (index > this.#ports.applied()) return this.#tryAgain({ attachment, seen });
    this.#detaching.set(this.#op({ type: "detach", ...attachment, seen: index }), { attachment, seen });
  }

  /** The connection was lost: detached unless it is resumed, here or elsewhere, in time. A later attachment wins. */
  detachLater(attachment: Attachment, seen: Place): void {
    this.#lost.set({ attachment, seen }, limits.graceSeconds);
  }

  /** Whether an op is one of this process. */
  isOwn(op: { readonly session: string }): boolean {
    return op.session === this.#systemSession;
  }

  /** One of its ops came out of the log. */
  settled(seq: number): void {
    this.#detaching.delete(seq);
  }

  /** One of its ops was certainly not proposed: a detach is tried again later. */
  unavailable(seq: number): void {
    const ended = this.#detaching.get(seq);
    this.#detaching.delete(seq);
    if (ended !== undefined) this.#tryAgain(ended);
  }

  /** Those of other processes, when they are found to be absent once more. */
  #tryAgain(ended: Ended): void {
    if (this.#isMine(ended.attachment)) this.#lost.set(ended, 1);
    else this.#orphaned.delete(keyOf(ended.attachment));
  }

  /** The log went over to another lineage: the state is built again, and what was on its way into the log need not arrive. */
  lineageChanged(): void {
    this.#hasMoved = true;
    for (const ended of this.#detaching.values()) this.#tryAgain(ended);
    this.#detaching.clear();
  }

  /** The state has this attachment now. If it ended here before, the op that made it has come out of the log once more. */
  standsAgain(attachment: Attachment): void {
    const seen = this.#ended.get(attachment.number);
    if (seen === undefined || !this.#isMine(attachment)) return;
    if (!this.#ending().has(attachment.number)) this.detachLater(attachment, seen);
  }

  /** Whether this process made it; others count from 1 as well. */
  #isMine({ pid, incarnation }: Attachment): boolean {
    return pid === this.#self.pid && incarnation === this.#self.incarnation;
  }

  /** The numbers of those of this process that are lost, or being detached. */
  #ending(): ReadonlySet<number> {
    const ending = [...this.#lost.keys(), ...this.#detaching.values()].map(({ attachment }) => attachment);
    return new Set(ending.filter((each) => this.#isMine(each)).map(({ number }) => number));
  }

  /** Once a second. `isHeld`: whether a connection has, or is about to have, the attachment of that number. */
  sweep(
    state: StateMachine,
    isServingPrimary: boolean,
    { isLive, commitOf }: Processes,
    isHeld: (number: number) => boolean,
  ): void {
    this.#sweeps++;
    if (this.#hasMoved && this.#sweeps % searchSweeps === 0) this.#loseStrays(state, isHeld);
    for (const [ended, sweeps] of [...this.#lost]) {
      if (sweeps > 1) {
        this.#lost.set(ended, sweeps - 1);
        continue;
      }
      this.#lost.delete(ended);
      this.detach(ended.attachment, ended.seen);
    }
    // A new primary has heard nobody yet.
    this.#primarySweeps = isServingPrimary ? this.#primarySweeps + 1 : 0;
    if (this.#primarySweeps <= absenceSweeps || this.#sweeps % searchSweeps !== 0) return;
    for (const [key, sweep] of this.#orphaned) if (this.#sweeps - sweep > absenceSweeps) this.#orphaned.delete(key);
    let found = 0;
    for (const attachment of state.attachments()) {
      const { pid, incarnation } = attachment;
      const key = keyOf(attachment);
      if (isLive(pid, incarnation) || this.#orphaned.has(key)) continue;
      this.#orphaned.set(key, this.#sweeps);
      this.detach(attachment, commitOf(pid, incarnation));
      if (++found === searchOpsMax) return;
    }
  }

  /**
   * Where the end of an attachment stood in a fork alone, the lineage has the session attached to this process, which
   * lives: nobody else would ever detach it.
   */
  #loseStrays(state: StateMachine, isHeld: (number: number) => boolean): void {
    const ending = this.#ending();
    let found = 0;
    for (const attachment of state.attachments()) {
      const { number } = attachment;
      if (!this.#isMine(attachment) || isHeld(number) || ending.has(number)) continue;
      // When that is not known, more than necessary goes back into the inbox.
      this.detachLater(attachment, this.#ended.get(number) ?? origin);
      if (++found === searchOpsMax) return;
    }
  }

  #remember(attachment: Attachment, seen: Place): void {
    if (!this.#isMine(attachment)) return;
    this.#ended.set(attachment.number, seen);
    for (const oldest of this.#ended.keys()) {
      if (this.#ended.size <= endedMax) break;
      this.#ended.delete(oldest);
    }
  }

  /**
   * Now and then, on the primary of a view in which no replica is missing and nothing of a fork is left: sessions that
   * have not been used for long are closed, and those that were found closed are forgotten. The log's clock counts, not
   * that of a machine.
   */
  expire(state: StateMachine): void {
    if (this.#sweeps % expirySweeps !== 0) return;
    const before = state.clock - this.#unusedMs;
    const sessions = before <= 0 ? [] : [...state.idleSessions(before, limits.pageMax)];
    if (sessions.length > 0) this.#op({ type: "expire", settled: state.applied.index, before, sessions });
  }

  #op(command: Extract<Command, { type: "attach" | "detach" | "expire" }>): number {
    const seq = ++this.#seq;
    this.#ports.propose({
      session: this.#systemSession,
      seq,
      oldest: seq,
      at: 0,
      origAt: 0,
      digest: noDigest,
      command: encodeCommand(command),
    });
    return seq;
  }
}
