/**
 * A user of the real client library: a process that opens a session, makes an account, and then sends, opens, marks, reads
 * and deletes, a few requests at a time. It can stand still and come to any end. Tells the judge what it asks and sees.
 */
import { isClientQuery } from "../protocol/answers.ts";
import { createClient } from "../client/client.ts";
import { ClientClosedError } from "../client/closed.ts";
import type { ChatClient, ClientEvent, OpRequest, QueryRequest } from "../client/types.ts";
import type { OpId } from "../protocol/messages.ts";
import type { Oracle } from "./checkers.ts";
import type { LibraryProfile } from "./library-profile.ts";
import type { Random } from "./random.ts";
import { accountOf, draw, passwordOf, type Acquaintance } from "./session-workload.ts";
import type { Answer, SessionJudge } from "./session-judge.ts";
import type { Simulator } from "./simulator.ts";
import type { Party, StreamClient, StreamQuality, Streams } from "./streams.ts";
import type { WorkingClient } from "./workload.ts";

export interface LibraryWorld {
  readonly simulator: Simulator;
  readonly streams: Streams;
  readonly judge: SessionJudge;
  readonly oracle: Oracle;
  readonly profile: LibraryProfile;
  /** Addresses of replicas that clients are told. */
  readonly servers: readonly string[];
}

export interface LibraryClientOptions {
  readonly number: number;
  /** Which account it uses. */
  readonly account: number;
  /** Requests it comes to. */
  readonly requests: number;
  readonly window: number;
  readonly thinkMs: number;
}

export type End = "killed" | "power" | "quit";

export class LibraryClient implements WorkingClient, StreamClient, Party {
  readonly session: string;
  readonly number: number;
  readonly account: number;
  readonly party = this;
  powered = true;
  quality: StreamQuality;
  gone = false;
  private chat: ChatClient | null = null;
  /** While it stands still: what has happened meanwhile. */
  private stopped: (() => void)[] | null = null;
  private lastSeq = -1;
  private requests = 0;
  private issued = 0;
  private last: number;
  private hurries = false;
  /** Requests without an answer: what each was. */
  private readonly open = new Map<number, string>();
  private readonly known: Acquaintance;
  /** It has asked for what explains that it is logged out. */
  private leaves = 0;
  private closing = false;

  constructor(
    private readonly world: LibraryWorld,
    private readonly random: Random,
    private readonly options: LibraryClientOptions,
  ) {
    this.number = options.number;
    this.account = options.account;
    this.session = random.uuid();
    this.quality = world.profile.quality;
    this.last = options.requests;
    const others = Array.from({ length: world.profile.accounts }, (_, account) => account);
    this.known = { ids: [], others: others.filter((each) => each !== options.account), said: 0 };
  }

  get done(): boolean {
    return this.gone || (this.stands && this.open.size === 0 && this.issued >= this.last);
  }

  private get stands(): boolean {
    const state = this.chat?.connection.state;
    return state === "connected" || state === "reconnected";
  }

  get waiting(): readonly string[] {
    return [...this.open.values(), ...(this.stands ? [] : [`a session (${JSON.stringify(this.chat?.connection)})`])];
  }

  start(): void {
    this.world.simulator.after(this.random.between(0, 50), () => this.turn(() => this.begin()));
  }

  finish(requests: number): void {
    this.last = Math.min(this.last, Math.max(requests, this.issued));
    this.hurries = true;
    this.turn(() => {
      for (let count = 0; count < this.options.window; count++) this.issue();
    });
  }

  ask(requests: number): void {
    this.last = Math.max(this.last, this.issued + requests);
    this.turn(() => {
      for (let count = 0; count < requests; count++) this.issue();
    });
  }

  /** The account that it is logged in to. */
  get user(): string | null {
    return this.chat?.user ?? null;
  }

  /** Writes to an account, beside all else. */
  write(to: number): void {
    this.turn(() => this.request({ type: "send", to: accountOf(to), text: "are you there?" }, () => {}));
  }

  /** Its machine is there again, without it. */
  reboot(): void {
    this.powered = true;
    this.world.streams.goOn();
  }

  // What strikes it.

  turn(action: () => void): void {
    if (this.gone) return;
    if (this.stopped === null) action();
    else this.stopped.push(action);
  }

  pause(forMs: number): void {
    if (this.gone || this.stopped !== null) return;
    this.trace(`stands still for ${Math.round(forMs)} ms`);
    this.stopped = [];
    this.world.simulator.after(forMs, () => this.resume());
  }

