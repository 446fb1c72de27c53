/**
 * Of thousands of pairs of logs, each shortened somewhere: who brings its log onto the other's gets that very log, keeps what
 * both have in common, and refuses exactly where they part below its floor. Beside a model that has both of them whole.
 */
import { expect, test } from "bun:test";
import { Random } from "../base/random.ts";
import { makeView } from "../protocol/ids.ts";
import type { Member, ReplicaMessage } from "../protocol/messages.ts";
import { Core } from "./core.ts";
import { fetchBase, fetchForEver, onCompacted, onDiverged, onEntries, onFetch, tickFetching } from "./fetching.ts";
import { commonIndex } from "./lineage.ts";
import { ReplicatedLog } from "./log.ts";
import { config, one, Records, self, two } from "./told.fixture.ts";

const nothing = { orphans: () => [].values(), hasForks: false, compactable: () => null } as const;

/** Some views after the last of this log, led by `leader`; not all of them form. */
function grow(log: Records, random: Random, leader: Member, count: number): void {
  for (let i = 0; i < count; i++) {
    const view = makeView(Math.floor(log.last.view / 256) + 1 + random.below(2), leader.pid);
    const members = [one, two, self].filter((member) => member === leader || random.below(2) === 0);
    if (random.below(3) > 0) log.view(view, members, random.below(6));
    else log.add(view, { type: "view", ...log.entryOf(view, members) });
  }
}

const recoveredOf = ({ all, last }: Records) => ({
  ...{ promised: last.view, beginning: null, isKnown: true, commit: last.index, damaged: false },
  views: Float64Array.from(all, ({ view }) => view),
  chains: BigUint64Array.from(all, ({ chain }) => chain),
});

const readerOf = ({ all }: Records) => ({
  read: (from: number) => all.slice(from - 1, from + 2).map(({ bytes }) => bytes),
  ...nothing,
});

function coreOf(member: Member, log: Records, floor: number): Core {
  const options = { self: member, policy: "available", peers: config, founds: true, clusterTag: 7, seed: 1 } as const;
  const times = { heartbeatMs: 100, timeoutMs: 1_000, recoveryWaitMs: 10_000 };
  const state = { position: log.last, clock: 0, isLogged: true };
  const core = new Core({ ...options, ...times }, recoveredOf(log), state, readerOf(log));
  if (floor > 0) core.log.compact(floor, member);
  return core;
}

const messagesOf = (core: Core): ReplicaMessage[] =>
  core.effects.splice(0).flatMap((effect) => (effect.type === "send" ? effect.message : []));

/** Questions and answers, until there are no more. */
function talk(taker: Core, giver: Core): void {
  const serves = taker.following?.view ?? 0;
  for (let count = 0; count < 200; count++) {
    taker.nowMs += 1_000;
    tickFetching(taker);
    const asked = messagesOf(taker).find((message) => message.type === "fetch");
    if (asked === undefined || taker.fetch === null) return;
    onFetch(giver, taker.self, asked);
    for (const answer of messagesOf(giver)) {
      if (answer.type === "entries") onEntries(taker, giver.self, { ...answer, serves });
      else if (answer.type === "compacted") onCompacted(taker, giver.self, { ...answer, serves });
      else if (answer.type === "diverged") onDiverged(taker, giver.self, answer);
    }
    if (taker.log.holds(giver.log.last)) return;
  }
  throw new Error("it never ends");
}

/** Everything that a log tells of its views, above its base. */
function tellingOf(log: ReplicatedLog, base: number): unknown {
  const indexes = Array.from({ length: log.lastIndex - base + 1 }, (_, at) => base + at);
  const decided = indexes.map((commit) => indexes.map((index) => log.decided(commit, index)));
  const places = indexes.map((index) => [log.position(index), log.copies(index)]);
  return { places, decided, views: log.viewTable(log.lastIndex, Infinity), attempts: log.attempts() };
}

function tryPair(random: Random, found: { refused: number; begunAnew: number }): void {
  const stem = new Records();
  grow(stem, random, two, 1 + random.below(5));
  const [theirs, own] = [one, self].map((leader) => {
    const log = stem.forkedAfter(random.below(3) === 0 ? stem.last.index : 1 + random.below(stem.last.index));
    if (random.below(4) > 0) grow(log, random, leader, random.below(5));
    return log;
  }) as [Records, Records];
  let common = 0;
  while (common < own.last.index && own.at(common + 1).chain === theirs.all[common]?.chain) common++;
  const floor = random.below(2) * random.below(random.below(4) > 0 ? common + 1 : own.last.index);
  const giver = coreOf(one, theirs, random.below(2) * random.below(theirs.last.index));
  const taker = coreOf(self, own, floor);
  const kept: number[] = [];
  const beginAnew = taker.beginAnew.bind(taker);
  taker.beginAnew = (beginning, index) => {
    kept.push(index);
    beginAnew(beginning, index);
  };
  if (random.below(2) === 0) {
    fetchBase(taker, one, theirs.last, () => {});
  } else {
    taker.following = { view: theirs.last.view, epoch: 1, members: [one], heardMs: 0 };
    fetchForEver(taker, one, () => {});
  }
  talk(taker, giver);
  if (floor > common) {
    found.refused++;
    expect(taker.fetch).toBeNull();
    expect(taker.log.last).toEqual(own.last);
    return;
  }
  expect(kept).toEqual(kept.length === 0 ? [] : [common]);
  found.begunAnew += kept.length;
  expect(taker.log.holds(theirs.last)).toBe(true);
  expect(taker.log.base.index).toBe(kept.length === 0 ? floor : giver.log.base.index);
  // What it holds beyond the other's end is of no matter here.
  taker.supersedeAfter(theirs.last.index);
  const { base } = taker.log;
  expect(tellingOf(taker.log, base.index)).toEqual(
    tellingOf(new ReplicatedLog(recoveredOf(theirs), readerOf(theirs)), base.index),
  );
  if (!taker.stateless) expect(taker.delivered).toBeLessThanOrEqual(common);
}

test("a log is brought onto another's, wherever they part and wherever each begins", () => {
  const found = { refused: 0, begunAnew: 0 };
  for (let seed = 1; seed <= 1_500; seed++) {
    try {
      tryPair(new Random(seed), found);
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }
  expect(found.refused).toBeGreaterThan(50);
  expect(found.begunAnew).toBeGreaterThan(100);
});

test("how far two logs are the same is found without a look at every pair of their views", () => {
  let looks = 0;
  const count = 4_096;
  const outline = (leader: Member) => ({
    views: Array.from({ length: count }, (_, at) => ({
      get view(): number {
        looks++;
        return makeView(at + 1, at < 2 ? two.pid : leader.pid);
      },
      firstIndex: 3 * at + 1,
    })),
    lastIndex: 3 * count,
  });
  expect(commonIndex(outline(one), outline(self))).toBe(6);
  expect(looks).toBeLessThan(10 * count);
});
