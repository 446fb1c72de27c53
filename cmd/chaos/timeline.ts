/** What happens in a run, line by line with the time, and how often each kind of thing happened. */

export class Timeline {
  readonly #startedMs = performance.now();
  readonly #counts = new Map<string, number>();
  readonly faults: string[] = [];

  constructor(private readonly print: (line: string) => void) {}

  get elapsedMs(): number {
    return performance.now() - this.#startedMs;
  }

  say(line: string): void {
    this.print(`${(this.elapsedMs / 1000).toFixed(1).padStart(7)} s  ${line}`);
  }

  /** Something that must not happen. */
  fault(line: string): void {
    this.faults.push(line);
    if (this.faults.length <= 30) this.say(`FAULT: ${line}`);
  }

  count(what: string, by = 1): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + by);
  }

  /** Of everything that was counted, in order of its name. */
  get counts(): [what: string, count: number][] {
    return [...this.#counts].toSorted(([one], [other]) => (one < other ? -1 : 1));
  }
}
