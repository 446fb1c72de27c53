/**
 * The rules of the source tree as data, and the checker that applies them: who may import whom, which folders stay
 * clear of clocks, randomness and I/O, how long a file may be. The checker sees a tree as path → text, so that a test
 * can hand it one that breaks a rule. Reads nothing itself.
 */
import { posix } from "node:path";
import { globalsUsed, importedModules } from "./tokens.ts";

/** Paths from the top of the checkout, with `/`, to the text of each file. */
export type SourceTree = ReadonlyMap<string, string>;

/** For each folder of lib: what else of lib it may import. */
const libraryImports: Readonly<Record<string, readonly string[]>> = {
  base: [],
  protocol: ["base"],
  replication: ["protocol", "base"],
  log: ["protocol", "base"],
  chat: ["protocol", "base"],
  client: ["protocol", "base"],
  server: ["replication", "log", "protocol", "base"],
  io: ["log", "protocol", "base"],
  sim: ["server", "client", "chat", "log", "replication", "protocol", "base"],
  tui: ["client", "protocol", "base"],
};

/** For each folder: which modules from outside the project its code may import. Folders not named here: any. */
const foreignImports: Readonly<Record<string, readonly string[]>> = {
  base: [],
  protocol: ["cbor-x/index-no-eval"],
  replication: [],
  log: [],
  chat: ["bun:sqlite"],
  client: ["hyperid", "valibot"],
  server: [],
  sim: ["bun:sqlite", "bun:jsc"],
};

/** Clocks, timers, randomness and I/O that need no import. */
const worldGlobals = [
  ..."Date performance setTimeout setInterval setImmediate queueMicrotask crypto process console fetch".split(" "),
  ..."globalThis global require WebSocket Worker navigator Math.random".split(" "),
];

/** The one exception: the simulator's switches in the real code, which the product's build drops. */
const mistakeSwitch = "globalThis.mistaken";

/** Of those: words so common that a file may declare a variable or parameter of that name for itself. */
const localNames = ["process", "fetch"];
const declares = (text: string, name: string): boolean =>
  new RegExp(
    `\\b(const|let) (${name}\\b|[{[][^=]*\\b${name}\\b)|\\bfunction ${name}\\b|[(,]\\s*((private|protected|readonly) )*${name}(: |\\) =>)`,
  ).test(text);

/** What of `Bun` is a pure function, and what else a folder was given on purpose. */
const allowedOfBun: Readonly<Record<string, readonly string[]>> = {
  base: ["Bun.hash"],
  protocol: ["Bun.hash"],
  replication: ["Bun.hash"],
  log: ["Bun.hash"],
  chat: ["Bun.hash", "Bun.password", "Bun.CryptoHasher"],
  client: ["Bun.hash"],
  server: [],
  sim: ["Bun.hash"],
};

/** Modules that may not be imported under this name anywhere, and why. */
const forbiddenModules: Readonly<Record<string, string>> = {
  "cbor-x": "bakes the build machine's path in and loads native code from it; import cbor-x/index-no-eval",
};

export const linesMax = 500;
export const linesWanted = 400;

/** Tests and what only they use may reach further than the code they test. */
const isTestFile = (path: string): boolean => /\.(test|fixture|contract)\.ts$/.test(path);

/** `lib/log/wal.ts` → `log`; `cmd/chatd/main.ts` → null. */
const libraryFolder = (path: string): string | null => /^lib\/([^/]+)\//.exec(path)?.[1] ?? null;

/** Every violation in the tree as one line: file, what is wrong, what the rule is. */
export function untidiness(tree: SourceTree): string[] {
  const found: string[] = [];
  for (const [path, text] of tree) {
    if (!path.endsWith(".ts")) continue;
    found.push(...formOf(path, text));
    if (isTestFile(path)) continue;
    for (const module of importedModules(text)) found.push(...importOf(path, module));
    found.push(...globalsOf(path, text));
  }
  return found;
}

function formOf(path: string, text: string): string[] {
  const found: string[] = [];
  if (!/^(#![^\n]*\n)?\s*\/[*/]/.test(text)) found.push(`${path}: no header comment saying what it owns`);
  const lines = text.trimEnd().split("\n").length;
  if (lines > linesMax) found.push(`${path}: ${lines} lines; a file has one job and at most ${linesMax}`);
  return found;
}

function importOf(path: string, module: string): string[] {
  const reason = forbiddenModules[module];
  if (reason) return [`${path}: imports ${module}, which ${reason}`];
  const folder = libraryFolder(path);
  if (!module.startsWith(".")) {
    const allowed = folder === null ? undefined : foreignImports[folder];
    if (!allowed || allowed.includes(module)) return [];
    return [`${path}: imports ${module}; lib/${folder} may import ${list(allowed)} from outside the project`];
  }
  const target = posix.normalize(posix.join(posix.dirname(path), module));
  if (isTestFile(target)) return [`${path}: imports ${target}, which exists only for tests`];
  const targetFolder = libraryFolder(target);
  if (folder === null) return commandImport(path, target);
  if (targetFolder === folder) return [];
  const allowed = libraryImports[folder];
  if (!allowed) return [`${path}: lib/${folder} has no import rule yet; add one to the tidy rules`];
  if (targetFolder !== null && allowed.includes(targetFolder)) return [];
  return [`${path}: imports ${target}; lib/${folder} may import ${list(allowed.map((name) => `lib/${name}`))}`];
}

/** The product imports no other command: what starts, builds or measures it stays out of the executable. */
function commandImport(path: string, target: string): string[] {
  const shipped = path.startsWith("cmd/chatd/");
  if (!shipped || target.startsWith("lib/") || target.startsWith("cmd/chatd/") || target === "package.json") return [];
  return [`${path}: imports ${target}; cmd/chatd may import lib and itself`];
}

function globalsOf(path: string, text: string): string[] {
  const folder = libraryFolder(path);
  const allowed = folder === null ? undefined : allowedOfBun[folder];
  if (!allowed) return [];
  const used = new Set(globalsUsed(text.replace("declare global {", "{")).filter((name) => name !== mistakeSwitch));
  const local = new Set(localNames.filter((name) => declares(text, name)));
  const reaches = (name: string): boolean =>
    worldGlobals.some((global) => name === global || name.startsWith(`${global}.`)) ||
    ((name === "Bun" || name.startsWith("Bun.")) && !allowed.includes(name));
  return [...used]
    .filter((name) => reaches(name) && !local.has(name.split(".", 1)[0] ?? ""))
    .map((name) => `${path}: uses ${name}; lib/${folder} reaches clocks, randomness and I/O only through its ports`);
}

const list = (names: readonly string[]): string => (names.length === 0 ? "nothing" : names.join(", "));
