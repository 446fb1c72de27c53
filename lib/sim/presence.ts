/**
 * Which sessions a simulated process holds, and what it brings into the log for them: the real `Attachments` of
 * `lib/server`, fed with what this process hears of the others and which of its connections are still open.
 */
import { decodeCommand, encodeCommand } from "../protocol/codec.ts";
import type { OpEntry } from "../protocol/entries.ts";
import type { FrameOf, Member } from "../protocol/messages.ts";
import type { Attachment, StateMachine } from "../protocol/state-machine.ts";
import type { Place } from "../replication/kinship.ts";
import type { Standing } from "../replication/events.ts";
import { Attachments, type Processes } from "../server/attachments.ts";
import { systemSessionOf } from "../server/identity.ts";
import type { ExpiryProfile } from "./profile.ts";
import type { ClientConnection } from "./workload.ts";

export interface PresencePorts {
  readonly self: Member;
  readonly expiry: ExpiryProfile;
  /** After such a silence a process is taken for absent. */
  readonly absenceMs: number;
  readonly nowMs: () => number;
  readonly state: () => StateMachine;
  readonly standing: () => Standing;
  readonly propose: (op: OpEntry) => void;
  readonly common: (place: Place, upTo: number) => Place;
}

interface Heard {
  readonly incarnation: number;
  readonly place: Place;
  readonly atMs: number;
}

export class Presence {
  readonly #ports: PresencePorts;
  readonly #attachments: Attachments;
  readonly #beganAt: Place;
  readonly #heard = new Map<number, Heard>();
  readonly #held = new Map<ClientConnection, Attachment>();
  /** Who waits for which attach. */
  readonly #attaching = new Map<number, ClientConnection>();
  readonly #processes: Processes = {
    isLive: (pid, incarnation) => this.#isLive(pid, incarnation),
    commitOf: (pid, incarnation) => this.#commitOf(pid, incarnation),
  };

  constructor(ports: PresencePorts) {
    this.#ports = ports;
    const { self, expiry } = ports;
    const applied = (): number => ports.state().applied.index;
    this.#attachments = new Attachments(self, systemSessionOf(self), { ...ports, applied }, expiry.unusedMs);
    this.#beganAt = placeOf(ports.state());
  }

  heard({ pid, incarnation }: Member, { commit, lastView }: FrameOf<"heartbeat">): void {
    this.#heard.set(pid, { incarnation, place: { index: commit, view: lastView }, atMs: this.#ports.nowMs() });
  }

  /** A client opens its session on a connection: a known one is attached, another registered by the op that comes back. */
  open(op: OpEntry, connection: ClientConnection): OpEntry | null {
    const attachment = this.#attachments.next(op.session);
    this.#release(connection);
    this.#held.set(connection, attachment);
    if (this.#ports.state().session(op.session) !== null) {
      this.#attaching.set(this.#attachments.attach(attachment), connection);
      return null;
    }
    const command = decodeCommand(op.command);
    if (command.type !== "openSession" && command.type !== "registerSession")
      throw new RangeError(`a session is not opened by ${command.type}`);
    const { pid, incarnation, number } = attachment;
    return { ...op, command: encodeCommand({ ...command, pid, incarnation, number }) };
  }

  isOwn(op: { readonly session: string }): boolean {
    return this.#attachments.isOwn(op);
  }

  /** One of its own ops came out of the log. */
  settled(seq: number): void {
    this.#attaching.delete(seq);
    this.#attachments.settled(seq);
  }

  /** One of its own ops was certainly not proposed. Returns who waits for it to open a session. */
  unavailable(seq: number): ClientConnection | undefined {
    this.#attachments.unavailable(seq);
    const connection = this.#attaching.get(seq);
    this.#attaching.delete(seq);
    return connection;
  }

  /** The state is given up: what was on its way into the log need not arrive. Returns whose session this process holds. */
  lineageChanged(): readonly ClientConnection[] {
    this.#attaching.clear();
    this.#attachments.lineageChanged();
    return [...this.#held.keys()];
  }

  sweep(): void {
    const { expiry, standing, state } = this.#ports;
    for (const connection of this.#held.keys()) if (!connection.open) this.#release(connection);
    const { role, ready, settled } = standing();
    const isHeld = (number: number): boolean => this.#isHeld(number);
    for (let sweeps = expiry.sweepsPerTick; sweeps > 0; sweeps--) {
      this.#attachments.sweep(state(), ready && role === "primary", this.#processes, isHeld);
      if (settled) this.#attachments.expire(state());
    }
  }

  /** Everything that was delivered has arrived: simulated clients miss nothing. */
  #release(connection: ClientConnection): void {
    const attachment = this.#held.get(connection);
    if (attachment === undefined) return;
    this.#held.delete(connection);
    this.#attachments.detachLater(attachment, placeOf(this.#ports.state()));
  }

  #isHeld(number: number): boolean {
    for (const attachment of this.#held.values()) if (attachment.number === number) return true;
    return false;
  }

  #isLive(pid: number, incarnation: number): boolean {
    const { self, absenceMs, nowMs } = this.#ports;
    if (pid === self.pid) return incarnation === self.incarnation;
    const heard = this.#heard.get(pid);
    return heard?.incarnation === incarnation && nowMs() - heard.atMs <= absenceMs;
  }

  #commitOf(pid: number, incarnation: number): Place {
    const heard = this.#heard.get(pid);
    return heard?.incarnation === incarnation ? heard.place : this.#beganAt;
  }
}

const placeOf = ({ applied: { index, view } }: StateMachine): Place => ({ index, view });
