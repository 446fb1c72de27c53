/**
 * The frames of `chatd cluster`, a part of the one table in `messages.ts`: an operator looks at the replicas, adds and
 * removes them. Answered only where they may be asked: over loopback, or from the address of a replica.
 */
import { limits } from "../base/limits.ts";
import { address, index, pid, placementFields, view } from "./fields.ts";
import { bool, define, list, oneOf, optional, struct, text, uint, type Infer } from "./schema.ts";

/** One replica, as the answering one last heard it. Of one that is not heard nothing else is known. */
const replicaReport = struct("replica-report", {
  pid,
  address,
  /** False for one that follows the log without being in the config. */
  configured: bool,
  member: bool,
  role: oneOf("primary", "backup", "learner", "candidate", "unreachable"),
  /** That it is in; of a learner, the last one in its log. */
  view,
  index,
  commit: index,
  /** Entries behind the primary's log. */
  lag: index,
  connections: uint(),
  software: text(100),
});
export type ReplicaReport = Infer<typeof replicaReport>;

export const adminFrames = {
  clusterStatus: define(54, "client", "Asks how every replica is, as this one hears it.", { request: uint() }),
  changeConfig: define(
    55,
    "client",
    "Asks for a change of the config; repeated every second or so until it is done, else it is forgotten.",
    {
      request: uint(),
      change: oneOf("add", "remove"),
      pid,
      /** Of the replica to be added. */
      address: optional(address),
      /** Removes it in whatever state it and the view are (policy available only). */
      acceptLoss: bool,
    },
  ),
  clusterReport: define(81, "server", "Answers clusterStatus.", {
    request: uint(),
    ...placementFields,
    replicas: list(replicaReport, 4 * limits.replicasMax),
  }),
  changeReport: define(82, "server", "Answers changeConfig: how far the change has come.", {
    request: uint(),
    state: oneOf("done", "waiting", "attempting", "lapsed", "refused", "elsewhere"),
    /** What is waited for, or why not. */
    reason: text(1000),
    /** The view that brings the change, in which it is in force, or from which it is waited for; 0 for none. */
    view,
    /** With `elsewhere`: the replica that makes this change. 0 when unknown. */
    ask: pid,
  }),
} as const;
