/**
 * What every `Transport` must do, as one suite of tests: run against real TCP and against the simulated network. Knows
 * no implementation; time passes as the harness says.
 */
import { describe, expect, test } from "bun:test";
import { ConnectError, type Connection, type Listener, type Transport } from "./transport.ts";

export interface TransportHarness {
  readonly transport: Transport;
  readonly host: string;
  /** A port to listen on; 0 where the system picks a free one. */
  port(): number;
  /** A port where nothing listens. */
  deadPort(): number;
  /** Lets time pass until the condition holds; fails the test if it never does. */
  until(condition: () => boolean): Promise<void>;
  /** False where reading cannot be paused. */
  readonly backPressure: boolean;
}

/** One end of a connection, with all that it was told. */
class Recorder {
  connection: Connection | null = null;
  bytes = 0;
  chunks: Uint8Array[] = [];
  closed: string[] = [];
  ended: boolean | undefined;
  drained = 0;
  /** What to do with each chunk besides keeping it. */
  onData: (chunk: Uint8Array) => void = () => {};

  attach(connection: Connection) {
    this.connection = connection;
    return {
      data: (chunk: Uint8Array) => {
        this.bytes += chunk.length;
        this.chunks.push(chunk);
        this.onData(chunk);
      },
      closed: (reason: string, ended?: boolean) => {
        this.closed.push(reason);
        this.ended = ended;
      },
      drained: () => void this.drained++,
    };
  }

