/** What the driver does with a state that it cannot apply to, or that does not fit its log. Log and state are in memory. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { openChat } from "../chat/chat.ts";
import { encodeCommand, encodeEntry } from "../protocol/codec.ts";
import type { Command } from "../protocol/commands.ts";
import type { LogBeginning } from "../protocol/log-port.ts";
import type { FrameOf, Member, Policy } from "../protocol/messages.ts";
import { ProtocolError } from "../protocol/protocol-error.ts";
import { encodeRecord, recordKind } from "../protocol/record.ts";
import type { StateMachine } from "../protocol/state-machine.ts";
import type { ReplicaOptions } from "../replication/events.ts";
import { memoryState } from "../sim/state-stores.ts";
import { ReplicaDriver, type DriverLog, type DriverPorts } from "./driver.ts";

const nothing = (): void => {};
const quiet: DriverPorts = {
  time: () => ({ nowMs: 0, wallMs: 0 }),
  stateFiles: { run: nothing },
  schedule: (callback) => callback(),
  ...{ send: nothing, standing: nothing, applied: nothing, unavailable: nothing },
  ...{ changeReport: nothing, log: nothing, fatal: nothing },
};
const empty: DriverLog = {
  recovered: {
    ...{ promised: 0, beginning: null, isKnown: false, commit: 0, damaged: false },
    views: new Float64Array(0),
    chains: new BigUint64Array(0),
  },
  ...{ append: nothing, read: () => [], orphans: () => [].values(), hasForks: false, compactable: () => null },
  ...{ beginAnew: nothing, compact: nothing, repaired: nothing, lostItsEnd: nothing },
};

/** Of a log that has been shortened. */
const beginning: LogBeginning = {
  ...{ position: { index: 9, view: 257, chain: 9n }, policy: "available" },
  attempts: [{ view: 257, index: 1, epoch: 1, members: [], config: [], awaiting: [], formed: true }],
  views: [{ view: 257, firstIndex: 1 }],
};

function driverOf(
  log: DriverLog,
  stateMachine: StateMachine,
  ports: DriverPorts,
  policy: Policy = "available",
): ReplicaDriver {
  const self = { pid: 1, uuid: "10000000-0000-4000-8000-000000000000", incarnation: 1 };
  const options: ReplicaOptions = {
    ...{ self, policy, founds: true, clusterTag: 7, seed: 1 },
    peers: [{ pid: 1, address: "replica-1:1538", uuid: self.uuid }],
    ...{ heartbeatMs: 100, timeoutMs: 1_000, recoveryWaitMs: 10_000 },
  };
  return new ReplicaDriver(options, log, stateMachine, ports);
}

test.each([
  { policy: "quorum", view: 513, isLost: true },
  { policy: "available", view: 257, isLost: true },
  { policy: "available", view: 513, isLost: false },
] as const)("a state in view $view beyond a log that ends in view 257: $policy", ({ policy, view, isLost }) => {
  const { stateMachine } = memoryState(false);
  for (let index = 1; index <= 10; index++) stateMachine.apply([{ index, view, chain: BigInt(index), op: null }]);
  const said: string[] = [];
  const log = (level: string, message: string): void => void said.push(`${level}: ${message}`);
  const orders: string[] = [];
  const stateFiles = { run: ({ type }: { readonly type: string }): void => void orders.push(type) };
  const recovered = { ...empty.recovered, beginning };
  const driver = driverOf({ ...empty, recovered }, stateMachine, { ...quiet, log, stateFiles }, policy);
  const [lost, left] = ["error: the log ends at index 9, but the state has come to 10", "warn: the state at index 10"];
  expect(said[0]).toStartWith(isLost ? lost : left);
  expect(orders).toEqual(isLost ? [] : ["abandon"]);
  expect(driver.standing.waitingFor.includes("damaged")).toBe(isLost);
});

test.each([false, true])(
  "a state beyond a log without entries is emptied, but not where that is damaged: %p",
  (damaged) => {
    const { stateMachine } = memoryState(false);
    stateMachine.apply([{ index: 1, view: 1, chain: 1n, op: null }]);
    const orders: string[] = [];
    const stateFiles = { run: ({ type }: { readonly type: string }): void => void orders.push(type) };
    driverOf({ ...empty, recovered: { ...empty.recovered, damaged } }, stateMachine, { ...quiet, stateFiles });
    expect(orders).toEqual([]);
    expect(stateMachine.applied.index).toBe(damaged ? 1 : 0);
  },
);

