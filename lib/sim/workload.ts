/**
 * Simulated clients: each has a session, a few ops in flight under increasing seqs, and one replica at a time. It resends
 * everything unacknowledged, in order and under the same ids, to whichever replica it reaches, for ever. Knows nothing
 * of views.
 */
import type { OpEntry } from "../protocol/entries.ts";
import type { Member } from "../protocol/messages.ts";
import type { FickleClient } from "./faults.ts";
import type { Random } from "./random.ts";
import type { Simulator } from "./simulator.ts";

/** How an op ended, as the replica on which the client waits tells it. */
export type OpEnd = "acknowledged" | "refused" | "unavailable";

/** A replica as a client sees it. */
export interface ClientPort {
  readonly pid: number;
  /** Nobody listens there: the client goes elsewhere at once. */
  readonly listening: boolean;
  /** Ops in order; `ended` is called once for each, if ever; `lost` once when the connection breaks. */
  submit(ops: readonly OpEntry[], connection: ClientConnection): void;
}

export interface ClientConnection {
  readonly client: number;
  /** The process that it was made to; null until something was sent. */
  server: Member | null;
  /** False once the client has gone elsewhere: nothing it is told counts. */
  open: boolean;
  /** When what was sent last arrives: what is sent after it comes after it. */
  arrivesMs: number;
  /** `copies`: the disks that an acknowledgement stands for; 0 when it is none. */
  ended(session: string, seq: number, end: OpEnd, copies: number): void;
  lost(): void;
  /** The session has expired. */
  forgotten(session: string): void;
}

export interface ClientOptions {
  /** Seqs from 1 to this one; and 0 before them, on every new connection, where sessions are opened. */
  readonly ops: number;
  readonly opensSession: boolean;
  readonly window: number;
  readonly thinkMs: number;
  readonly patienceMs: number;
  /** How probably it leaves when it waits for nothing, and for how long it is away. */
  readonly leaving: number;
  readonly awayMs: number;
  /** Another session, when its own has expired. */
  readonly newSession: () => string;
  /** Makes the op for a seq; equal for every retry. */
  readonly makeOp: (session: string, seq: number, oldest: number) => OpEntry;
}

/** What the judge is told by clients. */
export interface ClientJudge {
  /** An op is sent for the first time. */
  invoked(session: string, seq: number): void;
  /** An op that may have been proposed elsewhere was refused: its place among those of its session is open. */
  doubted(session: string, seq: number): void;
  /** An op that was sent once only was refused: it is promised never to be applied. */
  refused(session: string, seq: number): void;
}

/** A client, of whatever kind. */
export interface WorkingClient extends FickleClient {
  readonly session: string;
  /** All that it comes to is answered. */
  readonly done: boolean;
  /** It has vanished. */
  readonly gone: boolean;
  /** What it waits for, for messages. */
  readonly waiting: readonly (number | string)[];
  start(): void;
  /** Asks, without thinking any more, for no more than it needs to come to so much. */
  finish(ops: number): void;
  /** Asks for so much more, whatever it has come to. */
  ask(ops: number): void;
}

interface Outstanding {
  readonly op: OpEntry;
  sends: number;
}

export class SimulatedClient implements WorkingClient {
  acknowledged = 0;
  givenUp = 0;
  private readonly outstanding = new Map<number, Outstanding>();
  private nextSeq = 1;
  private connection: ClientConnection | null = null;
  private port: ClientPort | null = null;
  /** The session was opened on this connection, as far as the client can do that. */
  private opened = false;
  private progressMs = 0;
  /** The last seq that it comes to. */
  private last: number;
  private hurries = false;
  /** It has vanished. */
  gone = false;
  /** It has left, and will come back. */
  private away = false;

  constructor(
    private readonly simulator: Simulator,
    private readonly random: Random,
    private readonly number: number,
    public session: string,
    private readonly ports: readonly ClientPort[],
    private readonly options: ClientOptions,
    private readonly judge: ClientJudge,
  ) {
    this.last = options.ops;
  }

  get done(): boolean {
    return this.outstanding.size === 0 && (this.gone || this.nextSeq > this.last);
  }

  /** Ops sent and not yet acknowledged, for messages. */
  get waiting(): readonly number[] {
    return [...this.outstanding.keys()];
  }

  start(): void {
    this.move(this.random.between(0, 50));
    for (let count = 0; count < this.options.window; count++) this.issueLater();
    this.watch();
  }

  /** Proposes, without thinking any more, no more than it needs to come to so many; what is outstanding is still resent. */
  finish(ops: number): void {
    this.last = Math.min(this.last, Math.max(ops, this.nextSeq - 1));
    this.hurries = true;
    this.comeBack();
    this.issue(this.options.window);
  }

  /** Proposes so many more, whatever it has come to. */
  ask(ops: number): void {
    if (this.gone) return;
    for (let more = 0; more < ops; more++) this.propose();
    this.send([...this.outstanding.values()].slice(-ops).map(({ op }) => op));
  }

  vanish(): void {
    if (this.connection !== null) this.connection.open = false;
    this.connection = null;
    this.gone = true;
    this.outstanding.clear();
  }

  /** Nobody holds its session meanwhile. */
  private leave(): void {
    const { awayMs } = this.options;
    if (this.connection !== null) this.connection.open = false;
    this.connection = null;
    this.away = true;
    this.trace("leaves");
    this.simulator.after(this.random.around(awayMs), () => this.comeBack());
  }

