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
async function chains(directory: string): Promise<Map<number, string>> {
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

/**
 * What is wrong with a set of logs that should be sound and the same, one line for each fault; and, apart from that,
 * whether some go on further than others.
 */
export async function compareLogs(
  directories: readonly string[],
): Promise<{ faults: string[]; uneven: string | null }> {
  const faults: string[] = [];
  const ends: number[] = [];
  const common = new Map<number, string>();
  for (const directory of directories) {
    const verified = await inspectLog(directory, "--verify");
    if (verified.exitCode !== 0) faults.push(`${directory}: --verify exits ${verified.exitCode}: ${verified.output}`);
    const entries = await chains(directory);
    let end = 0;
    for (const [index, chain] of entries) {
      end = Math.max(end, index);
      const other = common.get(index);
      if (other === undefined) common.set(index, chain);
      else if (other !== chain)
        faults.push(`${directory}: the chain at index ${index} is ${chain}, elsewhere ${other}`);
    }
    // Not how many there are: each replica deletes for itself what nobody needs of the beginning any more.
    ends.push(end);
  }
  const uneven = new Set(ends).size === 1 ? null : `the logs end at index ${ends.join(", ")}`;
  return { faults: faults.slice(0, 20), uneven };
}

/** The indexes at which each op stands in the logical log, by its id. */
export async function opsIn(directory: string): Promise<Map<string, number[]>> {
  const found = new Map<string, number[]>();
  for (const { op, index, superseded } of await opLines(directory)) {
    if (superseded) continue;
    const indexes = found.get(op);
    if (indexes === undefined) found.set(op, [index]);
    else indexes.push(index);
  }
  return found;
}

/** The ops that this disk holds in places that others have in the logical log: its side of a fork. */
export async function supersededOpsIn(directory: string): Promise<string[]> {
  return (await opLines(directory)).filter(({ superseded }) => superseded).map(({ op }) => op);
}

async function opLines(directory: string): Promise<(LogLine & { readonly op: string })[]> {
  const { exitCode, output } = await inspectLog(directory, "--json", "--kind", "op");
  if (exitCode !== 0) throw new Error(`inspect-log ${directory} exits ${exitCode}: ${output.slice(-500)}`);
  const lines = output.split("\n").filter((line) => line !== "");
  return lines.map((line) => JSON.parse(line));
}
