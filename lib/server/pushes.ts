/**
 * What a connection pushes to its client: what the session missed while it was between replicas, then what comes live, in
 * log order and each message once; and how far that has arrived, as far as can be known. Answers no request.
 */
import { limits } from "../base/limits.ts";
import type { Push } from "../protocol/messages.ts";
import type { StateMachine } from "../protocol/state-machine.ts";
import type { Place } from "../replication/kinship.ts";
import type { Wire } from "./wire.ts";

/** Bytes on their way to the client above which nothing more is pushed of what was missed, and no request is answered. */
export const unsentBytesMax = 1024 * 1024;
/** A client that lives is heard once a second. */
const heardSweeps = 2;

export class Pushes {
  /** Null before the session stands. */
  #session: string | null = null;
  /** Pushes up to this index have been sent; what is above comes live once `#caughtUp`. */
  #pushedIndex = 0;
  #caughtUp = false;
  /** How far the state was at the last sweep, and at the last one but one after which the client was heard. */
  #sweptIndex = 0;
  #heardIndex = 0;
  /** What `seen` was when the connection was given up. */
  #seenAtEnd: Place | null = null;

  constructor(
    private readonly wire: Wire,
    private readonly state: StateMachine,
  ) {}

  /** What was delivered to the session up to this index, on other connections, has arrived. */
  from(index: number): void {
    this.#pushedIndex = index;
  }

  /**
   * What was delivered to the session up to this place has arrived, as far as can be known. What was sent to a client that
   * takes nothing any more, or is not heard, has not.
   */
  get seen(): Place {
    if (this.#seenAtEnd !== null) return this.#seenAtEnd;
    const isHeard =
      (this.wire.quiet <= heardSweeps && this.wire.connection.queuedBytes === 0) ||
      globalThis.mistaken?.("unheard counts as seen");
    const { applied } = this.state;
    const index = isHeard ? applied.index : this.#heardIndex;
    return { index: this.#caughtUp ? index : Math.min(index, this.#pushedIndex), view: applied.view };
  }

  /** Nothing is sent any more. What is applied from here on, perhaps on another lineage, has not arrived. */
  end(): void {
    this.#seenAtEnd ??= this.seen;
  }

  /** Once a second. */
  sweep(): void {
    if (this.wire.quiet === 0 && this.wire.connection.queuedBytes === 0) this.#heardIndex = this.#sweptIndex;
    this.#sweptIndex = this.state.applied.index;
  }

  /** The session stands on this connection; its client has seen what was delivered up to `lastMessageIndex`. */
  begin(session: string, lastMessageIndex: number): void {
    // What a client has seen above that lies on another lineage, or comes again and is known to it.
    const from = Math.min(lastMessageIndex, this.state.applied.index);
    this.#session = session;
    this.#pushedIndex = from;
    this.#heardIndex = from;
    this.#sweptIndex = from;
    if (globalThis.mistaken?.("missed is not pushed")) this.#pushedIndex = this.state.applied.index;
  }

  /** Sends what arrived while the session was between replicas, as fast as the client reads it. */
  goOn(): void {
    const session = this.#session;
    if (session === null || this.#caughtUp) return;
    const { state, wire } = this;
    while (!wire.over && wire.connection.queuedBytes < unsentBytesMax) {
      const record = state.session(session);
      const pushes = record === null ? [] : state.missed(record, this.#pushedIndex, limits.pageMax);
      const messages = pushes.filter((push) => push.type === "message");
      const isLast = messages.length < limits.pageMax;
      // What is no message belongs to no page: it follows the last one.
      for (const push of isLast ? pushes : messages) wire.send(push);
      this.#pushedIndex = messages.at(-1)?.message.index ?? this.#pushedIndex;
      if (!isLast) continue;
      this.#caughtUp = true;
      this.#pushedIndex = Math.max(this.#pushedIndex, state.applied.index);
      return;
    }
  }

  /** Pushes come in log order; those that the catching up has sent or will send are left out. */
  push(push: Push, encoded: Uint8Array): void {
    if (push.type === "message") {
      if (!this.#caughtUp || push.message.index <= this.#pushedIndex) return;
      this.#pushedIndex = push.message.index;
    }
    this.wire.sendEncoded(encoded);
  }
}
