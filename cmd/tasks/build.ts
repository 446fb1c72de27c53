/**
 * Builds dist/chatd, the one executable, when any of its inputs changed since the last build; and, when asked to, one for
 * each machine that others may have (`targets.ts`). Runs by itself (`bun run build`) and for whoever needs the executable
 * (`ensureBuilt`). Imports no package.
 */
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { compile, dist, entries, flags } from "./compile.ts";
import { endWrongUsage, flagsOrEnd } from "./flags.ts";
import { ensureInstalled } from "./install.ts";
import { root } from "./run.ts";
import { buildFor, isTargetName, targetNames, type TargetName } from "./targets.ts";

/** The built executable. */
export const executable = join(dist, "chatd");

const stampFile = join(dist, "chatd.inputs");

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
  // Built aside and renamed: replicas that run the old file keep it, and a half-written one is never seen.
  const aside = await mkdtemp(join(dist, ".build-"));
  try {
    const output = await compile(aside);
    await rm(stampFile, { force: true });
    if (existsSync(`${output}.map`)) await rename(`${output}.map`, `${executable}.map`);
    await rename(output, executable);
    await writeFile(stampFile, wanted);
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
  return "built";
}

/** A hash over everything that goes into the executable, and over the compiler. */
async function inputsHash(): Promise<string> {
  const hasher = new Bun.CryptoHasher("sha256");
  hasher.update([Bun.version, Bun.revision, process.platform, process.arch, ...flags, ...entries].join("\0"));
  const files = ["package.json", "bun.lock", "tsconfig.json"];
  for (const pattern of ["lib/**/*.ts", "cmd/chatd/**/*.ts", "cmd/chatd/*.{bash,zsh,fish}"]) {
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

const script = "bun run build";

const usage = `Builds chatd, one executable that needs nothing else.

  bun run build                      dist/chatd, for this machine, if anything changed
  bun run build --all                dist/chatd-TARGET for every target, and dist/SHA256SUMS
  bun run build --target linux-arm64 for this one; may be given more than once

  --force        dist/chatd even if nothing changed
  --all          for every target
  --target NAME  ${targetNames.join(", ")}
  --help

Equal sources give equal bytes, in whatever directory they are built. What an executable for another machine stands on
comes from the npm registry, once. Those for x64 run on every processor, also on old ones without AVX2.

Exit status: 0 all built, 1 something could not be (it says what, and goes on with the rest), 64 usage.
`;

async function main(): Promise<number> {
  const given = flagsOrEnd(script, usage, {
    force: { type: "boolean" },
    all: { type: "boolean" },
    target: { type: "string", multiple: true },
  });
  const wanted = targetsOf(given.all === true, given.target ?? []);
  if (given.force === true && wanted.length > 0)
    endWrongUsage(script, "--force is for dist/chatd; targets are built anew always");
  const started = performance.now();
  const seconds = (): string => ((performance.now() - started) / 1000).toFixed(1);
  try {
    if (wanted.length === 0) {
      const outcome = await ensureBuilt({ force: given.force === true });
      console.log(outcome === "built" ? `built dist/chatd in ${seconds()} s` : "dist/chatd is up to date");
      return 0;
    }
    await ensureInstalled((line) => console.log(line));
    const faults = await buildFor(wanted, (line) => console.log(line));
    for (const fault of faults) console.error(fault);
    const built = wanted.length - faults.length;
    console.log(
      `built ${built} of ${wanted.length} in ${seconds()} s${built > 0 ? "; their sums: dist/SHA256SUMS" : ""}`,
    );
    return faults.length === 0 ? 0 : 1;
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return 1;
  }
}

function targetsOf(all: boolean, names: readonly string[]): readonly TargetName[] {
  if (all && names.length > 0) endWrongUsage(script, "--all and --target contradict each other");
  for (const name of names) {
    if (!isTargetName(name)) endWrongUsage(script, `there is no target ${JSON.stringify(name)}`);
  }
  return all ? targetNames : [...new Set(names.filter(isTargetName))];
}

if (import.meta.main) process.exitCode = await main();
