/** What runs on a simulated machine, and how it ends. */
import type { Member } from "../protocol/messages.ts";
import type { Applied } from "../protocol/state-machine.ts";
import type { Standing } from "../replication/events.ts";
import type { ReplicaDriver } from "../server/driver.ts";
import type { ServerSide } from "./server-side.ts";
import type { Service } from "./service.ts";

/** Thrown to stop a process in the midst of its effects. */
export class Died {}

/** What a process does for its clients, whatever these are. */
export interface ClientSide {
  applied(applied: Applied, standing: Standing): void;
  /** These ops will never be proposed. */
  unavailable(ops: readonly { readonly session: string; readonly seq: number }[]): void;
  standingChanged(): void;
  /** It is asked to stop. */
  stopping(): void;
  /** Another state, or none, is about to take the place of the one so far. */
  replacingState(): void;
  /** The process died, and its machine is there to say so. */
  died(): void;
}

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
  readonly clients: ClientSide;
  /** For clients that hand it their ops; null where clients connect by byte streams. */
  readonly service: Service | null;
  /** For clients that connect by byte streams; null where there are none. */
  readonly server: ServerSide | null;
}

/** It is about to append these records: of one of the kind that it was doomed with it dies, now or soon. */
export function dieIfDeadly(process: Process | null, records: readonly Uint8Array[]): void {
  if (process?.deadly == null) return;
  const { kind, count } = process.deadly;
  // Byte 8 of a record is its kind.
  if (!records.some((bytes) => bytes[8] === kind)) return;
  process.deadly = null;
  process.countdown = count;
  if (count === 0) throw new Died();
}
