/**
 * The addresses at which replicas may be found, and the order in which to try them. Must not connect anywhere.
 */
import { parseAddress } from "../base/address.ts";

/** Those given by the user, in their order, and those that the servers name. */
export class AddressBook {
  readonly #given: readonly string[];
  #learnt: readonly string[] = [];
  #first: string | null;

  /** `startAt` says which one comes first, modulo their number. */
  constructor(given: readonly string[], startAt = 0) {
    this.#given = [...new Set(given)];
    const count = this.#given.length;
    this.#first = this.#given[((startAt % count) + count) % count] ?? null;
  }

  /** What the cluster's config says now; replaces what was learnt before. Addresses that cannot be used are left out. */
  learn(addresses: readonly string[]): void {
    this.#learnt = addresses.filter((address) => parseAddress(address) !== null);
  }

  /** The next order begins after this one, which comes last. */
  startAfter(address: string): void {
    const all = this.#all();
    const at = all.indexOf(address);
    if (at >= 0) this.#first = all[(at + 1) % all.length] ?? null;
  }

  /** Every address once, from the one to begin with, around. */
  order(): string[] {
    const all = this.#all();
    const at = this.#first === null ? 0 : Math.max(0, all.indexOf(this.#first));
    return [...all.slice(at), ...all.slice(0, at)];
  }

  #all(): string[] {
    return [...new Set([...this.#given, ...this.#learnt])];
  }
}
