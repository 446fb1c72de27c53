/**
 * Connections of commands that ask and go, on the real network; and the few questions that more than one command has.
 * Prints nothing.
 */
import { limits } from "../../lib/base/limits.ts";
import { Inquiry } from "../../lib/client/inquiry.ts";
import { clientPorts } from "../../lib/io/client-ports.ts";
import { software } from "./version.ts";

/** Connects to a replica and waits for its welcome, so long each. Throws `UnansweredError`. */
export function inquireAt(address: string, connectTimeoutMs: number): Promise<Inquiry> {
  return Inquiry.open(address, { connectTimeoutMs, silenceMs: 3 * connectTimeoutMs, software }, clientPorts());
}

/** The first accounts by name whose names begin so, a page at most; whatever the case. Throws as `inquireAt` does. */
export async function accountsAt(address: string, prefix: string, connectTimeoutMs: number): Promise<string[]> {
  const inquiry = await inquireAt(address, connectTimeoutMs);
  try {
    const pattern = prefix === "" ? null : `${prefix}*`;
    const answer = await inquiry.ask({ type: "accounts", request: 1, pattern, after: null, limit: limits.pageMax });
    return answer.type === "accountList" ? answer.accounts.map(({ user }) => user) : [];
  } finally {
    inquiry.close();
  }
}

/** The pids of the config, as a replica knows it. Throws as `inquireAt` does. */
export async function replicasAt(address: string, connectTimeoutMs: number): Promise<number[]> {
  const inquiry = await inquireAt(address, connectTimeoutMs);
  inquiry.close();
  return inquiry.place?.replicas.map(({ pid }) => pid) ?? [];
}
