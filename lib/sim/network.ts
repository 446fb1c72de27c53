/**
 * The simulated network between replicas: one connection per ordered pair, as the server keeps them, with the news that
 * TCP would give. A process that dies resets its connections and refuses new ones at once; a cut link, a machine
 * without power and a stopped process are silent. Knows nothing about what the messages mean, but how long they are.
 */
import { encodeFrame } from "../protocol/codec.ts";
import type { Member, ReplicaMessage } from "../protocol/messages.ts";
import type { Random } from "./random.ts";
import type { Simulator } from "./simulator.ts";

/** One end, as the network sees it. */
export interface Host {
  readonly pid: number;
  /** Who runs there now; null when no process does. */
  readonly running: Member | null;
  /** A machine with power answers "refused" when no process listens; one without is silent. */
  readonly powered: boolean;
  received(from: Member, message: ReplicaMessage): void;
  connected(peer: Member): void;
  disconnected(pid: number, refused: boolean): void;
}

/** How one direction between two hosts behaves. Cuts are apart from it: see {@link Network.cut}. */
export interface LinkQuality {
  readonly delayMsMin: number;
  readonly delayMsMean: number;
  /** Messages lost, doubled, or overtaken by later ones, as probabilities. All zero: like TCP. */
  readonly loss: number;
  readonly duplication: number;
  readonly reordering: number;
  /** How much later one that is overtaken arrives, on average. */
  readonly lateMsMean: number;
  /** What is sent waits until all that was sent before is through. Default: it takes no time. */
  readonly bytesPerSecond?: number;
}

export const perfectLink: LinkQuality = {
  delayMsMin: 0.1,
  delayMsMean: 0.3,
  loss: 0,
  duplication: 0,
  reordering: 0,
  lateMsMean: 0,
};

/** Turns a message into bytes and back, when a run wants the real codec in its way. */
export type Wire = (message: ReplicaMessage) => ReplicaMessage;

interface Link {
  readonly from: Host;
  readonly to: Host;
  quality: LinkQuality;
  cut: boolean;
  /** All that was sent is through by then, where it carries only so many bytes a second. */
  freeMs: number;
  /** No message overtakes one that arrives at this time, unless reordering says so. */
  lastArrivalMs: number;
  /** By how much later some of what is sent comes a second time; null: nothing does. */
  repeats: Repeats | null;
  /** Sent into a cut; TCP delivers it after the heal if the connection outlives the cut. */
  held: (() => void)[];
  /** The connection made by `from`: who it reached, and a number that dies with it. */
  peer: Member | null;
  generation: number;
}

interface Repeats {
  readonly lateMsMean: number;
  /** Messages so far, by type: the first of each comes again, of others the more seldom the more there are. */
  readonly counts: Map<string, number>;
}

const dialRetryMs = 100;
/** Well below any suspicion timeout: else a peer that comes back just after it was dialled looks dead for too long. */
const dialTimeoutMs = 100;
const heldMax = 200;

export class Network {
  /** Messages delivered, for the statistics of a run. */
  delivered = 0;
  /** For stories: what becomes of each message; null: it takes its way. */
  intercept: ((from: Member, to: number, message: ReplicaMessage) => "deliver" | "drop" | "twice") | null = null;
  private heals = 0;
  private readonly hosts = new Map<number, Host>();
  private readonly links = new Map<number, Link>();

  constructor(
    private readonly simulator: Simulator,
    private readonly random: Random,
    private readonly wire: Wire,
  ) {}

  add(host: Host): void {
    for (const other of this.hosts.values()) {
      this.links.set(key(host.pid, other.pid), newLink(host, other));
      const back = newLink(other, host);
      this.links.set(key(other.pid, host.pid), back);
      this.dial(back, 0);
    }
    this.hosts.set(host.pid, host);
  }

  /** A process has started on `host`: it dials everyone. */
  started(host: Host): void {
    for (const link of this.linksFrom(host.pid)) this.dial(link, this.random.between(0, 5));
  }

  /**
   * The process on `host` is gone. What it had sent may still arrive. With `silently` (the machine lost power) nobody
   * is told.
   */
  stopped(host: Host, silently: boolean): void {
    for (const link of this.linksFrom(host.pid)) {
      link.peer = null;
      if (this.random.chance(0.5)) {
        link.generation++;
        link.held = [];
      }
    }
    if (silently) return;
    for (const link of this.linksTo(host.pid)) if (link.peer !== null) this.reset(link);
  }

  send(from: Host, to: number, message: ReplicaMessage): void {
    const link = this.links.get(key(from.pid, to));
    const member = from.running;
    if (link === undefined || member === null || link.peer === null) return;
    if (link.peer.incarnation !== link.to.running?.incarnation && this.open(link)) {
      this.reset(link);
      return;
    }
    const fate = this.intercept === null ? "deliver" : this.intercept(member, to, message);
    if (fate === "drop") return;
    if (fate === "twice") this.carry(link, member, message);
    if (link.repeats !== null) this.repeat(link, link.repeats, member, message);
    const { loss, duplication } = link.quality;
    if (loss > 0 && this.random.chance(loss)) return;
    this.carry(link, member, message);
    if (duplication > 0 && this.random.chance(duplication)) this.carry(link, member, message);
  }

  /** Cuts one direction, or mends it. What was sent into the cut arrives late, or the connection breaks. */
  cut(from: number, to: number, cut: boolean): void {
    const link = this.links.get(key(from, to));
    if (link === undefined || link.cut === cut) return;
    link.cut = cut;
    if (cut) return;
    const held = link.held;
    link.held = [];
    if (this.random.chance(0.3)) {
      if (link.peer !== null) this.reset(link);
      return;
    }
    for (const deliver of held) deliver();
  }

