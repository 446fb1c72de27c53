/** The log as the driver of a simulated replica gets it: whatever is asked of it is shown to the judge first. */
import type { DriverLog } from "../server/driver.ts";
import { recordKind } from "../protocol/record.ts";
import { SimulationFailure } from "./failure.ts";
import type { Oracle } from "./checkers.ts";
import type { ShadowLog } from "./shadow-log.ts";
import type { NodeLog } from "./storage.ts";
import type { Tally } from "./surroundings.ts";

export interface LogWatch {
  readonly oracle: Oracle;
  readonly shadow: ShadowLog;
  readonly tally: Tally;
  /** Up to which index what was applied survives a loss of power. */
  readonly durableState: () => number;
  /** Before anything changes; may end the process. */
  readonly effect: () => void;
  /** The same, before these records are appended. */
  readonly appending: (records: readonly Uint8Array[]) => void;
}

export function judgedLog(
  log: NodeLog,
  { oracle, shadow, tally, effect, appending, durableState }: LogWatch,
): DriverLog {
  /** Ops of a fork have been looked at since the last MERGED. */
  let isMerging = false;
  return {
    recovered: log.recovered,
    read: (fromIndex, maxBytes) => log.read(fromIndex, maxBytes),
    *orphans() {
      for (const portion of log.orphans()) {
        isMerging ||= portion.length > 0;
        yield portion;
      }
    },
    get hasForks() {
      return log.hasForks;
    },
    compactable: (floor, evenForks) => log.compactable(floor, evenForks),
    append: (sequence, records, commit) => {
      effect();
      appending(records);
      shadow.append(sequence, records);
      oracle.commitKnown(shadow, commit);
      log.append(sequence, records, commit);
      // Byte 8 of a record is its kind.
      if (!isMerging || !records.some((bytes) => bytes[8] === recordKind.merged)) return;
      isMerging = false;
      tally.merges++;
    },
    beginAnew: (sequence, beginning, kept) => {
      effect();
      shadow.beginAnew(sequence, beginning.position, kept);
      log.beginAnew(sequence, beginning, kept);
    },
    compact: (index) => {
      effect();
      tally.compactions++;
      const durable = durableState();
      if (durable < index)
        throw new SimulationFailure("compact", `deletes up to ${index}, but the state on the disk is of ${durable}`);
      log.compact(index);
    },
    repaired: (done) =>
      log.repaired(() => {
        shadow.damaged = false;
        tally.repairs++;
        done();
      }),
    lostItsEnd: () => {
      effect();
      log.lostItsEnd();
    },
  };
}
