/**
 * What one simulated process does for its clients: takes their ops, answers them when they come out of the log, and
 * shows the judge every answer. Proposes through the driver; knows no views.
 */
import type { OpEntry } from "../protocol/entries.ts";
import type { FrameOf, Member } from "../protocol/messages.ts";
import type { Applied, OpResult } from "../protocol/state-machine.ts";
import type { Standing } from "../replication/events.ts";
import type { Oracle } from "./checkers.ts";
import type { ObservedState } from "./observed-state.ts";
import type { Presence } from "./presence.ts";
import type { Random } from "./random.ts";
import type { ShadowLog } from "./shadow-log.ts";
import type { Simulator } from "./simulator.ts";
import type { ClientSide } from "./process.ts";
import type { ClientConnection } from "./workload.ts";

/** The process, as its clients' side sees it. */
export interface Served {
  readonly simulator: Simulator;
  readonly oracle: Oracle;
  readonly random: Random;
  readonly state: ObservedState;
  readonly shadow: ShadowLog;
  /** Null where sessions need no holder. */
  readonly presence: Presence | null;
  /** It has not died. */
  runs(): boolean;
  standing(): Standing;
  propose(op: OpEntry): void;
}

const answerMs = 0.2;

export class Service implements ClientSide {
  /** Who waits for which op. */
  private readonly waiting = new Map<string, ClientConnection>();
  /** Connections that end, as no session stands on them or the state is given up: nothing more is taken from them. */
  private readonly ending = new WeakSet<ClientConnection>();

  constructor(private readonly served: Served) {}

  get keepsSessions(): boolean {
    return this.served.presence !== null;
  }

  /** Looks after sessions: those whose connection has ended, whose replica is gone, that nobody uses. */
  sweep(): void {
    this.served.presence?.sweep();
  }

  heard(from: Member, heartbeat: FrameOf<"heartbeat">): void {
    this.served.presence?.heard(from, heartbeat);
  }

  accept(op: OpEntry, connection: ClientConnection): void {
    const { served } = this;
    const { presence } = served;
    if (!connection.open || this.ending.has(connection)) return;
    if (served.state.hasClosed(op.session)) {
      served.simulator.after(answerMs, () => connection.forgotten(op.session));
      return;
    }
    if (presence !== null && op.seq === 0) {
      const registration = presence.open(op, connection);
      if (registration === null) return;
      this.waiting.set(`${op.session}/0`, connection);
      served.propose(registration);
      return;
    }
    const known = served.state.result(op.session, op.seq);
    if (known !== null && served.standing().copies > 0) {
      this.reply(connection, op.session, op.seq, known, served.standing());
      return;
    }
    this.waiting.set(`${op.session}/${op.seq}`, connection);
    served.propose(served.state.prepared(op));
  }

  applied({ outcomes }: Applied, standing: Standing): void {
    const { presence } = this.served;
    for (const op of presence === null ? [] : outcomes) if (presence?.isOwn(op) === true) presence.settled(op.seq);
    if (standing.copies === 0) return;
    for (const { session, seq, result } of outcomes) {
      const key = `${session}/${seq}`;
      const connection = this.waiting.get(key);
      if (connection === undefined || result === null) continue;
      this.waiting.delete(key);
      this.reply(connection, session, seq, result, standing);
    }
  }

  unavailable(ops: readonly { readonly session: string; readonly seq: number }[]): void {
    const { presence } = this.served;
    for (const { session, seq } of ops) {
      const key = `${session}/${seq}`;
      const attaching = presence?.isOwn({ session }) === true ? presence.unavailable(seq) : undefined;
      const connection = attaching ?? this.waiting.get(key);
      this.waiting.delete(key);
      if (connection === undefined) continue;
      // An attach and seq 0 open the session: a client goes elsewhere when it is not opened.
      const isOpening = attaching !== undefined || seq === 0;
      if (isOpening) this.ending.add(connection);
      const tell = isOpening ? () => connection.lost() : () => connection.ended(session, seq, "unavailable", 0);
      this.served.simulator.after(answerMs, tell);
    }
  }

  /** The process died, and its host says so. */
  died(): void {
    const { simulator, random } = this.served;
    for (const connection of new Set(this.waiting.values())) {
      simulator.after(random.between(0.1, 1), () => connection.lost());
    }
  }

  standingChanged(): void {
    // These clients know nothing of views.
  }

  stopping(): void {
    // What they have asked for is answered or not; they learn of the end when it comes.
  }

  replacingState(): void {
    const { simulator, random, presence } = this.served;
    const connections = new Set([...this.waiting.values(), ...(presence?.lineageChanged() ?? [])]);
    this.waiting.clear();
    for (const connection of connections) {
      this.ending.add(connection);
      simulator.after(random.between(0.1, 1), () => connection.lost());
    }
  }

  private reply(
    connection: ClientConnection,
    session: string,
    seq: number,
    result: OpResult,
    standing: Standing,
  ): void {
    const { simulator, oracle, shadow, state, random } = this.served;
    const { copies } = standing;
    if (!connection.open) return;
    if (result.type === "refused") {
      simulator.after(answerMs, () => {
        // Refused for good, or unknown to this side of a fork: a client goes elsewhere with it.
        if (result.code === "unauthorized" && state.hasClosed(session)) connection.forgotten(session);
        else if (result.code === "unauthorized") connection.lost();
        else connection.ended(session, seq, "refused", 0);
      });
      return;
    }
    oracle.acknowledge(shadow, session, seq, state.entries[result.index - 1], copies);
    simulator.after(answerMs, () => {
      // What was written before the process died may or may not have left the machine.
      if (this.served.runs() || random.chance(0.5)) connection.ended(session, seq, "acknowledged", copies);
    });
  }
}
