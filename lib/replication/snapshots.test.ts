/**
 * What becomes of a state on its way when logs go another way meanwhile: told by hand, to a replica with real parts, what needs
 * messages to cross within a step.
 */
import { describe, expect, test } from "bun:test";
import { makeView } from "../protocol/ids.ts";
import type { FrameOf, Position } from "../protocol/messages.ts";
import { config, founding, greater, mine, one, Records, self, Told, two } from "./told.fixture.ts";

/** The heartbeat of one in no view, whose log ends here and is committed. */
const waiting = (promised: number, { index, view }: Position, lastActView: number): FrameOf<"heartbeat"> => ({
  ...{
    type: "heartbeat",
    role: "candidate",
    installed: 0,
    formed: false,
    promised,
    starting: 0,
    epoch: 1,
    lastActView,
  },
  ...{ lastIndex: index, lastView: view, commit: index, durableIndex: index, hears: [self.pid], stuck: false },
  ...{ hot: false, left: false, merged: true, stateIndex: index, members: [], connections: 0 },
});

describe("a candidate that has given its state up for the base", () => {
  test("takes none from behind that, for which its log would have to go on, and starts another view when there is no other", () => {
    const deleted = new Records().view(founding, [one, two, self], 6);
    const replica = new Told(new Records(deleted).view(makeView(2, 3), [self], 5));
    // 2 learns from 1, who leads alone and then dies.
    const led = makeView(3, 1);
    const base = new Records(deleted).view(led, [one], 10);
    const further = new Records(deleted).view(led, [one], 15);
    let view = 0;
    const heard = ({ last }: Records): void => {
      replica.tick(100);
      replica.hear(two, waiting(Math.max(led, view), last, led));
    };
    for (let at = 0; at < 25; at++) heard(base);
    replica.hear(two, { type: "askReply", nonce: replica.sent("ask", two).nonce, verdict: "go", maxSeen: led });
    ({ view } = replica.sent("join", two));
    const index = deleted.last.index + 1;
    replica.hear(two, {
      ...{ type: "promised", view, epoch: 1, last: base.last, floor: deleted.last.index, floorView: founding },
      ...{ hot: false, damaged: false, behind: false, commit: base.last.index, applied: base.last.index },
      ...{ views: base.starts },
      attempts: [{ view: led, index, epoch: 1, members: [one], config, awaiting: [], formed: true }],
    });
    // The recovery wait goes by.
    for (let at = 0; at < 80; at++) heard(base);
    replica.diverge(two, base);
    replica.feed(two, base);
    // After its promise 2 has learnt and applied more.
    heard(further);
    replica.offer(two, further.last);
    expect(replica.taken("abandon", "receive")).toEqual(["abandon"]);
    heard(further);
    expect(replica.sent("heartbeat", two).starting).not.toBe(view);
  });

  test("gives its view up when nobody has that state, and so hears of a lesser view that has its own", () => {
    const deleted = new Records().view(founding, [one, two, self], 6);
    const replica = new Told(new Records(deleted).view(makeView(2, 3), [self], 5));
    // 2 has deleted what 3 would need to stay on its own lineage, and has lost its state. 1 is not heard.
    const begun = new Records(deleted).view(greater, [two], 20);
    const theirs = new Records(begun).view(makeView(4, 2), [two], 2);
    const heard = (): void => {
      replica.tick(100);
      replica.hear(two, { ...waiting(greater, begun.last, greater), hot: true, stateIndex: null });
    };
    for (let at = 0; at < 20; at++) heard();
    replica.hear(two, { type: "askReply", nonce: replica.sent("ask", two).nonce, verdict: "go", maxSeen: greater });
    const { view } = replica.sent("join", two);
    const alone = { epoch: 1, members: [two], config, awaiting: [], formed: true };
    const [before, last] = [
      { view: greater, index: deleted.last.index + 1, ...alone },
      { view: makeView(4, 2), index: begun.last.index + 1, ...alone },
    ];
    replica.hear(two, {
      ...{
        type: "promised",
        view,
        epoch: 1,
        last: theirs.last,
        floor: begun.last.index,
        floorView: greater,
        hot: true,
      },
      ...{ damaged: false, behind: true, commit: begun.last.index, applied: null, views: theirs.starts },
      attempts: [last],
    });
    const { nonce } = replica.sent("fetch", two);
    replica.hear(two, { type: "compacted", nonce, serves: 0, ...theirs.beginning, attempts: [before] });
    replica.feed(two, theirs);
    expect(replica.taken("beginAnew", "abandon")).toEqual(["abandon", "beginAnew"]);
    const lesser = new Records(deleted).view(makeView(2, 1), [one], 3);
    for (let at = 0; at < 350; at++) {
      heard();
      replica.hearOfView(one, makeView(2, 1), lesser);
    }
    expect(replica.sent("probe", one).type).toBe("probe");
  });
});

