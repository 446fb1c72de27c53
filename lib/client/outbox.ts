/**
 * The outbox of one account: a message is on this machine's disk before it is sent, and stays there until its answer is
 * known. When the process ends before, by whatever cause, the next one asks again under the same ids, so that the message
 * is sent exactly once, and in the order in which the messages were written. Owns what is open and when it is sent; files
 * and sessions are reached through ports. Knows no terminal.
 */
import { limits } from "../base/limits.ts";
import { PrivateFilesError, type PrivateFiles } from "../base/private-files.ts";
import type { Clock } from "../base/transport.ts";
import { refusalOf } from "./check.ts";
import { ClientClosedError } from "./closed.ts";
import { adoptFiles } from "./outbox-adopt.ts";
import { OutboxFile } from "./outbox-file.ts";
import type { BoundMessage, KeptMessage } from "./outbox-records.ts";
import { canHaveExpired, findSent, repeatSends, takeSeqs, type SendAnswer } from "./outbox-repeat.ts";
import type { ChatClient, ResumedSession } from "./types.ts";

/** A message on its way, from the moment it was written. */
export interface OutgoingMessage {
  readonly to: string;
  readonly text: string;
  /** When it was written, milliseconds since the epoch. */
  readonly at: number;
  /** By a process that has ended. */
  readonly isEarlier: boolean;
  /** Resolves when it is on this machine's disk. Rejects when it cannot be kept: then it is not sent. */
  readonly kept: Promise<void>;
  /** What became of it; pending while that is not known. Never rejects. */
  readonly answer: Promise<SendAnswer>;
}

export type OutboxEvent =
  /** A message of an earlier process, which is sent now. */
  | { readonly type: "earlier"; readonly message: OutgoingMessage }
  /** Something that its user should know: one line. */
  | { readonly type: "trouble"; readonly text: string };

export interface OutboxPorts {
  /** Of this account alone. */
  readonly files: PrivateFiles;
  readonly clock: Clock;
  readonly randomBytes: (length: number) => Uint8Array;
  /** Goes on with the session of a process that has ended. */
  readonly resume: (session: ResumedSession) => ChatClient;
}

export interface Outbox {
  on(listener: (event: OutboxEvent) => void): () => void;
  /** Keeps the message, and sends it after those before it, as soon as somebody is signed in. */
  send(to: string, text: string): OutgoingMessage;
  /** Takes a message back that was certainly not sent yet; false when it may have been. */
  withdraw(message: OutgoingMessage): boolean;
  /** The client is logged in to the account: what is kept goes out. The password is for sessions that are not any more. */
  signedIn(client: ChatClient, password: string | null): void;
  /** Nothing more is sent. What is under way stays so. */
  signedOut(): void;
  /** Resolves when nothing is left that could be sent, and all that was has its answer. */
  settled(): Promise<void>;
  /** What is open stays on disk for the next process. */
  close(): Promise<void>;
}

/** `servers`: as given by the user. What was kept while no server was reached goes to a cluster that has one of them. */
export function openOutbox(servers: readonly string[], ports: OutboxPorts): Outbox {
  return new KeptOutbox(servers, ports);
}

/** When a disk that could not be written, or a session that was lost, is tried again. */
const tryAgainMs = 5000;
/** When it is asked again for a session that is not known to the replicas that are reached. */
const askAgainMs = 60_000;

interface Entry {
  readonly file: OutboxFile;
  readonly number: number;
  readonly message: OutgoingMessage;
  readonly kept: PromiseWithResolvers<void>;
  readonly answer: PromiseWithResolvers<SendAnswer>;
  /** `elsewhere`: maybe sent by replicas that are not reached now, which are asked later. `blocked`: not by this process. */
  stage: "new" | "waiting" | "asked" | "elsewhere" | "blocked" | "over";
}

/** One attempt to send all that is kept. A later one takes its place, wherever it has got to. */
interface Round {
  readonly client: ChatClient;
  readonly password: string | null;
}

class KeptOutbox implements Outbox {
  readonly #servers: readonly string[];
  readonly #ports: OutboxPorts;
  readonly #listeners = new Set<(event: OutboxEvent) => void>();
  /** In the order in which they are sent. */
  readonly #entries = new Set<Entry>();
  readonly #adopted: OutboxFile[] = [];
  /** Where this process writes; made with the first message. */
  #own: OutboxFile | null = null;
  #client: ChatClient | null = null;
  /** What was written before has been asked for: a new message goes out at once. */
  #flows = false;
  /** Null when nobody is signed in. */
  #round: Round | null = null;
  #resumed: ChatClient | null = null;
  /** What need not be said again at each attempt. */
  readonly #told = new Set<string>();
  #cancelRetry: () => void = () => {};
  /** Nothing new is taken. */
  #isLeft = false;
  #isClosed = false;
  readonly #waiting = new Set<() => void>();
  /** Sends that the client has been asked for and has not answered. */
  readonly #asked = new Set<Promise<void>>();

