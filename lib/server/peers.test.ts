/** Links between replicas over a simulated network: who is believed, what is told, and how a lost link comes back. */
import { describe, expect, test } from "bun:test";
import { limits } from "../base/limits.ts";
import { Random } from "../base/random.ts";
import type { Configured, FrameOf, Member, Policy, ReplicaMessage } from "../protocol/messages.ts";
import { ByteNetwork } from "../sim/byte-network.ts";
import { Acceptor } from "./acceptor.ts";
import { Peers } from "./peers.ts";

const config: Configured[] = [1, 2, 3].map((pid) => ({ pid, address: `10.0.0.${pid}:1538`, uuid: null }));
const timeoutMs = 400;
const uuidOf = (digit: number): string => `00000000-0000-4000-8000-00000000000${digit}`;

interface Identity {
  pid: number;
  uuid?: string;
  incarnation?: number;
  cluster?: number;
  policy?: Policy;
}

/** One replica's links, and everything it was told. */
class Replica {
  readonly told: string[] = [];
  readonly received: { from: Member; message: ReplicaMessage }[] = [];
  readonly peers: Peers;
  readonly #stop: () => void;

  constructor(network: ByteNetwork, identity: Identity, listening = true, at?: string) {
    const { pid, uuid = uuidOf(pid), incarnation = 1, cluster = 7, policy = "available" } = identity;
    const self = { pid, uuid, incarnation };
    const address = at ?? config[pid - 1]?.address ?? "";
    this.peers = new Peers(
      { self, address, cluster: new Uint8Array(16).fill(cluster), policy, timeoutMs, software: "test" },
      {
        connected: (peer) => void this.told.push(`connected ${peer.pid} ${peer.incarnation}`),
        disconnected: (peer, refused) => void this.told.push(`${refused ? "refused" : "lost"} ${peer}`),
        received: (from, message) => void this.received.push({ from, message }),
        log: (level, message) => {
          if (level === "warn") this.told.push(`warn ${message}`);
        },
      },
      { transport: network.transport, clock: network, random: new Random(pid) },
    );
    const acceptor = new Acceptor({
      client: (wire) => wire.refuse("unexpected", "no clients here"),
      replica: (wire, hello) => this.peers.accept(wire, hello),
      rejected: () => {},
    });
    let stop = (): void => {};
    if (listening) {
      const [host = "", port = ""] = address.split(":");
      void network.transport
        .listen(host, Number(port), (connection) => acceptor.accept(connection))
        .then((listener) => {
          stop = () => listener.stop();
        });
    }
    this.#stop = () => stop();
    this.peers.configure(config);
  }

  count(what: string): number {
    return this.told.filter((line) => line === what).length;
  }

  get warnings(): string[] {
    return this.told.filter((line) => line.startsWith("warn "));
  }

  /** As when the process ends: nothing listens, all connections are cut. */
  async end(network: ByteNetwork): Promise<void> {
    this.#stop();
    const closing = this.peers.close(0);
    await network.run(5);
    await closing;
  }
}

const commit = (index: number): FrameOf<"commit"> => ({ type: "commit", view: 257, commit: index });

describe("two replicas", () => {
  test("each dial the other, and each reads on the connection that it has accepted", async () => {
    const network = new ByteNetwork();
    const one = new Replica(network, { pid: 1 });
    const two = new Replica(network, { pid: 2, incarnation: 5 });
    expect(
      await network.run(1000, () => one.count("connected 2 5") === 1 && two.count("connected 1 1") === 1),
    ).toBeTrue();
    one.peers.send(2, commit(1));
    two.peers.send(1, commit(2));
    expect(await network.run(100, () => one.received.length === 1 && two.received.length === 1)).toBeTrue();
    expect(two.received).toEqual([{ from: { pid: 1, uuid: uuidOf(1), incarnation: 1 }, message: commit(1) }]);
    expect(one.received).toEqual([{ from: { pid: 2, uuid: uuidOf(2), incarnation: 5 }, message: commit(2) }]);
    // Pings keep what is idle alive.
    await network.run(20 * timeoutMs);
    expect([one.count("lost 2"), two.count("lost 1")]).toEqual([0, 0]);
  });

  test("frames arrive whole however the bytes are cut", async () => {
    const network = new ByteNetwork();
    network.split = (chunk) => Array.from(chunk, (_, at) => chunk.subarray(at, at + 1));
    const one = new Replica(network, { pid: 1 });
    const two = new Replica(network, { pid: 2 });
    await network.run(1000, () => one.count("connected 2 1") === 1);
    for (let index = 1; index <= 20; index++) one.peers.send(2, commit(index));
    await network.run(100, () => two.received.length === 20);
    expect(two.received.map(({ message }) => message)).toEqual(Array.from({ length: 20 }, (_, at) => commit(at + 1)));
  });
});

