/** What the commands about accounts and logins do. Decides in log order; see `apply.ts`. */
import type { OpId } from "../protocol/messages.ts";
import type { Account } from "./accounts.ts";
import type { Deliveries } from "./deliveries.ts";
import type { Presence } from "./presence.ts";
import { refuse, type Finding } from "./results.ts";
import type { Session } from "./sessions.ts";
import { idOf, noAccount, ownAccountGone, type CommandOf, type Step } from "./step.ts";
import type { Stores } from "./stores.ts";

export class AccountOps {
  readonly #stores: Stores;
  readonly #deliveries: Deliveries;

  readonly #presence: Presence;

  constructor(stores: Stores, deliveries: Deliveries, presence: Presence) {
    this.#stores = stores;
    this.#deliveries = deliveries;
    this.#presence = presence;
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

  /** `credential`: the op that set the password that was checked. It may have been changed since, here or on another side. */
  login({ entry, op, session, merged }: Step, id: OpId, credential: OpId | null): Finding {
    const { accounts, sessions, notices, queries, drafts } = this.#stores;
    if (session.account !== null) {
      return refuse("already-logged-in", `You are logged in as ${session.account.name} already: log out first.`);
    }
    const account = accounts.byId(id);
    if (account === null) return noAccount(this.#stores, id);
    if (credential !== null && !isSame(credential, account.passwordOp)) {
      const { name } = account;
      const reason = `The password of ${name} was changed meanwhile: log in with the new one.`;
      if (merged) this.#deliveries.add([session], { type: "loggedOut", reason });
      return refuse("wrong-password", reason);
    }
    const place = { number: entry.index, view: entry.view, at: op.at };
    this.#presence.change(account, op.at, () => sessions.logIn(session, account, place));
    for (const text of notices.take(account)) this.#deliveries.add([session], { type: "notice", text });
    return {
      type: "loggedIn",
      user: account.name,
      inbox: queries.inboxCount(account.number),
      drafts: drafts.count(account),
    };
  }

  logout({ op, session }: Step): Finding {
    const { account } = session;
    if (account === null) return refuse("not-logged-in", "You are not logged in.");
    this.#presence.change(account, op.at, () => this.#stores.sessions.logOut(session, op.at));
    return { type: "done", count: 1 };
  }

  /** What it sent stays with those who have it, under its name; all else goes, and the name is free. */
  delete({ entry, op, session }: Step, { account: id }: CommandOf<"deleteAccount">): Finding {
    const { accounts, notices, drafts, messages, erasure } = this.#stores;
    const account = accounts.byId(id);
    if (account === null) return ownAccountGone(this.#stores, id);
    this.#end(account, [...account.sessions], op.at, `The account ${account.name} was deleted.`, session);
    notices.deleteAll(account);
    drafts.deleteAll(account);
    messages.settle(entry.index);
    accounts.bury(account);
    erasure.begin(account);
    return { type: "done", count: 1 };
  }

  /** Whoever knows the old password is to be out: the account's other sessions end. */
  changePassword(step: Step, { account: id, credential, passwordHash }: CommandOf<"changePassword">): Finding {
    const account = this.#stores.accounts.byId(id);
    if (account === null) return ownAccountGone(this.#stores, id);
    if (!step.merged && !isSame(credential, account.passwordOp)) {
      return refuse("wrong-password", `The password of ${account.name} was changed by another session meanwhile.`);
    }
    const others = [...account.sessions].filter((each) => each !== step.session);
    const reason = `The password of ${account.name} was changed by another session: log in with the new one.`;
    return this.#setPassword(step, account, passwordHash, others, reason);
  }

  resetPassword(step: Step, { account: id, passwordHash }: CommandOf<"resetPassword">): Finding {
    const account = this.#stores.accounts.byId(id);
    if (account === null) return noAccount(this.#stores, id);
    const reason = `The password of ${account.name} was reset by an operator: log in with the new one.`;
    const finding = this.#setPassword(step, account, passwordHash, [...account.sessions], reason);
    if (isSame(account.passwordOp, step.op)) {
      this.#deliveries.tell(account, step.entry.index, "Your password was reset by an operator.");
    }
    return finding;
  }

  /** Changed on both sides of a partition, the later change counts: that is the password that was chosen last. */
  #setPassword(step: Step, account: Account, hash: string, ended: readonly Session[], reason: string): Finding {
    const { entry, op, merged } = step;
    if (merged && op.origAt < account.passwordAt) {
      this.#deliveries.tell(account, entry.index, passwordOfLater);
      return { type: "done", count: 0 };
    }
    this.#stores.accounts.setPassword(account, idOf(op), hash, op.origAt);
    this.#end(account, ended, op.at, reason);
    return { type: "done", count: ended.length };
  }

  /** Those that are logged in to this account, also if they have logged in again since they were seen. */
  endSessions({ op }: Step, { account: id, sessions: uuids }: CommandOf<"endSessions">): Finding {
    const { accounts, sessions } = this.#stores;
    const account = accounts.byId(id);
    if (account === null) return ownAccountGone(this.#stores, id);
    const ended = new Set<Session>();
    for (const uuid of uuids) {
      const session = sessions.byUuid(uuid);
      if (session !== null && session.account === account) ended.add(session);
    }
    this.#end(account, [...ended], op.at, `This session was logged out by another one of ${account.name}.`);
    return { type: "done", count: ended.size };
  }

  /** Logs sessions out, and tells all but the one that asked for it. */
  #end(account: Account, ended: readonly Session[], at: number, reason: string, by: Session | null = null): void {
    this.#presence.change(account, at, () => {
      for (const session of ended) this.#stores.sessions.logOut(session, at);
    });
    this.#deliveries.add(
      ended.filter((session) => session !== by),
      { type: "loggedOut", reason },
    );
  }
}

const passwordOfLater =
  "While the replicas were apart, your password was changed on both sides. The one that was chosen last counts.";

const isSame = (one: OpId, other: OpId): boolean => one.session === other.session && one.seq === other.seq;
