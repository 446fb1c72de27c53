/** Refusals that a replica gives without asking the log, and what each says: of the request, of the accounts, of the cluster. */
import type { ErrorCode } from "../protocol/messages.ts";

/** Of ops that were certainly not proposed. */
export const unavailable = {
  type: "refused",
  code: "unavailable",
  message: "No view of the cluster could be reached; nothing was changed.",
} as const;

/**
 * Refusals that a replica may give only as long as it serves: the others may have what it lacks, and go on without it; and to
 * who comes from a fork, only when nothing of one is left to be merged. None for a wrong password: each time that it is asked
 * again would count as another guess.
 */
export const saysWhatIsThere: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "no-such-user",
  "no-such-message",
  "no-such-draft",
  "name-taken",
]);

/** Sweeps (seconds) for which that waits, as an op waits for a view to be proposed in. */
export const lackingSweeps = 5;

/** Refusals for what the request itself says: every replica gives them at any time, and none has the op on its way. */
export const saysWhatIsAsked: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "bad-command",
  "bad-name",
  "bad-password",
  "to-self",
  "too-long",
]);

/** Of an op under whose seq something else has been asked for. */
export const reusedSeq = {
  type: "refused",
  code: "bad-command",
  message: "This number was used before for something else: count on.",
} as const;
