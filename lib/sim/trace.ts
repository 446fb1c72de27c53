/**
 * What happened in a run: a hash of every step (two runs of one seed must agree) and, when asked for, readable lines.
 * The hash is always kept and allocates nothing; the lines cost text and are kept only for a reader.
 */
export class Trace {
  /** 32-bit FNV-1a style hash over every step so far. */
  hash = 0x811c9dc5;
  /** The last lines, oldest first once {@link tail} has put them in order. */
  private readonly lines: string[] = [];
  private written = 0;

  /** `keep`: how many lines to remember; 0 for none. `print` is given every line as well. */
  constructor(
    private readonly keep: number,
    private readonly print?: (line: string) => void,
  ) {}

  get readable(): boolean {
    return this.keep > 0 || this.print !== undefined;
  }

  /** Adds a step to the hash. */
  mix(value: number): void {
    this.hash = Math.imul(this.hash ^ (value & 0xffff), 0x01000193);
    this.hash = Math.imul(this.hash ^ ((value / 0x10000) & 0xffff), 0x01000193) >>> 0;
  }

  /** Callers test {@link readable} first, so that a run without a reader builds no text. */
  line(nowMs: number, who: string, text: string): void {
    const line = `${nowMs.toFixed(1).padStart(9)} ${who.padEnd(8)} ${text}`;
    this.print?.(line);
    if (this.keep === 0) return;
    this.lines[this.written++ % this.keep] = line;
  }

  /** The remembered lines in order. */
  tail(): string[] {
    const start = this.written % this.keep;
    return this.written <= this.keep ? [...this.lines] : [...this.lines.slice(start), ...this.lines.slice(0, start)];
  }
}