  resume(): void {
    const waiting = this.stopped ?? [];
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      next();
      this.world.simulator.turnEnds();
    }
    this.stopped = null;
  }

  vanish(): void {
    this.end(this.random.pick(["killed", "power"]));
  }

  end(how: End): void {
    if (this.gone || this.closing) return;
    this.trace(`ends: ${how}`);
    if (how !== "quit") return this.leave(how === "killed");
    this.turn(() => {
      this.closing = true;
      void this.chat?.close();
    });
    this.world.simulator.after(1_000, () => this.leave(true));
  }

  roam(): void {
    for (const stream of this.world.streams.of(this)) this.world.streams.reset(stream);
  }

  repeat(): void {
    for (const stream of this.world.streams.of(this)) stream.frozen = true;
  }

  private leave(machineStays: boolean): void {
    const { streams, judge, simulator } = this.world;
    if (this.gone) return;
    this.gone = true;
    this.powered = machineStays;
    judge.ended(this.session, simulator.nowMs);
    streams.died(this, machineStays);
  }

  // What it does.

  private begin(): void {
    const { world, random } = this;
    const { simulator, streams, judge, profile } = world;
    const clockOffsetMs = random.between(0, 1e6);
    const session = this.session;
    let next = 0;
    judge.opened(session, `c${this.number}`, accountOf(this.account));
    this.chat = createClient(
      {
        servers: world.servers,
        startAt: random.below(7),
        silenceMs: profile.silenceMs,
        connectTimeoutMs: profile.connectTimeoutMs,
        software: "simulated client",
      },
      {
        transport: {
          listen: () => Promise.reject(new Error("clients do not listen")),
          connect: (host, port, timeoutMs, handlers) => streams.connect(this, `${host}:${port}`, timeoutMs, handlers),
        },
        clock: {
          monotonicMs: () => clockOffsetMs + simulator.nowMs,
          wallMs: () => Math.round(1.7e12 + simulator.nowMs),
          setTimer: (delayMs, callback) => this.timer(delayMs, callback),
        },
        randomBytes: (length) => random.bytes(length),
        ids: () => ({ session, next: () => (this.lastSeq = next++) }),
      },
    );
    this.chat.on((event) => this.happened(event));
    const [user, password] = [accountOf(this.account), passwordOf(this.account)];
    this.op({ type: "createAccount", user, password });
    this.op({ type: "login", user, password });
    for (let count = 0; count < this.options.window; count++) this.issueLater();
  }

  private timer(delayMs: number, callback: () => void): () => void {
    let cancelled = false;
    this.world.simulator.after(delayMs, () =>
      this.turn(() => {
        if (!cancelled) callback();
      }),
    );
    return () => {
      cancelled = true;
    };
  }

  private happened(event: ClientEvent): void {
    const { judge } = this.world;
    if (event.type === "message") this.meet(event.message.id);
    if (event.type !== "connection" || event.connection.state !== "connecting") this.trace(spelled(event));
    judge.guarded(() =>
      judge.event(this.session, event, this.closing || (event.type === "logged-out" && this.leaves > 0)),
    );
    if (event.type === "connection" && event.connection.state === "closed" && !this.closing) {
      // As a program does whose session was lost: it ends, and somebody starts another.
      this.closing = true;
      this.world.simulator.after(0, () => this.leave(true));
    }
  }

  private issueLater(): void {
    const { simulator } = this.world;
    simulator.after(this.random.around(this.hurries ? 1 : this.options.thinkMs), () => this.turn(() => this.issue()));
  }

  private issue(): void {
    if (this.issued >= this.last || this.chat === null || this.closing) return;
    this.issued++;
    const requests = draw(this.random, this.account, this.known);
    for (const [at, request] of requests.entries()) {
      const isLast = at === requests.length - 1;
      this.request(request, () => {
        if (isLast) this.issueLater();
      });
    }
  }

  private request(request: OpRequest | QueryRequest, told: (answer: Answer) => void): void {
    const { chat } = this;
    const { judge } = this.world;
    if (chat === null || this.closing) return;
    if (!isClientQuery(request)) return this.op(request, told);
    const question = judge.question(this.session, request, chat.user);
    this.trace(`asks: ${request.type}`);
    this.expect(chat.request(request), request.type, (answer) => {
      judge.guarded(() => judge.told(this.session, question, answer));
      if (answer.type === "messageList") for (const { id } of answer.messages.slice(0, 5)) this.meet(id);
      told(answer);
    });
  }

  private op(request: OpRequest, told: (answer: Answer) => void = () => {}): void {
    const { chat } = this;
    const { judge, oracle } = this.world;
    if (chat === null) return;
    const before = this.lastSeq;
    const leaves = request.type === "logout" ? 1 : 0;
    this.leaves += leaves;
    const promise = chat.request(request);
    const seq = this.lastSeq;
    judge.asked(this.session, seq, request, this.world.simulator.nowMs);
    if (seq > before) oracle.invoked(this.session, seq);
    this.trace(`→ ${request.type} ${seq}${request.type === "send" ? ` to ${request.to}` : ""}`);
    const answered = (answer: Answer): void => {
      this.leaves -= leaves;
      if (seq > before) judge.guarded(() => judge.answered(this.session, seq, request, answer));
      if (answer.type === "opened") for (const { id } of answer.messages) this.meet(id);
      told(answer);
    };
    this.expect(promise, `${request.type} ${seq}`, answered, (error) => {
      if (seq > before && !error.mayBeDone) judge.guarded(() => judge.withdrawn(this.session, seq));
    });
  }

  private expect(
    promise: Promise<Answer>,
    what: string,
    answered: (answer: Answer) => void,
    closed: (error: ClientClosedError) => void = () => {},
  ): void {
    const number = ++this.requests;
    this.open.set(number, what);
    promise.then(
      (answer) => {
        this.open.delete(number);
        this.trace(`${what}: ${answer.type === "refused" ? `refused ${answer.code}` : answer.type}`);
        answered(answer);
      },
      (error: unknown) => {
        this.open.delete(number);
        if (error instanceof ClientClosedError) closed(error);
        else this.world.judge.failure ??= error;
      },
    );
  }

  private meet(id: OpId): void {
    this.known.ids.push(id);
    if (this.known.ids.length > 30) this.known.ids.shift();
  }

  private trace(text: string): void {
    const { trace, nowMs } = this.world.simulator;
    trace.mix(text.length * 256 + this.number);
    if (trace.readable) trace.line(nowMs, `c${this.number}`, text);
  }
}

function spelled(event: ClientEvent): string {
  switch (event.type) {
    case "connection":
      return `${event.connection.state} ${JSON.stringify(event.connection)}`;
    case "message":
      return `← message ${event.message.index}`;
    case "changed":
      return `← ${event.what} changed`;
    case "notice":
      return `← notice: ${event.text}`;
    case "presence":
      return `← ${event.user} ${event.online ? "came" : "went"}`;
    case "logged-out":
      return `← logged out: ${event.reason}`;
  }
}
