/**
 * Whether a replica with an empty disk founds a cluster or joins one: it asks those named by `--peers`. Believes only a
 * replica that serves in a formed view, at an address that the operator has given. Changes nothing.
 */
import { UnansweredError } from "../../lib/client/inquiry.ts";
import type { Configured } from "../../lib/protocol/messages.ts";
import { CommandFailure, exitStatus } from "./failure.ts";
import { inquireAt } from "./inquiring.ts";
import type { ServeSettings } from "./serve-flags.ts";

/** A cluster that goes on already. */
export interface LiveCluster {
  readonly id: Uint8Array;
  readonly replicas: readonly Configured[];
}

const answerMs = 1000;

/**
 * The cluster that the other replicas of `--peers` serve; null if none of them serves any (yet). Throws
 * `CommandFailure` (64) when this replica cannot join it as it was started.
 */
export async function findCluster(settings: ServeSettings): Promise<LiveCluster | null> {
  const others = settings.peers.filter(({ pid }) => pid !== settings.pid);
  const answers = await Promise.all(others.map(({ address }) => whoServes(address)));
  let found: (LiveCluster & { readonly at: string }) | null = null;
  for (const [at, answer] of answers.entries()) {
    const address = others[at]?.address ?? "";
    if (answer === null) continue;
    if (found !== null && found.id.toHex() !== answer.id.toHex()) {
      throw usage(`--peers names replicas of two clusters, at ${found.at} and at ${address}: name those of one`);
    }
    found ??= { ...answer, at: address };
    refuseOtherPolicy(settings, answer.policy, address);
    refuseOtherPlace(settings, answer.replicas, address);
  }
  return found;
}

/**
 * Throws `CommandFailure` (64) when the others serve a cluster that looks for this replica at another address than the one
 * in `--peers`: it would reach them and not be reached, and so take them for dead.
 */
export async function refuseOtherAddress({ pid, peers }: ServeSettings): Promise<void> {
  const own = peers.find((peer) => peer.pid === pid)?.address ?? "";
  for (const { address } of peers.filter((peer) => peer.pid !== pid)) {
    const there = (await whoServes(address))?.replicas.find((replica) => replica.pid === pid)?.address ?? own;
    if (there === own) continue;
    throw usage(
      `--peers says that replica ${pid} is at ${own}, but the cluster at ${address} looks for it at ${there}: start it with ` +
        `${pid}=${there} (--listen binds elsewhere), or first remove it from the cluster to add it at its new address`,
    );
  }
}

/** Null unless a member of a formed view answers. */
async function whoServes(address: string): Promise<(LiveCluster & { readonly policy: string }) | null> {
  try {
    const inquiry = await inquireAt(address, answerMs);
    const { cluster: id, place } = inquiry;
    inquiry.close();
    return place?.ready === true ? { id, replicas: place.replicas, policy: place.policy } : null;
  } catch (error) {
    if (error instanceof UnansweredError) return null;
    throw error;
  }
}

function refuseOtherPolicy({ policy }: ServeSettings, theirs: string, address: string): void {
  if (theirs === policy) return;
  throw usage(`--policy ${policy}: the cluster at ${address} has the policy ${theirs}; start with --policy ${theirs}`);
}

function refuseOtherPlace({ pid, peers }: ServeSettings, replicas: readonly Configured[], address: string): void {
  const own = peers.find((peer) => peer.pid === pid)?.address;
  const namesake = replicas.find((replica) => replica.pid === pid);
  if (namesake !== undefined && namesake.address !== own) {
    throw usage(
      `--pid ${pid}: the cluster at ${address} has a replica ${pid} already, at ${namesake.address}: ` +
        `remove it first (chatd cluster remove ${pid}), or start with another --pid`,
    );
  }
  const neighbour = replicas.find((replica) => replica.address === own);
  if (neighbour !== undefined && neighbour.pid !== pid) {
    throw usage(`--peers: ${own} is the address of replica ${neighbour.pid} in the cluster at ${address}`);
  }
}

const usage = (message: string): CommandFailure => new CommandFailure(message, exitStatus.usage);
