/** What `chatd` says and how it exits when it is used wrongly; and that a running cluster does not mind hostile input. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { limits } from "../../lib/base/limits.ts";
import { decodeFrame, encodeFrame } from "../../lib/protocol/codec.ts";
import { FrameReader } from "../../lib/protocol/frame-reader.ts";
import { protocolMagic, type Frame } from "../../lib/protocol/messages.ts";
import { ensureBuilt, executable } from "../tasks/build.ts";
import { Cluster } from "./cluster.ts";
import { clientAt } from "./inquiry.ts";
import { freePorts } from "./ports.ts";

// Real processes: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

let directory = "";
let cluster: Cluster;

beforeAll(async () => {
  await ensureBuilt();
  directory = await mkdtemp(join(tmpdir(), "chatd-bad-input-"));
  cluster = Cluster.inDirectory(directory);
  await cluster.start();
});
afterAll(async () => {
  await cluster.close();
  await rm(directory, { recursive: true, force: true });
});

/** Runs the executable to its end; one that does not end by itself within 10 s is killed and has no exit code. */
async function chatd(words: readonly string[], input = "") {
  const child = Bun.spawn({ cmd: [executable, ...words], stdin: Buffer.from(input), stdout: "pipe", stderr: "pipe" });
  const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
  const [output, errors] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  await child.exited;
  clearTimeout(timer);
  return { exitCode: child.exitCode, output, errors };
}

const lastLine = (text: string): string => text.trimEnd().split("\n").at(-1) ?? "";

describe("serve refuses", () => {
  const usage: [what: string, words: string[], says: RegExp][] = [
    ["no --pid", [], /pid/],
    ["a pid that is none", ["--pid", "0"], /pid/],
    ["a pid above 255", ["--pid", "256"], /255/],
    ["a pid that is not among the peers", ["--pid", "4"], /4/],
    ["malformed peers", ["--pid", "1", "--peers", "1=here,2=there:99999"], /peers/],
    ["a duplicate pid", ["--pid", "1", "--peers", "1=127.0.0.1:1538,1=127.0.0.1:2538"], /1/],
    ["a duplicate address", ["--pid", "1", "--peers", "1=127.0.0.1:1538,2=127.0.0.1:1538"], /127\.0\.0\.1:1538/],
    ["an unknown flag", ["--pid", "1", "--pears", "1=127.0.0.1:1538"], /did you mean --peers/i],
    ["an unknown policy", ["--pid", "1", "--policy", "both"], /policy/],
    ["a word too many", ["--pid", "1", "now"], /now|argument/],
  ];
  test.each(usage)("%s: exit 64", async (_what, words, says) => {
    const { exitCode, output, errors } = await chatd(["serve", "--data", join(directory, "unused"), ...words]);
    expect({ exitCode, output }).toEqual({ exitCode: 64, output: "" });
    expect(errors).toMatch(says);
    expect(errors).not.toMatch(/\n\s+at /);
  });

  test("a port in use: exit 1 at once, naming it", async () => {
    const { address } = cluster.place(1);
    const words = ["serve", "--pid", "1", "--peers", `1=${address}`, "--data", join(directory, "other")];
    const { exitCode, errors } = await chatd(words);
    expect(exitCode).toBe(1);
    expect(errors).toContain(address);
  });

  test("a data directory that another one uses: exit 73, naming it", async () => {
    const { dataDirectory } = cluster.place(1);
    const words = cluster.serveCommand(1).slice(1);
    const { exitCode, errors } = await chatd(words);
    expect(exitCode).toBe(73);
    expect(lastLine(errors)).toContain(dataDirectory);
  });

  test("a data directory of another cluster: exit 73", async () => {
    const foreign = join(directory, "foreign");
    const [first = 0, second = 0] = freePorts(2);
    const words = (port: number): string[] => [
      "serve",
      "--pid",
      "1",
      "--peers",
      `1=127.0.0.1:${port}`,
      "--data",
      foreign,
    ];
    const child = Bun.spawn({ cmd: [executable, ...words(first)], stdout: "pipe", stderr: "ignore" });
    const reader = child.stdout.getReader();
    expect(new TextDecoder().decode((await reader.read()).value)).toContain("ready pid=1");
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
    const { exitCode, errors } = await chatd(words(second));
    expect(exitCode).toBe(73);
    expect(lastLine(errors)).toContain(foreign);
  });
});

