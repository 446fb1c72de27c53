/** What a client of `lib/client` reaches the real world through: TCP, the system's clock, its randomness. */
import type { Clock, Transport } from "../base/transport.ts";
import { systemClock } from "./clock.ts";
import { tcpTransport } from "./tcp.ts";

export interface RealClientPorts {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly randomBytes: (length: number) => Uint8Array;
}

export const clientPorts = (): RealClientPorts => ({
  transport: tcpTransport(),
  clock: systemClock,
  randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
});
