/**
 * What happens only when messages cross within a step, which no story and hardly a seed brings about: one replica, told
 * by hand what its peers and its disk say.
 */
import { describe, expect, test } from "bun:test";
import { decodeEntry } from "../protocol/codec.ts";
import { makeView } from "../protocol/ids.ts";
import type { Policy, Position, ReplicaMessage } from "../protocol/messages.ts";
import { decodeRecord, recordKind, type LogRecord } from "../protocol/record.ts";
import { founding, greater, mine, one, Records, self, Told, two } from "./told.fixture.ts";

describe("a fetch", () => {
  test("asks for less when no answer comes in time, and tells what is still to come", () => {
    const log = new Records().view(founding, [one, two, self], 4);
    const replica = new Told(log);
    const theirs = log.forkedAfter(log.last.index).view(mine, [one], 20);
    replica.hearOfView(one, mine, theirs);
    const { bytesMax } = replica.sent("fetch", one);
    expect(replica.stillToCome).toBe("");
    for (let waitedMs = 0; waitedMs < 600; waitedMs += 100) {
      replica.tick(100);
      replica.hearOfView(one, mine, theirs);
    }
    expect(replica.sent("fetch", one)).toMatchObject({ after: log.last, bytesMax: bytesMax / 4 });
    replica.feed(one, theirs, 10, mine);
    expect(replica.stillToCome).toBe("18 of 28 entries");
    replica.feed(one, theirs, 28, mine);
    expect(replica.stillToCome).toBe("");
  });

  test("that went back further than it had to goes on from where the other's log begins", () => {
    const log = new Records().view(founding, [one, two, self], 10);
    const replica = new Told(log);
    const theirs = log.forkedAfter(log.last.index).view(mine, [one], 10);
    replica.hearOfView(one, mine, theirs);
    // At that time the other one was not as far itself.
    replica.diverge(one, log.forkedAfter(4));
    expect(replica.sent("fetch", one).after).toEqual(log.at(4));
    // Meanwhile it has come further and shortened its log, up to an entry that both have.
    const { nonce } = replica.sent("fetch", one);
    const views = log.starts;
    replica.taken();
    replica.hear(one, {
      type: "compacted",
      nonce,
      serves: mine,
      position: log.at(8),
      policy: "available",
      views,
      attempts: [],
    });
    expect(replica.sent("fetch", one).after).toEqual(log.at(8));
    replica.feed(one, theirs);
    expect(replica.taken("beginAnew", "append", "abandon", "rewind")).toEqual(["append"]);
    replica.tick(100);
    expect(replica.sent("heartbeat", one)).toMatchObject({ lastIndex: theirs.last.index, lastView: mine });
  });

  test("of a base that its holder has left for a lineage from before this log is given up, and begun again when asked", () => {
    const deleted = new Records().view(founding, [one, two, self], 6);
    const log = new Records(deleted);
    const replica = new Told(log);
    replica.hear(one, { type: "join", view: mine, epoch: 1, lastActView: founding, removes: null });
    expect(replica.sent("promised", one)).toMatchObject({ floor: deleted.last.index, last: deleted.last });
    const base = log.forkedAfter(log.base.index).view(makeView(1, 2), [one, two], 3);
    const entry = base.entryOf(mine, [one, self]);
    const [record] = base
      .forkedAfter(base.last.index)
      .add(mine, { type: "view", ...entry })
      .all.slice(-1);
    const newView = {
      type: "newView",
      view: mine,
      base: base.last,
      record: record?.bytes ?? new Uint8Array(0),
    } as const;
    replica.hear(one, newView);
    const other = new Records().view(founding, [one, two, self], 1).view(makeView(1, 3), [one], 20);
    replica.diverge(one, other);
    replica.effects.splice(0);
    replica.tick(100);
    // No view is refused for it: the candidate will find that its base is not where it was.
    expect(replica.taken("append", "beginAnew", "abandon")).toEqual([]);
    replica.hear(one, newView);
    replica.feed(one, base);
    expect(replica.sent("viewOk", one)).toEqual({ type: "viewOk", view: mine });
  });
});

