/** What an operator is told of a change when answers are lost on the way. */
import { expect, test } from "bun:test";
import { limits } from "../../lib/base/limits.ts";
import { tcpTransport } from "../../lib/io/tcp.ts";
import { decodeFrame, encodeFrame } from "../../lib/protocol/codec.ts";
import { FrameReader } from "../../lib/protocol/frame-reader.ts";
import type { Frame, FrameOf } from "../../lib/protocol/messages.ts";
import { ClusterAsking, type Outcome } from "./cluster-asking.ts";

const version = limits.protocolVersion;
const removal = { change: "remove", pid: 3, address: null, acceptLoss: false } as const;

type Report = Pick<FrameOf<"changeReport">, "state" | "view"> & Partial<Pick<FrameOf<"changeReport">, "reason">>;

interface Circumstances {
  readonly policy?: "available" | "quorum";
  readonly patienceMs?: number;
}

/**
 * What is said of the removal by a replica that answers the first requests with nothing, then as told, and then that it is
 * done.
 */
async function removedAfter(
  lostAnswers: number,
  reports: readonly Report[] = [],
  { policy = "available", patienceMs = 10_000 }: Circumstances = {},
): Promise<Outcome> {
  let asked = 0;
  const replicas = [{ pid: 1, address: "127.0.0.1:1", uuid: null }];
  const place = { replica: 1, ready: true, primary: 1, view: 513, policy, provisional: false } as const;
  const listener = await tcpTransport().listen("127.0.0.1", 0, (connection) => {
    const send = (frame: Frame): void => connection.send(encodeFrame(frame));
    const reader = new FrameReader(() => limits.clientFrameBytesMax);
    const received = (payload: Uint8Array): void => {
      const frame = decodeFrame(payload);
      if (frame.type === "hello") {
        send({
          type: "welcome",
          version,
          software: "test",
          cluster: new Uint8Array(16),
          ...place,
          copies: 2,
          replicas,
        });
      } else if (frame.type === "changeConfig" && asked++ < lostAnswers) connection.terminate();
      else if (frame.type === "changeConfig") {
        const report = reports[asked - lostAnswers - 1] ?? { state: "done", view: 513 };
        send({ type: "changeReport", request: frame.request, reason: "", ask: 0, ...report });
      }
    };
    return { data: (chunk) => reader.push(chunk, received), closed() {} };
  });
  const outcome = await new ClusterAsking([`127.0.0.1:${listener.port}`]).change(removal, patienceMs, () => {});
  listener.stop();
  return outcome;
}

test("a removal whose answer was lost is told as done, and not as that of a replica that never was", async () => {
  expect(await removedAfter(1)).toMatchObject({
    ok: true,
    message: expect.stringContaining("has been removed by view"),
  });
});

test("a replica that is not there cannot be removed", async () => {
  expect(await removedAfter(0)).toMatchObject({ ok: false, error: "refused" });
});

test("a removal has lapsed when a later view has formed without it, not while one says so that has missed the attempt", async () => {
  const attempt = { state: "attempting", view: 512 } as const;
  expect(await removedAfter(0, [attempt, { state: "waiting", view: 257 }])).toMatchObject({ ok: true });
  expect(await removedAfter(0, [attempt, { state: "waiting", view: 513 }])).toMatchObject({
    ok: false,
    error: "lapsed",
  });
});

const forEver = (report: Report): Report[] => Array.from({ length: 100 }, () => report);

test("a change that is still being made when it has been waited for long enough is told to be under way", async () => {
  const outcome = await removedAfter(0, forEver({ state: "attempting", view: 769 }), { patienceMs: 300 });
  expect(outcome).toMatchObject({ ok: false, error: "timeout" });
  expect(outcome.message).toContain("view 3.1 is still being formed with the change, which stays under way");
  expect(outcome.message).not.toContain("no replica of the cluster answers");
  expect(outcome.message).not.toContain("--accept-loss");
});

test("what is advised when a removal cannot be begun is what its policy takes", async () => {
  const reason = "without replica 3 there is no majority of the config in the view";
  const waiting = forEver({ state: "waiting", view: 513, reason });
  const [quorum, available] = await Promise.all([
    removedAfter(0, waiting, { policy: "quorum" }),
    removedAfter(0, waiting),
  ]);
  expect(quorum.message).toContain(`${reason}; start the replicas that are away first`);
  expect(quorum.message).not.toContain("--accept-loss");
  expect(available.message).toContain("--accept-loss");
  // Until then it may be done after all.
  for (const { message } of [quorum, available]) expect(message).toContain("the request for it lapses in 3 s");
}, 20_000);

test("that no replica is in a view is not called that none answers", async () => {
  const outcome = await removedAfter(0, forEver({ state: "elsewhere", view: 0, reason: "no view is formed" }), {
    policy: "quorum",
  });
  expect(outcome.message).toContain("no view is formed; start the replicas that are away first");
}, 20_000);
