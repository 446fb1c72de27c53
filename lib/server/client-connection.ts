/**
 * One client's connection after its hello: opens its session, takes its requests strictly in order, answers each once,
 * and holds back reading and answering when either side is behind. What is in the log and what is pending here is its
 * hub's business.
 */
import { limits } from "../base/limits.ts";
import { withArticle } from "../base/words.ts";
import { isClientOp, isClientQuery, isLongQuery } from "../protocol/answers.ts";
import type {
  AdminRequest,
  ClientOp,
  ClientQuery,
  ErrorCode,
  Frame,
  FrameOf,
  LongQuery,
  OpId,
  Push,
  QueryReply,
  Refusal,
} from "../protocol/messages.ts";
import type { Command } from "../protocol/commands.ts";
import type { Attachment, OpResult, SessionRecord, StateMachine } from "../protocol/state-machine.ts";
import type { Place } from "../replication/kinship.ts";
import type { Guesses } from "./guesses.ts";
import { Opening, type OpeningPorts, type Resumption } from "./opening.ts";
import { Overtaking } from "./overtaking.ts";
import { Pushes, unsentBytesMax } from "./pushes.ts";
import { lackingSweeps, reusedSeq, saysWhatIsAsked, saysWhatIsThere, unavailable } from "./refusals.ts";
import { directionOf, type Wire, type WireOwner } from "./wire.ts";

/** Reading stops while more requests than this wait, and goes on below a quarter of it. */
const waitingMax = 4 * limits.sessionWindow;
/** Of sweeps, which are seconds. A client pings more often than that. */
const { idleSeconds } = limits;

/** Answers a question from what is applied here now, for the account that asks, without holding up this thread. */
export type AnswerElsewhere = (query: LongQuery, account: OpId | null) => Promise<QueryReply | Refusal>;

export interface Hub extends OpeningPorts {
  readonly state: StateMachine;
  /** Null: the state answers everything itself, at once. */
  readonly answerElsewhere: AnswerElsewhere | null;
  /** Disks an acknowledgement stands for now. */
  readonly copies: number;
  /** Nothing more is begun. */
  readonly stopping: boolean;
  /** This replica is a member of a view: what it lacks the cluster lacks, but for what is on its way. */
  serves(): boolean;
  readonly guesses: Guesses;
  nextAttachment(session: string): Attachment;
  /** The session stands on this connection: an older one here gives it up. */
  opened(connection: ClientConnection): void;
  /** Whether its session is being opened: then it is told when the state or this replica's standing has changed. */
  opening(connection: ClientConnection, isOpening: boolean): void;
  /**
   * Whether this op is on its way already, asked for by this connection or another: its outcome goes here now. `no-such`:
   * what is on its way under its seq is something else.
   */
  redirect(
    session: string,
    op: ClientOp,
    connection: ClientConnection,
  ): "no" | "from-here" | "from-another" | "no-such";
  proposeCommand(connection: ClientConnection, op: ClientOp, command: Command, digest: Uint8Array): void;
  status(request: number): FrameOf<"statusReport">;
  /** Whether a connection comes from the machine on which this replica runs. */
  isOwnMachine(wire: Wire): boolean;
  /** An operator's request: it belongs to no session and waits for nothing. */
  administer(frame: AdminRequest, wire: Wire): void;
  /** `onPurpose`: it said goodbye. `overflowed`: it was cut because it reads too slowly. */
  gone(connection: ClientConnection, reason: string, onPurpose: boolean, overflowed: boolean): void;
}

type Request = ClientOp | ClientQuery;

export class ClientConnection implements WireOwner {
  readonly wire: Wire;
  readonly #hub: Hub;
  #opening: Opening | null = null;
  #session: string | null = null;
  #isFromFork = false;
  #attachment: Attachment | null = null;
  /** Requests that have not been begun, oldest first, from `#next` on. */
  #waiting: Request[] = [];
  #next = 0;
  #preparing = false;
  /** An op that would be refused for what this replica may only lack: it waits, with what was sent after it. */
  #lacking: { readonly op: ClientOp; readonly session: string; sweeps: number } | null = null;
  /** A question is being answered on another thread; what was sent after it waits. */
  #asking = false;
  /** Ops begun and not answered, and how many of them are not plain sends. */
  #unanswered = 0;
  #unansweredOthers = 0;
  readonly #overtaking = new Overtaking();
  #paused = false;
  /** Of `wire.takenBytes`, at the last sweep. */
  #takenBytes = 0;
  /** What the client calls its program. */
  readonly #software: string;
  /** The placement it knows, encoded. */
  #placement: Uint8Array;
  #leaving = false;
  readonly #pushes: Pushes;

