/**
 * One replica of three dies and its log is changed: each byte of the last segment, and each length to which it can be
 * cut. It must start, be repaired from the others and hold everything, whatever was changed, also when all had stopped.
 *
 * Every `DAMAGE_STRIDE`th place is tried: 1 tries all of them, which takes minutes.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { LogRefusedError } from "../log/errors.ts";
import { segmentHeaderBytes } from "../log/segment.ts";
import { Stage } from "./scenario-stage.ts";

setDefaultTimeout(3_600_000);

/** No divisor of sizes and alignments, so that the places fall on all parts of a record. */
const stride = Number(process.env["DAMAGE_STRIDE"] ?? 89);
const before = 6;
const meanwhile = 2;

type Change = (content: Uint8Array) => Uint8Array;

/**
 * Tells the story of replica 2 up to its death, hands its last segment to `change`, and tells it to the end: 2 is
 * repaired, or it refuses a log that has lost its beginning, and the others go on with everything.
 */
function tell(policy: "available" | "quorum", allStop: boolean, change: Change): "repaired" | "refused" {
  const stage = new Stage({ policy, replicas: 3, recoveryWaitMs: 10_000, forks: false });
  const untilServing = (...pids: number[]): void => stage.until("serving", () => stage.serve(pids));
  const sent: string[] = [];
  const send = (count: number): void => {
    const names = Array.from({ length: count }, (_, at) => `op${sent.length + at}`);
    sent.push(...names);
    stage.propose(1, names);
  };
  const untilAcknowledged = (): void => stage.until("acknowledged", () => sent.every((op) => stage.acknowledged(op)));
  stage.start(1, 2, 3);
  untilServing(1, 2, 3);
  send(before);
  untilAcknowledged();
  stage.node(2).crash("process");
  if (allStop) for (const pid of [1, 3]) stage.node(pid).crash("power");
  stage.node(2).damage(change);
  if (!allStop) send(meanwhile);
  if (allStop) stage.start(1, 3);
  try {
    stage.start(2);
  } catch (error) {
    if (!(error instanceof LogRefusedError)) throw error;
    expect(error.message).toContain("00000001.wal");
    untilServing(1, 3);
    untilAcknowledged();
    return "refused";
  }
  untilServing(1, 2, 3);
  untilAcknowledged();
  stage.until("2 holds everything", () => stage.applied(2).join() === sent.join());
  stage.end();
  return "repaired";
}

/** How long what is written in the segment is, at that moment of the story. */
function writtenBytes(): { written: number; size: number } {
  let written = 0;
  let size = 0;
  tell("available", true, (content) => {
    written = content.findLastIndex((byte) => byte !== 0) + 1;
    size = content.length;
    return content;
  });
  return { written, size };
}

const stories = [
  ["available", false],
  ["available", true],
  ["quorum", false],
  ["quorum", true],
] as const;

describe.each(stories)("under %s, after a stop of all: %p, a replica", (policy, allStop) => {
  const { written, size } = writtenBytes();
  // Each story begins elsewhere: together they try more places than one.
  const first = stories.findIndex((story) => story[0] === policy && story[1] === allStop) * 23;

  test("whose log has a changed byte is repaired", () => {
    expect(written).toBeGreaterThan(1000);
    for (let offset = first % stride; offset < written + 16; offset += stride) {
      const end = tell(policy, allStop, (content) => {
        content[offset] = (content[offset] ?? 0) ^ (offset % 3 === 0 ? 0xff : 1 << (offset % 8));
        return content;
      });
      expect(end).toBe("repaired");
    }
  });

  test("whose log is cut short is repaired", () => {
    // Beyond what is written all lengths are alike: a few of them do.
    const lengths = [size - 1, size - 513, written + 512, written + 1];
    for (let length = first % stride; length <= written; length += stride) lengths.push(length);
    for (const length of lengths) {
      const end = tell(policy, allStop, (content) => content.slice(0, length));
      // Without a whole record nothing shows that it was a log.
      if (end === "refused") expect(length).toBeLessThan(2 * segmentHeaderBytes);
    }
  });
});
