/** How many files and connections this process may have open. */
import { readFileSync } from "node:fs";

/** See proc_pid_limits(5) and getrlimit(2); Infinity where that cannot be told. Bun has raised it as far as it may. */
export function openFilesMax(): number {
  try {
    const line = /^Max open files +([0-9]+)/m.exec(readFileSync("/proc/self/limits", "utf8"));
    return line === null ? Infinity : Number(line[1]);
  } catch {
    return Infinity;
  }
}
