/**
 * Where this replica and the others stand, in the words of the protocol: for every client's placement and for `status`.
 * Pure.
 */
import type { FrameOf, Placement, ReplicaStatus } from "../protocol/messages.ts";
import type { Standing } from "../replication/events.ts";

/** The last heartbeat of a peer that is heard; null for one that is not. */
export type HeartbeatOf = (pid: number) => FrameOf<"heartbeat"> | null;

/** What only this replica knows of itself. */
export interface Own {
  readonly pid: number;
  /** Of clients, here. */
  readonly connections: number;
}

export function placementOf(replica: number, policy: Placement["policy"], standing: Standing): Placement {
  const { ready, primary, view, provisional, copies, config } = standing;
  return { type: "placement", replica, ready, primary, view, policy, provisional, copies, replicas: [...config] };
}

export function statusReport(
  request: number,
  placement: Placement,
  standing: Standing,
  own: Own,
  heartbeatOf: HeartbeatOf,
): FrameOf<"statusReport"> {
  const { type: _, replicas: config, ...place } = placement;
  const replicas = config.map(({ pid, address }) => replicaStatus(pid, address, standing, own, heartbeatOf));
  return { type: "statusReport", request, ...place, replicas };
}

/** How one replica is, as this one hears it; all figures are 0 of one that is not heard. */
export function replicaStatus(
  pid: number,
  address: string,
  standing: Standing,
  own: Own,
  heartbeatOf: HeartbeatOf,
): ReplicaStatus {
  const primary = standing.primary === own.pid ? standing : (heartbeatOf(standing.primary) ?? standing);
  const status = ({ role, lastIndex: index, commit }: Heard, connections: number): ReplicaStatus => {
    return { pid, address, role, index, commit, lag: Math.max(0, primary.lastIndex - index), connections };
  };
  if (pid === own.pid) return status(standing, own.connections);
  const heartbeat = heartbeatOf(pid);
  if (heartbeat !== null) return status(heartbeat, heartbeat.connections);
  return { pid, address, role: "unreachable", index: 0, commit: 0, lag: 0, connections: 0 };
}

type Heard = Pick<FrameOf<"heartbeat">, "role" | "lastIndex" | "commit">;
