/**
 * A whole simulated cluster: replicas, network, clients, faults and judge, put together from a profile. Runs it under
 * fire, heals it, and holds it to what must be true afterwards.
 */
import { encodeFrame, decodeFrame } from "../protocol/codec.ts";
import { framePrefixBytes } from "../protocol/codec.ts";
import type { OpEntry } from "../protocol/entries.ts";
import { formatView } from "../protocol/ids.ts";
import type { Configured, ReplicaMessage } from "../protocol/messages.ts";
import { Oracle, type Acknowledged } from "./checkers.ts";
import { SimulationFailure } from "./failure.ts";
import { Chaos } from "./faults.ts";
import { clusterTagOf } from "../log/segment.ts";
import { judgeChat, replay } from "./chat-judge.ts";
import { makeChatOp } from "./chat-workload.ts";
import { MemoryDisk } from "./memory-log.ts";
import { Network, type LinkQuality, type Wire } from "./network.ts";
import { Operator } from "./operator.ts";
import { SimulatedNode } from "./node.ts";
import type { Profile } from "./profile.ts";
import { Random } from "./random.ts";
import { Simulator } from "./simulator.ts";
import { chatState, hasherOf, memoryState } from "./state-stores.ts";
import type { Surroundings, Tally, Flags } from "./surroundings.ts";
import type { Trace } from "./trace.ts";
import { Users } from "./users.ts";
import { WalStorage } from "./wal-storage.ts";
import { SimulatedClient, type WorkingClient } from "./workload.ts";

const cluster = new TextEncoder().encode("simulated chatd\n");
const clusterTag = clusterTagOf(cluster);

export class Cluster {
  readonly simulator: Simulator;
  readonly network: Network;
  readonly oracle: Oracle;
  readonly nodes: SimulatedNode[] = [];
  readonly clients: WorkingClient[] = [];
  /** Where clients are the library. */
  readonly users: Users | null = null;
  private readonly sessions: string[] = [];
  readonly chaos: Chaos;
  readonly tally: Tally = { merges: 0, repairs: 0, stateTransfers: 0, compactions: 0, expiries: 0 };
  readonly operator: Operator | null = null;
  private readonly world: Surroundings;
  private link: LinkQuality;
  /** For scenarios: sees every record that a replica asks its log to append. */
  written: ((pid: number, records: readonly Uint8Array[]) => void) | null = null;

  /** `random`: another stream than the one that drew the profile. */
  constructor(
    readonly profile: Profile,
    readonly trace: Trace,
    readonly random: Random = new Random(profile.seed + 2 ** 40),
  ) {
    this.link = profile.link;
    this.simulator = new Simulator(this.random.fork(), trace);
    this.network = new Network(
      this.simulator,
      this.random.fork(),
      profile.encoded ? throughBytes() : (message) => message,
    );
    this.oracle = new Oracle({ order: profile.order, nowMs: () => this.simulator.nowMs });
    // Of their own, so that they change nothing of a run without them.
    const clientRandom = new Random(profile.seed + 2 ** 46);
    if (profile.library !== null) {
      const { simulator, oracle, nodes, clients } = this;
      const run = { simulator, oracle, profile, library: profile.library, nodes, clients, addressOf };
      this.users = new Users(run, clientRandom);
    }
    const hasher = hasherOf(this.simulator, clientRandom.fork());
    const peers: Configured[] = [];
    for (let pid = 1; pid <= profile.replicas; pid++) peers.push({ pid, address: addressOf(pid), uuid: null });
    this.world = {
      simulator: this.simulator,
      random: this.random,
      network: this.network,
      oracle: this.oracle,
      profile,
      cluster,
      clusterTag,
      streams: this.users?.streams ?? null,
      newStorage: () =>
        profile.wal
          ? new WalStorage(this.simulator, this.random.fork(), cluster, profile.syncMs)
          : new MemoryDisk(this.simulator, this.random.fork(), profile.syncMs),
      newState: profile.chat
        ? () => chatState(hasher)
        : () => memoryState(profile.expiry !== null || profile.faults.rot > 0),
      snapshots: new Map(),
      tally: this.tally,
      disturbed: () => this.users?.judge.disturbed(this.simulator.nowMs),
      wipeable: (node) => this.mayBeWiped(node),
      restorable: (node, uuid) => this.mayBeRestored(node, uuid),
      replacementFlags: (pid) => (this.operator === null ? null : this.joining(pid)),
      written: (pid, records) => this.written?.(pid, records),
    };
    for (const { pid } of peers) this.addNode(pid, { peers, founds: true });
    for (let number = 0; number < profile.clients; number++) {
      if (this.users === null) this.addClient(number);
      else this.users.add();
    }
    this.chaos = new Chaos(this.simulator, this.random.fork(), profile, this.network, this.nodes, this.clients);
    const { operator } = profile;
    if (operator !== null) {
      this.operator = new Operator(this.simulator, new Random(profile.seed + 2 ** 43), profile, operator, {
        nodes: this.nodes,
        config: () => this.oracle.latestConfig,
        newcomer: () => this.addNewcomer(),
        addressOf,
        lossAccepted: () => {
          this.oracle.provisional = true;
          this.oracle.lossAccepted = true;
        },
      });
    }
  }

