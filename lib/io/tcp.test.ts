/** Real TCP: the contract of every transport, and what only real sockets do (half-open ends, slow readers, silence). */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { networkInterfaces } from "node:os";
import { createServer, connect as nodeConnect, type Server, type Socket } from "node:net";
import { transportContract } from "../base/transport.contract.ts";
import { ConnectError, type Connection } from "../base/transport.ts";
import { isRefused } from "./refusal.ts";
import { ListenError, tcpTransport } from "./tcp.ts";

// Real sockets, disks or threads on a busy machine: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

const host = "127.0.0.1";

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error("waited 20 s in vain");
    await Bun.sleep(1);
  }
}

/** A port that was free a moment ago. */
function deadPort(): number {
  const listener = Bun.listen({ hostname: host, port: 0, socket: { data() {} } });
  listener.stop(true);
  return listener.port;
}

test("what is too many is closed at once, and said once; when others go there is room again", async () => {
  let fullCount = 0;
  const transport = tcpTransport({ acceptedMax: 2, full: () => fullCount++ });
  const taken = new Set<Connection>();
  const listener = await transport.listen(host, 0, (connection) => {
    taken.add(connection);
    return { data() {}, closed: () => void taken.delete(connection) };
  });
  const dial = async (): Promise<{ connection: Connection; isOver: boolean }> => {
    const end = { isOver: false };
    const handlers = { data() {}, closed: () => void (end.isOver = true) };
    const connection = await transport.connect(host, listener.port, 5_000, () => handlers);
    return Object.assign(end, { connection });
  };
  const [first, second] = [await dial(), await dial()];
  await until(() => taken.size === 2);
  const more = [await dial(), await dial()];
  await until(() => more.every(({ isOver }) => isOver));
  expect([first.isOver, second.isOver, taken.size, fullCount]).toEqual([false, false, 2, 1]);
  first.connection.terminate();
  await until(() => taken.size === 1);
  const next = await dial();
  await until(() => taken.size === 2);
  expect(next.isOver).toBe(false);
  for (const { connection } of [second, next]) connection.terminate();
  listener.stop();
});

transportContract("TCP", () => ({
  transport: tcpTransport(),
  host,
  port: () => 0,
  deadPort,
  until,
  backPressure: true,
}));

interface Seen {
  connection: Connection | null;
  text: string;
  closed: string | null;
  ended: boolean | undefined;
  overflowed: boolean | undefined;
}

function recorder() {
  const seen: Seen = { connection: null, text: "", closed: null, ended: undefined, overflowed: undefined };
  const attach = (connection: Connection) => {
    seen.connection = connection;
    return {
      data: (chunk: Uint8Array) => void (seen.text += Buffer.from(chunk).toString()),
      closed: (reason: string, ended?: boolean, overflowed?: boolean) => {
        expect(seen.closed).toBeNull();
        seen.closed = reason;
        seen.ended = ended;
        seen.overflowed = overflowed;
      },
    };
  };
  return { seen, attach };
}

const servers: Server[] = [];
afterAll(() => {
  for (const server of servers) server.close();
});

