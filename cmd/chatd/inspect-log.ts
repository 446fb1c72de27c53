/**
 * `chatd inspect-log`: shows, follows, verifies and compares logs. Reads only; works while a server writes; goes on past
 * damage. What the lines look like is in a file each; here they are put in order.
 */
import { Command } from "commander";
import type { LogVerdict } from "../../lib/log/reader.ts";
import { complain } from "./failure.ts";
import { checkFlags, parseKinds, parseOp, parseView, type InspectFlags } from "./inspect-flags.ts";
import { follow } from "./inspect-follow.ts";
import { isUnicode, Output, outputColumns } from "./inspect-output.ts";
import { isFiltered, isWanted, Shown } from "./inspect-shown.ts";
import { comparisonJson, comparisonText, compareLogs } from "./log-compare.ts";
import { ViewLineage } from "./log-lineage.ts";
import { kinds } from "./log-lines.ts";
import { findLog, unreadable } from "./log-location.ts";
import { LogStatistics } from "./log-statistics.ts";
import { lineageJson, treeLines } from "./log-tree.ts";
import { inspectStatus, verdictJson, verdictText } from "./log-verdict.ts";
import { SettledLog } from "./settled-log.ts";
import { wholeNumber } from "./usage.ts";

const differs = 3;
const anyIndex = wholeNumber(1, Number.MAX_SAFE_INTEGER);

export function inspectLogCommand(): Command {
  return new Command("inspect-log")
    .description(
      "Shows what is in a replica's log; verifies it; compares two. Never writes; works while it is written.",
    )
    .argument("<DIR>", "a replica's --data directory, or one segment file of it (*.wal)")
    .optionsGroup("Which records:")
    .option("--from <INDEX>", "entries from this index on", anyIndex)
    .option("--to <INDEX>", "entries up to this index", anyIndex)
    .option("--kind <KIND,…>", `records of these kinds: ${kinds.join(", ")}`, parseKinds)
    .option("--view <VIEW>", "records of this view, e.g. 3.1", parseView)
    .option("--op <ID>", "this op, SESSION/SEQ, or all of a SESSION", parseOp)
    .option("--limit <N>", "at most so many records", anyIndex)
    .option("--follow", "stays, and shows what becomes durable; ends with Ctrl-C")
    .optionsGroup("Instead of records:")
    .option("--verify", "checks everything, prints one line")
    .option("--stats", "counts and bytes of each kind, first and last index and time")
    .option("--views", "the views as a tree: which went on, which did not and what became of their ops")
    .option("--compare <DIR>", "the first index at which this other log differs, and how")
    .optionsGroup("How:")
    .option("--json", "JSON, one object a line, of records and reports alike")
    .option("--raw", "the bytes beside what they mean")
    .option("--show-bodies", "shows what people wrote; without it only how long it is")
    .optionsGroup("Options:")
    .addHelpText("after", examples)
    .action(async (directory: string, flags: InspectFlags) => {
      checkFlags(flags);
      try {
        process.exitCode = await run(directory, flags);
      } catch (error) {
        throw unreadable(error);
      }
    });
}

const examples = `
Examples:
  chatd inspect-log ~/.local/state/chatd/1 --from 100 --limit 20
  chatd inspect-log ~/.local/state/chatd/1 --kind view,act --follow     how the cluster changes
  chatd inspect-log ~/.local/state/chatd/1 --op 5bd9e3f0/7              one op, wherever it stands
  chatd inspect-log ~/.local/state/chatd/1 --verify --stats             is it sound, and how large is what
  chatd inspect-log ~/.local/state/chatd/1 --views                      forks, and whether they are merged
  chatd inspect-log ~/.local/state/chatd/1 --compare /mnt/copy/chatd/2
  chatd inspect-log ~/.local/state/chatd/1 --json | jq -r 'select(.kind == "op") | .op'
  chatd inspect-log ~/.local/state/chatd/1/log/00000003.wal --raw --limit 3

In the lines "~" marks what was superseded, "?" what stands behind damage, "!" what the last write left unfinished,
"#" what is damaged. On a terminal lines are cut at its width; through a pipe they are whole.
Exit status: 0 clean, 2 the last write did not finish, 3 corrupt (or --compare differs), 4 cannot read, 64 usage,
74 the output cannot be written. That no record matches is said on stderr, and changes nothing about it.
`;

async function run(directory: string, flags: InspectFlags): Promise<number> {
  const output = new Output();
  if (flags.compare !== undefined) return await compare(directory, flags.compare, flags.json === true, output);
  const location = findLog(directory);
  if (flags.follow === true) return await follow(location, new Shown(flags, output), output);
  const log = new SettledLog(location);
  const isReport = flags.verify === true || flags.stats === true || flags.views === true;
  const verdict = isReport ? await report(log, flags, output) : await show(log, new Shown(flags, output), output);
  await output.drained();
  if (verdict === null) return 0;
  const status = inspectStatus[verdict.state];
  if (flags.verify !== true && status !== 0) complain(verdictText(verdict));
  return status;
}

/** Null if nobody has read to the end. */
async function show(log: SettledLog, shown: Shown, output: Output): Promise<LogVerdict | null> {
  shown.begin();
  for (let segment = await log.next(); segment !== null; segment = await log.next()) {
    if (shown.isEnough) continue;
    shown.segment(segment);
    for (const item of segment.items()) {
      shown.item(item);
      if (shown.isEnough) break;
      if (output.isFull) await output.drained();
      if (output.isGone) break;
    }
    await output.drained();
    if (output.isGone) return null;
  }
  const verdict = log.inspection.verdict();
  shown.sayIfNothing(verdict);
  return verdict;
}

async function report(log: SettledLog, flags: InspectFlags, output: Output): Promise<LogVerdict> {
  const statistics = new LogStatistics();
  const lineage = new ViewLineage();
  for (let segment = await log.next(); segment !== null; segment = await log.next()) {
    if (flags.views === true) lineage.addSegment(segment);
    if (flags.stats !== true) continue;
    for (const item of segment.items()) {
      if ("fault" in item ? !isFiltered(flags) : isWanted(item.record, flags)) statistics.add(item);
    }
  }
  const verdict = log.inspection.verdict();
  const json = flags.json === true;
  if (flags.stats === true) for (const line of statistics.lines(json)) output.line(line);
  if (flags.views === true) {
    const style = { columns: outputColumns(), unicode: isUnicode() };
    for (const line of json ? lineageJson(lineage) : treeLines(lineage, verdict, style)) output.line(line);
  }
  if (flags.verify === true) output.line(json ? verdictJson(verdict) : verdictText(verdict));
  return verdict;
}

async function compare(name: string, otherName: string, json: boolean, output: Output): Promise<number> {
  const left = { name, log: await new SettledLog(findLog(name)).finish() };
  const right = { name: otherName, log: await new SettledLog(findLog(otherName)).finish() };
  const comparison = compareLogs(left, right);
  if (json) output.line(comparisonJson(left, right, comparison));
  else for (const line of comparisonText(left, right, comparison)) output.line(line);
  await output.drained();
  const verdicts = [left, right].map(({ log }) => log.verdict());
  for (const [at, verdict] of verdicts.entries()) {
    if (verdict.state !== "clean") complain(`${at === 0 ? name : otherName} is ${verdictText(verdict)}`);
  }
  const worst = Math.max(...verdicts.map(({ state }) => inspectStatus[state]));
  return worst > 0 ? worst : comparison.relation === "same" ? 0 : differs;
}
