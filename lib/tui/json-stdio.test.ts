/** stdin and stdout of a real process: nothing is lost at exit, nobody is starved, a reader that leaves is no failure. */
import { expect, test } from "bun:test";
import { fileURLToPath } from "node:url";

const program = (...args: string[]) => [
  process.execPath,
  fileURLToPath(import.meta.resolve("./json-stdio.fixture.ts")),
  ...args,
];

test("a slow reader gets every line although the process ends itself", async () => {
  const count = 20_000;
  const child = Bun.spawn(program("write", String(count)), { stdout: "pipe" });
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of child.stdout) {
    text += decoder.decode(chunk, { stream: true });
    // Other work between two reads: the pipe is full meanwhile.
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  expect(await child.exited).toBe(0);
  const lines = text.trimEnd().split("\n");
  expect(lines.length).toBe(count);
  expect(JSON.parse(lines.at(-1) ?? "")).toMatchObject({ line: count - 1 });
});

test("a reader that leaves ends the writing, without a word", async () => {
  const child = Bun.spawn(program("write-until-gone"), { stdout: "pipe", stderr: "pipe" });
  const reader = child.stdout.getReader();
  await reader.read();
  await reader.cancel();
  expect(await child.exited).toBe(7);
  expect(await new Response(child.stderr).text()).toBe("");
});

test("a flood of input does not keep a signal away", async () => {
  const child = Bun.spawn(program("read"), { stdin: "pipe", stdout: "pipe" });
  const block = "x".repeat(64 * 1024);
  const flowing = Promise.withResolvers<void>();
  let ended = false;
  const flood = (async () => {
    for (let blocks = 0; !ended; blocks++) {
      try {
        await child.stdin.write(block);
        await child.stdin.flush();
        if (blocks === 500) flowing.resolve();
      } catch {
        return;
      }
    }
  })();
  await flowing.promise;
  child.kill("SIGTERM");
  expect(await child.exited).toBe(143);
  ended = true;
  await flood;
});