  private addNode(pid: number, flags: Flags): SimulatedNode {
    const node = new SimulatedNode(pid, this.world, flags);
    this.nodes.push(node);
    this.network.add(node);
    this.users?.streams.add(addressOf(pid), node);
    for (const { pid: other } of this.nodes) {
      this.network.quality(pid, other, this.link);
      this.network.quality(other, pid, this.link);
    }
    return node;
  }

  /** A machine that knows one or two of the others, whether they run or not. */
  addNewcomer(): SimulatedNode {
    const pid = this.nodes.length + 1;
    const node = this.addNode(pid, this.joining(pid));
    node.start();
    return node;
  }

  /** As an operator starts a replica with an empty disk: it names itself and one or two that are there. */
  private joining(pid: number): Flags {
    const known = (this.oracle.latestConfig ?? []).filter((each) => each.pid !== pid).slice(0, 2);
    return { peers: [...known, { pid, address: addressOf(pid), uuid: null }], founds: false };
  }

  /** Under fire, then healed and held to everything. Throws the first thing that is wrong. */
  run(): void {
    const { profile, simulator, chaos } = this;
    for (const node of this.nodes) simulator.after(this.random.between(0, 200), () => node.start());
    for (const client of this.clients) client.start();
    // Mostly the founding is left in peace: a cluster that was never founded shows little.
    if (this.random.chance(0.8)) simulator.run(foundingMs, () => this.oracle.formed.size > 0);
    chaos.start();
    this.users?.chaos.start();
    this.operator?.start();
    simulator.run(simulator.nowMs + profile.fireMs);
    if (profile.lasting) this.mustServeWithOneCut();
    if (this.trace.readable) this.trace.line(simulator.nowMs, "", "——— healed ———");
    this.heal();
    this.mustConverge();
    if (this.users?.loseOne() === true) this.mustConverge();
  }

  /**
   * All is well but for one link, for long: after a while nobody starts views any more, and every client is answered,
   * wherever it sits.
   */
  private mustServeWithOneCut(): void {
    const { profile, simulator, oracle } = this;
    const { timeoutMs } = profile;
    this.heal();
    this.mustComeTogether();
    if (this.trace.readable) this.trace.line(simulator.nowMs, "", "——— one link is cut ———");
    this.chaos.cutOneLink();
    const primary = this.nodes.find((node) => node.standing?.role === "primary");
    simulator.run(simulator.nowMs + 10 * timeoutMs);
    if (primary?.standing?.role !== "primary") {
      throw new SimulationFailure(
        "calm",
        `primary ${primary?.pid} is deposed because of one link, though others hear it`,
      );
    }
    const formed = oracle.formed.size;
    for (const client of this.clients) client.ask(3);
    simulator.run(simulator.nowMs + 15 * timeoutMs, () => this.clients.every((client) => client.done));
    const more = oracle.formed.size - formed;
    if (more > 1) {
      throw new SimulationFailure(
        "calm",
        `${more} views formed in ${15 * timeoutMs} ms though one link was cut for long`,
      );
    }
    const waiting = this.clients.find((client) => !client.done);
    if (waiting === undefined) return;
    throw new SimulationFailure(
      "calm",
      `session ${waiting.session} is not answered for ${15 * timeoutMs} ms: one link is cut`,
    );
  }

