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

type Report = Pick<FrameOf<"changeReport">, "state" | "view">;

/**
 * What is said of the removal by a replica that answers the first requests with nothing, then as told, and then that it is
 * done.
 */
async function removedAfter(lostAnswers: number, reports: readonly Report[] = []): Promise<Outcome> {
  let asked = 0;
  const replicas = [{ pid: 1, address: "127.0.0.1:1", uuid: null }];
  const place = { replica: 1, ready: true, primary: 1, view: 513, policy: "available", provisional: false } as const;
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
  const outcome = await new ClusterAsking([`127.0.0.1:${listener.port}`]).change(removal, 10_000, () => {});
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