/** A server of plain sockets, to see what really goes over the wire. */
function plainServer(accept: (socket: Socket) => void): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, accept);
  servers.push(server);
  return new Promise((resolve) =>
    server.listen(0, host, () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : 0);
    }),
  );
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("a TCP connection", () => {
  test("sends what is queued to a side that has ended, and says that it ended in good order", async () => {
    const { seen, attach } = recorder();
    const big = "x".repeat(4 * 1024 * 1024);
    const listener = await tcpTransport().listen(host, 0, (connection) => {
      const handlers = attach(connection);
      connection.send(utf8(big));
      return handlers;
    });
    let received = 0;
    let over = false;
    const socket = nodeConnect({ host, port: listener.port, allowHalfOpen: true });
    socket.on("data", (chunk) => void (received += chunk.length)).on("end", () => void (over = true));
    socket.pause();
    socket.end("that is all");
    await until(() => seen.text === "that is all");
    socket.resume();
    await until(() => over && seen.closed !== null);
    expect(received).toBe(big.length);
    expect(seen.ended).toBeTrue();
    expect(seen.closed).toBe("closed by the other side");
    listener.stop();
  });

  test("tells a reset from an end", async () => {
    const { seen, attach } = recorder();
    const listener = await tcpTransport().listen(host, 0, attach);
    const socket = nodeConnect({ host, port: listener.port });
    await until(() => seen.connection !== null);
    socket.resetAndDestroy();
    await until(() => seen.closed !== null);
    expect(seen.ended).not.toBe(true);
    listener.stop();
  });

  test("does not reset what it has sent when it closes with unread input", async () => {
    let text = "";
    let error: Error | null = null;
    let over = false;
    const listener = await tcpTransport().listen(host, 0, (connection) => ({
      data() {
        connection.send(utf8("this is why"));
        connection.close();
      },
      closed() {},
    }));
    const socket = nodeConnect({ host, port: listener.port });
    socket.on("data", (chunk) => void (text += chunk.toString()));
    socket.on("end", () => void (over = true)).on("error", (reason) => void (error = reason));
    for (let at = 0; at < 50; at++) socket.write(Buffer.alloc(50_000));
    await until(() => over || error !== null);
    expect(error).toBeNull();
    expect(text).toBe("this is why");
    socket.destroy();
    listener.stop();
  });

  test("gives up closing towards a side that never reads", async () => {
    const { seen, attach } = recorder();
    const port = await plainServer((socket) => socket.pause().on("error", () => {}));
    const connection = await tcpTransport({ lingerMs: 50 }).connect(host, port, 1000, attach);
    connection.send(new Uint8Array(12 * 1024 * 1024));
    connection.close();
    await until(() => seen.closed !== null);
    expect(seen.closed).toBe("closed here");
  });

  test("gives up closing towards a side that never ends", async () => {
    const { seen, attach } = recorder();
    const port = await plainServer((socket) => socket.resume().on("error", () => {}));
    const connection = await tcpTransport({ lingerMs: 50 }).connect(host, port, 1000, attach);
    connection.close();
    await until(() => seen.closed !== null);
    expect(seen.closed).toBe("closed here");
  });

  test("disconnects a reader that does not keep up, and not within the sender's call", async () => {
    const { seen, attach } = recorder();
    const port = await plainServer((socket) => socket.pause().on("error", () => {}));
    const connection = await tcpTransport({ queueBytesMax: 1024 * 1024 }).connect(host, port, 1000, attach);
    for (let at = 0; at < 40 && seen.closed === null; at++) {
      connection.send(new Uint8Array(512 * 1024));
      if (at < 39) expect(seen.closed).toBeNull();
      await Bun.sleep(0);
    }
    await until(() => seen.closed !== null);
    expect(seen.closed).toContain("reads too slowly");
    expect(seen.overflowed).toBeTrue();
    expect(connection.queuedBytes).toBe(0);
  });

  test("keeps nothing of what the system has taken, however long its queue does not empty", async () => {
    const { seen, attach } = recorder();
    const listener = await tcpTransport().listen(host, 0, attach);
    const socket = nodeConnect({ host, port: listener.port });
    socket.on("data", () => void socket.pause()).pause();
    await until(() => seen.connection !== null);
    const chunkBytes = 1024 * 1024;
    const sent: WeakRef<Uint8Array>[] = [];
    const fill = (): void => {
      while ((seen.connection?.queuedBytes ?? Infinity) < 12 * chunkBytes) {
        const chunk = new Uint8Array(chunkBytes);
        sent.push(new WeakRef(chunk));
        seen.connection?.send(chunk);
      }
    };
    // Read by little: at every moment something is still queued.
    while (sent.length < 100) {
      fill();
      socket.resume();
      await Bun.sleep(0);
      expect(seen.connection?.queuedBytes).toBeGreaterThan(0);
    }
    Bun.gc(true);
    expect(sent.filter((chunk) => chunk.deref() !== undefined).length).toBeLessThan(30);
    socket.destroy();
    listener.stop();
  });

  test("knows its own machine, by whichever of its addresses that was reached", async () => {
    const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
    const own = addresses.filter(({ scopeid }) => scopeid === undefined || scopeid === 0).map(({ address }) => address);
    for (const address of own) {
      const { seen, attach } = recorder();
      const listener = await tcpTransport().listen(address, 0, attach);
      const socket = nodeConnect({ host: address, port: listener.port });
      await until(() => seen.connection !== null);
      expect([address, seen.connection?.isLocal]).toEqual([address, true]);
      socket.destroy();
      listener.stop();
    }
  });

  test("tells of its end also when it has ended before it was accepted", async () => {
    const { seen, attach } = recorder();
    const listener = await tcpTransport().listen(host, 0, (connection) => {
      const handlers = attach(connection);
      connection.send(utf8("too many"));
      connection.close();
      // What closing comes to when the other side has reset it meanwhile.
      connection.terminate();
      return handlers;
    });
    const socket = nodeConnect({ host, port: listener.port }).on("error", () => {});
    await until(() => seen.closed !== null);
    expect(seen.closed).toBe("closed here");
    socket.destroy();
    listener.stop();
  });

  test("writes all sends of a turn at once", async () => {
    const chunks: number[] = [];
    const port = await plainServer((socket) => socket.on("data", (chunk) => void chunks.push(chunk.length)));
    const connection = await tcpTransport().connect(host, port, 1000, recorder().attach);
    for (let at = 0; at < 100; at++) connection.send(utf8("0123456789"));
    await until(() => chunks.reduce((sum, length) => sum + length, 0) === 1000);
    expect(chunks).toEqual([1000]);
    connection.terminate();
  });
});

