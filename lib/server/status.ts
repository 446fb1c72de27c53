/**
 * Where this replica and the others stand, in the words of the protocol: for every client's placement and for `status`.
 * Pure.
 */
import type { FrameOf, Placement, ReplicaStatus } from "../protocol/messages.ts";
import type { Standing } from "../replication/events.ts";

/** The last heartbeat of a peer that is heard; null for one that is not. */
export type HeartbeatOf = (pid: number) => FrameOf<"heartbeat"> | null;

export function placementOf(replica: number, policy: Placement["policy"], standing: Standing): Placement {
  const { ready, primary, view, provisional, copies, config } = standing;
  return { type: "placement", replica, ready, primary, view, policy, provisional, copies, replicas: [...config] };
}

export function statusReport(
  request: number,
  placement: Placement,
  standing: Standing,
  own: { readonly pid: number; readonly connections: number },
  heartbeatOf: HeartbeatOf,
): FrameOf<"statusReport"> {
  const { type: _, replicas: config, ...place } = placement;
  const primaryIndex =
    standing.primary === own.pid
      ? standing.lastIndex
      : (heartbeatOf(standing.primary)?.lastIndex ?? standing.lastIndex);
  const replicas = config.map(({ pid, address }): ReplicaStatus => {
    if (pid === own.pid) {
      const { role, lastIndex: index, commit } = standing;
      const lag = Math.max(0, primaryIndex - index);
      return { pid, address, role, index, commit, lag, connections: own.connections };
    }
    const heartbeat = heartbeatOf(pid);
    if (heartbeat === null) return { pid, address, role: "unreachable", index: 0, commit: 0, lag: 0, connections: 0 };
    const { role, lastIndex: index, commit, connections } = heartbeat;
    return { pid, address, role, index, commit, lag: Math.max(0, primaryIndex - index), connections };
  });
  return { type: "statusReport", request, ...place, replicas };
}