  /** `placement`: encoded, as the welcome tells it; `software`: as the hello does. */
  constructor(wire: Wire, hub: Hub, placement: Uint8Array, software: string) {
    this.wire = wire;
    this.#hub = hub;
    this.#placement = placement;
    this.#software = software;
    this.#pushes = new Pushes(wire, hub.state);
    wire.owner = this;
  }

  /** The session that stands on this connection. */
  get session(): string | null {
    return this.#session;
  }

  get attachment(): Attachment | null {
    return this.#attachment;
  }

  /** Of the attachment that it has, or is about to have; 0 for none. */
  get attachmentNumber(): number {
    return (this.#attachment ?? this.#opening?.attachment)?.number ?? 0;
  }

  /** How far what was delivered to the session has arrived, as far as can be known. */
  get seen(): Place {
    return this.#pushes.seen;
  }

  /** Ops begun and not answered. */
  get unanswered(): number {
    return this.#unanswered + (this.#preparing || this.#lacking !== null ? 1 : 0);
  }

  // What the wire tells.

  frame(frame: Frame): void {
    const direction = directionOf(frame);
    if (direction !== "client" && direction !== "any") {
      return this.wire.refuse("unexpected", `${withArticle(frame.type)} frame is not for clients to send`);
    }
    switch (frame.type) {
      case "openSession":
        return this.#open(frame);
      case "goodbye":
        this.#leaving = true;
        return this.wire.close();
      case "error":
        return this.wire.close();
      case "status":
        // Says nothing of the ops before it; whoever asks may want to know why those are not answered.
        if (this.wire.connection.queuedBytes >= unsentBytesMax) return this.#enqueue(frame);
        return this.#answer(frame);
      case "clusterStatus":
      case "changeConfig":
        return this.#hub.administer(frame, this.wire);
      default:
        if (isClientQuery(frame)) return this.#enqueue(frame);
        if (!isClientOp(frame)) return this.wire.refuse("unexpected", `a second ${frame.type} frame`);
        if (this.#session === null && this.#opening === null) {
          return this.wire.refuse("unexpected", `${withArticle(frame.type)} frame before openSession`);
        }
        return this.#enqueue(frame);
    }
  }

  closed(reason: string, overflowed: boolean): void {
    this.#waiting = [];
    this.#next = 0;
    this.#lacking = null;
    // What was proposed for a session that did not get to stand may still attach it.
    this.#endOpening();
    // An end without a goodbye is a loss: a process that is killed ends its connections as politely as one that quits.
    this.#hub.gone(this, reason, this.#leaving, overflowed);
  }

  drained(): void {
    this.#pushes.goOn();
    this.#pump();
  }

  // What the hub tells.

  /** Once a second. */
  sweep(): void {
    this.#opening?.sweep();
    this.#pushes.sweep();
    this.#lookAgain();
    if (this.#isServed()) this.wire.quiet = 0;
    if (this.wire.quiet++ >= idleSeconds) this.wire.refuse("idle", `nothing was heard for ${idleSeconds} s`);
  }

  /** The state or this replica's standing has changed: what waited for it may go on. */
  advance(): void {
    this.#opening?.advance();
  }

  /**
   * Requests wait: on this side, or for the client to read the answers before them. Reading stops then, and with it pings
   * are read late, so that what counts is whether it goes on taking answers.
   */
  #isServed(): boolean {
    const { takenBytes, connection } = this.wire;
    const isReading = takenBytes > this.#takenBytes || connection.queuedBytes < unsentBytesMax;
    this.#takenBytes = takenBytes;
    return isReading && this.#waiting.length > this.#next;
  }

  /** The outcome of an op that this connection asked for. */
  settle(
    op: { readonly request: number; readonly seq: number; readonly type: ClientOp["type"] },
    result: OpResult,
  ): void {
    this.#unanswered--;
    if (op.type !== "send") this.#unansweredOthers--;
    if (result === unavailable) this.#overtaking.refused(op.seq);
    this.#reply(op.request, result);
  }

  /** To be called after all outcomes of a batch have been settled. */
  proceed(): void {
    this.#pump();
  }

  /** A registration of this session was refused. */
  notRegistered(session: string, refusal: Pick<Refusal, "code" | "message">): void {
    if (this.#opening?.request.session === session) this.#opening.notRegistered(refusal);
  }

  /** An op of the opening was certainly not proposed. */
  unavailable(op: { readonly session: string; readonly seq: number }, isSystem: boolean): boolean {
    return this.#opening?.unavailable(op, isSystem) ?? false;
  }

  push(push: Push, encoded: Uint8Array): void {
    this.#pushes.push(push, encoded);
  }

  /** Where this replica stands now, encoded: told when it differs from what the client knows. */
  placed(placement: Uint8Array): void {
    if (isSame(placement, this.#placement)) return;
    this.#placement = placement;
    this.wire.sendEncoded(placement);
  }

  /** The log goes over to another lineage. */
  leave(reason: string): void {
    this.#pushes.end();
    this.wire.leave(reason);
  }

  /** The session went on with another connection: this one is of no more use. */
  dismiss(): void {
    this.#attachment = null;
    this.wire.refuse("replaced", "the session went on with another connection");
  }

  // The session.

  #open(frame: FrameOf<"openSession">): void {
    if (this.#session !== null || this.#opening !== null) {
      return this.wire.refuse("unexpected", "a second openSession on one connection");
    }
    const { request } = frame;
    this.#opening = new Opening(frame, this.#hub.nextAttachment(frame.session), this.#software, this.#hub, {
      opened: (record, resumption) => this.#opened(request, record, resumption),
      refused: (code, message) => {
        this.#endOpening();
        this.#refuse(request, code, message);
        // What was sent ahead has no session to belong to.
        for (const waiting of this.#takeWaiting()) this.#refuse(waiting.request, code, message);
      },
    });
    // What it has seen on other connections, until it stands on this one.
    this.#pushes.from(this.#opening.seen);
    this.#hub.opening(this, true);
    this.#opening.advance();
  }

  #endOpening(): void {
    if (this.#opening?.proposed === true) this.#attachment = this.#opening.attachment;
    this.#opening = null;
    this.#hub.opening(this, false);
  }

  #opened(request: number, record: SessionRecord, { isFromFork, from, at }: Resumption): void {
    this.#endOpening();
    this.#isFromFork = isFromFork;
    this.#session = record.session;
    const { inbox, drafts } = this.#hub.state.waiting(record);
    const { index, view } = at;
    this.wire.send({ type: "sessionOpened", request, user: record.user, inbox, drafts, index, view });
    this.#pushes.begin(record.session, from);
    this.#hub.opened(this);
    this.#pushes.goOn();
    this.#pump();
  }

  // Requests.

  #enqueue(request: Request): void {
    this.#waiting.push(request);
    this.#pump();
    if (!this.#paused && this.#waiting.length - this.#next > waitingMax) {
      this.#paused = true;
      this.wire.connection.pause();
    }
  }

