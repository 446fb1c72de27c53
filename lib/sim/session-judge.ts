/**
 * What users of the client library are promised, judged by what they see: each request is answered once and truly, a
 * message comes once and in the order of the log, reads show what was acknowledged before. Notes everything as it comes,
 * and holds it against the log at the end. Looks into no client and no replica.
 */
import type { Answers, ClientEvent, OpRequest, QueryRequest, Refused } from "../client/types.ts";
import { formatOpId } from "../protocol/ids.ts";
import type { ChatMessage } from "../protocol/messages.ts";
import type { Replay } from "./chat-judge.ts";
import type { Expected, ModelMessage } from "./chat-model.ts";
import { opKey, type Oracle } from "./checkers.ts";
import { SimulationFailure } from "./failure.ts";

export type Answer = Answers[keyof Answers] | Refused;

/** One session, as its user has seen it. */
interface Seen {
  readonly name: string;
  readonly account: string;
  /** Messages that came by themselves, in the order in which they came. */
  readonly events: ChatMessage[];
  readonly eventIds: Set<string>;
  readonly answers: Map<number, Answer>;
  /** Own sends that were acknowledged: the index of each, by id. */
  readonly sent: Map<string, number>;
  /** It has ended, in whatever way. */
  endedMs: number | null;
}

/** A question, and what was known when it was asked. */
export interface Question {
  readonly query: QueryRequest;
  readonly user: string | null;
  readonly sent: ReadonlyMap<string, number>;
}

/** After so long a replica knows that it does not hear a client any more. */
const noticedMs = 4_000;

export class SessionJudge {
  /** The first thing that was wrong. Kept, for much is seen where nobody would hear of what is thrown. */
  failure: unknown = null;
  private readonly sessions = new Map<string, Seen>();
  /** When each send was asked for, by `session/seq`. */
  private readonly askedMs = new Map<string, number>();
  /** When a process ended or stood still last: how far its clients had come is known less exactly then. */
  private disturbedMs = -Infinity;
  /** Ids of messages that anybody has asked to delete, or to mark: that one has seen them. */
  private readonly deleted = new Set<string>();
  private readonly marked = new Set<string>();

  constructor(private readonly oracle: Oracle) {}