describe("other commands refuse", () => {
  test("an unknown command, with a suggestion: exit 64", async () => {
    const { exitCode, errors } = await chatd(["serv"]);
    expect(exitCode).toBe(64);
    expect(errors).toMatch(/did you mean serve/i);
  });

  test("a directory without a log: exit 4", async () => {
    expect((await chatd(["inspect-log", join(directory, "nowhere")])).exitCode).toBe(4);
  });

  test("to chat where nobody serves: exit 69 without a session, by the JSON mode", async () => {
    const [port = 0] = freePorts(1);
    const words = ["chat", "--json", "--server", `127.0.0.1:${port}`, "--give-up-ms", "500"];
    const { exitCode, output } = await chatd(words, `{"do":"inbox","tag":"1"}\n`);
    expect(exitCode).toBe(69);
    expect(JSON.parse(output.split("\n")[0] ?? "")).toMatchObject({ event: "connection", state: "offline" });
  });

  test("nothing that asks for help: every level has examples, exit 0", async () => {
    for (const words of [["--help"], ["serve", "--help"], ["chat", "--help"], ["inspect-log", "--help"]]) {
      const { exitCode, output } = await chatd(words);
      expect({ words, exitCode }).toEqual({ words, exitCode: 0 });
      expect(output).toContain("Examples:");
    }
    expect((await chatd(["--version"])).output).toMatch(/^\D*\d+\.\d+\.\d+\n$/);
  });
});

describe("a replica closes, with a reason, and goes on after", () => {
  const version = limits.protocolVersion;
  const hello = encodeFrame({ type: "hello", magic: protocolMagic, version, software: "a test" });
  const framed = (...payload: number[]): Uint8Array => new Uint8Array([0, 0, 0, payload.length, ...payload]);

  const inputs: [what: string, bytes: Uint8Array][] = [
    ["a request before hello", encodeFrame({ type: "status", request: 1 })],
    ["an unknown version", encodeFrame({ type: "hello", magic: protocolMagic, version: 65_535, software: "a test" })],
    ["another protocol", new TextEncoder().encode("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")],
    ["a frame that is too long", Buffer.concat([hello, new Uint8Array([0xff, 0xff, 0xff, 0xff])])],
    ["what is not CBOR", Buffer.concat([hello, framed(0xff, 0xff)])],
    ["a frame of an unknown kind", Buffer.concat([hello, framed(0x81, 0x19, 0x03, 0xe7)])],
    ["a frame of the wrong shape", Buffer.concat([hello, framed(0x82, 0x18, 0x35, 0x61, 0x61)])],
    [
      "a frame that only servers send",
      Buffer.concat([hello, encodeFrame({ type: "inboxCount", request: 1, count: 1 })]),
    ],
  ];
  test.each(inputs)("%s", async (_what, bytes) => {
    const frames = await talk(bytes);
    const error = frames.at(-1);
    expect(error).toMatchObject({ type: "error", versionOldest: expect.any(Number), versionNewest: version });
    expect(error?.type === "error" && error.message.length).toBeGreaterThan(10);
    await expectServing();
  });

  test("nothing: half a frame and then the end of input", async () => {
    await talk(hello.subarray(0, 5), { end: true });
    await expectServing();
  });

  /** Sends bytes to replica 1; resolves with what it answered when it has closed the connection. */
  async function talk(bytes: Uint8Array, options: { end?: boolean } = {}): Promise<Frame[]> {
    const frames: Frame[] = [];
    const reader = new FrameReader(() => limits.replicaFrameBytesMax);
    const closed = Promise.withResolvers<void>();
    const [hostname = "", port = ""] = cluster.place(1).address.split(":");
    const socket = await Bun.connect({
      hostname,
      port: Number(port),
      socket: {
        data: (_socket, chunk) => reader.push(chunk, (payload) => frames.push(decodeFrame(payload))),
        end: (ending) => void ending.end(),
        close: () => closed.resolve(),
      },
    });
    socket.write(bytes);
    if (options.end) socket.end();
    await closed.promise;
    return frames;
  }

  async function expectServing(): Promise<void> {
    const client = clientAt(cluster, 1);
    expect(await client.must({ do: "status" })).toMatchObject({ replica: 1, copies: 3 });
    expect(await client.end()).toBe(0);
  }
});
