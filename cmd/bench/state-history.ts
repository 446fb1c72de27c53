/**
 * A history of a large chat as the entries of its log: accounts, their sessions, and who wrote what to whom. The same for
 * the same numbers, so that figures can be compared.
 */
import { Random } from "../../lib/base/random.ts";
import type { Command } from "../../lib/protocol/commands.ts";
import type { OpId } from "../../lib/protocol/messages.ts";

export interface HistoryOptions {
  readonly accounts: number;
  readonly messages: number;
  /** What every account signs in with, hashed. */
  readonly passwordHash: string;
}

export interface HistoryOp {
  readonly session: string;
  readonly seq: number;
  readonly command: Command;
}

/** Everybody's password. */
export const password = "correct horse";
/** Has every twentieth message, with a thousand others. */
export const busyUser = "busy";
/** Has written once to each of a fiftieth of all accounts. */
export const knownUser = "known";
/** One in so many accounts is logged in somewhere. */
const loggedInEvery = 10;
const busyEvery = 20;
const busyPartners = 1000;
const wordsKnown = 20_000;
const lunchEvery = 3;

const uuidOf = (n: number): string => `5e551011-0000-4000-8000-${n.toString(16).padStart(12, "0")}`;

/** Accounts come in tens, each ten made by the session of its first. */
const accountOf = (n: number): OpId => ({
  session: uuidOf(Math.floor(n / loggedInEvery)),
  seq: 1 + (n % loggedInEvery),
});

export function* historyOf({ accounts, messages, passwordHash }: HistoryOptions): Generator<HistoryOp> {
  const random = new Random(1);
  const nextSeq = new Map<number, number>();
  for (let n = 0; n < accounts; n++) {
    const holder = Math.floor(n / loggedInEvery);
    const session = uuidOf(holder);
    if (n % loggedInEvery === 0) {
      const attachment = { pid: 1, incarnation: 1, number: 1 };
      yield { session, seq: 0, command: { type: "registerSession", tokenHash: new Uint8Array(32), ...attachment } };
    }
    const user = n === 0 ? busyUser : n === loggedInEvery ? knownUser : `${wordOf(random.below(wordsKnown))}.${n}`;
    yield { ...accountOf(n), command: { type: "createAccount", user, passwordHash } };
  }
  const holders = Math.ceil(accounts / loggedInEvery);
  const op = (holder: number, command: Command): HistoryOp => {
    const seq = nextSeq.get(holder) ?? loggedInEvery + 1;
    nextSeq.set(holder, seq + 1);
    return { session: uuidOf(holder), seq, command };
  };
  for (let holder = 0; holder < holders; holder++) {
    yield op(holder, { type: "login", account: accountOf(holder * loggedInEvery) });
  }
  const known = Math.min(Math.floor(accounts / 50), Math.floor(messages / 10));
  for (let n = 0; n < messages; n++) {
    const text = textOf(random);
    let from = loggedInEvery * random.below(holders);
    let to = random.below(accounts);
    if (n < known) [from, to] = [loggedInEvery, 50 * n + 5];
    else if (n % busyEvery === 0) {
      // Mostly to it: a session that is not the sender's own accepts no op of it.
      [from, to] = n % (2 * busyEvery) === 0 ? [loggedInEvery * (2 + random.below(busyPartners)), 0] : [0, from];
    }
    from %= accounts;
    if (from === to) to = (to + 1) % accounts;
    const command = { type: "send", from: accountOf(from), to: accountOf(to), text } as const;
    yield op(Math.floor(from / loggedInEvery), command);
  }
  for (let holder = 0; holder < holders; holder++) {
    const attachment = { session: uuidOf(holder), pid: 1, incarnation: 1, number: 1 };
    yield {
      session: systemSession,
      seq: holder,
      command: { type: "detach", ...attachment, seen: Number.MAX_SAFE_INTEGER },
    };
  }
}

/** That of a replica's own ops. */
const systemSession = "00000000-0000-0000-0000-000000000001";

const syllables = "ba de fi go hu ka le mi no pu ra se ti vo wu ya ze".split(" ");

/** A word that can be said, the same for the same number. */
function wordOf(n: number): string {
  let word = "";
  for (let left = n + 1; left > 0; left = Math.floor(left / syllables.length))
    word += syllables[left % syllables.length];
  return word;
}

/** About 80 bytes, few words often and many seldom. */
function textOf(random: Random): string {
  const words = Array.from({ length: 6 + random.below(16) }, () => {
    const share = random.below(1_000_000) / 1_000_000;
    return wordOf(Math.floor(share ** 3 * wordsKnown));
  });
  if (random.below(lunchEvery) === 0) words.push("lunch");
  return words.join(" ");
}