  private heal(): void {
    this.link = this.chaos.heal();
    this.users?.chaos.heal();
    this.operator?.stop();
    for (const node of this.nodes) node.mend();
    const present = this.clients.filter((client) => !client.gone).length;
    for (const client of this.clients) client.finish(Math.ceil(opsWanted / Math.max(1, present)));
  }

  /** With nothing in its way a change of the config comes into force within a bounded time. */
  private mustChange(operator: Operator): void {
    const { simulator, profile } = this;
    // Who is awaited since a total stop may have been a disk that is lost: nothing ends that but accepting the loss.
    if (this.nodes.some(({ standing }) => standing?.provisional === true)) return;
    operator.finish();
    const isDone = simulator.run(simulator.nowMs + 60 * profile.timeoutMs, () => !operator.busy);
    if (!isDone)
      throw new SimulationFailure("liveness", "a change of the config was not made although nothing was wrong");
    operator.stop();
    this.mustBeTogether();
  }

  /** Within a bounded time after the heal. */
  private mustComeTogether(): void {
    const { profile, simulator } = this;
    // Deaths and suspicions that were under way still come; what stands after them must last. Behind what a slow link has
    // still to bring nothing is heard.
    const behindMs = this.network.arrivesMs - simulator.nowMs;
    const silentMs = behindMs > profile.timeoutMs / 2 ? behindMs : 0;
    simulator.run(simulator.nowMs + silentMs + 2 * profile.timeoutMs + 600);
    this.mustBeTogether();
  }

  /** Everyone in one formed view with one log, and every op of every client answered, within a bounded time. */
  private mustBeTogether(): void {
    const { profile, simulator } = this;
    const waitMs = profile.recoveryWaitMs < 1e9 ? profile.recoveryWaitMs : 0;
    const boundMs = simulator.nowMs + 60 * profile.timeoutMs + 2 * waitMs;
    let obstacle: string | null = "";
    let checkedMs = 0;
    const converged = simulator.run(boundMs, () => {
      if (simulator.nowMs - checkedMs < 20) return false;
      checkedMs = simulator.nowMs;
      obstacle = this.obstacle();
      return obstacle === null;
    });
    if (!converged) {
      const standings = this.nodes.map((node) => describeStanding(node)).join("; ");
      throw new SimulationFailure("liveness", `not converged long after the heal: ${obstacle} [${standings}]`);
    }
  }

  /** Together, also after another change of the config, and calm from then on. */
  mustConverge(): void {
    const { profile, simulator } = this;
    this.mustComeTogether();
    if (this.operator !== null) this.mustChange(this.operator);
    const views = this.nodes.map((node) => node.standing?.view);
    simulator.run(simulator.nowMs + 3 * profile.timeoutMs);
    for (const [at, node] of this.nodes.entries()) {
      if (node.standing?.view === views[at]) continue;
      throw new SimulationFailure("liveness", `replica ${node.pid} left a view although nothing was wrong`);
    }
    // A session whose loss was noticed, or that expired, just now is under way to everybody.
    if (this.obstacle() !== null)
      simulator.run(simulator.nowMs + 20 * profile.timeoutMs, () => this.obstacle() === null);
    this.judgeEnd();
  }

  /** Frees what the states hold. */
  close(): void {
    for (const node of this.nodes) node.close();
  }

