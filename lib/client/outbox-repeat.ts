/**
 * Asks once more, under the same ids, for what a process that has ended had asked for: goes on with its session, sees to
 * it that the right account is logged in, repeats its sends in order, and logs out. Owns none of the records.
 */
import { limits } from "../base/limits.ts";
import type { Clock } from "../base/transport.ts";
import type { OutboxFile } from "./outbox-file.ts";
import type { BoundMessage } from "./outbox-records.ts";
import type { Answers, ChatClient, Refused, ResumedSession } from "./types.ts";

export type SendAnswer = Answers["send"] | Refused;

export interface Repetition {
  /** Of one session, in the order of their seqs. */
  readonly messages: readonly BoundMessage[];
  readonly resume: (session: ResumedSession) => ChatClient;
  /** Opens the session from which the messages are asked for now; tells where in the log to go on. */
  readonly current: ChatClient;
  /** The first seq that no process has used. */
  readonly next: number;
  /** Null when it is not known any more. */
  readonly password: string | null;
  readonly clock: Clock;
  /** Told of the client in use, so that it can be closed. */
  readonly using: (client: ChatClient) => void;
  readonly answered: (message: BoundMessage, answer: SendAnswer) => void;
}

/**
 * All are answered; or the session is not known to the replicas that were reached, which may be cut off from others; or it
 * cannot be gone on with, and why.
 */
export type RepetitionEnd = "answered" | "unknown" | { readonly blocked: string };

/** Ops that another process may have asked for after the last one that is known: seqs are plentiful. */
const seqsLeftOut = 65_536;
const logoutMs = 1000;
/** The most that are asked for here besides what is repeated: logout, login, logout. */
const ownOps = 3;
const dayMs = 86_400_000;
/** The clocks of two machines may differ by this much when times of both are compared. */
const clocksDifferMs = dayMs;

/**
 * From which seq on to count. A replica keeps results by seq modulo the window: those of what is repeated must not make
 * room for those of a logout or a login, if that can be.
 */
function nextSeq(messages: readonly BoundMessage[], earlier: number): number {
  const { sessionWindow } = limits;
  const taken = new Set(messages.map(({ binding }) => binding.seq % sessionWindow));
  const first = Math.max(earlier, ...messages.map(({ binding }) => binding.seq)) + seqsLeftOut;
  for (let next = first; next < first + sessionWindow; next++) {
    const own = Array.from({ length: ownOps }, (_, at) => (next + at) % sessionWindow);
    if (!own.some((slot) => taken.has(slot))) return next;
  }
  return first;
}

/**
 * From which seq on to use a session; resolves when that is on disk. What was kept by one process and asked for by the next
 * one stands in the file of the first: so more than one file may have messages of a session, and all must know which seqs
 * are used up.
 */
export async function takeSeqs(session: string, files: readonly OutboxFile[]): Promise<number> {
  const holding = files.filter((file) => file.boundTo(session).length > 0);
  const earlier = Math.max(...holding.map((file) => file.resumedAt(session)));
  const next = nextSeq(
    holding.flatMap((file) => file.boundTo(session)),
    earlier,
  );
  await Promise.all(holding.map((file) => file.resume(session, next)));
  return next;
}

/** Rejects with `ClientClosedError` when it is closed meanwhile. */
export async function repeatSends(repetition: Repetition): Promise<RepetitionEnd> {
  const [first] = repetition.messages;
  if (first === undefined) return "answered";
  const { binding } = first;
  const { index: lastIndex, view: lastView } = repetition.current.position;
  const client = repetition.resume({
    cluster: Uint8Array.fromHex(binding.cluster),
    session: binding.session,
    token: Uint8Array.fromHex(binding.token),
    next: repetition.next,
    lastIndex,
    lastView,
  });
  repetition.using(client);
  try {
    const closed = await standing(client);
    if (closed !== null) return closed.unauthorized === true ? "unknown" : { blocked: closed.reason };
    const refusal = await logInAs(client, binding.user, repetition.password);
    if (refusal !== null) return { blocked: refusal };
    await Promise.all(repetition.messages.map((message) => repeat(client, message, repetition)));
    await loggedOut(client, repetition.clock);
    return "answered";
  } finally {
    await client.close();
  }
}

/**
 * Whether a session that is not known can have expired: it was in use when these messages were bound. One that cannot have
 * is known to replicas that were not reached, and they may have done its ops.
 */
export function canHaveExpired(messages: readonly BoundMessage[], nowMs: number): boolean {
  const usedMs = Math.max(...messages.map(({ binding }) => binding.at));
  return nowMs - usedMs >= limits.sessionDays * dayMs - clocksDifferMs;
}

/** Nothing depends on it: it is not waited for longer than a replica that is well takes. */
async function loggedOut(client: ChatClient, clock: Clock): Promise<void> {
  const late = Promise.withResolvers<void>();
  const cancel = clock.setTimer(logoutMs, late.resolve);
  const done = client.request({ type: "logout" }).catch(() => {});
  await Promise.race([done, late.promise]);
  cancel();
}

async function repeat(client: ChatClient, message: BoundMessage, { current, answered }: Repetition): Promise<void> {
  const { to, text, binding } = message;
  const answer = await client.request({ type: "send", to, text }, { seq: binding.seq });
  // It was done so long ago that its result is forgotten; the message itself is not.
  const isForgotten = answer.type === "refused" && answer.code === "unknown";
  const found = isForgotten ? await findSent(current, message) : null;
  answered(message, found?.type === "sent" ? found : answer);
}

/** Null when the session is the account's; else why it is not. What was repeated for another one would be that one's. */
async function logInAs(client: ChatClient, user: string, password: string | null): Promise<string | null> {
  if (client.user === user) return null;
  if (password === null) return `the session is not logged in as ${user} any more`;
  if (client.user !== null) await client.request({ type: "logout" });
  const answer = await client.request({ type: "login", user, password });
  return answer.type === "refused" ? answer.message : null;
}

/** Resolves when the session stands (null), or with the state in which it never will. */
function standing(client: ChatClient): Promise<Extract<ChatClient["connection"], { state: "closed" }> | null> {
  return new Promise((resolve) => {
    const look = (): void => {
      const { connection } = client;
      const isOpen = connection.state === "connected" || connection.state === "reconnected";
      if (!isOpen && connection.state !== "closed") return;
      stop();
      resolve(connection.state === "closed" ? connection : null);
    };
    const stop = client.on(({ type }) => {
      if (type === "connection") look();
    });
    look();
  });
}

/**
 * The message among those that were sent, by its id; null when it is not there, a refusal when that cannot be told. Rejects
 * when the client is closed.
 */
export async function findSent(client: ChatClient, message: BoundMessage): Promise<SendAnswer | null> {
  const { session, seq } = message.binding;
  for (let before: number | null = null; ;) {
    const page: Answers["messages"] | Refused = await client.request({
      type: "messages",
      with: message.to,
      before,
      limit: limits.pageMax,
      unread: false,
    });
    // Nothing was sent to somebody who does not exist; any other refusal says nothing of the message.
    if (page.type === "refused") return page.code === "no-such-user" ? null : page;
    const found = page.messages.find(({ id }) => id.session === session && id.seq === seq);
    if (found !== undefined) {
      const { id, index, at } = found;
      const { connection, position } = client;
      const copies = "copies" in connection ? connection.copies : 1;
      return { type: "sent", request: 0, index, view: position.view, copies, duplicate: true, id, at };
    }
    const last = page.messages.at(-1);
    if (!page.more || last === undefined || last.at < message.at - clocksDifferMs) return null;
    before = last.index;
  }
}
