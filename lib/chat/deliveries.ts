/**
 * What applying tells sessions that did not ask: gathered in log order until somebody takes it to their connections.
 * Decides nothing.
 */
import type { OpId, Push } from "../protocol/messages.ts";
import type { Delivery } from "../protocol/state-machine.ts";
import { isPresent, type Account } from "./accounts.ts";
import type { Notices } from "./notices.ts";
import type { Session } from "./sessions.ts";

export class Deliveries {
  readonly #notices: Notices;
  #gathered: Delivery[] = [];

  constructor(notices: Notices) {
    this.#notices = notices;
  }

  /** All since it was last asked. */
  take(): Delivery[] {
    const taken = this.#gathered;
    this.#gathered = [];
    return taken;
  }

  add(sessions: readonly Session[], push: Push): void {
    if (sessions.length > 0) this.#gathered.push({ sessions: sessions.map(({ uuid }) => uuid), push });
  }

  /** Tells the sessions of an account, but for the one that did it, that so many things of it have changed. */
  changed(
    account: Account,
    what: Extract<Push, { type: "changed" }>["what"],
    ids: readonly OpId[],
    by: Session | null,
  ) {
    const others = [...account.sessions].filter((session) => session !== by);
    if (ids.length > 0) this.add(others, { type: "changed", what, ids: [...ids] });
  }

  /** A notice, kept until somebody has it; `index` is that of the entry being applied. */
  tell(account: Account, index: number, text: string): void {
    this.#notices.add(account, index, !isPresent(account), text);
    this.add([...account.sessions], { type: "notice", text });
  }
}
