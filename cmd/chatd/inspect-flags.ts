/**
 * The flags of `chatd inspect-log`: what each may hold, and which go together. Opens nothing.
 */
import { InvalidArgumentError } from "commander";
import { limits } from "../../lib/base/limits.ts";
import { recordKind } from "../../lib/protocol/record.ts";
import { CommandFailure, exitStatus } from "./failure.ts";
import { kinds } from "./log-lines.ts";

/** One op, or all of a session: `session` is the beginning of its uuid, `seq` null for every one. */
export interface OpWanted {
  readonly session: string;
  readonly seq: number | null;
}

export interface InspectFlags {
  readonly from?: number;
  readonly to?: number;
  readonly kind?: readonly string[];
  readonly view?: number;
  readonly op?: OpWanted;
  readonly limit?: number;
  readonly follow?: true;
  readonly verify?: true;
  readonly stats?: true;
  readonly views?: true;
  readonly compare?: string;
  readonly json?: true;
  readonly raw?: true;
  readonly showBodies?: true;
}

/** Throws a usage failure that says why, when flags are given that make no sense together. */
export function checkFlags(flags: InspectFlags): void {
  const { from, to, kind, op } = flags;
  if (from !== undefined && to !== undefined && from > to) {
    refuse(`--from ${from} --to ${to}: it begins behind its end; --from must not be above --to`);
  }
  const range = from === undefined ? (to === undefined ? null : "--to") : "--from";
  if (kind?.every((each) => !entryKinds.has(each)) === true) {
    if (range !== null) refuse(`${range} with --kind ${kind.join(",")}: only view, act and op have an index`);
    if (flags.view !== undefined && !kind.includes("promise")) {
      refuse(`--view with --kind ${kind.join(",")}: only view, act, op and promise belong to a view`);
    }
  }
  if (op !== undefined && kind !== undefined && !kind.includes("op")) {
    refuse(`--op with --kind ${kind.join(",")}: ops are of the kind op`);
  }
  if (flags.follow === true && to !== undefined)
    refuse("--follow with --to: it goes on; name a number of records with --limit");
  checkReports(flags);
}

/** A report says something of the whole log instead of showing its records. */
function checkReports(flags: InspectFlags): void {
  if (flags.compare !== undefined) {
    for (const name of given(flags)) {
      if (name !== "compare" && name !== "json") {
        refuse(`--compare with ${flagName(name)}: it compares two whole logs, and says of both in what state they are`);
      }
    }
  }
  const reports = (["verify", "stats", "views"] as const).filter((name) => flags[name] === true);
  const [report] = reports;
  if (report === undefined) return;
  for (const name of ["follow", "raw", "showBodies", "limit"] as const) {
    if (flags[name] !== undefined) refuse(`${flagName(report)} with ${flagName(name)}: it shows no records`);
  }
  const whole = reports.find((each) => each !== "stats");
  if (whole === undefined) return;
  for (const name of ["from", "to", "kind", "view", "op"] as const) {
    if (flags[name] !== undefined) refuse(`${flagName(whole)} with ${flagName(name)}: it is about the whole log`);
  }
}

const entryKinds: ReadonlySet<string> = new Set(["view", "act", "op"]);
const given = (flags: InspectFlags): string[] =>
  Object.entries(flags).flatMap(([name, value]) => (value === undefined ? [] : [name]));
const flagName = (name: string): string => (name === "showBodies" ? "--show-bodies" : `--${name}`);

function refuse(message: string): never {
  throw new CommandFailure(`${message}; see chatd inspect-log --help`, exitStatus.usage);
}

/** Of a flag that may be given more than once, with several kinds each time. */
export function parseKinds(text: string, before: readonly string[] = []): readonly string[] {
  const wanted = text.split(",");
  for (const kind of wanted) {
    if (!Object.hasOwn(recordKind, kind)) throw new InvalidArgumentError(`The kinds are ${kinds.join(", ")}.`);
  }
  return [...before, ...wanted];
}

export function parseView(text: string): number {
  const match = /^(\d{1,12})\.(\d{1,3})$/.exec(text);
  const pid = Number(match?.[2] ?? 0);
  if (pid < 1 || pid > limits.pidMax) {
    throw new InvalidArgumentError("A view looks like 3.1: its count and the pid of its primary.");
  }
  return Number(match?.[1]) * 256 + pid;
}

/** `SESSION/SEQ` or `SESSION`; of a session the first eight digits, as a narrow terminal shows them, are enough. */
export function parseOp(text: string): OpWanted {
  const match = /^([0-9a-f]{8}[0-9a-f-]{0,28})(?:\/(\d{1,15}))?$/.exec(text.toLowerCase());
  if (match === null) {
    throw new InvalidArgumentError(
      "An op is named by its session and its number there, e.g. 5bd9e3f0-7a56-4d0e-9f4c-0a8b2f6c1d11/7 or 5bd9e3f0/7.",
    );
  }
  const [, session = "", seq] = match;
  return { session, seq: seq === undefined ? null : Number(seq) };
}
