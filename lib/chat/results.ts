/**
 * Results of ops as they are kept for retries, and the digest by which a retry is told from a reused id. Pure.
 */
import { assert, unreachable } from "../base/assert.ts";
import type { OpEntry } from "../protocol/entries.ts";
import { formatOpId, parseOpId } from "../protocol/ids.ts";
import type { ClientOp, ErrorCode, OpId } from "../protocol/messages.ts";
import type { OpResult } from "../protocol/state-machine.ts";

/** Kinds in the `results` table; never renumbered. */
const kinds = { created: 1, loggedIn: 2, done: 3, sent: 4, opened: 5, refused: 6, draftSaved: 7 } as const;

/** A row of `results` without its key. Texts of messages are never in it: deleting one erases it. */
export interface StoredResult {
  readonly kind: number;
  readonly value: number;
  readonly detail: string | null;
}

/** What an op came to, before its place in the log is added; `numbers` are the messages opened by the account `owner`. */
export type Finding =
  | { readonly type: "created"; readonly user: string }
  | { readonly type: "loggedIn"; readonly user: string; readonly inbox: number; readonly drafts: number }
  | { readonly type: "done"; readonly count: number }
  /** `id`: of the message, when it is not that of the op. */
  | { readonly type: "sent"; readonly at: number; readonly id: OpId | null }
  | { readonly type: "draftSaved"; readonly draft: OpId }
  | { readonly type: "opened"; readonly owner: number; readonly numbers: readonly number[] }
  | { readonly type: "refused"; readonly code: ErrorCode; readonly message: string };

/** `copies`: by the time (`origAt`) of each, those of the op that came to this; see {@link isOverruled}. */
export function storeFinding(finding: Finding, copies: readonly number[]): StoredResult {
  const kind = kinds[finding.type];
  switch (finding.type) {
    case "created":
      return { kind, value: 0, detail: finding.user };
    case "loggedIn":
      return { kind, value: finding.inbox, detail: detailOfLogin(finding) };
    case "done":
      return { kind, value: finding.count, detail: null };
    case "sent":
      return { kind, value: finding.at, detail: finding.id === null ? null : formatOpId(finding.id) };
    case "draftSaved":
      return { kind, value: 0, detail: formatOpId(finding.draft) };
    case "opened":
      return { kind, value: finding.owner, detail: JSON.stringify(finding.numbers) };
    case "refused":
      return { kind, value: 0, detail: JSON.stringify([finding.code, finding.message, ...copies]) };
    default:
      return unreachable(finding);
  }
}

/** No name holds a blank. */
const detailOfLogin = ({ user, drafts }: { readonly user: string; readonly drafts: number }): string =>
  drafts === 0 ? user : `${user} ${drafts}`;

export function loadFinding({ kind, value, detail }: StoredResult): Finding {
  switch (kind) {
    case kinds.created:
      return { type: "created", user: detail ?? "" };
    case kinds.loggedIn: {
      const [user = "", drafts] = (detail ?? "").split(" ");
      return { type: "loggedIn", user, inbox: value, drafts: Number(drafts ?? 0) };
    }
    case kinds.done:
      return { type: "done", count: value };
    case kinds.sent:
      return { type: "sent", at: value, id: parseOpId(detail ?? "") };
    case kinds.draftSaved: {
      const draft = parseOpId(detail ?? "");
      assert(draft !== null, "a kept result names its draft");
      return { type: "draftSaved", draft };
    }
    case kinds.opened:
      return { type: "opened", owner: value, numbers: JSON.parse(detail ?? "[]") as number[] };
    default: {
      const [code, message] = JSON.parse(detail ?? "[]") as [ErrorCode, string];
      return { type: "refused", code, message };
    }
  }
}

/**
 * Whether an op was refused here, and this is another copy of it, which was done on another side of a partition: its sender
 * was without an answer on one side and asked again on the other, and may have its acknowledgement from either. Which was asked
 * last nobody can tell, the clocks of two sides least of all; so what was done anywhere is done. MUST hold for each copy but
 * once: it may be refused again, and those who hold it would propose it for ever.
 */
export function isOverruled(kept: (StoredResult & { readonly digest: Uint8Array }) | null, op: OpEntry): boolean {
  if (kept?.kind !== kinds.refused || op.origAt === op.at || Buffer.compare(kept.digest, op.digest) !== 0) return false;
  return !copiesRefused(kept).includes(op.origAt);
}

/** The copies of an op that were refused here, by their times; none if it was not refused. */
export function copiesRefused(kept: StoredResult | null): readonly number[] {
  if (kept?.kind !== kinds.refused) return [];
  const [, , ...copies] = JSON.parse(kept.detail ?? "[]") as [ErrorCode, string, ...number[]];
  return copies;
}

export type Refused = Extract<Finding, { type: "refused" }>;

export const refuse = (code: ErrorCode, message: string): Refused => ({
  type: "refused",
  code,
  message,
});

/** The session was never registered in this lineage, or has expired: the client must open a new one. */
export const unknownSession: OpResult = refuse("unauthorized", "This session is not known: open a new one.");
/** Asked again long after it was acknowledged. */
export const forgottenResult: OpResult = refuse("unknown", "This was done before; its result is no longer kept.");
/** The same id with other content: a client that counts wrongly, or a stolen id. */
export const reusedId: Refused = refuse("bad-command", "This number was used before for something else: count on.");

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
      return [request.type, request.read, ...request.ids.map(formatOpId)];
    case "deleteMessages":
      return [request.type, ...request.ids.map(formatOpId)];
    case "saveDraft": {
      const draft = request.draft === null ? null : formatOpId(request.draft);
      return [request.type, draft, request.to, request.text];
    }
    case "sendDraft":
      return [request.type, formatOpId(request.draft)];
    case "changePassword":
      return [request.type];
    case "endSessions":
      return [request.type, ...request.sessions];
    case "resetPassword":
      return [request.type, request.user];
    case "deleteDrafts":
      return [request.type, ...request.drafts.map(formatOpId)];
    default:
      return unreachable(request);
  }
}
