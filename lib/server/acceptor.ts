/**
 * Connections that have not said who they are. The first frame tells a client from a replica; who says nothing, or
 * something else, is told why and closed. Knows nothing of what either kind does afterwards.
 */
import { limits } from "../base/limits.ts";
import type { Connection, ConnectionHandlers } from "../base/transport.ts";
import type { FrameOf } from "../protocol/messages.ts";
import { Wire, type Hello } from "./wire.ts";

/** Of sweeps, which are seconds. */
const { helloSeconds } = limits;
/** Connections that may be open at once without having said hello. */
const strangersMax = 4096;
/** Hosts of which it is remembered why they were refused last. */
const refusedHostsMax = 64;

export interface AcceptorOwner {
  client(wire: Wire, hello: FrameOf<"hello">): void;
  replica(wire: Wire, hello: FrameOf<"peerHello">): void;
  /**
   * A connection ended before its hello; `reason` is one readable phrase. `isNews`: this side has closed it, and not the one
   * before from that host for the same reason.
   */
  rejected(remote: string, reason: string, isNews: boolean): void;
}

export class Acceptor {
  readonly #owner: AcceptorOwner;
  /** Strangers, and how many sweeps they have seen. */
  readonly #strangers = new Map<Wire, number>();
  /** Why each host was refused last, those refused first first. A replica of another version tries for ever. */
  readonly #refused = new Map<string, string>();

  constructor(owner: AcceptorOwner) {
    this.#owner = owner;
  }

  /** For `Transport.listen`. */
  accept(connection: Connection): ConnectionHandlers {
    const closed = (reason: string): void => {
      if (!this.#strangers.delete(wire)) return;
      this.#owner.rejected(wire.remote, reason, wire.refusal !== null && this.#isNews(wire.host, reason));
    };
    const frame = (): void => {};
    const wire: Wire = new Wire(connection, { frame, closed }, (hello) => this.#greeted(wire, hello));
    this.#strangers.set(wire, 0);
    if (this.#strangers.size > strangersMax) wire.refuse("overloaded", "too many connections are waiting for a hello");
    return wire;
  }

  /** Once a second: counted and not read from a clock, so that a pause of this process is not the stranger's silence. */
  sweep(): void {
    for (const [wire, sweeps] of this.#strangers) {
      if (sweeps >= helloSeconds) wire.refuse("idle", `no hello within ${helloSeconds} s`);
      this.#strangers.set(wire, sweeps + 1);
    }
  }

  close(): void {
    for (const wire of [...this.#strangers.keys()]) wire.leave("the replica is stopping");
  }

  #isNews(host: string, reason: string): boolean {
    if (this.#refused.get(host) === reason) return false;
    this.#refused.set(host, reason);
    for (const first of this.#refused.keys()) {
      if (this.#refused.size <= refusedHostsMax) break;
      this.#refused.delete(first);
    }
    return true;
  }

  #greeted(wire: Wire, hello: Hello): void {
    this.#strangers.delete(wire);
    this.#refused.delete(wire.host);
    if (hello.type === "hello") this.#owner.client(wire, hello);
    else this.#owner.replica(wire, hello);
  }
}
