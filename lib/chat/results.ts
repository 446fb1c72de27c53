/**
 * Results of ops as they are kept for retries, and the digest by which a retry is told from a reused id. Pure.
 */
import { unreachable } from "../base/assert.ts";
import type { ClientOp, ErrorCode } from "../protocol/messages.ts";
import type { OpResult } from "../protocol/state-machine.ts";

/** Kinds in the `results` table; never renumbered. */
const kinds = { created: 1, loggedIn: 2, done: 3, sent: 4, opened: 5, refused: 6 } as const;

/** A row of `results` without its key. Texts of messages are never in it: deleting one erases it. */
export interface StoredResult {
  readonly kind: number;
  readonly value: number;
  readonly detail: string | null;
}

/** What an op came to, before its place in the log is added; `numbers` are the messages opened by the account `owner`. */
export type Finding =
  | { readonly type: "created"; readonly user: string }
  | { readonly type: "loggedIn"; readonly user: string; readonly inbox: number }
  | { readonly type: "done"; readonly count: number }
  | { readonly type: "sent"; readonly at: number }
  | { readonly type: "opened"; readonly owner: number; readonly numbers: readonly number[] }
  | { readonly type: "refused"; readonly code: ErrorCode; readonly message: string };

export function storeFinding(finding: Finding): StoredResult {
  const kind = kinds[finding.type];
  switch (finding.type) {
    case "created":
      return { kind, value: 0, detail: finding.user };
    case "loggedIn":
      return { kind, value: finding.inbox, detail: finding.user };
    case "done":
      return { kind, value: finding.count, detail: null };
    case "sent":
      return { kind, value: finding.at, detail: null };
    case "opened":
      return { kind, value: finding.owner, detail: JSON.stringify(finding.numbers) };
    case "refused":
      return { kind, value: 0, detail: JSON.stringify([finding.code, finding.message]) };
    default:
      return unreachable(finding);
  }
}

export function loadFinding({ kind, value, detail }: StoredResult): Finding {
  switch (kind) {
    case kinds.created:
      return { type: "created", user: detail ?? "" };
    case kinds.loggedIn:
      return { type: "loggedIn", user: detail ?? "", inbox: value };
    case kinds.done:
      return { type: "done", count: value };
    case kinds.sent:
      return { type: "sent", at: value };
    case kinds.opened:
      return { type: "opened", owner: value, numbers: JSON.parse(detail ?? "[]") as number[] };
    default: {
      const [code, message] = JSON.parse(detail ?? "[]") as [ErrorCode, string];
      return { type: "refused", code, message };
    }
  }
}

export const refuse = (code: ErrorCode, message: string): Extract<Finding, { type: "refused" }> => ({
  type: "refused",
  code,
  message,
});

/** The session was never registered in this lineage, or has expired: the client must open a new one. */
export const unknownSession: OpResult = refuse("unauthorized", "This session is not known: open a new one.");
/** Asked again long after it was acknowledged. */
export const forgottenResult: OpResult = refuse("unknown", "This was done before; its result is no longer kept.");
/** The same id with other content: a client that counts wrongly, or a stolen id. */
export const reusedId: OpResult = refuse("bad-command", "This number was used before for something else: count on.");

/** xxHash64 of what was asked for: neither secrets nor what changes from one try to the next. */
export function requestDigest(request: ClientOp): Uint8Array {
  const digest = new Uint8Array(8);
  new DataView(digest.buffer).setBigUint64(0, Bun.hash.xxHash64(JSON.stringify(contentOf(request))));
  return digest;
}

function contentOf(request: ClientOp): readonly unknown[] {
  switch (request.type) {
    case "createAccount":
    case "login":
      return [request.type, request.user];
    case "logout":
    case "deleteAccount":
      return [request.type];
    case "send":
      return [request.type, request.to, request.text];
    case "open":
      return [request.type, request.count];
    case "mark":
      return [request.type, request.read, ...request.ids.map(({ session, seq }) => `${session}/${seq}`)];
    case "deleteMessages":
      return [request.type, ...request.ids.map(({ session, seq }) => `${session}/${seq}`)];
    default:
      return unreachable(request);
  }
}
