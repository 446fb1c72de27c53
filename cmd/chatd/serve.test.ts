/** `chatd serve` as a process: what it prints where, how it ends, and what a second one is told. */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DataDirectoryError } from "../../lib/io/data-directory.ts";
import { DiskError } from "../../lib/log/disk.ts";
import { explain, statusOf } from "./serve-failure.ts";
import { nextIncarnation, saveIncarnation } from "./incarnation.ts";

// Real sockets, disks or threads on a busy machine: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

const directory = mkdtempSync(join(tmpdir(), "chatd-serve-"));
const running = new Set<Bun.Subprocess>();
afterAll(() => {
  for (const child of running) child.kill("SIGKILL");
  rmSync(directory, { recursive: true, force: true });
});

function freePort(): number {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  listener.stop(true);
  return listener.port;
}

/** A replica in a process of its own, run from the source. */
class Serve {
  output = "";
  errors = "";
  readonly child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly #read: Promise<unknown>;

  constructor(words: readonly string[], environment: Record<string, string> = {}) {
    const cmd = [process.execPath, join(import.meta.dir, "main.ts"), "serve", ...words];
    const env = { ...process.env, ...environment };
    this.child = Bun.spawn({ cmd, env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
    running.add(this.child);
    this.#read = Promise.all([
      this.#collect(this.child.stdout, (text) => (this.output += text)),
      this.#collect(this.child.stderr, (text) => (this.errors += text)),
    ]);
  }

  async #collect(stream: ReadableStream<Uint8Array>, take: (text: string) => void): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) take(decoder.decode(chunk, { stream: true }));
  }

  async says(pattern: RegExp): Promise<void> {
    const deadline = performance.now() + 20_000;
    while (!pattern.test(this.output + this.errors)) {
      if (performance.now() > deadline || this.child.exitCode !== null) {
        throw new Error(`it never said ${pattern}, but:\n${this.output}${this.errors}`);
      }
      await Bun.sleep(5);
    }
  }

  /** Its exit status, once everything it said has been read. */
  async ended(): Promise<number> {
    const status = await this.child.exited;
    running.delete(this.child);
    await this.#read;
    return status;
  }

  get lastError(): string {
    return this.errors.trimEnd().split("\n").at(-1) ?? "";
  }
}

const alone = (name: string, port: number, ...more: string[]): string[] => [
  ...["--pid", "1", "--peers", `1=127.0.0.1:${port}`, "--data", join(directory, name)],
  ...more,
];

