/**
 * A small state machine in memory for simulated replicas: applies ops once per (session, seq), keeps results, forgets
 * sessions, for runs that are about the log and want speed. Knows no chat. A session begins with its first op.
 *
 * Where nothing is ever forgotten an op tells by its digest which op had been done last where it was prepared, as one of the chat
 * names accounts and messages of the state that it was prepared from. It fails the run when it comes to a state without that.
 */
import { assert } from "../base/assert.ts";
import { decodeCommand } from "../protocol/codec.ts";
import type { Command } from "../protocol/commands.ts";
import type { OpEntry } from "../protocol/entries.ts";
import type {
  Applied,
  Attachment,
  CommittedEntry,
  OpResult,
  Outcome,
  Prepared,
  SessionRecord,
  StateMachine,
} from "../protocol/state-machine.ts";
import type { Push, QueryReply, Refusal } from "../protocol/messages.ts";
import { isSystemSession } from "../server/identity.ts";
import { SimulationFailure } from "./failure.ts";

interface MemorySession {
  readonly results: Map<number, OpResult>;
  readonly attachment: Attachment | null;
  readonly usedAt: number;
  /** The index at which it was closed; 0 while it is open. */
  readonly closed: number;
}

export interface MemoryImage {
  readonly entries: readonly CommittedEntry[];
  readonly sessions: ReadonlyMap<string, MemorySession>;
  readonly expired: ReadonlySet<string>;
  readonly done: ReadonlySet<bigint>;
  readonly lastDone: Uint8Array<ArrayBuffer>;
  readonly digest: number;
  readonly clock: number;
}

const nothingDone = new Uint8Array(8);
/** The eight bytes of a digest as a number, which is sooner compared than a text is made. */
const scratch = new BigUint64Array(1);
const scratchBytes = new Uint8Array(scratch.buffer);

export class MemoryStateMachine implements StateMachine {
  /** A 32-bit hash over the ops applied for the first time, in order. */
  digest = 0;
  clock = 0;
  private readonly entries: CommittedEntry[] = [];
  private readonly sessions = new Map<string, MemorySession>();
  private readonly expired = new Set<string>();
  /** The ops done, as an op that was prepared after one of them tells of it. */
  private readonly done = new Set<bigint>();
  private lastDone = nothingDone;

  /** `namesBasis`: whatever an op was prepared from stays, as no session expires and no bit rots. */
  constructor(private readonly namesBasis: boolean) {}

  /** An op as it is prepared from this state. */
  prepared(op: OpEntry): OpEntry {
    return this.namesBasis ? { ...op, digest: this.lastDone } : op;
  }

  get applied(): { readonly index: number; readonly view: number; readonly chain: bigint } {
    return this.entries.at(-1) ?? { index: 0, view: 0, chain: 0n };
  }

  apply(entries: readonly CommittedEntry[]): Applied {
    const outcomes: Outcome[] = [];
    for (const entry of entries) {
      assert(entry.index === this.entries.length + 1, "entries are applied in order, none left out");
      this.entries.push(entry);
      if (entry.op === null) continue;
      this.clock = Math.max(this.clock, entry.op.at);
      const { session, seq, digest } = entry.op;
      const result = isSystemSession(session) ? this.system(entry, entry.op) : this.client(entry, entry.op);
      outcomes.push({ session, seq, digest, result });
    }
    return { outcomes, deliveries: [] };
  }

  private client({ index, view }: CommittedEntry, op: OpEntry): OpResult {
    const { session: uuid, seq, at } = op;
    const merged = op.origAt !== at;
    const session = this.sessions.get(uuid) ?? {
      ...{ results: new Map<number, OpResult>(), attachment: null, usedAt: at, closed: 0 },
    };
    if (this.expired.has(uuid) || (session.closed !== 0 && !merged)) {
      return { type: "refused", code: "unauthorized", message: "The session has expired." };
    }
    if (seq === 0 && !merged) this.attach(uuid, session, decodeCommand(op.command), at);
    else
      this.sessions.set(uuid, {
        results: session.results,
        attachment: session.attachment,
        usedAt: at,
        closed: session.closed,
      });
    const known = session.results.get(seq);
    if (known !== undefined) return duplicate(known);
    this.doneAfter(op);
    const result: OpResult = { type: "done", index, view, duplicate: false, count: seq };
    session.results.set(seq, result);
    this.digest = mix(this.digest, op.command);
    return result;
  }

  private doneAfter({ session, seq, digest }: OpEntry): void {
    if (!this.namesBasis) return;
    const name = `${session}/${seq}`;
    const basis = numberOf(digest);
    if (seq !== 0 && basis !== 0n && !this.done.has(basis))
      throw new SimulationFailure("basis", `op ${name} comes to a state that lacks what it was prepared from`);
    const done = Bun.hash.xxHash64(name);
    scratch[0] = done;
    this.lastDone = scratchBytes.slice();
    this.done.add(done);
  }

