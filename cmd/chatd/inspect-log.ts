/**
 * `chatd inspect-log`: shows, verifies and compares logs. Reads only; works while a server writes; goes on past damage.
 */
import { existsSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { openDisk } from "../../lib/io/disk.ts";
import { DiskError, type Disk } from "../../lib/log/disk.ts";
import { inspect, type LogInspection, type LogState } from "../../lib/log/reader.ts";
import { segmentNumber } from "../../lib/log/segment.ts";
import { formatOpId } from "../../lib/protocol/ids.ts";
import { StdoutLines } from "../../lib/tui/json-stdio.ts";
import { CommandFailure, complain } from "./failure.ts";
import { damageJson, damageText, jsonLine, kindOf, kinds, opOf, textHeader, textLine } from "./log-lines.ts";
import { LogStatistics } from "./log-statistics.ts";
import { wholeNumber } from "./usage.ts";

/** Part of the contract, like those of `failure.ts`. */
const inspectStatus = { clean: 0, torn: 2, corrupt: 3, unknown: 4 } as const satisfies Record<LogState, number>;
const differs = 3;
const cannotRead = 4;
const linesPerTurn = 2000;
const anyIndex = wholeNumber(1, Number.MAX_SAFE_INTEGER);

interface InspectFlags {
  readonly from?: number;
  readonly to?: number;
  readonly kind?: readonly string[];
  readonly view?: number;
  readonly op?: string;
  readonly limit?: number;
  readonly json?: true;
  readonly verify?: true;
  readonly stats?: true;
  readonly compare?: string;
  readonly showBodies?: true;
}

export function inspectLogCommand(): Command {
  return new Command("inspect-log")
    .description("Shows what is in a replica's log; verifies it; compares two.")
    .argument("<DIR>", "a replica's --data directory, or one segment file of it (*.wal)")
    .option("--from <INDEX>", "entries from this index on", anyIndex)
    .option("--to <INDEX>", "entries up to this index", anyIndex)
    .option("--kind <KIND,…>", `records of these kinds only: ${kinds.join(", ")}`, parseKinds)
    .option("--view <VIEW>", "records of this view only, e.g. 3.1", parseView)
    .option("--op <ID>", "this op only: its id (session/seq) or its session")
    .option("--limit <N>", "at most so many records", anyIndex)
    .option("--json", "one JSON object a line")
    .option("--verify", "checks everything, prints one line")
    .option("--stats", "counts and bytes of each kind, first and last index and time")
    .option("--compare <DIR>", "the first index at which this other log differs, and how")
    .option("--show-bodies", "shows what people wrote; without it only how long it is")
    .addHelpText("after", examples)
    .action(async (directory: string, flags: InspectFlags) => {
      try {
        process.exitCode = await run(directory, flags);
      } catch (error) {
        if (!(error instanceof DiskError)) throw error;
        throw new CommandFailure(error.message, cannotRead, { cause: error });
      }
    });
}

const examples = `
Examples:
  chatd inspect-log ~/.local/state/chatd/1 --verify         is it sound? one line and an exit status
  chatd inspect-log ~/.local/state/chatd/1 --from 100 --limit 20
  chatd inspect-log ~/.local/state/chatd/1 --kind view,act  how the cluster changed
  chatd inspect-log ~/.local/state/chatd/1 --json | jq -r 'select(.kind == "op") | .op'

In the lines "~" marks what was superseded, "!" what the last write left unfinished, "#" what is damaged.
Exit status: 0 clean, 2 the last write did not finish, 3 corrupt (or --compare differs), 4 cannot read, 64 usage.
`;

async function run(directory: string, flags: InspectFlags): Promise<number> {
  const log = await look(directory);
  if (flags.compare !== undefined) return compare(log, directory, await look(flags.compare), flags.compare);
  const status = inspectStatus[log.state];
  const output = new Output();
  if (flags.verify === true) {
    output.line(log.verdict());
  } else if (flags.stats === true) {
    const statistics = new LogStatistics();
    for (const item of log.items()) statistics.add(item);
    for (const line of statistics.lines(flags.json === true)) output.line(line);
  } else {
    await show(log, flags, output);
  }
  await output.end();
  if (flags.verify !== true && status !== 0 && !output.isGone) complain(log.verdict());
  return status;
}

/** A write that is under way looks like one that did not finish: look again, and believe it when it stays. */
async function look(path: string): Promise<LogInspection> {
  const { disk, only } = find(path);
  let log = inspect(disk, only);
  for (let tries = 0; tries < 3 && log.state === "torn"; tries++) {
    await Bun.sleep(50);
    const again = inspect(disk, only);
    const moved = again.tornAt !== log.tornAt;
    log = again;
    if (moved) tries = -1;
  }
  if (log.isEmpty)
    throw new CommandFailure(`there is no log in ${path}: no segment (*.wal) in it or its log/`, cannotRead);
  return log;
}

function find(path: string): { disk: Disk; only?: readonly number[] } {
  const absolute = resolve(path);
  if (!existsSync(absolute)) throw new CommandFailure(`${path} does not exist: name a --data directory`, cannotRead);
  if (statSync(absolute).isDirectory()) {
    const inner = join(absolute, "log");
    return { disk: openDisk(existsSync(inner) ? inner : absolute) };
  }
  const number = segmentNumber(basename(absolute));
  if (number === null) {
    throw new CommandFailure(`${path} is no segment: they are named like 00000001.wal`, cannotRead);
  }
  return { disk: openDisk(dirname(absolute)), only: [number] };
}

async function show(log: LogInspection, flags: InspectFlags, output: Output): Promise<void> {
  const json = flags.json === true;
  const bodies = flags.showBodies === true;
  const limit = flags.limit ?? Infinity;
  if (!json) output.line(textHeader);
  let shown = 0;
  for (const item of log.items()) {
    if (output.isGone || shown >= limit) return;
    if ("fault" in item) {
      if (!isFiltered(flags)) output.line(json ? damageJson(item) : damageText(item));
      continue;
    }
    if (!isWanted(item.record, flags)) continue;
    shown++;
    output.line(json ? jsonLine(item, bodies) : textLine(item, bodies));
    if (shown % linesPerTurn === 0) await output.drained();
  }
}

const isFiltered = ({ from, to, kind, view, op }: InspectFlags): boolean =>
  from !== undefined || to !== undefined || kind !== undefined || view !== undefined || op !== undefined;

function isWanted(record: Parameters<typeof kindOf>[0], { from, to, kind, view, op }: InspectFlags): boolean {
  if ((from !== undefined || to !== undefined) && record.index === 0) return false;
  if (from !== undefined && record.index < from) return false;
  if (to !== undefined && record.index > to) return false;
  if (kind !== undefined && !kind.includes(kindOf(record))) return false;
  if (view !== undefined && record.view !== view) return false;
  if (op === undefined) return true;
  const found = opOf(record);
  return found !== null && (found.session === op || formatOpId(found) === op);
}

async function compare(log: LogInspection, name: string, other: LogInspection, otherName: string): Promise<number> {
  const output = new Output();
  const last = Math.min(log.lastIndex, other.lastIndex);
  // Equal chains mean equal prefixes: the first difference is found by halving.
  let low = 0;
  let high = last;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (log.chain(middle) === other.chain(middle)) low = middle;
    else high = middle - 1;
  }
  for (const [each, of] of [
    [log, name],
    [other, otherName],
  ] as const) {
    if (each.state !== "clean") complain(`${of} is ${each.verdict()}`);
  }
  const same = low === last && log.lastIndex === other.lastIndex;
  if (same) output.line(`the same: ${low} entries, chain ${chainText(log, low)}`);
  else if (low === last) {
    const [longer, shorter] = log.lastIndex > last ? [name, otherName] : [otherName, name];
    const ahead = Math.max(log.lastIndex, other.lastIndex) - last;
    output.line(`the same up to index ${low}, where ${shorter} ends; ${longer} goes on for ${ahead} more`);
  } else {
    output.line(
      `differ from index ${low + 1} on: chain ${chainText(log, low + 1)} in ${name} (to ${log.lastIndex}), ` +
        `${chainText(other, low + 1)} in ${otherName} (to ${other.lastIndex})`,
    );
  }
  await output.end();
  const worst = Math.max(inspectStatus[log.state], inspectStatus[other.state]);
  return worst > 0 ? worst : same ? 0 : differs;
}

const chainText = (log: LogInspection, index: number): string =>
  (log.chain(index) ?? 0n).toString(16).padStart(16, "0");

/** Lines to stdout, none lost at the end, no more held than a reader takes. */
class Output {
  isGone = false;
  readonly #lines = new StdoutLines(() => (this.isGone = true));

  line(text: string): void {
    if (!this.isGone) this.#lines.write(text);
  }

  drained(): Promise<void> {
    return this.#lines.drained();
  }

  end(): Promise<void> {
    return this.#lines.drained();
  }
}

function parseKinds(text: string): readonly string[] {
  const wanted = text.split(",");
  for (const kind of wanted) {
    if (!kinds.includes(kind)) throw new InvalidArgumentError(`The kinds are ${kinds.join(", ")}.`);
  }
  return wanted;
}

function parseView(text: string): number {
  const match = /^(\d{1,12})\.(\d{1,3})$/.exec(text);
  const pid = Number(match?.[2] ?? 256);
  if (pid > 255) throw new InvalidArgumentError("A view looks like 3.1: its count and the pid of its primary.");
  return Number(match?.[1]) * 256 + pid;
}
