/**
 * Notices that the programs which started this one are gone. A signal to `npx` or to `bun run` alone ends that program
 * and not what it started, so that who stays until told to must look for itself.
 */
import { readFileSync } from "node:fs";

interface Ancestor {
  readonly process: number;
  readonly parent: number;
  readonly session: number;
  /** Since boot; tells a process from a later one under the same id. */
  readonly startTime: string;
  readonly name: string;
}

const shells = new Set(["sh", "bash", "dash", "zsh", "fish", "ksh", "ash", "busybox"]);
const runners = /^(npm|npx|bun|node|yarn|pnpm)/;
const pollMs = 200;

/**
 * Calls `gone` once when one of the programs that started this one has ended. Those are the ancestors of this session
 * up to, not including, the first shell that is not itself a package runner's: a shell that ends leaves what it started
 * in the background alone. Without /proc only the parent is watched. The returned function ends the watch.
 */
export function watchAncestors(gone: (name: string) => void): () => void {
  const watched = startersOf(process.pid);
  const parent = process.ppid;
  const timer = setInterval(() => {
    const lost = watched.find((ancestor) => describe(ancestor.process)?.startTime !== ancestor.startTime);
    if (!lost && parentNow() === parent) return;
    clearInterval(timer);
    gone(lost?.name ?? "the parent process");
  }, pollMs);
  return () => clearInterval(timer);
}

/** Whether a process is there and has not ended; one that nobody has waited for has. */
export function isAlive(id: number): boolean {
  if (describe(process.pid) !== null) return describe(id) !== null;
  try {
    return process.kill(id, 0);
  } catch {
    return false;
  }
}

/** From the parent upwards. */
function startersOf(id: number): Ancestor[] {
  const own = describe(id);
  const found: Ancestor[] = [];
  for (let next = own?.parent ?? 0; next > 1;) {
    const ancestor = describe(next);
    if (!ancestor || ancestor.session !== own?.session) break;
    if (shells.has(ancestor.name) && !runners.test(describe(ancestor.parent)?.name ?? "")) break;
    found.push(ancestor);
    next = ancestor.parent;
  }
  return found;
}

/** `process.ppid` may be the parent at the start; the system's own answer is the parent now. */
function parentNow(): number {
  return describe(process.pid)?.parent ?? process.ppid;
}

/** What /proc says of a process; null when there is none, or no /proc. proc(5): fields after the name in parentheses. */
function describe(id: number): Ancestor | null {
  try {
    const stat = readFileSync(`/proc/${id}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    // State Z: it has ended, and its parent has not asked yet.
    if (fields[0] === "Z" || fields[0] === "X") return null;
    const name = stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")"));
    return { process: id, parent: Number(fields[1]), session: Number(fields[3]), startTime: fields[19] ?? "", name };
  } catch {
    return null;
  }
}
