/** What a replica takes for true when it starts. */
import { expect, test } from "bun:test";
import { encodeEntry } from "../protocol/codec.ts";
import type { ViewEntry } from "../protocol/entries.ts";
import { makeView } from "../protocol/ids.ts";
import { encodeRecord, joinRecords, recordKind, type LogRecord } from "../protocol/record.ts";
import { Core } from "./core.ts";
import type { ReplicaOptions } from "./events.ts";
import { fetchForEver, onEntries } from "./fetching.ts";

const self = { pid: 1, uuid: "10000000-0000-4000-8000-000000000000", incarnation: 1 };
const config = [{ pid: 1, address: "replica-1:1538", uuid: self.uuid }];
const timing = { heartbeatMs: 100, timeoutMs: 1_000, recoveryWaitMs: 10_000 };
const options: ReplicaOptions = {
  self,
  policy: "available",
  peers: config,
  founds: true,
  clusterTag: 1,
  seed: 1,
  ...timing,
};

/** A VIEW and its ACT. */
function formedLog(): LogRecord[] {
  const view = makeView(1, 1);
  const entry: ViewEntry = { view, parent: 0, epoch: 1, policy: "available", members: [self], config, awaiting: [] };
  const header = { clusterTag: 1, view };
  const payload = encodeEntry({ type: "view", ...entry });
  const first = encodeRecord({ ...header, kind: recordKind.view, index: 1, payload }, 0n);
  const act = encodeEntry({ type: "act", view });
  return [first, encodeRecord({ ...header, kind: recordKind.act, index: 2, payload: act }, first.chain)];
}

function started(damaged: boolean, appliedIndex: number): Core {
  const records = formedLog();
  const views = Float64Array.from(records, ({ view }) => view);
  const chains = BigUint64Array.from(records, ({ chain }) => chain);
  const read = (from: number): Uint8Array[] => records.slice(from - 1).map(({ bytes }) => bytes);
  const recovered = { promised: 0, beginning: null, isKnown: false, views, chains, commit: 2, damaged };
  return new Core(
    options,
    recovered,
    { index: appliedIndex, clock: 0 },
    {
      read,
      orphans: () => [],
      hasForks: false,
      compactable: () => null,
    },
  );
}

test("a view that only fetched entries tell of is seen: whoever starts the next one starts a greater one", () => {
  const core = started(false, 0);
  const [, last] = formedLog();
  const [view, parent] = [makeView(7, 2), makeView(1, 1)];
  const entry: ViewEntry = { view, parent, epoch: 1, policy: "available", members: [self], config, awaiting: [] };
  const payload = encodeEntry({ type: "view", ...entry });
  const { bytes } = encodeRecord({ clusterTag: 1, kind: recordKind.view, index: 3, view, payload }, last?.chain ?? 0n);
  fetchForEver(core, 2, () => {});
  const previous = { index: 2, view: makeView(1, 1), chain: last?.chain ?? 0n };
  const nonce = core.fetch?.nonce ?? 0;
  onEntries(
    core,
    { pid: 2, uuid: self.uuid, incarnation: 1 },
    { type: "entries", nonce, previous, commit: 2, lastIndex: 3, records: joinRecords([bytes]) },
  );
  expect(core.log.lastView).toBe(view);
  expect(core.nextView(false)).toBeGreaterThan(view);
});

test("a replica goes on from the commit that its log tells", () => {
  expect(started(false, 0).commit).toBe(2);
  expect(started(false, 1).commit).toBe(2);
});

test("of a damaged log nothing is known to be committed but what was applied: its end may have been superseded", () => {
  expect(started(true, 0).commit).toBe(0);
  expect(started(true, 1).commit).toBe(1);
});
