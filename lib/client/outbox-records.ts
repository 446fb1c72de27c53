/**
 * What stands in a file of the outbox: records, their meaning, and what is open after the last of them. Pure. A file is of
 * one process, and its records are only ever added: `begun` first, then messages; a message is `bound` to the op that
 * sends it before that leaves the process, `freed` when that op will certainly never be done, `over` when its answer is
 * known.
 */
import * as v from "valibot";
import { encodeLine, readLines } from "./checked-lines.ts";

/** Files of a later format are left alone. */
const formatVersion = 1;

/** The op that sends a message: asked for again under this id it is done once, whichever process asks. */
export interface Binding {
  /** Hexadecimal, like the token. */
  readonly cluster: string;
  readonly session: string;
  readonly token: string;
  readonly seq: number;
  /** The account that the session was logged in to, as the server spells it. */
  readonly user: string;
  /** When it was bound: its session was in use then. By the clock of this machine, milliseconds since the epoch. */
  readonly at: number;
}

export interface KeptMessage {
  /** In its file, from 1. */
  readonly number: number;
  readonly to: string;
  readonly text: string;
  /** When it was written, milliseconds since the epoch. */
  readonly at: number;
  /** Null while no op was made of it: then it was certainly never sent. */
  readonly binding: Binding | null;
}

const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const hexadecimal = (bytes: number) => v.pipe(v.string(), v.regex(new RegExp(`^[0-9a-f]{${2 * bytes}}$`)));

const recordSchema = v.variant("record", [
  v.object({ record: v.literal("begun"), format: whole, servers: v.array(v.string()) }),
  v.object({ record: v.literal("message"), number: whole, to: v.string(), text: v.string(), at: whole }),
  v.object({
    record: v.literal("bound"),
    number: whole,
    cluster: hexadecimal(16),
    session: v.string(),
    token: hexadecimal(32),
    seq: whole,
    user: v.string(),
    /** Not there in files of early builds. */
    at: v.optional(whole),
  }),
  v.object({ record: v.literal("freed"), number: whole }),
  v.object({ record: v.literal("over"), number: whole }),
  /** A process that goes on with a session bound here uses seqs from `next` on for what it asks for itself. */
  v.object({ record: v.literal("resumed"), session: v.string(), next: whole }),
]);

export type OutboxRecord = v.InferOutput<typeof recordSchema>;

export const begunRecord = (servers: readonly string[]): OutboxRecord => ({
  record: "begun",
  format: formatVersion,
  servers: [...servers],
});

/** One that an op of a session was made of. */
export type BoundMessage = KeptMessage & { readonly binding: Binding };

export const messageRecord = ({ number, to, text, at }: KeptMessage): OutboxRecord => ({
  record: "message",
  number,
  to,
  text,
  at,
});

export const boundRecord = (number: number, binding: Binding): OutboxRecord => ({
  record: "bound",
  number,
  ...binding,
});

export function encodeRecords(records: readonly OutboxRecord[]): Uint8Array {
  return Buffer.concat(records.map(encodeLine));
}

export interface OutboxContent {
  /** `none`: nothing was ever kept there. `later`: of a format that is not known here. */
  readonly format: "known" | "later" | "none";
  readonly servers: readonly string[];
  /** Of the ops made of its messages, hexadecimal; null while there is none. */
  readonly cluster: string | null;
  /** What is open, in order. */
  readonly messages: readonly KeptMessage[];
  readonly nextNumber: number;
  /** For each session: what a process that goes on with it may use. */
  readonly resumed: ReadonlyMap<string, number>;
  /** Whole lines that cannot be read: a message that seems not to be bound may be. */
  readonly damaged: number;
  readonly torn: boolean;
}

export function readOutbox(bytes: Uint8Array): OutboxContent {
  const lines = readLines(bytes);
  let { damaged } = lines;
  let servers: readonly string[] = [];
  let cluster: string | null = null;
  let nextNumber = 1;
  let isBegun = false;
  const open = new Map<number, KeptMessage>();
  const resumed = new Map<string, number>();
  const rebind = (number: number, binding: Binding | null): void => {
    const message = open.get(number);
    if (message !== undefined) open.set(number, { ...message, binding });
  };
  for (const line of lines.records) {
    const format = line["record"] === "begun" ? line["format"] : formatVersion;
    if (typeof format === "number" && format > formatVersion) return { ...nothing, format: "later" };
    const parsed = v.safeParse(recordSchema, line);
    if (!parsed.success) {
      damaged++;
      continue;
    }
    const record = parsed.output;
    switch (record.record) {
      case "begun":
        isBegun = true;
        servers = record.servers;
        break;
      case "message": {
        const { number, to, text, at } = record;
        open.set(number, { number, to, text, at, binding: null });
        nextNumber = Math.max(nextNumber, number + 1);
        break;
      }
      case "bound": {
        const { record: _, number, at = open.get(number)?.at ?? 0, ...binding } = record;
        cluster = binding.cluster;
        rebind(number, { ...binding, at });
        break;
      }
      case "freed":
        rebind(record.number, null);
        break;
      case "over":
        open.delete(record.number);
        break;
      case "resumed":
        resumed.set(record.session, record.next);
        break;
    }
  }
  if (!isBegun && open.size > 0) damaged++;
  const format = isBegun || damaged > 0 ? "known" : "none";
  return { format, servers, cluster, messages: [...open.values()], nextNumber, resumed, damaged, torn: lines.torn };
}

const nothing: OutboxContent = {
  format: "none",
  servers: [],
  cluster: null,
  messages: [],
  nextNumber: 1,
  resumed: new Map(),
  damaged: 0,
  torn: false,
};

/** The same as the shortest file that says so. */
export function shortened({ servers, messages, resumed }: OutboxContent): OutboxRecord[] {
  const records = [begunRecord(servers)];
  for (const message of messages) {
    records.push(messageRecord(message));
    if (message.binding !== null) records.push(boundRecord(message.number, message.binding));
  }
  for (const [session, next] of resumed) records.push({ record: "resumed", session, next });
  return records;
}