  private system({ index }: CommittedEntry, op: OpEntry): null {
    const command = decodeCommand(op.command);
    const session = "session" in command ? this.sessions.get(command.session) : undefined;
    if (command.type === "attach" && session?.closed === 0) this.attach(command.session, session, command, op.at);
    if (command.type === "detach" && session?.attachment != null && isSame(session.attachment, command)) {
      this.sessions.set(command.session, { ...session, attachment: null, usedAt: op.at });
    }
    if (command.type === "expire") for (const uuid of command.sessions) this.expire(uuid, index, command);
    return null;
  }

  /** As the chat does it: closed first, forgotten once every replica is known to have it closed. */
  private expire(uuid: string, index: number, { settled, before }: { settled: number; before: number }): void {
    const session = this.sessions.get(uuid);
    if (session === undefined) return;
    if (session.closed === 0 && !isIdle(session, before)) return;
    const closed = session.closed || index;
    this.digest = mix(this.digest, new TextEncoder().encode(`${uuid} ${closed}`));
    this.sessions.set(uuid, { ...session, closed });
    if (closed > settled && globalThis.mistaken?.("forgotten at once") !== true) return;
    this.sessions.delete(uuid);
    this.expired.add(uuid);
  }

  private attach(uuid: string, session: MemorySession, command: Command, at: number): void {
    if (command.type !== "attach" && command.type !== "registerSession" && command.type !== "openSession") return;
    const { pid, incarnation, number } = command;
    this.sessions.set(uuid, {
      ...session,
      attachment: { session: uuid, pid, incarnation, number },
      usedAt: at,
    });
  }

  /** What it is made of, not shared with it. */
  image(): MemoryImage {
    const { entries, expired, done, lastDone, digest, clock } = this;
    const sessions = copied(this.sessions);
    return { entries: [...entries], sessions, expired: new Set(expired), done: new Set(done), lastDone, digest, clock };
  }

  restore({ entries, sessions, expired, done, lastDone, digest, clock }: MemoryImage): void {
    this.reset();
    for (const entry of entries) this.entries.push(entry);
    for (const [uuid, session] of copied(sessions)) this.sessions.set(uuid, session);
    for (const uuid of expired) this.expired.add(uuid);
    for (const name of done) this.done.add(name);
    this.lastDone = lastDone;
    this.digest = digest;
    this.clock = clock;
  }

  reset(): void {
    this.entries.length = 0;
    this.sessions.clear();
    this.expired.clear();
    this.done.clear();
    this.lastDone = nothingDone;
    this.digest = 0;
    this.clock = 0;
  }

  hasApplied(session: string, seq: number): boolean {
    return isSystemSession(session) || (this.sessions.get(session)?.results.has(seq) ?? false);
  }

  hasMerged({ session, seq }: OpEntry): boolean {
    return this.hasApplied(session, seq);
  }

  result(session: string, seq: number): OpResult | null {
    const known = this.opened(session)?.results.get(seq);
    return known === undefined ? null : duplicate(known);
  }

  close(): void {}

  session(session: string): SessionRecord | null {
    const known = this.opened(session);
    if (known === undefined) return null;
    const { attachment } = known;
    return { session, tokenHash: new Uint8Array(32), account: null, user: null, attachment, isResumed: false };
  }

  private opened(uuid: string): MemorySession | undefined {
    const session = this.sessions.get(uuid);
    return session?.closed === 0 ? session : undefined;
  }

  contentDigest(): Uint8Array {
    return new Uint8Array(8);
  }

  prepare(): Promise<Prepared> {
    return Promise.resolve({ ok: false, code: "bad-command", message: "the simulated clients propose ops themselves" });
  }

  query(): QueryReply | Refusal {
    return { type: "refused", request: 0, code: "bad-command", message: "there is nothing to ask" };
  }

  waiting(): { readonly inbox: number; readonly drafts: number } {
    return { inbox: 0, drafts: 0 };
  }

  missed(): readonly Push[] {
    return [];
  }

  idleSessions(before: number, limit: number): readonly string[] {
    const idle = [...this.sessions].filter(([, session]) => session.closed !== 0 || isIdle(session, before));
    return idle.slice(0, limit).map(([uuid]) => uuid);
  }

  attachments(): readonly Attachment[] {
    const attachments: Attachment[] = [];
    for (const { attachment } of this.sessions.values()) if (attachment !== null) attachments.push(attachment);
    return attachments;
  }
}

function numberOf(digest: Uint8Array): bigint {
  scratchBytes.set(digest);
  return scratch[0] ?? 0n;
}

const isIdle = ({ attachment, usedAt }: MemorySession, before: number): boolean =>
  attachment === null && usedAt < before;

const isSame = (one: Omit<Attachment, "session">, other: Omit<Attachment, "session">): boolean =>
  one.pid === other.pid && one.incarnation === other.incarnation && one.number === other.number;

const copied = (sessions: ReadonlyMap<string, MemorySession>): Map<string, MemorySession> =>
  new Map([...sessions].map(([uuid, session]) => [uuid, { ...session, results: new Map(session.results) }]));

function duplicate(result: OpResult): OpResult {
  return result.type === "refused" ? result : { ...result, duplicate: true };
}

function mix(hash: number, bytes: Uint8Array): number {
  let mixed = hash;
  for (const byte of bytes) mixed = Math.imul(mixed ^ byte, 0x01000193);
  return mixed >>> 0;
}