  #takeWaiting(): Request[] {
    const waiting = this.#waiting.slice(this.#next);
    this.#waiting = [];
    this.#next = 0;
    return waiting;
  }

  /**
   * Begins what may begin. An op is prepared from the state, so it waits for the ops before it that may change what it is
   * prepared from; plain sends change nothing of that and flow freely. A query sees all ops before it, and
   * the session that is being opened.
   */
  #pump(): void {
    while (
      this.#next < this.#waiting.length &&
      !this.#preparing &&
      this.#lacking === null &&
      !this.#asking &&
      !this.wire.over &&
      !this.#hub.stopping
    ) {
      if (this.wire.connection.queuedBytes >= unsentBytesMax) break;
      const head = this.#waiting[this.#next] as Request;
      if (isClientQuery(head)) {
        if (this.#unanswered > 0 || this.#opening !== null) break;
        this.#next++;
        this.#answer(head);
      } else {
        // A client's `oldest` says what it calls answered, not what is.
        if (this.#session === null || this.#unanswered >= limits.sessionWindow) break;
        if (head.type === "send" ? this.#unansweredOthers > 0 : this.#unanswered > 0) break;
        this.#next++;
        this.#begin(head, this.#session);
      }
    }
    // What has been begun is let go of, also while there is always something that waits.
    if (this.#next > 0 && 2 * this.#next >= this.#waiting.length) this.#waiting = this.#takeWaiting();
    if (this.#paused && this.#waiting.length - this.#next < waitingMax / 4) {
      this.#paused = false;
      this.wire.connection.resume();
    }
  }

  #answer(query: ClientQuery): void {
    if (query.type === "status") return this.wire.send(this.#hub.status(query.request));
    const { state, answerElsewhere } = this.#hub;
    const record = this.#session === null ? null : state.session(this.#session);
    if (answerElsewhere === null || !isLongQuery(query)) return this.wire.send(state.query(query, record));
    this.#asking = true;
    void answerElsewhere(query, record?.account ?? null).then((reply) => {
      this.#asking = false;
      if (this.wire.over) return;
      this.wire.send(reply);
      this.#pump();
    });
  }

  #begin(op: ClientOp, session: string): void {
    const { request, seq, oldest } = op;
    if (oldest === 0 || oldest > seq) {
      const rule = "oldest is from 1 to seq";
      return this.#refuse(request, "bad-command", `The op has seq ${seq} and oldest ${oldest}: ${rule}.`);
    }
    if (seq >= oldest + limits.sessionWindow) {
      const message = `At most ${limits.sessionWindow} ops may be unanswered at once: with oldest ${oldest}, seq ${seq} has to wait.`;
      return this.#refuse(request, "too-many", message);
    }
    this.#overtaking.asked(seq);
    const underway = this.#hub.redirect(session, op, this);
    if (underway === "from-another") this.#count(op);
    if (underway === "no-such") return this.#reply(request, reusedSeq);
    if (underway !== "no") return;
    const { state } = this.#hub;
    const known = state.result(session, seq, op);
    if (known !== null) return this.#reply(request, known.type === "refused" ? known : { ...known, duplicate: true });
    if (state.hasApplied(session, seq)) {
      return this.#refuse(request, "unknown", "This was done before; its result is no longer kept.");
    }
    const record = state.session(session);
    const attachment = this.#attachment;
    if (record === null || attachment === null) {
      return this.#refuse(request, "unauthorized", "This session is not known: open it again.");
    }
    const { guesses } = this.#hub;
    const { host } = this.wire;
    if (op.type === "resetPassword" && !this.#hub.isOwnMachine(this.wire)) {
      const message = `A replica resets passwords for its own machine only, not for ${host}.`;
      return this.#decline(op, record, "unauthorized", message);
    }
    const user = guessedUser(op, record);
    const slowed = guesses.refusal(user, host);
    if (slowed !== null) return this.#decline(op, record, slowed.code, slowed.message);
    this.#preparing = true;
    void state.prepare(op, record, attachment).then((outcome) => {
      this.#preparing = false;
      const prepared = guesses.judge(user, host, outcome);
      // Nobody waits for it any more, and nothing of it is in the log: the client asks again elsewhere.
      if (this.wire.over) return;
      const isUncertain = !prepared.ok && saysWhatIsThere.has(prepared.code) && this.#mayLack();
      // Also where it was prepared in vain: perhaps for want of what is asked for again.
      if (this.#overtaking.overtakes(op)) {
        this.#giveUp(op);
      } else if (isUncertain) {
        this.#lacking = { op, session, sweeps: 0 };
      } else if (prepared.ok) {
        this.#propose(op, prepared.command, prepared.digest);
      } else {
        this.#decline(op, record, prepared.code, prepared.message);
      }
      this.#pump();
    });
  }

  /** It was not proposed, and never will be. */
  #giveUp({ request, seq }: ClientOp): void {
    this.#overtaking.refused(seq);
    this.#reply(request, unavailable);
  }

  /** What was lacking may have come, or is known not to. */
  #lookAgain(): void {
    const lacking = this.#lacking;
    if (lacking === null || (this.#mayLack() && ++lacking.sweeps < lackingSweeps)) return;
    this.#lacking = null;
    if (lacking.sweeps < lackingSweeps) this.#begin(lacking.op, lacking.session);
    else this.#giveUp(lacking.op);
    this.#pump();
  }

  /** Whether what this replica lacks may be there all the same, and come here. */
  #mayLack(): boolean {
    return !this.#hub.serves() || (this.#isFromFork && this.#hub.merging());
  }

  #propose(op: ClientOp, command: Command, digest: Uint8Array): void {
    this.#count(op);
    this.#hub.proposeCommand(this, op, command, digest);
  }

  /**
   * Refuses an op for good. MUST NOT do so by itself where the session may have asked for it elsewhere: another replica may
   * have it on its way still, with what it was prepared from, and it would be done after all. So the log says which came first.
   */
  #decline(op: ClientOp, { isResumed }: SessionRecord, code: ErrorCode, message: string): void {
    if (!isResumed || saysWhatIsAsked.has(code)) return this.#refuse(op.request, code, message);
    this.#propose(op, { type: "refuse", code, message }, this.#hub.state.contentDigest(op));
  }

  #count(op: ClientOp): void {
    this.#unanswered++;
    if (op.type !== "send") this.#unansweredOthers++;
  }

  #reply(request: number, result: OpResult): void {
    if (result.type === "refused") return this.#refuse(request, result.code, result.message);
    this.wire.send({ ...result, request, copies: this.#hub.copies });
  }

  #refuse(request: number, code: ErrorCode, message: string): void {
    this.wire.send({ type: "refused", request, code, message });
  }
}

/** Whose password the op tries, if it does. */
function guessedUser(op: ClientOp, { user }: SessionRecord): string | null {
  if (op.type === "login") return op.user;
  return op.type === "deleteAccount" || op.type === "changePassword" ? user : null;
}

const isSame = (one: Uint8Array, other: Uint8Array): boolean =>
  one.length === other.length && one.every((byte, at) => byte === other[at]);
