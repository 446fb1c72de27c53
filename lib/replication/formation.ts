/**
 * May these replicas form a view, on which base, with which members and config? A pure function of the promises that a
 * candidate has collected: the one predicate in which the policies differ. Keeps no state.
 */
import type { Attempt, Configured, FrameOf, Member, Policy, Position } from "../protocol/messages.ts";
import { changed, lapses, type WantedChange } from "./config-change.ts";
import { commonIndex, type Outline } from "./lineage.ts";

/** What one replica promised, and who it was. */
export interface PromiseGiven {
  readonly from: Member;
  readonly message: FrameOf<"promised">;
}

export interface FormationInput {
  readonly policy: Policy;
  readonly self: Member;
  /** The replicas of `--peers`: they found the cluster when no log holds a formed view. Empty for a newcomer. */
  readonly founders: readonly Configured[];
  /** Those who promised, the candidate included. S are those of them whose log is not damaged. */
  readonly promises: readonly PromiseGiven[];
  /** Whether the candidate may take this replica for dead, departed or damaged. */
  readonly suspected: (pid: number) => boolean;
  /** The recovery wait is over. */
  readonly waited: boolean;
  /** Entries a replica may lack and still be a member at once. */
  readonly behindEntriesMax: number;
  /** The change of config that the candidate was asked for. */
  readonly wanted: WantedChange | null;
}

export interface Formation {
  readonly members: readonly Member[];
  readonly config: readonly Configured[];
  readonly epoch: number;
  readonly base: Position;
  /** Who holds the base. */
  readonly baseHolder: Member;
  readonly awaiting: readonly string[];
  /** Why it goes without the change that was wanted; null when it brings it, or none was wanted. */
  readonly lapsed: string | null;
}

export type Verdict =
  | { readonly may: true; readonly formation: Formation }
  /** `missing`: pids (or uuids of replicas outside the config) without which it may not form. */
  | { readonly may: false; readonly why: string; readonly missing: readonly number[] }
  /** This candidate never may. */
  | { readonly may: "never"; readonly why: string };

/** Order of two logs or views: by (view, index) under `quorum`, by (epoch, view, index) under `available`. */
export function compareLogs(
  policy: Policy,
  a: { epoch: number; view: number; index: number },
  b: { epoch: number; view: number; index: number },
): number {
  if (policy === "available" && a.epoch !== b.epoch) return a.epoch - b.epoch;
  return a.view !== b.view ? a.view - b.view : a.index - b.index;
}

export function judge(input: FormationInput): Verdict {
  const sound = input.promises.filter(({ message }) => globalThis.mistaken?.("damaged one votes") || !message.damaged);
  const attempts = attemptsOf(sound);
  const formed = attempts.filter((each) => each.formed);
  const last = formed.reduce<Attempt | null>(
    (greatest, each) => (greatest === null || compareLogs(input.policy, each, greatest) > 0 ? each : greatest),
    null,
  );
  if (sound.length === 0) return { may: false, why: "no sound log has been found", missing: [] };
  const basis = basesOf(input.policy, sound).reduce<PromiseGiven | null>(
    (greatest, each) => (greatest === null || isGreater(input.policy, each, greatest) ? each : greatest),
    null,
  );
  if (basis === null) return { may: false, why: "for a log that all can follow", missing: [] };
  return last === null ? judgeFounding(input, sound, basis) : judgeNext(input, sound, basis, last, attempts);
}

/** No log holds a formed view: all founders together, never fewer. */
function judgeFounding(input: FormationInput, sound: readonly PromiseGiven[], basis: PromiseGiven): Verdict {
  if (input.founders.length === 0) return { may: false, why: "to be taken into the cluster", missing: [] };
  const missing = input.founders.filter(({ pid }) => !sound.some(({ from }) => from.pid === pid)).map(({ pid }) => pid);
  if (missing.length > 0) return { may: false, why: "to found the cluster", missing };
  const members = sound
    .filter(({ from }) => input.founders.some(({ pid }) => pid === from.pid))
    .map(({ from }) => from);
  return {
    may: true,
    formation: {
      members: byPid(members),
      config: withUuids(input.founders, members),
      epoch: 1,
      base: basis.message.last,
      baseHolder: basis.from,
      awaiting: [],
      lapsed: null,
    },
  };
}

