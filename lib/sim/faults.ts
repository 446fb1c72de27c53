/**
 * Brings faults about while a run is under fire, and takes them all back for the heal. Draws what strikes whom and when
 * from the seed; knows replicas only through a few verbs.
 */
import type { LinkQuality, Network } from "./network.ts";
import type { Faults, Profile } from "./profile.ts";
import type { Random } from "./random.ts";
import type { Simulator } from "./simulator.ts";
import type { DiskFailure } from "./storage.ts";

/** From this seed on a link that is slow may be so as it carries little, not as all takes long. */
const narrowSince = 920_000_000;

/** A replica as faults see it. */
export interface Victim {
  readonly pid: number;
  readonly up: boolean;
  start(): void;
  crash(kind: "process" | "power"): void;
  /** Dies when it runs its next effects but `count`. */
  dieMidway(count: number): void;
  /** Dies within `count` effects of the next record of this kind that it appends. */
  dieAround(kind: "promise" | "view" | "act", count: number): void;
  /** Stops in good order. */
  goodbye(): void;
  pause(forMs: number): void;
  /** Syncs take this long from now on; Infinity: until it is set again. */
  syncTakes(meanMs: number): void;
  /** The next one does; the process dies of it. */
  failDisk(how: DiskFailure): void;
  /** No room is left on the disk, or there is again. */
  fillDisk(full: boolean): void;
  /** The wall clock jumps. */
  setClock(byMs: number): void;
  /** A bit changes on the disk; only while down. */
  rot(): void;
  /** Whether the data could be lost without losing what the protocol promises to keep. */
  readonly wipeable: boolean;
  /** Replaces the disk by an empty one; only while down. */
  wipe(): void;
  /** Whether a disk of it that was replaced could take the place of the present one. */
  readonly restorable: boolean;
  /** It does, with all that is on it; only while down. `isClockBehind`: its process counts as an earlier one. */
  restore(isClockBehind: boolean): void;
}

/** A client as faults see it. */
export interface FickleClient {
  /** It is never heard of again. */
  vanish(): void;
  /** Goes elsewhere. */
  roam(): void;
  /** Sends what is outstanding again. */
  repeat(): void;
}

export class Chaos {
  /** Faults brought about, by kind, for the statistics of a run. */
  readonly struck: Partial<Record<keyof Faults, number>> = {};
  private over = false;
  private splitUntilMs = 0;
  /** For each link how many faults have cut it. */
  private readonly cuts = new Map<number, number>();
  private readonly kinds: readonly (keyof Faults)[];

  constructor(
    private readonly simulator: Simulator,
    private readonly random: Random,
    private readonly profile: Profile,
    private readonly network: Network,
    private readonly victims: readonly Victim[],
    private readonly clients: readonly FickleClient[],
  ) {
    const kinds: (keyof Faults)[] = [];
    for (const kind of Object.keys(profile.faults) as (keyof Faults)[]) {
      for (let weight = profile.faults[kind]; weight > 0; weight--) kinds.push(kind);
    }
    this.kinds = kinds;
  }

  start(): void {
    if (this.kinds.length > 0) this.next();
  }

  /** One way or both, until the heal. */
  cutOneLink(): void {
    const [one, other] = this.random.shuffle(this.victims.map(({ pid }) => pid));
    if (one === undefined || other === undefined) return;
    this.network.cut(one, other, true);
    if (this.random.chance(0.5)) this.network.cut(other, one, true);
  }

  /** Everything is mended: links, disks, power. Whoever is down comes back. Returns how links are from now on. */
  heal(): LinkQuality {
    const again = this.over;
    this.over = true;
    const link = { ...this.profile.link, loss: 0, duplication: 0, reordering: 0 };
    this.network.healAll(link);
    for (const victim of this.victims) {
      victim.syncTakes(this.profile.syncMs);
      victim.fillDisk(false);
      if (!again) this.keepUp(victim);
    }
    return link;
  }

  /** A death that was under way at the heal still comes; then it is started again. */
  private keepUp(victim: Victim): void {
    this.simulator.after(this.random.between(0, 500), () => {
      this.revive(victim);
      this.keepUp(victim);
    });
  }

