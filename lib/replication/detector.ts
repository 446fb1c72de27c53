/**
 * Who is alive, as far as this replica can tell: what was heard from each peer and when. Evidence only speeds up
 * suspicion; no rule of safety rests on it alone. Knows no protocol beyond heartbeats and no clock but the ticks.
 */
import type { FrameOf, Member } from "../protocol/messages.ts";

export type Heartbeat = FrameOf<"heartbeat">;

interface Peer {
  /** The newest process known under this pid; null until one was met. */
  member: Member | null;
  /** When this process last said anything, and when it last said that it hears us. */
  heardMs: number;
  mutualMs: number;
  heartbeat: Heartbeat | null;
  /** Its host answered that nothing listens there, after the connection broke. */
  refused: boolean;
  /** The incarnation that said goodbye. */
  departed: number;
  /** The greatest view that counts on this process, and the greatest one that is known to have formed with it. */
  view: number;
  formedView: number;
}

export class Detector {
  readonly #self: Member;
  readonly #timeoutMs: number;
  readonly #peers = new Map<number, Peer>();
  #nowMs = 0;

  constructor(self: Member, timeoutMs: number) {
    this.#self = self;
    this.#timeoutMs = timeoutMs;
  }

  /** Time passes. After an own pause nobody is suspected for what could not be heard meanwhile. */
  tick(nowMs: number, paused: boolean): void {
    this.#nowMs = nowMs;
    if (!paused) return;
    for (const peer of this.#peers.values()) {
      peer.heardMs = nowMs;
      peer.mutualMs = nowMs;
    }
  }

  /**
   * Something came from this process. False if a later one is in its place: what it says is void. Of the same data directory
   * that is so for ever; of another disk as long as it is heard, for the clock that tells which is later may be wrong.
   */
  heard(from: Member): boolean {
    const peer = this.#peer(from.pid);
    const { member } = peer;
    const isLater = member !== null && member.incarnation > from.incarnation;
    if (isLater && (member.uuid === from.uuid || !this.#isGone(peer))) return false;
    if (peer.member?.uuid !== from.uuid || peer.member.incarnation !== from.incarnation) {
      peer.member = from;
      peer.heartbeat = null;
      peer.mutualMs = this.#nowMs;
      peer.formedView = 0;
    }
    peer.heardMs = this.#nowMs;
    peer.refused = false;
    return true;
  }

  /** False for one that was overtaken by a later one of the same process, whose promises only grow. */
  heartbeat(from: Member, heartbeat: Heartbeat): boolean {
    const peer = this.#peer(from.pid);
    if (peer.heartbeat !== null && heartbeat.promised < peer.heartbeat.promised) return false;
    if (isFromBefore(heartbeat, peer.formedView)) return false;
    peer.heartbeat = heartbeat;
    if (heartbeat.hears.includes(this.#self.pid)) peer.mutualMs = this.#nowMs;
    return true;
  }

  /**
   * A view counts on this process: it lived when that was begun, though it may not have been heard here since it was started
   * or stood still. What is known of its forerunner, or its silence before, says nothing of it.
   */
  countedOn(member: Member, view: number): void {
    const peer = this.#peer(member.pid);
    if (view <= peer.view) return;
    peer.view = view;
    if (peer.member !== null && peer.member.incarnation > member.incarnation) return;
    if (peer.member?.uuid !== member.uuid || peer.member.incarnation !== member.incarnation) this.heard(member);
    peer.heardMs = this.#nowMs;
    peer.mutualMs = this.#nowMs;
  }

  /** That view has formed with it: what it said of leaving before it had the VIEW entry is over. */
  formedWith(member: Member, view: number): void {
    this.countedOn(member, view);
    const peer = this.#peer(member.pid);
    if (peer.member?.uuid !== member.uuid || peer.member.incarnation !== member.incarnation) return;
    peer.formedView = Math.max(peer.formedView, view);
    if (peer.heartbeat !== null && isFromBefore(peer.heartbeat, peer.formedView)) peer.heartbeat = null;
  }

  /** It has answered something that was sent to it a moment ago, so it hears this replica. */
  answered(from: Member): void {
    this.#peer(from.pid).mutualMs = this.#nowMs;
  }

  disconnected(pid: number, refused: boolean): void {
    if (refused) this.#peer(pid).refused = true;
  }

  departed(from: Member): void {
    this.#peer(from.pid).departed = from.incarnation;
  }

  /** The newest process under this pid, if one was ever met. */
  member(pid: number): Member | null {
    return this.#peers.get(pid)?.member ?? null;
  }

  /** The last heartbeat of a peer that is not suspected. */
  fresh(pid: number): Heartbeat | null {
    const peer = this.#peers.get(pid);
    return peer?.heartbeat != null && !this.suspects(pid) ? peer.heartbeat : null;
  }

  /** Heard at least once and not suspected. */
  alive(pid: number): boolean {
    if (pid === this.#self.pid) return true;
    return this.#peers.get(pid)?.member != null && !this.suspects(pid);
  }

  /** Not reachable both ways for a timeout, refused, or departed. One's own pid is never suspected. */
  suspects(pid: number): boolean {
    if (pid === this.#self.pid) return false;
    const peer = this.#peer(pid);
    return this.#isGone(peer) || this.#nowMs - peer.mutualMs > 2 * this.#timeoutMs;
  }

  /** The same for one process: a newer one under its pid means that it is gone. */
  suspectsMember(member: Member): boolean {
    return this.isGone(member) || this.suspects(member.pid);
  }

  /** Not heard from any more, whether or not it hears us. */
  isGone({ pid, uuid, incarnation }: Member): boolean {
    if (pid === this.#self.pid) return uuid !== this.#self.uuid || incarnation !== this.#self.incarnation;
    const known = this.member(pid);
    if (known !== null && (known.uuid !== uuid || known.incarnation !== incarnation)) return true;
    return this.#isGone(this.#peer(pid));
  }

  #isGone(peer: Peer): boolean {
    if (peer.refused || peer.heartbeat?.left === true) return true;
    if (peer.member !== null && peer.departed === peer.member.incarnation) return true;
    return this.#nowMs - peer.heardMs > this.#timeoutMs;
  }

  /** Pids heard within the timeout, for the heartbeat. */
  hears(): number[] {
    const pids: number[] = [];
    for (const [pid, peer] of this.#peers) {
      if (peer.member !== null && !peer.refused && this.#nowMs - peer.heardMs <= this.#timeoutMs) pids.push(pid);
    }
    return pids;
  }

  #peer(pid: number): Peer {
    let peer = this.#peers.get(pid);
    if (peer === undefined) {
      peer = {
        member: null,
        heardMs: this.#nowMs,
        mutualMs: this.#nowMs,
        heartbeat: null,
        refused: false,
        departed: 0,
        view: 0,
        formedView: 0,
      };
      this.#peers.set(pid, peer);
    }
    return peer;
  }
}

/** That it leaves, told before it had the VIEW entry of this view. */
const isFromBefore = ({ left, lastView }: Heartbeat, view: number): boolean => left && lastView < view;
