/** What a doubter is told and what it tells, one line each on its stdin and stdout. Types only. */

export type DoubterOrder = "rest" | "go";

export interface DoubterReport {
  /** `resting`: it has asked every replica for everything; until told to go it asks nothing more. */
  readonly state: "begun" | "resting";
  readonly acknowledged: number;
  /** Ops asked again under their ids after they had been answered. */
  readonly askedAgain: number;
  readonly faults: readonly string[];
}
