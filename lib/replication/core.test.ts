/** What a replica takes for true when it starts. */
import { describe, expect, test } from "bun:test";
import { encodeEntry } from "../protocol/codec.ts";
import type { ViewEntry } from "../protocol/entries.ts";
import { makeView } from "../protocol/ids.ts";
import { encodeRecord, joinRecords, recordKind, type LogRecord } from "../protocol/record.ts";
import { Core } from "./core.ts";
import type { ReplicaOptions } from "./events.ts";
import { fetchForEver, onEntries } from "./fetching.ts";
import { onSnapshotFetch, onStateReport } from "./snapshots.ts";
import { onAsk, onJoin } from "./view-change.ts";

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
    { position: { index: appliedIndex, view: 0, chain: 0n }, clock: 0, isLogged: true },
    {
      read,
      orphans: () => [].values(),
      hasForks: false,
      compactable: () => null,
    },
  );
}

const other = { pid: 2, uuid: "20000000-0000-4000-8000-000000000000", incarnation: 1 };

/** One that has learnt of view 7.2 by fetching its VIEW entry, and by nothing else. */
function learnt(view: number): Core {
  const core = started(false, 0);
  const chain = formedLog().at(-1)?.chain ?? 0n;
  const parent = makeView(1, 1);
  const entry: ViewEntry = { view, parent, epoch: 1, policy: "available", members: [self], config, awaiting: [] };
  const payload = encodeEntry({ type: "view", ...entry });
  const { bytes } = encodeRecord({ clusterTag: 1, kind: recordKind.view, index: 3, view, payload }, chain);
  fetchForEver(core, other, () => {});
  const nonce = core.fetch?.nonce ?? 0;
  const previous = { index: 2, view: parent, chain };
  const records = joinRecords([bytes]);
  onEntries(core, other, { type: "entries", nonce, previous, commit: 2, lastIndex: 3, serves: 0, records });
  expect(core.log.lastView).toBe(view);
  return core;
}

const sentTo = (core: Core): string[] =>
  core.effects.flatMap((effect) => (effect.type === "send" ? [effect.message.type] : []));

describe("a view that only fetched entries tell of", () => {
  const view = makeView(7, 2);

  test("is seen: whoever starts the next one starts a greater one", () => {
    expect(learnt(view).nextView(false)).toBeGreaterThan(view);
  });

  test("is as good as promised: no lesser one is promised any more, for it could not stand behind its entry", () => {
    const core = learnt(view);
    const join = { type: "join", epoch: 1, lastActView: 0, removes: null } as const;
    onJoin(core, { ...other, pid: 3 }, { ...join, view: makeView(6, 3) }, false);
    expect(sentTo(core).at(-1)).toBe("joinRefused");
    expect(core.promised).toBeLessThan(view);
    onJoin(core, { ...other, pid: 3 }, { ...join, view: makeView(7, 3) }, false);
    expect(core.promised).toBe(makeView(7, 3));
  });
});

test("a snapshot is offered however much was applied while it was made: the next one would be no newer", () => {
  const core = started(false, 2);
  const fetch = { type: "snapshotFetch", nonce: 1, snapshot: null, offset: 0, bytesMax: 1000, least: 1 } as const;
  onSnapshotFetch(core, other, fetch);
  expect(core.effects.at(-1)).toEqual({ type: "state", order: { type: "capture" } });
  const snapshot = { position: core.log.position(2), sizeBytes: 10, sha256: new Uint8Array(32) };
  onStateReport(core, { type: "captured", snapshot });
  core.delivered += 2 * core.retention.snapshotBehindEntries;
  onSnapshotFetch(core, other, fetch);
  expect(sentTo(core).at(-1)).toBe("snapshotOffer");
  // Who asks later gets a new one.
  core.nowMs += 10_000;
  onSnapshotFetch(core, { ...other, pid: 3 }, fetch);
  expect(core.effects.at(-1)).toEqual({ type: "state", order: { type: "capture" } });
});

test("a replica goes on from the commit that its log tells", () => {
  expect(started(false, 0).commit).toBe(2);
  expect(started(false, 1).commit).toBe(2);
});

test("of a damaged log nothing is known to be committed but what was applied: its end may have been superseded", () => {
  expect(started(true, 0).commit).toBe(0);
  expect(started(true, 1).commit).toBe(1);
});

test("whoever cannot read what it has promised leaps above the view in which its state was", () => {
  const chains = BigUint64Array.from([]);
  const recovered = { promised: 0, beginning: null, isKnown: false, views: Float64Array.from([]), chains, commit: 0 };
  const view = makeView(2 ** 22, 1);
  const reader = { read: () => [], orphans: () => [].values(), hasForks: false, compactable: () => null };
  const state = { position: { index: 9, view, chain: 9n }, clock: 0, isLogged: false };
  const core = new Core(options, { ...recovered, damaged: true }, state, reader);
  expect(core.nextView(true)).toBeGreaterThan(view);
});

test("forks are looked for anew once what was cut has become one on the disk, which is with the next entry", () => {
  const core = started(false, 1);
  core.supersedeAfter(1);
  const merging = { portions: [].values(), ops: new Map(), owed: 0, owedBefore: null, isBegun: false };
  core.merging = merging;
  core.promise(makeView(2, 1), () => {});
  expect(core.merging).toBe(merging);
  const record = core.nextRecord(recordKind.act, makeView(1, 1), encodeEntry({ type: "act", view: makeView(1, 1) }));
  core.persist(core.log.extend(core.log.last, [record], "forbidden").added);
  expect(core.merging).toBeNull();
});

test("who hears a primary lets another start a view only if that one knows a later config", () => {
  const verdictOn = (epoch: number) => {
    const core = started(false, 2);
    const view = makeView(3, 3);
    core.following = { view, epoch: 2, members: [], heardMs: 0 };
    onAsk(core, other, { type: "ask", nonce: 1, epoch, lastActView: makeView(2, 2) }, true, false);
    return core.effects.map((effect) => (effect.type === "send" ? effect.message : effect));
  };
  expect(verdictOn(2)).toMatchObject([{ verdict: "hear-primary" }]);
  // It may have deleted what it would need to follow, and wait for this replica for ever.
  expect(verdictOn(3)).toMatchObject([{ verdict: "go" }]);
});
