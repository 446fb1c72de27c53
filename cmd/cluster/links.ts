/**
 * The links between the replicas of a cluster on this machine, as something that can be cut. Types only: `network.ts`
 * makes them of network namespaces, `relays.ts` of connections that are passed on.
 */
import type { Place } from "./cluster.ts";

/** Silence, as a firewall that drops packets or a pulled cable; or an answer that says no. */
export type CutKind = "drop" | "reject";

export interface Links {
  readonly kind: "namespaces" | "relays";
  /** Where the replicas run; their data and stderr below `directory`. */
  places(directory: string): Place[];
  /** Flags that every `chatd serve` on these links needs. */
  readonly flags: readonly string[];
  /** Words before a client's command; `pid`: it runs where that replica does, null: where it reaches all of them. */
  clientPrefix(pid: number | null): readonly string[];
  /** From now on nothing that `from` sends reaches `to`. The other direction stays as it is. */
  cut(from: number, to: number, kind: CutKind): void;
  mend(from: number, to: number): void;
  /** Holds everything between the two for so long, both ways. False where these links cannot. */
  delay(one: number, other: number, ms: number): boolean;
  /** All to and from `pid` shares so many bits a second, each way; null: as many as come. False where these links cannot. */
  narrow(pid: number, bitsPerSecond: number | null): boolean;
  /** Ends the connections between the two as a reset does; new ones may be made. False where these links cannot. */
  reset(one: number, other: number): boolean;
  close(): void;
}
