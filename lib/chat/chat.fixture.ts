/**
 * For the tests of this folder: a log that is written by hand, and clients that prepare and apply through one state or
 * several. Time is a counter; every op is applied at once unless it is held back.
 */
import { Database } from "bun:sqlite";
import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import { encodeCommand } from "../protocol/codec.ts";
import type { Command } from "../protocol/commands.ts";
import type { OpEntry } from "../protocol/entries.ts";
import type { ClientOp, ClientQuery, OpId, Push } from "../protocol/messages.ts";
import type { Applied, CommittedEntry, DistributiveOmit, OpResult, Prepared } from "../protocol/state-machine.ts";
import { openChat, type Chat } from "./chat.ts";

/** Hardly any account stays in memory from one op to the next. */
export const inMemory = (): Chat => openChat(new Database(":memory:"), { accountsHeldMax: 1 });

export const uuidOf = (n: number): string => `00000000-0000-4000-8000-${n.toString(16).padStart(12, "0")}`;
export const systemUuid = (incarnation: number): string =>
  `00000000-0000-0000-0000-${incarnation.toString(16).padStart(12, "0")}`;

/** A hash of "password", made once: hashing takes its time. */
export const passwordHash =
  "$argon2id$v=19$m=19456,t=2,p=1$e9CyzxtxOnpnRm1Bp1nQVjJI2IVtr0sN2lp3BXoTAp8$tFmrJSY3+GEJzDZTCj31JQ9DmAnw7PDRZ22cXa0jiRk";

export type Request = DistributiveOmit<ClientOp, "request" | "seq" | "oldest">;
export type Query = DistributiveOmit<Exclude<ClientQuery, { type: "status" }>, "request">;

export const view = 257;

/** One log and the states that it is applied to. */
export class Lineage {
  readonly states: readonly Chat[];
  readonly entries: CommittedEntry[] = [];
  /** Pushes since the last look, with the sessions they are for. */
  #pushes: { readonly sessions: readonly string[]; readonly push: Push }[] = [];
  #now = 1000;

  constructor(...states: Chat[]) {
    this.states = states;
  }

  get state(): Chat {
    const [first] = this.states;
    assert(first !== undefined, "a lineage has a state");
    return first;
  }

  get index(): number {
    return this.entries.length;
  }

  /** An op as it would be committed next. `origAt` is the time of now when left out. */
  entry(op: Partial<OpEntry> & { readonly session: string; readonly seq: number }, command: Command): CommittedEntry {
    const at = ++this.#now;
    const index = this.index + 1;
    const whole = { oldest: 1, at, origAt: at, digest: new Uint8Array(8), command: encodeCommand(command), ...op };
    return { index, view, chain: BigInt(index) * 0x9e37_79b9n, op: whole };
  }

  apply(entry: CommittedEntry): OpResult | null {
    this.entries.push(entry);
    let first: Applied | null = null;
    for (const state of this.states) first ??= state.apply([entry]);
    for (const state of this.states.slice(1)) if (state.applied.index < entry.index) state.apply([entry]);
    assert(first !== null, "a lineage has a state");
    this.#pushes.push(...first.deliveries);
    return first.outcomes[0]?.result ?? null;
  }

  commit(op: Partial<OpEntry> & { readonly session: string; readonly seq: number }, command: Command): OpResult | null {
    return this.apply(this.entry(op, command));
  }

  /** An op first accepted on another side. */
  merge(session: string, seq: number, command: Command): OpResult | null {
    return this.commit({ session, seq, origAt: 1 }, command);
  }

  system(command: Command): OpResult | null {
    return this.commit({ session: systemUuid(9), seq: this.index }, command);
  }

  pushes(session?: string): readonly Push[] {
    const taken = this.#pushes.filter(({ sessions }) => session === undefined || sessions.includes(session));
    this.#pushes = this.#pushes.filter((delivery) => !taken.includes(delivery));
    return taken.map(({ push }) => push);
  }

  account(session: string, seq: number, user: string): OpResult | null {
    return this.commit({ session, seq }, { type: "createAccount", user, passwordHash });
  }

  client(n: number): Client {
    return new Client(this, uuidOf(n));
  }
}

/** A session that goes the whole way: prepare, then apply. */
export class Client {
  readonly session: string;
  readonly #lineage: Lineage;
  #seq = 0;
  #attachment = 1;

  constructor(lineage: Lineage, session: string) {
    this.#lineage = lineage;
    this.session = session;
    const { session: _, ...attached } = this.attachment;
    const command = { type: "openSession", tokenHash: new Uint8Array(32), ...attached, software: "a test" } as const;
    lineage.commit({ session, seq: 0 }, command);
  }

  get attachment() {
    return { session: this.session, pid: 1, incarnation: 5, number: this.#attachment };
  }

  get account(): OpId {
    const account = this.#lineage.state.session(this.session)?.account ?? null;
    assert(account !== null, "the client is logged in");
    return account;
  }

  attach(): void {
    this.#attachment++;
    this.#lineage.system({ type: "attach", ...this.attachment });
  }

  /** What came above index `seen` has not arrived; everything has when left out. */
  detach(seen = this.#lineage.index): void {
    this.#lineage.system({ type: "detach", ...this.attachment, seen });
  }

  /** The number of the next op. */
  get next(): number {
    return this.#seq + 1;
  }

  async prepare(request: Request, seq = this.next): Promise<Prepared> {
    const { state } = this.#lineage;
    const record = state.session(this.session);
    assert(record !== null, "the session is known");
    const oldest = Math.max(1, seq - limits.sessionWindow + 1);
    return state.prepare({ ...request, request: 1, seq, oldest }, record, this.attachment);
  }

  /** Prepares and applies; a refusal of either kind is a result. */
  async do(request: Request): Promise<OpResult> {
    const prepared = await this.prepare(request);
    if (!prepared.ok) return { type: "refused", code: prepared.code, message: prepared.message };
    const seq = ++this.#seq;
    const { command, digest } = prepared;
    const result = this.#lineage.commit({ session: this.session, seq, digest }, command);
    assert(result !== null, "an op of a client has a result");
    return result;
  }

  /** The next op of the session, first accepted on another side. */
  merge(command: Command): OpResult | null {
    return this.#lineage.merge(this.session, ++this.#seq, command);
  }

  /** Makes an account and logs in to it, without the time that hashing takes. */
  signUp(user: string): this {
    const seq = ++this.#seq;
    this.#lineage.account(this.session, seq, user);
    return this.signIn({ session: this.session, seq });
  }

  signIn(account: OpId): this {
    this.#lineage.commit({ session: this.session, seq: ++this.#seq }, { type: "login", account });
    return this;
  }

  send(to: string, text: string): Promise<OpResult> {
    return this.do({ type: "send", to, text });
  }

  query(query: Query) {
    const { state } = this.#lineage;
    return state.query({ ...query, request: 1 }, state.session(this.session));
  }

  /** The texts of a page of messages, newest first. */
  texts(options: { with?: string; before?: number; limit?: number; unread?: boolean } = {}): string[] {
    return this.page(options).messages.map(({ text }) => text);
  }

  page(options: { with?: string; before?: number; limit?: number; unread?: boolean } = {}) {
    const { before = null, limit = 50, unread = false } = options;
    const list = this.query({ type: "messages", with: options.with ?? null, before, limit, unread });
    assert(list.type === "messageList", `messages are listed: ${JSON.stringify(list)}`);
    return list;
  }

  inbox(): number {
    const reply = this.query({ type: "inbox" });
    assert(reply.type === "inboxCount", "the inbox is counted");
    return reply.count;
  }
}
