/**
 * The connection that this replica dials to one other replica, and over which alone it sends to it: dialling, hellos,
 * pings, reconnecting with backoff. Tells its owner when it stands and when it is lost. Reads nothing but what concerns
 * the connection itself.
 */
import { formatAddress, type Address } from "../base/address.ts";
import { limits } from "../base/limits.ts";
import { withArticle } from "../base/words.ts";
import type { Random } from "../base/random.ts";
import { ConnectError, type Clock, type Transport } from "../base/transport.ts";
import { protocolMagic, type Frame, type FrameOf, type Member } from "../protocol/messages.ts";
import { Wire } from "./wire.ts";

/** The first retry comes at once; the pauses then double from the first to the last, the half of each random. */
const backoffFirstMs = 25;
const backoffLastMs = 200;
/** Pings that may go unanswered: one is sent every quarter of the timeout. */
export const pingsPerTimeout = 4;

export interface PeerLinkOwner {
  /** The first frame to send. */
  hello(): FrameOf<"peerHello">;
  /** Why this process is not who is looked for; null when it is. */
  objection(pid: number, hello: FrameOf<"peerHello">): { code: FrameOf<"error">["code"]; message: string } | null;
  connected(pid: number, peer: Member): void;
  /** It stood and is lost, or could not be made; `refused`: the host says that nothing listens there. */
  disconnected(pid: number, refused: boolean): void;
  log(level: "debug" | "info" | "warn", message: string): void;
}

export interface PeerLinkPorts {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
}

export class PeerLink {
  readonly pid: number;
  readonly address: Address;
  readonly #owner: PeerLinkOwner;
  readonly #ports: PeerLinkPorts;
  readonly #timeoutMs: number;
  #wire: Wire | null = null;
  /** Its hello has been accepted: it is sent to. */
  #peer: Member | null = null;
  /** Attempts that failed since the link stood last. */
  #failures = 0;
  #dialling = false;
  /** Ticks since the link stands. */
  #stoodTicks = 0;
  #cancelRetry: (() => void) | null = null;
  #stopped = false;
  /** What was last complained about, said once and not at every attempt. */
  #complaint = "";

  constructor(pid: number, address: Address, timeoutMs: number, owner: PeerLinkOwner, ports: PeerLinkPorts) {
    this.pid = pid;
    this.address = address;
    this.#timeoutMs = timeoutMs;
    this.#owner = owner;
    this.#ports = ports;
  }

  /** The other end's host as the network tells it; null while the link does not stand. */
  get reachedHost(): string | null {
    return this.#peer === null ? null : (this.#wire?.host ?? null);
  }

  get connected(): boolean {
    return this.#peer !== null;
  }