describe("a snapshot that is being put in place when its entry leaves the log", () => {
  /** Installs the state of `one` at an entry of `theirs`, and hears of the greater view of `two` before that is done. */
  function overtaken(replica: Told, theirs: Records, others: Records, at: Position): void {
    replica.handOver(one, at);
    replica.feed(one, theirs);
    replica.tick(10);
    expect(replica.taken("receive", "write", "finish", "install")).toEqual(["receive", "write", "finish", "install"]);
    replica.follow(two, greater, others);
    replica.effects.splice(0);
    replica.step({ type: "state", report: { type: "installed", position: at, clock: 5 } });
  }

  test("is thrown away, and the state built again from the log", () => {
    const log = new Records().view(founding, [one, two, self], 2);
    const replica = new Told(log);
    const theirs = log.forkedAfter(3).view(mine, [one], 40);
    const others = log.forkedAfter(3).view(greater, [two], 3);
    replica.hearOfView(one, mine, theirs);
    replica.diverge(one, theirs);
    replica.feed(one, theirs, 6, mine);
    replica.tick(10);
    overtaken(replica, theirs, others, theirs.at(30));
    expect(replica.effects.map(({ type }) => type)).toEqual(["rewind", "committed"]);
    const [, committed] = replica.effects;
    const entries = committed?.type === "committed" ? committed.entries : [];
    expect(entries.map(({ chain }) => chain)).toEqual(others.all.map(({ chain }) => chain));
  });

  test("is thrown away, and what had been applied before is told to nobody again", () => {
    const log = new Records().view(founding, [one, two, self], 2);
    const replica = new Told(log);
    const theirs = log.forkedAfter(4).view(mine, [one], 40);
    const others = theirs.forkedAfter(10).view(greater, [two], 3);
    replica.hearOfView(one, mine, theirs);
    replica.feed(one, theirs, 6, mine);
    replica.tick(10);
    overtaken(replica, theirs, others, theirs.at(30));
    const committed = replica.effects.find(({ type }) => type === "committed");
    expect(committed).toMatchObject({ type: "committed", replayed: 6 });
  });

  test("is given up for another where the log does not reach back to build it", () => {
    const log = new Records(new Records().view(founding, [one, two, self], 6));
    const replica = new Told(log);
    const theirs = log.forkedAfter(log.base.index).view(mine, [one], 80);
    const others = log.forkedAfter(log.base.index).view(greater, [two], 3);
    replica.hearOfView(one, mine, theirs);
    replica.feed(one, theirs, log.base.index + 2);
    replica.tick(10);
    overtaken(replica, theirs, others, theirs.at(60));
    expect(replica.taken("abandon", "rewind", "committed")).toEqual(["abandon"]);
    replica.tick(10);
    expect(replica.sent("snapshotFetch", two)).toMatchObject({ snapshot: null, offset: 0 });
  });
});

/** Its log departs from what the others have deleted: it follows `one`, and needs a state. */
function inNeed(): { readonly replica: Told; readonly theirs: Records } {
  const deleted = new Records().view(founding, [one, two, self], 6);
  const replica = new Told(new Records(deleted).view(makeView(1, 3), [self], 5));
  const theirs = new Records(deleted).view(mine, [one], 8);
  replica.follow(one, mine, theirs);
  replica.tick(10);
  return { replica, theirs };
}

