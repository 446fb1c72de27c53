/** The real private files: who may read them, what is durable, claims between processes, a directory that is not private. */
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { syncedFiles } from "./synced-files.fixture.ts";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import type { PrivateFile, PrivateFiles } from "../base/private-files.ts";
import { fileNameFor, openPrivateFiles, stateHome } from "./private-files.ts";

// Real processes: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

let home: string;
let files: PrivateFiles;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "chatd-private-"));
  files = openPrivateFiles(home, "outbox", "alice");
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const modeOf = (...names: string[]): string => (statSync(join(home, ...names)).mode & 0o777).toString(8);
const bytes = (text: string): Uint8Array => Buffer.from(text);

function claim(name: string): PrivateFile {
  const file = files.claim(name);
  if (file === null) throw new Error(`${name} is held`);
  return file;
}

test("nothing is made by looking; what is made is for this user alone, whatever the umask", async () => {
  expect(files.list()).toEqual([]);
  expect(readdirSync(home)).toEqual([]);
  const umask = process.umask(0);
  const file = claim("a");
  await file.append(bytes("one"));
  await file.append(bytes("two"));
  await claim("b").replace(bytes("three"));
  process.umask(umask);
  expect(readFileSync(join(home, "chatd/outbox/alice/a"), "utf8")).toBe("onetwo");
  expect(["chatd", "chatd/outbox", "chatd/outbox/alice"].map((name) => modeOf(name))).toEqual(["700", "700", "700"]);
  const found = readdirSync(join(home, "chatd/outbox/alice"));
  expect(found.map((name) => modeOf("chatd/outbox/alice", name))).toEqual(found.map(() => "600"));
  expect(files.list()).toEqual(["a", "b"]);
});

test("a file is replaced as a whole, removed with its lock, or set aside out of sight", async () => {
  const file = claim("a");
  await file.append(bytes("a long first version"));
  await file.replace(bytes("short"));
  await file.append(bytes(" and more"));
  expect(String(Buffer.from(file.read() ?? bytes("")))).toBe("short and more");
  file.remove();
  expect(readdirSync(join(home, "chatd/outbox/alice"))).toEqual([]);
  const other = claim("a");
  await other.append(bytes("x"));
  other.setAside();
  expect(files.list()).toEqual([]);
  expect(readFileSync(join(home, "chatd/outbox/alice/a.damaged"), "utf8")).toBe("x");
});

test("one has a claim until it is released, or its process is killed", async () => {
  const script = `import { openPrivateFiles } from ${JSON.stringify(`${import.meta.dir}/private-files.ts`)};
    const file = openPrivateFiles(${JSON.stringify(home)}, "outbox", "alice").claim("a");
    await file.append(Buffer.from("from another process"));
    console.log("held");
    setInterval(() => {}, 1000);`;
  const child = Bun.spawn({ cmd: [process.execPath, "-e", script], stdout: "pipe", stderr: "inherit" });
  const { value } = await child.stdout.getReader().read();
  expect(String(Buffer.from(value ?? []))).toBe("held\n");
  expect(files.claim("a")).toBeNull();
  child.kill("SIGKILL");
  await child.exited;
  const file = claim("a");
  expect(String(Buffer.from(file.read() ?? []))).toBe("from another process");
  expect(files.claim("a")).toBeNull();
  file.release();
  claim("a").release();
});

test("what another process has left is made durable before it is believed, or gone on with", async () => {
  const directory = join(home, "chatd/outbox/alice");
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  writeFileSync(join(directory, "a"), "left", { mode: 0o600 });
  writeFileSync(join(directory, "b"), "left", { mode: 0o600 });
  const levels = [home, join(home, "chatd"), join(home, "chatd/outbox")];
  using synced = syncedFiles();
  const file = claim("a");
  expect(synced.take()).toEqual([join(home, ".."), ...levels]);
  file.read();
  expect(synced.take()).toEqual([join(directory, "a"), directory]);
  const other = claim("b");
  await other.append(bytes(" and gone on with"));
  expect(synced.take()).toEqual([directory]);
  await other.append(bytes(", again"));
  expect(synced.take()).toEqual([]);
});

