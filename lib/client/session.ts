/**
 * A session as the client remembers it: the ids it has given out, the ops not yet acknowledged, what it has seen of the
 * log. Pure state that can be saved and restored. Must not know connections, time, promises or frames' request numbers.
 */
import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import type { ChatMessage } from "../protocol/messages.ts";
import { continuedIds } from "./ids.ts";
import type { OpIds, OpRequest } from "./types.ts";

/** An op under its id, until its answer is known. */
export interface PendingOp {
  readonly seq: number;
  readonly op: OpRequest;
  /**
   * On how many connections it has been sent. Above one, a replica that says "never proposed" can only speak of itself:
   * an earlier one may have proposed it.
   */
  connections: number;
  /** It is not sent yet, nor is what comes after it. */
  held: boolean;
  /** Kept outside this process until its answer is known: it is asked for until there is one. */
  readonly kept: boolean;
}

/**
 * Everything needed to go on with a session in another process. Holds the token and, in ops that log in, passwords:
 * whoever stores it keeps it from other users' eyes.
 */
export interface SavedSession {
  readonly session: string;
  readonly token: Uint8Array;
  readonly registered: boolean;
  readonly next: number;
  readonly user: string | null;
  readonly lastView: number;
  readonly lastIndex: number;
  readonly lastMessageIndex: number;
  readonly recentMessages: readonly string[];
  readonly ops: readonly Readonly<PendingOp>[];
}

/**
 * Message ids remembered to recognise one that comes again at another index (after a fork was merged). What comes again
 * comes in the old order, so that a fork of more messages than this is told again as a whole: it is as many as any
 * partition is likely to leave, and at most some ten megabytes.
 */
export const recentMessagesMax = 65_536;

export class Session {
  readonly session: string;
  readonly token: Uint8Array;
  /** A replica has confirmed that the log knows this session. */
  registered = false;
  /** The account it is logged in to. */
  user: string | null = null;
  /** The last place in the log a reply came from: a view and an index of the same entry. */
  lastView = 0;
  lastIndex = 0;
  lastMessageIndex = 0;

  readonly #ids: OpIds;
  readonly #ops = new Map<number, PendingOp>();
  /** In order of arrival, the oldest first. */
  readonly #recentMessages = new Set<string>();
  #next = 1;
  #oldest = 1;

  private constructor(ids: OpIds, token: Uint8Array) {
    this.session = ids.session;
    this.token = token;
    this.#ids = ids;
  }

  /** A session nobody knows yet; its registration takes seq 0. */
  static begin(ids: OpIds, token: Uint8Array): Session {
    assert(ids.next() === 0, "the registration is the first id of a session");
    return new Session(ids, token);
  }

  static restore(saved: SavedSession): Session {
    const session = new Session(continuedIds(saved.session, saved.next), saved.token);
    session.registered = saved.registered;
    session.user = saved.user;
    session.lastView = saved.lastView;
    session.lastIndex = saved.lastIndex;
    session.lastMessageIndex = saved.lastMessageIndex;
    for (const id of saved.recentMessages) session.#recentMessages.add(id);
    let previous = 0;
    for (const pending of saved.ops) {
      assert(pending.seq > previous && pending.seq < saved.next, "saved ops are in order, below the next seq");
      previous = pending.seq;
      session.#ops.set(pending.seq, { ...pending });
    }
    session.#next = saved.next;
    session.#oldest = saved.ops[0]?.seq ?? saved.next;
    return session;
  }

  save(): SavedSession {
    return {
      session: this.session,
      token: this.token,
      registered: this.registered,
      next: this.#next,
      user: this.user,
      lastView: this.lastView,
      lastIndex: this.lastIndex,
      lastMessageIndex: this.lastMessageIndex,
      recentMessages: [...this.#recentMessages],
      ops: [...this.#ops.values()].toSorted((a, b) => a.seq - b.seq).map((pending) => ({ ...pending })),
    };
  }

  /** The seq that the next op will get. */
  get next(): number {
    return this.#next;
  }

  /** The oldest seq not acknowledged; `next` when there is none. */
  get oldest(): number {
    return this.#oldest;
  }

  get outstanding(): number {
    return this.#ops.size;
  }

  /** Ops below this seq may be sent now; the others wait for acknowledgements. */
  get sendable(): number {
    return Math.min(this.#next, this.#oldest + limits.sessionWindow);
  }

  /** True once an op may have left this process: a session that the servers then do not know has lost something. */
  get used(): boolean {
    if (this.#next === 1) return false;
    if (this.#ops.size < this.#next - 1) return true;
    for (const pending of this.#ops.values()) if (pending.connections > 0) return true;
    return false;
  }

  /** Gives an op its id and keeps it until {@link acknowledge}. */
  add(op: OpRequest, kept = false): PendingOp {
    const seq = this.#ids.next();
    assert(seq === this.#next, "seqs have no gaps");
    const pending: PendingOp = { seq, op, connections: 0, held: kept, kept };
    this.#ops.set(seq, pending);
    this.#next = seq + 1;
    return pending;
  }

  /** Takes up an op to which an earlier process gave its id: that one may have sent it. */
  repeat(seq: number, op: OpRequest): PendingOp {
    assert(seq > 0 && seq < this.#next && !this.#ops.has(seq), "an op that is repeated has an id, and is not open");
    const pending: PendingOp = { seq, op, connections: 1, held: false, kept: true };
    this.#ops.set(seq, pending);
    this.#oldest = Math.min(this.#oldest, seq);
    return pending;
  }

  get(seq: number): PendingOp | undefined {
    return this.#ops.get(seq);
  }

  /** The op's answer is known. False when it was known before (an answer that came twice). */
  acknowledge(seq: number): boolean {
    if (!this.#ops.delete(seq)) return false;
    while (this.#oldest < this.#next && !this.#ops.has(this.#oldest)) this.#oldest++;
    return true;
  }

  /** A reply came from this place in the log. */
  saw(index: number, view: number): void {
    if (index <= this.lastIndex) return;
    this.lastIndex = index;
    this.lastView = view;
  }

  /**
   * The session stands on a replica that has applied up to here. It answers only when it has applied what this session
   * has seen; an index below that means another lineage, whose indices start counting from there.
   */
  resumed(index: number, view: number): void {
    if (index < this.lastIndex) this.lastMessageIndex = Math.min(this.lastMessageIndex, index);
    this.lastIndex = index;
    this.lastView = view;
    this.registered = true;
  }

  /** Whether this message is new to the session. Messages come in log order, so that an index seen is not news. */
  admit(message: ChatMessage): boolean {
    if (message.index <= this.lastMessageIndex) return false;
    this.lastMessageIndex = message.index;
    const id = `${message.id.session}/${message.id.seq}`;
    if (this.#recentMessages.has(id)) return false;
    this.#recentMessages.add(id);
    if (this.#recentMessages.size > recentMessagesMax) {
      for (const oldest of this.#recentMessages) {
        this.#recentMessages.delete(oldest);
        break;
      }
    }
    return true;
  }
}
