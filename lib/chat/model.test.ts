/**
 * Random histories against the model: ops out of sequence, repeated, under ids used before, merged; every result is
 * compared, then everything that can be asked. A second state that got the same log in one batch must be equal, and so
 * must one opened from the tables alone.
 */
import { Database } from "bun:sqlite";
import { expect, setDefaultTimeout, test } from "bun:test";
import fc from "fast-check";
import type { Command } from "../protocol/commands.ts";
import type { OpId } from "../protocol/messages.ts";
import type { OpResult } from "../protocol/state-machine.ts";
import type { SessionRecord } from "../protocol/state-machine.ts";
import { openChat, type Chat } from "./chat.ts";
import { inMemory, Lineage, passwordHash, uuidOf } from "./chat.fixture.ts";
import { Model, type Expected } from "../sim/chat-model.ts";

// Hundreds of histories on a busy machine: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

// A hundred long runs on a busy machine: the 5 s that Bun gives a test are for less.
setDefaultTimeout(60_000);

const kinds = [
  ...["create", "create", "login", "login", "logout", "deleteAccount", "attach", "detach"],
  ...["send", "send", "send", "send", "open", "open", "mark", "deleteMessages", "again", "again", "reuse"],
  ...["changePassword", "resetPassword", "endSessions"],
  ...["saveDraft", "saveDraft", "sendDraft", "sendDraft", "deleteDrafts"],
] as const;

const action = fc.record({
  kind: fc.constantFrom(...kinds),
  session: fc.nat(3),
  /** Chooses names, accounts, messages and earlier ops. */
  one: fc.nat(30),
  other: fc.nat(30),
  merged: fc.boolean(),
  /** How far ahead in the session's numbers; 0 fills the lowest gap. */
  ahead: fc.constantFrom(0, 0, 0, 1, 3, 64),
});

interface Done {
  readonly id: OpId;
  readonly command: Command;
  readonly content: string;
  readonly effect: (own: Parameters<Parameters<Model["apply"]>[3]>[0], merged: boolean) => Expected;
}

