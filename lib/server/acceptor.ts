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

export interface AcceptorOwner {
  client(wire: Wire, hello: FrameOf<"hello">): void;
  replica(wire: Wire, hello: FrameOf<"peerHello">): void;
  /** A connection ended before its hello; `reason` is one readable phrase. `refused`: this side has closed it. */
  rejected(remote: string, reason: string, refused: boolean): void;
}

export class Acceptor {
  readonly #owner: AcceptorOwner;
  /** Strangers, and how many sweeps they have seen. */
  readonly #strangers = new Map<Wire, number>();

  constructor(owner: AcceptorOwner) {
    this.#owner = owner;
  }

  /** For `Transport.listen`. */
  accept(connection: Connection): ConnectionHandlers {
    const closed = (reason: string): void => {
      if (this.#strangers.delete(wire)) this.#owner.rejected(wire.remote, reason, wire.refusal !== null);
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

  #greeted(wire: Wire, hello: Hello): void {
    this.#strangers.delete(wire);
    if (hello.type === "hello") this.#owner.client(wire, hello);
    else this.#owner.replica(wire, hello);
  }
}
