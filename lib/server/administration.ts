/**
 * What an operator asks of this replica (`chatd cluster`): how every replica is, and changes of the config. Says who may
 * ask. Decides nothing about a change: the replicated log does.
 */
import type { AdminRequest, FrameOf, Placement, ReplicaReport } from "../protocol/messages.ts";
import type { ChangeReport, ConfigChange, Standing } from "../replication/events.ts";
import { replicaStatus, type HeartbeatOf } from "./status.ts";
import type { Wire } from "./wire.ts";

export interface AdministrationOptions {
  readonly pid: number;
  readonly software: string;
}

export interface AdministrationPorts {
  readonly standing: () => Standing;
  readonly placement: () => Placement;
  /** Client connections here. */
  readonly connections: () => number;
  readonly heartbeat: HeartbeatOf;
  /** Pids of replicas that are heard without being in the config, and where they are. */
  readonly guests: () => readonly { readonly pid: number; readonly address: string }[];
  /** What that replica calls its program; empty when it has not been met. */
  readonly softwareOf: (pid: number) => string;
  /** Whether it has been reached at this address. */
  readonly reaches: (pid: number, address: string) => boolean;
  /** Whether a replica of the config is at this host. */
  readonly isReplicaHost: (host: string) => boolean;
  /** Answered by `reported` under the same number. */
  readonly change: (request: number, change: ConfigChange, answers: boolean) => void;
  readonly log: (level: "info" | "warn", message: string) => void;
}

interface Asked {
  readonly wire: Wire;
  readonly request: number;
}

export class Administration {
  readonly #options: AdministrationOptions;
  readonly #ports: AdministrationPorts;
  readonly #asked = new Map<number, Asked>();
  #lastRequest = 0;
  /** What was asked for last, to be said once and not each time it is asked again. */
  #saidOf = "";

  constructor(options: AdministrationOptions, ports: AdministrationPorts) {
    this.#options = options;
    this.#ports = ports;
  }

  /** Answers over the connection on which it came. */
  handle(frame: AdminRequest, wire: Wire): void {
    const { host } = wire;
    if (!wire.isLocal && !this.#ports.isReplicaHost(host)) {
      const message = `Replica ${this.#options.pid} takes this from its own machine or that of another replica only, not from ${host}.`;
      this.#ports.log("warn", `${wire.remote} may not ask for ${frame.type}: it is no replica's address`);
      wire.send({ type: "refused", request: frame.request, code: "unauthorized", message });
      return;
    }
    if (frame.type === "clusterStatus") wire.send(this.#report(frame.request));
    else this.#change(frame, wire);
  }

  /** The replicated log has answered a change that was asked for here. */
  reported(request: number, { state, reason, view, ask }: ChangeReport): void {
    const asked = this.#asked.get(request);
    this.#asked.delete(request);
    asked?.wire.send({ type: "changeReport", request: asked.request, state, reason, view, ask });
  }

  #change(frame: FrameOf<"changeConfig">, wire: Wire): void {
    const { pid, acceptLoss, request } = frame;
    const address = frame.address ?? "";
    const change: ConfigChange =
      frame.change === "add" ? { kind: "add", pid, address } : { kind: "remove", pid, acceptLoss };
    const number = ++this.#lastRequest;
    this.#asked.set(number, { wire, request });
    const said = JSON.stringify(change);
    if (said !== this.#saidOf) {
      this.#saidOf = said;
      const what = change.kind === "add" ? `add replica ${pid} at ${address}` : `remove replica ${pid}`;
      this.#ports.log("info", `${wire.remote} asks to ${what}${acceptLoss ? ", whatever is lost" : ""}`);
    }
    this.#ports.change(number, change, this.#ports.reaches(pid, address));
  }

  #report(request: number): FrameOf<"clusterReport"> {
    const { type: _, replicas: config, ...place } = this.#ports.placement();
    const inConfig = new Set(config.map(({ pid }) => pid));
    const guests = this.#ports.guests().filter(({ pid }) => !inConfig.has(pid));
    const replicas = [...config, ...guests].map(({ pid, address }) => this.#replica(pid, address, inConfig.has(pid)));
    return { type: "clusterReport", request, ...place, replicas };
  }

  #replica(pid: number, address: string, configured: boolean): ReplicaReport {
    const { pid: self, software } = this.#options;
    const standing = this.#ports.standing();
    const own = { pid: self, connections: this.#ports.connections() };
    const status = replicaStatus(pid, address, standing, own, this.#ports.heartbeat);
    const member = standing.members.some((each) => each.pid === pid);
    const known = { ...status, configured, member };
    if (pid === self) return { ...known, view: standing.view, software };
    const heartbeat = this.#ports.heartbeat(pid);
    if (heartbeat === null) return { ...known, view: 0, software: "" };
    // A learner is in no view: its log has come to one.
    const view = heartbeat.installed === 0 ? heartbeat.lastView : heartbeat.installed;
    return { ...known, view, software: this.#ports.softwareOf(pid) };
  }
}
