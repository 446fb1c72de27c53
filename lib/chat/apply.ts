/**
 * What each command does, decided in log order: the same entry on the same state comes to the same on every replica.
 * No clock, no randomness, no name resolved (but the one that an account claims). Total: whatever can be decoded has an
 * answer. Opens no transaction.
 *
 * An op is *merged* when it was first accepted on another side of a partition: `origAt` differs from `at`. Its sender has
 * its acknowledgement already, so what cannot stand as it was is put right and told by a notice.
 */
import { assert, unreachable } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import { decodeCommand } from "../protocol/codec.ts";
import type { Command } from "../protocol/commands.ts";
import type { OpEntry } from "../protocol/entries.ts";
import type { OpId, Push } from "../protocol/messages.ts";
import type { Attachment, CommittedEntry, Delivery, OpResult, Outcome } from "../protocol/state-machine.ts";
import type { Account } from "./accounts.ts";
import {
  forgottenResult,
  loadFinding,
  refuse,
  reusedId,
  storeFinding,
  unknownSession,
  type Finding,
} from "./results.ts";
import { replyTo } from "./replies.ts";
import type { Session } from "./sessions.ts";
import type { Stores } from "./stores.ts";

type CommandOf<T extends Command["type"]> = Extract<Command, { type: T }>;

/** An op being applied. */
interface Step {
  readonly entry: CommittedEntry;
  readonly op: OpEntry;
  readonly session: Session;
  readonly merged: boolean;
}

/** Sessions of a replica's own ops: the incarnation stands in the last 8 bytes. No client can have one. */
export const isSystemSession = (session: string): boolean => session.startsWith("00000000-0000-0000-");

/** Of a message whose delivery failed, as much as tells which one it was. */
const excerptCharacters = 60;

export class Applier {
  readonly #stores: Stores;
  #outcomes: Outcome[] = [];
  #deliveries: Delivery[] = [];

  constructor(stores: Stores) {
    this.#stores = stores;
  }

  /** What came of the entries applied since it was last asked. */
  take(): { outcomes: Outcome[]; deliveries: Delivery[] } {
    const taken = { outcomes: this.#outcomes, deliveries: this.#deliveries };
    this.#outcomes = [];
    this.#deliveries = [];
    return taken;
  }

  apply(entry: CommittedEntry): void {
    this.#stores.erasure.goOn();
    const { op } = entry;
    if (op === null) return;
    const { session, seq } = op;
    const command = decode(op.command);
    const result = isSystemSession(session) ? this.#system(entry, op, command) : this.#client(entry, op, command);
    this.#outcomes.push({ session, seq, result });
  }

  #system(entry: CommittedEntry, op: OpEntry, command: Command): null {
    const { sessions } = this.#stores;
    if (command.type === "expire") this.#expire(entry, op, command);
    if (command.type !== "attach" && command.type !== "detach") return null;
    const session = sessions.byUuid(command.session);
    if (session === null) return null;
    if (command.type === "attach") this.#attach(session, entry, op, command);
    else if (session.attachment !== null && isSame(session.attachment, command)) {
      sessions.detach(session, op.at);
      this.#undeliver(session, entry, command.seen);
    }
    return null;
  }

