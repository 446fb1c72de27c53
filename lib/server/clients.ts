/**
 * All clients of this replica: which connection holds which session, which ops are on their way into the log and who
 * waits for them, and where what comes out of the log goes. Knows no socket, no clock and nothing of replication but
 * where this replica stands.
 */
import type { OpEntry } from "../protocol/entries.ts";
import { encodeCommand, encodeFrame } from "../protocol/codec.ts";
import type { Command } from "../protocol/commands.ts";
import type { AdminRequest, ClientOp, FrameOf, Member, Placement } from "../protocol/messages.ts";
import type { Applied, Attachment, Delivery, OpResult, Outcome } from "../protocol/state-machine.ts";
import type { Standing } from "../replication/events.ts";
import type { Place } from "../replication/kinship.ts";
import { parseAddress } from "../base/address.ts";
import { limits } from "../base/limits.ts";
import { counted } from "../base/words.ts";
import { Attachments, type Processes } from "./attachments.ts";
import { ClientConnection, type AnswerElsewhere, type Hub } from "./client-connection.ts";
import { Guesses } from "./guesses.ts";
import { systemSessionOf } from "./identity.ts";
import { isSame } from "./opening.ts";
import { reusedSeq, unavailable } from "./refusals.ts";
import { placementOf, statusReport, type HeartbeatOf } from "./status.ts";
import type { WatchedState } from "./watched-state.ts";
import type { Wire } from "./wire.ts";

export interface ClientsOptions {
  readonly self: Member;
  readonly cluster: Uint8Array;
  readonly policy: Placement["policy"];
  readonly timeoutMs: number;
  readonly software: string;
  /** Clients that may be connected at once. Default: any number. */
  readonly clientsMax?: number;
}

export interface ClientsPorts {
  readonly state: WatchedState;
  readonly answerElsewhere: AnswerElsewhere | null;
  readonly standing: () => Standing;
  readonly propose: (op: OpEntry) => void;
  /** See {@link OpeningPorts.common}. */
  readonly common: (place: Place, upTo: number) => Place;
  readonly sha256: (bytes: Uint8Array) => Uint8Array;
  readonly heartbeat: HeartbeatOf;
  /** Pids of the replicas that are heard, in the config or not. */
  readonly heard: () => readonly number[];
  /** Which of those that hold sessions live, and how far the others had come. */
  readonly processes: Processes;
  readonly administer: (frame: AdminRequest, wire: Wire) => void;
  /** How many clients there are. */
  readonly counted: (connections: number) => void;
  readonly log: (level: "debug" | "info" | "warn", message: string) => void;
}

/** An op on its way, and who waits for it (it may be gone by then). */
interface Pending {
  connection: ClientConnection;
  request: number;
  type: ClientOp["type"];
  /** Of what was asked for. */
  readonly digest: Uint8Array;
}

const keyOf = (session: string, seq: number): string => `${session}/${seq}`;
const resultGone: OpResult = { type: "refused", code: "unknown", message: "The result of this op is not known here." };

export class Clients implements Hub {
  readonly #options: ClientsOptions;
  readonly #ports: ClientsPorts;
  readonly #attachments: Attachments;
  readonly #connections = new Set<ClientConnection>();
  /** Only sessions that stand. */
  readonly #bySession = new Map<string, ClientConnection>();
  /** Those whose session is being opened. */
  readonly #opening = new Set<ClientConnection>();
  readonly #pending = new Map<string, Pending>();
  readonly guesses = new Guesses();
  #stopping = false;

