/**
 * Keeps one connection to a replica that can serve: searches, backs off when a whole round has failed, moves on when the
 * connection is lost and away from a replica that does not serve. Must not know sessions: its owner says whether a
 * connection turned out to be usable.
 */
import type { Frame } from "../protocol/messages.ts";
import type { AddressBook } from "./addresses.ts";
import type { Link, LinkOwner, LinkSettings } from "./link.ts";
import { search } from "./search.ts";
import type { ClientPorts } from "./types.ts";

/** After a failed round the next one begins within this: doubling from the first to the last, the half of it random. */
const backoffFirstMs = 25;
const backoffLastMs = 250;
/** A connection that was usable for this long was a good one: its loss is followed by a round without waiting. */
const steadyMs = 1000;
/** How long to stay with a replica that is not ready before looking whether another one is. */
const notReadyMs = 1000;

export interface ConnectorOwner {
  /** Addresses that failed in the first round since the last connection. */
  tried(addresses: readonly string[]): void;
  /** A whole round has failed, or has found only replicas that are not ready. It goes on by itself. */
  offline(reason: string): void;
  /** There is a connection. The owner uses it, and says `steady` once it is usable or `giveUp` when it is not. */
  found(link: Link): void;
  placed(link: Link): void;
  frame(link: Link, frame: Frame): void;
  /**
   * The connection is gone; unless the owner stops it now, a search follows, and `found`. `replaced`: the session was
   * opened on another connection.
   */
  lost(reason: string, replaced: boolean): void;
}

export class Connector implements LinkOwner {
  readonly #owner: ConnectorOwner;
  readonly #settings: LinkSettings;
  readonly #ports: ClientPorts;
  readonly #book: AddressBook;
  #link: Link | null = null;
  /** Of the first replica that answered: others may be met under an address that was learnt or reused. */
  #cluster: Uint8Array | null;
  #failedRounds = 0;
  #steadySinceMs: number | null = null;
  #cancelSearch: () => void = () => {};
  /** The backoff while there is no link, the look for a better replica while there is one. */
  #cancelTimer: () => void = () => {};
  /** For another replica, while there is a link. */
  #looking = false;
  #stopped = false;

  /** `cluster`: the one to be used, if it is known; else that of the first replica that answers. */
  constructor(
    owner: ConnectorOwner,
    book: AddressBook,
    settings: LinkSettings,
    ports: ClientPorts,
    cluster: Uint8Array | null,
  ) {
    this.#cluster = cluster;
    this.#owner = owner;
    this.#book = book;
    this.#settings = settings;
    this.#ports = ports;
  }

  /** Of the replicas that are used; null before the first one was met. */
  get cluster(): Uint8Array | null {
    return this.#cluster;
  }

  /** Begins the first round; the owner is not called within this call. */
  start(): void {
    this.#round();
  }

  /** The connection is usable. */
  steady(): void {
    this.#steadySinceMs = this.#ports.clock.monotonicMs();
  }

  /** The replica answers but cannot be used now: try the next ones, after the backoff. */
  giveUp(reason: string): void {
    const link = this.#link;
    if (link === null) return;
    link.drop();
    this.#owner.offline(`${link.address} ${reason}`);
    this.lost(link, reason);
  }

  /** No more connections; a link that stands says goodbye. Resolves when it has gone, `waitMs` at the latest. */
  async stop(reason: string, waitMs: number): Promise<void> {
    this.#stopped = true;
    this.#cancelSearch();
    this.#cancelTimer();
    const link = this.#link;
    this.#link = null;
    await link?.leave(reason, waitMs);
  }

  welcomed(): void {
    // Only a search's links are welcomed.
  }

  placed(link: Link): void {
    this.#learn(link);
    this.#watch(link);
    this.#owner.placed(link);
  }

  frame(link: Link, frame: Frame): void {
    this.#owner.frame(link, frame);
  }

  /** Its machine may have stopped, or the way there: another replica is used as soon as it proves to be better. */
  quiet(link: Link): void {
    if (link !== this.#link || link.place?.ready !== true || this.#looking) return;
    this.#look(
      link,
      () => (link.isQuiet ? "is silent" : null),
      () => {},
    );
  }

  lost(link: Link, reason: string): void {
    if (link !== this.#link) return;
    this.#cancelSearch();
    this.#cancelTimer();
    this.#link = null;
    this.#book.startAfter(link.address);
    const since = this.#steadySinceMs;
    this.#steadySinceMs = null;
    this.#owner.lost(`${link.address} ${reason}`, link.replaced);
    if (this.#stopped) return;
    if (since !== null && this.#ports.clock.monotonicMs() - since >= steadyMs) {
      this.#failedRounds = 0;
      this.#round();
    } else {
      this.#roundLater();
    }
  }

  #round(): void {
    this.#cancelSearch = this.#search(this.#book.order(), false, (link, failures) => {
      if (link === null) {
        this.#owner.offline(failures.length === 0 ? "no address to try" : failures.join("; "));
        return this.#roundLater();
      }
      if (link.place?.ready !== true) this.#owner.offline(failures.join("; "));
      this.#adopt(link);
    });
  }

  #roundLater(): void {
    const ceilingMs = Math.min(backoffLastMs, backoffFirstMs * 2 ** Math.min(this.#failedRounds, 10));
    this.#failedRounds++;
    const random = (this.#ports.randomBytes(1)[0] ?? 0) / 255;
    this.#cancelTimer = this.#ports.clock.setTimer(ceilingMs * (0.5 + random / 2), () => this.#round());
  }

  #search(addresses: string[], readyOnly: boolean, done: (link: Link | null, failures: readonly string[]) => void) {
    const request = {
      addresses,
      readyOnly,
      inspect: (link: Link) => this.#inspect(link),
      learnt: () => this.#book.order().filter((address) => !readyOnly || address !== this.#link?.address),
      tried: (tried: readonly string[]) => {
        if (!readyOnly) this.#owner.tried(tried);
      },
      done,
    };
    return search(request, this.#settings, this.#ports);
  }

  #inspect(link: Link): string | null {
    this.#cluster ??= link.cluster;
    if (!sameBytes(this.#cluster, link.cluster)) return "belongs to another cluster";
    this.#learn(link);
    return null;
  }

  #learn(link: Link): void {
    this.#book.learn((link.place?.replicas ?? []).map((replica) => replica.address));
  }

  #adopt(link: Link): void {
    this.#link = link;
    link.owner = this;
    this.#watch(link);
    this.#owner.found(link);
  }

  /** While the replica is not ready, looks from time to time whether another one is. */
  #watch(link: Link): void {
    this.#cancelTimer();
    if (link !== this.#link || link.place?.ready === true) return;
    this.#cancelTimer = this.#ports.clock.setTimer(notReadyMs, () => {
      this.#look(
        link,
        () => (link.place?.ready === true ? null : "is not ready"),
        () => this.#watch(link),
      );
    });
  }

  /** Looks for another replica that is ready and goes there if there is still a reason to; else calls `stay`. */
  #look(link: Link, reason: () => string | null, stay: () => void): void {
    const others = this.#book.order().filter((address) => address !== link.address);
    this.#cancelSearch();
    this.#looking = true;
    const cancel = this.#search(others, true, (better) => {
      this.#looking = false;
      if (better === null) return stay();
      const why = reason();
      if (why === null) return better.drop();
      link.drop();
      this.#link = null;
      this.#steadySinceMs = null;
      this.#owner.lost(`${link.address} ${why}, ${better.address} answers`, false);
      this.#adopt(better);
    });
    this.#cancelSearch = () => {
      this.#looking = false;
      cancel();
    };
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
