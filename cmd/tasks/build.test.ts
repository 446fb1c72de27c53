/**
 * `bun run build` for other machines, on the one kind of machine that is at hand: which targets there are, that the
 * executable for this one is what it claims, runs and is the same when it is built again, the sums, and what is said when
 * the registry cannot be reached. Also the flags of the project's own scripts.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../cluster/ports.ts";
import { bun, root } from "./run.ts";
import { isTargetName, targetNames, type TargetName } from "./targets.ts";

// It compiles, and may have to fetch what it builds on.
setDefaultTimeout(180_000);

let directory: string;
/** Copies of the checkout at two places: builds leave the real one alone, and equal bytes are no matter of paths. */
let here: string;
let elsewhere: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "chatd-build-"));
  here = await checkout("here");
  elsewhere = await checkout("a/longer/way");
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** A copy of what is built from; it installs its packages by itself. */
async function checkout(name: string): Promise<string> {
  const copy = join(directory, name);
  const parts = ["cmd", "lib", "package.json", "bun.lock", "bunfig.toml", "tsconfig.json"];
  for (const part of parts) await cp(join(root, part), join(copy, part), { recursive: true });
  return copy;
}

async function build(cwd: string, words: readonly string[], environment: Record<string, string> = {}) {
  const options = { cwd, env: { ...process.env, ...environment } };
  const command = [bun, "cmd/tasks/build.ts", ...words];
  const child = Bun.spawn(command, { ...options, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [output, errors, exitCode] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { output, errors, exitCode };
}

const built = (checkoutPath: string, name: string): string => join(checkoutPath, "dist", `chatd-${name}`);

/** Which target an executable is for, by its own first bytes. */
async function kindOf(path: string): Promise<string> {
  const head = Buffer.from(await Bun.file(path).slice(0, 4096).bytes());
  if (head.readUInt32LE(0) === 0xfeedfacf) return head.readUInt32LE(4) === 0x0100000c ? "macos-arm64" : "macos-x64";
  if (head.toString("latin1", 0, 4) !== "\x7fELF") return "unknown";
  const machine = { 62: "x64", 183: "arm64" }[head.readUInt16LE(18)] ?? "unknown";
  const interpreter = /\/lib\S*\/ld-[\w.-]+/.exec(head.toString("latin1"))?.[0] ?? "none";
  return `linux-${machine}${interpreter.includes("musl") ? "-musl" : ""}`;
}

const sums = (checkoutPath: string): Promise<string> => readFile(join(checkoutPath, "dist", "SHA256SUMS"), "utf8");

test("there are six targets, each on a package that is pinned with its hash", async () => {
  const named = ["linux-arm64", "linux-arm64-musl", "linux-x64", "linux-x64-musl", "macos-arm64", "macos-x64"];
  expect([...targetNames]).toEqual(named as TargetName[]);
  const { output, exitCode } = await build(root, ["--help"]);
  expect(exitCode).toBe(0);
  for (const name of named) expect(output).toContain(name);
  const lock = await readFile(join(root, "cmd/tasks/base-executables/bun.lock"), "utf8");
  expect(lock.match(/"@oven\/bun-\S+@1\.4\.4", "", \{.*\}, "sha512-[A-Za-z0-9+/]{86}=="/g)).toHaveLength(6);
});

describe("the executable for this machine", () => {
  let own: TargetName;

  beforeAll(async () => {
    const kind = await kindOf(process.execPath);
    if (!isTargetName(kind)) throw new Error(`Bun runs here as ${kind}, which is no target`);
    own = kind;
    const { errors, exitCode } = await build(here, ["--target", own]);
    expect({ errors, exitCode }).toEqual({ errors: "", exitCode: 0 });
  });

  test("is what it claims, and runs", async () => {
    expect(await kindOf(built(here, own))).toBe(own);
    const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
    expect(Bun.spawnSync([built(here, own), "--version"]).stdout.toString()).toBe(`${version}\n`);
  });

  test("is the same to the byte when it is built again elsewhere; the sum is written as sha256sum does", async () => {
    const hash = new Bun.CryptoHasher("sha256").update(await Bun.file(built(here, own)).bytes()).digest("hex");
    expect(await sums(here)).toBe(`${hash}  chatd-${own}\n`);
    expect((await build(elsewhere, ["--target", own])).exitCode).toBe(0);
    expect(await sums(elsewhere)).toBe(await sums(here));
  });
});

test("without a registry each target says what it lacks, and nothing old is left in its place or among the sums", async () => {
  const environment = {
    BUN_CONFIG_REGISTRY: `http://127.0.0.1:${freePorts(1)[0]}`,
    BUN_INSTALL_CACHE_DIR: join(directory, "cache"),
  };
  const names = ["linux-arm64-musl", "macos-arm64"] as const;
  await mkdir(join(elsewhere, "dist"), { recursive: true });
  for (const name of ["linux-x64", "macos-arm64"]) await writeFile(built(elsewhere, name), "of an earlier build");
  const { output, errors, exitCode } = await build(
    elsewhere,
    names.flatMap((name) => ["--target", name]),
    environment,
  );
  expect(exitCode).toBe(1);
  expect(output).toContain("built 0 of 2");
  const lines = errors.trimEnd().split("\n");
  expect(lines).toHaveLength(2);
  names.forEach((name, at) => {
    expect(lines[at]).toMatch(new RegExp(`^${name}: @oven/bun-\\S+ 1\\.4\\.4, which .* could not be installed`));
    expect(lines[at]).toContain("ConnectionRefused");
    expect(lines[at]).toEndWith(`make the npm registry reachable; then: bun run build --target ${name}`);
    expect(existsSync(built(elsewhere, name))).toBeFalse();
  });
  expect(await sums(elsewhere)).toMatch(/^[0-9a-f]{64} {2}chatd-linux-x64\n$/);
});

const wrong: [words: string[], says: string][] = [
  [["--everything"], "bun run build: Unknown option '--everything'"],
  [["linux-x64"], "bun run build: Unexpected argument 'linux-x64'"],
  [["--target", "windows-x64"], 'bun run build: there is no target "windows-x64"'],
  [["--all", "--target", "linux-x64"], "--all and --target contradict each other"],
  [["--all", "--force"], "--force is for dist/chatd"],
];
test.each(wrong)("bun run build %j ends with 64 and one line", async (words, says) => {
  const { output, errors, exitCode } = await build(root, words);
  expect({ output, exitCode }).toEqual({ output: "", exitCode: 64 });
  expect(errors).toContain(says);
  expect(errors.trimEnd()).toEndWith("; see bun run build --help");
  expect(errors.trimEnd().split("\n")).toHaveLength(1);
});
