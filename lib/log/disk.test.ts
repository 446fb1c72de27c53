/** Both disks keep the contract; and what only the simulated one can show: crashes and faults. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDisk } from "../io/disk.ts";
import { SimulatedDisk } from "../sim/disk.ts";
import { diskContract } from "./disk.contract.ts";
import { DiskError } from "./disk.ts";

diskContract("real", () => {
  const directory = mkdtempSync(join(tmpdir(), "chatd-disk-"));
  return {
    disk: openDisk(directory),
    settle: (until) => until,
    dispose: () => rmSync(directory, { recursive: true }),
  };
});

function simulated(seed = 1): { disk: SimulatedDisk; run: () => void } {
  const waiting: (() => void)[] = [];
  const disk = new SimulatedDisk("simulated", seed, (action) => waiting.push(action));
  return {
    disk,
    run: () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) next();
    },
  };
}

diskContract("simulated", () => {
  const { disk, run } = simulated();
  const settle = (until: Promise<void>): Promise<void> => {
    run();
    return until;
  };
  return { disk, settle, dispose: () => {} };
});

describe("a crash of the simulated disk", () => {
  const sectors = 8;
  const filled = (value: number): Uint8Array => new Uint8Array(sectors * 512).fill(value);

  test("keeps what was synced and, of the rest, whole sectors in any order", () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 200; seed++) {
      const { disk, run } = simulated(seed);
      const file = disk.open("a", "create");
      disk.syncDirectory();
      file.write([filled(1)], 0);
      file.sync(() => {});
      run();
      file.write([filled(2)], 0);
      file.write([filled(3)], 0);
      const after = disk.crash().contentOf("a");
      const found = Array.from({ length: sectors }, (_, at) => after[at * 512] ?? 0);
      expect(after).toEqual(Uint8Array.from(after, (_, at) => found[Math.floor(at / 512)] ?? 0));
      for (const value of found) expect([1, 2, 3]).toContain(value);
      seen.add(found.join(""));
    }
    expect(seen).toContain("11111111");
    expect(seen).toContain("33333333");
    expect(seen.size).toBeGreaterThan(50);
  });

  test("loses names that were not synced, but never in another order than they were given", () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 50; seed++) {
      const { disk } = simulated(seed);
      disk.open("a", "create");
      disk.syncDirectory();
      disk.open("b", "create");
      disk.rename("b", "c");
      seen.add(disk.crash().list().join(" "));
    }
    expect([...seen].sort()).toEqual(["a", "a b", "a c"]);
  });

  test("never shows what a failed sync was to make durable", () => {
    const { disk, run } = simulated();
    const file = disk.open("a", "create");
    disk.syncDirectory();
    file.write([filled(1)], 0);
    file.syncBlocking();
    file.write([filled(2)], 0);
    disk.faults.failSync = true;
    const errors: (DiskError | null)[] = [];
    file.sync((error) => errors.push(error));
    run();
    expect(errors[0]).toBeInstanceOf(DiskError);
    const restarted = disk.restart();
    expect(restarted.contentOf("a")).toEqual(filled(2));
    restarted.open("a", "write").syncBlocking();
    expect(restarted.crash().contentOf("a")).toEqual(filled(1));
  });
});
