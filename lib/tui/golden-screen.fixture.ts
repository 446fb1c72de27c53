/**
 * Golden screens: `fixtures/screens/NAME-80x24.txt` holds the rows of a terminal as a person sees them, and where its
 * cursor stands. For tests. `UPDATE_GOLDEN=1 bun test lib/tui` writes them anew: read the difference.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import type { Pty } from "./pty.fixture.ts";

const folder = new URL("../../fixtures/screens/", import.meta.url).pathname;
export const rewrite = process.env["UPDATE_GOLDEN"] === "1";

/** The screen as text: its rows, then the cursor, `cursor 3:14` (from 1), or `no cursor`. */
export function screenText(pty: Pty): string {
  const { row, column, hidden } = pty.cursor;
  const rows = pty.rows.map((text) => (text === "" ? "|" : `|${text}`));
  return `${rows.join("\n")}\n${hidden ? "no cursor" : `cursor ${row + 1}:${column + 1}`}\n`;
}

/**
 * Waits until the screen is the golden one of this name. When it is written anew it is the one at the time when `isThere`
 * holds, which must say the last thing that appears on it.
 */
export async function expectScreen(pty: Pty, name: string, isThere: () => boolean): Promise<void> {
  const path = `${folder}${name}-${pty.columns}x${pty.rowCount}.txt`;
  if (rewrite) {
    await pty.until(`${name} is complete`, isThere);
    mkdirSync(folder, { recursive: true });
    return writeFileSync(path, screenText(pty));
  }
  let golden = "";
  try {
    golden = readFileSync(path, "utf8");
  } catch (cause) {
    throw new Error(`${path} cannot be read: write it with UPDATE_GOLDEN=1 bun test lib/tui`, { cause });
  }
  await pty.until(`the screen is ${path}:\n${golden}`, () => screenText(pty) === golden);
}