/** With whom a view may form, and the config that it brings. */
interface Electorate {
  readonly members: readonly Member[];
  /** Those of them who are in S. */
  readonly voting: readonly Member[];
  readonly config: readonly Configured[];
  /** A disk has replaced another. */
  readonly isChanged: boolean;
}

function judgeNext(
  input: FormationInput,
  sound: readonly PromiseGiven[],
  basis: PromiseGiven,
  last: Attempt,
  attempts: readonly Attempt[],
): Verdict {
  const later = attempts.filter((each) => each.view > last.view);
  const inherited = basis.message.attempts.at(-1) ?? last;
  const isBegun = inherited.epoch > last.epoch && !globalThis.mistaken?.("attempted config dropped");
  const begun = isBegun ? inherited : last;
  const attempted = basis.message.attempts.filter((each) => each.view > last.view).map((each) => each.config);
  const { wanted } = input;
  const isNear = (promise: PromiseGiven): boolean => isNearBase(input, promise, basis);
  const mending = input.promises.filter((each) => !sound.includes(each) && isNear(each));
  const circumstances = { policy: input.policy, last, inherited, promises: sound, mending, isNear };
  const lapsed = wanted === null ? null : lapses(wanted, circumstances);
  const makes = wanted !== null && lapsed === null;
  const having = (chosen: readonly Configured[]): Electorate => {
    const inConfig = sound.filter(({ from }) => chosen.some(({ pid }) => pid === from.pid));
    const voting = chooseMembers(input, inConfig, basis, last, attempted, chosen);
    const mended = mending.map(({ from }) => from).filter(({ pid }) => chosen.some((each) => each.pid === pid));
    const members = byPid([...voting, ...mended]);
    const config = withUuids(chosen, members);
    return { members, voting, config, isChanged: config.some((each, i) => each.uuid !== chosen[i]?.uuid) };
  };
  const voters = sound.filter(({ from }) => isOf(last.config, from));
  const isEnough = (electorate: Electorate): boolean => meetsAll(electorate, voters, last.config, attempted);
  const onwards = having(makes ? changed(begun.config, wanted.change) : begun.config);
  // It cannot be carried on with those who are here, so it is taken back, which is one more change: nothing has committed in
  // that view without a member who has promised this one, and whoever finds its ACT later finds this view as well.
  const mayTakeBack = isBegun && input.policy === "quorum" && last.config.some(({ pid }) => pid === input.self.pid);
  const back = mayTakeBack && !isEnough(onwards) ? having(last.config) : null;
  const isTakenBack = back !== null && isEnough(back);
  const electorate = isTakenBack ? back : onwards;
  const { members, config, isChanged } = electorate;
  if (!config.some(({ pid }) => pid === input.self.pid)) {
    return { may: "never", why: `replica ${input.self.pid} is not in the config` };
  }
  const promisedUuids = new Set(sound.map(({ from }) => from.uuid));

  const absent = uncovered(input, sound, [last, ...later]);
  const closure = new Set([last, ...later].flatMap((each) => each.members.map(({ uuid }) => uuid)));
  const open = [...closure].filter((uuid) => !promisedUuids.has(uuid));

  if (input.policy === "quorum") {
    if (!isEnough(electorate)) {
      const missing = last.config.map(({ pid }) => pid).filter((pid) => !voters.some(({ from }) => from.pid === pid));
      return { may: false, why: `for a majority${withWhichDisk(sound, missing)}`, missing };
    }
  } else {
    if (absent.length > 0) return { may: false, why: "to promise", missing: absent };
    const hot = globalThis.mistaken?.("cold one goes on alone") || sound.some((each) => isHot(each, last));
    const known = sound.some(({ from }) => isOf(last.config, from));
    if (!hot && open.length > 0 && !(input.waited && known)) {
      const missing = pidsOf(open, [last, ...later]);
      return { may: false, why: `who may hold more${withWhichDisk(sound, missing)}`, missing };
    }
  }
  // An attempt that took somebody in again whom the formed view awaits has perhaps not formed. And the base may be a lesser
  // log than that of the greatest view: whom that view awaits is awaited still.
  const inherits = new Set([last, ...basis.message.attempts].flatMap(({ awaiting }) => awaiting));
  // In whose place another disk has been taken in, that disk has nothing more to tell.
  for (const uuid of inherits) if (!config.some((each) => each.uuid === uuid)) inherits.delete(uuid);
  if (input.policy === "available" && !sound.some((each) => isHot(each, last))) {
    for (const uuid of open) inherits.add(uuid);
  }
  for (const member of members) inherits.delete(member.uuid);
  if (makes && wanted.change.kind === "remove") {
    // Who accepts the loss waits for nobody but those who stay.
    for (const uuid of inherits) if (!config.some((each) => each.uuid === uuid)) inherits.delete(uuid);
  }
  return {
    may: true,
    formation: {
      members,
      config,
      epoch: begun.epoch + (makes || isChanged || isTakenBack ? 1 : 0),
      base: basis.message.last,
      baseHolder: basis.from,
      awaiting: [...inherits],
      lapsed,
    },
  };
}