describe("a link", () => {
  test("that is lost is told and dialled again at once; a refusal is evidence", async () => {
    const network = new ByteNetwork();
    const one = new Replica(network, { pid: 1 });
    const two = new Replica(network, { pid: 2 });
    await network.run(1000, () => one.count("connected 2 1") === 1);
    await network.run(timeoutMs);
    const before = network.nowMs;
    await two.end(network);
    expect(await network.run(50, () => one.count("refused 2") > 0)).toBeTrue();
    expect(network.nowMs - before).toBeLessThan(20);
    expect(one.told.indexOf("lost 2")).toBeLessThan(one.told.indexOf("refused 2"));
    // It is looked for all the time, and found soon after it is back.
    const dialled = network.dialled.length;
    await network.run(2000);
    const attempts = network.dialled.slice(dialled).filter(({ address }) => address === "10.0.0.2:1538").length;
    expect(attempts).toBeGreaterThan(9);
    expect(attempts).toBeLessThan(40);
    const again = new Replica(network, { pid: 2, incarnation: 2 });
    expect(await network.run(250, () => one.count("connected 2 2") === 1)).toBeTrue();
    expect(again.count("connected 1 1")).toBe(1);
  });

  test("over which nothing comes any more is given up within two timeouts", async () => {
    const network = new ByteNetwork();
    const one = new Replica(network, { pid: 1 });
    new Replica(network, { pid: 2 });
    await network.run(1000, () => one.count("connected 2 1") === 1);
    await network.run(timeoutMs);
    for (const pair of network.connections) pair.frozen = true;
    expect(await network.run(2 * timeoutMs, () => one.count("lost 2") === 1)).toBeTrue();
    expect(await network.run(timeoutMs, () => one.count("connected 2 1") === 2)).toBeTrue();
  });

  test("to a host that is silent is tried again and again, and never called refused", async () => {
    const network = new ByteNetwork();
    network.setSilent("10.0.0.2:1538", true);
    const one = new Replica(network, { pid: 1 });
    await network.run(10 * timeoutMs);
    expect(network.dialled.filter(({ address }) => address === "10.0.0.2:1538").length).toBeGreaterThan(5);
    expect(one.count("refused 2")).toBe(0);
    expect(one.count("refused 3")).toBeGreaterThan(0);
  });

  test("that is accepted and hung up on each time is not dialled without pause", async () => {
    const network = new ByteNetwork();
    void network.transport.listen("10.0.0.2", 1538, (connection) => {
      connection.close();
      return { data() {}, closed() {} };
    });
    new Replica(network, { pid: 1 });
    await network.run(2000);
    expect(network.dialled.filter(({ address }) => address === "10.0.0.2:1538").length).toBeLessThan(40);
  });

  test("goes to the replicas of the config, as it changes", async () => {
    const network = new ByteNetwork();
    const one = new Replica(network, { pid: 1 });
    const two = new Replica(network, { pid: 2 });
    await network.run(1000, () => one.count("connected 2 1") === 1);
    await two.end(network);
    one.peers.configure(config.filter(({ pid }) => pid !== 2));
    const back = new Replica(network, { pid: 2, incarnation: 2 });
    back.peers.configure([]);
    await network.run(1000);
    expect(one.count("connected 2 2")).toBe(0);
    one.peers.configure(config);
    expect(await network.run(1000, () => one.count("connected 2 2") === 1)).toBeTrue();
  });

  test("stays with who has left the config for as long as it is connected", async () => {
    const network = new ByteNetwork();
    const one = new Replica(network, { pid: 1 });
    const two = new Replica(network, { pid: 2 });
    await network.run(1000, () => one.count("connected 2 1") === 1 && two.count("connected 1 1") === 1);
    one.peers.configure(config.filter(({ pid }) => pid !== 2));
    expect(one.peers.guests).toEqual([{ pid: 2, address: "10.0.0.2:1538" }]);
    one.peers.send(2, commit(1));
    expect(await network.run(100, () => two.received.length === 1)).toBeTrue();
    await two.end(network);
    expect(await network.run(1000, () => one.peers.guests.length === 0)).toBeTrue();
  });
});

