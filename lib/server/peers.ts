/**
 * The other replicas, as this one reaches and hears them. It sends to each over the connection it has dialled, and reads
 * on the connection that the other has dialled; whose words are read is what the hello of that connection said.
 * Knows nothing of what the messages mean, except that it notes heartbeats.
 */
import { formatAddress, parseAddress, type Address } from "../base/address.ts";
import { limits } from "../base/limits.ts";
import { quoted, withArticle } from "../base/words.ts";
import type { Configured, Frame, FrameOf, Member, Policy, ReplicaMessage } from "../protocol/messages.ts";
import { protocolMagic } from "../protocol/messages.ts";
import type { Place } from "../replication/kinship.ts";
import { Heartbeats } from "./heartbeats.ts";
import { PeerLink, pingsPerTimeout, type PeerLinkOwner, type PeerLinkPorts } from "./peer-link.ts";
import { directionOf, type Wire } from "./wire.ts";

export interface PeersOptions {
  readonly self: Member;
  /** Where the others find this replica. */
  readonly address: string;
  /** 16 bytes. */
  readonly cluster: Uint8Array;
  readonly policy: Policy;
  readonly timeoutMs: number;
  /** What the hello calls this program. */
  readonly software: string;
}

export interface PeersOwner {
  connected(peer: Member): void;
  disconnected(pid: number, refused: boolean): void;
  received(from: Member, message: ReplicaMessage): void;
  log(level: "debug" | "info" | "warn", message: string): void;
}

/** Replicas outside the config that may be connected at once. */
const guestsMax = limits.replicasMax;

type Objection = { readonly code: FrameOf<"error">["code"]; readonly message: string };

/** A connection that another replica has dialled. */
interface Incoming {
  readonly wire: Wire;
  readonly member: Member;
}

export class Peers implements PeerLinkOwner {
  readonly #options: PeersOptions;
  readonly #owner: PeersOwner;
  readonly #ports: PeerLinkPorts;
  readonly #links = new Map<number, PeerLink>();
  readonly #incoming = new Map<number, Incoming>();
  readonly #heartbeats = new Heartbeats();
  readonly #complaints = new Map<number, string>();
  /** Pids whose links stand only because they have connected: they are not in the config. */
  readonly #guests = new Set<number>();
  /** What each calls its program, as its hello said. */
  readonly #software = new Map<number, string>();
  #cancelTick: () => void = () => {};
  #stopped = false;

  constructor(options: PeersOptions, owner: PeersOwner, ports: PeerLinkPorts) {
    this.#options = options;
    this.#owner = owner;
    this.#ports = ports;
    this.#tick();
  }

  /**
   * The replicas that are wanted now, self included: dials the new ones, hangs up on those that are gone. Who is gone but
   * connected stays as a guest: it may have something to give, and has to learn of it.
   */
  configure(config: readonly Configured[]): void {
    const wanted = new Map(config.map(({ pid, address }) => [pid, address]));
    wanted.delete(this.#options.self.pid);
    for (const [pid, link] of this.#links) {
      const text = wanted.get(pid);
      if (text === undefined && this.#incoming.has(pid)) {
        this.#guests.add(pid);
        continue;
      }
      const address = parseAddress(text ?? "");
      if (address?.host === link.address.host && address.port === link.address.port) continue;
      this.#hangUp(pid);
    }
    for (const [pid, text] of wanted) {
      this.#guests.delete(pid);
      const address = parseAddress(text);
      if (!this.#links.has(pid) && address !== null) this.#dial(pid, address);
    }
  }

  #dial(pid: number, address: Address): void {
    const link = new PeerLink(pid, address, this.#options.timeoutMs, this, this.#ports);
    this.#links.set(pid, link);
    link.dial();
  }

  #hangUp(pid: number): void {
    this.#links.get(pid)?.stop();
    this.#links.delete(pid);
    this.#guests.delete(pid);
  }

  /** Best effort: lost when the peer is not connected. */
  send(to: number, message: ReplicaMessage): void {
    this.#links.get(to)?.send(message);
  }

  /** The last heartbeat of a peer that was heard within the timeout. */
  heartbeat(pid: number): FrameOf<"heartbeat"> | null {
    return this.#heartbeats.latest(pid, this.#ports.clock.monotonicMs() - this.#options.timeoutMs);
  }

  /** Pids of those that were heard within the timeout. */
  get heard(): readonly number[] {
    return this.#heartbeats.pidsSince(this.#ports.clock.monotonicMs() - this.#options.timeoutMs);
  }

  /** Who is connected without being wanted, and where it says it is. */
  get guests(): readonly { readonly pid: number; readonly address: string }[] {
    return [...this.#guests].flatMap((pid) => {
      const { host, port } = this.#links.get(pid)?.address ?? { host: "", port: 0 };
      return port === 0 ? [] : [{ pid, address: formatAddress(host, port) }];
    });
  }