/**
 * M, before those whose log is being mended: the promisers of the config without those far behind. Who is hot is always
 * in it (`available`), and the candidate, who leads. Without a member of the last formed view (`available`), or a
 * majority of its config and half of each that was attempted since (`quorum`), the view could go on unknown to those who
 * come together next: then the far-behind are in it too.
 */
function chooseMembers(
  input: FormationInput,
  promises: readonly PromiseGiven[],
  basis: PromiseGiven,
  last: Attempt,
  attempted: readonly (readonly Configured[])[],
  config: readonly Configured[],
): Member[] {
  const near = promises.filter(
    (promise) =>
      promise.from.pid === input.self.pid ||
      promise.from.pid === basis.from.pid ||
      (input.policy === "available" && promise.message.hot) ||
      isNearBase(input, promise, basis),
  );
  const enough =
    input.policy === "available"
      ? near.some(({ from }) => last.members.some(({ uuid }) => uuid === from.uuid))
      : isMajority(near.length, config) &&
        isMajority(near.filter(({ from }) => isOf(last.config, from)).length, last.config) &&
        attempted.every((each) => isHalf(near.filter(({ from }) => isOf(each, from)).length, each));
  return (enough ? near : promises).map(({ from }) => from);
}

function isNearBase({ behindEntriesMax }: FormationInput, { message }: PromiseGiven, basis: PromiseGiven): boolean {
  return !message.behind && basis.message.last.index - message.last.index <= behindEntriesMax;
}

/** `available`: who is outside S, of the last config or a later attempt's, and not suspected. */
function uncovered(input: FormationInput, sound: readonly PromiseGiven[], views: readonly Attempt[]): number[] {
  const pids = new Set(views.flatMap((each) => each.config.map(({ pid }) => pid)));
  return [...pids].filter((pid) => !sound.some(({ from }) => from.pid === pid) && !input.suspected(pid));
}

/**
 * Whether a view with these meets everyone that it must not go on beside (`quorum`): whoever forms a view from the config of
 * the last formed one, or from any that was attempted after it (in the base) and has perhaps formed, by an ACT that is known
 * only to some. S and, with who leaves by the change, M hold a majority of the former, and M one of its own config. Of all
 * those before it M meets each majority by itself: a disk that has replaced another counts for its own config, and who leaves
 * for none, once it has promised a later view. Of the attempted ones by those in S: a damaged log may have forgotten.
 */
function meetsAll(
  { members, voting, config }: Electorate,
  voters: readonly PromiseGiven[],
  last: readonly Configured[],
  attempted: readonly (readonly Configured[])[],
): boolean {
  const leaving = voters.filter(({ from }) => !config.some(({ pid }) => pid === from.pid));
  const count = (of: readonly Configured[], whom = members): number => whom.filter((each) => isOf(of, each)).length;
  return (
    isMajority(voters.length, last) &&
    isMajority(count(last) + leaving.length, last) &&
    isMajority(count(config), config) &&
    isHalf(count(last), last) &&
    attempted.every((each) => isHalf(count(each, voting), each))
  );
}

/** Was it, without interruption, in the last formed view, or in the one that this view followed at once? */
function isHot({ from, message }: PromiseGiven, last: Attempt): boolean {
  const own = message.attempts[0];
  return message.hot && (own?.view === last.view || last.members.some((each) => isSame(each, from)));
}

function attemptsOf(promises: readonly PromiseGiven[]): Attempt[] {
  const byView = new Map<number, Attempt>();
  for (const { message } of promises) {
    for (const each of message.attempts) {
      const known = byView.get(each.view);
      if (known === undefined || (each.formed && !known.formed)) byView.set(each.view, each);
    }
  }
  return [...byView.values()];
}

