/**
 * The payloads of log records, described once. The record around them (header, checksum, chain) is `record.ts`.
 */
import { limits } from "../base/limits.ts";
import { configured, member, policy, view } from "./fields.ts";
import { bytes, define, list, uint, uuid, type FieldsOf, type ValueOf } from "./schema.ts";

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
} as const;

export type EntryPayload = ValueOf<typeof entries>;
export type ViewEntry = FieldsOf<(typeof entries)["view"]["fields"]>;
export type OpEntry = FieldsOf<(typeof entries)["op"]["fields"]>;
