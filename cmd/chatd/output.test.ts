/** What commands that say something and end do when that cannot be written: no more than one line, and no stack. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";

// Real processes on a busy machine: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

/** In a shell: what it says on stderr, and how the command ended. */
async function run(words: string, rest: string): Promise<{ errors: string; status: number }> {
  const chatd = `'${process.execPath}' '${join(import.meta.dir, "main.ts")}' ${words}`;
  const cmd = ["bash", "-c", `${chatd} ${rest}; exit \${PIPESTATUS[0]}`];
  const child = Bun.spawn({ cmd, stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  const [errors, status] = await Promise.all([child.stderr.text(), child.exited]);
  return { errors, status };
}

test.each(["--version", "cluster --help", "completion bash"])(
  "chatd %s: a reader that has left is no error",
  async (words) => {
    expect(await run(words, "| exec 0<&-")).toEqual({ errors: "", status: 0 });
  },
);

// What cannot be written to there is no such file elsewhere.
test.skipIf(process.platform !== "linux").each(["--version", "cluster --help", "completion bash"])(
  "chatd %s: a full disk is one line, and 74",
  async (words) => {
    const { errors, status } = await run(words, ">/dev/full");
    expect(errors).toMatch(/^chatd: cannot write to stdout: ENOSPC[^\n]*\n$/);
    expect(status).toBe(74);
  },
);