describe("a replica", () => {
  test("prints its ready line alone on stdout, and ends in good order however often it is told to", async () => {
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
      const port = freePort();
      const serve = new Serve(alone(`signal-${signal}`, port));
      await serve.says(/^ready /m);
      serve.child.kill(signal);
      serve.child.kill(signal);
      serve.child.kill("SIGTERM");
      expect(await serve.ended()).toBe(0);
      expect(serve.output).toBe(`ready pid=1 view=1.1 role=primary listen=127.0.0.1:${port}\n`);
      expect(serve.errors).toContain("stopping");
    }
  });

  test("says for whom it waits, as JSON where that is wanted, and ends while it waits", async () => {
    const [one, two] = [freePort(), freePort()];
    const peers = `1=127.0.0.1:${one},2=127.0.0.1:${two}`;
    const environment = { CHATD_PID: "2", CHATD_PEERS: peers, CHATD_DATA: join(directory, "waiting") };
    const serve = new Serve(["--log-format", "json"], environment);
    await serve.says(/waiting for replica 1/);
    serve.child.kill("SIGTERM");
    expect(await serve.ended()).toBe(0);
    expect(serve.output).toBe("");
    const lines = serve.errors
      .trimEnd()
      .split("\n")
      .map((line): unknown => JSON.parse(line));
    expect(lines).toContainEqual({
      at: expect.any(String),
      level: "info",
      pid: 2,
      message: "waiting for replica 1 to found the cluster",
    });
  });

  test("goes on when nobody reads what it says any more", async () => {
    const port = freePort();
    const words = alone("unread", port, "--log-level", "debug");
    const cmd = [process.execPath, join(import.meta.dir, "main.ts"), "serve", ...words];
    const child = Bun.spawn({ cmd, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
    running.add(child);
    const output = child.stdout.getReader();
    await output.read();
    await output.cancel();
    await child.stderr.cancel();
    // Each of these is worth a line.
    for (let at = 0; at < 20; at++) {
      const gone = Promise.withResolvers<void>();
      const socket = { data() {}, end: (ending: Bun.Socket) => void ending.end(), close: () => gone.resolve() };
      const connection = await Bun.connect({ hostname: "127.0.0.1", port, socket });
      connection.write("hello?");
      await gone.promise;
    }
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
    running.delete(child);
  });

  test("warns of plain connections beyond loopback once, and not when told that this is known", async () => {
    const port = freePort();
    const peers = ["--pid", "1", "--peers", `1=127.0.0.1:${port}`, "--listen", `0.0.0.0:${port}`];
    for (const [name, flags, warns] of [
      ["plain", [], true],
      ["known", ["--insecure"], false],
    ] as const) {
      const serve = new Serve([...peers, "--data", join(directory, name), ...flags]);
      await serve.says(/^ready /m);
      serve.child.kill("SIGTERM");
      expect(await serve.ended()).toBe(0);
      expect(serve.errors.includes("are not encrypted")).toBe(warns);
      expect(serve.output).toContain(`listen=0.0.0.0:${port}`);
    }
  });
});

describe("a replica that cannot start", () => {
  test("for its port: exit 1, with the address and what to do", async () => {
    const port = freePort();
    const holder = Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } });
    const serve = new Serve(alone("port", port));
    expect(await serve.ended()).toBe(1);
    expect(serve.lastError).toBe(
      `chatd: cannot listen on 127.0.0.1:${port}: the port is in use: end what uses it, or give this replica another address (--peers, --listen)`,
    );
    holder.stop(true);
  });

  test("for its address: exit 1", async () => {
    const serve = new Serve(["--pid", "1", "--peers", "1=203.0.113.1:1538", "--data", join(directory, "address")]);
    expect(await serve.ended()).toBe(1);
    expect(serve.lastError).toContain("cannot listen on 203.0.113.1:1538: this machine has no such address");
  });

  test("for its directory: exit 73, naming it", async () => {
    const port = freePort();
    const first = new Serve(alone("held", port));
    await first.says(/^ready /m);
    const second = new Serve(alone("held", port));
    expect(await second.ended()).toBe(73);
    expect(second.lastError).toContain(
      `${join(directory, "held")} is in use by another chatd (process ${first.child.pid})`,
    );
    first.child.kill("SIGTERM");
    expect(await first.ended()).toBe(0);
    // Its own again, now that the lock is free; but not as another cluster's.
    const foreign = new Serve(alone("held", freePort()));
    expect(await foreign.ended()).toBe(73);
    expect(foreign.lastError).toContain(join(directory, "held"));
    const state = new Serve(alone("broken", port));
    await state.says(/^ready /m);
    state.child.kill("SIGTERM");
    await state.ended();
    await Bun.write(join(directory, "broken", "state.sqlite"), "this is no database, and long enough to be sure of it");
    const broken = new Serve(alone("broken", port));
    expect([73, 74]).toContain(await broken.ended());
    expect(broken.lastError).toContain(join(directory, "broken"));
  });

  test("for its policy: exit 64, with the one the cluster was founded with", async () => {
    const port = freePort();
    const founding = new Serve(alone("policy", port, "--policy", "quorum"));
    await founding.says(/^ready /m);
    founding.child.kill("SIGTERM");
    await founding.ended();
    const other = new Serve(alone("policy", port));
    expect(await other.ended()).toBe(64);
    expect(other.lastError).toContain("founded with the policy quorum");
  });

  test("for the address in --peers, when the others look for it elsewhere: exit 64, before it goes on alone", async () => {
    const [one, two, elsewhere] = [freePort(), freePort(), freePort()];
    const serve = (pid: number, address: string): Serve => {
      const peers = `1=127.0.0.1:${one},2=${address}`;
      return new Serve(["--pid", `${pid}`, "--peers", peers, "--data", join(directory, `moved-${pid}`)]);
    };
    const stopped = async (replica: Serve): Promise<void> => {
      replica.child.kill("SIGTERM");
      expect(await replica.ended()).toBe(0);
    };
    const founders = [serve(1, `127.0.0.1:${two}`), serve(2, `127.0.0.1:${two}`)] as const;
    for (const founder of founders) await founder.says(/^ready /m);
    await stopped(founders[1]);
    const moved = serve(2, `127.0.0.1:${elsewhere}`);
    expect(await moved.ended()).toBe(64);
    expect(moved.output).toBe("");
    expect(moved.lastError).toContain(
      `--peers says that replica 2 is at 127.0.0.1:${elsewhere}, but the cluster at 127.0.0.1:${one} looks for it at ` +
        `127.0.0.1:${two}: start it with 2=127.0.0.1:${two}`,
    );
    // Another name of the same place is as good.
    const renamed = serve(2, `localhost:${two}`);
    await renamed.says(/^ready /m);
    await Bun.sleep(1500);
    await stopped(renamed);
    await stopped(founders[0]);
  }, 120_000);

  test("with a log of which nothing can be read keeps it, though another cluster is found where its peers were", async () => {
    const [one, two] = [freePort(), freePort()];
    const peers = `1=127.0.0.1:${one},2=127.0.0.1:${two}`;
    const serve = (pid: number, among: string, name: string): Serve =>
      new Serve(["--pid", `${pid}`, "--peers", among, "--data", join(directory, name)]);
    const stopped = async (replica: Serve): Promise<void> => {
      replica.child.kill("SIGTERM");
      expect(await replica.ended()).toBe(0);
    };
    const founders = [serve(1, peers, "unread-1"), serve(2, peers, "unread-2")];
    for (const founder of founders) await founder.says(/^ready /m);
    for (const founder of founders) await stopped(founder);
    const file = join(directory, "unread-1", "log", "00000001.wal");
    const bytes = new Uint8Array(await Bun.file(file).arrayBuffer());
    // What stands in the first entry, on which all others follow.
    const at = Buffer.from(bytes).indexOf(`127.0.0.1:${one}`);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    await Bun.write(file, bytes);
    const other = serve(2, `2=127.0.0.1:${two}`, "unread-other");
    await other.says(/^ready /m);
    const damaged = serve(1, peers, "unread-1");
    await damaged.says(/00000001\.wal is damaged at \d+ .*from index 1 on/);
    await Bun.sleep(2500);
    await stopped(damaged);
    await stopped(other);
    expect(damaged.errors).not.toContain("joining");
    expect(Buffer.from(await Bun.file(file).arrayBuffer()).indexOf(`127.0.0.1:${two}`)).toBeGreaterThan(0);
  });

  test("for damage in its log that no other replica can repair: exit 74, naming file, offset and index", async () => {
    const port = freePort();
    const first = new Serve(alone("damaged", port));
    await first.says(/^ready /m);
    first.child.kill("SIGTERM");
    await first.ended();
    const file = join(directory, "damaged", "log", "00000001.wal");
    const bytes = new Uint8Array(await Bun.file(file).arrayBuffer());
    bytes[240] = (bytes[240] ?? 0) ^ 1;
    await Bun.write(file, bytes);
    const damaged = new Serve(alone("damaged", port));
    expect(await damaged.ended()).toBe(74);
    expect(damaged.lastError).toMatch(/00000001\.wal is damaged at \d+ .*from index \d+ on.*inspect-log/);
    expect(new Uint8Array(await Bun.file(file).arrayBuffer())).toEqual(bytes);
  });
});

