/**
 * Runs `program.fixture.ts`, or another program, in a pseudo-terminal and reads its screen as a person would, by a
 * terminal emulator. For tests.
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
  /** Another program than that of the tests; nothing can be made to happen in it. */
  readonly command?: readonly string[];
  /** How long anything on the screen may take before a test fails. 4,000 unless given. */
  readonly patienceMs?: number;
}

const program = fileURLToPath(import.meta.resolve("./program.fixture.ts"));
const patienceMsDefault = 4000;

export class Pty {
  readonly process: Bun.Subprocess;
  /** Size of the window now. */
  columns: number;
  rowCount: number;
  /** Everything written, as it came. */
  raw = "";
  readonly #screen: Terminal;
  readonly #patienceMs: number;
  readonly #decoder = new TextDecoder();
  #parsed: Promise<void> = Promise.resolve();
  #changed = Promise.withResolvers<void>();

  constructor(options: PtyOptions = {}) {
    const { columns = 80, rows = 24, environment = {}, wrap = (command) => command } = options;
    this.#patienceMs = options.patienceMs ?? patienceMsDefault;
    this.columns = columns;
    this.rowCount = rows;
    this.#screen = new Terminal({ cols: columns, rows, allowProposedApi: true, scrollback: 1000 });
    this.process = Bun.spawn({
      cmd: [...(options.command ?? wrap([process.execPath, program]))],
      env: {
        PATH: process.env["PATH"] ?? "",
        HOME: process.env["HOME"] ?? "",
        TERM: "xterm-256color",
        LANG: "C.UTF-8",
        TZ: "UTC",
        ...environment,
      },
      ...(options.command === undefined ? { ipc: () => {} } : {}),
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

  get cursor(): { readonly row: number; readonly column: number; readonly hidden: boolean } {
    const { active } = this.#screen.buffer;
    const hidden = this.raw.lastIndexOf("\x1b[?25l") > this.raw.lastIndexOf("\x1b[?25h");
    return { row: active.cursorY, column: active.cursorX, hidden };
  }

  /** The cells of a row: the character in each, "" for the second half of a wide one. */
  cells(row: number): string[] {
    const line = this.#screen.buffer.active.getLine(this.#screen.buffer.active.baseY + row);
    return Array.from({ length: this.columns }, (_, at) => line?.getCell(at)?.getChars() ?? "");
  }

  /** What is printed below each other, also while a page covers it. */
  get journal(): string {
    const { normal } = this.#screen.buffer;
    const rows = Array.from({ length: normal.length }, (_, at) =>
      normal.getLine(at)?.translateToString(true).trimEnd(),
    );
    return rows.join(" ").replace(/\s+/g, " ");
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
    this.columns = columns;
    this.rowCount = rows;
    this.#screen.resize(columns, rows);
    this.process.terminal?.resize(columns, rows);
  }

  /** Waits until something is so; fails with the screen as it is when it takes too long. */
  async until(what: string, condition: () => boolean): Promise<void> {
    const deadline = Date.now() + this.#patienceMs;
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

  /** Signs in with the user's usual password, as far as the home screen. */
  async signIn(user = "bob"): Promise<void> {
    await this.prompt("User name:");
    this.type(`${user}\r`);
    await this.prompt("Password:");
    this.type(`${user}-password\r`);
    await this.home(user);
  }

  /** Waits for the home screen. */
  home(user = "bob"): Promise<void> {
    return this.until("home is on the screen", () => this.rows[0]?.startsWith(`chatd · ${user}`) === true);
  }

  /** Signs in and opens a conversation. */
  async talk(partner = "carol", user = "bob"): Promise<void> {
    await this.signIn(user);
    this.type(`/to ${partner}\r`);
    await this.prompt(`${user} → ${partner} ›`);
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