describe("a member whose log is replaced for the next view", () => {
  test("takes no word of the old view for one about it, and proves nothing in the view that it comes from", () => {
    const log = new Records().view(founding, [one, two, self], 2);
    const replica = new Told(log);
    const theirs = log.forkedAfter(log.last.index).view(mine, [one, self], 3);
    const viewAt = log.last.index + 1;
    const newView = (view: number, base: Position, { bytes }: LogRecord): ReplicaMessage => ({
      ...{ type: "newView", view, base, record: bytes },
    });
    replica.hear(one, { type: "join", view: mine, epoch: 1, lastActView: founding, removes: null });
    replica.hear(one, newView(mine, log.last, theirs.all[viewAt - 1] as LogRecord));
    const records = theirs.between(viewAt, theirs.last.index);
    replica.hear(one, { type: "append", view: mine, previous: theirs.at(viewAt), commit: viewAt + 1, records });
    // The VIEW entry, and the ACT when that is on its disk too.
    expect(replica.taken("committed")).toEqual(["committed", "committed"]);
    // The next view has another fork for its base. Part of that has come when a word of the old one arrives.
    const others = log.forkedAfter(log.last.index).view(makeView(2, 2), [two], 8);
    const entry = others.entryOf(greater, [two, self]);
    const next = others.forkedAfter(others.last.index).add(greater, { type: "view", ...entry });
    replica.hear(two, { type: "join", view: greater, epoch: 1, lastActView: makeView(2, 2), removes: null });
    replica.hear(two, newView(greater, others.last, next.all.at(-1) as LogRecord));
    replica.diverge(two, others);
    replica.feed(two, others, viewAt + 4);
    replica.hear(one, { type: "commit", view: mine, commit: theirs.last.index });
    // Handed out again, as its state has left the old fork: what both have.
    const handedOut = replica.effects.flatMap((effect) => (effect.type === "committed" ? effect.entries : []));
    expect(handedOut.at(-1)?.index).toBe(log.last.index);
    expect(replica.sent("promised", two).hot).toBe(true);
    replica.hear(one, { type: "join", view: makeView(4, 1), epoch: 1, lastActView: mine, removes: null });
    expect(replica.sent("promised", one)).toMatchObject({ hot: false, attempts: [{ view: makeView(2, 2) }] });
  });
});

describe("who has fetched entries of a greater view before it has heard of it", () => {
  const log = new Records().view(founding, [one, two, self], 2);
  const theirs = log.forkedAfter(log.last.index).view(mine, [one, two], 3);
  const others = theirs.forkedAfter(theirs.last.index).view(greater, [two, self], 3);

  /** Follows the view of `one`, and has learnt more than that. */
  function ahead(policy: Policy): Told {
    const replica = new Told(log, policy);
    replica.hearOfView(one, mine, theirs);
    replica.feed(one, others);
    replica.effects.splice(0);
    replica.tick(30);
    return replica;
  }

  /** What it holds, by its next heartbeat. */
  function held(replica: Told): number {
    replica.tick(100);
    return replica.sent("heartbeat", one).lastIndex;
  }

  test("puts nothing back for one who has not heard of it either, under quorum", () => {
    const replica = ahead("quorum");
    replica.diverge(one, theirs);
    expect(held(replica)).toBe(others.last.index);
    replica.feed(one, theirs, theirs.last.index, mine);
    expect(held(replica)).toBe(others.last.index);
    expect(replica.taken("rewind", "abandon")).toEqual([]);
  });

  test.each(["available", "quorum"] as const)("follows no lesser one that it hears of late, under %s", (policy) => {
    const replica = ahead(policy);
    replica.hearOfView(two, makeView(2, 2), theirs);
    expect(() => replica.sent("fetch", two)).toThrow();
    replica.hearOfView(two, greater, others);
    expect(replica.sent("fetch", two).after).toEqual(others.last);
  });

  test("leaves it for the one that it follows, under available: what it leaves is merged", () => {
    const replica = ahead("available");
    replica.diverge(one, theirs);
    replica.feed(one, theirs, theirs.last.index, mine);
    expect(held(replica)).toBe(theirs.last.index);
  });
});

