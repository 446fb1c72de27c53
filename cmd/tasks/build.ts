/**
 * Builds dist/chatd, the one executable, when any of its inputs changed since the last build; `--force` builds anyway.
 * Runs by itself (`bun run build`) and for whoever needs the executable (`ensureBuilt`). Imports no package.
 */
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ensureInstalled } from "./install.ts";
import { bun, root, runQuietly } from "./run.ts";

const dist = join(root, "dist");

/** The built executable. */
export const executable = join(dist, "chatd");

const stampFile = join(dist, "chatd.inputs");

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
const entries = ["cmd/chatd/main.ts", "lib/io/checkpoint-worker.ts", "cmd/chatd/query-worker.ts"];

export interface BuildOptions {
  /** Builds even when nothing changed. */
  readonly force?: boolean;
  /** Told before anything that takes a while. */
  readonly progress?: (line: string) => void;
}

/** Installs and builds what is missing or out of date. Throws with the compiler's own words when it cannot. */
export async function ensureBuilt(options: BuildOptions = {}): Promise<"built" | "unchanged"> {
  const { force = false, progress = () => {} } = options;
  await ensureInstalled(progress);
  const wanted = await inputsHash();
  if (!force && existsSync(executable) && existsSync(stampFile)) {
    if ((await readFile(stampFile, "utf8")) === wanted) return "unchanged";
  }
  progress("building dist/chatd …");
  await mkdir(dist, { recursive: true });
  // Built aside and renamed: replicas that run the old file keep it, and a half-written one is never seen. The name of
  // the output is always the same, which makes equal sources give equal bytes.
  const aside = await mkdtemp(join(dist, ".build-"));
  try {
    const define = `CHATD_VERSION=${JSON.stringify(await packageVersion())}`;
    const output = join(aside, "chatd");
    const result = await runQuietly([bun, "build", ...flags, "--define", define, "--outfile", output, ...entries]);
    if (result.exitCode !== 0) throw new Error(`bun build failed (exit ${result.exitCode}):\n${result.output.trim()}`);
    await rm(stampFile, { force: true });
    if (existsSync(`${output}.map`)) await rename(`${output}.map`, `${executable}.map`);
    await rename(output, executable);
    await writeFile(stampFile, wanted);
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
  return "built";
}

async function packageVersion(): Promise<string> {
  const manifest: { version: string } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  return manifest.version;
}

/** A hash over everything that goes into the executable, and over the compiler. */
async function inputsHash(): Promise<string> {
  const hasher = new Bun.CryptoHasher("sha256");
  hasher.update([Bun.version, Bun.revision, process.platform, process.arch, ...flags, ...entries].join("\0"));
  const files = ["package.json", "bun.lock", "tsconfig.json"];
  for (const pattern of ["lib/**/*.ts", "cmd/chatd/**/*.ts"]) {
    for await (const file of new Bun.Glob(pattern).scan({ cwd: root })) {
      if (!file.endsWith(".test.ts")) files.push(file);
    }
  }
  for (const file of files.sort()) {
    hasher.update(`\0${file}\0`);
    hasher.update(await readFile(join(root, file)));
  }
  return hasher.digest("hex");
}

if (import.meta.main) {
  const started = performance.now();
  try {
    const outcome = await ensureBuilt({ force: Bun.argv.includes("--force") });
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.log(outcome === "built" ? `built dist/chatd in ${seconds} s` : "dist/chatd is up to date");
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
