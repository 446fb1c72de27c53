/**
 * The log is shortened only over a state that is durable. One replica, told by hand what its peers and its disk say, as no
 * seed is likely to lose power between the two.
 */
import { expect, test } from "bun:test";
import { makeView } from "../protocol/ids.ts";
import type { Member } from "../protocol/messages.ts";
import type { LogRecord } from "../protocol/record.ts";
import { founding, greater, mine, one, Records, self, Told, two } from "./told.fixture.ts";

/** It promises this view of `leader` and is brought it, with all that `theirs` holds in it; everybody has all on disk. */
function member(replica: Told, leader: Member, view: number, theirs: Records): void {
  const at = theirs.all.findIndex((record) => record.view === view);
  const record = theirs.all[at] as LogRecord;
  const viewAt = record.index;
  replica.hear(leader, { type: "join", view, epoch: 1, lastActView: founding, removes: null });
  replica.hear(leader, { type: "newView", view, base: theirs.at(viewAt - 1), record: record.bytes });
  const { index } = theirs.last;
  replica.hear(leader, {
    ...{ type: "append", view, previous: theirs.at(viewAt), commit: viewAt, records: theirs.between(viewAt, index) },
  });
  replica.hear(leader, { type: "commit", view, commit: index });
  for (const from of [one, two]) {
    replica.hear(from, {
      ...{ type: "heartbeat", role: from === leader ? "primary" : "backup", installed: view, formed: true },
      ...{ promised: view, starting: 0, epoch: 1, lastActView: view, lastIndex: index, lastView: view },
      ...{ commit: index, durableIndex: index, hears: [one.pid, two.pid, self.pid], stuck: false, hot: true },
      ...{ left: false, merged: true, stateIndex: index, members: [one, two, self], connections: 0 },
    });
  }
}

test("a state that is built again from the log is made durable before the log is shortened", () => {
  const log = new Records().view(founding, [one, two, self], 10);
  const replica = new Told(log, "available", 5);
  const first = log.forkedAfter(log.last.index).view(mine, [one, two, self], 3);
  member(replica, one, mine, first);
  for (let at = 0; at < 10; at++) replica.tick(100);
  // It is about to shorten its log, and has its state made durable for that.
  expect(replica.taken("sync", "compact")).toEqual(["sync"]);
  // Cut off meanwhile, the others have gone on from before its end: its state is emptied and built again.
  const others = first.forkedAfter(8).view(greater, [two], 8);
  replica.follow(two, greater, others);
  expect(replica.taken("rewind", "compact")).toEqual(["rewind"]);
  replica.step({ type: "state", report: { type: "synced" } });
  const together = others.forkedAfter(others.last.index).view(makeView(4, 2), [one, two, self], 3);
  member(replica, two, makeView(4, 2), together);
  for (let at = 0; at < 15; at++) replica.tick(100);
  // What was made durable was the state that is gone.
  expect(replica.taken("sync", "compact")[0]).toBe("sync");
});

test("a snapshot whose entry has left the log says nothing of what is durable", () => {
  const log = new Records().view(founding, [one, two, self], 2);
  const replica = new Told(log, "available", 5);
  const theirs = log.forkedAfter(3).view(mine, [one], 40);
  const others = log.forkedAfter(3).view(greater, [two], 30);
  replica.hearOfView(one, mine, theirs);
  replica.diverge(one, theirs);
  replica.feed(one, theirs, 6, mine);
  replica.tick(10);
  replica.handOver(one, theirs.at(30));
  replica.feed(one, theirs);
  replica.tick(10);
  replica.follow(two, greater, others);
  replica.effects.splice(0);
  replica.step({ type: "state", report: { type: "installed", position: theirs.at(30), clock: 5 } });
  expect(replica.taken("rewind")).toEqual(["rewind"]);
  const together = others.forkedAfter(others.last.index).view(makeView(4, 2), [one, two, self], 3);
  member(replica, two, makeView(4, 2), together);
  for (let tick = 0; tick < 15; tick++) replica.tick(100);
  expect(replica.taken("sync", "compact")[0]).toBe("sync");
});
