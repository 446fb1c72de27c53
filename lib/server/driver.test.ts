/** What the driver does when an effect fails half-way: nothing more. One replica alone; its log and state are in memory. */
import { expect, test } from "bun:test";
import { memoryState } from "../sim/state-stores.ts";
import { ReplicaDriver, type DriverLog, type DriverPorts } from "./driver.ts";

test("a replica whose state cannot be written applies nothing behind that", () => {
  const persisted: number[] = [];
  const records: Uint8Array[] = [];
  const log: DriverLog = {
    recovered: {
      ...{ promised: 0, beginning: null, isKnown: false, commit: 0, damaged: false },
      views: new Float64Array(0),
      chains: new BigUint64Array(0),
    },
    append(sequence, added) {
      // Byte 8 of a record is its kind: those of the log itself have an index.
      records.push(
        ...added.filter((bytes) => new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(16, true) > 0n),
      );
      persisted.push(sequence);
    },
    read: (from) => records.slice(from - 1),
    orphans: () => [].values(),
    hasForks: false,
    compactable: () => null,
    beginAnew() {},
    compact() {},
    repaired() {},
  };
  const { stateMachine } = memoryState(false);
  let applied = 0;
  stateMachine.apply = () => {
    applied++;
    throw new Error("the disk is full");
  };
  let nowMs = 1_000;
  const nothing = (): void => {};
  const ports: DriverPorts = {
    time: () => ({ nowMs, wallMs: nowMs }),
    stateFiles: { run: nothing },
    schedule: (callback) => callback(),
    ...{ send: nothing, standing: nothing, applied: nothing, unavailable: nothing },
    ...{ changeReport: nothing, log: nothing, fatal: nothing },
  };
  const self = { pid: 1, uuid: "10000000-0000-4000-8000-000000000000", incarnation: 1 };
  const driver = new ReplicaDriver(
    {
      ...{ self, policy: "available", founds: true, clusterTag: 7, seed: 1 },
      peers: [{ pid: 1, address: "replica-1:1538", uuid: self.uuid }],
      ...{ heartbeatMs: 100, timeoutMs: 1_000, recoveryWaitMs: 10_000 },
    },
    log,
    stateMachine,
    ports,
  );
  const goOn = (): void => {
    for (const sequence of persisted.splice(0)) driver.dispatch({ type: "persisted", sequence });
    nowMs += 10;
    driver.tick();
  };
  expect(() => {
    for (let ticks = 0; ticks < 1_000; ticks++) goOn();
  }).toThrow("the disk is full");
  const [session, digest, command] = [
    "00000000-0000-4000-8000-000000000001",
    new Uint8Array(8),
    new Uint8Array([1, 2]),
  ];
  driver.propose({ session, seq: 1, oldest: 1, at: 0, origAt: 0, digest, command });
  for (let ticks = 0; ticks < 100; ticks++) goOn();
  expect(applied).toBe(1);
});
