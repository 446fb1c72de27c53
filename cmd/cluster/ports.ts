/** TCP ports of this machine: finding free ones, and who holds one that is taken. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/**
 * Ports of 127.0.0.1 that nobody listens on. Below the range from which systems take the ports of outgoing connections,
 * so that a killed replica finds its port free again.
 */
export function freePorts(count: number): number[] {
  const found = new Set<number>();
  while (found.size < count) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    if (!found.has(port) && isFree(port)) found.add(port);
  }
  return [...found];
}

function isFree(port: number): boolean {
  try {
    Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } }).stop(true);
    return true;
  } catch {
    return false;
  }
}

/** Whether somebody listens on this address. */
export async function isTaken(host: string, port: number): Promise<boolean> {
  try {
    const socket = await Bun.connect({ hostname: host, port, socket: { data() {} } });
    socket.terminate();
    return true;
  } catch {
    return false;
  }
}

/** The program that listens on a port, as `name (process 123)`; null where the system does not say. */
export function holderOf(port: number): string | null {
  try {
    const sockets = ["/proc/net/tcp", "/proc/net/tcp6"].flatMap((table) => listeningSockets(table, port));
    for (const id of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
      if (!sockets.some((socket) => hasOpen(id, socket))) continue;
      return `${readFileSync(`/proc/${id}/comm`, "utf8").trim()} (process ${id})`;
    }
  } catch {
    // No /proc, or not for us to read.
  }
  return null;
}

/** proc(5): local address in hexadecimal, state 0A is LISTEN, the tenth field is the inode of the socket. */
function listeningSockets(table: string, port: number): string[] {
  const lines = readFileSync(table, "utf8").trim().split("\n").slice(1);
  return lines
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === "0A" && Number.parseInt(fields[1]?.split(":")[1] ?? "", 16) === port)
    .map((fields) => `socket:[${fields[9]}]`);
}

function hasOpen(id: string, target: string): boolean {
  try {
    const directory = `/proc/${id}/fd`;
    return readdirSync(directory).some((descriptor) => readlinkSync(`${directory}/${descriptor}`) === target);
  } catch {
    return false;
  }
}
