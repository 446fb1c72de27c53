/**
 * What `chatd serve` says on stderr while it runs: lines for people or JSON objects for collectors. A reader that has
 * gone or does not keep up never stops the replica.
 */
import { writeSync } from "node:fs";
import type { LogLevel } from "../../lib/server/node.ts";

const ranks: Readonly<Record<LogLevel, number>> = { error: 0, warn: 1, info: 2, debug: 3 };

export class Journal {
  readonly #pid: number;
  readonly #level: LogLevel;
  readonly #json: boolean;

  constructor(pid: number, level: LogLevel, format: "text" | "json") {
    this.#pid = pid;
    this.#level = level;
    this.#json = format === "json";
    // `process.stderr` neither waits for a reader nor keeps what nobody reads; one that has gone is no error here.
    process.stderr.on("error", () => {});
  }

  write(level: LogLevel, message: string): void {
    if (ranks[level] > ranks[this.#level]) return;
    process.stderr.write(`${this.line(level, message)}\n`);
  }

  /** Written before anything else can happen: the process ends next. */
  lastWords(message: string, level: LogLevel = "error"): void {
    if (ranks[level] > ranks[this.#level]) return;
    try {
      writeSync(2, `${this.line(level, message)}\n`);
    } catch {
      // There is nobody to tell.
    }
  }

  /** One line without its end. Control characters do not get through: parts of messages come from strangers. */
  line(level: LogLevel, message: string): string {
    const at = new Date().toISOString();
    if (this.#json) return JSON.stringify({ at, level, pid: this.#pid, message });
    const clean = message.replace(/[\p{Cc}\p{Cf}]+/gu, " ");
    return `${at.slice(11, 23)} replica ${this.#pid}: ${level === "info" ? "" : `${level}: `}${clean}`;
  }
}