  private next(): void {
    this.simulator.after(this.random.around(this.profile.faultMs), () => {
      if (this.over) return;
      const kind = this.random.pick(this.kinds);
      this.struck[kind] = (this.struck[kind] ?? 0) + 1;
      this.strike(kind);
      this.next();
    });
  }

  private strike(kind: keyof Faults): void {
    const { random } = this;
    const victim = random.pick(this.victims);
    switch (kind) {
      case "crash":
      case "power":
        if (!victim.up) return;
        victim.crash(kind === "power" ? "power" : "process");
        this.reviveLater(victim);
        return;
      case "midway":
        if (!victim.up) return;
        victim.dieMidway(1 + random.below(random.pick([3, 10, 40])));
        this.reviveLater(victim);
        return;
      case "viewChange":
        if (!victim.up) return;
        victim.dieAround(random.pick(["promise", "view", "act"]), random.below(8));
        this.reviveLater(victim);
        return;
      case "goodbye":
        if (!victim.up) return;
        victim.goodbye();
        this.reviveLater(victim);
        return;
      case "total":
        return this.totalStop();
      case "pause":
        if (victim.up) victim.pause(this.profile.timeoutMs * random.pick([0.3, 0.6, 0.9, 1.1, 2, 5]));
        return;
      case "partition":
        return this.partition(this.outageMs());
      case "split":
        return this.split();
      case "oneWay":
      case "partial":
        return this.cutOne(victim.pid, kind === "oneWay");
      case "slowLink":
        return this.slowLink(victim.pid);
      case "stale":
        return this.stale(victim.pid);
      case "allHang":
        for (const each of this.victims) each.syncTakes(Infinity);
        this.later(() => {
          for (const each of this.victims) each.syncTakes(this.profile.syncMs);
        });
        return;
      case "fullDisk":
        victim.fillDisk(true);
        this.later(() => victim.fillDisk(false));
        this.reviveLater(victim);
        return;
      case "clock":
        victim.setClock(random.between(-1, 1) * random.pick([10, 1_000, 3_600_000]));
        return;
      case "vanish":
      case "move":
      case "retry":
        return this.unsettle(kind);
      case "slowDisk":
        victim.syncTakes(this.profile.timeoutMs * random.pick([0.05, 0.2, 0.5]));
        this.later(() => victim.syncTakes(this.profile.syncMs));
        return;
      case "hungDisk":
        victim.syncTakes(Infinity);
        this.later(() => victim.syncTakes(this.profile.syncMs));
        return;
      case "failedDisk":
        if (!victim.up) return;
        victim.failDisk(random.pick(["sync", "sync", "write", "short write", "read"]));
        this.reviveLater(victim);
        return;
      case "rot":
        if (!victim.wipeable) return;
        if (victim.up) victim.crash(random.chance(0.5) ? "process" : "power");
        victim.rot();
        this.reviveLater(victim);
        return;
      case "wipe":
        if (!victim.wipeable) return;
        if (victim.up) victim.crash("process");
        victim.wipe();
        this.reviveLater(victim);
        return;
      case "restore":
        return this.restoreOne();
    }
  }

  /** Everyone dies at nearly the same moment, in any order; they come back one by one. */
  private totalStop(): void {
    const withinMs = this.random.pick([0, 5, 200, 3 * this.profile.timeoutMs]);
    const power = this.random.chance(0.5);
    for (const victim of this.victims) {
      this.simulator.after(this.random.between(0, withinMs), () => {
        if (this.over) return;
        if (victim.up) victim.crash(power ? "power" : "process");
        this.reviveLater(victim);
      });
    }
  }

