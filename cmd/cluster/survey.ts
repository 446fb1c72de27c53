/** Finds out who answers at an address: a replica of chatd and of which cluster, nobody, or somebody else. */
import { parseAddress } from "../../lib/base/address.ts";
import { limits } from "../../lib/base/limits.ts";
import { decodeFrame, encodeFrame } from "../../lib/protocol/codec.ts";
import { FrameReader } from "../../lib/protocol/frame-reader.ts";
import { protocolMagic } from "../../lib/protocol/messages.ts";
import { holderOf } from "./ports.ts";

export type Occupant =
  | { readonly kind: "nobody" }
  | { readonly kind: "replica"; readonly pid: number; readonly addresses: readonly string[] }
  /** `name` as far as the system tells it. */
  | { readonly kind: "stranger"; readonly name: string };

const answerTimeoutMs = 2000;

/** Says hello at `address` and looks at the answer. Throws when `address` is not `host:port`. */
export async function whoServes(address: string): Promise<Occupant> {
  const parsed = parseAddress(address);
  if (!parsed) throw new Error(`${JSON.stringify(address)} is not HOST:PORT`);
  const stranger: Occupant = { kind: "stranger", name: holderOf(parsed.port) ?? "another program" };
  const answer = Promise.withResolvers<Occupant>();
  const reader = new FrameReader(() => limits.replicaFrameBytesMax);
  const take = (payload: Uint8Array): void => {
    const frame = decodeFrame(payload);
    if (frame.type !== "welcome") return answer.resolve(stranger);
    const addresses = frame.replicas.map((replica) => replica.address);
    answer.resolve({ kind: "replica", pid: frame.replica, addresses });
  };
  try {
    const socket = await Bun.connect({
      hostname: parsed.host,
      port: parsed.port,
      socket: {
        data(_socket, chunk) {
          try {
            reader.push(chunk, take);
          } catch {
            answer.resolve(stranger);
          }
        },
        close: () => answer.resolve(stranger),
        error: () => answer.resolve(stranger),
      },
    });
    const hello = { magic: protocolMagic, version: limits.protocolVersion, software: "bun start" };
    socket.write(encodeFrame({ type: "hello", ...hello }));
    const timer = setTimeout(() => answer.resolve(stranger), answerTimeoutMs);
    const occupant = await answer.promise;
    clearTimeout(timer);
    socket.terminate();
    return occupant;
  } catch {
    return { kind: "nobody" };
  }
}
