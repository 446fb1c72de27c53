/**
 * Brings node_modules in line with the lock file, so that a fresh clone needs no other command first.
 * Imports no package: nothing is there yet when it runs.
 */
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { bun, root, runQuietly } from "./run.ts";

/** Inside node_modules, so that it goes with them. */
const stampFile = join(root, "node_modules", ".chatd-lock-hash");

/**
 * Installs exactly what the lock file says, unless that is what was installed last. Throws with the installer's own
 * words when it cannot. `progress` is told before anything that takes a while.
 */
export async function ensureInstalled(progress: (line: string) => void = () => {}): Promise<"installed" | "unchanged"> {
  const wanted = await lockHash();
  const present = existsSync(stampFile) ? await readFile(stampFile, "utf8") : "";
  if (present === wanted) return "unchanged";
  progress("installing packages …");
  const { exitCode, output } = await runQuietly([bun, "install", "--frozen-lockfile"]);
  if (exitCode !== 0) throw new Error(`bun install --frozen-lockfile failed (exit ${exitCode}):\n${output.trim()}`);
  await writeFile(stampFile, wanted);
  return "installed";
}

async function lockHash(): Promise<string> {
  const hasher = new Bun.CryptoHasher("sha256");
  hasher.update(Bun.version);
  for (const name of ["package.json", "bun.lock"]) hasher.update(await readFile(join(root, name)));
  return hasher.digest("hex");
}
