/**
 * A log that may be written while it is looked at: a write that is under way looks like one that did not finish, and the
 * oldest segments may go. Looks again before it believes either. Reads only.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { DiskError, type Disk } from "../../lib/log/disk.ts";
import { LogInspection, type InspectedSegment } from "../../lib/log/reader.ts";
import { segmentName } from "../../lib/log/segment.ts";
import { readSegment, segmentsOn } from "../../lib/log/survey.ts";
import type { LogLocation } from "./log-location.ts";

/** No write takes longer between two of its bytes, or it is looked at later. */
const settleMs = 50;
const looksUntilBelieved = 3;
/** Each time compaction must have deleted something meanwhile. */
const looksMax = 20;

export class SettledLog {
  readonly #disk: Disk;
  readonly #only: readonly number[] | undefined;
  #inspection: LogInspection;
  #listed: readonly number[] = [];
  #shown = 0;
  #looks = 0;

  constructor({ disk, only }: LogLocation) {
    this.#disk = disk;
    this.#only = only;
    this.#inspection = this.#begin();
  }

  /** Judged when `next` has said null. */
  get inspection(): LogInspection {
    return this.#inspection;
  }

  /** The next segment; its items are good until this is called again. Null at the end. Throws `DiskError`. */
  async next(): Promise<InspectedSegment | null> {
    const segment = await this.#settled(this.#advance());
    if (segment !== null) this.#shown = segment.number;
    return segment;
  }

  /** Looks at all that is left. */
  async finish(): Promise<LogInspection> {
    while ((await this.next()) !== null);
    return this.#inspection;
  }

  async #settled(segment: InspectedSegment | null): Promise<InspectedSegment | null> {
    let found = segment;
    for (let looks = 0; looks < looksUntilBelieved && found?.isTorn === true; looks++) {
      await sleep(settleMs);
      if (this.#isUnchanged(found)) continue;
      this.#inspection = this.#begin();
      found = this.#advance();
      looks = -1;
    }
    return found;
  }

  #isUnchanged({ number, content }: InspectedSegment): boolean {
    if (this.#only === undefined && segmentsOn(this.#disk).at(-1) !== number) return false;
    if (content === null) return false;
    return Buffer.compare(readSegment(this.#disk, segmentName(number)), content) === 0;
  }

  /** The first segment that has not been shown. */
  #advance(): InspectedSegment | null {
    for (;;) {
      try {
        const segment = this.#inspection.next();
        if (segment === null || segment.number > this.#shown) return segment;
      } catch (error) {
        this.#mayLookAgain(error);
        this.#inspection = this.#begin();
      }
    }
  }

  #begin(): LogInspection {
    for (;;) {
      try {
        this.#listed = segmentsOn(this.#disk);
        return new LogInspection(this.#disk, this.#only);
      } catch (error) {
        this.#mayLookAgain(error);
      }
    }
  }

  /** A segment was there a moment ago and is deleted now. Anything else is thrown on. */
  #mayLookAgain(error: unknown): void {
    if (!(error instanceof DiskError) || this.#only !== undefined || ++this.#looks > looksMax) throw error;
    const present = segmentsOn(this.#disk);
    if (this.#listed.every((number) => present.includes(number))) throw error;
  }
}
