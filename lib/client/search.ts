/**
 * One round over the addresses for a replica that can serve: in order, the next as soon as one fails or is not ready,
 * or when it takes longer than others should have to wait. Must not know sessions, and makes one round only.
 */
import { Link, type LinkOwner, type LinkSettings } from "./link.ts";
import type { ClientPorts } from "./types.ts";

/** An attempt that has not answered for this long no longer holds up the next one; it goes on beside it. */
const staggerMs = 200;

export interface SearchRequest {
  readonly addresses: readonly string[];
  /** Give up rather than come back to a replica that is not ready. */
  readonly readyOnly: boolean;
  /** Looks at a welcome: null to accept the replica, else why not. */
  inspect(link: Link): string | null;
  /** Addresses that the inspected welcomes have brought; the search takes up those that it has not tried. */
  learnt(): readonly string[];
  /** Another address has failed or was not ready. */
  tried(addresses: readonly string[]): void;
  /**
   * The end, exactly once unless cancelled. The link is ready; or, when none is, one that answered; or null. The new
   * owner must be set at once. `failures` are phrases that begin with the address.
   */
  done(link: Link | null, failures: readonly string[]): void;
}

/** Begins a round; `done` is never called within this call. Returns what cancels it. */
export function search(request: SearchRequest, settings: LinkSettings, ports: ClientPorts): () => void {
  const round = new Round(request, settings, ports);
  round.start();
  return () => round.cancel();
}

class Round implements LinkOwner {
  readonly #request: SearchRequest;
  readonly #settings: LinkSettings;
  readonly #ports: ClientPorts;
  readonly #waiting: string[];
  readonly #known: Set<string>;
  /** Connecting, or waiting for the welcome. */
  readonly #attempts = new Set<Link>();
  /** Answered, not ready; kept open so that coming back costs nothing. In order of their answers. */
  readonly #parked: Link[] = [];
  readonly #failures: string[] = [];
  readonly #tried: string[] = [];
  #cancelStagger: () => void = () => {};
  #over = false;

  constructor(request: SearchRequest, settings: LinkSettings, ports: ClientPorts) {
    this.#request = request;
    this.#settings = settings;
    this.#ports = ports;
    this.#waiting = [...request.addresses];
    this.#known = new Set(request.addresses);
  }

  start(): void {
    // An empty round ends too, but not within this call.
    if (this.#waiting.length === 0) this.#cancelStagger = this.#ports.clock.setTimer(0, () => this.#next());
    else this.#next();
  }

  cancel(): void {
    this.#end(null);
  }

  welcomed(link: Link): void {
    const objection = this.#request.inspect(link);
    for (const address of this.#request.learnt()) {
      if (this.#known.has(address)) continue;
      this.#known.add(address);
      this.#waiting.push(address);
    }
    if (objection !== null) {
      link.drop();
      return this.lost(link, objection);
    }
    if (link.place?.ready === true) return this.#finish(link);
    this.#attempts.delete(link);
    this.#parked.push(link);
    this.#report(link.address, "is not a member of a formed view");
    this.#next();
  }

  placed(link: Link): void {
    if (link.place?.ready === true) this.#finish(link);
  }

  frame(): void {
    // Nobody has asked this replica for anything yet; a notice before the session stands has no reader.
  }

  quiet(): void {
    // The search ends long before a parked replica matters.
  }

  lost(link: Link, reason: string): void {
    const wasParked = this.#parked.indexOf(link);
    if (wasParked >= 0) this.#parked.splice(wasParked, 1);
    else this.#report(link.address, reason);
    this.#attempts.delete(link);
    this.#next();
  }

  #report(address: string, reason: string): void {
    this.#failures.push(reason.startsWith(address) ? reason : `${address} ${reason}`);
    this.#tried.push(address);
    this.#request.tried([...this.#tried]);
  }

  #next(): void {
    if (this.#over) return;
    this.#cancelStagger();
    const address = this.#waiting.shift();
    if (address !== undefined) {
      const link = new Link(address, this, this.#settings, this.#ports);
      this.#attempts.add(link);
      this.#cancelStagger = this.#ports.clock.setTimer(staggerMs, () => this.#next());
      return link.start();
    }
    if (this.#attempts.size > 0) return;
    this.#finish(this.#request.readyOnly ? null : this.#best());
  }

  /** One that follows a primary can pass ops on; else whichever answered first. */
  #best(): Link | null {
    return this.#parked.find((link) => (link.place?.primary ?? 0) > 0) ?? this.#parked[0] ?? null;
  }

  #finish(link: Link | null): void {
    if (this.#over) return;
    this.#end(link);
    this.#request.done(link, this.#failures);
  }

  #end(winner: Link | null): void {
    // Cancelled after the end: the winner is its new owner's.
    if (this.#over) return;
    this.#over = true;
    this.#cancelStagger();
    for (const link of [...this.#attempts, ...this.#parked]) if (link !== winner) link.drop();
  }
}