  constructor(options: ClientsOptions, ports: ClientsPorts) {
    this.#options = options;
    this.#ports = ports;
    const applied = (): number => ports.state.applied.index;
    this.#attachments = new Attachments(options.self, systemSessionOf(options.self), { ...ports, applied });
    ports.state.onReset = () => {
      this.#attachments.lineageChanged();
      // What of it is not in the log is not put there: it was prepared from a state that is given up.
      this.#pending.clear();
      for (const connection of [...this.#connections]) {
        connection.leave("the log went over to another lineage: resume the session");
      }
    };
  }

  get state(): WatchedState {
    return this.#ports.state;
  }

  get answerElsewhere(): AnswerElsewhere | null {
    return this.#ports.answerElsewhere;
  }

  get copies(): number {
    return this.#ports.standing().copies;
  }

  /** Ops of clients that are connected, proposed and not answered. */
  get unanswered(): number {
    let count = 0;
    for (const connection of this.#connections) count += connection.unanswered;
    return count;
  }

  /** A connection has introduced itself as a client. */
  accept(wire: Wire, hello: FrameOf<"hello">): void {
    if (this.#stopping) return wire.leave("the replica is stopping");
    const { clientsMax = Infinity } = this.#options;
    if (this.#connections.size >= clientsMax)
      return wire.refuse("overloaded", `${counted(clientsMax, "client")} may be connected here`);
    const place = this.placement();
    this.#connections.add(new ClientConnection(wire, this, encodeFrame(place), hello.software));
    this.#ports.counted(this.#connections.size);
    this.#ports.log("debug", `client ${wire.remote} connected (${printable(hello.software)})`);
    const { type: _, ...placement } = place;
    const { cluster, software } = this.#options;
    wire.send({ type: "welcome", version: limits.protocolVersion, software, cluster, ...placement });
  }

  /** Outcomes and deliveries of a batch, in log order; the state is that after the batch. */
  applied({ outcomes, deliveries }: Applied): void {
    for (const session of this.#ports.state.takeMoved()) this.#checkHolder(session);
    const settled = new Set<ClientConnection>();
    let next = 0;
    for (const outcome of outcomes) {
      const { session, seq, result } = outcome;
      const index = result === null || result.type === "refused" ? 0 : result.index;
      // Number 0 of a session is its registration.
      if (seq === 0 && result?.type === "refused") {
        for (const connection of [...this.#opening]) connection.notRegistered(session, result);
      }
      while (next < deliveries.length && indexOf(deliveries[next]) < index) this.#deliver(deliveries[next++]);
      this.#settle(outcome, result, settled, outcome.digest);
    }
    while (next < deliveries.length) this.#deliver(deliveries[next++]);
    for (const connection of settled) connection.proceed();
    this.#advance();
  }

  /** These ops will never be proposed. */
  unavailable(ops: readonly { readonly session: string; readonly seq: number }[]): void {
    const settled = new Set<ClientConnection>();
    for (const op of ops) {
      const isOwn = this.#attachments.isOwn(op);
      if (isOwn) this.#attachments.unavailable(op.seq);
      for (const connection of this.#opening) if (connection.unavailable(op, isOwn)) break;
      this.#settle(op, unavailable, settled);
    }
    for (const connection of settled) connection.proceed();
  }

  /** This replica's role, view or members may have changed: tell the clients for whom that is news. */
  standingChanged(): void {
    if (this.#connections.size > 0) {
      const encoded = encodeFrame(this.placement());
      for (const connection of this.#connections) connection.placed(encoded);
    }
    this.#advance();
  }

  /** Once a second. */
  sweep(): void {
    this.guesses.sweep();
    for (const connection of [...this.#connections]) connection.sweep();
    const { role, ready, settled } = this.#ports.standing();
    if (this.#stopping) return;
    const held = new Set([...this.#connections].map(({ attachmentNumber }) => attachmentNumber));
    this.#attachments.sweep(this.state, ready && role === "primary", this.#ports.processes, (number) =>
      held.has(number),
    );
    if (settled) this.#attachments.expire(this.state);
  }

  /** Takes no more clients, and begins no more of their requests: they ask again elsewhere. */
  stop(): void {
    this.#stopping = true;
  }

  get stopping(): boolean {
    return this.#stopping;
  }

  /** Says goodbye to all. Their sessions stay attached, to be resumed on another replica. */
  leave(reason: string): void {
    for (const connection of [...this.#connections]) connection.wire.leave(reason);
  }

  get connected(): number {
    return this.#connections.size;
  }

  terminate(): void {
    for (const connection of [...this.#connections]) connection.wire.terminate("stopping");
  }

  // What a connection asks and tells.

  nextAttachment(session: string): Attachment {
    return this.#attachments.next(session);
  }

  attach(attachment: Attachment): number {
    return this.#attachments.attach(attachment);
  }

  propose(op: OpEntry): void {
    this.#ports.propose(op);
  }

  common(place: Place, upTo: number): Place {
    return this.#ports.common(place, upTo);
  }

  sha256(bytes: Uint8Array): Uint8Array {
    return this.#ports.sha256(bytes);
  }

  caughtUp(): boolean {
    const { ready, role, commit } = this.#ports.standing();
    return ready && role !== "candidate" && this.state.applied.index >= commit;
  }

  serves(): boolean {
    return this.#ports.standing().ready;
  }

  get staleSweeps(): number {
    return Math.ceil((2 * this.#options.timeoutMs) / 1_000);
  }

  merging(): boolean {
    const { self, policy } = this.#options;
    const { config, view, merged } = this.#ports.standing();
    if (policy !== "available") return false;
    const inConfig = new Set(config.map(({ pid }) => pid));
    if (inConfig.has(self.pid) && !merged) return true;
    return this.#ports.heard().some((pid) => {
      const heartbeat = this.#ports.heartbeat(pid);
      // What it told in another view may be a fork in this one. Who was removed is in none, once it gives what it has.
      return heartbeat !== null && !(heartbeat.merged && heartbeat.installed === (inConfig.has(pid) ? view : 0));
    });
  }

  lacksSomebody(): boolean {
    const { self, policy } = this.#options;
    if (policy !== "available") return false;
    const others = this.#ports.standing().config.filter(({ pid }) => pid !== self.pid);
    return others.some(({ pid }) => this.#ports.heartbeat(pid) === null);
  }

  opened(connection: ClientConnection): void {
    const { session } = connection;
    if (session === null) return;
    const older = this.#bySession.get(session);
    this.#bySession.set(session, connection);
    if (older !== undefined && older !== connection) older.dismiss();
  }

  opening(connection: ClientConnection, isOpening: boolean): void {
    if (isOpening) this.#opening.add(connection);
    else this.#opening.delete(connection);
  }

  redirect(session: string, op: ClientOp, connection: ClientConnection): ReturnType<Hub["redirect"]> {
    const pending = this.#pending.get(keyOf(session, op.seq));
    if (pending === undefined) return "no";
    if (!isSameContent(pending.digest, this.state.contentDigest(op))) return "no-such";
    pending.request = op.request;
    if (pending.connection === connection) return "from-here";
    pending.connection = connection;
    pending.type = op.type;
    return "from-another";
  }

  proposeCommand(connection: ClientConnection, op: ClientOp, command: Command, digest: Uint8Array): void {
    const { session } = connection;
    if (session === null) return;
    const { request, seq, oldest, type } = op;
    this.#pending.set(keyOf(session, seq), { connection, request, type, digest });
    this.#ports.propose({ session, seq, oldest, at: 0, origAt: 0, digest, command: encodeCommand(command) });
  }

  status(request: number): FrameOf<"statusReport"> {
    const { self } = this.#options;
    const own = { pid: self.pid, connections: this.#connections.size };
    return statusReport(request, this.placement(), this.#ports.standing(), own, this.#ports.heartbeat);
  }

  isOwnMachine(wire: Wire): boolean {
    const own = this.placement().replicas.find(({ pid }) => pid === this.#options.self.pid);
    return wire.isLocal || (own !== undefined && parseAddress(own.address)?.host === wire.host);
  }

  administer(frame: AdminRequest, wire: Wire): void {
    this.#ports.administer(frame, wire);
  }

  gone(connection: ClientConnection, reason: string, onPurpose: boolean, overflowed: boolean): void {
    this.#connections.delete(connection);
    this.#ports.counted(this.#connections.size);
    const { remote, refusal } = connection.wire;
    const level = (refusal === null && !overflowed) || this.#stopping ? "debug" : "info";
    this.#ports.log(level, `client ${remote} is gone: ${printable(reason)}`);
    const { session, attachment, seen } = connection;
    if (session !== null && this.#bySession.get(session) === connection) this.#bySession.delete(session);
    if (attachment === null || this.#stopping) return;
    if (onPurpose) this.#attachments.detach(attachment, seen);
    else this.#attachments.detachLater(attachment, seen);
  }

  placement(): Placement {
    return placementOf(this.#options.self.pid, this.#options.policy, this.#ports.standing());
  }

  #advance(): void {
    for (const connection of [...this.#opening]) connection.advance();
  }

  /** `digest`: of what was done under this seq, which another replica may have been asked for; null when nothing was. */
  #settle(
    { session, seq }: Pick<Outcome, "session" | "seq">,
    result: OpResult | null,
    settled: Set<ClientConnection>,
    digest: Uint8Array | null = null,
  ): void {
    if (this.#attachments.isOwn({ session })) return this.#attachments.settled(seq);
    const key = keyOf(session, seq);
    const pending = this.#pending.get(key);
    if (pending === undefined) return;
    this.#pending.delete(key);
    const { connection, request, type } = pending;
    const isOther = digest !== null && !isSameContent(digest, pending.digest);
    const told = isOther ? reusedSeq : (result ?? this.state.result(session, seq) ?? resultGone);
    connection.settle({ request, seq, type }, told);
    settled.add(connection);
  }

  #deliver(delivery: Delivery | undefined): void {
    if (delivery === undefined) return;
    let encoded: Uint8Array | null = null;
    for (const session of delivery.sessions) {
      const connection = this.#bySession.get(session);
      if (connection === undefined) continue;
      encoded ??= encodeFrame(delivery.push);
      connection.push(delivery.push, encoded);
    }
  }

  /**
   * An attach or a detach was applied. If the session is another's now, the connection here is no longer the session's.
   * If it is nobody's, it was taken for lost while this replica was cut off: its client resumes it, since what was sent
   * to it meanwhile waits in the inbox, and nothing is pushed to a session that is not attached.
   */
  #checkHolder(session: string): void {
    const now = this.state.session(session)?.attachment ?? null;
    if (now !== null) this.#attachments.standsAgain(now);
    const connection = this.#bySession.get(session);
    const attachment = connection?.attachment ?? null;
    if (connection === undefined || attachment === null) return;
    if (now === null) connection.wire.leave("the session was taken for lost meanwhile: resume it");
    else if (!isSame(now, attachment)) connection.dismiss();
  }
}

const isSameContent = (one: Uint8Array, other: Uint8Array): boolean => Buffer.compare(one, other) === 0;

/** 0 for what has no place of its own: it goes out before the outcomes that follow. */
const indexOf = (delivery: Delivery | undefined): number =>
  delivery?.push.type === "message" ? delivery.push.message.index : 0;

/** What a stranger says of itself, fit for a log line. */
const printable = (text: string): string => text.replace(/[^\x20-\x7e]/g, "?");
