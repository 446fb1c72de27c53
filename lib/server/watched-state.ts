/**
 * The state machine as the driver gets it: the same one, but what moves sessions between connections is noticed on the
 * way, so that a connection learns at once that its session went on elsewhere or was given up. Changes nothing.
 */
import { decodeCommand } from "../protocol/codec.ts";
import { commands, type Command } from "../protocol/commands.ts";
import type { OpEntry } from "../protocol/entries.ts";
import type { ClientOp } from "../protocol/messages.ts";
import type {
  Applied,
  Attachment,
  CommittedEntry,
  OpResult,
  SessionRecord,
  StateMachine,
} from "../protocol/state-machine.ts";

export class WatchedState implements StateMachine {
  #inner: StateMachine;
  #moved = new Set<string>();
  /** The state is about to be emptied, to be built again on another lineage, or to be replaced. */
  onReset: () => void = () => {};

  constructor(inner: StateMachine) {
    this.#inner = inner;
  }

  /** Sessions for which an `attach` or a `detach` was applied since the last call. */
  takeMoved(): ReadonlySet<string> {
    const moved = this.#moved;
    if (moved.size > 0) this.#moved = new Set();
    return moved;
  }

  get applied() {
    return this.#inner.applied;
  }

  get clock(): number {
    return this.#inner.clock;
  }

  /** Another state takes the place of the one so far, which is closed. */
  replace(inner: StateMachine): void {
    this.onReset();
    const before = this.#inner;
    this.#inner = inner;
    before.close();
  }

  apply(entries: readonly CommittedEntry[]): Applied {
    for (const { op } of entries) {
      // The second byte of a command is its number, as long as that is below 24.
      const number = op?.command[1];
      if (op === null || (number !== commands.attach.number && number !== commands.detach.number)) continue;
      const command: Command = decodeCommand(op.command);
      if (command.type === "attach" || command.type === "detach") this.#moved.add(command.session);
    }
    return this.#inner.apply(entries);
  }

  reset(): void {
    this.onReset();
    this.#inner.reset();
  }

  close(): void {
    this.#inner.close();
  }

  session(session: string): SessionRecord | null {
    return this.#inner.session(session);
  }

  hasMerged(op: OpEntry): boolean {
    return this.#inner.hasMerged(op);
  }

  hasApplied(session: string, seq: number): boolean {
    return this.#inner.hasApplied(session, seq);
  }

  result(session: string, seq: number, request?: ClientOp): OpResult | null {
    return this.#inner.result(session, seq, request);
  }

  contentDigest(request: ClientOp): Uint8Array {
    return this.#inner.contentDigest(request);
  }

  prepare(request: ClientOp, session: SessionRecord, attachment: Attachment) {
    return this.#inner.prepare(request, session, attachment);
  }

  query(request: Parameters<StateMachine["query"]>[0], session: SessionRecord | null) {
    return this.#inner.query(request, session);
  }

  waiting(session: SessionRecord) {
    return this.#inner.waiting(session);
  }

  missed(session: SessionRecord, afterIndex: number, limit: number) {
    return this.#inner.missed(session, afterIndex, limit);
  }

  idleSessions(before: number, limit: number): readonly string[] {
    return this.#inner.idleSessions(before, limit);
  }

  attachments() {
    return this.#inner.attachments();
  }
}