describe("late news of a view", () => {
  const log = new Records().view(founding, [one, two, self], 2);
  const viewAt = log.last.index + 1;

  /** It promises the view of `one` and is brought it. */
  function installed(replica: Told, theirs: Records): ReplicaMessage {
    const { bytes: record } = theirs.all[viewAt - 1] as LogRecord;
    const newView = { type: "newView", view: mine, base: log.last, record } as const;
    replica.hear(one, { type: "join", view: mine, epoch: 1, lastActView: founding, removes: null });
    replica.hear(one, newView);
    return newView;
  }

  const appended = (theirs: Records, after: number, to: number, commit: number): ReplicaMessage => ({
    ...{ type: "append", view: mine, previous: theirs.at(after), commit, records: theirs.between(after, to) },
  });

  test("that it has formed proves nothing to one who is named to be removed", () => {
    const replica = new Told(log);
    const theirs = log.forkedAfter(log.last.index).view(mine, [one, two, self], 0);
    installed(replica, theirs);
    // ACT is acked; the COMMIT that follows is lost. 1 knows that its view has formed, and is asked to remove 3.
    replica.hear(one, appended(theirs, viewAt, theirs.last.index, log.last.index));
    const next = makeView(3, 1);
    replica.hear(one, { type: "join", view: next, epoch: 1, lastActView: mine, removes: self.pid });
    expect(replica.sent("promised", one)).toMatchObject({ view: next, hot: false });
    // While it waits for promises its heartbeat still tells of the view before, and how far that has committed.
    replica.hear(one, {
      ...{ type: "heartbeat", role: "candidate", installed: mine, formed: false, promised: next, starting: next },
      ...{ epoch: 1, lastActView: mine, lastIndex: viewAt + 1, lastView: mine, commit: viewAt + 1 },
      ...{ durableIndex: viewAt + 1, hears: [self.pid], stuck: false, hot: true, left: false, merged: true },
      ...{ stateIndex: viewAt + 1, members: [one, two, self], connections: 0 },
    });
    replica.tick(100);
    expect(replica.sent("heartbeat", one).hot).toBe(false);
  });

  test("that is brought once more takes nothing back from one who has acked in it, and left it", () => {
    const replica = new Told(log, "quorum");
    const theirs = log.forkedAfter(log.last.index).view(mine, [one, self], 3);
    const newView = installed(replica, theirs);
    const acked = theirs.last.index - 1;
    replica.hear(one, appended(theirs, viewAt, acked, viewAt + 1));
    expect(replica.sent("appendOk", one).durableIndex).toBe(acked);
    // Its disk hangs at the next op: it leaves the view.
    replica.hang();
    replica.hear(one, appended(theirs, acked, theirs.last.index, viewAt + 1));
    for (let at = 0; at < 12; at++) replica.tick(100);
    expect(replica.sent("heartbeat", one)).toMatchObject({ left: true, installed: 0, lastIndex: theirs.last.index });
    replica.hear(one, newView);
    replica.unhang();
    replica.hear(two, { type: "join", view: greater, epoch: 1, lastActView: founding, removes: null });
    expect(replica.sent("promised", two).last.index).toBeGreaterThanOrEqual(acked);
  });
});

describe("a learner that has fetched entries of a later view than the one that it follows", () => {
  const log = new Records().view(founding, [one, two, self], 3);
  const theirs = log.forkedAfter(log.last.index).view(mine, [one, two], 2);
  const later = theirs.forkedAfter(theirs.last.index).view(greater, [two], 0);
  const others = log.forkedAfter(log.last.index).view(mine, [one, two], 3);

  /** Answers its fetch; nothing of that has committed. */
  function feed(replica: Told, records: Records, serves: number): void {
    const { nonce, after: previous } = replica.sent("fetch", one);
    const lastIndex = records.last.index;
    const bytes = records.between(previous.index, lastIndex);
    const commit = log.last.index;
    replica.hear(one, { type: "entries", nonce, previous, commit, lastIndex, serves, records: bytes });
  }

  test.each([
    { serves: 0, lastIndex: later.last.index },
    { serves: mine, lastIndex: others.last.index },
  ])("gives them up for who goes on in that one only (in $serves)", ({ serves, lastIndex }) => {
    const replica = new Told(log);
    replica.hearOfView(one, mine, theirs);
    feed(replica, later, 0);
    replica.tick(100);
    expect(replica.sent("heartbeat", one)).toMatchObject({ lastIndex: later.last.index });
    replica.diverge(one, others);
    feed(replica, others, serves);
    replica.tick(100);
    expect(replica.sent("heartbeat", one)).toMatchObject({ lastIndex });
  });
});

