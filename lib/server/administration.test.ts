/** Who may ask what `chatd cluster` asks, and what is answered. */
import { expect, test } from "bun:test";
import type { Connection } from "../base/transport.ts";
import { decodeFrame, framePrefixBytes } from "../protocol/codec.ts";
import type { AdminRequest, Frame, FrameOf } from "../protocol/messages.ts";
import type { ConfigChange } from "../replication/events.ts";
import { Administration } from "./administration.ts";
import { RawClient, TestCluster, until } from "./cluster.fixture.ts";
import { Wire } from "./wire.ts";

const status: AdminRequest = { type: "clusterStatus", request: 7 };
const add: AdminRequest = {
  ...{ type: "changeConfig", request: 8, change: "add", pid: 4 },
  ...{ address: "10.0.0.4:1538", acceptLoss: false },
};

/** One that replicas of 10.0.0.x may ask; what it is asked for, and what it answers to whoever is at `remote`. */
function asked(remote: string, request: AdminRequest, isLocal = false): { answers: Frame[]; changes: ConfigChange[] } {
  const changes: ConfigChange[] = [];
  const answers: Frame[] = [];
  const connection: Connection = {
    ...{ remote, isLocal, queuedBytes: 0 },
    send: (bytes) => void answers.push(decodeFrame(bytes.slice(framePrefixBytes))),
    ...{ pause() {}, resume() {}, close() {}, terminate() {} },
  };
  const place = { replica: 1, ready: true, primary: 1, view: 257, policy: "available", provisional: false } as const;
  const administration = new Administration(
    { pid: 1, software: "chatd test" },
    {
      standing: () => ({
        ...{ role: "primary", ready: true, view: 257, primary: 1, provisional: false, copies: 1, members: [] },
        ...{
          config: [],
          peers: [],
          configured: true,
          awaiting: [],
          waitingFor: "",
          commit: 9,
          settled: true,
          merged: true,
          lastIndex: 9,
          lastView: 0,
        },
      }),
      placement: () => ({
        ...{ type: "placement", ...place, copies: 1 },
        replicas: [1, 2].map((pid) => ({ pid, address: `10.0.0.${pid}:1538`, uuid: null })),
      }),
      connections: () => 5,
      heartbeat: () => null,
      guests: () => [{ pid: 4, address: "10.0.0.4:1538" }],
      softwareOf: () => "",
      reaches: () => true,
      isReplicaHost: (host) => host.startsWith("10.0.0."),
      change: (_request, change) => void changes.push(change),
      log() {},
    },
  );
  administration.handle(request, new Wire(connection, { frame() {}, closed() {} }, null));
  return { answers, changes };
}

test.each(["127.0.0.1:5000", "[::1]:5000", "10.0.0.2:5000"])("from %s it is answered", (remote) => {
  expect(asked(remote, status).answers).toMatchObject([{ type: "clusterReport", request: 7 }]);
  expect(asked(remote, add).changes).toEqual([{ kind: "add", pid: 4, address: "10.0.0.4:1538" }]);
});

test("from this machine it is answered, whatever the replica is called in --peers", () => {
  expect(asked("203.0.113.9:5000", status, true).answers).toMatchObject([{ type: "clusterReport", request: 7 }]);
});

test.each([status, add])("from elsewhere than a replica's address it is refused", (request) => {
  const { answers, changes } = asked("203.0.113.9:5000", request);
  expect(answers).toMatchObject([{ type: "refused", request: request.request, code: "unauthorized" }]);
  expect(changes).toEqual([]);
});

test("a replica that is not heard is unreachable, and one outside the config is told apart", () => {
  const [report] = asked("127.0.0.1:1", status).answers;
  expect(report).toMatchObject({
    replicas: [
      { pid: 1, role: "primary", index: 9, connections: 5, configured: true, software: "chatd test" },
      { pid: 2, role: "unreachable", configured: true, member: false },
      { pid: 4, role: "unreachable", configured: false },
    ],
  });
});

test("a replica is removed and added again, and clients are told where the replicas are", async () => {
  const cluster = new TestCluster(2);
  try {
    await cluster.startAll();
    const primary = cluster.nodes.get(1)?.standing.primary ?? 0;
    const pid = 3 - primary;
    const client = await RawClient.greeted(cluster.port(primary));
    const report = await changed(client, { change: "remove", pid, address: null, acceptLoss: false });
    expect(report.state).toBe("done");
    const notice = `${pid} warn: replica ${pid} has been removed from the cluster`;
    await until(() => cluster.said.some((line) => line.startsWith(notice)), "it to say that it is removed");
    expect((await placed(client, 1)).copies).toBe(1);
    const back = await changed(client, { change: "add", pid, address: cluster.address(pid), acceptLoss: false });
    expect(back.state).toBe("done");
    expect((await placed(client, 2)).replicas.map(({ address }) => address)).toEqual([
      cluster.address(1),
      cluster.address(2),
    ]);
    client.terminate();
  } finally {
    await cluster.close();
  }
}, 60_000);

type Change = Omit<FrameOf<"changeConfig">, "type" | "request">;

async function changed(client: RawClient, change: Change): Promise<FrameOf<"changeReport">> {
  for (let request = 1; ; request++) {
    client.send({ type: "changeConfig", request, ...change });
    const report = await client.next("changeReport");
    expect(report.request).toBe(request);
    if (report.state === "done" || report.state === "refused") return report;
    await Bun.sleep(20);
  }
}

/** The next placement that names so many replicas. */
async function placed(client: RawClient, count: number): Promise<FrameOf<"placement">> {
  for (;;) {
    const placement = await client.next("placement");
    if (placement.replicas.length === count && placement.ready) return placement;
  }
}