  cutBetween(one: number, other: number, cut: boolean): void {
    this.cut(one, other, cut);
    this.cut(other, one, cut);
  }

  isCut(from: number, to: number): boolean {
    return this.links.get(key(from, to))?.cut ?? true;
  }

  quality(from: number, to: number, quality: LinkQuality): void {
    const link = this.links.get(key(from, to));
    if (link !== undefined) link.quality = quality;
  }

  /** From now on some of what is sent comes once more, so much later on average; null: nothing does. */
  repeats(from: number, to: number, lateMsMean: number | null): void {
    const link = this.links.get(key(from, to));
    if (link !== undefined) link.repeats = lateMsMean === null ? null : { lateMsMean, counts: new Map() };
  }

  /** Nothing that is sent now on the slowest link arrives before. */
  get arrivesMs(): number {
    return Math.max(...[...this.links.values()].map(({ lastArrivalMs }) => lastArrivalMs));
  }

  healAll(quality: LinkQuality): void {
    for (const link of this.links.values()) {
      link.quality = quality;
      link.repeats = null;
      this.cut(link.from.pid, link.to.pid, false);
    }
    this.heals++;
  }

  /** By whatever way: also beside a connection that has ended since, to the very process that it was for, until all heals. */
  private repeat(link: Link, { lateMsMean, counts }: Repeats, from: Member, message: ReplicaMessage): void {
    const count = (counts.get(message.type) ?? 0) + 1;
    counts.set(message.type, count);
    if (!this.random.chance(1 / count)) return;
    const { heals } = this;
    const target = link.peer?.incarnation;
    const copy = this.wire(message);
    this.simulator.after(this.random.around(lateMsMean), () => {
      if (this.heals !== heals || link.cut || link.to.running?.incarnation !== target) return;
      this.delivered++;
      link.to.received(from, copy);
    });
  }

  private carry(link: Link, from: Member, message: ReplicaMessage): void {
    const generation = link.generation;
    const target = link.peer?.incarnation;
    const copy = this.wire(message);
    const { bytesPerSecond } = link.quality;
    const passMs = bytesPerSecond === undefined ? 0 : (1_000 * encodeFrame(message).length) / bytesPerSecond;
    const deliver = (): void => {
      this.simulator.after(this.arrival(link, passMs) - this.simulator.nowMs, () => {
        if (link.generation !== generation || link.to.running?.incarnation !== target) return;
        if (link.cut) {
          if (link.held.length < heldMax) link.held.push(deliver);
          return;
        }
        this.delivered++;
        link.to.received(from, copy);
      });
    };
    if (link.cut) {
      if (link.held.length < heldMax && link.quality.loss === 0) link.held.push(deliver);
      return;
    }
    deliver();
  }

  private arrival(link: Link, passMs = 0): number {
    const { delayMsMin, delayMsMean, reordering, lateMsMean } = link.quality;
    if (passMs > 0) link.freeMs = Math.max(this.simulator.nowMs, link.freeMs) + passMs;
    const leavesMs = passMs > 0 ? link.freeMs : this.simulator.nowMs;
    const atMs = leavesMs + delayMsMin + this.random.around(delayMsMean);
    if (reordering > 0 && this.random.chance(reordering)) return atMs + this.random.around(lateMsMean);
    link.lastArrivalMs = Math.max(atMs, link.lastArrivalMs + 0.001);
    return link.lastArrivalMs;
  }

  private dial(link: Link, delayMs: number): void {
    const owner = link.from.running;
    if (owner === null) return;
    this.simulator.after(delayMs, () => {
      if (link.from.running?.incarnation !== owner.incarnation || link.peer !== null) return;
      const reachable = this.open(link) && link.to.powered;
      const answersMs = reachable ? this.arrival(link) - this.simulator.nowMs : dialTimeoutMs;
      this.simulator.after(answersMs, () => {
        if (link.from.running?.incarnation !== owner.incarnation || link.peer !== null) return;
        const peer = link.to.running;
        if (!reachable || !this.open(link)) link.from.disconnected(link.to.pid, false);
        else if (peer === null) link.from.disconnected(link.to.pid, link.to.powered);
        else {
          link.generation++;
          link.held = [];
          link.peer = peer;
          link.from.connected(peer);
          return;
        }
        this.dial(link, dialRetryMs * this.random.between(0.8, 1.2));
      });
    });
  }

  /** The owner of a connection learns, in order with what still arrives, that it is broken. */
  private reset(link: Link): void {
    const owner = link.from.running;
    const generation = ++link.generation;
    link.peer = null;
    link.held = [];
    if (owner === null) return;
    const tell = (): void => {
      if (link.from.running?.incarnation !== owner.incarnation || link.generation !== generation) return;
      if (!this.open(link)) {
        this.simulator.after(dialTimeoutMs, tell);
        return;
      }
      link.from.disconnected(link.to.pid, false);
      this.dial(link, this.random.between(1, 20));
    };
    this.simulator.after(this.arrival(link) - this.simulator.nowMs, tell);
  }

  private open(link: Link): boolean {
    return !link.cut && !this.isCut(link.to.pid, link.from.pid);
  }

  private *linksFrom(pid: number): Generator<Link> {
    for (const link of this.links.values()) if (link.from.pid === pid) yield link;
  }

  private *linksTo(pid: number): Generator<Link> {
    for (const link of this.links.values()) if (link.to.pid === pid) yield link;
  }
}

const key = (from: number, to: number): number => from * 256 + to;

function newLink(from: Host, to: Host): Link {
  return {
    from,
    to,
    quality: perfectLink,
    cut: false,
    repeats: null,
    freeMs: 0,
    lastArrivalMs: 0,
    held: [],
    peer: null,
    generation: 0,
  };
}
