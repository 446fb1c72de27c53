/**
 * What each command does, decided in log order: the same entry on the same state comes to the same on every replica.
 * No clock, no randomness, no name resolved (but the one that an account claims). Total: whatever can be decoded has an
 * answer. Opens no transaction.
 *
 * An op is *merged* when it was first accepted on another side of a partition: `origAt` differs from `at`. Its sender has
 * its acknowledgement already, so what cannot stand as it was is put right and told by a notice. What was refused here
 * and done there is done after all, as long as its result is kept.
 */
import { assert, unreachable } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import { decodeCommand } from "../protocol/codec.ts";
import type { Command } from "../protocol/commands.ts";
import type { OpEntry } from "../protocol/entries.ts";
import type { Applied, Attachment, CommittedEntry, OpResult, Outcome } from "../protocol/state-machine.ts";
import { AccountOps } from "./account-ops.ts";
import { Deliveries } from "./deliveries.ts";
import { DraftOps } from "./draft-ops.ts";
import { MessageOps } from "./message-ops.ts";
import { Presence } from "./presence.ts";
import {
  forgottenResult,
  copiesRefused,
  isOverruled,
  loadFinding,
  refuse,
  reusedId,
  storeFinding,
  unknownSession,
  type Finding,
} from "./results.ts";
import { replyTo } from "./replies.ts";
import type { Session } from "./sessions.ts";
import type { CommandOf, Step } from "./step.ts";
import type { Stores } from "./stores.ts";

/** Sessions of a replica's own ops: the incarnation stands in the last 8 bytes. No client can have one. */
export const isSystemSession = (session: string): boolean => session.startsWith("00000000-0000-0000-");

/** Of either kind: older builds did not ask for the software. */
type Registration = Omit<CommandOf<"registerSession">, "type"> & { readonly software: string | null };

export class Applier {
  readonly #stores: Stores;
  readonly #deliveries: Deliveries;
  readonly #presence: Presence;
  readonly #accounts: AccountOps;
  readonly #messages: MessageOps;
  readonly #drafts: DraftOps;
  #outcomes: Outcome[] = [];

  constructor(stores: Stores) {
    this.#stores = stores;
    this.#deliveries = new Deliveries(stores.notices);
    this.#presence = new Presence(stores, this.#deliveries);
    this.#accounts = new AccountOps(stores, this.#deliveries, this.#presence);
    this.#messages = new MessageOps(stores, this.#deliveries);
    this.#drafts = new DraftOps(stores, this.#deliveries, this.#messages);
  }

  /** What came of the entries applied since it was last asked. */
  take(): Applied {
    const taken = { outcomes: this.#outcomes, deliveries: this.#deliveries.take() };
    this.#outcomes = [];
    return taken;
  }

  apply(entry: CommittedEntry): void {
    this.#stores.erasure.goOn();
    const { op } = entry;
    if (op === null) return;
    const { session, seq, digest } = op;
    const command = decode(op.command);
    const result = isSystemSession(session) ? this.#system(entry, op, command) : this.#client(entry, op, command);
    this.#outcomes.push({ session, seq, digest, result });
  }

  #system(entry: CommittedEntry, op: OpEntry, command: Command): null {
    const { sessions } = this.#stores;
    if (command.type === "expire") this.#expire(entry, op, command);
    if (command.type !== "attach" && command.type !== "detach") return null;
    const session = sessions.byUuid(command.session);
    if (session === null) return null;
    if (command.type === "attach") this.#attach(session, entry, op, command);
    else if (session.attachment !== null && isSame(session.attachment, command)) {
      this.#presence.change(session.account, op.at, () => sessions.detach(session, op.at));
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
      this.#deliveries.add(present, { type: "changed", what: "inbox", ids: ids.slice(from, from + limits.pageMax) });
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
    this.#presence.change(session.account, at, () =>
      this.#stores.sessions.attach(session, { number: index, view, at }, attachment),
    );
  }

  #client(entry: CommittedEntry, op: OpEntry, command: Command): OpResult {
    const { sessions } = this.#stores;
    if (command.type === "openSession") return this.#register(entry, op, command);
    if (command.type === "registerSession") return this.#register(entry, op, { ...command, software: null });
    const merged = op.origAt !== op.at;
    const session = merged ? sessions.retained(op.session) : sessions.byUuid(op.session);
    if (session === null) return unknownSession;
    if (op.seq === 0) return refuse("bad-command", "Number 0 of a session is its registration.");
    const kept = sessions.hasApplied(session, op.seq) ? sessions.resultOf(session, op.seq) : null;
    const isOver = sessions.hasApplied(session, op.seq) && !isOverruled(kept, op);
    if (isOver) return this.#again(session, op);
    const finding = this.#execute({ entry, op, session, merged }, command);
    const place = { number: entry.index, view: entry.view, at: op.at };
    sessions.record(session, op.seq, op.digest, place, storeFinding(finding, [...copiesRefused(kept), op.origAt]));
    return replyTo(this.#stores, finding, op, entry.index, entry.view, false);
  }

  #again(session: Session, op: OpEntry): OpResult {
    const kept = this.#stores.sessions.resultOf(session, op.seq);
    if (kept === null) return forgottenResult;
    if (Buffer.compare(kept.digest, op.digest) !== 0) return reusedId;
    return replyTo(this.#stores, loadFinding(kept), op, kept.number, kept.view, true);
  }

  /** A client that got no answer registers again, on another connection: the later attachment counts. */
  #register(entry: CommittedEntry, op: OpEntry, command: Registration): OpResult {
    const { sessions } = this.#stores;
    const { pid, incarnation, number, tokenHash, software } = command;
    if (op.seq !== 0) return refuse("bad-command", "A session is registered under number 0.");
    const merged = op.origAt !== op.at;
    const session = merged ? sessions.retained(op.session) : sessions.byUuid(op.session);
    if (session === null && sessions.identified(op.session) !== null) return unknownSession;
    if (session === null) {
      const attachment = { session: op.session, pid, incarnation, number };
      sessions.register({ number: entry.index, view: entry.view, at: op.at }, tokenHash, attachment, software);
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
        return this.#accounts.create(step, command);
      case "login":
        return this.#accounts.login(step, command.account, null);
      case "signIn":
        return this.#accounts.login(step, command.account, command.credential);
      case "logout":
        return this.#accounts.logout(step);
      case "deleteAccount":
        return this.#accounts.delete(step, command);
      case "send":
        return this.#messages.send(step, command);
      case "open":
        return this.#messages.open(step, command);
      case "mark":
        return this.#messages.mark(step, command);
      case "deleteMessages":
        return this.#messages.delete(step, command);
      case "saveDraft":
        return this.#drafts.save(step, command);
      case "sendDraft":
        return this.#drafts.send(step, command);
      case "deleteDrafts":
        return this.#drafts.delete(step, command);
      case "changePassword":
        return this.#accounts.changePassword(step, command);
      case "resetPassword":
        return this.#accounts.resetPassword(step, command);
      case "endSessions":
        return this.#accounts.endSessions(step, command);
      case "refuse":
        return refuse(command.code, command.message);
      case "openSession":
      case "registerSession":
      case "attach":
      case "detach":
      case "expire":
        return refuse("bad-command", "This is not for a session to ask.");
      default:
        return unreachable(command);
    }
  }
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