  /** Best effort: lost while the link does not stand. */
  send(frame: Frame): void {
    if (this.#peer !== null) this.#wire?.send(frame);
  }

  /** Dials now, unless it is connected or dialling: at the start, and when the peer has been heard from. */
  dial(): void {
    if (this.#stopped || this.#dialling || this.#wire !== null) return;
    this.#cancelRetry?.();
    this.#cancelRetry = null;
    this.#dialling = true;
    const { host, port } = this.address;
    this.#ports.transport
      .connect(host, port, this.#timeoutMs, (connection) => this.#open(new Wire(connection, this.#wireOwner, null)))
      .then(
        () => {
          this.#dialling = false;
          if (this.#stopped) this.#wire?.terminate("stopping");
        },
        (error: unknown) => {
          this.#dialling = false;
          this.#failed(
            error instanceof Error ? error.message : String(error),
            error instanceof ConnectError && error.refused,
          );
        },
      );
  }

  /** Every quarter of the timeout. Pings go over this connection, because nothing else comes back on it. */
  tick(): void {
    const wire = this.#wire;
    if (wire === null || wire.over) return;
    if (wire.quiet++ > pingsPerTimeout) wire.terminate(`no answer for ${this.#timeoutMs} ms`);
    else if (this.#peer !== null) wire.send({ type: "ping", nonce: ++this.#stoodTicks });
  }

  /** Sends what is queued and closes; nothing is told any more. */
  stop(): void {
    this.#stopped = true;
    this.#cancelRetry?.();
    this.#peer = null;
    this.#wire?.close();
  }

  /** Its connection is gone, or was never there. */
  get gone(): boolean {
    return this.#wire === null;
  }

  readonly #wireOwner = {
    frame: (frame: Frame): void => this.#received(frame),
    closed: (reason: string): void => this.#lost(reason),
  };

  #open(wire: Wire): Wire {
    this.#wire = wire;
    wire.frameBytesMax = limits.replicaFrameBytesMax;
    wire.send(this.#owner.hello());
    return wire;
  }

  #received(frame: Frame): void {
    const wire = this.#wire;
    if (wire === null) return;
    switch (frame.type) {
      case "peerHello": {
        if (this.#peer !== null) return wire.refuse("unexpected", "a second hello");
        const objection = this.#object(frame);
        if (objection !== null) {
          this.#complain(`${this.#name} is not accepted: ${objection.message}`);
          return wire.refuse(objection.code, objection.message);
        }
        this.#peer = { pid: frame.pid, uuid: frame.uuid, incarnation: frame.incarnation };
        this.#stoodTicks = 0;
        this.#complaint = "";
        this.#owner.log("info", `connected to ${this.#name}`);
        this.#owner.connected(this.pid, this.#peer);
        return;
      }
      case "error":
        this.#complain(`${this.#name} does not accept this replica (${frame.code}): ${frame.message}`);
        return wire.terminate(frame.message);
      case "goodbye":
        return wire.close();
      default:
        return wire.refuse(
          "unexpected",
          `${withArticle(frame.type)} frame on a connection that only its dialler sends on`,
        );
    }
  }

  #object(hello: FrameOf<"peerHello">): ReturnType<PeerLinkOwner["objection"]> {
    const { protocolVersion, protocolVersionOldest } = limits;
    if (hello.magic !== protocolMagic) return { code: "protocol", message: "it does not speak this protocol" };
    if (hello.version > protocolVersion || hello.version < protocolVersionOldest) {
      return {
        code: "version",
        message: `it speaks protocol version ${hello.version}, this replica ${protocolVersion}`,
      };
    }
    if (hello.pid !== this.pid) return { code: "unexpected", message: `it is replica ${hello.pid}` };
    return this.#owner.objection(this.pid, hello);
  }

  #lost(reason: string): void {
    const stood = this.#peer !== null;
    this.#wire = null;
    this.#peer = null;
    if (this.#stopped) return;
    if (!stood) return this.#failed(`${this.#name} closed the connection: ${reason}`, false);
    this.#owner.log("info", `lost the connection to ${this.#name}: ${reason}`);
    this.#owner.disconnected(this.pid, false);
    // Who accepts and hangs up again and again is not dialled without pause.
    if (this.#stoodTicks === 0) return this.#retryLater();
    this.#failures = 0;
    this.dial();
  }

  #failed(reason: string, refused: boolean): void {
    if (this.#stopped) return;
    if (this.#failures++ === 0) this.#owner.log("debug", `cannot connect to ${this.#name}: ${reason}`);
    if (refused) this.#owner.disconnected(this.pid, true);
    this.#retryLater();
  }

  #retryLater(): void {
    // The owner may have heard from the peer meanwhile, and dialled; or may have had enough.
    if (this.#dialling || this.#wire !== null || this.#stopped) return;
    const ceilingMs = Math.min(backoffLastMs, backoffFirstMs * 2 ** Math.min(Math.max(0, this.#failures - 1), 10));
    const delayMs = ceilingMs * (0.5 + this.#ports.random.fraction() / 2);
    this.#cancelRetry?.();
    this.#cancelRetry = this.#ports.clock.setTimer(delayMs, () => this.dial());
  }

  get #name(): string {
    return `replica ${this.pid} at ${formatAddress(this.address.host, this.address.port)}`;
  }

  #complain(message: string): void {
    if (message === this.#complaint) return;
    this.#complaint = message;
    this.#owner.log("warn", message);
  }
}
