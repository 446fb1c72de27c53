/** How scenarios show records, messages, logs and standings: short, and by the names that the script gave its ops. */
import { decodeEntry } from "../protocol/codec.ts";
import { formatView } from "../protocol/ids.ts";
import type { ReplicaMessage } from "../protocol/messages.ts";
import { decodeRecord, recordKind, splitRecords, type LogRecord } from "../protocol/record.ts";
import type { Standing } from "../replication/events.ts";
import { describeMessage } from "./describe.ts";

/** The command of a scripted op is its name. */
export const nameOf = (command: Uint8Array): string => new TextDecoder().decode(command);

/** The names that `a0..a9` stands for; any other word stands for itself. */
export function namesIn(word: string): string[] {
  const [, stem = "", first = "", last = ""] = /^([a-z]+)([0-9]+)\.\.\1([0-9]+)$/.exec(word) ?? [];
  if (stem === "") return [word];
  return Array.from({ length: Number(last) - Number(first) + 1 }, (_, at) => `${stem}${Number(first) + at}`);
}

/** The other way round: three or more names that go on like that are told as `a0..a9`. */
export function namesText(names: readonly string[]): string {
  const runs: { readonly stem: string; readonly first: number; last: number }[] = [];
  for (const name of names) {
    const [, stem = name, number = "NaN"] = /^([a-z]+)(0|[1-9][0-9]*)$/.exec(name) ?? [];
    const run = runs.at(-1);
    if (run !== undefined && run.stem === stem && run.last + 1 === Number(number)) run.last++;
    else runs.push({ stem, first: Number(number), last: Number(number) });
  }
  return runs.map(runText).join(" ");
}

function runText({
  stem,
  first,
  last,
}: {
  readonly stem: string;
  readonly first: number;
  readonly last: number;
}): string {
  if (Number.isNaN(first)) return stem;
  if (last - first >= 2) return `${stem}${first}..${stem}${last}`;
  return first === last ? `${stem}${first}` : `${stem}${first} ${stem}${last}`;
}

export const pidsOf = (members: readonly { readonly pid: number }[]): string =>
  `{${members.map(({ pid }) => pid).join(" ")}}`;

/** E.g. `5 VIEW 2.2 {2 3}`, `6 ACT`, `7 a`, `PROMISE 3.1`; null for what says nothing. */
export function recordText(record: LogRecord): string | null {
  const at = record.index === 0 ? "" : `${record.index} `;
  switch (record.kind) {
    case recordKind.promise:
      return `PROMISE ${formatView(record.view)}`;
    case recordKind.act:
      return `${at}ACT`;
    case recordKind.view:
    case recordKind.op: {
      const entry = decodeEntry(record.kind, record.payload);
      if (entry.type === "op") return at + nameOf(entry.command);
      if (entry.type !== "view") return null;
      const awaiting = entry.awaiting.length === 0 ? "" : ` awaiting ${entry.awaiting.length}`;
      return `${at}VIEW ${formatView(entry.view)} ${pidsOf(entry.members)}${awaiting}`;
    }
    default:
      return null;
  }
}

export function recordsText(records: readonly Uint8Array[]): string {
  const texts = records.flatMap((bytes) => {
    const record = decodeRecord(bytes, 0);
    const text = typeof record === "string" ? record : recordText(record);
    return text === null ? [] : [text];
  });
  return texts.length <= 8 ? texts.join(", ") : `${texts.slice(0, 3).join(", ")}, … ${texts.at(-1)}`;
}

function batchText(batch: Uint8Array): string {
  const records = splitRecords(batch);
  if (records === null) return "damaged bytes";
  return records.length === 0 ? "nothing" : recordsText(records.map(({ bytes }) => bytes));
}

export function messageText(message: ReplicaMessage): string {
  switch (message.type) {
    case "append":
      return `append ${formatView(message.view)} after ${message.previous.index}: ${batchText(message.records)} · commit ${message.commit}`;
    case "entries":
      return `entries after ${message.previous.index}: ${batchText(message.records)} · of ${message.lastIndex}, commit ${message.commit}`;
    case "forward": {
      const ops = message.ops.map((bytes) => {
        const op = decodeEntry(recordKind.op, bytes);
        return op.type === "op" ? nameOf(op.command) : "?";
      });
      return `forward ${formatView(message.view)} stream ${message.stream} from ${message.first}: ${ops.join(" ")}`;
    }
    default:
      return describeMessage(message);
  }
}

/** E.g. `1 primary of 2.1 {1 2}, provisional; commit 5 of 5`. */
export function standingText(pid: number, standing: Standing | null, paused: boolean): string {
  if (standing === null) return `${pid} down`;
  const { role, ready, view, members, provisional, waitingFor, commit, lastIndex } = standing;
  const where = view === 0 ? role : `${role} of ${formatView(view)} ${pidsOf(members)}`;
  const marks = `${ready ? "" : ", not serving"}${provisional ? ", provisional" : ""}${paused ? ", paused" : ""}`;
  const why = waitingFor === "" ? "" : `; ${waitingFor}`;
  return `${pid} ${where}${marks}; commit ${commit} of ${lastIndex}${why}`;
}

/** Lines of `pids: text`, replicas with the same text together. */
export function together(texts: readonly (readonly [pid: number, text: string])[]): string[] {
  const byText = new Map<string, number[]>();
  for (const [pid, text] of texts) byText.set(text, [...(byText.get(text) ?? []), pid]);
  return [...byText].flatMap(([text, pids]) => {
    const [first = "", ...rest] = text.split("\n");
    return [`${pids.join(" ")}: ${first}`, ...rest.map((line) => `  ${line}`)];
  });
}