  /** Runs a check; what it throws is kept. */
  guarded(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.failure ??= error;
    }
  }

  opened(session: string, name: string, account: string): void {
    const seen = { name, account, events: [], eventIds: new Set<string>(), answers: new Map(), sent: new Map() };
    this.sessions.set(session, { ...seen, endedMs: null });
  }

  ended(session: string, nowMs: number): void {
    const seen = this.sessions.get(session);
    // One that ended before it began has seen nothing.
    if (seen !== undefined) seen.endedMs ??= nowMs;
  }

  disturbed(nowMs: number): void {
    this.disturbedMs = nowMs;
  }

  asked(session: string, seq: number, request: OpRequest, nowMs: number): void {
    this.askedMs.set(opKey(session, seq), nowMs);
    if (request.type === "deleteMessages") for (const id of request.ids) this.deleted.add(formatOpId(id));
    if (request.type === "mark") for (const id of request.ids) this.marked.add(formatOpId(id));
  }

  question(session: string, query: QueryRequest, user: string | null): Question {
    return { query, user, sent: new Map(this.of(session).sent) };
  }

  event(session: string, event: ClientEvent, isOwnDoing: boolean): void {
    const seen = this.of(session);
    if (event.type === "message") return this.message(seen, event.message);
    if (!this.oracle.oneOrder || isOwnDoing) return;
    if (event.type === "logged-out") this.fail("session", `${seen.name} is logged out: ${event.reason}`);
    if (event.type === "connection" && event.connection.state === "closed") {
      this.fail("session", `${seen.name} cannot go on with its session: ${event.connection.reason}`);
    }
  }

  /** An op was answered. */
  answered(session: string, seq: number, request: OpRequest, answer: Answer): void {
    const seen = this.of(session);
    const what = `${seen.name}'s ${request.type} ${seq}`;
    if (seen.answers.has(seq)) this.fail("answers", `${what} is answered twice`);
    seen.answers.set(seq, answer);
    if (answer.type === "refused") {
      if (answer.code === "unavailable") this.oracle.refused(session, seq);
      if (answer.code === "unknown") this.fail("answers", `${what} is answered by "unknown"`);
      return;
    }
    if (!("index" in answer)) return this.fail("answers", `${what} is answered by ${answer.type}`);
    this.oracle.told(session, seq, answer);
    if (answer.type === "sent") {
      if (formatOpId(answer.id) !== opKey(session, seq)) this.fail("answers", `${what} was sent as another message`);
      seen.sent.set(opKey(session, seq), answer.index);
    }
  }

  /** Nothing became of it: the client was closed, and says so. */
  withdrawn(session: string, seq: number): void {
    this.oracle.refused(session, seq);
  }

  /** What was acknowledged before the question is in the answer, as far as the page reaches. */
  told(session: string, { query, user, sent }: Question, answer: Answer): void {
    const { name } = this.of(session);
    if (answer.type !== "messageList" || query.type !== "messages") return;
    const { messages } = answer;
    for (const [at, message] of messages.entries()) {
      const before = messages[at - 1]?.index ?? query.before ?? Infinity;
      if (message.index < before) continue;
      this.fail("reads", `${name}'s messages are not in order: ${message.index} comes after ${before}`);
    }
    if (!this.oracle.oneOrder || user === null || query.with !== null || query.unread) return;
    const listed = new Set(messages.map(({ id }) => formatOpId(id)));
    const from = answer.more ? (messages.at(-1)?.index ?? 0) : 0;
    for (const [id, index] of sent) {
      if (index < from || index >= (query.before ?? Infinity) || listed.has(id) || this.deleted.has(id)) continue;
      this.fail("reads", `${name} does not see its own message ${id}, acknowledged as entry ${index} before it asked`);
    }
  }

  /**
   * Everything has come to rest. `replay`: of the log as it is. `stays`: sessions that are there, and have been told
   * everything that there is to tell.
   */
  judge(replay: Replay, stays: ReadonlySet<string>): void {
    const { oneOrder } = this.oracle;
    const messages = new Map(replay.model.messages.map((message) => [formatOpId(message.id), message]));
    for (const [session, seen] of this.sessions) {
      for (const event of seen.events) this.isTrue(seen, event, messages.get(formatOpId(event.id)));
      if (!oneOrder) continue;
      for (const [seq, answer] of seen.answers) this.agrees(replay, session, seq, answer);
      if (stays.has(session)) this.missesNothing(replay, session, seen);
    }
    if (oneOrder) this.reachesSomebody(replay);
  }

  private message(seen: Seen, message: ChatMessage): void {
    const id = formatOpId(message.id);
    if (seen.eventIds.has(id)) this.fail("delivery", `${seen.name} is told message ${id} twice`);
    const last = seen.events.at(-1);
    if (this.oracle.oneOrder && last !== undefined && last.index >= message.index) {
      this.fail("delivery", `${seen.name} is told message ${message.index} after ${last.index}`);
    }
    seen.eventIds.add(id);
    seen.events.push(message);
  }

  /** A message says what was sent. One that has been erased since cannot be compared. */
  private isTrue(seen: Seen, { id, index, from, to, text }: ChatMessage, message: ModelMessage | undefined): void {
    if (message === undefined) {
      if (this.oracle.oneOrder) this.fail("delivery", `${seen.name} was told ${formatOpId(id)}, which nobody has sent`);
      return;
    }
    const isSame = message.text === text && (!this.oracle.oneOrder || message.index === index);
    const { sender, recipient } = message;
    if (isSame && (!this.oracle.oneOrder || (sender.name === from && recipient.name === to))) return;
    this.fail(
      "delivery",
      `${seen.name} was told another ${formatOpId(id)} at ${index} than was sent at ${message.index}`,
    );
  }

  private agrees(replay: Replay, session: string, seq: number, answer: Answer): void {
    const what = `op ${seq} of ${this.of(session).name}`;
    const outcome = replay.outcomes.get(opKey(session, seq));
    if (outcome === undefined) {
      if (answer.type !== "refused") this.fail("answers", `${what} was answered by ${answer.type}, and never done`);
      return;
    }
    const { expected, index } = outcome;
    if (answer.type === "refused") {
      if (expected.type === "refused" && expected.code === answer.code) return;
      this.fail("answers", `${what} was refused (${answer.code}), and came to ${spelled(expected)} at ${index}`);
    }
    if (!("index" in answer) || answer.index !== index) {
      this.fail("answers", `${what} was answered at another place than ${index}`);
    }
    const wrong = difference(answer, expected);
    if (wrong !== null) this.fail("answers", `${what} at ${index}: ${wrong}`);
  }

  /** Since its login it was told of everything that came to its account, but for what went to the inbox. */
  private missesNothing({ model, logins }: Replay, session: string, seen: Seen): void {
    const login = logins.get(session)?.at(-1);
    if (login === undefined || login.until !== Infinity) return;
    for (const { id, index, recipient, stored, owners } of model.messages) {
      if (recipient !== login.account || index <= login.since || stored) continue;
      // Deleted by another session of the account, before or after.
      if (!owners.has(recipient)) continue;
      if (seen.eventIds.has(formatOpId(id))) continue;
      this.fail("delivery", `${seen.name}, logged in since ${login.since}, was never told message ${index}`);
    }
  }

  /**
   * What was sent when all sessions of the account had ended without a word, and are known to have, is in its inbox: it
   * was told to nobody.
   */
  private reachesSomebody({ model, logins }: Replay): void {
    for (const { id, index, recipient, stored, owners } of model.messages) {
      if (stored || !owners.has(recipient) || this.marked.has(formatOpId(id))) continue;
      const askedMs = this.askedMs.get(formatOpId(id)) ?? 0;
      const holders = [...logins].filter(([, all]) =>
        all.some(({ account, since, until }) => account === recipient && since < index && index < until),
      );
      const isOwed = holders.every(([session, all]) => {
        const endedMs = this.sessions.get(session)?.endedMs ?? Infinity;
        const isOver = all.at(-1)?.until === Infinity && model.sessions.get(session)?.attached === false;
        return isOver && this.disturbedMs < endedMs && askedMs > endedMs + noticedMs;
      });
      if (!isOwed) continue;
      const { name } = recipient;
      this.fail("delivery", `message ${index} was told to no session of ${name}, and is not in its inbox`);
    }
  }

  private of(session: string): Seen {
    const seen = this.sessions.get(session);
    if (seen === undefined) throw new SimulationFailure("simulator", `the judge knows no session ${session}`);
    return seen;
  }

  private fail(rule: string, message: string): never {
    throw new SimulationFailure(rule, message);
  }
}

