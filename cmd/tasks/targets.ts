/**
 * The machines that executables are built for: their list, one executable a machine, and `SHA256SUMS` over those that are
 * there. Each stands on a Bun for that machine, which comes as a package of the npm registry: which one, and its hash,
 * is pinned in `base-executables/`. Imports no package.
 */
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { compile, dist } from "./compile.ts";
import { withoutSignature } from "./mach-o.ts";
import { bun, root, runQuietly } from "./run.ts";

interface Target {
  /** As `bun build` calls it. */
  readonly bunTarget: string;
  /** The package that brings the executable to build on. */
  readonly base: string;
  /** Of that package, as `bun install` calls them. */
  readonly os: string;
  readonly cpu: string;
  readonly libc: string;
}

const target = (bunTarget: string, base: string, os: string, cpu: string, libc = "*"): Target => ({
  bunTarget,
  base: `@oven/${base}`,
  ...{ os, cpu, libc },
});

/** For x64 the ones that run on every processor, also on those without AVX2. */
const targets = {
  "linux-arm64": target("bun-linux-arm64", "bun-linux-aarch64", "linux", "arm64", "glibc"),
  "linux-arm64-musl": target("bun-linux-arm64-musl", "bun-linux-aarch64-musl", "linux", "arm64", "musl"),
  "linux-x64": target("bun-linux-x64-baseline", "bun-linux-x64-baseline", "linux", "x64", "glibc"),
  "linux-x64-musl": target("bun-linux-x64-musl-baseline", "bun-linux-x64-musl-baseline", "linux", "x64", "musl"),
  "macos-arm64": target("bun-darwin-arm64", "bun-darwin-aarch64", "darwin", "arm64"),
  "macos-x64": target("bun-darwin-x64-baseline", "bun-darwin-x64-baseline", "darwin", "x64"),
} as const;

export type TargetName = keyof typeof targets;

export const targetNames = Object.keys(targets) as readonly TargetName[];

export const isTargetName = (name: string): name is TargetName => Object.hasOwn(targets, name);

/** The executable for a machine, once it is built. */
const executableFor = (name: TargetName): string => join(dist, `chatd-${name}`);

const sumsFile = join(dist, "SHA256SUMS");
const pinned = join(root, "cmd", "tasks", "base-executables");

/**
 * Builds for each of these machines and writes the sums. One that cannot be built does not keep the others from it:
 * resolves with what went wrong, a line each, with the remedy. An executable of an earlier build is not left behind.
 */
export async function buildFor(names: readonly TargetName[], progress: (line: string) => void): Promise<string[]> {
  const faults: string[] = [];
  await mkdir(dist, { recursive: true });
  await rm(sumsFile, { force: true });
  for (const name of names) await rm(executableFor(name), { force: true });
  for (const name of names) {
    progress(`building dist/chatd-${name} …`);
    try {
      await build(name);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      faults.push(`${name}: ${reason.replace(/\s*\n\s*/g, "; ")}; then: bun run build --target ${name}`);
    }
  }
  await writeSums();
  return faults;
}

async function build(name: TargetName): Promise<void> {
  const aside = await mkdtemp(join(dist, ".build-"));
  try {
    const base = await installBase(name, join(aside, "base"));
    const { bunTarget } = targets[name];
    const output = await compile(aside, [`--target=${bunTarget}`, `--compile-executable-path=${base}`]);
    // The compiler signs anew what is built for Apple's processors, and leaves for Intel's a signature that is not right.
    if (name === "macos-x64") await writeFile(output, withoutSignature(await readFile(output)));
    await rename(output, executableFor(name));
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
}

/** Installs the one package whose machine this is; resolves with the path of the executable in it. */
async function installBase(name: TargetName, directory: string): Promise<string> {
  const { base, os, cpu, libc } = targets[name];
  await cp(pinned, directory, { recursive: true });
  const manifest: Manifest = JSON.parse(await readFile(join(directory, "package.json"), "utf8"));
  const version = manifest.optionalDependencies[base];
  if (version !== Bun.version) {
    throw new Error(`Bun ${Bun.version} runs this, and ${base} is pinned to ${version}: use Bun ${version}`);
  }
  const machine = ["--os", os, "--cpu", cpu, "--libc", libc];
  const command = [bun, "install", "--frozen-lockfile", "--ignore-scripts", "--cwd", directory, ...machine];
  // Where a package cannot be had it warns and ends with 0, since all of them are optional.
  const { output } = await runQuietly(command);
  const path = join(directory, "node_modules", base, "bin", "bun");
  if (existsSync(path)) return path;
  const said = output
    .trim()
    .split("\n")
    .filter((line) => /^(warn|error)/.test(line))
    .join("; ");
  throw new Error(
    `${base} ${version}, which it is built on, could not be installed (${said}): make the npm registry reachable`,
  );
}

interface Manifest {
  readonly optionalDependencies: Readonly<Record<string, string>>;
}

/** Over every executable that is there, by name, as `sha256sum --check` reads it. */
async function writeSums(): Promise<void> {
  const present = new Set(await readdir(dist));
  const lines: string[] = [];
  for (const name of targetNames) {
    const file = `chatd-${name}`;
    if (!present.has(file)) continue;
    const hash = new Bun.CryptoHasher("sha256").update(await Bun.file(join(dist, file)).bytes()).digest("hex");
    lines.push(`${hash}  ${file}\n`);
  }
  if (lines.length > 0) await writeFile(sumsFile, lines.join(""));
}
