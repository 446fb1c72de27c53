/**
 * Holds the tree to the tidy rules, and proves that each rule bites. Also what no compiler sees: exact versions, a lock
 * file that names no host, no path of anybody's machine in what is tracked.
 */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./run.ts";
import { linesMax, linesWanted, untidiness } from "./tidy.ts";
import { globalsUsed, importedModules, tokens } from "./tokens.ts";

const read = (path: string): string => readFileSync(join(root, path), "utf8");

const paths = [...new Bun.Glob("{lib,cmd}/**/*.ts").scanSync({ cwd: root })].sort();
const tree = new Map(paths.map((path) => [path, read(path)]));

describe("the source tree", () => {
  test("keeps every rule", () => {
    expect(tree.size).toBeGreaterThan(30);
    expect(untidiness(tree)).toEqual([]);
  });

  test("has files of a readable length", () => {
    const long = paths.filter((path) => read(path).trimEnd().split("\n").length > linesWanted);
    if (long.length > 0) console.log(`more than ${linesWanted} lines: ${long.join(", ")}`);
    expect(long.length).toBeLessThan(paths.length / 10);
  });

  test("is scanned at least as thoroughly as Bun's own transpiler does it", () => {
    const transpiler = new Bun.Transpiler({ loader: "ts" });
    for (const [path, text] of tree) {
      const ours = new Set(importedModules(text));
      const missed = transpiler.scanImports(text.replace(/^#!.*/, "")).filter((found) => !ours.has(found.path));
      expect({ path, missed }).toEqual({ path, missed: [] });
    }
  });
});

describe("a rule bites when", () => {
  const header = "/** Does things. */\n";
  const violations = (path: string, code: string): string[] => untidiness(new Map([[path, header + code]]));

  const forbidden: [what: string, path: string, code: string][] = [
    ["the core imports the chat", "lib/replication/x.ts", `import { openChat } from "../chat/chat.ts";`],
    ["the core imports a type of the server", "lib/replication/x.ts", `import type { Node } from "../server/node.ts";`],
    ["the core names a type in place", "lib/replication/x.ts", `type N = import("../server/node.ts").Node;`],
    ["the server imports the chat", "lib/server/x.ts", `import { openChat } from "../chat/chat.ts";`],
    ["the client imports the server", "lib/client/x.ts", `export * from "../server/node.ts";`],
    ["the client imports the terminal", "lib/client/x.ts", `const tui = await import("../tui/screen.ts");`],
    ["the protocol imports the log", "lib/protocol/x.ts", `import {\n  type A,\n} from "../log/wal.ts";`],
    ["the base imports anything", "lib/base/x.ts", `import "../protocol/codec.ts";`],
    ["the log imports a file system", "lib/log/x.ts", `import { readFileSync } from "node:fs";`],
    ["the simulator imports real ports", "lib/sim/x.ts", `import { tcp } from "../io/tcp.ts";`],
    ["the terminal imports the real network", "lib/tui/x.ts", `import { tcp } from "../io/tcp.ts";`],
    ["a library imports a command", "lib/server/x.ts", `import { main } from "../../cmd/chatd/main.ts";`],
    ["the product imports the bench", "cmd/chatd/x.ts", `import { bench } from "../bench/main.ts";`],
    ["code imports a test's helper", "lib/chat/x.ts", `import { sample } from "./sample.fixture.ts";`],
    ["cbor-x comes by its plain name", "lib/protocol/x.ts", `import { Encoder } from "cbor-x";`],
    ["a new folder has no rule", "lib/novelty/x.ts", `import { assert } from "../base/assert.ts";`],
    ["the core reads a clock", "lib/replication/x.ts", `export const now = () => Date.now();`],
    ["the core measures time", "lib/replication/x.ts", `export const now = () => performance.now();`],
    ["the core draws lots", "lib/replication/x.ts", `export const lot = () => Math.random();`],
    ["the protocol draws lots", "lib/protocol/x.ts", `export const id = crypto.randomUUID();`],
    ["the client sets a timer", "lib/client/x.ts", `setTimeout(() => {}, 5);`],
    ["the server hides it in a template", "lib/server/x.ts", "export const s = `at ${new Date()} o'clock`;"],
    ["the log spawns", "lib/log/x.ts", `Bun.spawn({ cmd: ["ls"] });`],
    ["the core reads the environment", "lib/replication/x.ts", `export const home = process.env["HOME"];`],
    ["the core prints", "lib/replication/x.ts", `console.log("here");`],
  ];
  test.each(forbidden)("%s", (_what, path, code) => {
    expect(violations(path, "export {};")).toEqual([]);
    expect(violations(path, code)).toHaveLength(1);
  });

  test("a file has no header or is too long", () => {
    expect(untidiness(new Map([["lib/log/x.ts", "export {};"]]))).toHaveLength(1);
    expect(violations("lib/log/x.ts", "export {};\n".repeat(linesMax))).toHaveLength(1);
  });

  test("only where it should", () => {
    expect(violations("lib/server/x.ts", `import type { Wal } from "../log/wal.ts";`)).toEqual([]);
    expect(violations("lib/server/x.test.ts", `import { openChat } from "../chat/chat.ts"; Date.now();`)).toEqual([]);
    expect(violations("lib/io/clock.ts", `export const now = () => performance.now();`)).toEqual([]);
    expect(violations("lib/chat/x.ts", `export const date = { Date: row.Date, process: 1 };`)).toEqual([]);
    expect(violations("lib/sim/x.ts", `function stop(process: Node) { process.stop(); }`)).toEqual([]);
    expect(violations("lib/replication/x.ts", `// Date.now() would be wrong here\nexport const s = "Date";`)).toEqual(
      [],
    );
  });
});

describe("the scanner", () => {
  test("finds every way to name a module, and nothing in strings, comments or expressions", () => {
    const source = [
      `import type A from "a"; import { type B, C } from 'b'; import * as D from "d"; import "e";`,
      `export type { F } from "f"; export * from "g"; type H = typeof import("h"); const i = await import("i");`,
      `// import x from "no1"`,
      `/* import x from "no2" */ const s = 'import x from "no3"'; const r = /import "no4"/; const q = 1 / 2;`,
      'const t = `import x from "no5" ${await import("j") + `${{ a: \'}\' }.a}`} import "no6"`; import k from \'k\';',
    ].join("\n");
    expect(importedModules(source)).toEqual(["a", "b", "d", "e", "f", "g", "h", "i", "j", "k"]);
  });

  test("tells globals from members and keys", () => {
    expect(globalsUsed("a.b.c(d, { e: f })")).toEqual(["a.b", "d", "f"]);
    expect(tokens("x /* y */ / z // w").map((token) => token.text)).toEqual(["x", "/", "z"]);
  });
});

describe("what is tracked", () => {
  test("pins exact versions", () => {
    const manifest: Record<string, Record<string, string>> = JSON.parse(read("package.json"));
    const versions = Object.entries({ ...manifest["dependencies"], ...manifest["devDependencies"] });
    expect(versions.length).toBeGreaterThan(5);
    expect(versions.filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([]);
  });

  test("has a lock file that names no host", () => {
    expect(read("bun.lock")).not.toMatch(/\w:\/\/|\.(com|org|net|io|dev|local|internal)\b[/:"]/);
  });

  test("mentions no home directory of anybody", async () => {
    const git = Bun.which("git");
    const listing = git === null ? null : Bun.spawnSync({ cmd: [git, "ls-files", "-z"], cwd: root, stderr: "ignore" });
    const tracked = listing?.success ? listing.stdout.toString().split("\0").filter(Boolean) : paths;
    expect(tracked.length).toBeGreaterThan(30);
    // Put together here, so that this file does not mention one either.
    const homes = new RegExp(["/home", "/Users", "/root"].map((home) => `${home}/[A-Za-z.]`).join("|"));
    const files = tracked.filter((path) => Bun.file(join(root, path)).size > 0);
    const found: string[] = [];
    for (const path of files) if (homes.test(await Bun.file(join(root, path)).text())) found.push(path);
    expect(found).toEqual([]);
  });
});
