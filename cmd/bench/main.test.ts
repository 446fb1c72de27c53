/** A tiny run of the whole bench, so that it works when it is needed. What it measures is not judged here. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { bun, root } from "../tasks/run.ts";

setDefaultTimeout(60_000);

test("a tiny bench prints every measurement as JSON", async () => {
  const flags = ["--json", "--seconds", "1", "--warm-up", "0", "--clients", "4", "--messages", "100"];
  const child = Bun.spawn({ cmd: [bun, join("cmd", "bench", "main.ts"), ...flags], cwd: root, stderr: "pipe" });
  const [output, errors, exitCode] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  expect({ exitCode, errors: exitCode === 0 ? "" : errors }).toEqual({ exitCode: 0, errors: "" });
  const result = JSON.parse(output);
  expect(result.throughput.acknowledgedPerSecond).toBeGreaterThan(0);
  expect(result.throughput.deliveredPerSecond).toBeGreaterThan(0);
  expect(result.alone.p50Ms).toBeGreaterThan(0);
  expect(result.start.entries).toBeGreaterThanOrEqual(100);
  expect(result.start.allReadyMs).toBeGreaterThan(0);
  expect(result.failover.map((gap: { clientOn: string }) => gap.clientOn)).toEqual(["primary", "backup"]);
  for (const gap of result.failover) expect(gap.longestGapMs).toBeGreaterThan(0);
});

test("a tiny state answers every question, and tells what it costs", async () => {
  const flags = ["state", "--json", "--messages", "6000", "--accounts", "300"];
  const child = Bun.spawn({ cmd: [bun, join("cmd", "bench", "main.ts"), ...flags], cwd: root, stderr: "pipe" });
  const [output, errors, exitCode] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  expect({ exitCode, errors: exitCode === 0 ? "" : errors }).toEqual({ exitCode: 0, errors: "" });
  const { state } = JSON.parse(output);
  expect(state.applyMicroseconds).toBeGreaterThan(0);
  expect(state.queries.length).toBe(14);
  for (const { firstMs, medianMs } of state.queries) {
    expect(firstMs).toBeGreaterThan(0);
    expect(medianMs).toBeGreaterThan(0);
  }
  expect(state.memoryMegabytes).toBeGreaterThan(10);
});

test("a tiny catch-up brings a replica back twice", async () => {
  const flags = ["catch-up", "--json", "--seconds", "1", "--warm-up", "0", "--clients", "2", "--messages", "50"];
  const child = Bun.spawn({ cmd: [bun, join("cmd", "bench", "main.ts"), ...flags], cwd: root, stderr: "pipe" });
  const [output, errors, exitCode] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  expect({ exitCode, errors: exitCode === 0 ? "" : errors }).toEqual({ exitCode: 0, errors: "" });
  const { catchUp } = JSON.parse(output);
  expect(catchUp.map(({ what }: { what: string }) => what)).toEqual(["behind", "wiped"]);
  for (const { readyMs, duringPerSecond } of catchUp) {
    expect(readyMs).toBeGreaterThan(0);
    expect(duringPerSecond).toBeGreaterThan(0);
  }
});
