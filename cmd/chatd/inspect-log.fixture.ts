/** For tests of `chatd inspect-log`: runs it as a process, as a user would, and copies golden logs to be changed. */
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export const root = join(import.meta.dir, "..", "..");
export const fixtures = join(root, "fixtures", "logs");

export interface Ran {
  readonly output: string;
  readonly error: string;
  readonly status: number;
}

export const inspecting = [process.execPath, join(root, "cmd/chatd/main.ts"), "inspect-log"];
export const inspectLog = (...words: string[]): Promise<Ran> => inspectLogAt({}, ...words);
export const inspectLogAt = (environment: Record<string, string>, ...words: string[]): Promise<Ran> =>
  spawned([...inspecting, ...words], environment);
export const inspectLogTo = (file: string, ...words: string[]): Promise<Ran> =>
  spawned(["sh", "-c", `exec "$@" > ${file}`, "sh", ...inspecting, ...words]);

/** Without what the terminal of whoever runs the tests says of itself. */
export async function spawned(command: readonly string[], environment: Record<string, string> = {}): Promise<Ran> {
  const { COLUMNS: _columns, LC_ALL: _all, LC_CTYPE: _type, ...rest } = process.env;
  const child = Bun.spawn({
    cmd: [...command],
    cwd: root,
    env: { ...rest, LANG: "C.UTF-8", ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [output, error, status] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { output, error, status };
}

/** Copies the segments of a golden log to a new directory in `scratch`, where they may be changed. */
export function copyOf(name: string, scratch: string): string {
  const directory = mkdtempSync(join(scratch, `${name}-`));
  for (const file of readdirSync(join(fixtures, name)).filter((each) => each.endsWith(".wal"))) {
    writeFileSync(join(directory, file), readFileSync(join(fixtures, name, file)));
  }
  return directory;
}
