/** Simulated streams keep the contract of every transport, and fail as TCP may. */
import { expect, test } from "bun:test";
import { transportContract } from "../base/transport.contract.ts";
import type { Connection, ConnectionHandlers, Listener, Transport } from "../base/transport.ts";
import { Random } from "./random.ts";
import { Simulator } from "./simulator.ts";
import { Streams, type Party, type StreamClient, type StreamHost } from "./streams.ts";
import { Trace } from "./trace.ts";

const atOnce = { turn: (action: () => void) => action() };
const quality = { delayMsMean: 1, pieceBytesMax: 60_000, systemBytes: 100_000, queueBytesMax: 1e9 };
type Accept = (connection: Connection) => ConnectionHandlers;

class World {
  readonly simulator: Simulator;
  readonly streams: Streams;
  readonly client: StreamClient = { number: 1, powered: true, party: atOnce, quality };
  readonly #listening = new Set<string>();

  constructor(seed: number) {
    this.simulator = new Simulator(new Random(seed), new Trace(0));
    this.streams = new Streams(this.simulator, new Random(seed + 1));
  }

  readonly transport: Transport = {
    listen: async (host, port, accept): Promise<Listener> => {
      const address = `${host}:${port}`;
      if (this.#listening.has(address)) throw new Error(`cannot listen on ${address}: it is in use`);
      this.#listening.add(address);
      this.host(address, accept);
      const stop = (): void => {
        this.#listening.delete(address);
        this.streams.add(address, { pid: 1, powered: true, listener: null });
      };
      return { host, port, stop };
    },
    connect: (host, port, timeoutMs, handlers) => {
      const address = `${host}:${port}`;
      if (!this.#listening.has(address)) this.streams.add(address, { pid: 1, powered: true, listener: null });
      return this.streams.connect(this.client, address, timeoutMs, handlers);
    },
  };

  host(address: string, accept: Accept): { powered: boolean; listener: StreamHost["listener"] & Party } {
    const host = { pid: 1, powered: true, listener: { ...atOnce, accept } };
    this.streams.add(address, host);
    return host;
  }

  /** Lets time pass; promises have their turn in between. */
  async run(forMs: number): Promise<void> {
    const endMs = this.simulator.nowMs + forMs;
    while (this.simulator.nowMs < endMs) {
      this.simulator.run(this.simulator.nowMs + 1);
      await Promise.resolve();
    }
  }
}

let seed = 1;
transportContract("simulated streams", () => {
  const world = new World(seed++);
  let port = 1000;
  return {
    transport: world.transport,
    host: "machine",
    port: () => port++,
    deadPort: () => 999,
    until: async (condition) => {
      for (let turn = 0; turn < 60_000 && !condition(); turn++) await world.run(1);
      expect(condition()).toBeTrue();
    },
    backPressure: true,
  };
});

/** A connection, and what each end has got. */
async function connected(world: World) {
  const told = { bytes: [] as number[], closed: [] as string[] };
  const served = { bytes: 0, closed: [] as string[] };
  let theirs: Connection | null = null;
  const host = world.host("machine:1", (connection) => {
    theirs = connection;
    return {
      data: (chunk) => void (served.bytes += chunk.length),
      closed: (reason) => void served.closed.push(reason),
    };
  });
  let ours: Connection | null = null;
  void world.streams
    .connect(world.client, "machine:1", 1000, () => ({
      data: (chunk) => void told.bytes.push(...chunk),
      closed: (reason) => void told.closed.push(reason),
    }))
    .then((connection) => {
      ours = connection;
    });
  await world.run(100);
  if (ours === null || theirs === null) throw new Error("not connected");
  return { host, told, served, ours: ours as Connection, theirs: theirs as Connection };
}

test("what a process had sent when it died arrives up to any byte, and nothing else", async () => {
  const lengths = new Set<number>();
  for (let each = 1; each <= 60; each++) {
    const world = new World(each);
    const { host, told, theirs } = await connected(world);
    theirs.send(Uint8Array.from([1, 2, 3, 4, 5]));
    world.streams.died(host.listener, true);
    await world.run(1000);
    expect(told.bytes).toEqual([1, 2, 3, 4, 5].slice(0, told.bytes.length));
    expect(told.closed.length).toBe(1);
    lengths.add(told.bytes.length);
  }
  expect(lengths).toEqual(new Set([0, 1, 2, 3, 4, 5]));
});

test("a machine without power says nothing, and resets what is sent to it once it is back", async () => {
  const world = new World(1);
  const { host, told, ours } = await connected(world);
  host.powered = false;
  world.streams.died(host.listener, false);
  ours.send(Uint8Array.from([1]));
  await world.run(60_000);
  expect(told.closed).toEqual([]);
  host.powered = true;
  world.streams.goOn();
  await world.run(100);
  expect(told.closed).toEqual(["connection reset by the other side"]);
});

test("what is sent across a cut arrives when it is mended; nobody connects meanwhile", async () => {
  const world = new World(1);
  const { served, ours } = await connected(world);
  world.streams.cut(world.client, 1, true);
  ours.send(Uint8Array.from([1, 2, 3]));
  let failure = "";
  world.streams
    .connect(world.client, "machine:1", 1000, () => ({ data() {}, closed() {} }))
    .catch((error: unknown) => {
      failure = String(error);
    });
  await world.run(5000);
  expect(served.bytes).toBe(0);
  expect(failure).toContain("did not answer within 1000 ms");
  world.streams.cut(world.client, 1, false);
  await world.run(100);
  expect(served.bytes).toBe(3);
});

test("a frozen connection tells nobody, whatever is sent", async () => {
  const world = new World(1);
  const { told, served, ours, theirs } = await connected(world);
  for (const stream of world.streams.of(world.client)) stream.frozen = true;
  ours.send(Uint8Array.from([1]));
  theirs.send(Uint8Array.from([2]));
  await world.run(60_000);
  expect([told.bytes.length, served.bytes, told.closed.length, served.closed.length]).toEqual([0, 0, 0, 0]);
  ours.terminate();
  await world.run(1000);
  expect([told.closed.length, served.closed.length]).toEqual([1, 0]);
});
