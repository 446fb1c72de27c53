/**
 * What simulated clients ask of the real chat: a session, an account, then messages to one another, drafts of one another
 * (as two devices of one account would), and what is done with them. An op is a function of its session and seq, so
 * that every retry is the same. Some are refused, as in life.
 */
import { encodeCommand } from "../protocol/codec.ts";
import type { Command } from "../protocol/commands.ts";
import type { OpEntry } from "../protocol/entries.ts";
import type { OpId } from "../protocol/messages.ts";
import { Random } from "./random.ts";

/** Accounts are claimed under so few names that some collide: on one side, or when forks meet. */
const names = 8;
/** Every so many ops a session makes another account. */
const claimEvery = 12;
/** Every so many ops it does something with a draft of anybody's: first it makes one. */
const draftEvery = 4;

/** `sessions`: those of all clients, the owner's at `client`. Seq 0 opens the session. */
export function makeChatOp(client: number, sessions: readonly string[], seq: number, oldest: number): OpEntry {
  const session = sessions[client] ?? "";
  const command = encodeCommand(commandOf(client, sessions, seq));
  return { session, seq, oldest, at: 0, origAt: 0, digest: new Uint8Array(8).fill(seq & 0xff), command };
}

function commandOf(client: number, sessions: readonly string[], seq: number): Command {
  const random = new Random(client * 0x1_0000 + seq + 1);
  const session = sessions[client] ?? "";
  const account: OpId = { session, seq: 1 };
  if (seq === 0) {
    const tokenHash = new Uint8Array(32).fill(client);
    return { type: "openSession", tokenHash, ...attachment(client), software: "a simulated client" };
  }
  // Again and again, so that some are claimed while replicas are apart.
  if (seq % claimEvery === 1)
    return { type: "createAccount", user: `user${random.below(names)}`, passwordHash: "none" };
  if (seq === 2) return { type: "signIn", account, credential: account };
  if (seq % draftEvery === 0) return draftCommandOf(sessions, seq, random);
  const other = sessions[(client + 1 + random.below(sessions.length - 1)) % sessions.length] ?? session;
  const ids = Array.from({ length: 1 + random.below(3) }, () => ({ session: other, seq: 3 + random.below(seq) }));
  switch (random.below(16)) {
    case 0:
      return { type: "open", account, ids };
    case 1:
      return { type: "mark", account, ids, read: random.chance(0.5) };
    case 2:
      return { type: "deleteMessages", account, ids };
    case 3:
      return loginCommandOf(session, account, other, seq, random);
    case 4:
      if (random.chance(0.02)) return { type: "deleteAccount", account: { session: other, seq: 1 } };
      break;
    default:
      break;
  }
  const text = `message ${seq} `.repeat(1 + random.below(4));
  const to = { session: other, seq: 1 + claimEvery * random.below(1 + Math.floor(seq / claimEvery)) };
  return { type: "send", from: account, to, text };
}

/** What logs in and out, and what else has to do with passwords and sessions. */
function loginCommandOf(session: string, account: OpId, other: string, seq: number, random: Random): Command {
  const changed = { session: random.chance(0.5) ? session : other, seq: seq - 1 - random.below(seq) };
  const credential = random.chance(0.5) ? account : changed;
  switch (random.below(8)) {
    case 0:
      return { type: "changePassword", account, credential, passwordHash: `hash ${seq}` };
    case 1:
      return { type: "resetPassword", account: { session: other, seq: 1 }, passwordHash: `hash ${seq}` };
    case 2:
      return { type: "endSessions", account, sessions: [session, other] };
    case 3:
    case 4:
      return { type: "logout" };
    case 5:
      // As another device of that account.
      return { type: "signIn", account: { session: other, seq: 1 }, credential: { session: other, seq: 1 } };
    default:
      return { type: "signIn", account, credential };
  }
}

/** Whose drafts an op is about follows from its seq, so that those of all sessions meet, on all sides of a partition. */
function draftCommandOf(sessions: readonly string[], seq: number, random: Random): Command {
  const turn = seq / draftEvery;
  const owner = turn % sessions.length;
  const account = { session: sessions[owner] ?? "", seq: 1 };
  const turns = Math.floor(turn / sessions.length);
  const earlier = owner + sessions.length * random.below(1 + turns);
  const version = { session: random.pick(sessions), seq: draftEvery * earlier };
  const to = { session: random.pick(sessions), seq: 1 };
  const text = `draft ${seq}`;
  if (turns === 0 && random.chance(0.7)) return { type: "saveDraft", account, version: null, to, text };
  switch (random.below(8)) {
    case 0:
      return { type: "saveDraft", account, version: null, to: null, text };
    case 1:
      return { type: "deleteDrafts", account, versions: [version] };
    case 2:
    case 3:
    case 4:
      return { type: "sendDraft", from: account, version, to, text };
    default:
      return { type: "saveDraft", account, version, to, text };
  }
}

const attachment = (client: number) => ({ pid: 1, incarnation: client + 1, number: 1 });
