/**
 * Three network namespaces, each with an address of its own, and a fourth that passes on what they send to each other:
 * three machines and a router as far as TCP can tell. The router can be told to drop or to reject what one sends to
 * another, and how much a link carries. Nothing of it touches the machine's own network. Needs root and `ip` (iproute2).
 */
import { join } from "node:path";
import { isAlive } from "./ancestors.ts";
import { Cluster, type Place } from "./cluster.ts";
import type { CutKind, Links } from "./links.ts";

const namePrefix = "chatd-test-";
const replicaPort = 1538;
const pids = [1, 2, 3] as const;

function ip(...words: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync({ cmd: ["ip", ...words] });
  if (exitCode !== 0) throw new Error(`ip ${words.join(" ")} exits ${exitCode}: ${stderr.toString().trim()}`);
}

/** What leaves by a device waits in its queue (tc-tbf(8)). False where the kernel has no such queues. */
function tc(namespace: string, what: "replace" | "delete", device: string, ...queue: string[]): boolean {
  return Bun.spawnSync({ cmd: ["tc", "-n", namespace, "qdisc", what, "dev", device, "root", ...queue] }).success;
}

/** Why namespaces cannot be made here; null when they can. */
export function namespacesMissing(): string | null {
  if (process.platform !== "linux") return "network namespaces exist on Linux only";
  if (Bun.which("ip") === null) return "the program ip (iproute2) is not installed";
  if (process.getuid?.() !== 0) return "making network namespaces takes root";
  try {
    const network = new Network();
    try {
      for (const kind of ["drop", "reject"] as const) {
        network.cut(1, 2, kind);
        network.mend(1, 2);
      }
    } finally {
      network.close();
    }
    return null;
  } catch (error) {
    return `this system makes no network namespaces: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** What the router does with a packet: discards it, or answers that the host cannot be reached (ip-rule(8)). */
const actions: Readonly<Record<CutKind, string>> = { drop: "blackhole", reject: "unreachable" };

export class Network implements Links {
  static #made = 0;
  readonly kind = "namespaces";
  readonly flags = ["--insecure"];
  readonly #name = `${namePrefix}${process.pid}-${++Network.#made}`;
  readonly #namespaces: string[] = [];
  readonly #router: string;
  /** The priority of the rule that cuts. */
  readonly #cuts = new Set<number>();
  /** Pids of those whose link carries little. */
  readonly #narrow = new Set<number>();

  constructor() {
    removeLeftOvers();
    try {
      this.#router = this.#add("router");
      for (const pid of pids) this.#join(pid);
      ip("netns", "exec", this.#router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward");
      ip("-n", this.#router, "link", "set", "lo", "up");
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** A cluster with one replica in each namespace; its clients run there too. */
  cluster(directory: string, flags: readonly string[] = []): Cluster {
    return new Cluster(this.places(directory), [...this.flags, ...flags]);
  }

  places(directory: string): Place[] {
    return pids.map((pid) => ({
      pid,
      address: `${host(pid)}:${replicaPort}`,
      dataDirectory: join(directory, String(pid)),
      stderrFile: join(directory, `${pid}.log`),
      prefix: this.clientPrefix(pid),
    }));
  }

  /** The router reaches everybody whatever is cut. */
  clientPrefix(pid: number | null): readonly string[] {
    return ["ip", "netns", "exec", pid === null ? this.#router : `${this.#name}-${pid}`];
  }

  cut(from: number, to: number, kind: CutKind): void {
    this.mend(from, to);
    const priority = priorityOf(from, to);
    const words = ["rule", "add", "priority", String(priority), "from", host(from), "to", host(to)];
    ip("-n", this.#router, ...words, actions[kind]);
    this.#cuts.add(priority);
  }

  /** Cuts both directions between every replica of `side` and every other. */
  part(side: readonly number[], kind: CutKind): void {
    for (const one of side) {
      for (const other of pids.filter((pid) => !side.includes(pid))) {
        this.cut(one, other, kind);
        this.cut(other, one, kind);
      }
    }
  }

  mend(from: number, to: number): void {
    const priority = priorityOf(from, to);
    if (this.#cuts.delete(priority)) ip("-n", this.#router, "rule", "delete", "priority", String(priority));
  }

  mendAll(): void {
    for (const from of pids) for (const to of pids) this.mend(from, to);
  }

  delay(): boolean {
    return false;
  }

  narrow(pid: number, bitsPerSecond: number | null): boolean {
    if (Bun.which("tc") === null) return false;
    const ends = [
      [this.#router, portOf(pid)],
      [`${this.#name}-${pid}`, "eth0"],
    ] as const;
    if (bitsPerSecond === null) {
      if (this.#narrow.delete(pid)) for (const [namespace, device] of ends) tc(namespace, "delete", device);
      return true;
    }
    const isLimited = ends.every(([namespace, device]) =>
      tc(namespace, "replace", device, "tbf", "rate", String(bitsPerSecond), "burst", "16kb", "latency", "400ms"),
    );
    if (isLimited) this.#narrow.add(pid);
    return isLimited;
  }

  reset(): boolean {
    return false;
  }

  /** Removes the namespaces, and with them all their links. */
  close(): void {
    for (const namespace of this.#namespaces.splice(0)) ip("netns", "delete", namespace);
  }

  #join(pid: number): void {
    const own = this.#add(String(pid));
    const port = portOf(pid);
    ip("link", "add", "eth0", "netns", own, "type", "veth", "peer", "name", port, "netns", this.#router);
    ip("-n", this.#router, "address", "add", `${gateway(pid)}/24`, "dev", port);
    ip("-n", this.#router, "link", "set", port, "up");
    ip("-n", own, "address", "add", `${host(pid)}/24`, "dev", "eth0");
    ip("-n", own, "link", "set", "eth0", "up");
    ip("-n", own, "link", "set", "lo", "up");
    ip("-n", own, "route", "add", "default", "via", gateway(pid));
  }

  #add(part: string): string {
    const namespace = `${this.#name}-${part}`;
    ip("netns", "add", namespace);
    this.#namespaces.push(namespace);
    return namespace;
  }
}

const portOf = (pid: number): string => `port${pid}`;
const host = (pid: number): string => `10.53.${pid}.2`;
const gateway = (pid: number): string => `10.53.${pid}.1`;
const priorityOf = (from: number, to: number): number => 100 + 10 * from + to;

/** Namespaces of a run that was killed before it could remove them. */
function removeLeftOvers(): void {
  const listed = Bun.spawnSync({ cmd: ["ip", "netns", "list"] }).stdout.toString();
  for (const line of listed.split("\n")) {
    const [namespace = ""] = line.split(" ");
    const owner = new RegExp(`^${namePrefix}(\\d+)-`).exec(namespace)?.[1];
    if (owner !== undefined && !isAlive(Number(owner))) ip("netns", "delete", namespace);
  }
}
