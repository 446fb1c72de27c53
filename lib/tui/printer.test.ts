/** Lines above a frame, judged by a terminal emulator. */
import { expect, test } from "bun:test";
import { Terminal } from "@xterm/headless";
import { Printer } from "./printer.ts";

class Emulator {
  readonly terminal: Terminal;
  writes = 0;
  constructor(cols: number, rows: number) {
    this.terminal = new Terminal({ cols, rows, allowProposedApi: true });
  }
  write(text: string): void {
    this.writes += 1;
    this.terminal.write(text);
  }
  async rows(): Promise<string[]> {
    await new Promise<void>((resolve) => this.terminal.write("", resolve));
    const { active } = this.terminal.buffer;
    const rows = Array.from({ length: active.length }, (_, at) => active.getLine(at)?.translateToString(true) ?? "");
    return rows.slice(0, rows.findLastIndex((row) => row !== "") + 1);
  }
  get cursor(): [number, number] {
    const { active } = this.terminal.buffer;
    return [active.baseY + active.cursorY, active.cursorX];
  }
}

test("lines go above the frame, which stays whole with its cursor", async () => {
  const emulator = new Emulator(20, 6);
  const printer = new Printer(emulator);
  printer.draw({ rows: ["waiting", "> draft", "hint"], cursor: { row: 1, column: 7 } });
  printer.flush();
  for (let at = 1; at <= 10; at += 1) {
    printer.print([`line ${at}`]);
    printer.flush();
  }
  const lines = Array.from({ length: 10 }, (_, at) => `line ${at + 1}`);
  expect(await emulator.rows()).toEqual([...lines, "waiting", "> draft", "hint"]);
  expect(emulator.cursor).toEqual([11, 7]);
});

test("a frame that shrinks leaves nothing behind", async () => {
  const emulator = new Emulator(20, 6);
  const printer = new Printer(emulator);
  printer.draw({ rows: ["one", "two", "three"], cursor: { row: 0, column: 1 } });
  printer.flush();
  printer.draw({ rows: ["two"], cursor: { row: 0, column: 0 } });
  printer.flush();
  expect(await emulator.rows()).toEqual(["two"]);
  printer.stop();
  expect(await emulator.rows()).toEqual([]);
});

test("what comes in one turn is one write", async () => {
  const emulator = new Emulator(20, 6);
  const printer = new Printer(emulator);
  for (let at = 0; at < 5; at += 1) printer.print([`line ${at}`]);
  printer.draw({ rows: [">"], cursor: null });
  await new Promise((resolve) => setImmediate(resolve));
  expect(emulator.writes).toBe(1);
  expect(await emulator.rows()).toEqual(["line 0", "line 1", "line 2", "line 3", "line 4", ">"]);
});

test("rows that are too wide are cut instead of wrapping", async () => {
  const emulator = new Emulator(10, 6);
  const printer = new Printer(emulator);
  printer.draw({ rows: ["0123456789abcdef", "> x"], cursor: { row: 1, column: 3 } });
  printer.flush();
  printer.print(["above"]);
  printer.flush();
  const rows = await emulator.rows();
  expect(rows).toHaveLength(3);
  expect(rows[0]).toBe("above");
  expect(rows[2]).toBe("> x");
});

test.each([true, false])("after the terminal became narrower the frame is found again (%p)", async (whole) => {
  const emulator = new Emulator(40, 8);
  // Some terminals break the row with the cursor anew, some leave it as it is.
  emulator.terminal.options.reflowCursorLine = whole;
  const printer = new Printer(emulator);
  printer.print(["first"]);
  printer.draw({
    rows: ["a message of thirty-odd columns, waiting", "> a draft that is long enough"],
    cursor: { row: 1, column: 29 },
  });
  printer.flush();
  await emulator.rows();
  emulator.terminal.resize(20, 8);
  // This emulator leaves the cursor at the edge in both cases; those that break the row move it along.
  printer.resized(20, whole ? 29 % 20 : emulator.cursor[1]);
  printer.draw({ rows: ["> …long enough"], cursor: { row: 0, column: 14 } });
  printer.flush();
  expect(await emulator.rows()).toEqual(["first", "> …long enough"]);
});

test("a frame at the window's top is drawn anew without clearing the window: tmux would keep each one that was", async () => {
  const emulator = new Emulator(20, 6);
  const cleared: [number, number][] = [];
  emulator.terminal.parser.registerCsiHandler({ final: "J" }, (parameters) => {
    if (parameters[0] !== 2) cleared.push(emulator.cursor);
    return false;
  });
  const printer = new Printer(emulator);
  printer.clearScreen();
  for (const rows of [["> a"], ["> ab", "hint"], ["waiting", "> abc", "hint"], ["> abcd"]]) {
    printer.draw({ rows, cursor: { row: 0, column: 3 } });
    printer.flush();
  }
  expect(await emulator.rows()).toEqual(["> abcd"]);
  expect(cleared).not.toContainEqual([0, 0]);
});
