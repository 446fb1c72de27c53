/**
 * The payloads of log records, described once. The record around them (header, checksum, chain) is `record.ts`.
 */
import { limits } from "../base/limits.ts";
import { attempt, configured, index, member, policy, view, viewStart } from "./fields.ts";
import { bool, bytes, define, list, uint, uuid, type FieldsOf, type ValueOf } from "./schema.ts";

/** What a log that begins above 1 keeps of what stood before its first entry. */
export const beginningFields = {
  policy,
  /** Where each view begins that begins at or before that point, oldest first; of very many, the newest. */
  views: list(viewStart, limits.viewTableMax),
  /** The VIEW entries from the last formed view on, oldest first, that stand at or before that point; see `telling`. */
  attempts: list(attempt, 1024),
} as const;

/** Record kinds are the definitions' numbers. VIEW, ACT and OP are entries (they have an index); the rest are local. */
export const entries = {
  view: define(1, "log", "An attempt: these members go on from the entry before this one.", {
    view,
    /** The view of the entry before this one: the lineage. */
    parent: view,
    epoch: uint(),
    policy,
    members: list(member, limits.replicasMax),
    config: list(configured, limits.replicasMax),
    awaiting: list(uuid, 4 * limits.replicasMax),
  }),
  act: define(2, "log", "The view formed: its VIEW entry is on every member's disk.", { view }),
  op: define(3, "log", "One op of a session.", {
    session: uuid,
    seq: uint(),
    oldest: uint(),
    /** Milliseconds since the epoch; never decreasing along the log. */
    at: uint(),
    /** When it was first accepted; differs from `at` for a merged op. */
    origAt: uint(),
    /** xxHash64 of what the client asked for, without secrets, to tell a retry from a reused id. */
    digest: bytes(8, 8),
    /** One of `commands`, encoded. */
    command: bytes(1, limits.recordPayloadBytesMax),
  }),
  promise: define(16, "log", "No view below this one is acked any more.", { view }),
  sync: define(17, "log", "Everything before this record is durable.", {
    segment: uint(),
    offset: uint(),
    commit: uint(),
  }),
  begin: define(19, "log", "First in a segment: what to know of all that stands before it.", {
    /** The greatest view promised before here. */
    promised: view,
    /** Of what stands before a segment with which the log begins anew: the last entry that is on its lineage. */
    kept: index,
    /** This disk was in the first view of the log, or has led one of its views, and was not replaced since. */
    isKnown: bool,
    ...beginningFields,
  }),
  merged: define(20, "log", "Whatever was superseded before here has been applied in the lineage.", {}),
  trim: define(21, "log", "Segments before this one are no longer needed, and may be gone.", { first: uint() }),
} as const;

export type EntryPayload = ValueOf<typeof entries>;
export type ViewEntry = FieldsOf<(typeof entries)["view"]["fields"]>;
export type BeginEntry = FieldsOf<(typeof entries)["begin"]["fields"]>;
export type OpEntry = FieldsOf<(typeof entries)["op"]["fields"]>;
