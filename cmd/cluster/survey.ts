/** Asks at an address who answers there: a replica, of which cluster and with how many clients, nobody, or somebody else. */
import { parseAddress } from "../../lib/base/address.ts";
import { limits } from "../../lib/base/limits.ts";
import { decodeFrame, encodeFrame } from "../../lib/protocol/codec.ts";
import { FrameReader } from "../../lib/protocol/frame-reader.ts";
import { protocolMagic, type Frame } from "../../lib/protocol/messages.ts";
import { holderOf } from "./ports.ts";

export type Occupant =
  | { readonly kind: "nobody" }
  | { readonly kind: "replica"; readonly pid: number; readonly addresses: readonly string[] }
  /** `name` as far as the system tells it. */
  | { readonly kind: "stranger"; readonly name: string };

const answerTimeoutMs = 2000;

/** Says hello at `address` and looks at the answer. Throws when `address` is not `host:port`. */
export function whoServes(address: string): Promise<Occupant> {
  const stranger: Occupant = { kind: "stranger", name: holderOf(portOf(address)) ?? "another program" };
  return ask<Occupant>(address, { kind: "nobody" }, stranger, (frame) => {
    if (frame.type !== "welcome") return stranger;
    const addresses = frame.replicas.map((replica) => replica.address);
    return { kind: "replica", pid: frame.replica, addresses };
  });
}

/** How many clients the replica at `address` has, this question aside; 0 when none answers. */
export function clientsAt(address: string): Promise<number> {
  return ask(address, 0, 0, (frame, send) => {
    if (frame.type === "welcome") send({ type: "status", request: 1 });
    if (frame.type !== "statusReport") return null;
    const own = frame.replicas.find(({ pid }) => pid === frame.replica);
    return Math.max(0, (own?.connections ?? 1) - 1);
  });
}

function portOf(address: string): number {
  const parsed = parseAddress(address);
  if (!parsed) throw new Error(`${JSON.stringify(address)} is not HOST:PORT`);
  return parsed.port;
}

/** Says hello and hands what comes back to `take`, until that gives an answer that is not null. */
async function ask<T>(
  address: string,
  nobody: T,
  otherwise: T,
  take: (frame: Frame, send: (frame: Frame) => void) => T | null,
): Promise<T> {
  const parsed = parseAddress(address);
  if (!parsed) throw new Error(`${JSON.stringify(address)} is not HOST:PORT`);
  const answer = Promise.withResolvers<T>();
  const reader = new FrameReader(() => limits.replicaFrameBytesMax);
  try {
    const socket = await Bun.connect({
      hostname: parsed.host,
      port: parsed.port,
      socket: {
        data(from, chunk) {
          try {
            reader.push(chunk, (payload) => {
              const taken = take(decodeFrame(payload), (frame) => void from.write(encodeFrame(frame)));
              if (taken !== null) answer.resolve(taken);
            });
          } catch {
            answer.resolve(otherwise);
          }
        },
        close: () => answer.resolve(otherwise),
        error: () => answer.resolve(otherwise),
      },
    });
    const hello = { magic: protocolMagic, version: limits.protocolVersion, software: "bun start" };
    socket.write(encodeFrame({ type: "hello", ...hello }));
    const timer = setTimeout(() => answer.resolve(otherwise), answerTimeoutMs);
    const answered = await answer.promise;
    clearTimeout(timer);
    socket.terminate();
    return answered;
  } catch {
    return nobody;
  }
}
