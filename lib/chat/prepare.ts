/**
 * What is decided where an op is accepted: shapes and limits, passwords, names to ids and counts to ids. The command that
 * comes of it holds everything random and no name but the one it claims. Changes nothing.
 *
 * What depends on state is decided at once, before any wait for a password hash: the caller has just seen that this op was
 * not applied, so that a refusal is never given for a retry of something that was done.
 */
import { unreachable } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import { quoted } from "../base/words.ts";
import type { Command } from "../protocol/commands.ts";
import { formatOpId } from "../protocol/ids.ts";
import type { ClientOp, ErrorCode, OpId } from "../protocol/messages.ts";
import type { Prepared, SessionRecord } from "../protocol/state-machine.ts";
import type { Account } from "./accounts.ts";
import { noSuchMessage, toSelf } from "./message-ops.ts";
import type { Draft } from "./drafts.ts";
import { tooManyDrafts } from "./draft-ops.ts";
import {
  draftTextFault,
  knownNameFault,
  newNameFault,
  newPasswordFault,
  normaliseName,
  textFault,
  type Fault,
} from "./names.ts";
import type { Passwords } from "./passwords.ts";
import { requestDigest } from "./results.ts";
import { sessionNameCharactersMin } from "./sessions.ts";
import type { Stores } from "./stores.ts";

type RequestOf<T extends ClientOp["type"]> = Extract<ClientOp, { type: T }>;

export class Preparer {
  readonly #stores: Stores;
  readonly #passwords: Passwords;

  constructor(stores: Stores, passwords: Passwords) {
    this.#stores = stores;
    this.#passwords = passwords;
  }

  async prepare(request: ClientOp, session: SessionRecord): Promise<Prepared> {
    const command = windowFault(request) ?? (await this.#command(request, session));
    return "code" in command
      ? { ok: false, code: command.code, message: command.message }
      : { ok: true, command, digest: requestDigest(request) };
  }

  #command(request: ClientOp, session: SessionRecord): Command | Fault | Promise<Command | Fault> {
    if (request.type === "createAccount") return this.#createAccount(request);
    if (request.type === "login") return this.#login(request, session);
    if (request.type === "resetPassword") return this.#resetPassword(request);
    const account = session.account === null ? null : this.#stores.accounts.byId(session.account);
    if (account === null) return notLoggedIn;
    switch (request.type) {
      case "logout":
        return { type: "logout" };
      case "deleteAccount":
        return this.#deleteAccount(request, account);
      case "send":
        return this.#send(request, account);
      case "open":
        return this.#open(request, account);
      case "mark":
        return this.#idsFault(request.ids, account) ?? { type: "mark", account: account.id, ...picked(request) };
      case "deleteMessages": {
        const { ids } = request;
        return this.#idsFault(ids, account) ?? { type: "deleteMessages", account: account.id, ids };
      }
      case "saveDraft":
        return this.#saveDraft(request, account);
      case "sendDraft":
        return this.#sendDraft(request, account);
      case "changePassword":
        return this.#changePassword(request, account);
      case "endSessions":
        return this.#endSessions(request, account);
      case "deleteDrafts":
        return this.#deleteDrafts(request, account);
      default:
        return unreachable(request);
    }
  }

