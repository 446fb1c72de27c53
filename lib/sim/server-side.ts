/**
 * What one simulated process does for clients that connect by byte streams: the real acceptor, connections, attachments
 * and all else of `lib/server` that stands between a socket and the driver, composed as `ReplicaNode` composes it. Shows
 * the judge which ops are refused. Knows no link to another replica.
 */
import type { Connection, ConnectionHandlers } from "../base/transport.ts";
import type { OpEntry } from "../protocol/entries.ts";
import type { FrameOf, Member, Policy } from "../protocol/messages.ts";
import type { Applied, StateMachine } from "../protocol/state-machine.ts";
import type { Place } from "../replication/kinship.ts";
import type { Standing } from "../replication/events.ts";
import { Acceptor } from "../server/acceptor.ts";
import { Clients } from "../server/clients.ts";
import { Heartbeats } from "../server/heartbeats.ts";
import { WatchedState } from "../server/watched-state.ts";
import { SimulationFailure } from "./failure.ts";
import type { ClientSide } from "./process.ts";
import { hashOf } from "./simulated-state.ts";
import type { Party, Streams } from "./streams.ts";

/** As `lib/server/node.ts`. */
const sweepMs = 1000;
const absenceMs = 10_000;

export interface ServedProcess {
  readonly self: Member;
  readonly cluster: Uint8Array;
  readonly policy: Policy;
  readonly timeoutMs: number;
  readonly streams: Streams;
  readonly state: StateMachine;
  /** Runs something in the process. */
  turn(action: () => void): void;
  nowMs(): number;
  standing(): Standing;
  propose(op: OpEntry): void;
  common(place: Place, upTo: number): Place;
  counted(connections: number): void;
  log(level: string, message: string): void;
}

export class ServerSide implements ClientSide, Party {
  /** For the driver: the state as this process sees it. */
  readonly state: WatchedState;
  private readonly heartbeats = new Heartbeats();
  private readonly clients: Clients;
  private readonly acceptor: Acceptor;
  /** How far the log went when the process began. */
  private beganAt: Place = { index: 0, view: 0 };

  constructor(private readonly process: ServedProcess) {
    const { self, cluster, policy, timeoutMs } = process;
    this.state = new WatchedState(process.state);
    this.clients = new Clients(
      { self, cluster, policy, timeoutMs, software: "simulated chatd" },
      {
        state: this.state,
        standing: () => process.standing(),
        propose: (op) => process.propose(op),
        common: (place, upTo) => process.common(place, upTo),
        sha256: (bytes) => Uint8Array.fromHex(hashOf(bytes)),
        heartbeat: (pid) => this.heartbeats.latest(pid, process.nowMs() - process.timeoutMs),
        heard: () => this.heartbeats.pidsSince(process.nowMs() - process.timeoutMs),
        processes: {
          isLive: (pid, incarnation) =>
            (pid === self.pid && incarnation === self.incarnation) ||
            this.heartbeats.heardSince(pid, incarnation, process.nowMs() - absenceMs),
          commitOf: (pid, incarnation) => this.heartbeats.commitOf(pid, incarnation) ?? this.beganAt,
        },
        administer: ({ type }) => {
          throw new SimulationFailure("simulator", `a simulated client asks for ${type}`);
        },
        // One process answers in its own turn.
        answerElsewhere: null,
        counted: (connections) => process.counted(connections),
        log: (level, message) => process.log(level, message),
      },
    );
    this.acceptor = new Acceptor({
      client: (wire, hello) => this.clients.accept(wire, hello),
      replica: (wire) => wire.refuse("unexpected", "replicas do not connect by byte streams here"),
      rejected: (remote, reason) => process.log("debug", `${remote} did not say hello: ${reason}`),
    });
  }

  /** The driver stands. */
  begin(): void {
    const { lastIndex, lastView } = this.process.standing();
    this.beganAt = { index: lastIndex, view: lastView };
    this.sweepLater();
  }

  turn(action: () => void): void {
    this.process.turn(action);
  }

  accept(connection: Connection): ConnectionHandlers {
    return this.acceptor.accept(connection);
  }

  heard(from: Member, heartbeat: FrameOf<"heartbeat">): void {
    this.heartbeats.heard(from, heartbeat, this.process.nowMs());
  }

  applied(applied: Applied): void {
    this.clients.applied(applied);
  }

  unavailable(ops: readonly { readonly session: string; readonly seq: number }[]): void {
    this.clients.unavailable(ops);
  }

  standingChanged(): void {
    this.clients.standingChanged();
  }

  stopping(): void {
    this.acceptor.close();
    this.clients.stop();
    this.clients.leave("the replica is stopping");
  }

  replacingState(): void {
    this.state.onReset();
  }

  died(): void {
    // The machine tells it on each connection.
  }

  private sweepLater(): void {
    this.process.streams.simulator.after(sweepMs, () =>
      this.turn(() => {
        this.acceptor.sweep();
        this.clients.sweep();
        this.sweepLater();
      }),
    );
  }
}