  /** Why the run has not come to rest; null when it has. */
  obstacle(): string | null {
    const [first] = this.nodes;
    const primary = this.nodes.find((node) => node.standing?.role === "primary");
    const model = (primary ?? first)?.standing;
    if (model == null) return "nobody runs";
    const idleMs = this.simulator.nowMs - (this.operator?.askedMs ?? -Infinity);
    if (idleMs < wantedMs) return "a change of the config may still be wanted";
    const { awaiting, config } = model;
    const mayCome = awaiting.some((awaited) => config.some(({ uuid }) => uuid === awaited));
    if (awaiting.length > 0 && !mayCome) return `${formatView(model.view)} awaits disks that were replaced`;
    for (const node of this.nodes) {
      const { standing } = node;
      if (standing === null) return `replica ${node.pid} is down`;
      const isConfigured = model.config.some(({ pid }) => pid === node.pid);
      const serves = standing.ready && (standing.role === "primary" || standing.role === "backup");
      if (isConfigured && !serves) return `replica ${node.pid} is ${standing.role}, not ready: ${standing.waitingFor}`;
      if (!isConfigured && standing.role !== "learner")
        return `replica ${node.pid}, not in the config, is ${standing.role}`;
      if (standing.view !== model.view) {
        return `replica ${node.pid} is in ${formatView(standing.view)}, another in ${formatView(model.view)}`;
      }
      if (standing.members.length !== model.config.length) return `view ${formatView(standing.view)} lacks members`;
    }
    for (const client of this.clients) {
      if (!client.done) return `session ${client.session} waits for ${client.waiting.join(", ") || "its next op"}`;
    }
    const unaware = this.users?.unaware;
    if (unaware !== undefined) return `session ${unaware.session} has yet to notice that its connection is frozen`;
    for (const node of this.nodes) {
      const { index } = node.applied.applied;
      const [lost] = this.oracle.oneOrder ? [] : this.missingOn(node);
      // Where there were forks, their ops come back by the merge, which takes its time.
      if (lost !== undefined) return `${lost.op}, acknowledged as entry ${lost.index}, is missing on ${node.pid}`;
      if (index !== model.lastIndex) return `replica ${node.pid} has applied ${index} of ${model.lastIndex}`;
    }
    return null;
  }

  private missingOn(node: SimulatedNode): Acknowledged[] {
    const { oracle } = this;
    return oracle.missing((session, seq) => {
      if (node.applied.holds(session, seq)) return true;
      // Of a session that expired what only a machine given up for lost had acknowledged is gone, also if it returns.
      return oracle.lossAccepted && node.applied.forgotten.has(session);
    });
  }

  /** Everything that was under way has arrived. */
  private judgeEnd(): void {
    const [first, ...rest] = this.nodes;
    if (first === undefined) return;
    this.tally.expiries = this.oracle.expired.size;
    if (this.profile.chat) {
      const replayed = replay(first.applied);
      judgeChat(first.applied.inner, replayed);
      this.users?.judgeEnd(replayed);
    }
    for (const node of this.nodes) {
      const missing = this.missingOn(node);
      const [lost] = missing;
      if (lost === undefined) continue;
      throw new SimulationFailure(
        "lost",
        `${missing.length} acknowledged ops are missing on replica ${node.pid}, first ${lost.op}, ` +
          `acknowledged at ${lost.atMs.toFixed(1)} as entry ${lost.index}`,
      );
    }
    const { digest } = first;
    for (const node of rest) {
      const same =
        node.applied.applied.index === first.applied.applied.index &&
        node.applied.applied.chain === first.applied.applied.chain;
      if (!same) throw new SimulationFailure("order", `replicas 1 and ${node.pid} applied different logs`);
      if (digest !== node.digest) {
        throw new SimulationFailure("digest", `replicas 1 and ${node.pid} have different states`);
      }
    }
  }

  /**
   * A disk may be lost without breaking a promise only while the disks known to the cluster stay a majority. In
   * `available` an acknowledgement that stood for the lost disks alone is excused.
   */
  private mayBeWiped(node: SimulatedNode): boolean {
    const { nodes } = this;
    const config = this.oracle.latestConfig;
    if (config === null || config.length === 1 || this.oracle.disks > 25) return false;
    const { disksReturn } = this.profile;
    // The config that is attempted may be the one that has to do without this disk.
    if (!disksReturn && (this.operator?.busy === true || this.oracle.isChanging)) return false;
    // Who has given its own state up for another's has nothing to go on from until it has that one.
    if (!nodes.some((other) => other !== node && other.applied.applied.index > 0)) return false;
    if (!config.some(({ pid }) => pid === node.pid)) return false;
    // Whichever of these comes into force, a majority of it must be left: see "Not promised" in `lib/replication`.
    const configs = disksReturn ? [config, ...this.oracle.attempted.configs] : [config];
    return configs.every((each) => this.canDoWithout(node, each));
  }