describe("a replica that does not belong here", () => {
  const cases: [what: string, identity: Identity, says: RegExp][] = [
    [
      "of another cluster",
      { pid: 2, cluster: 8 },
      /replica 2 is of another cluster \(08080808\).*07070707.*same --peers/,
    ],
    ["with another policy", { pid: 2, policy: "quorum" }, /--policy quorum.*--policy available/],
  ];
  test.each(cases)(
    "%s is refused, said once on both sides, and nothing of it is read",
    async (_what, identity, says) => {
      const network = new ByteNetwork();
      const one = new Replica(network, { pid: 1 });
      const two = new Replica(network, identity);
      await network.run(5000);
      expect(one.warnings.filter((line) => says.test(line)).length).toBeGreaterThan(0);
      expect(new Set(one.warnings).size).toBe(one.warnings.length);
      expect(new Set(two.warnings).size).toBe(two.warnings.length);
      expect(two.warnings.length).toBeGreaterThan(0);
      two.peers.send(1, commit(1));
      await network.run(100);
      expect(one.received).toEqual([]);
      expect(one.told.filter((line) => line.startsWith("connected"))).toEqual([]);
    },
  );

  test("under a pid that is taken is refused while the other one lives", async () => {
    const network = new ByteNetwork();
    const one = new Replica(network, { pid: 1 });
    const two = new Replica(network, { pid: 2 });
    await network.run(1000, () => two.count("connected 1 1") === 1);
    const double = new Replica(network, { pid: 2, uuid: uuidOf(9) }, false);
    await network.run(2000);
    expect(double.count("connected 1 1")).toBe(0);
    expect(double.warnings.join()).toContain("was started with the same --pid");
    two.peers.send(1, commit(3));
    await network.run(100, () => one.received.length > 0);
    expect(one.received[0]?.from.uuid).toBe(uuidOf(2));
    // When the other one has ended, its successor with an empty disk is heard.
    await two.end(network);
    expect(await network.run(2000, () => double.count("connected 1 1") === 1)).toBeTrue();
  });

  test("but has its cluster's id is answered where it says it is, as a guest", async () => {
    const network = new ByteNetwork();
    const one = new Replica(network, { pid: 1 });
    const guest = new Replica(network, { pid: 7 }, true, "10.0.0.7:1538");
    expect(await network.run(1000, () => one.count("connected 7 1") === 1)).toBeTrue();
    expect(one.peers.guests).toEqual([{ pid: 7, address: "10.0.0.7:1538" }]);
    expect(one.peers.reaches(7, "10.0.0.7:1538")).toBeTrue();
    expect(one.peers.reaches(7, "10.0.0.8:1538")).toBeFalse();
    // It is no replica of the config: its host may not ask for changes of that.
    expect(one.peers.isAt("10.0.0.7")).toBeFalse();
    expect(one.peers.isAt("::ffff:10.0.0.2")).toBeTrue();
    guest.peers.send(1, commit(5));
    expect(await network.run(100, () => one.received.length === 1)).toBeTrue();
    one.peers.configure([...config, { pid: 7, address: "10.0.0.7:1538", uuid: null }]);
    expect(one.peers.guests).toEqual([]);
    expect(one.count("lost 7")).toBe(0);
  });

  test("is one of only so many guests", async () => {
    const network = new ByteNetwork();
    const one = new Replica(network, { pid: 1 });
    for (let pid = 10; pid < 19; pid++) {
      new Replica(network, { pid, uuid: uuidOf(pid % 10) }, true, `10.0.0.${pid}:1538`);
    }
    expect(await network.run(1000, () => one.peers.guests.length === limits.replicasMax)).toBeTrue();
    expect(await network.run(1000, () => one.warnings.length > 0)).toBeTrue();
    expect(one.peers.guests.length).toBeLessThanOrEqual(limits.replicasMax);
    expect(one.warnings.join()).toContain("too many replicas outside the config");
  });

  test("under the own pid, or at no address, is refused", async () => {
    const network = new ByteNetwork();
    new Replica(network, { pid: 1 });
    const same = new Replica(network, { pid: 1, uuid: uuidOf(9) }, false);
    same.peers.configure([...config.slice(1), { pid: 9, address: "10.0.0.1:1538", uuid: null }]);
    const stranger = new Replica(network, { pid: 7 }, false);
    await network.run(2000);
    expect(same.warnings.join()).toContain("replica 1 is already running");
    expect(stranger.warnings.join()).toContain('"" is no address to answer replica 7 at');
  });

  test("at an address that is too long to be repeated is told so", async () => {
    const network = new ByteNetwork();
    new Replica(network, { pid: 1 });
    const stranger = new Replica(network, { pid: 7 }, false, "\u0001".repeat(300));
    await network.run(2000);
    expect(stranger.warnings.join()).toContain("is no address to answer replica 7 at");
  });

  test("because it is this very one, or has a copy of its disk, is told which", async () => {
    const network = new ByteNetwork();
    const one = new Replica(network, { pid: 1 });
    one.peers.configure([...config, { pid: 9, address: "10.0.0.1:1538", uuid: null }]);
    const copy = new Replica(network, { pid: 1, incarnation: 2 }, false);
    copy.peers.configure([{ pid: 9, address: "10.0.0.1:1538", uuid: null }]);
    await network.run(2000);
    expect(one.warnings.join()).toContain("replica 1 has reached itself");
    expect(copy.warnings.join()).toContain(`with a copy of its data directory (${uuidOf(1)})`);
  });

  test("with messages that are none is told so, and its connection closed", async () => {
    const network = new ByteNetwork();
    const one = new Replica(network, { pid: 1 });
    const two = new Replica(network, { pid: 2 });
    await network.run(1000, () => two.count("connected 1 1") === 1);
    two.peers.send(1, { type: "status", request: 1 } as unknown as ReplicaMessage);
    expect(await network.run(500, () => two.count("lost 1") === 1)).toBeTrue();
    expect(two.warnings.join()).toContain("a status frame is not for replicas");
    expect(one.received).toEqual([]);
    expect(await network.run(1000, () => two.count("connected 1 1") === 2)).toBeTrue();
  });
});