  constructor(servers: readonly string[], ports: OutboxPorts) {
    this.#servers = servers;
    this.#ports = ports;
  }

  on(listener: (event: OutboxEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  send(to: string, text: string): OutgoingMessage {
    const at = this.#ports.clock.wallMs();
    const refusal = refusalOf({ type: "send", to, text });
    const settled = { to, text, at, isEarlier: false };
    if (refusal !== null) return { ...settled, kept: Promise.resolve(), answer: Promise.resolve(refusal) };
    let file: OutboxFile;
    try {
      file = this.#ownFile();
    } catch (error) {
      const kept = Promise.reject(error instanceof Error ? error : new Error(String(error)));
      kept.catch(() => {});
      return { ...settled, kept, answer: Promise.resolve(notKept(error)) };
    }
    const entry = this.#enter(file, file.add(to, text, at), false);
    if (this.#flows && this.#client !== null && this.#client.user !== null) this.#ask(entry, this.#client);
    else this.#keep(entry);
    return entry.message;
  }

  withdraw(message: OutgoingMessage): boolean {
    for (const entry of this.#entries) {
      if (entry.message !== message) continue;
      if (entry.stage !== "waiting" && entry.stage !== "new") return false;
      this.#over(entry, { type: "refused", code: "unavailable", message: "It was taken back before it was sent." });
      return true;
    }
    return false;
  }

  signedIn(client: ChatClient, password: string | null): void {
    if (this.#client === client || this.#isLeft) return;
    this.#client = client;
    this.#begin(client, password);
  }

  signedOut(): void {
    this.#client = null;
    this.#round = null;
    this.#flows = false;
    this.#cancelRetry();
    void this.#resumed?.close();
  }

  async settled(): Promise<void> {
    const isOpen = ({ stage }: Entry): boolean => stage !== "blocked" && stage !== "elsewhere";
    while ((this.#client !== null && !this.#flows) || [...this.#entries].some(isOpen)) {
      await new Promise<void>((resolve) => void this.#waiting.add(resolve));
    }
  }

  async close(): Promise<void> {
    this.#isLeft = true;
    this.signedOut();
    // A client that lives on, as nobody is signed in any more, still gets its answers: the outbox that comes after this one
    // would ask again for what is open by going on with its session.
    await Promise.all(this.#asked);
    this.#isClosed = true;
    const files = [...this.#adopted.splice(0), ...(this.#own === null ? [] : [this.#own])];
    this.#own = null;
    await Promise.all(files.map((file) => file.close().catch((error: unknown) => this.#trouble(messageOf(error)))));
  }

  // Writing.

  #ownFile(): OutboxFile {
    if (this.#own !== null) return this.#own;
    if (this.#isLeft) throw new Error("the outbox is closed");
    this.#own = OutboxFile.begin(this.#ports.files, this.#servers, this.#ports.randomBytes);
    return this.#own;
  }

  #enter(file: OutboxFile, { number, to, text, at }: KeptMessage, isEarlier: boolean): Entry {
    const kept = Promise.withResolvers<void>();
    kept.promise.catch(() => {});
    const answer = Promise.withResolvers<SendAnswer>();
    const message = { to, text, at, isEarlier, kept: kept.promise, answer: answer.promise };
    const entry: Entry = { file, number, message, kept, answer, stage: isEarlier ? "waiting" : "new" };
    if (isEarlier) kept.resolve();
    this.#entries.add(entry);
    return entry;
  }

  #keep(entry: Entry): void {
    const message = entry.file.get(entry.number);
    if (message === undefined) return;
    entry.stage = "waiting";
    entry.file.keep(message).then(entry.kept.resolve, (error: unknown) => this.#notKept(entry, error));
  }

  #notKept(entry: Entry, error: unknown): void {
    entry.kept.reject(error);
    if (entry.stage === "over") return;
    entry.file.drop(entry.number);
    this.#end(entry, notKept(error));
  }

  // Sending.

  #begin(client: ChatClient, password: string | null): void {
    const round = { client, password };
    this.#round = round;
    this.#flows = false;
    this.#cancelRetry();
    // Two that go on with one session would take it from each other.
    void this.#resumed?.close();
    this.#carry(round).catch((error: unknown) => this.#notCarried(round, error));
  }

  #notCarried(round: Round, error: unknown): void {
    if (round !== this.#round) return;
    if (error instanceof PrivateFilesError) return this.#tryAgain(error.message);
    // When nobody is signed in any more, what is open goes out with the next client.
    if (!(error instanceof ClientClosedError) || round.client.connection.state === "closed") return;
    const resumed = this.#resumed?.connection;
    const why = resumed?.state === "closed" ? resumed.reason : error.message;
    this.#tryAgain(`the session of an earlier run ended meanwhile: ${why}`);
  }

  #tryAgain(reason: string): void {
    this.#flows = false;
    this.#trouble(`what is kept cannot be sent yet: ${reason}`);
    this.#beginIn(tryAgainMs);
  }

  #beginIn(delayMs: number): void {
    this.#cancelRetry();
    const round = this.#round;
    this.#cancelRetry = this.#ports.clock.setTimer(delayMs, () => {
      if (round !== null && round === this.#round) this.#begin(round.client, round.password);
    });
  }

  async #carry(round: Round): Promise<void> {
    const { client } = round;
    this.#adopt(client);
    for (const file of [...this.#adopted]) {
      await this.#repeat(file, round);
      this.#askWaiting(round, file);
    }
    if (this.#round !== round) return;
    this.#askWaiting(round, null);
    this.#flows = true;
    if ([...this.#entries].some(({ stage }) => stage === "elsewhere")) this.#beginIn(askAgainMs);
    this.#changed();
  }

  /** Takes over the files of processes that have ended. */
  #adopt(client: ChatClient): void {
    const found = adoptFiles(this.#ports.files, client.key?.cluster.toHex() ?? "", this.#servers, (text) =>
      this.#troubleOnce(text),
    );
    for (const { file, messages } of found) {
      this.#adopted.push(file);
      for (const message of messages) {
        const entry = this.#enter(file, message, true);
        this.#emit({ type: "earlier", message: entry.message });
      }
    }
  }

  /** Asks for all of this file, or of this process's own, that has not been asked for. */
  #askWaiting(round: Round, file: OutboxFile | null): void {
    if (this.#round !== round) return;
    for (const entry of this.#entries) {
      if (entry.stage === "waiting" && entry.file === (file ?? this.#own)) this.#ask(entry, round.client);
    }
  }

  #ask(entry: Entry, client: ChatClient): void {
    const { file, message } = entry;
    const isNew = entry.stage === "new";
    entry.stage = "asked";
    let isBegun = false;
    const bind = async (seq: number): Promise<void> => {
      isBegun = true;
      if (!isNew) await entry.kept.promise;
      const { key, user } = client;
      const kept = file.get(entry.number);
      if (key === null || user === null || kept === undefined) throw new Error("nobody is signed in");
      const { session } = key;
      const [cluster, token] = [key.cluster.toHex(), key.token.toHex()];
      await file.bind(kept, { cluster, session, token, seq, user, at: this.#ports.clock.wallMs() }, isNew);
      entry.kept.resolve();
    };
    const asked = client.request({ type: "send", to: message.to, text: message.text }, { keep: bind }).then(
      (answer) => this.#over(entry, answer),
      (error: unknown) => this.#notAsked(entry, error, isNew, isBegun),
    );
    this.#asked.add(asked);
    void asked.finally(() => this.#asked.delete(asked));
  }

  /**
   * The client was closed, then the op may be done and the next process will know; or it was never sent. `isBegun`: the
   * client has taken it; one that had closed before does not.
   */
  #notAsked(entry: Entry, error: unknown, isNew: boolean, isBegun: boolean): void {
    if (entry.stage === "over" || (error instanceof ClientClosedError && isBegun)) return;
    if (!(error instanceof PrivateFilesError)) {
      if (isNew) this.#keep(entry);
      else entry.stage = "waiting";
    } else if (isNew) this.#notKept(entry, error);
    else {
      entry.stage = "waiting";
      this.#tryAgain(error.message);
    }
  }

  /** What processes that have ended asked for: once more under the same ids, before anything else goes out. */
  async #repeat(file: OutboxFile, round: Round): Promise<void> {
    const { client, password } = round;
    const bound = file.messages.filter((message): message is BoundMessage => {
      const entry = this.#entryOf(file, message);
      return message.binding !== null && (entry?.stage === "waiting" || entry?.stage === "elsewhere");
    });
    for (const session of new Set(bound.map(({ binding }) => binding.session))) {
      await this.#answered(file);
      const messages = bound.filter(({ binding }) => binding.session === session);
      if (this.#round !== round) return;
      const next = await takeSeqs(session, this.#adopted);
      if (this.#round !== round) return;
      const end = await repeatSends({
        messages,
        resume: this.#ports.resume,
        current: client,
        next,
        password,
        clock: this.#ports.clock,
        using: (resumed) => void (this.#resumed = resumed),
        answered: (message, answer) => this.#overIn(file, message, answer),
      });
      if (this.#round !== round) return;
      this.#resumed = null;
      if (end === "answered") continue;
      if (end !== "unknown") this.#block(file, messages, end.blocked);
      else if (canHaveExpired(messages, this.#ports.clock.wallMs())) await this.#lookFor(file, round, messages);
      else this.#leaveElsewhere(file, session, messages);
    }
  }

  /** Ops of a session that is forgotten are never done again: what was not done by then is asked for anew. */
  async #lookFor(file: OutboxFile, round: Round, messages: readonly BoundMessage[]): Promise<void> {
    for (const message of messages) {
      const found = await findSent(round.client, message);
      if (this.#round !== round) return;
      if (found === null) {
        await file.free(message);
        this.#move(file, [message], "waiting");
      } else if (found.type === "sent") this.#overIn(file, message, found);
      else this.#block(file, [message], `whether it was sent cannot be looked up: ${found.message}`);
    }
  }

  /** A session so young cannot have expired: its ops may be done, or be done yet, where it is known. */
  #leaveElsewhere(file: OutboxFile, session: string, messages: readonly BoundMessage[]): void {
    this.#move(file, messages, "elsewhere");
    this.#troubleOnce(
      `not sent now, but kept: ${counted(messages)} written earlier: maybe sent already, by way of replicas that cannot ` +
        `be reached now; asked again every minute and with every start, sent anew after ${limits.sessionDays} days if not found by then`,
      `${file.path} ${session}`,
    );
    this.#changed();
  }

  #block(file: OutboxFile, messages: readonly BoundMessage[], reason: string): void {
    this.#move(file, messages, "blocked");
    this.#trouble(`not sent now, but kept: ${counted(messages)} written earlier: ${reason}`);
    this.#changed();
  }

  /** What is kept, and not under way. */
  #move(file: OutboxFile, messages: readonly BoundMessage[], stage: "waiting" | "elsewhere" | "blocked"): void {
    for (const message of messages) {
      const entry = this.#entryOf(file, message);
      if (entry?.stage === "waiting" || entry?.stage === "elsewhere") entry.stage = stage;
    }
  }

  /** Resolves when everything before this file that was asked for is answered. */
  async #answered(file: OutboxFile): Promise<void> {
    const before: Promise<SendAnswer>[] = [];
    for (const entry of this.#entries)
      if (entry.file !== file && entry.stage === "asked") before.push(entry.answer.promise);
    await Promise.all(before);
  }

  #overIn(file: OutboxFile, message: KeptMessage, answer: SendAnswer): void {
    const entry = this.#entryOf(file, message);
    if (entry !== undefined) this.#over(entry, answer);
  }

  #over(entry: Entry, answer: SendAnswer): void {
    if (!this.#isClosed) entry.file.over(entry.number);
    this.#end(entry, answer);
  }

  #end(entry: Entry, answer: SendAnswer): void {
    entry.stage = "over";
    this.#entries.delete(entry);
    entry.answer.resolve(answer);
    this.#changed();
  }

  #entryOf(file: OutboxFile, { number }: KeptMessage): Entry | undefined {
    for (const entry of this.#entries) if (entry.file === file && entry.number === number) return entry;
    return undefined;
  }

  #changed(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }

  #trouble(text: string): void {
    this.#emit({ type: "trouble", text });
  }

  #troubleOnce(text: string, about = text): void {
    if (this.#told.has(about)) return;
    this.#told.add(about);
    this.#trouble(text);
  }

  #emit(event: OutboxEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}

const counted = ({ length }: readonly KeptMessage[]): string => (length === 1 ? "1 message" : `${length} messages`);
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** To whoever waits for an answer: it was not sent. */
function notKept(error: unknown): SendAnswer {
  return {
    type: "refused",
    code: "unavailable",
    message: `It was not sent, as it cannot be kept: ${messageOf(error)}`,
  };
}