test("files that this user may not use are not a failing disk: 73, and not 74", () => {
  const settings = { data: "/data", pid: 1 };
  const denied = new DiskError("cannot open /data/log/00000001.wal: EACCES: permission denied, open");
  expect(statusOf(denied)).toBe(73);
  expect(explain(denied, settings)).toMatchObject({
    status: 73,
    message: `${denied.message}; make it readable and writable for this user`,
  });
  expect(statusOf(new DiskError("cannot write /data/log/00000001.wal: ENOSPC: no space left on device, write"))).toBe(
    74,
  );
});

test("a disk that fails or is full where the data directory is made ready is 74, and not 73", () => {
  const of = (what: string): DataDirectoryError =>
    new DataDirectoryError(`cannot use the data directory /data: ${what}`);
  expect(statusOf(of("EIO: i/o error, fsync; have its disk looked at"))).toBe(74);
  expect(statusOf(of("ENOSPC: no space left on device, write; make room there"))).toBe(74);
  expect(statusOf(of("EACCES: permission denied, open"))).toBe(73);
});

test("files of the state that cannot be made ready end it with what and where", async () => {
  const port = freePort();
  const first = new Serve(alone("unready", port));
  await first.says(/^ready /m);
  first.child.kill("SIGTERM");
  await first.ended();
  const inTheWay = join(directory, "unready", "received.sqlite");
  await Bun.write(join(inTheWay, "file"), "");
  const unready = new Serve(alone("unready", port));
  expect(await unready.ended()).toBe(74);
  expect(unready.lastError).toContain(`cannot prepare the state ${join(directory, "unready", "state.sqlite")}: `);
});

test("each process of a replica has a greater number than the one before, whatever the clock says", () => {
  const file = join(directory, "incarnation");
  expect(nextIncarnation(file, 5000.7)).toBe(5000);
  saveIncarnation(file, 5000);
  expect(nextIncarnation(file, 4000)).toBe(5001);
  expect(nextIncarnation(file, 6000)).toBe(6000);
  expect(() => saveIncarnation(join(directory, "nowhere", "incarnation"), 1)).toThrow("cannot write");
});