  /** What this replica calls its program; empty when it has not been met. */
  softwareOf(pid: number): string {
    return this.#software.get(pid) ?? "";
  }

  /** Whether the connection to this replica stands, and was made to this address. */
  reaches(pid: number, address: string): boolean {
    const link = this.#links.get(pid);
    return link?.connected === true && formatAddress(link.address.host, link.address.port) === address;
  }

  /** Whether a replica that is wanted is configured with this host, or was reached there. */
  isAt(host: string): boolean {
    const isHost = (other: string): boolean => plainHost(other) === plainHost(host);
    if (isHost(parseAddress(this.#options.address)?.host ?? "")) return true;
    return [...this.#links.values()].some(
      (link) => !this.#guests.has(link.pid) && (isHost(link.address.host) || isHost(link.reachedHost ?? "")),
    );
  }

  /** Whether this very process was heard within the time. */
  heardWithin(pid: number, incarnation: number, withinMs: number): boolean {
    return this.#heartbeats.heardSince(pid, incarnation, this.#ports.clock.monotonicMs() - withinMs);
  }

  /** How far this very process knew the log committed when it was heard last; null when it never was, or long ago. */
  commitOf(pid: number, incarnation: number): Place | null {
    return this.#heartbeats.commitOf(pid, incarnation);
  }

  /** A connection has introduced itself as a replica. */
  accept(wire: Wire, hello: FrameOf<"peerHello">): void {
    const member: Member = { pid: hello.pid, uuid: hello.uuid, incarnation: hello.incarnation };
    const objection = this.#stranger(hello) ?? this.objection(hello.pid, hello) ?? this.#rival(member);
    if (objection !== null) {
      this.#complain(hello.pid, `a connection from ${wire.host} is not accepted: ${objection.message}`);
      return wire.refuse(objection.code, objection.message);
    }
    this.#complaints.delete(hello.pid);
    this.#software.set(hello.pid, hello.software);
    this.#incoming.get(member.pid)?.wire.terminate("a newer connection has taken its place");
    const incoming: Incoming = { wire, member };
    this.#incoming.set(member.pid, incoming);
    wire.frameBytesMax = limits.replicaFrameBytesMax;
    wire.owner = {
      frame: (frame) => this.#received(incoming, frame),
      closed: () => {
        if (this.#incoming.get(member.pid) !== incoming) return;
        this.#incoming.delete(member.pid);
        if (this.#guests.has(member.pid)) this.#hangUp(member.pid);
      },
    };
    wire.send(this.hello());
    this.#welcomeGuest(hello);
    // It lives: no need to wait for the next try.
    this.#links.get(member.pid)?.dial();
  }

  /** Sends what is queued, closes everything, and resolves when it is closed, after `waitMs` at the latest. */
  async close(waitMs: number): Promise<void> {
    this.#stopped = true;
    this.#cancelTick();
    for (const link of this.#links.values()) link.stop();
    for (const { wire } of this.#incoming.values()) wire.close();
    const endMs = this.#ports.clock.monotonicMs() + waitMs;
    const closed = (): boolean => this.#incoming.size === 0 && [...this.#links.values()].every((link) => link.gone);
    while (!closed() && this.#ports.clock.monotonicMs() < endMs) {
      await new Promise<void>((resolve) => void this.#ports.clock.setTimer(5, resolve));
    }
    for (const { wire } of [...this.#incoming.values()]) wire.terminate("stopping");
  }

  // What a link asks and tells.

  hello(): FrameOf<"peerHello"> {
    const { self, cluster, address, policy, software } = this.#options;
    const { protocolVersion: version } = limits;
    return { type: "peerHello", magic: protocolMagic, version, cluster, ...self, address, policy, software };
  }

  objection(_pid: number, hello: FrameOf<"peerHello">): Objection | null {
    const { cluster, policy, self } = this.#options;
    if (!hello.cluster.every((byte, at) => byte === cluster[at])) {
      const message = `replica ${hello.pid} is of another cluster (${hex(hello.cluster)}); replica ${self.pid} is of ${hex(cluster)}: every replica of a new cluster must be started with the same --peers`;
      return { code: "cluster", message };
    }
    if (hello.policy !== policy) {
      const message = `replica ${hello.pid} runs with --policy ${hello.policy}, replica ${self.pid} with --policy ${policy}: they must be the same`;
      return { code: "policy", message };
    }
    return null;
  }

  connected(_pid: number, peer: Member): void {
    this.#owner.connected(peer);
  }

  disconnected(pid: number, refused: boolean): void {
    this.#owner.disconnected(pid, refused);
  }

  log(level: "debug" | "info" | "warn", message: string): void {
    this.#owner.log(level, message);
  }

  #received(from: Incoming, frame: Frame): void {
    if (frame.type === "error") {
      this.#complain(
        from.member.pid,
        `replica ${from.member.pid} closes its connection (${frame.code}): ${frame.message}`,
      );
      return from.wire.close();
    }
    if (!isReplicaMessage(frame))
      return from.wire.refuse("unexpected", `${withArticle(frame.type)} frame is not for replicas`);
    if (frame.type === "heartbeat") this.#heartbeats.heard(from.member, frame, this.#ports.clock.monotonicMs());
    this.#owner.received(from.member, frame);
  }

  /** Its own pid, or one too many that this replica does not know. */
  #stranger({ pid, uuid, incarnation, address }: FrameOf<"peerHello">): Objection | null {
    const { self } = this.#options;
    if (pid === self.pid) {
      const message =
        uuid !== self.uuid
          ? `replica ${pid} is already running (${self.uuid}); ${uuid} was started with the same --pid`
          : incarnation === self.incarnation
            ? `replica ${pid} has reached itself: its address stands in --peers under another pid as well`
            : `replica ${pid} is already running; another process was started with a copy of its data directory (${uuid})`;
      return { code: "unexpected", message };
    }
    if (this.#links.has(pid)) return null;
    if (pid === 0) return { code: "unexpected", message: "a replica has a pid from 1 on" };
    if (this.#guests.size >= guestsMax) return { code: "overloaded", message: "too many replicas outside the config" };
    return parseAddress(address) === null
      ? { code: "unexpected", message: `${quoted(address)} is no address to answer replica ${pid} at` }
      : null;
  }

  /** One that is not in the config: a newcomer, or one that was removed. It is answered where it says it is. */
  #welcomeGuest({ pid, address: text }: FrameOf<"peerHello">): void {
    const address = parseAddress(text);
    if (this.#links.has(pid) || address === null) return;
    this.#guests.add(pid);
    this.#owner.log("info", `replica ${pid} at ${text} is not in the config: it may follow the log`);
    this.#dial(pid, address);
  }

  /** Two processes under one pid: the one that is here and alive stays, unless the other is its successor. */
  #rival(member: Member): Objection | null {
    const present = this.#incoming.get(member.pid);
    if (present === undefined) return null;
    const { uuid, incarnation } = present.member;
    if (uuid === member.uuid && member.incarnation >= incarnation) return null;
    if (uuid !== member.uuid && present.wire.quiet > pingsPerTimeout) return null;
    const there = `replica ${member.pid} is already connected from ${present.wire.remote}`;
    const message =
      uuid === member.uuid
        ? `${there} as a later process; this one has a copy of its data directory (${uuid}), or has ended`
        : `${there} (${uuid}); ${member.uuid} was started with the same --pid`;
    return { code: "unexpected", message };
  }

  /** Every quarter of the timeout, counted: what was not heard while this process stood still says nothing. */
  #tick(): void {
    if (this.#stopped) return;
    for (const link of this.#links.values()) link.tick();
    for (const { wire } of [...this.#incoming.values()]) {
      // Heartbeats come more often than this; one that is silent is half-open, and its dialler has noticed before.
      if (wire.quiet++ > 2 * pingsPerTimeout) wire.terminate("silent");
    }
    this.#heartbeats.forget(this.#ports.clock.monotonicMs() - 60_000);
    this.#cancelTick = this.#ports.clock.setTimer(this.#options.timeoutMs / pingsPerTimeout, () => this.#tick());
  }

  #complain(pid: number, message: string): void {
    if (this.#complaints.get(pid) === message) return;
    this.#complaints.set(pid, message);
    this.#owner.log("warn", message);
  }
}

/** An IPv4 address that came over IPv6, as itself. */
const plainHost = (host: string): string => host.toLowerCase().replace(/^::ffff:/, "");

const hex = (bytes: Uint8Array): string =>
  Array.from(bytes.subarray(0, 4), (byte) => byte.toString(16).padStart(2, "0")).join("");

function isReplicaMessage(frame: Frame): frame is ReplicaMessage {
  return frame.type === "goodbye" || (directionOf(frame) === "replica" && frame.type !== "peerHello");
}