describe("what others could reach", () => {
  test("is made private where it is ours: a directory and a file that somebody opened", async () => {
    const file = claim("a");
    await file.append(bytes("x"));
    file.release();
    chmodSync(join(home, "chatd/outbox/alice"), 0o755);
    chmodSync(join(home, "chatd/outbox/alice/a"), 0o644);
    expect(files.list()).toEqual(["a"]);
    claim("a").read();
    expect([modeOf("chatd/outbox/alice"), modeOf("chatd/outbox/alice/a")]).toEqual(["700", "600"]);
  });

  test("a place where everybody may write is refused, sticky or not", () => {
    for (const mode of [0o777, 0o1777]) {
      chmodSync(home, mode);
      expect(() => files.claim("a")).toThrow(/^everybody can write to .*: nothing private is kept there; /);
    }
    expect(existsSync(join(home, "chatd"))).toBeFalse();
  });

  test("links are not followed, neither for the directory nor for a file", () => {
    const elsewhere = join(home, "elsewhere");
    mkdirSync(elsewhere);
    mkdirSync(join(home, "chatd"), { mode: 0o700 });
    symlinkSync(elsewhere, join(home, "chatd/outbox"));
    expect(() => files.claim("a")).toThrow(/outbox is no directory/);
    rmSync(join(home, "chatd/outbox"));
    const file = claim("a");
    writeFileSync(join(elsewhere, "target"), "secret");
    symlinkSync(join(elsewhere, "target"), join(home, "chatd/outbox/alice/a"));
    expect(() => file.read()).toThrow(/a is no file/);
    expect(file.append(bytes("x"))).rejects.toThrow(/a is no file/);
    expect(readFileSync(join(elsewhere, "target"), "utf8")).toBe("secret");
  });

  test.skipIf(process.getuid?.() === 0)("a directory that cannot be read is told with its remedy", () => {
    claim("a").release();
    chmodSync(join(home, "chatd"), 0o000);
    expect(() => files.list()).toThrow(/EACCES.*XDG_STATE_HOME/);
    chmodSync(join(home, "chatd"), 0o700);
  });
});

test.skipIf(!existsSync("/dev/full"))(
  "a full disk is a failure of the disk, and leaves the file as it was",
  async () => {
    // A file size limit does what a full disk does, also for the superuser.
    const script = `import { openPrivateFiles } from ${JSON.stringify(`${import.meta.dir}/private-files.ts`)};
    process.on("SIGXFSZ", () => {});
    const file = openPrivateFiles(${JSON.stringify(home)}, "outbox", "alice").claim("a");
    await file.append(Buffer.from("small"));
    const error = await file.append(Buffer.alloc(10_000, "x")).catch((error) => error);
    console.log(error.name, error.code, error.message);
    await file.append(Buffer.from(" and small"));
    console.log(String(file.read()));`;
    const cmd = ["sh", "-c", `ulimit -f 4; trap '' XFSZ; exec "$0" -e "$1"`, process.execPath, script];
    const run = Bun.spawnSync({ cmd, stdout: "pipe", stderr: "pipe" });
    const [first = "", second] = run.stdout.toString().trim().split("\n");
    expect(first).toMatch(/^PrivateFilesError disk cannot write .*EFBIG.*make room there/);
    expect(second).toBe("small and small");
  },
);

test("a name in the file system stands for one text and is never a path", () => {
  for (const plain of ["alice", "a.b-c_d~"]) if (/^[\w.-]+$/.test(plain)) expect(fileNameFor(plain)).toBe(plain);
  const others = ["", ".", "..", "a/b", "Alice", "жанна", "x".repeat(33), "алиса", "a\0b"];
  const names = others.map(fileNameFor);
  expect(new Set(names).size).toBe(others.length);
  for (const name of names) expect(name).toMatch(/^x-[0-9a-f]{40}$/);
});

test("a relative XDG_STATE_HOME is ignored", () => {
  expect(stateHome({ XDG_STATE_HOME: "/var/state" })).toBe("/var/state");
  for (const ignored of ["state", "", undefined]) {
    expect(stateHome({ XDG_STATE_HOME: ignored })).toBe(join(homedir(), ".local", "state"));
  }
});
