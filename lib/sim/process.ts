/** What runs on a simulated machine, and how it ends. Types, and the one thing that is thrown. */
import type { Member } from "../protocol/messages.ts";
import type { ReplicaDriver } from "../server/driver.ts";
import type { Service } from "./service.ts";

/** Thrown to stop a process in the midst of its effects. */
export class Died {}

export interface Process {
  readonly member: Member;
  readonly driver: ReplicaDriver;
  /** While paused: what has happened meanwhile, in order; null while it runs. */
  stopped: (() => void)[] | null;
  resumeMs: number;
  /** Effects until it dies, or Infinity. */
  countdown: number;
  /** The kind of record around which it dies. */
  deadly: { readonly kind: number; readonly count: number } | null;
  readonly service: Service;
}