  private comeBack(): void {
    if (!this.away) return;
    this.away = false;
    this.move(0);
  }

  /** What was outstanding may have been done or not: nobody can say any more. It goes on under another session. */
  private forgotten(session: string): void {
    if (session !== this.session || this.gone) return;
    this.session = this.options.newSession();
    this.trace(`is forgotten with ${this.outstanding.size} outstanding, goes on as ${this.session}`);
    const freed = Math.max(1, this.outstanding.size);
    this.last = Math.max(0, this.last - this.nextSeq + 1);
    this.nextSeq = 1;
    this.opened = false;
    this.outstanding.clear();
    this.progressMs = this.simulator.nowMs;
    for (let count = 0; count < freed; count++) this.issueLater();
  }

  roam(): void {
    if (this.connection !== null) this.move(this.random.between(0, 20));
  }

  repeat(): void {
    this.send([...this.outstanding.values()].map(({ op }) => op));
  }

  /** As many as the window leaves room for. */
  private issue(count: number): void {
    const made: OpEntry[] = [];
    while (
      made.length < count &&
      !this.gone &&
      this.nextSeq <= this.last &&
      this.outstanding.size < this.options.window
    ) {
      made.push(this.propose());
    }
    this.send(made);
  }

  private propose(): OpEntry {
    const seq = this.nextSeq++;
    const oldest = this.outstanding.keys().next().value ?? seq;
    const op = this.options.makeOp(this.session, seq, oldest);
    this.outstanding.set(seq, { op, sends: 0 });
    return op;
  }

  private send(ops: readonly OpEntry[]): void {
    const { port, connection } = this;
    if (ops.length === 0 || port === null || connection === null) return;
    // Not waited for: what follows it in the same session cannot overtake it.
    const opening = this.opened ? [] : [this.options.makeOp(this.session, 0, 1)];
    this.opened = true;
    for (const op of ops) {
      const outstanding = this.outstanding.get(op.seq);
      if (outstanding === undefined) continue;
      if (outstanding.sends === 0) this.judge.invoked(op.session, op.seq);
      outstanding.sends++;
    }
    this.trace(`→ r${port.pid} ${ops.map(({ seq }) => seq).join(" ")}`);
    port.submit([...opening, ...ops], connection);
  }

  private move(delayMs: number): void {
    if (this.connection !== null) this.connection.open = false;
    this.connection = null;
    this.simulator.after(delayMs, () => {
      if (this.connection !== null || this.gone || this.away) return;
      const port = this.random.pick(this.ports);
      if (!port.listening) {
        this.move(this.random.between(10, 60));
        return;
      }
      this.port = port;
      this.opened = !this.options.opensSession;
      this.connection = this.connect();
      this.progressMs = this.simulator.nowMs;
      this.send([...this.outstanding.values()].map(({ op }) => op));
    });
  }

  private connect(): ClientConnection {
    const connection: ClientConnection = {
      client: this.number,
      server: null,
      open: true,
      arrivesMs: 0,
      ended: (session, seq, end) => {
        if (connection.open && session === this.session) this.ended(seq, end);
      },
      forgotten: (session) => {
        if (connection.open) this.forgotten(session);
      },
      lost: () => {
        if (connection.open) this.move(this.random.between(1, 50));
      },
    };
    return connection;
  }

  private ended(seq: number, end: OpEnd): void {
    const outstanding = this.outstanding.get(seq);
    if (outstanding === undefined) return;
    this.progressMs = this.simulator.nowMs;
    this.trace(`${seq} ${end}`);
    if (end === "unavailable") {
      // Sent more than once, another replica may have proposed it: its fate is unknown, so it is asked again.
      if (outstanding.sends > 1) return this.askAgain(seq);
      this.judge.refused(this.session, seq);
      this.givenUp++;
    } else {
      this.acknowledged++;
    }
    this.outstanding.delete(seq);
    const { leaving } = this.options;
    if (leaving > 0 && !this.hurries && this.outstanding.size === 0 && this.random.chance(leaving)) this.leave();
    this.issueLater();
  }

  /** After a moment, with all that follow it; what was sent meanwhile may come before it. */
  private askAgain(seq: number): void {
    const { connection } = this;
    this.judge.doubted(this.session, seq);
    this.simulator.after(this.random.between(20, 100), () => {
      if (this.connection !== connection) return;
      this.send([...this.outstanding.values()].filter(({ op }) => op.seq >= seq).map(({ op }) => op));
    });
  }

  /** Each op but the first ones follows one that has ended, so that the work lasts. */
  private issueLater(): void {
    this.simulator.after(this.random.around(this.hurries ? 1 : this.options.thinkMs), () => this.issue(1));
  }

  private trace(text: string): void {
    const { trace, nowMs } = this.simulator;
    if (trace.readable) trace.line(nowMs, `c${this.number}`, text);
  }

  /** Whoever waits too long goes elsewhere. */
  private watch(): void {
    this.simulator.after(this.options.patienceMs / 2, () => {
      const waitedMs = this.simulator.nowMs - this.progressMs;
      if (this.outstanding.size > 0 && this.connection !== null && waitedMs > this.options.patienceMs) this.move(0);
      else if (this.hurries && this.outstanding.size === 0) this.issue(1);
      if (!this.done || !this.hurries) this.watch();
    });
  }
}