describe("connecting", () => {
  test("gives up after the time limit", async () => {
    // A listener whose queue of connections not accepted is full answers nothing; an address that is nobody's does not
    // either, where there is a network at all.
    const started = performance.now();
    const error: unknown = await tcpTransport()
      .connect("192.0.2.77", 9, 150, recorder().attach)
      .then((connection) => {
        connection.terminate();
        return null;
      })
      .catch((reason: unknown) => reason);
    // Some networks answer for everybody, others at once that there is no way: then there is nothing to wait for.
    if (error === null) return;
    expect(error).toBeInstanceOf(ConnectError);
    expect(error).toHaveProperty("refused", false);
    expect(performance.now() - started).toBeLessThan(2000);
  });

  test("says that a name is unknown", async () => {
    const error: unknown = await tcpTransport()
      .connect("no-such-host.invalid", 9, 5000, recorder().attach)
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ConnectError);
    expect(error).toHaveProperty("refused", false);
  });

  test("finds a listener on localhost by that name and by number", async () => {
    const { seen, attach } = recorder();
    const listener = await tcpTransport().listen("localhost", 0, attach);
    for (const name of ["localhost", "127.0.0.1"]) {
      const connection = await tcpTransport().connect(name, listener.port, 1000, recorder().attach);
      await until(() => seen.connection !== null);
      seen.connection = null;
      connection.terminate();
      await until(() => seen.closed !== null);
      seen.closed = null;
    }
    listener.stop();
  });
});

describe("a refusal", () => {
  test("is certain where nothing listens, and never assumed elsewhere", async () => {
    for (const name of [host, "::1", "localhost"]) expect(await isRefused(name, deadPort())).toBeTrue();
    const listener = await tcpTransport().listen(host, 0, recorder().attach);
    expect(await isRefused(host, listener.port)).toBeFalse();
    listener.stop();
    expect(await isRefused("no-such-host.invalid", 9)).toBeFalse();
    expect(await isRefused("2001:db8::1", 9)).toBeFalse();
    expect(await isRefused("0.0.0.0.0", 9)).toBeFalse();
  });

  test("is the kernel's word, not the absence of a network", async () => {
    const script = `import { isRefused } from ${JSON.stringify(`${import.meta.dir}/refusal.ts`)};
      console.log(await isRefused("10.1.2.3", 9), await isRefused("10.1.2.1", 9));`;
    // A namespace of its own: one address is its own and refuses, everything else is unreachable.
    const cmd = [
      "unshare",
      "-rn",
      "sh",
      "-c",
      `ip addr add 10.1.2.1/32 dev lo && ip link set lo up && exec "$0" -e "$1"`,
    ];
    const run = Bun.spawnSync({ cmd: [...cmd, process.execPath, script], stdout: "pipe", stderr: "pipe" });
    if (!run.success) return console.log("skipped: no network namespaces here");
    expect(run.stdout.toString().trim()).toBe("false true");
  });
});

test("an address that cannot be bound is named, with the reason as a code", async () => {
  const listener = await tcpTransport().listen(host, 0, recorder().attach);
  const inUse: unknown = await tcpTransport()
    .listen(host, listener.port, recorder().attach)
    .catch((reason: unknown) => reason);
  expect(inUse).toBeInstanceOf(ListenError);
  expect(inUse).toMatchObject({
    code: "in-use",
    message: `cannot listen on ${host}:${listener.port}: the port is in use`,
  });
  listener.stop();
  const notHere = tcpTransport().listen("203.0.113.9", 0, recorder().attach);
  await expect(notHere).rejects.toMatchObject({ code: "not-here" });
  const unknown = tcpTransport().listen("no.such.host.invalid", 1538, () => ({ data() {}, closed() {} }));
  await expect(unknown).rejects.toMatchObject({ code: "not-here" });
});
