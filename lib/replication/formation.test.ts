/** Which members a view gets: cases in which those who are quickest to take in would not be enough. */
import { expect, test } from "bun:test";
import { makeView } from "../protocol/ids.ts";
import type { Attempt, Configured, Member, Policy } from "../protocol/messages.ts";
import { judge, type PromiseGiven } from "./formation.ts";

const uuid = (digit: number): string => `${digit}0000000-0000-4000-8000-000000000000`;
const process = (pid: number, disk = pid): Member => ({ pid, uuid: uuid(disk), incarnation: 2 });
const config: readonly Configured[] = [1, 2, 3].map((pid) => ({ pid, address: `host${pid}:1`, uuid: uuid(pid) }));

function attempt(view: number, index: number, members: readonly Member[], formed: boolean): Attempt {
  return { view, index, epoch: 1, members: [...members], config: [...config], awaiting: [], formed };
}

function promise(from: Member, index: number, attempts: readonly Attempt[], damaged = false): PromiseGiven {
  const view = attempts.at(-1)?.view ?? 0;
  return {
    from,
    message: {
      ...{ type: "promised", view: makeView(9, 1), epoch: 1, last: { index, view, chain: 1n }, floor: 0, floorView: 0 },
      ...{ hot: false, views: [] },
      ...{ damaged, behind: false, commit: 0, applied: 0, attempts: [...attempts] },
    },
  };
}

function membersOf(policy: Policy, promises: readonly PromiseGiven[]): number[] | string {
  const verdict = judge({
    ...{ policy, self: process(1), founders: config, promises, waited: false, behindEntriesMax: 2_000, wanted: null },
    suspected: (pid) => !promises.some(({ from, message }) => from.pid === pid && !message.damaged),
  });
  return verdict.may === true ? verdict.formation.members.map(({ pid }) => pid) : verdict.why;
}

const formed = attempt(makeView(2, 2), 10, [process(2), process(3)], true);
const attempted = attempt(makeView(3, 1), 3_000, [process(1), process(3)], false);

test("who is far behind waits outside", () => {
  expect(
    membersOf(
      "available",
      [1, 2, 3].map((pid) => promise(process(pid), pid === 3 ? 100 : 3_000, [formed])),
    ),
  ).toEqual([1, 2]);
});

test("available: without anyone of the last formed view nobody who comes next would know of the new one", () => {
  const promises = [
    promise(process(1), 3_000, [formed, attempted]),
    promise(process(2), 20, [formed]),
    promise(process(3), 20, [formed]),
  ];
  expect(membersOf("available", promises)).toEqual([1, 2, 3]);
});

test("quorum: a disk that replaced another does not make up the majority", () => {
  const last = attempt(makeView(2, 1), 10, [process(1), process(2)], true);
  const promises = [
    promise(process(1), 3_000, [last]),
    promise(process(2), 20, [last]),
    promise(process(3, 7), 3_000, [last]),
  ];
  expect(membersOf("quorum", promises)).toEqual([1, 2, 3]);
});

test("quorum: a change that was begun is carried on, or taken back by those who can make no view with it", () => {
  const [one, two, three] = [process(1), process(2), process(3)];
  const last = attempt(makeView(1, 1), 1, [one, two, three], true);
  const without: Attempt = {
    ...attempt(makeView(2, 1), 10, [one, two], false),
    ...{ epoch: 2, config: config.filter(({ pid }) => pid !== 3) },
  };
  const begun = promise(one, 10, [last, without]);
  const other = promise(three, 9, [last]);
  expect(membersOf("quorum", [begun, promise(two, 10, [last, without]), other])).toEqual([1, 2]);
  expect(membersOf("quorum", [begun, other])).toEqual([1, 3]);
  // Started again since: it may have made the ACT, and lost it with its power. It is no more of a view that forms than before.
  const again = promise({ ...one, incarnation: 3 }, 10, [last, without]);
  expect(membersOf("quorum", [again, other])).toEqual([1, 3]);
  // Carried on by another: it has promised a later view than that one's, without its ACT.
  const carried = { ...without, ...attempt(makeView(3, 2), 11, [one, two], false), epoch: 2, config: without.config };
  expect(membersOf("quorum", [promise(one, 11, [last, without, carried]), other])).toEqual([1, 3]);
  // Formed, as far as anybody can tell.
  expect(membersOf("quorum", [promise(one, 11, [{ ...without, formed: true }]), other])).toBe("for a majority");
});

test("quorum: another disk in the config that was begun does not stand for a majority of the one before", () => {
  const [one, two, three] = [process(1), process(2), process(3)];
  const last = attempt(makeView(1, 1), 1, [one, two, three], true);
  const without: Attempt = {
    ...attempt(makeView(2, 2), 10, [one, two], false),
    ...{ epoch: 2, config: config.filter(({ pid }) => pid !== 3) },
  };
  const begun = promise(one, 10, [last, without]);
  const replaced = promise(process(2, 7), 0, []);
  // 3 has promised, and may have gone on with the old disk of 2 since, in a view from the config before.
  const all = [begun, replaced, promise(three, 9, [last])];
  expect(membersOf("quorum", all)).toEqual([1, 2, 3]);
  expect(membersOf("quorum", [begun, replaced])).toBe("for a majority, replica 2 with the disk it had before");
  const both = "for a majority, replicas 2, 3 with the disks they had before";
  expect(membersOf("quorum", [begun, replaced, promise(process(3, 7), 0, [])])).toBe(both);
});

