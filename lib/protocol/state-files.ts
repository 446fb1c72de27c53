/**
 * The state as a file, as the core orders and hears of it: made durable, copied, sent, replaced by another's. Whoever
 * carries orders out does so off the event loop, in their order, and answers later, never within the call. Types only.
 */
import type { Position, SnapshotName } from "./fields.ts";

export type StateOrder =
  /** Make durable what is applied now. */
  | { readonly type: "sync" }
  /** Make a snapshot of the state as it is now or a little later; it takes the place of the one made before. */
  | { readonly type: "capture" }
  /** Read from the snapshot made last, for a peer. */
  | {
      readonly type: "read";
      readonly to: number;
      readonly nonce: number;
      readonly offset: number;
      readonly bytesMax: number;
    }
  /** Nobody needs the snapshot made last any more. */
  | { readonly type: "drop" }
  /** A peer's snapshot is going to be written, from its beginning, in place of any received before. */
  | { readonly type: "receive" }
  | { readonly type: "write"; readonly offset: number; readonly bytes: Uint8Array }
  /** All of it was written: is it the one of that name, and a state that this build can go on with? */
  | { readonly type: "finish"; readonly snapshot: SnapshotName; readonly check: number }
  | { readonly type: "discard" }
  /** What was received, and found to be whole, takes the place of the state; nothing is applied until that is done. */
  | { readonly type: "install" }
  /** The state is not on the lineage of the log and cannot be built again from it: nothing may be read from it. */
  | { readonly type: "abandon" };

/** `unreadable`: it is what was sent, and this build can make nothing of it. */
export type SnapshotVerdict = "whole" | "different" | "unreadable";

export type StateReport =
  | { readonly type: "synced" }
  /** Null: it could not be made. */
  | { readonly type: "captured"; readonly snapshot: SnapshotName | null }
  | {
      readonly type: "read";
      readonly to: number;
      readonly nonce: number;
      readonly offset: number;
      readonly bytes: Uint8Array;
    }
  /** `check`: of which order to finish. */
  | { readonly type: "finished"; readonly check: number; readonly verdict: SnapshotVerdict }
  /** The state stands at this place now; `clock` is the greatest time of an op in it. */
  | { readonly type: "installed"; readonly position: Position; readonly clock: number };

export interface StateFiles {
  run(order: StateOrder): void;
}
