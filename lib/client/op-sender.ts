/**
 * Sends the ops of a session on the connection that stands: in the order of their seqs, within the window, none before it
 * is kept where it shall be kept, and once more where a replica could not say what became of it. Holds no promises: who
 * waits for answers is the client's business.
 */
import type { Clock } from "../base/transport.ts";
import type { Session, PendingOp } from "./session.ts";

/** When an op that may have been proposed is to be asked about again after `unavailable`. */
const askAgainMs = 250;

export class OpSender {
  readonly #session: Session;
  readonly #clock: Clock;
  readonly #transmit: (pending: PendingOp) => void;
  #isOpen = false;
  /** The next seq to send on this connection. */
  #next = 1;
  /** Ops to be sent once more on this connection. */
  readonly #again = new Set<number>();
  #cancelAgain: () => void = () => {};

  /** `transmit` puts an op on the connection that stands. */
  constructor(session: Session, clock: Clock, transmit: (pending: PendingOp) => void) {
    this.#session = session;
    this.#clock = clock;
    this.#transmit = transmit;
  }

  /** The session stands on a new connection: all that is open goes out. */
  opened(): void {
    this.#isOpen = true;
    if (!globalThis.mistaken?.("unanswered not sent again")) this.#next = this.#session.oldest;
    this.pump();
  }

  /** There is no connection to send on. */
  closed(): void {
    this.#isOpen = false;
    this.#cancelAgain();
    this.#again.clear();
  }

  /** An op was added, or was given a seq by an earlier process. */
  added({ seq }: PendingOp): void {
    this.#next = Math.min(this.#next, seq);
    this.pump();
  }

  /** Sends what may be sent now. */
  pump(): void {
    if (!this.#isOpen || this.#again.size > 0) return;
    for (; this.#next < this.#session.sendable; this.#next++) {
      const pending = this.#session.get(this.#next);
      if (pending === undefined) continue;
      if (pending.held) return;
      pending.connections++;
      this.#transmit(pending);
    }
  }

  /**
   * This replica has certainly not proposed the op, but an earlier one may have: its outcome is unknown, so that it is
   * sent again until it is known. What comes after it waits meanwhile.
   */
  askAgain({ seq }: PendingOp): void {
    this.#again.add(seq);
    if (this.#again.size > 1) return;
    this.#cancelAgain = this.#clock.setTimer(askAgainMs, () => {
      const seqs = [...this.#again].toSorted((a, b) => a - b);
      this.#again.clear();
      for (const each of seqs) {
        const pending = this.#session.get(each);
        if (pending !== undefined) this.#transmit(pending);
      }
      this.pump();
    });
  }
}
