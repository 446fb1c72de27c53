/** Nothing of the simulator's mistakes is in the product: neither the switches nor their names. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { flags } from "../../cmd/tasks/compile.ts";
import { makeMistake, mistakes, type Mistake } from "./mistakes.ts";

const root = join(import.meta.dir, "../..");
const names = Object.keys(mistakes) as Mistake[];

test("a mistake is made when the simulator makes it, and only then", () => {
  const made = (): Mistake[] => names.filter((name) => globalThis.mistaken?.(name));
  expect(made()).toEqual([]);
  for (const name of names) {
    makeMistake(name);
    expect(made()).toEqual([name]);
  }
  makeMistake(null);
  expect(made()).toEqual([]);
});

async function bundle(more: readonly string[]): Promise<string> {
  const cmd = [process.execPath, "build", "--minify", "--target=bun", ...more, join(root, "cmd/chatd/main.ts")];
  const build = Bun.spawn({ cmd, stdout: "pipe", stderr: "pipe" });
  const [text, exitCode] = await Promise.all([new Response(build.stdout).text(), build.exited]);
  expect(exitCode).toBe(0);
  return text;
}

test("the product's build folds every switch away", async () => {
  const product = await bundle(flags.filter((flag) => flag.startsWith("--drop")));
  expect(names.filter((name) => product.includes(name))).toEqual([]);
  // The same without the definition, so that the test can fail: every mistake is made somewhere.
  const open = await bundle([]);
  expect(names.filter((name) => !open.includes(name))).toEqual([]);
}, 60_000);

test("only the simulator makes mistakes", async () => {
  const makers: string[] = [];
  for await (const file of new Bun.Glob("{lib,cmd}/**/*.ts").scan({ cwd: root })) {
    if (/\bmakeMistake\b/.test(await Bun.file(join(root, file)).text())) makers.push(file);
  }
  expect(makers.filter((file) => !file.startsWith("lib/sim/") && !file.startsWith("lib/base/mistakes"))).toEqual([]);
});