  /**
   * While the loss of a session was not known, it counted as present: what came then has reached nobody, unless another
   * session of the account was logged in by then (one that is attached now gets all since its login).
   */
  #undeliver({ account, login }: Session, { index }: CommittedEntry, seen: number): void {
    if (account === null) return;
    const present = [...account.sessions].filter(({ attachment }) => attachment !== null);
    const before = Math.min(index, ...present.map((other) => other.login));
    const ids = this.#stores.messages.undeliver(account, Math.max(seen, login), before, index);
    for (let from = 0; from < ids.length; from += limits.pageMax) {
      this.#deliver(present, { type: "changed", what: "inbox", ids: ids.slice(from, from + limits.pageMax) });
    }
  }

  /**
   * This entry may be carried into a later view without a replica on which such a session is used at this moment, in a
   * fork that began before it. So it only closes; what was closed where every replica has it is used in no fork.
   */
  #expire({ index }: CommittedEntry, { at }: OpEntry, command: CommandOf<"expire">): void {
    const { sessions } = this.#stores;
    const hasty = globalThis.mistaken?.("forgotten at once") === true;
    for (const uuid of command.sessions) {
      const session = sessions.retained(uuid);
      if (session === null) continue;
      if (session.closed === 0) sessions.close(session, command.before, index);
      if (session.closed !== 0 && (session.closed <= command.settled || hasty)) sessions.forget(session, at);
    }
  }

  /** One that the same process has replaced or ended already comes too late. */
  #attach(session: Session, { index, view }: CommittedEntry, { at }: OpEntry, command: Omit<Attachment, "session">) {
    const { pid, incarnation, number } = command;
    const last = session.lastAttachment;
    if (last.pid === pid && last.incarnation === incarnation && last.number >= number) return;
    const attachment = { session: session.uuid, pid, incarnation, number };
    this.#stores.sessions.attach(session, { number: index, view, at }, attachment);
  }

  #client(entry: CommittedEntry, op: OpEntry, command: Command): OpResult {
    const { sessions } = this.#stores;
    if (command.type === "registerSession") return this.#register(entry, op, command);
    const merged = op.origAt !== op.at;
    const session = merged ? sessions.retained(op.session) : sessions.byUuid(op.session);
    if (session === null) return unknownSession;
    if (op.seq === 0) return refuse("bad-command", "Number 0 of a session is its registration.");
    if (sessions.hasApplied(session, op.seq)) return this.#again(session, op);
    const finding = this.#execute({ entry, op, session, merged }, command);
    const place = { number: entry.index, view: entry.view, at: op.at };
    sessions.record(session, op.seq, op.digest, place, storeFinding(finding));
    return replyTo(this.#stores, finding, op, entry.index, entry.view, false);
  }

  #again(session: Session, op: OpEntry): OpResult {
    const kept = this.#stores.sessions.resultOf(session, op.seq);
    if (kept === null) return forgottenResult;
    if (Buffer.compare(kept.digest, op.digest) !== 0) return reusedId;
    return replyTo(this.#stores, loadFinding(kept), op, kept.number, kept.view, true);
  }

  /** A client that got no answer registers again, on another connection: the later attachment counts. */
  #register(entry: CommittedEntry, op: OpEntry, command: CommandOf<"registerSession">): OpResult {
    const { sessions } = this.#stores;
    const { pid, incarnation, number, tokenHash } = command;
    if (op.seq !== 0) return refuse("bad-command", "A session is registered under number 0.");
    const merged = op.origAt !== op.at;
    const session = merged ? sessions.retained(op.session) : sessions.byUuid(op.session);
    if (session === null && sessions.identified(op.session) !== null) return unknownSession;
    if (session === null) {
      const attachment = { session: op.session, pid, incarnation, number };
      sessions.register({ number: entry.index, view: entry.view, at: op.at }, tokenHash, attachment);
      return { type: "done", index: entry.index, view: entry.view, duplicate: false, count: 0 };
    }
    if (Buffer.compare(session.tokenHash, tokenHash) !== 0) {
      return refuse("unauthorized", "This session was opened with another token.");
    }
    if (!merged) this.#attach(session, entry, op, command);
    return { type: "done", index: session.number, view: session.view, duplicate: true, count: 0 };
  }

  #execute(step: Step, command: Command): Finding {
    switch (command.type) {
      case "createAccount":
        return this.#createAccount(step, command);
      case "login":
        return this.#login(step, command);
      case "logout":
        return this.#logout(step);
      case "deleteAccount":
        return this.#deleteAccount(step, command);
      case "send":
        return this.#send(step, command);
      case "open":
        return this.#open(step, command);
      case "mark":
        return this.#mark(step, command);
      case "deleteMessages":
        return this.#deleteMessages(step, command);
      case "registerSession":
      case "attach":
      case "detach":
      case "expire":
        return refuse("bad-command", "This is not for a session to ask.");
      default:
        return unreachable(command);
    }
  }

  /** The first in the lineage keeps a name. */
  #createAccount({ entry, op, merged }: Step, { user, passwordHash }: CommandOf<"createAccount">): Finding {
    const { accounts } = this.#stores;
    const taken = accounts.byName(user) !== null;
    if (taken && !merged) return refuse("name-taken", `The name ${user} is taken: choose another one.`);
    const name = taken ? accounts.freeNameLike(user) : user;
    const account = accounts.create(entry.index, idOf(op), name, user, passwordHash, op.origAt);
    if (taken) {
      const text =
        `While the replicas were apart, the name ${user} was given to two accounts. This one is called ${name} now; ` +
        `you can go on signing in as ${user}.`;
      this.#tell(account, entry.index, text);
    }
    return { type: "created", user: name };
  }

  #login({ entry, op, session }: Step, { account: id }: CommandOf<"login">): Finding {
    const { accounts, sessions, notices, queries } = this.#stores;
    if (session.account !== null) {
      return refuse("already-logged-in", `You are logged in as ${session.account.name} already: log out first.`);
    }
    const account = accounts.byId(id);
    if (account === null) return this.#noAccount(id);
    sessions.logIn(session, account, { number: entry.index, view: entry.view, at: op.at });
    for (const text of notices.take(account)) this.#deliver([session], { type: "notice", text });
    return { type: "loggedIn", user: account.name, inbox: queries.inboxCount(account.number) };
  }

  #logout({ op, session }: Step): Finding {
    if (session.account === null) return refuse("not-logged-in", "You are not logged in.");
    this.#stores.sessions.logOut(session, op.at);
    return { type: "done", count: 1 };
  }

  /** What it sent stays with those who have it, under its name; all else goes, and the name is free. */
  #deleteAccount({ entry, op, session }: Step, { account: id }: CommandOf<"deleteAccount">): Finding {
    const { accounts, sessions, notices, messages, erasure } = this.#stores;
    const account = accounts.byId(id);
    if (account === null) return this.#ownAccountGone(id);
    const loggedIn = [...account.sessions];
    for (const each of loggedIn) sessions.logOut(each, op.at);
    const reason = `The account ${account.name} was deleted.`;
    this.#deliver(
      loggedIn.filter((each) => each !== session),
      { type: "loggedOut", reason },
    );
    notices.deleteAll(account);
    messages.settle(entry.index);
    accounts.bury(account);
    erasure.begin(account);
    return { type: "done", count: 1 };
  }

  /** The hot path. `from` was resolved when it was accepted: the session may have logged out since. */
  #send({ entry, op, session, merged }: Step, { from, to, text }: CommandOf<"send">): Finding {
    const { accounts, messages } = this.#stores;
    const sender = accounts.byId(from);
    if (sender === null) return this.#ownAccountGone(from);
    const named = accounts.byId(to);
    const asked = named?.formerFold ?? named?.fold ?? "";
    const recipient = globalThis.mistaken?.("name resolved at apply") ? accounts.byName(asked) : named;
    if (recipient === null) return this.#undeliverable(sender, entry.index, to, text, merged);
    if (recipient === sender) return refuse("to-self", "A message goes to somebody else, not to yourself.");
    const { seq, origAt: at } = op;
    const inbox = !isPresent(recipient);
    messages.send({ number: entry.index, session, seq, sender, recipient, inbox, at, text });
    if (!inbox) {
      const { name: to } = recipient;
      const message = { id: idOf(op), index: entry.index, from: sender.name, to, text, at, read: false, inbox };
      this.#deliver([...recipient.sessions], { type: "message", message });
    }
    return { type: "sent", at };
  }

  #undeliverable(sender: Account, index: number, to: OpId, text: string, merged: boolean): Finding {
    const refusal = this.#noAccount(to);
    if (!merged) return refusal;
    const name = this.#stores.accounts.nameOf(to) ?? "an account that is gone";
    const characters = Array.from(text);
    const excerpt =
      characters.slice(0, excerptCharacters).join("") + (characters.length > excerptCharacters ? "…" : "");
    this.#tell(
      sender,
      index,
      `Your message to ${name} could not be delivered: the account was deleted while the replicas were apart. ` +
        `The message began: ${excerpt}`,
    );
    return refusal;
  }

  /** Those no longer in the inbox, opened by another session meanwhile or gone, are left out. */
  #open(step: Step, { account: id, ids }: CommandOf<"open">): Finding {
    const account = this.#stores.accounts.byId(id);
    if (account === null) return this.#ownAccountGone(id);
    const opened: { readonly id: OpId; readonly number: number }[] = [];
    for (const message of ids) {
      const number = this.#find(step, account, message);
      if (number !== null && this.#stores.messages.open(account, number)) opened.push({ id: message, number });
    }
    this.#changed(
      step,
      account,
      "inbox",
      opened.map((message) => message.id),
    );
    return { type: "opened", owner: account.number, numbers: opened.map(({ number }) => number) };
  }

  #mark(step: Step, { account: id, ids, read }: CommandOf<"mark">): Finding {
    const account = this.#stores.accounts.byId(id);
    if (account === null) return this.#ownAccountGone(id);
    const found = this.#findAll(step, account, ids);
    if (found === null) return noSuchMessage;
    const marked: OpId[] = [];
    for (const [number, message] of found) {
      if (this.#stores.messages.mark(account, number, read)) marked.push(message);
    }
    this.#changed(step, account, "read", marked);
    return { type: "done", count: marked.length };
  }

  #deleteMessages(step: Step, { account: id, ids }: CommandOf<"deleteMessages">): Finding {
    const { accounts, messages, erasure } = this.#stores;
    const account = accounts.byId(id);
    if (account === null) return this.#ownAccountGone(id);
    const found = this.#findAll(step, account, ids);
    if (found === null) return noSuchMessage;
    for (const number of found.keys()) {
      const conversation = messages.remove(account.number, number);
      if (conversation !== null) erasure.shrunk(conversation);
    }
    this.#changed(step, account, "deleted", [...found.values()]);
    return { type: "done", count: found.size };
  }

  #find({ entry }: Step, account: Account, { session, seq }: OpId): number | null {
    return this.#stores.messages.find(account, this.#stores.sessions.identified(session), seq, entry.index);
  }

  /** Each once, by its number; null when one of them is not the account's. */
  #findAll(step: Step, account: Account, ids: readonly OpId[]): ReadonlyMap<number, OpId> | null {
    const found = new Map<number, OpId>();
    for (const id of ids) {
      const number = this.#find(step, account, id);
      if (number === null) return null;
      found.set(number, id);
    }
    return found;
  }

  #tell(account: Account, index: number, text: string): void {
    this.#stores.notices.add(account, index, !isPresent(account), text);
    this.#deliver([...account.sessions], { type: "notice", text });
  }

  #changed({ session }: Step, account: Account, what: "read" | "deleted" | "inbox", ids: readonly OpId[]): void {
    const others = [...account.sessions].filter((other) => other !== session);
    if (ids.length > 0) this.#deliver(others, { type: "changed", what, ids: [...ids] });
  }

  #deliver(sessions: readonly Session[], push: Push): void {
    if (sessions.length > 0) this.#deliveries.push({ sessions: sessions.map(({ uuid }) => uuid), push });
  }

  /** The op's own account was deleted between its acceptance and its place in the log, by another of its sessions. */
  #ownAccountGone(id: OpId): Extract<Finding, { type: "refused" }> {
    return refuse("not-logged-in", `You are not logged in any more. ${this.#noAccount(id).message}`);
  }

  #noAccount(id: OpId): Extract<Finding, { type: "refused" }> {
    const name = this.#stores.accounts.nameOf(id);
    return refuse("no-such-user", name === null ? "The account was deleted." : `The account ${name} was deleted.`);
  }
}

export const noSuchMessage = refuse(
  "no-such-message",
  "One of these messages is not yours, or deleted: nothing changed.",
);

const idOf = ({ session, seq }: OpId): OpId => ({ session, seq });

/** Whether messages reach the account live; otherwise they go to its inbox. */
export function isPresent(account: Account): boolean {
  for (const { attachment } of account.sessions) if (attachment !== null) return true;
  return false;
}

const isSame = (one: Omit<Attachment, "session">, other: Omit<Attachment, "session">): boolean =>
  one.pid === other.pid && one.incarnation === other.incarnation && one.number === other.number;

function decode(bytes: Uint8Array): Command {
  try {
    return decodeCommand(bytes);
  } catch (error) {
    assert(false, `a committed command can be decoded: ${error instanceof Error ? error.message : String(error)}`);
  }
}
