/**
 * Brings faults about that strike clients of the library and their connections while a run is under fire, and takes them
 * back for the heal. Draws from the seed; knows clients only through a few verbs.
 */
import type { End } from "./library-client.ts";
import type { LibraryFaults, LibraryProfile } from "./library-profile.ts";
import type { Random } from "./random.ts";
import type { Simulator } from "./simulator.ts";
import type { StreamClient, Streams } from "./streams.ts";

export interface StruckClient extends StreamClient {
  readonly gone: boolean;
  pause(forMs: number): void;
  resume(): void;
  end(how: End): void;
}

export interface ClientFaultsOptions {
  readonly profile: LibraryProfile;
  readonly pids: () => readonly number[];
  readonly clients: () => readonly StruckClient[];
  /** Another session takes the place of one that has ended. */
  readonly replace: (client: StruckClient) => void;
}

export class ClientChaos {
  readonly struck: Partial<Record<keyof LibraryFaults, number>> = {};
  private over = false;
  private readonly kinds: readonly (keyof LibraryFaults)[];

  constructor(
    private readonly simulator: Simulator,
    private readonly random: Random,
    private readonly streams: Streams,
    private readonly options: ClientFaultsOptions,
  ) {
    const { faults } = options.profile;
    this.kinds = (Object.keys(faults) as (keyof LibraryFaults)[]).flatMap((kind) =>
      Array.from({ length: faults[kind] }, () => kind),
    );
  }

  start(): void {
    if (this.kinds.length > 0) this.next();
  }

  heal(): void {
    this.over = true;
    this.streams.healAll();
    for (const client of this.options.clients()) {
      client.quality = { ...client.quality, delayMsMean: 1 };
      client.resume();
    }
  }

  private next(): void {
    const { random } = this;
    this.simulator.after(random.around(this.options.profile.faultMs), () => {
      if (this.over) return;
      const clients = this.options.clients().filter(({ gone }) => !gone);
      if (clients.length > 0) this.strike(random.pick(this.kinds), random.pick(clients));
      this.next();
    });
  }

  private strike(kind: keyof LibraryFaults, client: StruckClient): void {
    const { random, streams } = this;
    this.struck[kind] = (this.struck[kind] ?? 0) + 1;
    const open = streams.of(client);
    switch (kind) {
      case "reset":
        if (open.length > 0) streams.reset(random.pick(open));
        return;
      case "freeze":
        if (open.length > 0) random.pick(open).frozen = true;
        return;
      case "cut": {
        const pid = random.pick(this.options.pids());
        streams.cut(client, pid, true);
        return this.later(() => streams.cut(client, pid, false));
      }
      case "slow": {
        const { quality } = client;
        client.quality = { ...quality, delayMsMean: random.pick([30, 200]), pieceBytesMax: random.pick([1, 20, 200]) };
        return this.later(() => {
          client.quality = quality;
        });
      }
      case "standstill":
        return client.pause(this.outageMs());
      case "end":
        client.end(random.pick(["killed", "power", "quit"]));
        return this.later(() => this.options.replace(client));
    }
  }

  private later(mend: () => void): void {
    this.simulator.after(this.outageMs(), () => {
      if (!this.over) mend();
    });
  }

  private outageMs(): number {
    const { random } = this;
    return random.around(this.options.profile.silenceMs * random.pick([0.1, 0.5, 1, 3, 10]));
  }
}