  private canDoWithout(node: SimulatedNode, config: readonly Configured[]): boolean {
    const isConfigured = (each: SimulatedNode): boolean => config.some(({ pid }) => pid === each.pid);
    const isSound = ({ log, uuid }: SimulatedNode): boolean =>
      !log.damaged && config.some((each) => each.uuid === uuid) && this.oracle.knowsItself(log);
    const lost = this.nodes.filter((each) => isConfigured(each) && (each === node || !isSound(each)));
    if (this.profile.policy === "quorum") return 2 * lost.length < config.length;
    return lost.length <= Math.max(1, (config.length - 1) / 2);
  }

  /**
   * The disk that is there now is lost with it, unless the one that comes back is the one that counts, or neither does: a
   * replica that was removed has given what it held.
   */
  private mayBeRestored(node: SimulatedNode, uuid: string): boolean {
    const { latestConfig, attempted } = this.oracle;
    if (latestConfig === null) return false;
    const configs = [latestConfig, ...attempted.configs];
    if (configs.every((each) => each.some((other) => other.uuid === uuid))) return true;
    return configs.every((each) => !each.some(({ pid }) => pid === node.pid)) || this.mayBeWiped(node);
  }

  private addClient(number: number): void {
    const { profile, random, oracle } = this;
    const session = random.uuid();
    this.sessions.push(session);
    this.clients.push(
      new SimulatedClient(
        this.simulator,
        random.fork(),
        number,
        session,
        this.nodes,
        {
          ops: profile.opsPerClient,
          window: profile.window,
          thinkMs: profile.thinkMs,
          patienceMs: profile.patienceMs,
          opensSession: profile.chat || profile.expiry !== null,
          leaving: profile.expiry?.leaving ?? 0,
          awayMs: profile.expiry?.awayMs ?? 0,
          newSession: () => (this.sessions[number] = random.uuid()),
          makeOp: (owner, seq, oldest) =>
            profile.chat || seq === 0
              ? makeChatOp(number, this.sessions, seq, oldest)
              : makeOp(number, owner, seq, oldest),
        },
        oracle,
      ),
    );
  }
}

const foundingMs = 3_000;
/** For how long a replica goes on wanting a change that nobody asks for any more, and a little. */
const wantedMs = 3_300;
/** So many are asked for in every run, after the heal if the fire left no time for them. */
const opsWanted = 110;
const addressOf = (pid: number): string => `replica-${pid}:1538`;

/** An op whose command nobody else makes. */
function makeOp(client: number, session: string, seq: number, oldest: number): OpEntry {
  const command = new Uint8Array([client, seq & 0xff, seq >> 8, 0x5e]);
  return { session, seq, oldest, at: 0, origAt: 0, digest: new Uint8Array(8).fill(seq & 0xff), command };
}

function describeStanding({ pid, standing }: SimulatedNode): string {
  if (standing === null) return `${pid} down`;
  const members = standing.members.map((member) => member.pid).join("");
  return (
    `${pid} ${standing.role}${standing.ready ? " ready" : ""} ${formatView(standing.view)}{${members}} ` +
    `commit ${standing.commit} of ${standing.lastIndex}`
  );
}

/** What is sent to several is made bytes of once, and shared by them as what is handed over without bytes is. */
function throughBytes(): Wire {
  const carried = new WeakMap<ReplicaMessage, ReplicaMessage>();
  return (message) => {
    const known = carried.get(message);
    if (known !== undefined) return known;
    const frame = decodeFrame(encodeFrame(message).slice(framePrefixBytes));
    if (frame.type !== message.type) throw new SimulationFailure("codec", `a ${message.type} became a ${frame.type}`);
    carried.set(message, frame as ReplicaMessage);
    return frame as ReplicaMessage;
  };
}
