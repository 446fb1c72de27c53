/**
 * Tells "connection refused" (the host lives, nothing listens) from every other failure to connect. `Bun.connect` and
 * `node:net` report all of them as ECONNREFUSED, an unplugged network included, and the difference matters: a refusal is
 * evidence that a replica's process is gone. So the attempt is repeated through libc, whose error is the kernel's own.
 */
import { dlopen, FFIType, ptr, read } from "bun:ffi";
import { isLoopback } from "../base/address.ts";

const { i32, u32, u64 } = FFIType;
const address = FFIType.ptr;

/** How long a repeated attempt may take, and how often it is looked at. */
const waitMs = 200;
const lookMs = 2;

/** Linux on every architecture that Bun runs on. */
const afInet = 2;
const afInet6 = 10;
const sockStreamNonblockingCloexec = 1 | 0o4000 | 0o2000000;
const solSocket = 1;
const soError = 4;
const pollOut = 4;
const econnrefused = 111;
const einprogress = 115;

const openLibc = (name: string) =>
  dlopen(name, {
    socket: { args: [i32, i32, i32], returns: i32 },
    connect: { args: [i32, address, u32], returns: i32 },
    poll: { args: [address, u64, i32], returns: i32 },
    getsockopt: { args: [i32, i32, i32, address, address], returns: i32 },
    close: { args: [i32], returns: i32 },
    __errno_location: { args: [], returns: address },
  }).symbols;

type Libc = ReturnType<typeof openLibc>;
let opened: Libc | null | undefined;

/** Null where there is no such libc: then only loopback addresses are ever taken to refuse. */
function libc(): Libc | null {
  if (opened !== undefined) return opened;
  opened = null;
  if (process.platform !== "linux") return null;
  for (const name of ["libc.so.6", `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`]) {
    try {
      opened = openLibc(name);
      break;
    } catch {
      // The other libc, then.
    }
  }
  return opened;
}

/** Asked after a connection to `host:port` has failed. False whenever it is not certain. */
export async function isRefused(host: string, port: number): Promise<boolean> {
  // Without the kernel's word: on the way to oneself hardly anything else can go wrong.
  if (libc() === null) return isLoopback(host);
  try {
    const found =
      /^[\d.]+$/.test(host) || host.includes(":") ? [host] : (await Bun.dns.lookup(host)).map((each) => each.address);
    const verdicts = await Promise.all(found.map((each) => refuses(each, port)));
    return verdicts.length > 0 && !verdicts.includes(false);
  } catch {
    return false;
  }
}

async function refuses(host: string, port: number): Promise<boolean> {
  const system = libc();
  const target = socketAddress(host, port);
  if (system === null || target === null) return false;
  const socket = system.socket(target.family, sockStreamNonblockingCloexec, 0);
  if (socket < 0) return false;
  try {
    if (system.connect(socket, ptr(target.bytes), target.bytes.length) === 0) return false;
    const location = system.__errno_location();
    const errno = location === null ? 0 : read.i32(location, 0);
    if (errno !== einprogress) return errno === econnrefused;
    return (await outcome(system, socket)) === econnrefused;
  } finally {
    system.close(socket);
  }
}

/** The error with which a connection attempt under way ends; 0 when it succeeds or takes too long. */
async function outcome(system: Libc, socket: number): Promise<number> {
  const asked = new Uint8Array(8);
  new DataView(asked.buffer).setInt32(0, socket, true);
  asked[4] = pollOut;
  const error = new Int32Array(1);
  const length = new Uint32Array([error.byteLength]);
  for (let waitedMs = 0; waitedMs <= waitMs; waitedMs += lookMs) {
    if (system.poll(ptr(asked), 1n, 0) > 0) {
      return system.getsockopt(socket, solSocket, soError, ptr(error), ptr(length)) === 0 ? (error[0] ?? 0) : 0;
    }
    await Bun.sleep(lookMs);
  }
  return 0;
}

/** `struct sockaddr_in` or `sockaddr_in6`; null for what is no literal address (a scoped IPv6 address included). */
function socketAddress(host: string, port: number): { family: number; bytes: Uint8Array } | null {
  const family = host.includes(":") ? afInet6 : afInet;
  const octets = family === afInet6 ? ipv6Octets(host) : host.split(".").map(Number);
  if (octets === null || octets.length !== (family === afInet6 ? 16 : 4)) return null;
  if (octets.some((octet) => !(octet >= 0 && octet <= 255))) return null;
  const bytes = new Uint8Array(family === afInet6 ? 28 : 16);
  const fields = new DataView(bytes.buffer);
  fields.setUint16(0, family, true);
  fields.setUint16(2, port);
  bytes.set(octets, family === afInet6 ? 8 : 4);
  return { family, bytes };
}

function ipv6Octets(host: string): number[] | null {
  const [head = "", tail, more] = host.split("::");
  if (more !== undefined || host.includes(".") || host.includes("%")) return null;
  const groups = (text: string): string[] => (text === "" ? [] : text.split(":"));
  const before = groups(head);
  const after = groups(tail ?? "");
  const missing = 8 - before.length - after.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return null;
  const all = [...before, ...Array.from({ length: missing }, () => "0"), ...after].map((group) => parseInt(group, 16));
  return all.flatMap((group) => [group >> 8, group & 255]);
}
