/** Clients that send without a pause, in this process, over real connections; and what they saw. */
import { createClient } from "../../lib/client/client.ts";
import type { ChatClient, Refused } from "../../lib/client/types.ts";
import { systemClock } from "../../lib/io/clock.ts";
import { tcpTransport } from "../../lib/io/tcp.ts";
import { passwordOf } from "../cluster/inquiry.ts";

/** One measured stretch of time, by `performance.now()`. */
export interface Stretch {
  readonly fromMs: number;
  readonly toMs: number;
}

/** One account on one session, with one message in flight at a time. */
export class Sender {
  /** When each acknowledgement came, and how long it had taken. */
  readonly acknowledged: { atMs: number; tookMs: number }[] = [];
  /** When each message for this account came. */
  readonly deliveredAtMs: number[] = [];
  readonly #client: ChatClient;
  #sending: Promise<void> = Promise.resolve();
  #stopped = true;

  constructor(
    readonly user: string,
    servers: readonly string[],
    startAt: number,
  ) {
    this.#client = createClient(
      { servers, startAt, software: "chatd bench" },
      {
        transport: tcpTransport(),
        clock: systemClock,
        randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
      },
    );
    this.#client.on((event) => {
      if (event.type === "message") this.deliveredAtMs.push(performance.now());
    });
  }

  /** The replica that holds this session; 0 while none does. */
  get replica(): number {
    const { connection } = this.#client;
    return connection.state === "connected" || connection.state === "reconnected" ? connection.replica : 0;
  }

  async primary(): Promise<number> {
    return accepted(await this.#client.request({ type: "status" })).primary;
  }

  async createAndLogIn(): Promise<void> {
    accepted(await this.#client.request({ type: "createAccount", user: this.user, password: passwordOf(this.user) }));
    accepted(await this.#client.request({ type: "login", user: this.user, password: passwordOf(this.user) }));
  }

  /** Sends to one account, one message after the other, until `stop`. */
  start(to: string, text: string): void {
    this.#stopped = false;
    this.#sending = this.#loop(to, text);
  }

  /** Resolves when the last message is acknowledged. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#sending;
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  async #loop(to: string, text: string): Promise<void> {
    while (!this.#stopped) {
      const sentAtMs = performance.now();
      accepted(await this.#client.request({ type: "send", to, text }));
      const atMs = performance.now();
      this.acknowledged.push({ atMs, tookMs: atMs - sentAtMs });
    }
  }
}

/** The answer, of which a bench takes no other than what it asked for. */
function accepted<A>(answer: A | Refused): A {
  const { type, code, message } = answer as Refused;
  if (type === "refused") throw new Error(`a request was refused: ${code}: ${message}`);
  return answer as A;
}

/** Makes `count` senders, spread over the replicas, each with an account that is logged in. Accounts are made in turn. */
export async function makeSenders(names: readonly string[], servers: readonly string[]): Promise<Sender[]> {
  const senders = names.map((name, at) => new Sender(name, servers, at));
  await Promise.all(senders.map((sender) => sender.createAndLogIn()));
  return senders;
}

/** Lets the senders talk in pairs for a while, forgets what came while they warmed up, and stops them. */
export async function talkInPairs(
  senders: readonly Sender[],
  text: string,
  durationMs: number,
  warmUpMs: number,
): Promise<Stretch> {
  // 0 with 1, 2 with 3, …; the odd one out sends to the first.
  senders.forEach((sender, at) => sender.start((senders[at ^ 1] ?? senders[0] ?? sender).user, text));
  await Bun.sleep(warmUpMs);
  const fromMs = performance.now();
  await Bun.sleep(durationMs);
  const toMs = performance.now();
  await Promise.all(senders.map((sender) => sender.stop()));
  return { fromMs, toMs };
}
