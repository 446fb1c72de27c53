/** No process outlives the script that started it, however that script ends. */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bun } from "../tasks/run.ts";
import { isAlive } from "./ancestors.ts";
import { Keeper } from "./kept.ts";
import { eachLine } from "./lines.ts";

// Real processes: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

const directory = await mkdtemp(join(tmpdir(), "chatd-keeper-"));
afterAll(() => rm(directory, { recursive: true, force: true }));
const stderrFile = join(directory, "stderr.log");

/** Resolves when none of the processes is left. */
async function allGone(ids: readonly number[]): Promise<void> {
  for (const deadline = performance.now() + 5000; ids.some(isAlive); await Bun.sleep(20)) {
    if (performance.now() > deadline) throw new Error(`still there: ${ids.filter(isAlive).join(", ")}`);
  }
}

/** A script that keeps a process, adopts one and a shell that has started another, and stays; resolves with all ids. */
async function startOwner(options: { through?: readonly string[] } = {}) {
  const script = join(directory, `owner-${crypto.randomUUID()}.ts`);
  const here = JSON.stringify(import.meta.dir);
  await Bun.write(
    script,
    `const { Keeper } = await import(${here} + "/kept.ts");
     const { runToEnd } = await import(${here} + "/lifetime.ts");
     const keeper = new Keeper();
     void runToEnd({ main: () => new Promise(() => {}), cleanUp: () => keeper.close() });
     const idle = [process.execPath, "-e", "setInterval(() => {}, 1000)"];
     const kept = await keeper.start(idle, ${JSON.stringify(stderrFile)}, () => {});
     const adopted = Bun.spawn({ cmd: idle });
     keeper.adopt(adopted);
     const shell = Bun.spawn({ cmd: ["sh", "-c", "sleep 1000 & echo $!; wait"], stdout: "pipe", detached: true });
     keeper.adopt(shell);
     const { value } = await shell.stdout.getReader().read();
     const started = Number(new TextDecoder().decode(value));
     console.log(JSON.stringify([process.pid, kept.process, adopted.pid, shell.pid, started]));
     setInterval(() => {}, 1000);`,
  );
  const owner = Bun.spawn({ cmd: [...(options.through ?? []), bun, script], stdout: "pipe", detached: true });
  const line = Promise.withResolvers<string>();
  void eachLine(owner.stdout, line.resolve);
  const ids: number[] = JSON.parse(await line.promise);
  expect(ids.every(isAlive)).toBe(true);
  return { owner, ids };
}

describe("what a script started ends", () => {
  test.each(["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"] as const)("when the script gets %s", async (signal) => {
    const { owner, ids } = await startOwner();
    owner.kill(signal);
    await allGone(ids);
  });

  test("when its whole group gets a signal twice", async () => {
    const { owner, ids } = await startOwner();
    process.kill(-owner.pid, "SIGINT");
    process.kill(-owner.pid, "SIGINT");
    await allGone(ids);
    expect(await owner.exited).toBe(130);
  });

  test("when a program between it and its starter disappears", async () => {
    // A runner that starts the script and does not pass signals on, as npx does.
    const runner = `Bun.spawnSync({ cmd: process.argv.slice(1), stdio: ["ignore", "inherit", "inherit"] })`;
    const { owner, ids } = await startOwner({ through: [bun, "-e", runner, "--"] });
    owner.kill("SIGKILL");
    await allGone(ids);
  });
});

describe("a keeper", () => {
  const idle = [bun, "-e", "setInterval(() => {}, 1000)"];

  test("tells lines, endings, and commands that cannot run", async () => {
    const keeper = new Keeper();
    const lines: string[] = [];
    const first = await keeper.start(["sh", "-c", "echo one; echo two; echo three >&2; exit 7"], stderrFile, (line) =>
      lines.push(line),
    );
    expect(await first.ended).toEqual({ exitCode: 7, signal: null });
    expect(lines).toEqual(["one", "two"]);
    expect(await Bun.file(stderrFile).text()).toContain("three");
    const second = await keeper.start(idle, stderrFile, () => {});
    second.signal("SIGTERM");
    expect(await second.ended).toEqual({ exitCode: null, signal: "SIGTERM" });
    await expect(keeper.start([join(directory, "no-such-program")], stderrFile, () => {})).rejects.toThrow();
    const third = await keeper.start(idle, stderrFile, () => {});
    await keeper.close();
    expect(isAlive(third.process)).toBe(false);
  });
});
