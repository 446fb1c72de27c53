/**
 * What somebody had begun to type in each conversation, kept on disk while it is typed: it outlives Escape, Ctrl-C, a lost
 * connection and a crash. One small file beside the outbox, replaced as a whole. Sends nothing, knows no terminal; drafts
 * are something else and live on the servers.
 */
import * as v from "valibot";
import type { PrivateFile, PrivateFiles } from "../base/private-files.ts";
import type { Clock } from "../base/transport.ts";
import { encodeLine, readLines } from "./checked-lines.ts";

export interface UnfinishedLine {
  readonly text: string;
  /** UTF-16 units before the cursor. */
  readonly cursor: number;
}

export interface UnfinishedLines {
  /** Null when there is none. `conversation`: whoever the line goes to, "" while that is nobody. */
  get(conversation: string): UnfinishedLine | null;
  /** To be called at every change; null, or an empty text, when the line was sent or given up. On disk within 250 ms. */
  set(conversation: string, line: UnfinishedLine | null): void;
  /** Gives up all lines: the account is no more. */
  clear(): void;
  /** Resolves when what was set is on disk, or could not be written. */
  flush(): Promise<void>;
  /** The same, and gives the file up. */
  close(): Promise<void>;
}

export interface UnfinishedLinesPorts {
  /** Of this account alone. */
  readonly files: PrivateFiles;
  readonly clock: Clock;
  /** Told once when lines cannot be read or kept: one line. They live in memory then. */
  readonly trouble: (text: string) => void;
}

/** How long a change waits for others. */
const delayMs = 250;
/** Conversations with an unfinished line; the one that was changed longest ago goes first. */
const linesMax = 200;
/** Processes of one account at once that have a file each; one more keeps its lines in memory. */
const filesMax = 16;

const lineSchema = v.object({
  to: v.string(),
  text: v.string(),
  cursor: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
});

/** A file of a process that has ended, some or all of whose lines are taken over. */
interface LeftBehind {
  readonly file: PrivateFile;
  /** Those that stay: to somebody to whom another line is known already. */
  readonly rest: ReadonlyMap<string, UnfinishedLine>;
}

/**
 * The lines that processes of this account in this cluster left. Two at once have a file each, so that none takes away
 * what is typed in the other; what one of them leaves is taken over by the next that begins.
 */
export function openUnfinishedLines(cluster: Uint8Array, ports: UnfinishedLinesPorts): UnfinishedLines {
  const lines = new KeptLines(cluster.toHex(), ports);
  lines.open();
  return lines;
}

class KeptLines implements UnfinishedLines {
  readonly #cluster: string;
  readonly #ports: UnfinishedLinesPorts;
  /** The one that was changed last comes last. */
  #lines = new Map<string, UnfinishedLine>();
  #file: PrivateFile | null = null;
  /** To be changed once what was taken from them is in our own file. */
  #leftBehind: LeftBehind[] = [];
  #isChanged = false;
  #cancelTimer: (() => void) | null = null;
  #writing: Promise<void> | null = null;
  #isTroubled = false;

  constructor(cluster: string, ports: UnfinishedLinesPorts) {
    this.#cluster = cluster;
    this.#ports = ports;
  }

