/**
 * One run: a cluster of real replicas, people who chat on it, rounds of faults drawn from a seed, and after each round a
 * judgement. Owns the order of things; what strikes and who judges is elsewhere.
 */
import { Random } from "../../lib/base/random.ts";
import { Cluster } from "../cluster/cluster.ts";
import { faultsAt, passwordOf, untilTogether } from "../cluster/inquiry.ts";
import { JsonClient } from "../cluster/json-client.ts";
import { Ledger } from "../cluster/ledger.ts";
import type { Links } from "../cluster/links.ts";
import { inspectLog } from "../cluster/logs.ts";
import { SmallDisk, smallDisksMissing } from "../cluster/small-disk.ts";
import { join } from "node:path";
import { Doubting } from "./doubting.ts";
import { Battlefield } from "./battlefield.ts";
import { judge } from "./judge.ts";
import { Person } from "./person.ts";
import { describeStrike, describeWound, planOf, type Round, type Strike } from "./plan.ts";
import type { Timeline } from "./timeline.ts";

export type Policy = "available" | "quorum";

export interface ChaosOptions {
  readonly seed: number;
  readonly policy: Policy;
  /** No round begins after this. */
  readonly forMs: number;
  readonly roundsMax: number;
  /** How many chat, 2 to 5. */
  readonly people: number;
  readonly links: Links;
  /** Data and stderr of the replicas. */
  readonly directory: string;
}

/** All must be together, and everything answered, so long after the last fault. Others may use the machine too. */
const togetherMs = 60_000;
/** So long may asking for everything take. */
const judgedMs = 180_000;
/** Short, so that the wait for those who may hold more ends while they are away. */
const recoveryWaitMs = 2000;
const smallDiskMiB = 384;
/** What the longest frozen or cut-off client may need to notice before the load rests. */
const settleMs = 300;
const allNames = ["alice", "bob", "carol", "dave", "erin"];

export class Chaos {
  readonly #cluster: Cluster;
  readonly #ledger = new Ledger();
  readonly #people: Person[];
  readonly #field: Battlefield;
  readonly #disk: SmallDisk | null;
  readonly #random: Random;
  readonly #names: readonly string[];
  /** The last time everything was asked for, not only what was new. */
  #asked = false;
  #longestTogetherMs = 0;
  #longestGapMs = 0;
  #doubter: Doubting | null = null;
  #askedAgain = 0;
  #stopped = false;