test("quorum: whose place another disk was to take does not take it back from a view that may have formed", () => {
  const last = attempt(makeView(1, 2), 1, [process(1), process(2), process(3)], true);
  const replaced = {
    ...attempt(makeView(2, 2), 10, [process(1, 7), process(2), process(3)], false),
    ...{ epoch: 2, config: config.map((each) => (each.pid === 1 ? { ...each, uuid: uuid(7) } : each)) },
  };
  // 2 has perhaps made its ACT, and goes on with the other disk: that would be another majority.
  const promises = [promise(process(1), 9, [last]), promise(process(3), 10, [last, replaced])];
  expect(membersOf("quorum", promises)).toBe("for a majority");
  const formed = [
    promise(process(1, 7), 10, [last, replaced]),
    promise(process(2), 11, [{ ...replaced, formed: true }]),
  ];
  expect(membersOf("quorum", formed)).toEqual([1, 2]);
  // The two who remain are enough for yet another disk.
  const third = [
    promise(process(1, 8), 9, [last]),
    promise(process(2), 9, [last]),
    promise(process(3), 10, [last, replaced]),
  ];
  expect(membersOf("quorum", third)).toEqual([1, 2, 3]);
});

test("quorum: a view meets whoever goes on from any that was attempted, not from the last of them alone", () => {
  const last = attempt(makeView(1, 2), 1, [process(1), process(2), process(3)], true);
  const replaced = {
    ...attempt(makeView(2, 2), 10, [process(1, 7), process(2), process(3)], false),
    ...{ epoch: 2, config: config.map((each) => (each.pid === 1 ? { ...each, uuid: uuid(7) } : each)) },
  };
  const back = { ...attempt(makeView(3, 3), 11, [process(1), process(2), process(3)], false), epoch: 3 };
  const both = [promise(process(1), 11, [last, replaced, back]), promise(process(3), 11, [last, replaced, back])];
  // 2 may go on with the other disk, which has perhaps the ACT of the first, and has heard nothing of the second.
  expect(membersOf("quorum", both)).toBe("for a majority");
  expect(membersOf("quorum", [...both, promise(process(2), 11, [last, replaced, back])])).toEqual([1, 2, 3]);
  // Far behind, and needed all the same.
  const far = both.map(({ from }) => promise(from, 3_000, [last, replaced, { ...back, index: 3_000 }]));
  expect(membersOf("quorum", [...far, promise(process(2), 10, [last, replaced])])).toEqual([1, 2, 3]);
  // It may have gone on so before its log was damaged.
  expect(membersOf("quorum", [...both, promise(process(2), 11, [last, replaced, back], true)])).toBe("for a majority");
});

test("a damaged log has no voice, and is taken in by those who have", () => {
  const damaged = promise(process(3), 20, [formed], true);
  const sound = [promise(process(1), 20, [formed]), promise(process(2), 20, [formed])];
  expect(membersOf("quorum", [...sound, damaged])).toEqual([1, 2, 3]);
  expect(membersOf("quorum", [promise(process(1), 20, [formed]), damaged])).toBe("for a majority");
  expect(membersOf("available", [promise(process(1), 20, [formed]), damaged])).toBe("who may hold more");
});

/** On a log that is the same as the others' up to 64, and shortened. */
function forked(pid: number, of: Attempt, last: number, applied: number | null): PromiseGiven {
  const { from, message } = promise(process(pid), last, [of]);
  const views = [
    { view: makeView(1, 1), firstIndex: 1 },
    { view: of.view, firstIndex: 65 },
  ];
  return { from, message: { ...message, floor: 48, floorView: makeView(1, 1), applied, views } };
}

test("available: a log whose state nobody has is not the base while a lesser one has its own", () => {
  const other = attempt(makeView(4, 1), 65, [process(1)], true);
  const lesser = attempt(makeView(3, 2), 65, [process(2)], true);
  const baseOf = (...promises: PromiseGiven[]) => {
    const verdict = judge({
      ...{ policy: "available", self: process(2), founders: config, promises, waited: false },
      ...{ behindEntriesMax: 2_000, wanted: null, suspected: () => false },
    });
    return verdict.may === true ? verdict.formation.base.index : verdict;
  };
  const without = forked(3, other, 106, null);
  expect(baseOf(without, forked(2, lesser, 66, 66), forked(1, lesser, 66, 66))).toBe(66);
  // Its state goes no further than what both hold.
  expect(baseOf(without, forked(2, lesser, 66, 64), forked(1, lesser, 66, 66))).toBe(106);
  // Nobody has any: the greatest, until somebody comes who has.
  expect(baseOf(without, forked(2, lesser, 66, null), forked(1, lesser, 66, null))).toBe(106);
});

test("available: who is awaited in the greatest view is awaited still when the base is a lesser log", () => {
  const greatest = { ...attempt(makeView(4, 2), 65, [process(2)], true), awaiting: [uuid(3)] };
  const lesser = attempt(makeView(3, 1), 65, [process(1)], true);
  const verdict = judge({
    ...{ policy: "available", self: process(1), founders: config, waited: true, behindEntriesMax: 2_000, wanted: null },
    promises: [forked(2, greatest, 106, null), forked(1, lesser, 66, 66)],
    suspected: (pid) => pid === 3,
  });
  expect(verdict).toMatchObject({ may: true, formation: { base: { index: 66 }, awaiting: [uuid(3)] } });
});
