/**
 * A whole simulated cluster: replicas, network, clients, faults and judge, put together from a profile. Runs it under
 * fire, heals it, and holds it to what must be true afterwards.
 */
import { encodeFrame, decodeFrame } from "../protocol/codec.ts";
import { framePrefixBytes } from "../protocol/codec.ts";
import type { OpEntry } from "../protocol/entries.ts";
import type { Configured, ReplicaMessage } from "../protocol/messages.ts";
import { Oracle } from "./checkers.ts";
import { SimulationFailure } from "./failure.ts";
import { Chaos } from "./faults.ts";
import { clusterTagOf } from "../log/segment.ts";
import { makeChatOp } from "./chat-workload.ts";
import { mayBeRestored, mayBeWiped } from "./losses.ts";
import { MemoryDisk } from "./memory-log.ts";
import { Network, type LinkQuality, type Wire } from "./network.ts";
import { Operator } from "./operator.ts";
import { SimulatedNode } from "./node.ts";
import type { Profile } from "./profile.ts";
import { Random } from "./random.ts";
import { mustComeTogether, mustConverge } from "./settling.ts";
import { Simulator } from "./simulator.ts";
import { chatState, hasherOf, memoryState } from "./state-stores.ts";
import type { Surroundings, Tally, Flags } from "./surroundings.ts";
import { mustOutlive } from "./survivors.ts";
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
      wipeable: (node) => mayBeWiped(this, node),
      restorable: (node, uuid) => mayBeRestored(this, node, uuid),
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
    if (this.trace.readable) this.trace.line(simulator.nowMs, "", "——— some die for good ———");
    // Of its own, so that it changes nothing of what was before.
    if (mustOutlive(this, new Random(profile.seed + 2 ** 50))) this.mustConverge();
  }

  /**
   * All is well but for one link, for long: after a while nobody starts views any more, and every client is answered,
   * wherever it sits.
   */
  private mustServeWithOneCut(): void {
    const { profile, simulator, oracle } = this;
    const { timeoutMs } = profile;
    this.heal();
    mustComeTogether(this);
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

  /** See `settling.ts`. */
  mustConverge(): void {
    mustConverge(this);
    this.tally.expiries = this.oracle.expired.size;
  }

  /** Frees what the states hold. */
  close(): void {
    for (const node of this.nodes) node.close();
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
/** So many are asked for in every run, after the heal if the fire left no time for them. */
const opsWanted = 110;
const addressOf = (pid: number): string => `replica-${pid}:1538`;

/** An op whose command nobody else makes. */
function makeOp(client: number, session: string, seq: number, oldest: number): OpEntry {
  const command = new Uint8Array([client, seq & 0xff, seq >> 8, 0x5e]);
  return { session, seq, oldest, at: 0, origAt: 0, digest: new Uint8Array(8).fill(seq & 0xff), command };
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
