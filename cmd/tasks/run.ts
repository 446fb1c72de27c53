/**
 * Running commands of the project's own scripts: where the project is, which Bun runs it, and a child with its exit code.
 * Imports no package: it runs before any is installed.
 */
import { join } from "node:path";

/** The top of the checkout. */
export const root = join(import.meta.dir, "..", "..");

/** The Bun that runs this script; children use the same one, whether or not it is on PATH. */
export const bun = process.execPath;

/** Runs a command in the checkout with this terminal as its own; resolves with its exit code. */
export async function run(command: readonly string[]): Promise<number> {
  const child = Bun.spawn({ cmd: [...command], cwd: root, stdio: ["ignore", "inherit", "inherit"] });
  return child.exited;
}

/** Runs a command in the checkout quietly; `output` is what it wrote to both of its outputs. */
export async function runQuietly(command: readonly string[]): Promise<{ exitCode: number; output: string }> {
  const child = Bun.spawn({ cmd: [...command], cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  const [out, err, exitCode] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { exitCode, output: out + err };
}
