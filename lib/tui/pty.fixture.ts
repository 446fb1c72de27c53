/**
 * Runs `program.fixture.ts` in a pseudo-terminal and reads its screen as a person would, by a terminal emulator. For tests.
 */
import { Terminal } from "@xterm/headless";
import { fileURLToPath } from "node:url";
import type { Happening } from "./fake-client.fixture.ts";

export interface PtyOptions {
  /** 80 × 24 unless given. */
  readonly columns?: number;
  readonly rows?: number;
  readonly environment?: Readonly<Record<string, string>>;
  /** Run under this command line instead of directly, e.g. a shell. */
  readonly wrap?: (command: readonly string[]) => readonly string[];
}

const program = fileURLToPath(import.meta.resolve("./program.fixture.ts"));
/** How long anything on the screen may take before a test fails. */
const patienceMs = 4000;

export class Pty {
  readonly process: Bun.Subprocess;
  /** Everything written, as it came. */
  raw = "";
  readonly #screen: Terminal;
  readonly #decoder = new TextDecoder();
  #parsed: Promise<void> = Promise.resolve();
  #changed = Promise.withResolvers<void>();

  constructor({ columns = 80, rows = 24, environment = {}, wrap = (command) => command }: PtyOptions = {}) {
    this.#screen = new Terminal({ cols: columns, rows, allowProposedApi: true, scrollback: 1000 });
    this.process = Bun.spawn({
      cmd: [...wrap([process.execPath, program])],
      env: {
        PATH: process.env["PATH"] ?? "",
        HOME: process.env["HOME"] ?? "",
        TERM: "xterm-256color",
        LANG: "C.UTF-8",
        TZ: "UTC",
        ...environment,
      },
      ipc: () => {},
      terminal: { cols: columns, rows, data: (_, data) => this.#wrote(data) },
    });
  }

  /** The rows on the screen now, without trailing blanks. */
  get rows(): string[] {
    const { active } = this.#screen.buffer;
    return this.#rows(active.baseY, active.baseY + this.#screen.rows);
  }

  /** All rows, those that have scrolled away too. */
  get everything(): string[] {
    return this.#rows(0, this.#screen.buffer.active.length);
  }

  /** All that is readable, rows and runs of blanks joined by one blank: what wraps reads as if it did not. */
  get text(): string {
    return this.everything.join(" ").replace(/\s+/g, " ");
  }

  get cursor(): { readonly row: number; readonly column: number } {
    const { active } = this.#screen.buffer;
    return { row: active.cursorY, column: active.cursorX };
  }

  /** The row that the cursor is in. */
  get cursorRow(): string {
    return this.rows[this.cursor.row] ?? "";
  }

  type(text: string): void {
    this.process.terminal?.write(text);
  }

  paste(text: string): void {
    this.type(`\x1b[200~${text}\x1b[201~`);
  }

  happen(happening: Happening): void {
    this.process.send(happening);
  }

  resize(columns: number, rows: number): void {
    this.#screen.resize(columns, rows);
    this.process.terminal?.resize(columns, rows);
  }

  /** Waits until something is so; fails with the screen as it is when it takes too long. */
  async until(what: string, condition: () => boolean): Promise<void> {
    const deadline = Date.now() + patienceMs;
    for (;;) {
      await this.#parsed;
      if (condition()) return;
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`not so: ${what}\n${this.rows.join("\n")}`);
      await Promise.race([this.#changed.promise, Bun.sleep(Math.min(left, 50))]);
    }
  }

  /** Waits until a text has appeared, on one row or wrapped over several. */
  see(text: string): Promise<void> {
    return this.until(`"${text}" is on the screen`, () => this.text.includes(text));
  }

  /** Waits for the prompt row to be exactly this. */
  prompt(row: string): Promise<void> {
    return this.until(`the cursor is in the row "${row}"`, () => this.cursorRow === row);
  }

  async exited(): Promise<number> {
    const code = await this.process.exited;
    await this.#parsed;
    return code;
  }

  /** Signs in with the user's usual password, as far as the prompt. */
  async signIn(user = "bob"): Promise<void> {
    await this.prompt("User name:");
    this.type(`${user}\r`);
    await this.prompt("Password:");
    this.type(`${user}-password\r`);
    await this.prompt(`${user} ›`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill("SIGKILL");
    await this.process.exited;
    this.process.terminal?.close();
    this.#screen.dispose();
  }

  #rows(from: number, to: number): string[] {
    const { active } = this.#screen.buffer;
    return Array.from(
      { length: to - from },
      (_, at) =>
        active
          .getLine(from + at)
          ?.translateToString(true)
          .trimEnd() ?? "",
    );
  }

  #wrote(data: Uint8Array): void {
    const text = this.#decoder.decode(data, { stream: true });
    this.raw += text;
    this.#parsed = new Promise((resolve) => {
      this.#screen.write(text, resolve);
    });
    const changed = this.#changed;
    this.#changed = Promise.withResolvers();
    void this.#parsed.then(() => changed.resolve());
  }
}
