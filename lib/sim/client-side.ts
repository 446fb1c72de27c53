/** What a simulated process does for its clients: by byte streams where the run has them, else by a service. */
import type { OpEntry } from "../protocol/entries.ts";
import type { Member } from "../protocol/messages.ts";
import type { StateMachine } from "../protocol/state-machine.ts";
import type { Place } from "../replication/kinship.ts";
import type { Standing } from "../replication/events.ts";
import type { ObservedState } from "./observed-state.ts";
import { Presence } from "./presence.ts";
import type { ClientSide } from "./process.ts";
import type { Random } from "./random.ts";
import { ServerSide } from "./server-side.ts";
import { Service } from "./service.ts";
import type { ShadowLog } from "./shadow-log.ts";
import type { Surroundings } from "./surroundings.ts";

export interface SidedProcess {
  readonly self: Member;
  readonly shadow: ShadowLog;
  readonly random: Random;
  readonly observed: ObservedState;
  /** May end the process. */
  effect(): void;
  /** Runs something in the process. */
  turn(action: () => void): void;
  /** It has not died. */
  runs(): boolean;
  nowMs(): number;
  standing(): Standing;
  propose(op: OpEntry): void;
  common(place: Place, upTo: number): Place;
  counted(connections: number): void;
  log(level: string, message: string): void;
}

interface Sides {
  /** As the driver gets it. */
  readonly state: StateMachine;
  readonly clients: ClientSide;
  readonly service: Service | null;
  readonly server: ServerSide | null;
}

export function clientSideOf(world: Surroundings, process: SidedProcess): Sides {
  const { simulator, oracle, streams, cluster, profile } = world;
  // Those of byte streams learn it from the state itself.
  let service: Service | null = null;
  // What is prepared comes when the process runs, or never. What is refused here may be accepted elsewhere, behind ops
  // after it.
  const state = process.observed.forProcess(
    () => process.effect(),
    () => service?.replacingState(),
    ({ session, seq }, outcome) =>
      new Promise((resolve, reject) => {
        outcome.then((prepared) => {
          if (!prepared.ok) oracle.doubted(session, seq);
          process.turn(() => resolve(prepared));
        }, reject);
      }),
  );
  const { policy, timeoutMs, expiry } = profile;
  if (streams === null) {
    const ports = { ...process, nowMs: () => simulator.nowMs, state: () => process.observed.inner };
    const presence = expiry === null ? null : new Presence({ ...ports, expiry, absenceMs: 2 * timeoutMs });
    service = new Service({ ...process, simulator, oracle, state: process.observed, presence });
    return { state, clients: service, service, server: null };
  }
  const server = new ServerSide({ ...process, state, cluster, policy, timeoutMs, streams });
  return { state: server.state, clients: server, service: null, server };
}