test("a state of nothing is not kept beside a damaged log that begins later: a snapshot is needed", () => {
  const { stateMachine } = memoryState(false);
  const orders: string[] = [];
  const stateFiles = { run: ({ type }: { readonly type: string }): void => void orders.push(type) };
  const recovered = { ...empty.recovered, damaged: true, beginning };
  driverOf({ ...empty, recovered }, stateMachine, { ...quiet, stateFiles });
  expect(orders).toEqual(["abandon"]);
});

/** A log in memory whose disk is quick, and a replica that is alone. `tick` lets time pass. */
function alone(stateMachine: StateMachine, forks: Partial<DriverLog> = {}) {
  const persisted: number[] = [];
  const records: Uint8Array[] = [];
  const log: DriverLog = {
    ...empty,
    ...forks,
    append(sequence, added) {
      // Byte 8 of a record is its kind: those of the log itself have an index.
      records.push(
        ...added.filter((bytes) => new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(16, true) > 0n),
      );
      persisted.push(sequence);
    },
    read: (from) => records.slice(from - 1),
  };
  let nowMs = 1_000;
  const driver = driverOf(log, stateMachine, { ...quiet, time: () => ({ nowMs, wallMs: nowMs }) });
  const tick = (times: number): void => {
    for (let done = 0; done < times; done++) {
      for (const sequence of persisted.splice(0)) driver.dispatch({ type: "persisted", sequence });
      nowMs += 10;
      driver.tick();
    }
  };
  return { driver, tick };
}

test("a refusal that is beside the lineage does not come before the same op, which was done there when it was asked again", () => {
  const session = "00000000-0000-4000-8000-000000000001";
  const id = { session, seq: 1 };
  const ops: [seq: number, command: Command][] = [
    [0, { type: "openSession", tokenHash: new Uint8Array(32), pid: 1, incarnation: 1, number: 1, software: "" }],
    [1, { type: "refuse", code: "rate-limited", message: "" }],
    [1, { type: "createAccount", user: "alice", passwordHash: "" }],
    [2, { type: "signIn", account: id, credential: id }],
  ];
  const orphans = ops.map(([seq, command], index) => {
    const times = { at: 100 + index, origAt: 100 + index };
    const op = { session, seq, oldest: 1, ...times, digest: new Uint8Array(8), command: encodeCommand(command) };
    const payload = encodeEntry({ type: "op", ...op });
    return encodeRecord({ kind: recordKind.op, clusterTag: 7, index: index + 1, view: 257, payload }, 0n).bytes;
  });
  const state = openChat(new Database(":memory:"));
  const { tick } = alone(state, { orphans: () => [orphans].values(), hasForks: true });
  tick(1_000);
  expect(state.session(session)?.user).toBe("alice");
});

test("a replica whose state cannot be written applies nothing behind that", () => {
  const { stateMachine } = memoryState(false);
  let applied = 0;
  stateMachine.apply = () => {
    applied++;
    throw new Error("the disk is full");
  };
  const { driver, tick } = alone(stateMachine);
  expect(() => tick(1_000)).toThrow("the disk is full");
  const [session, digest, command] = [
    "00000000-0000-4000-8000-000000000001",
    new Uint8Array(8),
    new Uint8Array([1, 2]),
  ];
  driver.propose({ session, seq: 1, oldest: 1, at: 0, origAt: 0, digest, command });
  tick(100);
  expect(applied).toBe(1);
});

test("an answer that cannot be encoded ends the replica, and is not taken for the fault of who has asked", () => {
  const send = (): void => {
    throw new ProtocolError("frame", "entries.records has too many bytes");
  };
  const driver = driverOf(empty, memoryState(false).stateMachine, { ...quiet, send });
  const from: Member = { pid: 2, uuid: "20000000-0000-4000-8000-000000000000", incarnation: 1 };
  const message: FrameOf<"fetch"> = {
    type: "fetch",
    nonce: 1,
    after: { index: 0, view: 0, chain: 0n },
    bytesMax: 1000,
  };
  let thrown: unknown = null;
  try {
    driver.dispatch({ type: "received", from, message });
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(Error);
  expect(thrown).not.toBeInstanceOf(ProtocolError);
});