describe("a learner whose log does not reach back to build its state again", () => {
  const deleted = new Records().view(founding, [one, two, self], 6);
  const log = new Records(deleted).view(makeView(1, 3), [self], 5);
  const theirs = new Records(deleted).view(mine, [one], 8);

  function learning(): Told {
    const replica = new Told(log);
    replica.hearOfView(one, mine, theirs);
    replica.diverge(one, theirs);
    return replica;
  }

  test("gives it up for entries of one who is in the view that is followed", () => {
    const replica = learning();
    replica.feed(one, theirs, theirs.last.index, mine);
    expect(replica.taken("abandon")).toEqual(["abandon"]);
  });

  test.each([0, greater])("keeps it when the one who tells has left that view (now in %i)", (serves) => {
    const replica = learning();
    replica.feed(one, theirs, theirs.last.index, serves);
    expect(replica.taken("abandon")).toEqual([]);
    // And for a log that begins behind the end of its own.
    const later = new Records(new Records(deleted).view(mine, [one], 20)).view(mine + 256, [one], 1);
    replica.tick(100);
    const { nonce } = replica.sent("fetch", one);
    replica.hear(one, { type: "compacted", nonce, serves, ...later.beginning });
    replica.tick(100);
    expect(replica.sent("heartbeat", one)).toMatchObject({ lastIndex: log.last.index, stateIndex: log.last.index });
    expect(replica.taken("abandon", "beginAnew")).toEqual([]);
  });

  const outsider = { pid: 4, uuid: "40000000-0000-4000-8000-000000000000", incarnation: 1 };

  test.each([two, outsider])(
    "asks replica $pid for a state when the one it has asked has given its own up",
    (other) => {
      const replica = learning();
      replica.feed(one, theirs, theirs.last.index, mine);
      replica.tick(10);
      expect(replica.sent("snapshotFetch", one)).toMatchObject({ snapshot: null });
      const standing = {
        ...{ installed: 0, formed: false, promised: mine, starting: 0, epoch: 1, lastActView: mine, lastView: mine },
        ...{
          lastIndex: theirs.last.index,
          commit: theirs.last.index,
          durableIndex: theirs.last.index,
          hears: [self.pid],
        },
        ...{ stuck: false, hot: false, left: false, merged: true, members: [], connections: 0 },
      };
      replica.hear(one, { type: "heartbeat", ...standing, role: "candidate", stateIndex: null });
      replica.tick(10);
      expect(() => replica.sent("snapshotFetch", other)).toThrow();
      replica.hear(other, { type: "heartbeat", ...standing, role: "candidate", stateIndex: theirs.last.index });
      replica.tick(10);
      expect(replica.sent("snapshotFetch", other)).toMatchObject({ snapshot: null });
    },
  );

  test.each([
    { view: founding, orders: 0 },
    { view: mine, orders: 1 },
  ])("takes no snapshot that its log has passed in a later view already: $view", ({ view, orders }) => {
    const replica = learning();
    replica.feed(one, theirs, theirs.last.index, mine);
    replica.tick(10);
    const { nonce } = replica.sent("snapshotFetch", one);
    const position = { index: theirs.last.index + 50, view, chain: 5n };
    replica.taken();
    replica.hear(one, {
      type: "snapshotOffer",
      nonce,
      snapshot: { position, sizeBytes: 10, sha256: new Uint8Array(32) },
    });
    expect(replica.taken("receive")).toHaveLength(orders);
  });

  test("asks the primary when it learns from a member that has left that view", () => {
    const replica = new Told(log);
    const members = [one, two];
    const standing = {
      ...{ installed: mine, formed: true, promised: mine, starting: 0, epoch: 1, lastActView: mine },
      ...{ lastIndex: theirs.last.index, lastView: mine, commit: theirs.last.index, durableIndex: theirs.last.index },
      ...{
        hears: [self.pid],
        stuck: false,
        hot: true,
        left: false,
        merged: true,
        stateIndex: theirs.last.index,
        connections: 0,
      },
    };
    replica.hear(two, { type: "heartbeat", ...standing, role: "backup", members });
    replica.diverge(two, theirs);
    replica.hear(one, { type: "heartbeat", ...standing, role: "primary", members });
    replica.feed(two, theirs, theirs.last.index, 0);
    expect(replica.sent("fetch", one).after).toEqual(log.last);
    expect(replica.taken("abandon")).toEqual([]);
  });
});

describe("the clock of the log", () => {
  test("is not that of a fork that was left, when this replica leads next", () => {
    const op = {
      type: "op",
      session: "00000000-0000-4000-8000-00000000000a",
      seq: 1,
      oldest: 1,
      at: 0,
      origAt: 0,
    } as const;
    const content = { digest: new Uint8Array(8), command: new Uint8Array([1]) };
    const common = new Records().view(founding, [one, two, self], 2);
    // The clock of its primary was far ahead.
    const fork = common.forkedAfter(common.last.index).view(mine, [one], 0);
    fork.add(mine, { ...op, ...content, at: 1e9, origAt: 1e9 });
    const lineage = common.forkedAfter(common.last.index).view(greater, [two], 1);
    const replica = new Told(common);
    replica.hearOfView(one, mine, fork);
    replica.feed(one, fork, fork.last.index, mine);
    replica.follow(two, greater, lineage);
    expect(replica.taken("rewind")).toEqual(["rewind"]);
    // Both are gone, and the recovery wait is over.
    for (let passedMs = 0; passedMs < 15_000; passedMs += 100) replica.tick(100);
    replica.effects.splice(0);
    replica.step({ type: "propose", ops: [{ ...op, ...content }] });
    replica.tick(10);
    const records = replica.effects.flatMap((effect) => (effect.type === "append" ? effect.records : []));
    const times = records.flatMap((bytes) => {
      const record = decodeRecord(bytes, 0);
      const entry =
        typeof record === "string" || record.kind !== recordKind.op ? null : decodeEntry(record.kind, record.payload);
      return entry?.type === "op" ? entry.at : [];
    });
    expect(times).toHaveLength(1);
    expect(times[0]).toBeLessThan(1e6);
  });
});
