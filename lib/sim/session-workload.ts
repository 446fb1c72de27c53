/**
 * What simulated users of the library ask for: mostly messages to one another, then what is done with them, and questions.
 * Some is refused, as in life. Drawn from the seed; asks nothing itself.
 */
import type { OpRequest, QueryRequest } from "../client/types.ts";
import type { OpId } from "../protocol/messages.ts";
import type { Random } from "./random.ts";

/** What a user knows of the others. */
export interface Acquaintance {
  /** Ids of messages it has come across, the latest last. */
  readonly ids: OpId[];
  /** Accounts that others have. */
  readonly others: readonly number[];
  /** Messages it has written. */
  said: number;
}

export const accountOf = (account: number): string => `user${account}`;
export const passwordOf = (account: number): string => `password of user${account}`;

/** Names that are claimed again and again, by everybody. */
const claimed = 3;

/** The next requests of a user; more than one belong together, and are asked at once. */
export function draw(random: Random, account: number, known: Acquaintance): (OpRequest | QueryRequest)[] {
  const message = (to: string): OpRequest => {
    const text = `message ${++known.said} of ${user} `.repeat(random.pick([1, 1, 1, 4, 100]));
    return { type: "send", to, text };
  };
  const other = known.others.length === 0 ? account : random.pick(known.others);
  const ids = Array.from({ length: Math.min(known.ids.length, 1 + random.below(3)) }, () => random.pick(known.ids));
  const [user, password] = [accountOf(account), passwordOf(account)];
  switch (random.below(24)) {
    case 0:
    case 1:
      return [{ type: "open", count: 1 + random.below(6) }];
    case 2:
    case 3:
      return ids.length === 0 ? [message(accountOf(other))] : [{ type: "mark", ids, read: random.chance(0.7) }];
    case 4:
      return ids.length === 0 || random.chance(0.5)
        ? [message(accountOf(other))]
        : [{ type: "deleteMessages", ids: ids.slice(0, 1) }];
    case 5:
      return random.chance(0.5) ? [{ type: "logout" }, { type: "login", user, password }] : [{ type: "inbox" }];
    case 6:
      return random.chance(0.2)
        ? [{ type: "login", user: accountOf(other), password: "not the password" }]
        : [{ type: "createAccount", user: `claimed${random.below(claimed)}`, password }];
    case 7:
      return [{ type: "accounts", pattern: null, after: null, limit: 10 }];
    case 8:
    case 9:
    case 10:
      return [{ type: "messages", with: null, before: null, limit: random.pick([5, 200]), unread: random.chance(0.2) }];
    case 11:
      return [{ type: "status" }];
    case 12:
      return [{ type: "send", to: random.pick([user, "nobody"]), text: "to whom?" }];
    default:
      return [message(accountOf(other))];
  }
}
