/**
 * Virtual time: one queue of events, ordered by time and, among equals, by chance of the seed. Nothing here knows what
 * the events are about. A run is a function of its seed: no real clock, no real randomness.
 */
import type { Random } from "./random.ts";
import type { Trace } from "./trace.ts";

interface Scheduled {
  readonly atMs: number;
  readonly tie: number;
  action: (() => void) | null;
}

/** Takes a scheduled event back; harmless when it has happened. */
export type Cancel = () => void;

export class Simulator {
  /** Virtual milliseconds since the start of the run. */
  nowMs = 0;
  /** Events run so far. */
  events = 0;
  /** After each event, and wherever a process has done one thing of several: what has waited for that, like promises. */
  turnEnds: () => void = () => {};
  private readonly queue: Scheduled[] = [];

  constructor(
    readonly random: Random,
    readonly trace: Trace,
  ) {}

  /** Runs `action` after `delayMs`, never within the call. */
  after(delayMs: number, action: () => void): Cancel {
    const scheduled: Scheduled = { atMs: this.nowMs + Math.max(0, delayMs), tie: this.random.uint32(), action };
    this.push(scheduled);
    return () => {
      scheduled.action = null;
    };
  }

  /** Runs events until virtual time `untilMs`, or until `done` says so; false when it never did. */
  run(untilMs: number, done?: () => boolean): boolean {
    for (;;) {
      const next = this.queue[0];
      if (next === undefined || next.atMs > untilMs) {
        this.nowMs = untilMs;
        return done === undefined || done();
      }
      this.pop();
      if (next.action === null) continue;
      this.nowMs = next.atMs;
      this.events++;
      next.action();
      this.turnEnds();
      if (done !== undefined && done()) return true;
    }
  }

  private push(item: Scheduled): void {
    const queue = this.queue;
    let at = queue.length;
    queue.push(item);
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = queue[up] as Scheduled;
      if (!earlier(item, parent)) break;
      queue[at] = parent;
      at = up;
    }
    queue[at] = item;
  }

  private pop(): void {
    const queue = this.queue;
    const item = queue.pop() as Scheduled;
    const length = queue.length;
    if (length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= length) break;
      if (child + 1 < length && earlier(queue[child + 1] as Scheduled, queue[child] as Scheduled)) child++;
      const smaller = queue[child] as Scheduled;
      if (!earlier(smaller, item)) break;
      queue[at] = smaller;
      at = child;
    }
    queue[at] = item;
  }
}

function earlier(left: Scheduled, right: Scheduled): boolean {
  return left.atMs < right.atMs || (left.atMs === right.atMs && left.tie < right.tie);
}