test("tells how much of the state has yet to come", () => {
  const { replica, theirs } = inNeed();
  replica.offer(one, theirs.last, 2_500_000);
  expect(replica.stillToCome).toBe("2.5 of 2.5 MB");
  const { nonce } = replica.sent("snapshotFetch", one);
  replica.hear(one, { type: "snapshotPart", nonce, offset: 0, bytes: new Uint8Array(300_000) });
  expect(replica.stillToCome).toBe("2.2 of 2.5 MB");
});

test("a late word about the check of a snapshot that was given up puts no other one in place unchecked", () => {
  const { replica, theirs } = inNeed();
  replica.receive(one, { index: theirs.last.index + 5, view: mine, chain: 5n });
  const first = replica.lastCheck;
  // 2 starts a view on what stands here: what is being checked lies beyond that.
  replica.hear(two, { type: "join", view: greater, epoch: 1, lastActView: mine, removes: null });
  const next = theirs.forkedAfter(theirs.last.index);
  next.add(greater, { type: "view", ...theirs.entryOf(greater, [two, self]) });
  replica.hear(two, { ...waiting(greater, theirs.last, mine), starting: greater });
  const record = next.between(theirs.last.index, next.last.index);
  replica.hear(two, { type: "newView", view: greater, base: theirs.last, record });
  expect(replica.taken("discard")).toEqual(["discard"]);
  replica.tick(10);
  replica.receive(two, theirs.last);
  const second = replica.lastCheck;
  replica.checked(first);
  expect(replica.taken("install")).toEqual([]);
  replica.checked(second);
  expect(replica.taken("install")).toEqual(["install"]);
});

test("a state from behind the end of a log that nobody brings on gives way to another's, which the log holds", () => {
  const deleted = new Records().view(founding, [one, two, self], 6);
  const replica = new Told(new Records(deleted).view(makeView(1, 3), [self], 5));
  // 1 leads alone, and dies before all is learnt here; in its damaged log it and 2, who has learnt less, find no place
  // for their states.
  const theirs = new Records(deleted).view(mine, [one], 40);
  const after = deleted.last.index;
  replica.hearOfView(one, mine, theirs);
  replica.diverge(one, theirs);
  replica.feed(one, theirs, after + 20, mine);
  expect(replica.taken("abandon")).toEqual(["abandon"]);
  const [first, second] = [one, two].map((member) => ({ ...member, incarnation: 2 }));
  const heard = (): void => {
    replica.tick(100);
    if (first !== undefined)
      replica.hear(first, { ...waiting(mine, theirs.at(after + 10), mine), stateIndex: after + 40 });
    if (second !== undefined) replica.hear(second, { ...waiting(mine, deleted.last, mine), stateIndex: after + 15 });
  };
  for (let at = 0; at < 15; at++) heard();
  replica.receive(first ?? one, theirs.at(after + 40));
  replica.checked();
  for (let at = 0; at < 250; at++) heard();
  replica.receive(second ?? two, theirs.at(after + 15));
  replica.checked();
  expect(replica.taken("discard", "install")).toEqual(["discard", "install"]);
});

test("a state from behind the end of the log that is followed gives way to the state of who is in that view", () => {
  const deleted = new Records().view(founding, [one, two, self], 6);
  const replica = new Told(new Records(deleted).view(makeView(1, 3), [self], 5));
  const theirs = new Records(deleted).view(mine, [one], 40);
  replica.follow(one, mine, theirs);
  // 2 cannot read in its damaged log where its state belongs, which has gone another way; 1 is heard again after a while.
  const beyond = { index: theirs.last.index + 50, view: greater, chain: 5n };
  const heard = (): void => {
    replica.tick(100);
    replica.hear(two, { ...waiting(mine, deleted.last, mine), stateIndex: beyond.index });
  };
  for (let at = 0; at < 15; at++) heard();
  replica.receive(two, beyond);
  replica.checked();
  replica.taken();
  for (let at = 0; at < 250; at++) {
    heard();
    replica.hearOfView(one, mine, theirs);
    if (at === 0) replica.feed(one, theirs, theirs.last.index, mine);
  }
  replica.handOver(one, theirs.last);
  expect(replica.taken("discard", "install")).toEqual(["discard", "install"]);
});