  open(): void {
    try {
      for (let number = 1; number <= filesMax && this.#file === null; number++) {
        this.#file = this.#ports.files.claim(`${this.#cluster}-${number}.lines`);
      }
      if (this.#file === null) return;
      this.#lines = this.#read(this.#file);
      this.#takeOver();
    } catch (error) {
      this.#trouble(error);
    }
  }

  get(conversation: string): UnfinishedLine | null {
    return this.#lines.get(conversation) ?? null;
  }

  set(conversation: string, line: UnfinishedLine | null): void {
    const before = this.#lines.get(conversation);
    if (line === null || line.text === "") {
      if (!this.#lines.delete(conversation)) return;
    } else {
      if (before?.text === line.text && before.cursor === line.cursor) return;
      this.#lines.delete(conversation);
      this.#lines.set(conversation, { text: line.text, cursor: line.cursor });
      const [oldest] = this.#lines.keys();
      if (this.#lines.size > linesMax && oldest !== undefined) this.#lines.delete(oldest);
    }
    this.#changed();
  }

  clear(): void {
    this.#lines.clear();
    const gone = this.#leftBehind.map(({ file }) => file);
    try {
      if (this.#file !== null) gone.push(...this.#claimOthers());
    } catch (error) {
      this.#trouble(error);
    }
    this.#leftBehind = gone.map((file) => ({ file, rest: new Map() }));
    this.#changed();
  }

  #changed(): void {
    this.#isChanged = true;
    this.#cancelTimer ??= this.#ports.clock.setTimer(delayMs, () => {
      this.#cancelTimer = null;
      this.#writing ??= this.#write();
    });
  }

  async flush(): Promise<void> {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    this.#writing ??= this.#write();
    await this.#writing;
  }

  async close(): Promise<void> {
    await this.flush();
    const file = this.#file;
    this.#file = null;
    try {
      if (this.#lines.size === 0) file?.remove();
      else file?.release();
      for (const left of this.#leftBehind.splice(0)) left.file.release();
    } catch (error) {
      this.#trouble(error);
    }
  }

  async #write(): Promise<void> {
    await Promise.resolve();
    while (this.#isChanged && this.#file !== null) {
      this.#isChanged = false;
      try {
        await this.#file.replace(encode(this.#lines));
        await this.#tidy();
      } catch (error) {
        this.#trouble(error);
      }
    }
    this.#writing = null;
  }

  /** The files of processes that have ended; those that run hold theirs. */
  *#claimOthers(): Generator<PrivateFile> {
    for (const name of this.#ports.files.list()) {
      if (!name.startsWith(`${this.#cluster}-`) || !name.endsWith(".lines") || name === this.#file?.name) continue;
      const file = this.#ports.files.claim(name);
      if (file !== null) yield file;
    }
  }

  #takeOver(): void {
    const taken = new Map<string, UnfinishedLine>();
    for (const file of this.#claimOthers()) {
      const found = this.#read(file);
      const rest = new Map<string, UnfinishedLine>();
      for (const [to, line] of found) {
        const known = this.#lines.get(to) ?? taken.get(to);
        if (known === undefined && this.#lines.size + taken.size < linesMax) taken.set(to, line);
        else if (known?.text !== line.text) rest.set(to, line);
      }
      if (found.size > 0 && rest.size === found.size) file.release();
      else this.#leftBehind.push({ file, rest });
    }
    this.#lines = new Map([...taken, ...this.#lines]);
    if (this.#leftBehind.length > 0) this.#changed();
  }

  /** What was taken over is in our own file now. */
  async #tidy(): Promise<void> {
    for (const { file, rest } of this.#leftBehind.splice(0)) {
      if (rest.size === 0) {
        file.remove();
        continue;
      }
      try {
        await file.replace(encode(rest));
      } finally {
        file.release();
      }
    }
  }

  /** A line that cannot be read costs only itself. */
  #read(file: PrivateFile): Map<string, UnfinishedLine> {
    const lines = new Map<string, UnfinishedLine>();
    const { records, damaged } = readLines(file.read() ?? new Uint8Array(0));
    for (const record of records) {
      const parsed = v.safeParse(lineSchema, record);
      if (!parsed.success) continue;
      const { to, text, cursor } = parsed.output;
      lines.set(to, { text, cursor: Math.min(cursor, text.length) });
    }
    if (damaged > 0) this.#trouble(new Error(`${damaged} of the unfinished lines cannot be read`));
    return lines;
  }

  #trouble(error: unknown): void {
    if (this.#isTroubled) return;
    this.#isTroubled = true;
    this.#ports.trouble(error instanceof Error ? error.message : String(error));
  }
}

const encode = (lines: ReadonlyMap<string, UnfinishedLine>): Uint8Array =>
  Buffer.concat([...lines].map(([to, { text, cursor }]) => encodeLine({ to, text, cursor })));