  /** Somebody starts a machine again that was replaced long ago: in place of its successor, which may come back as well. */
  private restoreOne(): void {
    const [victim] = this.random.shuffle(this.victims.filter(({ restorable }) => restorable));
    if (victim === undefined) return;
    const isClockBehind = this.random.chance(0.2);
    if (victim.up && this.random.chance(0.5)) {
      // The successor dies around a view of its own, of which the others may have heard or not.
      victim.dieAround(this.random.pick(["promise", "view", "act"]), this.random.below(8));
      this.simulator.after(this.outageMs(), () => {
        if (!this.over && !victim.up && victim.restorable) victim.restore(isClockBehind);
        this.revive(victim);
      });
      return this.reviveLater(victim);
    }
    if (victim.up) victim.crash(this.random.chance(0.5) ? "process" : "power");
    victim.restore(isClockBehind);
    this.reviveLater(victim);
  }

  private split(): void {
    const { nowMs } = this.simulator;
    if (nowMs < this.splitUntilMs) return;
    const forMs = this.profile.timeoutMs * this.random.between(2, 6);
    this.splitUntilMs = nowMs + forMs;
    this.partition(forMs);
  }

  private partition(forMs: number): void {
    const pids = this.random.shuffle(this.victims.map(({ pid }) => pid));
    if (pids.length < 2) return;
    const here = pids.splice(0, 1 + this.random.below(pids.length - 1));
    const pairs = here.flatMap((one) => pids.map((other): [number, number] => [one, other]));
    this.cutFor(forMs, pairs, false);
  }

  private cutOne(pid: number, oneWay: boolean): void {
    const others = this.victims.filter((other) => other.pid !== pid);
    if (others.length > 0) this.cutFor(this.outageMs(), [[pid, this.random.pick(others).pid]], oneWay);
  }

  private cutFor(forMs: number, pairs: readonly (readonly [number, number])[], oneWay: boolean): void {
    const set = (cut: boolean): void => {
      for (const [one, other] of pairs) {
        this.cut(one, other, cut);
        if (!oneWay) this.cut(other, one, cut);
      }
    };
    set(true);
    this.simulator.after(forMs, () => {
      if (!this.over) set(false);
    });
  }

  /** A link is whole again when nothing that has cut it lasts any more. */
  private cut(from: number, to: number, cut: boolean): void {
    const link = from * 256 + to;
    const count = (this.cuts.get(link) ?? 0) + (cut ? 1 : -1);
    this.cuts.set(link, count);
    this.network.cut(from, to, count > 0);
  }

  private slowLink(pid: number): void {
    const others = this.victims.filter((other) => other.pid !== pid);
    if (others.length === 0) return;
    const { link, timeoutMs } = this.profile;
    const to = this.random.pick(others).pid;
    const isNarrow = this.profile.seed >= narrowSince && this.random.chance(0.5);
    const slow = isNarrow
      ? { bytesPerSecond: this.random.pick([4_000, 20_000, 100_000]) }
      : { delayMsMean: timeoutMs * this.random.pick([0.1, 0.4, 1]) };
    this.network.quality(pid, to, { ...link, ...slow });
    this.later(() => this.network.quality(pid, to, link));
  }

  private stale(pid: number): void {
    const others = this.victims.filter((other) => other.pid !== pid);
    if (others.length === 0) return;
    const to = this.random.pick(others).pid;
    this.network.repeats(pid, to, this.profile.timeoutMs * this.random.pick([0.2, 1, 3]));
    this.later(() => this.network.repeats(pid, to, null));
  }

  private unsettle(how: "vanish" | "move" | "retry"): void {
    if (this.clients.length === 0) return;
    const client = this.random.pick(this.clients);
    if (how === "vanish") client.vanish();
    else if (how === "move") client.roam();
    else client.repeat();
  }

  /** When this outage is over, unless everything has been mended before. */
  private later(mend: () => void): void {
    this.simulator.after(this.outageMs(), () => {
      if (!this.over) mend();
    });
  }

  private reviveLater(victim: Victim): void {
    this.simulator.after(this.outageMs(), () => this.revive(victim));
  }

  private revive(victim: Victim): void {
    if (!victim.up) victim.start();
  }

  /** From shorter than anyone notices to longer than everyone waits. */
  private outageMs(): number {
    const { timeoutMs } = this.profile;
    return this.random.around(timeoutMs * this.random.pick([0.1, 0.5, 1, 2, 5, 10]));
  }
}