test("one whose state cannot be read here is not asked again for a while, but another is", () => {
  const log = new Records(new Records().view(founding, [one, two, self], 6));
  const replica = new Told(log);
  const theirs = log.forkedAfter(log.last.index).view(mine, [one], 80);
  replica.hearOfView(one, mine, theirs);
  replica.feed(one, theirs, log.last.index + 2, mine);
  replica.tick(10);
  replica.receive(one, theirs.at(60));
  replica.checked(replica.lastCheck, "unreadable");
  expect(replica.taken("discard", "install")).toEqual(["discard"]);
  const heard = (): void => {
    replica.tick(100);
    replica.hearOfView(one, mine, theirs);
  };
  for (let at = 0; at < 590; at++) heard();
  expect(() => replica.sent("snapshotFetch", one)).toThrow();
  replica.hear(two, waiting(mine, theirs.last, mine));
  replica.tick(10);
  expect(replica.sent("snapshotFetch", two)).toMatchObject({ snapshot: null, offset: 0 });
});

test("a promise tells of the state that is being put in place, not of the one that it takes the place of", () => {
  const log = new Records().view(founding, [one, two, self], 2);
  const replica = new Told(log);
  const theirs = log.forkedAfter(log.last.index).view(mine, [one], 40);
  replica.hearOfView(one, mine, theirs);
  replica.feed(one, theirs, 6, mine);
  replica.tick(10);
  replica.handOver(one, theirs.at(30));
  replica.feed(one, theirs, theirs.last.index, mine, 6);
  replica.tick(10);
  expect(replica.taken("install")).toEqual(["install"]);
  replica.hear(two, { type: "join", view: greater, epoch: 1, lastActView: mine, removes: null });
  expect(replica.sent("promised", two)).toMatchObject({ view: greater, applied: 30 });
});

test("a promise tells of no state that is being put in place, when its entry has left the log meanwhile", () => {
  const deleted = new Records().view(founding, [one, two, self], 6);
  const log = new Records(deleted).view(makeView(1, 3), [self], 5);
  const replica = new Told(log);
  const theirs = log.forkedAfter(log.base.index).view(mine, [one], 40);
  const others = log.forkedAfter(log.base.index).view(greater, [two], 60);
  replica.follow(one, mine, theirs);
  replica.tick(10);
  replica.handOver(one, theirs.at(30));
  expect(replica.taken("install")).toEqual(["install"]);
  replica.follow(two, greater, others);
  const view = makeView(4, 1);
  replica.hear(one, { type: "join", view, epoch: 1, lastActView: mine, removes: null });
  expect(replica.sent("promised", one)).toMatchObject({ view, last: others.last, applied: null });
});

test("a promise tells of what is applied while the view is made: all that is committed, and a state that is on its way", () => {
  const log = new Records().view(founding, [one, two, self], 2);
  const theirs = log.forkedAfter(log.last.index).view(mine, [one], 40);
  const join = { type: "join", view: greater, epoch: 1, lastActView: mine, removes: null } as const;
  const told = (commit: number): number | null => {
    const replica = new Told(log);
    replica.hearOfView(one, mine, theirs);
    replica.feed(one, theirs, 6, mine);
    replica.tick(10);
    replica.receive(one, theirs.at(30));
    replica.feed(one, theirs, theirs.last.index, mine, commit);
    replica.hear(two, join);
    const { applied } = replica.sent("promised", two);
    replica.checked();
    expect(replica.taken("install")).toEqual(["install"]);
    return applied;
  };
  expect([6, 40].map(told)).toEqual([30, 40]);
});
