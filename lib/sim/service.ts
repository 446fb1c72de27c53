/**
 * What one simulated process does for its clients: takes their ops, answers them when they come out of the log, and
 * shows the judge every answer. Proposes through the driver; knows no views.
 */
import type { OpEntry } from "../protocol/entries.ts";
import type { Applied, OpResult } from "../protocol/state-machine.ts";
import type { Standing } from "../replication/events.ts";
import type { Oracle } from "./checkers.ts";
import type { ObservedState } from "./observed-state.ts";
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
  /** It has not died. */
  runs(): boolean;
  standing(): Standing;
  propose(op: OpEntry): void;
}

const answerMs = 0.2;

export class Service implements ClientSide {
  /** Who waits for which op. */
  private readonly waiting = new Map<string, ClientConnection>();
  /** Connections on which no session stands, as it was refused: nothing more is taken from them. */
  private readonly unopened = new WeakSet<ClientConnection>();

  constructor(private readonly served: Served) {}

  accept(op: OpEntry, connection: ClientConnection): void {
    const { served } = this;
    if (!connection.open || this.unopened.has(connection)) return;
    const known = served.state.result(op.session, op.seq);
    if (known !== null && served.standing().copies > 0) {
      this.reply(connection, op.session, op.seq, known, served.standing());
      return;
    }
    this.waiting.set(`${op.session}/${op.seq}`, connection);
    served.propose(op);
  }

  applied({ outcomes }: Applied, standing: Standing): void {
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
    for (const { session, seq } of ops) {
      const key = `${session}/${seq}`;
      const connection = this.waiting.get(key);
      this.waiting.delete(key);
      if (connection === undefined) continue;
      // Seq 0 opens the session: a client goes elsewhere when it is not opened.
      if (seq === 0) this.unopened.add(connection);
      const tell = seq === 0 ? () => connection.lost() : () => connection.ended(session, seq, "unavailable", 0);
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

  stateReplaced(): void {
    // Who waits for something waits for it in the log.
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
        if (result.code === "unauthorized") connection.lost();
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
