/**
 * Three network namespaces, each with an address of its own, joined by a bridge in a fourth: three machines as far as
 * TCP can tell. Nothing of it touches the machine's own network. Needs root and `ip` (iproute2).
 */
import { join } from "node:path";
import { isAlive } from "./ancestors.ts";
import { Cluster } from "./cluster.ts";

const namePrefix = "chatd-test-";
const replicaPort = 1538;

function ip(...words: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync({ cmd: ["ip", ...words] });
  if (exitCode !== 0) throw new Error(`ip ${words.join(" ")} exits ${exitCode}: ${stderr.toString().trim()}`);
}

/** Why namespaces cannot be made here; null when they can. */
export function namespacesMissing(): string | null {
  if (process.platform !== "linux") return "network namespaces exist on Linux only";
  if (Bun.which("ip") === null) return "the program ip (iproute2) is not installed";
  if (process.getuid?.() !== 0) return "making network namespaces takes root";
  try {
    new Network().close();
    return null;
  } catch (error) {
    return `this system makes no network namespaces: ${error instanceof Error ? error.message : String(error)}`;
  }
}

export class Network {
  static #made = 0;
  readonly #name = `${namePrefix}${process.pid}-${++Network.#made}`;
  readonly #namespaces: string[] = [];

  constructor() {
    removeLeftOvers();
    try {
      const hub = this.#add("hub");
      ip("-n", hub, "link", "add", "bridge0", "type", "bridge");
      ip("-n", hub, "link", "set", "bridge0", "up");
      for (const pid of [1, 2, 3]) {
        const own = this.#add(String(pid));
        ip("link", "add", "eth0", "netns", own, "type", "veth", "peer", "name", `port${pid}`, "netns", hub);
        ip("-n", hub, "link", "set", `port${pid}`, "master", "bridge0", "up");
        ip("-n", own, "address", "add", `${this.#host(pid)}/24`, "dev", "eth0");
        ip("-n", own, "link", "set", "eth0", "up");
        ip("-n", own, "link", "set", "lo", "up");
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** A cluster with one replica in each namespace; its clients run there too. */
  cluster(directory: string): Cluster {
    const places = [1, 2, 3].map((pid) => ({
      pid,
      address: `${this.#host(pid)}:${replicaPort}`,
      dataDirectory: join(directory, String(pid)),
      stderrFile: join(directory, `${pid}.log`),
      prefix: ["ip", "netns", "exec", `${this.#name}-${pid}`],
    }));
    return new Cluster(places, ["--insecure"]);
  }

  /** Removes the namespaces, and with them all their links. */
  close(): void {
    for (const namespace of this.#namespaces.splice(0)) ip("netns", "delete", namespace);
  }

  #host(pid: number): string {
    return `10.53.8.${pid}`;
  }

  #add(part: string): string {
    const namespace = `${this.#name}-${part}`;
    ip("netns", "add", namespace);
    this.#namespaces.push(namespace);
    return namespace;
  }
}

/** Namespaces of a run that was killed before it could remove them. */
function removeLeftOvers(): void {
  const listed = Bun.spawnSync({ cmd: ["ip", "netns", "list"] }).stdout.toString();
  for (const line of listed.split("\n")) {
    const [namespace = ""] = line.split(" ");
    const owner = new RegExp(`^${namePrefix}(\\d+)-`).exec(namespace)?.[1];
    if (owner !== undefined && !isAlive(Number(owner))) ip("netns", "delete", namespace);
  }
}