  get end(): Connection {
    if (this.connection === null) throw new Error("not connected yet");
    return this.connection;
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString();
  }
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Bytes that tell their place, so that a repeated, lost or swapped piece shows. */
function pattern(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const words = new Uint32Array(bytes.buffer, 0, Math.floor(length / 4));
  for (let at = 0; at < words.length; at++) words[at] = Math.imul(at + seed, 0x9e3779b1);
  return bytes;
}

export function transportContract(name: string, make: () => TransportHarness): void {
  describe(`${name} as a transport`, () => {
    interface Pair {
      readonly harness: TransportHarness;
      readonly server: Recorder;
      readonly client: Recorder;
      readonly listener: Listener;
    }

    /** Runs `body` on a fresh connection. */
    const connected = (body: (pair: Pair) => Promise<void>) => async (): Promise<void> => {
      const harness = make();
      const { transport, host, until } = harness;
      const server = new Recorder();
      const client = new Recorder();
      const listener = await transport.listen(host, harness.port(), (connection) => server.attach(connection));
      let failed: unknown = null;
      transport
        .connect(host, listener.port, 5000, (connection) => client.attach(connection))
        .catch((error: unknown) => {
          failed = error;
        });
      await until(() => failed !== null || (server.connection !== null && client.connection !== null));
      expect(failed).toBeNull();
      await body({ harness, server, client, listener });
      client.connection?.terminate();
      server.connection?.terminate();
      await until(() => client.closed.length > 0 && server.closed.length > 0);
      listener.stop();
      // Exactly once, whoever closed it.
      expect([client.closed.length, server.closed.length]).toEqual([1, 1]);
    };

    test(
      "carries bytes both ways and names the other end",
      connected(async ({ harness, server, client }) => {
        client.end.send(utf8("ping"));
        await harness.until(() => server.text === "ping");
        server.end.send(utf8("pong"));
        await harness.until(() => client.text === "pong");
        expect(client.end.remote.length).toBeGreaterThan(0);
        expect(server.end.remote.length).toBeGreaterThan(0);
      }),
    );

    test(
      "keeps 10,000 small sends in order",
      connected(async ({ harness, server, client }) => {
        let expected = "";
        for (let at = 0; at < 10_000; at++) {
          expected += `${at};`;
          client.end.send(utf8(`${at};`));
        }
        await harness.until(() => server.bytes >= expected.length);
        expect(server.text).toBe(expected);
      }),
    );

    test(
      "moves large amounts both ways at once, unharmed",
      connected(async ({ harness, server, client }) => {
        const up = pattern(6 * 1024 * 1024, 1);
        const down = pattern(7 * 1024 * 1024, 2);
        const piece = 100_003;
        for (let at = 0; at < down.length; at += piece) {
          if (at < up.length) client.end.send(up.slice(at, Math.min(at + piece, up.length)));
          server.end.send(down.slice(at, Math.min(at + piece, down.length)));
        }
        await harness.until(() => server.bytes === up.length && client.bytes === down.length);
        expect(Buffer.concat(server.chunks).equals(up)).toBeTrue();
        expect(Buffer.concat(client.chunks).equals(down)).toBeTrue();
        await harness.until(() => client.end.queuedBytes === 0 && server.end.queuedBytes === 0);
      }),
    );

    test(
      "delivers what was queued before close, then tells both",
      connected(async ({ harness, server, client }) => {
        const bytes = pattern(3 * 1024 * 1024, 3);
        client.end.send(bytes);
        client.end.close();
        client.end.send(utf8("too late"));
        await harness.until(() => client.closed.length > 0 && server.closed.length > 0);
        expect(Buffer.concat(server.chunks).equals(bytes)).toBeTrue();
      }),
    );

    test(
      "tells the other side after terminate, and takes no more",
      connected(async ({ harness, server, client }) => {
        client.end.terminate();
        client.end.send(utf8("lost"));
        client.end.close();
        client.end.terminate();
        await harness.until(() => server.closed.length > 0);
        expect(server.text).toBe("");
      }),
    );

    test("tells a refused connection from others", async () => {
      const harness = make();
      let error: unknown = null;
      harness.transport
        .connect(harness.host, harness.deadPort(), 2000, () => new Recorder().attach({} as Connection))
        .catch((reason: unknown) => {
          error = reason;
        });
      await harness.until(() => error !== null);
      expect(error).toBeInstanceOf(ConnectError);
      expect(error).toHaveProperty("refused", true);
    });

    test("refuses an address that is taken, and frees it when stopped", async () => {
      const harness = make();
      const { transport, host } = harness;
      const accept = (connection: Connection) => new Recorder().attach(connection);
      const first = await transport.listen(host, harness.port(), accept);
      const second = transport.listen(host, first.port, accept);
      await expect(second).rejects.toThrow(`${host}:${first.port}`);
      first.stop();
      const third = await transport.listen(host, first.port, accept);
      expect(third.port).toBe(first.port);
      third.stop();
    });

    test(
      "reads nothing while paused, and everything afterwards",
      connected(async ({ harness, server, client }) => {
        if (!harness.backPressure) return;
        const bytes = pattern(12 * 1024 * 1024, 4);
        server.end.pause();
        client.end.send(bytes);
        let turns = 0;
        // The system takes what it can hold; then the queue stands still.
        await harness.until(() => ++turns > 20);
        const before = server.bytes;
        expect(before).toBeLessThan(bytes.length);
        const drained = client.drained;
        expect(client.end.queuedBytes).toBeGreaterThan(0);
        server.end.resume();
        await harness.until(() => server.bytes === bytes.length);
        expect(Buffer.concat(server.chunks).equals(bytes)).toBeTrue();
        await harness.until(() => client.drained > drained && client.end.queuedBytes === 0);
      }),
    );

    test(
      "serves a flow that is paused and resumed at every chunk",
      connected(async ({ harness, server, client }) => {
        if (!harness.backPressure) return;
        const bytes = pattern(5 * 1024 * 1024, 5);
        let waiting = false;
        server.onData = () => {
          server.end.pause();
          waiting = true;
        };
        client.end.send(bytes);
        await harness.until(() => {
          if (waiting) {
            waiting = false;
            server.end.resume();
          }
          return server.bytes === bytes.length;
        });
        expect(Buffer.concat(server.chunks).equals(bytes)).toBeTrue();
      }),
    );
  });
}
