/**
 * The one way in which the executable is compiled, whatever machine it is for. Knows no target and decides nothing about
 * when to build. Imports no package.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { bun, root, runQuietly } from "./run.ts";

/** Where executables are built. */
export const dist = join(root, "dist");

/** What `bun build` is told besides names. */
export const flags = [
  "--compile",
  "--minify",
  "--bytecode",
  "--format=esm",
  "--sourcemap",
  // Without these two the executable would run what a bunfig.toml or .env in the *current* directory says.
  "--no-compile-autoload-bunfig",
  "--no-compile-autoload-dotenv",
  // The mistakes that the simulator makes in the real code (lib/base/mistakes.ts) are not in the product.
  "--drop=globalThis.mistaken",
];

/** The program, and what runs on threads of its own. */
export const entries = ["cmd/chatd/main.ts", "lib/io/checkpoint-worker.ts", "cmd/chatd/query-worker.ts"];

/**
 * Compiles into a directory of the caller's; resolves with the path of the executable, beside which `.map` may stand.
 * The name of the output is always the same, which makes equal sources give equal bytes. Throws with the compiler's own
 * words when it cannot.
 */
export async function compile(directory: string, more: readonly string[] = []): Promise<string> {
  const define = `CHATD_VERSION=${JSON.stringify(await packageVersion())}`;
  const output = join(directory, "chatd");
  const command = [bun, "build", ...flags, ...more, "--define", define, "--outfile", output, ...entries];
  const result = await runQuietly(command);
  if (result.exitCode !== 0) throw new Error(`bun build failed (exit ${result.exitCode}):\n${result.output.trim()}`);
  return output;
}

async function packageVersion(): Promise<string> {
  const manifest: { version: string } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  return manifest.version;
}