/** Runs both sides, step by step. */
class Run {
  readonly #database = new Database(":memory:");
  readonly lineage = new Lineage(openChat(this.#database, { accountsHeldMax: 1 }));
  readonly model = new Model();
  readonly #done: Done[] = [];
  readonly #accounts: OpId[] = [{ session: uuidOf(0), seq: 77 }];
  readonly #messages: OpId[] = [{ session: uuidOf(1), seq: 7_777_777 }];
  /** Versions of drafts, with their owners. */
  readonly #versions: { readonly version: OpId; readonly owner: OpId }[] = [];
  #attachments = 1;
  #mergedAt = 1;

  constructor() {
    for (let n = 0; n < 4; n++) this.model.register(this.lineage.client(n).session);
  }

  step(each: typeof action extends fc.Arbitrary<infer T> ? T : never): void {
    const { model } = this;
    const session = uuidOf(each.session);
    const earlier =
      (each.other % 3 === 1 ? this.#done.findLast(({ id }) => this.#isRefused(id)) : undefined) ??
      this.#done[each.one % Math.max(1, this.#done.length)];
    if (each.kind === "again" || each.kind === "reuse") {
      if (earlier === undefined) return;
      const content = each.kind === "again" ? earlier.content : `${earlier.content} differently`;
      return this.#perform({ ...earlier, content }, each);
    }
    if (each.kind === "attach" || each.kind === "detach") {
      const attachment = { session, pid: 1, incarnation: 6, number: ++this.#attachments };
      this.lineage.system({ type: "attach", ...attachment });
      model.attached(session, true);
      model.look(this.#now);
      if (each.kind === "attach") return;
      const seen = Math.max(0, this.lineage.index - each.other);
      this.lineage.system({ type: "detach", ...attachment, seen });
      model.detached(session, seen);
      return model.look(this.#now);
    }
    const id = { session, seq: this.#sequence(session, each.ahead) };
    const account = pick(this.#accounts, each.one);
    const ids = [pick(this.#messages, each.one), pick(this.#messages, each.other)];
    const text = `${id.session}/${id.seq}`;
    const { merged: read } = each;
    const perform = (command: Command, effect: Done["effect"]) =>
      this.#perform({ id, command, content: JSON.stringify(command), effect }, each);
    switch (each.kind) {
      case "create": {
        const user = ["alice", "Bob", "carol"][each.one % 3] ?? "";
        this.#accounts.push(id);
        return perform({ type: "createAccount", user, passwordHash }, (_, merged) =>
          model.create(id, user, merged, this.#acceptedAt(merged)),
        );
      }
      case "login": {
        const password = this.#password(account, each.other);
        return perform({ type: "signIn", account, credential: password }, (own) =>
          model.login(own, account, password, this.lineage.index),
        );
      }
      case "changePassword": {
        const password = this.#password(account, each.other);
        return perform({ type: "changePassword", account, credential: password, passwordHash }, (own, merged) =>
          model.setPassword(own, id, account, password, this.#acceptedAt(merged), merged),
        );
      }
      case "resetPassword":
        return perform({ type: "resetPassword", account, passwordHash }, (own, merged) =>
          model.setPassword(own, id, account, null, this.#acceptedAt(merged), merged),
        );
      case "endSessions": {
        const sessions = [uuidOf(each.one % 4), uuidOf(each.other % 4)];
        return perform({ type: "endSessions", account, sessions }, () => model.endSessions(account, sessions));
      }
      case "logout":
        return perform({ type: "logout" }, (own) => model.logout(own));
      case "deleteAccount":
        return perform({ type: "deleteAccount", account }, () => model.deleteAccount(account));
      case "send": {
        const to = pick(this.#accounts, each.other);
        this.#messages.push(id);
        return perform({ type: "send", from: account, to, text }, (_, merged) =>
          model.send({ id, index: this.lineage.index, merged }, account, to, text),
        );
      }
      case "saveDraft": {
        const { version, owner } = this.#version(each.one, account);
        const seen = each.other % 3 === 0 ? null : version;
        const to = each.other % 5 === 0 ? null : pick(this.#accounts, each.other);
        this.#versions.push({ version: id, owner });
        this.#messages.push(id);
        return perform({ type: "saveDraft", account: owner, version: seen, to, text }, () =>
          model.saveDraft(id, owner, seen, to, text),
        );
      }
      case "sendDraft": {
        const { version, owner } = this.#version(each.one, account);
        const to = pick(this.#accounts, each.other);
        return perform({ type: "sendDraft", from: owner, version, to, text }, (_, merged) =>
          model.sendDraft({ id, index: this.lineage.index, merged }, version, owner, to, text),
        );
      }
      case "deleteDrafts": {
        const { version, owner } = this.#version(each.one, account);
        return perform({ type: "deleteDrafts", account: owner, versions: [version] }, () =>
          model.deleteDrafts(owner, [version]),
        );
      }
      case "open":
        return perform({ type: "open", account, ids }, () => model.open(account, ids));
      case "mark":
        return perform({ type: "mark", account, ids, read }, (_, merged) => model.mark(account, ids, read, merged));
      case "deleteMessages":
        return perform({ type: "deleteMessages", account, ids }, (_, merged) =>
          model.deleteMessages(account, ids, merged),
        );
    }
  }

  #perform(done: Done, { merged, other }: { readonly merged: boolean; readonly other: number }): void {
    const { id, command, content, effect } = done;
    const digest = new Uint8Array(8);
    new DataView(digest.buffer).setBigUint64(0, Bun.hash.xxHash64(content));
    const before = this.model.sessions.get(id.session)?.applied.has(id.seq) ?? false;
    expect(this.lineage.state.hasApplied(id.session, id.seq)).toBe(before);
    this.lineage.pushes();
    const messages = this.model.messages.length;
    const known = this.model.sessions.get(id.session)?.applied.get(id.seq);
    // Before all there is here, or after it.
    this.#mergedAt = other % 2 === 0 ? 1 : this.#now;
    const result = this.lineage.commit({ ...id, digest, ...(merged ? { origAt: this.#mergedAt } : {}) }, command);
    const step = { at: this.#acceptedAt(merged), merged };
    const expected = this.model.apply(id, content, step, (own) => effect(own, merged));
    this.model.look(this.#now);
    compare(result, expected, before && known?.expected.type !== "refused");
    const { type } = command;
    const pushed = this.lineage.pushes().filter((push) => push.type === "message").length;
    const sent = (type === "send" || type === "sendDraft") && messages < this.model.messages.length;
    const to = sent ? this.model.accounts.get(`${command.to.session}/${command.to.seq}`) : undefined;
    expect(pushed).toBe(to !== undefined && this.model.isPresent(to) ? 1 : 0);
    this.#done.push(done);
  }

  /** All that can be asked. */
  check(): void {
    const { model, lineage } = this;
    const { state } = lineage;
    const listed = state.query({ type: "accounts", request: 1, pattern: null, after: null, limit: 200 }, null);
    const accounts = [...model.accounts.values()];
    const names = accounts.map((each) => model.presence(each));
    names.sort((one, other) => (one.user.toLowerCase() < other.user.toLowerCase() ? -1 : 1));
    expect(listed).toMatchObject({ accounts: names, more: false });
    for (const account of accounts) {
      const record = {
        session: uuidOf(0),
        tokenHash: new Uint8Array(32),
        account: account.id,
        user: account.name,
        attachment: null,
        isResumed: false,
      };
      const drafts = model.draftsOf(account);
      expect(state.waiting(record)).toEqual({ inbox: model.inbox(account).length, drafts: drafts.length });
      const list = state.query({ type: "drafts", request: 1 }, record);
      const written = list.type === "draftList" ? list.drafts.map(({ to, text }) => `${to}: ${text}`) : [];
      expect(written).toEqual(drafts);
      const page = { type: "messages", request: 1, with: null, before: null, limit: 200, unread: false } as const;
      const reply = state.query(page, record);
      const texts = reply.type === "messageList" ? reply.messages.map((m) => (m.read ? `${m.text} read` : m.text)) : [];
      expect(texts).toEqual(model.page(account));
      expect(summariesOf(state, record)).toEqual(model.conversations(account));
      for (const word of ["1", "4", "8000"]) {
        expect(foundIn(state, record, word)).toEqual(model.search(account, word));
      }
    }
    const whole = inMemory();
    whole.apply(lineage.entries);
    expect(whole.digest()).toBe(state.digest());
    whole.close();
    const reopened = openChat(Database.deserialize(this.#database.serialize()));
    for (const [session, { applied }] of model.sessions) {
      for (const seq of applied.keys()) {
        expect(reopened.hasApplied(session, seq)).toBe(true);
        expect(reopened.hasApplied(session, seq + 1)).toBe(applied.has(seq + 1));
        expect(reopened.result(session, seq)).toEqual(state.result(session, seq));
      }
    }
    expect(reopened.attachments()).toEqual(state.attachments());
    expect(reopened.digest()).toBe(state.digest());
    reopened.close();
    state.close();
  }

  /** When the op that is being applied was first accepted. */
  #acceptedAt(merged: boolean): number {
    return merged ? this.#mergedAt : this.#now;
  }

  /** The time of the entry that was applied last. */
  get #now(): number {
    return this.lineage.entries.at(-1)?.op?.at ?? 0;
  }

  #isRefused({ session, seq }: OpId): boolean {
    return this.model.sessions.get(session)?.applied.get(seq)?.expected.type === "refused";
  }

  /** Mostly the one that counts. */
  #password(account: OpId, choice: number): OpId {
    const known = this.model.accounts.get(`${account.session}/${account.seq}`);
    return known === undefined || choice % 4 === 0 ? account : known.password;
  }

  /** One of those there were, mostly; else one that never was. No two accounts have a version in common. */
  #version(choice: number, account: OpId): { readonly version: OpId; readonly owner: OpId } {
    const known = this.#versions[choice % Math.max(1, this.#versions.length)];
    return known ?? { version: { session: account.session, seq: 7_000_000 + account.seq }, owner: account };
  }

  #sequence(session: string, ahead: number): number {
    const used = this.model.sessions.get(session)?.applied ?? new Map<number, unknown>();
    if (ahead > 0) return Math.max(0, ...used.keys()) + ahead;
    for (let seq = 1; ; seq++) if (!used.has(seq)) return seq;
  }
}

/** The indexes of what is found, newest first. */
function foundIn(state: Chat, record: SessionRecord, text: string): number[] {
  const reply = state.query({ type: "search", request: 1, text, with: null, skip: 0, limit: 200 }, record);
  if (reply.type !== "searchResults") throw new Error(`a search is answered, not ${reply.type}`);
  return reply.messages.map(({ index }) => index).sort((one, other) => other - one);
}

/** The overview, page by page. */
function summariesOf(state: Chat, record: SessionRecord) {
  const found: { user: string; unread: number; inbox: number; last: number }[] = [];
  for (let after: { waiting: boolean; index: number } | null = null; ;) {
    const reply = state.query({ type: "conversations", request: 1, after, limit: 2 }, record);
    if (reply.type !== "conversationList") throw new Error(`conversations are listed, not ${reply.type}`);
    for (const { user, unread, inbox, last } of reply.conversations) {
      found.push({ user, unread, inbox, last: last.index });
      after = { waiting: unread + inbox > 0, index: last.index };
    }
    if (!reply.more) return found;
  }
}

const pick = (ids: readonly OpId[], choice: number): OpId => {
  const id = ids[choice % ids.length];
  if (id === undefined) throw new Error("there is one to pick");
  return id;
};

function compare(result: OpResult | null, expected: Expected, duplicate: boolean): void {
  if (result === null) throw new Error("an op of a client has a result");
  const { texts, ...fields } = expected;
  expect(result).toMatchObject(fields);
  if (result.type !== "refused") expect(result.duplicate).toBe(duplicate);
  if (result.type !== "opened" || texts === undefined) return;
  const opened = result.messages.map(({ text }) => text);
  // What was deleted since is missing from a retry, and nothing else is.
  if (!duplicate) expect(opened).toEqual([...texts]);
  else expect(texts.filter((text) => opened.includes(text))).toEqual(opened);
}

test("agrees with the model, whatever is repeated, reordered, reused and merged", () => {
  fc.assert(
    fc.property(fc.array(action, { minLength: 20, maxLength: 120, size: "max" }), (actions) => {
      const run = new Run();
      for (const each of actions) run.step(each);
      run.check();
    }),
    { numRuns: 100 },
  );
});
