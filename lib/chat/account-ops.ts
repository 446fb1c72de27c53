/** What the commands about accounts and logins do. Decides in log order; see `apply.ts`. */
import type { Deliveries } from "./deliveries.ts";
import { refuse, type Finding } from "./results.ts";
import { idOf, noAccount, ownAccountGone, type CommandOf, type Step } from "./step.ts";
import type { Stores } from "./stores.ts";

export class AccountOps {
  readonly #stores: Stores;
  readonly #deliveries: Deliveries;

  constructor(stores: Stores, deliveries: Deliveries) {
    this.#stores = stores;
    this.#deliveries = deliveries;
  }

  /** The first in the lineage keeps a name. */
  create({ entry, op, merged }: Step, { user, passwordHash }: CommandOf<"createAccount">): Finding {
    const { accounts } = this.#stores;
    const taken = accounts.byName(user) !== null;
    if (taken && !merged) return refuse("name-taken", `The name ${user} is taken: choose another one.`);
    const name = taken ? accounts.freeNameLike(user) : user;
    const account = accounts.create(entry.index, idOf(op), name, user, passwordHash, op.origAt);
    if (taken) {
      const text =
        `While the replicas were apart, the name ${user} was given to two accounts. This one is called ${name} now; ` +
        `you can go on signing in as ${user}.`;
      this.#deliveries.tell(account, entry.index, text);
    }
    return { type: "created", user: name };
  }

  login({ entry, op, session }: Step, { account: id }: CommandOf<"login">): Finding {
    const { accounts, sessions, notices, queries, drafts } = this.#stores;
    if (session.account !== null) {
      return refuse("already-logged-in", `You are logged in as ${session.account.name} already: log out first.`);
    }
    const account = accounts.byId(id);
    if (account === null) return noAccount(this.#stores, id);
    sessions.logIn(session, account, { number: entry.index, view: entry.view, at: op.at });
    for (const text of notices.take(account)) this.#deliveries.add([session], { type: "notice", text });
    return {
      type: "loggedIn",
      user: account.name,
      inbox: queries.inboxCount(account.number),
      drafts: drafts.count(account),
    };
  }

  logout({ op, session }: Step): Finding {
    if (session.account === null) return refuse("not-logged-in", "You are not logged in.");
    this.#stores.sessions.logOut(session, op.at);
    return { type: "done", count: 1 };
  }

  /** What it sent stays with those who have it, under its name; all else goes, and the name is free. */
  delete({ entry, op, session }: Step, { account: id }: CommandOf<"deleteAccount">): Finding {
    const { accounts, sessions, notices, drafts, messages, erasure } = this.#stores;
    const account = accounts.byId(id);
    if (account === null) return ownAccountGone(this.#stores, id);
    const loggedIn = [...account.sessions];
    for (const each of loggedIn) sessions.logOut(each, op.at);
    const reason = `The account ${account.name} was deleted.`;
    this.#deliveries.add(
      loggedIn.filter((each) => each !== session),
      { type: "loggedOut", reason },
    );
    notices.deleteAll(account);
    drafts.deleteAll(account);
    messages.settle(entry.index);
    accounts.bury(account);
    erasure.begin(account);
    return { type: "done", count: 1 };
  }
}