/**
 * Whose log may be the base. Under `available` that need not be the greatest one, as what the others hold is merged: one
 * that all can follow, and, if there is any, one that somebody has the state of. Without it all would wait for a state that
 * nobody has, although a lesser fork has one.
 */
function basesOf(policy: Policy, sound: readonly PromiseGiven[]): readonly PromiseGiven[] {
  if (policy === "quorum") return sound;
  const followed = sound.filter((each) => sound.every((other) => !departsBelowFloor(each, other)));
  const applicable = followed.filter((each) => sound.some((other) => keepsState(other, each)));
  return applicable.length > 0 ? applicable : followed;
}

/** Whether one who goes over to this base keeps its state, or can build it again from its log. */
function keepsState({ message }: PromiseGiven, { message: base }: PromiseGiven): boolean {
  const common = commonIndex(outlineOf(message), outlineOf(base));
  if (common < base.floor) return false;
  return message.floor === 0 || (message.applied !== null && message.applied <= common);
}

const outlineOf = ({ views, last }: FrameOf<"promised">): Outline => ({ views, lastIndex: last.index });

/** MUST NOT be a base: another of S has deleted what stands there, as final, and cannot go back to it. */
function departsBelowFloor({ message }: PromiseGiven, { message: { floor, floorView } }: PromiseGiven): boolean {
  if (floor === 0 || globalThis.mistaken?.("followed from below the floor")) return false;
  if (message.last.index < floor) return true;
  const found = message.views.findLast(({ firstIndex }) => firstIndex <= floor);
  // Older than what was told of it.
  return found !== undefined && found.view !== floorView;
}

function isGreater(policy: Policy, one: PromiseGiven, other: PromiseGiven): boolean {
  if (globalThis.mistaken?.("longest log wins")) return one.message.last.index > other.message.last.index;
  if (policy === "available") {
    // What has formed goes before what was only attempted: an attempt holds nothing that was ever acknowledged in it.
    const byFormed = compareLogs(policy, formedOf(one), formedOf(other));
    if (byFormed !== 0) return byFormed > 0;
  }
  return compareLogs(policy, logOf(one), logOf(other)) > 0;
}

function formedOf({ message: { epoch, attempts } }: PromiseGiven): { epoch: number; view: number; index: number } {
  return { epoch, view: attempts[0]?.formed === true ? attempts[0].view : 0, index: 0 };
}

function logOf({ message }: PromiseGiven): { epoch: number; view: number; index: number } {
  return { epoch: message.epoch, view: message.last.view, index: message.last.index };
}

/** The same process: by pid, uuid and incarnation. */
export const isSame = (a: Member, b: Member): boolean =>
  a.pid === b.pid && a.uuid === b.uuid && a.incarnation === b.incarnation;

const isMajority = (count: number, config: readonly Configured[]): boolean =>
  2 * count > config.length || (globalThis.mistaken?.("half is a majority") === true && 2 * count + 1 >= config.length);

/** What is said of those who are there and do not count, as another disk is in the place of theirs. */
function withWhichDisk(sound: readonly PromiseGiven[], missing: readonly number[]): string {
  const replaced = missing.filter((pid) => sound.some(({ from }) => from.pid === pid));
  if (replaced.length === 0) return "";
  if (replaced.length === 1) return `, replica ${replaced.join()} with the disk it had before`;
  return `, replicas ${replaced.join(", ")} with the disks they had before`;
}

/** So many meet each majority. */
const isHalf = (count: number, config: readonly Configured[]): boolean =>
  2 * count >= config.length || isMajority(count, config);

const isOf = (config: readonly Configured[], { pid, uuid }: Member): boolean =>
  config.some(
    (each) => each.pid === pid && (each.uuid === uuid || globalThis.mistaken?.("wiped disk counts") === true),
  );

function withUuids(config: readonly Configured[], members: readonly Member[]): Configured[] {
  return config.map((each) => ({ ...each, uuid: members.find(({ pid }) => pid === each.pid)?.uuid ?? each.uuid }));
}

function pidsOf(uuids: readonly string[], views: readonly Attempt[]): number[] {
  const all = views.flatMap((each) => each.members);
  return [...new Set(uuids.map((uuid) => all.find((member) => member.uuid === uuid)?.pid ?? 0))].sort((a, b) => a - b);
}

const byPid = (members: readonly Member[]): Member[] => [...members].sort((a, b) => a.pid - b.pid);