/** In which of what both say they differ; null if in nothing. */
function difference(answer: Answer, expected: Expected): string | null {
  const found = {
    type: answer.type,
    ...("user" in answer ? { user: answer.user } : {}),
    ...("inbox" in answer ? { inbox: answer.inbox } : {}),
    ...("drafts" in answer && typeof answer.drafts === "number" ? { drafts: answer.drafts } : {}),
    ...("draft" in answer ? { draft: formatOpId(answer.draft) } : {}),
    ...("id" in answer ? { id: formatOpId(answer.id) } : {}),
    ...("count" in answer ? { count: answer.count } : {}),
    ...(answer.type === "opened" ? { texts: answer.messages.map(({ text }) => text).join("|") } : {}),
  };
  const wanted = {
    ...expected,
    ...(expected.texts === undefined ? {} : { texts: expected.texts.join("|") }),
    ...(expected.draft === undefined ? {} : { draft: formatOpId(expected.draft) }),
    ...(expected.id === undefined ? {} : { id: formatOpId(expected.id) }),
  };
  // What was deleted since is not in an answer that was given again.
  const isAgain = "duplicate" in answer && answer.duplicate && answer.type === "opened";
  for (const [key, value] of Object.entries(wanted)) {
    if (isAgain && key === "texts") continue;
    const other = Object.entries(found).find(([name]) => name === key)?.[1];
    if (other !== value) return `${key} was ${JSON.stringify(other)} instead of ${JSON.stringify(value)}`;
  }
  return null;
}

const spelled = ({ type, code }: Expected): string => (code === undefined ? type : `${type} ${code}`);
