/**
 * Who is there: whatever changes that goes through here, so that it is noted when an account was seen last, and told to
 * those who talk with it. An account is there while one of its sessions is attached. Times are the log's.
 *
 * States of older builds do not hold when an account was seen. So sessions that such a build has registered leave no such
 * time: a state that was brought up to date and one that is built from the same log are one.
 */
import { isPresent, type Account } from "./accounts.ts";
import type { Deliveries } from "./deliveries.ts";
import type { Stores } from "./stores.ts";

/** Of an account that has talked with more others than this, not all are told: applying must not take long. */
const partnersMax = 1000;

export class Presence {
  readonly #stores: Stores;
  readonly #deliveries: Deliveries;

  constructor(stores: Stores, deliveries: Deliveries) {
    this.#stores = stores;
    this.#deliveries = deliveries;
  }

  /** Attaches, detaches, logs in or logs out sessions of this account. `at` is the log's time. */
  change(account: Account | null, at: number, work: () => void): void {
    if (account === null) return work();
    const before = isPresent(account);
    const isNoted = [...account.sessions].some(({ attachment, software }) => attachment !== null && software !== null);
    work();
    const online = isPresent(account);
    if (online === before) return;
    const { accounts, queries } = this.#stores;
    if (!online && isNoted) accounts.sawLast(account, at);
    const lastSeenAt = online ? null : account.lastSeenAt;
    const sessions = queries.partners(account.number, partnersMax).flatMap((number) => {
      const partner = accounts.byNumber(number);
      return partner === null ? [] : [...partner.sessions].filter(({ attachment }) => attachment !== null);
    });
    this.#deliveries.add(sessions, { type: "presence", user: account.name, online, lastSeenAt });
  }
}
