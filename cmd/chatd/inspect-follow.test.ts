/** `chatd inspect-log --follow` as a process, beside a log that is being written by this one. */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDisk } from "../../lib/io/disk.ts";
import { identity, makeEntry, type Entry } from "../../lib/log/log.fixture.ts";
import { openLog, type Wal } from "../../lib/log/wal.ts";

const root = join(import.meta.dir, "..", "..");
const patience = 60_000;
const cleanup: (() => void)[] = [];

afterEach(() => {
  for (const action of cleanup.splice(0).reverse()) action();
});

/** A log in small segments on the real disk. */
class WrittenLog {
  readonly directory = mkdtempSync(join(tmpdir(), "chatd-follow-"));
  readonly wal: Wal;
  #last: Entry | null = null;
  #sequence = 0;
  readonly #waiting = new Map<number, () => void>();

  constructor() {
    cleanup.push(() => rmSync(this.directory, { recursive: true, force: true }));
    const persisted = (sequence: number): void => {
      for (const [each, done] of this.#waiting) if (each <= sequence) done();
    };
    const failed = (error: Error): void => {
      throw error;
    };
    this.wal = openLog(openDisk(this.directory), identity, { persisted, failed }, { segmentBytes: 8192 });
  }

  get lastIndex(): number {
    return this.#last?.index ?? 0;
  }

  /** Durable when it resolves. */
  async write(count: number): Promise<void> {
    const records: Uint8Array[] = [];
    for (let left = count; left > 0; left--) {
      this.#last = makeEntry(this.#last, 257, new TextEncoder().encode(`entry ${this.lastIndex + 1}`));
      records.push(this.#last.bytes);
    }
    const sequence = ++this.#sequence;
    await new Promise<void>((resolve) => {
      this.#waiting.set(sequence, resolve);
      this.wal.append(sequence, records, 0);
    });
  }
}

/** The process, and its lines as they come. */
function follow(directory: string, ...flags: string[]) {
  const command = [process.execPath, join(root, "cmd/chatd/main.ts"), "inspect-log", directory, "--follow", ...flags];
  const child = Bun.spawn({ cmd: command, stdio: ["ignore", "pipe", "pipe"] });
  cleanup.push(() => child.kill("SIGKILL"));
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const indexes = (): number[] =>
    text
      .split("\n")
      .slice(0, -1)
      .map((line) => Number(JSON.parse(line).index));
  return {
    child,
    /** Reads on until an entry has come, and returns the indexes of all. */
    async until(index: number): Promise<number[]> {
      while (!indexes().includes(index)) {
        const { done, value } = await reader.read();
        if (done) throw new Error(`it ended before entry ${index}: ${await child.stderr.text()}`);
        text += value;
      }
      return indexes().filter((each) => each > 0);
    },
    leave: (): Promise<void> => reader.cancel(),
  };
}

const upTo = (last: number): number[] => Array.from({ length: last }, (_, at) => at + 1);

describe("inspect-log --follow", () => {
  test(
    "shows what is there and what comes, through new segments, and ends with 0 when it is told to",
    async () => {
      const log = new WrittenLog();
      await log.write(50);
      const follower = follow(log.directory, "--json");
      expect(await follower.until(50)).toEqual(upTo(50));
      for (let round = 0; round < 5; round++) await log.write(100);
      expect(await follower.until(550)).toEqual(upTo(550));
      expect(openDisk(log.directory).list().length).toBeGreaterThan(3);
      await log.write(1);
      expect(await follower.until(551)).toEqual(upTo(551));
      follower.child.kill("SIGINT");
      expect(await follower.child.exited).toBe(0);
      expect(await follower.child.stderr.text()).toBe("");
    },
    patience,
  );

  test(
    "goes on when the oldest segments are deleted",
    async () => {
      const log = new WrittenLog();
      await log.write(10);
      for (let round = 0; round < 6; round++) await log.write(100);
      const follower = follow(log.directory, "--json", "--from", "600");
      expect(await follower.until(610)).toHaveLength(11);
      const before = log.wal.compactable(500, false);
      expect(before).toBeGreaterThan(100);
      await new Promise<void>((resolve) => log.wal.compact(before ?? 0, resolve));
      await log.write(5);
      expect(await follower.until(615)).toHaveLength(16);
      follower.child.kill("SIGTERM");
      expect(await follower.child.exited).toBe(0);
    },
    patience,
  );

  test(
    "ends by itself when nobody reads any more, also while nothing is written, and after --limit",
    async () => {
      const log = new WrittenLog();
      await log.write(20);
      const left = follow(log.directory, "--json");
      await left.until(20);
      await left.leave();
      expect(await left.child.exited).toBe(0);
      expect(await left.child.stderr.text()).toBe("");
      const limited = follow(log.directory, "--json", "--kind", "op", "--limit", "3");
      expect(await limited.until(3)).toEqual([1, 2, 3]);
      expect(await limited.child.exited).toBe(0);
    },
    patience,
  );

  test(
    "wants a directory",
    async () => {
      const log = new WrittenLog();
      await log.write(1);
      const follower = follow(join(log.directory, "00000001.wal"));
      expect(await follower.child.exited).toBe(64);
      expect(await follower.child.stderr.text()).toMatch(/^chatd: --follow with one segment: .*\n$/);
    },
    patience,
  );
});