  async #createAccount({ user, password }: RequestOf<"createAccount">): Promise<Command | Fault> {
    const wrong = newNameFault(user) ?? newPasswordFault(password);
    if (wrong !== null) return wrong;
    const holder = this.#stores.accounts.byName(user);
    if (holder !== null) return fault("name-taken", `The name ${holder.name} is taken: choose another one.`);
    const passwordHash = await this.#passwords.hash(password);
    if (typeof passwordHash !== "string") return passwordHash;
    return { type: "createAccount", user: normaliseName(user), passwordHash };
  }

  async #login({ user, password }: RequestOf<"login">, session: SessionRecord): Promise<Command | Fault> {
    if (session.user !== null) {
      return fault("already-logged-in", `You are logged in as ${session.user} already: log out first.`);
    }
    const wrong = knownNameFault(user);
    if (wrong !== null) return wrong;
    const { accounts } = this.#stores;
    // Of the password that is checked, which may be another one when that is done.
    const candidates = accounts.signingInAs(user).map((account) => {
      return { id: account.id, credential: account.passwordOp, hash: accounts.passwordHashOf(account) };
    });
    const fitting = await this.#passwords.match(
      password,
      candidates.map(({ hash }) => hash),
    );
    if (typeof fitting !== "number") return fitting;
    const found = candidates[fitting];
    if (found !== undefined) return { type: "signIn", account: found.id, credential: found.credential };
    return candidates.length === 0 ? noSuchUser(user) : fault("wrong-password", `This is not the password of ${user}.`);
  }

  async #deleteAccount({ password }: RequestOf<"deleteAccount">, account: Account): Promise<Command | Fault> {
    const fitting = await this.#passwords.match(password, [this.#stores.accounts.passwordHashOf(account)]);
    if (typeof fitting !== "number") return fitting;
    if (fitting < 0)
      return fault("wrong-password", `This is not the password of ${account.name}: nothing was deleted.`);
    return { type: "deleteAccount", account: account.id };
  }

  async #changePassword(request: RequestOf<"changePassword">, account: Account): Promise<Command | Fault> {
    const wrong = newPasswordFault(request.newPassword);
    if (wrong !== null) return wrong;
    const { id, name, passwordOp } = account;
    const fitting = await this.#passwords.match(request.password, [this.#stores.accounts.passwordHashOf(account)]);
    if (typeof fitting !== "number") return fitting;
    if (fitting < 0) return fault("wrong-password", `This is not the password of ${name}: it was not changed.`);
    const passwordHash = await this.#passwords.hash(request.newPassword);
    if (typeof passwordHash !== "string") return passwordHash;
    return { type: "changePassword", account: id, credential: passwordOp, passwordHash };
  }

  async #resetPassword({ user, newPassword }: RequestOf<"resetPassword">): Promise<Command | Fault> {
    const wrong = knownNameFault(user) ?? newPasswordFault(newPassword);
    if (wrong !== null) return wrong;
    const account = this.#stores.accounts.byName(user);
    if (account === null) return noSuchUser(user);
    const passwordHash = await this.#passwords.hash(newPassword);
    return typeof passwordHash === "string"
      ? { type: "resetPassword", account: account.id, passwordHash }
      : passwordHash;
  }

  #endSessions({ sessions: names }: RequestOf<"endSessions">, account: Account): Command | Fault {
    if (names.length > limits.pageMax) return fault("too-many", `At most ${limits.pageMax} sessions at once.`);
    const sessions: string[] = [];
    for (const name of names) {
      const [found, ...others] = [...account.sessions].filter(({ uuid }) => uuid.startsWith(name));
      if (found === undefined || others.length > 0 || name.length < sessionNameCharactersMin) {
        return fault("no-such-session", `No session of ${account.name} is ${quoted(name)}: nothing was changed.`);
      }
      sessions.push(found.uuid);
    }
    return { type: "endSessions", account: account.id, sessions };
  }

  #send({ to, text }: RequestOf<"send">, from: Account): Command | Fault {
    const wrong = textFault(text);
    if (wrong !== null) return wrong;
    const recipient = this.#recipient(to, from);
    return "code" in recipient ? recipient : { type: "send", from: from.id, to: recipient.id, text };
  }

  #recipient(name: string, sender: Account): Account | Fault {
    const wrong = knownNameFault(name);
    if (wrong !== null) return wrong;
    const recipient = this.#stores.accounts.byName(name);
    if (recipient === null) return noSuchUser(name);
    return recipient === sender ? fault(toSelf.code, toSelf.message) : recipient;
  }

  #saveDraft({ draft: id, to, text }: RequestOf<"saveDraft">, account: Account): Command | Fault {
    const { drafts } = this.#stores;
    const wrong = draftTextFault(text);
    if (wrong !== null) return wrong;
    const recipient = to === "" ? null : this.#recipient(to, account);
    if (recipient !== null && "code" in recipient) return recipient;
    const draft = id === null ? null : this.#draft(id, account);
    if (draft !== null && "code" in draft) return draft;
    if (draft === null && drafts.count(account) >= limits.draftsMax) return tooManyDrafts;
    const version = draft?.version ?? null;
    return { type: "saveDraft", account: account.id, version, to: recipient?.id ?? null, text };
  }

  #sendDraft({ draft: id }: RequestOf<"sendDraft">, from: Account): Command | Fault {
    const draft = this.#draft(id, from);
    if ("code" in draft) return draft;
    const { version, recipient, text } = draft;
    const wrong = textFault(text);
    if (wrong !== null) return wrong;
    const to = recipient === null ? null : this.#stores.accounts.byNumber(recipient);
    if (to === null) return fault("no-such-user", "This draft names no account: choose whom it goes to first.");
    return { type: "sendDraft", from: from.id, version, to: to.id, text };
  }

  #deleteDrafts({ drafts: ids }: RequestOf<"deleteDrafts">, account: Account): Command | Fault {
    if (ids.length > limits.pageMax) return fault("too-many", `At most ${limits.pageMax} drafts at once.`);
    const versions: OpId[] = [];
    for (const id of ids) {
      const draft = this.#draft(id, account);
      if ("code" in draft) return draft;
      versions.push(draft.version);
    }
    return { type: "deleteDrafts", account: account.id, versions };
  }

  #draft(id: OpId, account: Account): Draft | Fault {
    const draft = this.#stores.drafts.byId(account, id);
    return draft ?? fault("no-such-draft", `You have no draft ${formatOpId(id)}: nothing was changed.`);
  }

  #open({ count }: RequestOf<"open">, account: Account): Command | Fault {
    if (count < 1 || count > limits.openMax) {
      return fault("bad-command", `Between 1 and ${limits.openMax} messages can be opened at once, not ${count}.`);
    }
    return { type: "open", account: account.id, ids: this.#stores.queries.oldestInInbox(account.number, count) };
  }

  #idsFault(ids: readonly OpId[], account: Account): Fault | null {
    if (ids.length > limits.pageMax) return fault("too-many", `At most ${limits.pageMax} messages at once.`);
    const unknown = this.#stores.queries.firstUnknown(account.number, ids);
    if (unknown === null) return null;
    return fault(noSuchMessage.code, `You have no message ${formatOpId(unknown)}: nothing was changed.`);
  }
}

const fault = (code: ErrorCode, message: string): Fault => ({ code, message });

export const notLoggedIn = fault("not-logged-in", "You are not logged in: log in first.");

export const noSuchUser = (name: string): Fault =>
  fault("no-such-user", `There is no account named ${normaliseName(name)}.`);

const picked = ({ ids, read }: RequestOf<"mark">) => ({ ids, read });

/** Results are kept for a window of ops: a client that runs ahead of it could not be answered twice. */
function windowFault({ seq, oldest }: ClientOp): Fault | null {
  if (oldest < 1) return fault("bad-command", "The ops of a session are numbered from 1: oldest cannot be 0.");
  if (seq < oldest) {
    return fault("bad-command", `Op ${seq} comes before ${oldest}, said to be the oldest unanswered one.`);
  }
  if (seq < oldest + limits.sessionWindow) return null;
  return fault(
    "too-many",
    `Op ${seq} is ahead of the window: with ${oldest} unanswered, at most ${oldest + limits.sessionWindow - 1} may be asked.`,
  );
}