  constructor(
    private readonly options: ChaosOptions,
    private readonly timeline: Timeline,
  ) {
    const { seed, policy, links, directory } = options;
    this.#random = new Random(seed + 1);
    this.#names = allNames.slice(0, options.people);
    const places = links.places(directory);
    const smallPid = 1 + this.#random.below(places.length);
    const missing = smallDisksMissing();
    if (missing !== null) timeline.say(`no disk will be full, because ${missing}`);
    const disk = missing === null ? new SmallDisk(smallDiskMiB) : null;
    this.#disk = disk;
    this.#cluster = new Cluster(
      places.map((place) =>
        disk !== null && place.pid === smallPid ? { ...place, dataDirectory: join(disk.path, "data") } : place,
      ),
      [...links.flags, "--policy", policy, "--recovery-wait-ms", String(recoveryWaitMs)],
    );
    this.#field = new Battlefield(this.#cluster, links, disk && { pid: smallPid, disk }, timeline);
    const society = {
      ledger: this.#ledger,
      timeline,
      users: this.#names,
      oneOrder: policy === "quorum",
      newClient: () => this.#newClient(),
    };
    this.#people = this.#names.map((name) => new Person(name, society, this.#random.uint53()));
  }

  /** Rounds until the time is over or something is wrong; then the last judgement. */
  async run(): Promise<void> {
    const { timeline, options } = this;
    timeline.say(`three replicas under ${options.policy}, links of ${options.links.kind}`);
    await this.#field.startAll();
    await this.#together();
    await this.#makeAccounts();
    this.#doubter = new Doubting(this.#cluster.addresses(), {
      seed: this.#random.uint53(),
      oneOrder: options.policy === "quorum",
      prefix: options.links.clientPrefix(null),
      keeper: this.#cluster.keeper,
    });
    await within(togetherMs, "the doubter does not get logged in", this.#doubter.begun());
    timeline.say("all together");
    for (const person of this.#people) person.begin();
    for (const round of planOf(options.seed, this.#names.length)) {
      if (round.number > options.roundsMax || timeline.elapsedMs > options.forMs || this.#isOver()) break;
      await this.#play(round);
      await this.#comeTogether(round.number === options.roundsMax);
    }
    if (!this.#isOver()) await this.#askEachAlone();
    for (const line of await this.#field.strangeWords()) timeline.fault(line);
    await this.#sumUp();
  }

  /** Ends every process; a run in progress fails of it. */
  async close(): Promise<void> {
    this.#stopped = true;
    this.#field.close();
    for (const person of this.#people) person.kill();
    this.#doubter?.kill();
    await this.#cluster.close();
    this.options.links.close();
  }

  /** Removes the small disk. When it is kept, its content goes to the other replicas' data first. */
  releaseDisk(): void {
    this.#disk?.close();
  }

  /** Where the data of each replica is. */
  get dataDirectories(): string[] {
    return this.#cluster.places.map((place) => place.dataDirectory);
  }

  #isOver(): boolean {
    return this.#stopped || this.timeline.faults.length > 0;
  }

  /** Some clients run where a replica does and share its cuts, some reach all of them. */
  #newClient(): JsonClient {
    const { pids } = this.#cluster;
    const first = this.#random.pick(pids);
    const near = this.#random.chance(0.6) ? first : null;
    const others = pids.filter((pid) => pid !== first);
    return new JsonClient(this.#cluster.addresses([first, ...others]), {
      keeper: this.#cluster.keeper,
      prefix: this.options.links.clientPrefix(near),
    });
  }

  async #makeAccounts(): Promise<void> {
    const client = this.#newClient();
    for (const user of this.#names) await client.must({ do: "create", user, password: passwordOf(user) });
    await client.end();
  }

  async #play(round: Round): Promise<void> {
    const { timeline } = this;
    const beganMs = performance.now();
    timeline.say(`round ${round.number}`);
    if (round.wound !== null) {
      timeline.say(describeWound(round.wound));
      timeline.count(`wound: ${round.wound.kind}`);
      await this.#field.wound(round.wound);
    }
    const startedMs = timeline.elapsedMs;
    for (const { atMs, strike } of round.strikes) {
      await Bun.sleep(Math.max(0, startedMs + atMs - timeline.elapsedMs));
      if (this.#isOver()) return;
      const line = describeStrike(strike, this.#names);
      if (!this.#strike(strike)) continue;
      timeline.say(line);
      timeline.count(`strike: ${strike.kind}`);
    }
    await Bun.sleep(Math.max(0, startedMs + round.lengthMs - timeline.elapsedMs));
    this.#longestGapMs = Math.max(this.#longestGapMs, this.#ledger.longestGapMs(beganMs));
  }

  #strike(strike: Strike): boolean {
    if (strike.kind !== "client-kill" && strike.kind !== "client-end" && strike.kind !== "client-freeze") {
      return this.#field.strike(strike);
    }
    return this.#people[strike.user]?.strike(strike.kind, strike.forMs) ?? false;
  }

  /** Mends everything; then all must be answered, all replicas together, and everything there. */
  async #comeTogether(everything = false): Promise<void> {
    if (this.#isOver()) return;
    const { timeline } = this;
    let healedMs = timeline.elapsedMs;
    try {
      await within(togetherMs, "not every replica has been started", this.#field.heal());
      healedMs = timeline.elapsedMs;
      await Bun.sleep(settleMs);
      await Promise.all(this.#people.map((person) => person.rest(togetherMs)));
      const index = await this.#together();
      const tookMs = timeline.elapsedMs - healedMs;
      this.#longestTogetherMs = Math.max(this.#longestTogetherMs, tookMs);
      this.#field.wellAgain();
      await this.#hearDoubts();
      const oneOrder = this.options.policy === "quorum";
      const judging = judge(this.#cluster, this.#ledger, this.#names, { oneOrder, everything, togetherMs });
      const faults = await within(judgedMs, "the replicas do not answer when asked for everything", judging);
      for (const fault of faults) timeline.fault(fault);
      if (faults.length === 0) this.#ledger.settle(index);
      this.#asked = everything;
      const askedMs = timeline.elapsedMs - healedMs - tookMs;
      const all = `${this.#ledger.size} acknowledged, ${faults.length === 0 ? "all there" : "and something wrong"}`;
      timeline.say(`together after ${seconds(tookMs)}; ${all} (asked for ${seconds(askedMs)})`);
    } catch (error) {
      if (!this.#stopped) timeline.fault(error instanceof Error ? error.message : String(error));
    }
    if (this.#isOver()) return;
    for (const person of this.#people) person.begin();
    this.#doubter?.go();
  }

  async #hearDoubts(): Promise<void> {
    if (this.#doubter === null) return;
    const report = await within(judgedMs, "the doubter gets no answers", this.#doubter.rest());
    for (const fault of report.faults) this.timeline.fault(`the doubter: ${fault}`);
    this.#askedAgain = report.askedAgain;
  }

  /** Resolves with the index of the last entry when all replicas are in one view of them all. */
  #together(): Promise<number> {
    return untilTogether(this.#cluster, togetherMs, this.#cluster.pids);
  }

  /** Everybody goes; then each replica answers alone, where one may go on alone. */
  async #askEachAlone(): Promise<void> {
    const { timeline } = this;
    if (!this.#asked) await this.#comeTogether(true);
    if (this.#isOver()) return;
    await Promise.all(this.#people.map((person) => person.rest(togetherMs)));
    await Promise.all(this.#people.map((person) => person.leave()));
    this.#doubter?.kill();
    if (this.options.policy === "quorum") return;
    const pids = this.#cluster.pids;
    for (const alone of pids) {
      const others = pids.filter((pid) => pid !== alone);
      await this.#together();
      this.#field.expectKill(...others);
      await this.#cluster.kill(...others);
      for (const fault of await faultsAt(this.#cluster, alone, this.#ledger, this.#names)) timeline.fault(fault);
      await this.#field.startAll();
    }
    timeline.say("each replica, asked alone, has everything exactly once");
  }

  async #sumUp(): Promise<void> {
    const { timeline } = this;
    const [directory = ""] = this.dataDirectories;
    const acts = (await inspectLog(directory, "--kind", "act")).output.split("\n").length - 2;
    timeline.say("summary");
    timeline.say(`  messages acknowledged: ${this.#ledger.size}`);
    timeline.say(`  longest time without an acknowledgement: ${seconds(this.#longestGapMs)}`);
    timeline.say(`  longest time until all were together: ${seconds(this.#longestTogetherMs)}`);
    timeline.say(`  views formed: ${acts}`);
    timeline.say(`  answers asked for again: ${this.#askedAgain}`);
    for (const [what, count] of timeline.counts) timeline.say(`  ${what}: ${count}`);
  }
}

/** What `work` resolves with, unless it takes longer. */
async function within<T>(ms: number, otherwise: string, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`${otherwise} (${seconds(ms)})`)), ms);
  return Promise.race([work, late.promise]).finally(() => clearTimeout(timer));
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
