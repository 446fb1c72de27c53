/**
 * The disks of one simulated machine: the one in it, as far as its number goes, and those that were replaced, with all
 * that is on them, should somebody put one in again. Nothing runs here.
 */
import type { ShadowLog } from "./shadow-log.ts";
import type { SimulatedState } from "./simulated-state.ts";
import type { Storage } from "./storage.ts";
import type { Flags } from "./surroundings.ts";

/** A disk with all that is on it, and what a process on it is started with. */
export interface Disk {
  readonly storage: Storage;
  readonly state: SimulatedState;
  readonly shadow: ShadowLog;
  readonly flags: Flags;
}

/** So many starts are between the processes of one disk and those of the next. */
const startsApart = 100;

export class Shelf {
  private readonly replaced: (Disk & { readonly incarnation: number })[] = [];
  /** Of the last process on the present disk; 0 for a new disk. */
  private incarnation = 0;
  private isClockBehind = false;

  /** `clock`: what the machine's clock has made of the last start. */
  constructor(private clock: number) {}

  /** The disk that comes back first. */
  get first(): Disk | undefined {
    return this.replaced[0];
  }

  get states(): readonly SimulatedState[] {
    return this.replaced.map(({ state }) => state);
  }

  /** As `chatd serve` draws it: greater than the last one on this disk, whatever the clock says. */
  nextIncarnation(): number {
    this.clock++;
    this.incarnation = Math.max(this.incarnation + 1, this.isClockBehind ? 0 : this.clock);
    return this.incarnation;
  }

  /** `mayReturn`: then what its own count goes on with, where the clock is wrong, is no number of another disk. */
  setAside(disk: Disk, mayReturn: boolean): void {
    disk.shadow.wiped = true;
    this.replaced.push({ ...disk, incarnation: this.incarnation });
    this.incarnation = 0;
    this.isClockBehind = false;
    if (mayReturn) this.clock += startsApart;
  }

  /** Whichever was replaced first is in use again. */
  take(isClockBehind: boolean): Disk | null {
    const disk = this.replaced.shift();
    if (disk === undefined) return null;
    const { incarnation, ...rest } = disk;
    this.incarnation = incarnation;
    this.isClockBehind = isClockBehind;
    disk.shadow.wiped = false;
    return rest;
  }
}
