/** The logs of replicas as `chatd inspect-log` shows them: whether each is sound, and whether they are the same. */
import { executable } from "../tasks/build.ts";

/** What one entry has to have in common with the other logs. */
interface LogLine {
  readonly index: number;
  readonly chain: string;
  readonly kind: string;
  readonly superseded: boolean;
}

/** Runs `chatd inspect-log`; never throws for its exit status. */
export async function inspectLog(directory: string, ...flags: string[]): Promise<{ exitCode: number; output: string }> {
  const child = Bun.spawn({
    cmd: [executable, "inspect-log", directory, ...flags],
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [output, error, exitCode] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { exitCode, output: exitCode === 0 ? output : output + error };
}

/** The chain of the live entries of a log by their index. Throws unless the log is clean. */
export async function chains(directory: string): Promise<Map<number, string>> {
  const { exitCode, output } = await inspectLog(directory, "--json");
  if (exitCode !== 0) throw new Error(`inspect-log ${directory} exits ${exitCode}: ${output.slice(-500)}`);
  const found = new Map<number, string>();
  for (const line of output.split("\n")) {
    if (line === "") continue;
    const entry: LogLine = JSON.parse(line);
    if (entry.index > 0 && !entry.superseded) found.set(entry.index, entry.chain);
  }
  return found;
}

/** What is wrong with a set of logs that should be sound and the same: one line for each fault. */
export async function logFaults(directories: readonly string[]): Promise<string[]> {
  const faults: string[] = [];
  const all = new Map<string, Map<number, string>>();
  for (const directory of directories) {
    const verified = await inspectLog(directory, "--verify");
    if (verified.exitCode !== 0) faults.push(`${directory}: --verify exits ${verified.exitCode}: ${verified.output}`);
    all.set(directory, await chains(directory));
  }
  const [first, ...others] = [...all];
  for (const [directory, entries] of others) {
    const [firstDirectory, firstEntries] = first ?? ["", new Map<number, string>()];
    if (entries.size !== firstEntries.size) {
      faults.push(`${directory} has ${entries.size} entries, ${firstDirectory} has ${firstEntries.size}`);
    }
    const different = [...entries].find(([index, chain]) => firstEntries.get(index) !== chain);
    if (different) faults.push(`${directory} and ${firstDirectory} differ at index ${different[0]}`);
  }
  return faults;
}
