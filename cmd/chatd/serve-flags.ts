/**
 * The flags of `chatd serve`, checked: what is wrong is one clear line before anything is touched. Opens nothing.
 */
import { join, resolve } from "node:path";
import { formatAddress, isLoopback, parseAddress, type Address } from "../../lib/base/address.ts";
import { limits } from "../../lib/base/limits.ts";
import { stateHome } from "../../lib/io/private-files.ts";
import type { Configured, Policy } from "../../lib/protocol/messages.ts";
import { CommandFailure, exitStatus } from "./failure.ts";

export const defaultPeers = "1=127.0.0.1:1538,2=127.0.0.1:2538,3=127.0.0.1:3538";

/** As the parser of the command line hands them over. */
export interface ServeFlags {
  readonly pid?: number;
  readonly peers: string;
  readonly listen?: string;
  readonly data?: string;
  readonly policy: Policy;
  readonly heartbeatMs: number;
  readonly timeoutMs: number;
  readonly recoveryWaitMs: number;
  readonly insecure?: true;
  readonly logLevel: "error" | "warn" | "info" | "debug";
  readonly logFormat: "text" | "json";
}

export interface ServeSettings extends Omit<ServeFlags, "pid" | "peers" | "listen" | "data"> {
  readonly pid: number;
  readonly peers: readonly Configured[];
  readonly listen: Address;
  /** An absolute path. */
  readonly data: string;
  /** Connections come from other machines in the clear, and nobody has said that this is known. */
  readonly warnsOfPlain: boolean;
}

const usage = (message: string): CommandFailure => new CommandFailure(message, exitStatus.usage);

/** Throws `CommandFailure` (64). */
export function checkFlags(
  flags: ServeFlags,
  environment: Readonly<Record<string, string | undefined>>,
): ServeSettings {
  const peers = parsePeers(flags.peers);
  const { pid } = flags;
  if (pid === undefined) {
    throw usage("--pid N is required: it says which of --peers this replica is; see chatd serve --help");
  }
  const own = peers.find((peer) => peer.pid === pid);
  if (own === undefined) {
    throw usage(`--pid ${pid} is not among --peers (${peers.map((peer) => peer.pid).join(", ")})`);
  }
  const listen = parseAddress(flags.listen ?? own.address);
  if (listen === null)
    throw usage(`--listen ${quoted(flags.listen ?? "")} is not HOST:PORT${hint(flags.listen ?? "")}`);
  if (flags.timeoutMs < 2 * flags.heartbeatMs) {
    throw usage(
      `--timeout-ms ${flags.timeoutMs} is less than two heartbeats of --heartbeat-ms ${flags.heartbeatMs}: a live replica would be taken for dead`,
    );
  }
  if (flags.data === "") throw usage("--data is empty; it names a directory");
  const data = flags.data === undefined ? join(stateHome(environment), "chatd", String(pid)) : resolve(flags.data);
  return { ...flags, pid, peers, listen, data, warnsOfPlain: flags.insecure !== true && !isLoopback(listen.host) };
}

/** `PID=HOST:PORT`, separated by commas; addresses come back in one spelling. Throws `CommandFailure` (64). */
export function parsePeers(text: string): Configured[] {
  const peers: Configured[] = [];
  for (const entry of text.split(",").map((each) => each.trim())) {
    if (entry === "") throw usage(`--peers ${quoted(text)} has an empty entry; it is PID=HOST:PORT,PID=HOST:PORT,…`);
    const match = /^(\d{1,9})=(.*)$/.exec(entry);
    const address = parseAddress(match?.[2] ?? "");
    if (match === null || address === null) throw usage(`--peers: ${quoted(entry)} is not PID=HOST:PORT${hint(entry)}`);
    const pid = Number(match[1]);
    if (pid < 1 || pid > limits.pidMax) throw usage(`--peers: ${quoted(entry)}: a pid is from 1 to ${limits.pidMax}`);
    const spelled = formatAddress(address.host.toLowerCase(), address.port);
    for (const other of peers) {
      if (other.pid === pid) throw usage(`--peers names replica ${pid} twice: ${other.address} and ${spelled}`);
      if (other.address === spelled)
        throw usage(`--peers gives replicas ${other.pid} and ${pid} one address, ${spelled}`);
    }
    peers.push({ pid, address: spelled, uuid: null });
  }
  if (peers.length > limits.replicasMax) {
    throw usage(`--peers names ${peers.length} replicas; a cluster has at most ${limits.replicasMax}`);
  }
  return peers;
}

/** A frequent mistake with addresses, named. */
function hint(entry: string): string {
  const address = entry.replace(/^\d+=/, "");
  if ((address.match(/:/g) ?? []).length > 1 && !address.includes("[")) return " (an IPv6 address goes in brackets)";
  if (!/:\d+$/.test(address)) return " (the port is missing)";
  const port = Number(/:(\d+)$/.exec(address)?.[1]);
  return port < 1 || port > 65535 ? " (a port is from 1 to 65535)" : "";
}

const quoted = (text: string): string => JSON.stringify(text);
