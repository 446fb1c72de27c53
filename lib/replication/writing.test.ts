/** What waits to be proposed at a replica that learns, when the same op is asked for again. */
import { expect, test } from "bun:test";
import { decodeEntry } from "../protocol/codec.ts";
import type { OpEntry } from "../protocol/entries.ts";
import { recordKind } from "../protocol/record.ts";
import { founding, greater, mine, one, Records, self, Told, two } from "./told.fixture.ts";

const opOf = (tag: number): OpEntry => ({
  ...{ session: "00000000-0000-4000-8000-00000000000a", seq: 1, oldest: 1, at: 0, origAt: 0 },
  ...{ digest: new Uint8Array(8).fill(tag), command: new Uint8Array([tag]) },
});

function forwarded({ effects }: Told): (number | undefined)[] {
  const messages = effects.flatMap((effect) => (effect.type === "send" ? effect.message : []));
  return messages
    .flatMap((message) => (message.type === "forward" ? message.ops : []))
    .map((bytes) => {
      const entry = decodeEntry(recordKind.op, bytes);
      return entry.type === "op" ? entry.command[0] : undefined;
    });
}

test("an op dropped with its fork does not come to the other lineage in the place of the one asked for again", () => {
  const common = new Records().view(founding, [one, two, self], 2);
  const fork = common.forkedAfter(4).view(mine, [self], 2);
  const lineage = common.forkedAfter(4).view(greater, [two], 1);
  const told = new Told(fork);
  told.hearOfView(two, greater, lineage);
  // Prepared from the fork; nothing is forwarded yet.
  told.step({ type: "propose", ops: [opOf(1)] });
  told.diverge(two, lineage);
  told.hang();
  told.feed(two, lineage, lineage.last.index, greater);
  // The state was emptied, the client has resumed: prepared anew.
  told.step({ type: "propose", ops: [opOf(2)] });
  told.unhang();
  told.tick(10);
  expect(forwarded(told)).toEqual([2]);
});

test("an op refused as unavailable is not forwarded later, when its number is used again", () => {
  const common = new Records().view(founding, [one, two, self], 2);
  const lineage = common.forkedAfter(4).view(greater, [two], 1);
  const told = new Told(common);
  const wait = (forMs: number): void => {
    for (let passedMs = 0; passedMs < forMs; passedMs += 10) {
      told.tick(10);
      if (passedMs % 100 === 0) told.hearOfView(two, greater, lineage);
    }
  };
  told.hearOfView(two, greater, lineage);
  told.step({ type: "propose", ops: [opOf(1)] });
  // Whoever is asked is not in its view at this moment.
  wait(5_200);
  expect(told.effects).toContainEqual(expect.objectContaining({ type: "unavailable" }));
  told.step({ type: "propose", ops: [opOf(2)] });
  told.feed(two, lineage, lineage.last.index, greater);
  told.tick(10);
  expect(forwarded(told)).toEqual([2]);
});
