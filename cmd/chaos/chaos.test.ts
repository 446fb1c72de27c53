/** A short fixed run under each policy; and the judge of order is judged. */
import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { namespacesMissing, Network } from "../cluster/network.ts";
import { Relays } from "../cluster/relays.ts";
import { ensureBuilt } from "../tasks/build.ts";
import { Chaos, type Policy } from "./chaos.ts";
import { disorderInTime } from "./judge.ts";
import { Timeline } from "./timeline.ts";

// Real processes, and bounds of a minute within.
setDefaultTimeout(240_000);

beforeAll(async () => {
  await ensureBuilt();
});

async function faultsOf(policy: Policy, seed: number, namespaces: boolean): Promise<string[]> {
  const directory = await mkdtemp(join(tmpdir(), "chatd-chaos-"));
  const links = namespaces && namespacesMissing() === null ? new Network() : await Relays.open();
  const lines: string[] = [];
  const timeline = new Timeline((line) => lines.push(line));
  const chaos = new Chaos({ seed, policy, links, directory, forMs: Infinity, roundsMax: 1, people: 3 }, timeline);
  try {
    await chaos.run();
    expect(lines.join("\n")).toContain("all there");
  } finally {
    await chaos.close();
    chaos.releaseDisk();
    await rm(directory, { recursive: true, force: true });
    if (timeline.faults.length > 0) console.log(lines.join("\n"));
  }
  return timeline.faults;
}

describe("replicas under fire", () => {
  test("available: a log cut short, connections reset, frozen replicas, two losses of power", async () => {
    expect(await faultsOf("available", 398, false)).toEqual([]);
  });

  test("quorum: changed bits, replicas that hear one way only, cut links, a frozen client", async () => {
    expect(await faultsOf("quorum", 194, true)).toEqual([]);
  });
});

describe("the command", () => {
  test.each([
    [["--help"], 0, "bun run chaos"],
    [["--policy", "anarchy"], 64, "available or quorum"],
    [["--seed", "-1"], 64, "--seed"],
    [["--minutes", "0"], 64, "--minutes"],
    [["--nonsense"], 64, "nonsense"],
  ])("%p ends with %d", async (flags, status, says) => {
    const child = Bun.spawn({
      cmd: [process.execPath, join(import.meta.dir, "main.ts"), ...flags],
      stdio: ["ignore", "pipe", "pipe"],
    });
    const said = (await child.stdout.text()) + (await child.stderr.text());
    expect({ status: await child.exited, said }).toEqual({ status, said: expect.stringContaining(says) });
  });
});

describe("order in time", () => {
  const op = (id: string, index: number, sentAtMs: number, acknowledgedAtMs: number) => ({
    ...{ id, index, sentAtMs, acknowledgedAtMs },
  });

  test("is kept by ops that overlap, in whatever order they stand", () => {
    expect(disorderInTime([op("a", 2, 0, 10), op("b", 1, 5, 20), op("c", 3, 15, 30)])).toEqual([]);
  });

  test("is broken by an op that was acknowledged before one was sent that stands before it", () => {
    expect(disorderInTime([op("a", 3, 0, 10), op("b", 1, 20, 30), op("c", 2, 5, 40)])).toEqual([
      "a stands at 3, behind b at 1, and was acknowledged before that was sent",
    ]);
  });
});
