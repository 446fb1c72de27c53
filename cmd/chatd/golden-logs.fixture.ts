/**
 * The golden logs of `fixtures/logs`: small logs of every state, written by the real log over a simulated disk. Always
 * the same bytes, unless the format changes.
 */
import { encodeCommand, encodeEntry } from "../../lib/protocol/codec.ts";
import type { Command } from "../../lib/protocol/commands.ts";
import type { EntryPayload } from "../../lib/protocol/entries.ts";
import { makeView } from "../../lib/protocol/ids.ts";
import { encodeRecord, recordKind } from "../../lib/protocol/record.ts";
import { decodeSegmentHeader, encodeSegmentHeader } from "../../lib/log/segment.ts";
import { clusterTag, identity } from "../../lib/log/log.fixture.ts";
import { openLog, type Wal } from "../../lib/log/wal.ts";
import { SimulatedDisk } from "../../lib/sim/disk.ts";

const segmentBytes = 4096;
const startMs = Date.UTC(2026, 0, 5, 9, 30);
const alice = "aaaaaaaa-1111-4222-8333-444455556666";
const bob = "bbbbbbbb-1111-4222-8333-444455556666";
const system = "00000000-0000-4000-8000-000000000001";
const replicas = [1, 2, 3].map((pid) => ({ pid, uuid: `0b5e1f0${pid}-1111-4222-8333-444455556666`, incarnation: 7 }));

/** Writes what a replica would. */
class Story {
  readonly #waiting: (() => void)[] = [];
  readonly disk = new SimulatedDisk("golden", 1, (action) => this.#waiting.push(action));
  readonly #wal: Wal;
  readonly #chains: bigint[] = [0n];
  readonly #views: number[] = [0];
  #sequence = 0;
  #view = 0;
  #commit = 0;
  #atMs = startMs;

  /** `pids`: the replicas of the cluster. */
  constructor(readonly pids: readonly number[] = [1, 2, 3]) {
    this.#wal = openLog(this.disk, identity, { persisted: () => {}, failed: () => {} }, { segmentBytes });
  }

  get lastIndex(): number {
    return this.#chains.length - 1;
  }

  promise(view: number): void {
    this.#append([this.#local({ type: "promise", view }, view)]);
  }

  /** A view that goes on from entry `after`, and forms. */
  view(view: number, pids: readonly number[], after = this.lastIndex): void {
    this.attempt(view, pids, after);
    this.#append([this.#entry({ type: "act", view })]);
  }

  /** One that does not form. */
  attempt(view: number, pids: readonly number[], after = this.lastIndex): void {
    const parent = this.#views[after] ?? 0;
    this.#view = view;
    this.#chains.length = after + 1;
    this.#views.length = after + 1;
    this.#commit = Math.min(this.#commit, after);
    const own = replicas.filter(({ pid }) => this.pids.includes(pid));
    const config = own.map(({ pid, uuid }) => ({ pid, uuid, address: `10.0.0.${pid}:1538` }));
    const members = replicas.filter(({ pid }) => pids.includes(pid));
    this.#append([
      this.#entry({ type: "view", view, parent, epoch: 0, policy: "available", members, config, awaiting: [] }),
    ]);
  }

  /** Returns when it was accepted; `origAt`: when it was the first time, of one that is merged. */
  op(session: string, seq: number, command: Command, origAt?: number): number {
    this.#atMs += 1500;
    const at = this.#atMs;
    const digest = new Uint8Array(8).fill(seq);
    const oldest = Math.max(0, seq - 1);
    const op = { session, seq, oldest, at, origAt: origAt ?? at, digest, command: encodeCommand(command) };
    this.#append([this.#entry({ type: "op", ...op })]);
    return at;
  }

  send(session: string, seq: number, text: string, origAt?: number): number {
    const [from, to] = session === alice ? [alice, bob] : [bob, alice];
    const command = { type: "send", from: { session: from, seq: 1 }, to: { session: to, seq: 1 }, text } as const;
    return this.op(session, seq, command, origAt);
  }

  /** All that was superseded has been applied in the lineage. */
  merged(): void {
    this.#append([this.#local({ type: "merged" }, 0)]);
  }

  /** Deletes what is below the end of the log and can go. */
  compact(): void {
    const index = this.#wal.compactable(this.lastIndex, false);
    if (index !== null) this.#wal.compact(index);
    this.settle();
  }

  /** Lets syncs end: one, or all, so that the log comes to rest. */
  settle(count = Infinity): void {
    for (let left = count; left > 0 && this.#waiting.length > 0; left--) this.#waiting.shift()?.();
  }

  close(): SimulatedDisk {
    this.#wal.close(() => {});
    this.settle();
    return this.disk.restart();
  }

  #entry(payload: EntryPayload): Uint8Array {
    const index = this.lastIndex + 1;
    const kind = recordKind[payload.type];
    const fields = { kind, clusterTag, index, view: this.#view, payload: encodeEntry(payload) };
    const record = encodeRecord(fields, this.#chains[index - 1] ?? 0n);
    this.#chains.push(record.chain);
    this.#views.push(this.#view);
    return record.bytes;
  }

  #local(payload: EntryPayload, view: number): Uint8Array {
    const fields = { kind: recordKind[payload.type], clusterTag, index: 0, view, payload: encodeEntry(payload) };
    return encodeRecord(fields, 0n).bytes;
  }

  #append(records: readonly Uint8Array[]): void {
    this.#wal.append(++this.#sequence, records, this.#commit);
    this.#commit = this.lastIndex;
  }
}

/** Alice and Bob meet; the primary of the first view dies, the others go on. */
function conversation(story: Story): void {
  story.promise(makeView(1, 1));
  story.view(makeView(1, 1), [1, 2, 3]);
  story.settle();
  for (const [session, user] of [
    [alice, "alice"],
    [bob, "bob"],
  ] as const) {
    const where = { pid: 1, incarnation: 7, number: session === alice ? 1 : 2 };
    story.op(session, 0, { type: "registerSession", tokenHash: new Uint8Array(32).fill(0x77), ...where });
    story.op(session, 1, { type: "createAccount", user, passwordHash: "$argon2id$golden" });
    story.op(session, 2, { type: "login", account: { session, seq: 1 } });
    story.settle();
  }
  for (let seq = 3; seq < 9; seq++) {
    story.send(alice, seq, `message ${seq} to bob`);
    story.send(bob, seq, `answer ${seq} to alice`);
    if (seq % 2 === 1) story.settle();
  }
  story.settle();
  story.promise(makeView(2, 2));
  story.view(makeView(2, 2), [2, 3]);
  story.op(system, 1, { type: "detach", session: alice, pid: 1, incarnation: 7, number: 1, seen: 9 });
  story.send(bob, 9, "still there? \u202e\u001b[31m");
  story.settle();
}

function sound(): SimulatedDisk {
  const story = new Story();
  conversation(story);
  return story.close();
}

function superseded(): SimulatedDisk {
  const story = new Story();
  conversation(story);
  const fork = story.lastIndex;
  story.send(alice, 10, "on a fork");
  story.send(alice, 11, "on a fork too");
  story.settle();
  story.promise(makeView(4, 3));
  story.view(makeView(4, 3), [1, 3], fork);
  story.send(alice, 10, "on the lineage");
  return story.close();
}

/**
 * Replica 3 was alone behind a partition and acknowledged what Bob wrote; the others went on without it. It has learnt
 * what they did, was taken in again, and Bob's messages were merged.
 */
function forked(): SimulatedDisk {
  const story = new Story();
  conversation(story);
  story.view(makeView(3, 2), [1, 2, 3]);
  const parting = story.lastIndex;
  story.attempt(makeView(4, 3), [2, 3]);
  story.view(makeView(5, 3), [3]);
  const first = story.send(bob, 10, "are you there?");
  const second = story.send(bob, 11, "nobody answers");
  story.settle();
  story.promise(makeView(6, 1));
  story.view(makeView(6, 1), [1, 2], parting);
  story.send(alice, 10, "where is bob?");
  story.settle();
  story.promise(makeView(7, 1));
  story.view(makeView(7, 1), [1, 2, 3]);
  story.send(bob, 10, "are you there?", first);
  story.send(bob, 11, "nobody answers", second);
  story.settle();
  story.merged();
  return story.close();
}

/** Two replicas have gone on for a while; what all of them have has been deleted. */
function compacted(): SimulatedDisk {
  const story = new Story();
  conversation(story);
  for (let seq = 9; seq < 20; seq++) story.send(alice, seq, `message ${seq} to bob`);
  story.settle();
  story.compact();
  story.send(alice, 20, "we go on");
  return story.close();
}

/** The machine stopped in the middle of the last write: one sector of it did not land. */
function torn(): SimulatedDisk {
  const story = new Story();
  conversation(story);
  story.send(alice, 9, "this one is on the disk");
  story.send(alice, 10, "this one is not whole");
  story.send(alice, 11, "this one is, but it stands behind the gap");
  story.settle(1);
  const disk = story.disk.restart();
  for (const name of disk.list()) if (name.endsWith(".tmp")) disk.remove(name);
  return edit(disk, (bytes, text) => {
    const at = bytes.indexOf("this one is not");
    if (at >= 0) text.fill(0, at, at + 16);
  });
}

/** A bit of an old record has rotted. */
function corrupt(): SimulatedDisk {
  return edit(sound(), (bytes, text) => {
    const at = bytes.indexOf("answer 4");
    if (at >= 0) text[at] = (text[at] ?? 0) ^ 0x20;
  });
}

/** The log of a cluster of one, in which a bit has rotted: nobody can repair it. Not among the golden ones. */
export function corruptAlone(): SimulatedDisk {
  const story = new Story([1]);
  story.view(makeView(1, 1), [1]);
  story.op(alice, 1, { type: "createAccount", user: "alice", passwordHash: "$argon2id$golden" });
  story.send(alice, 2, "note to self");
  story.send(alice, 3, "and another");
  story.settle();
  return edit(story.close(), (bytes, text) => {
    const at = bytes.indexOf("note to");
    if (at >= 0) text[at] = (text[at] ?? 0) ^ 0x20;
  });
}

function newer(): SimulatedDisk {
  return edit(sound(), (bytes) => {
    const header = decodeSegmentHeader(bytes);
    if (header !== null) bytes.set(encodeSegmentHeader({ ...header, formatVersion: 3 }));
  });
}

function edit(disk: SimulatedDisk, change: (bytes: Buffer, same: Uint8Array) => void): SimulatedDisk {
  for (const name of disk.list()) {
    const content = disk.contentOf(name);
    change(Buffer.from(content.buffer, content.byteOffset, content.length), content);
    disk.put(name, content);
  }
  return disk;
}

/** Each golden log by its name, and how `inspect-log` ends on it. */
export const goldenLogs: Readonly<Record<string, { readonly make: () => SimulatedDisk; readonly status: number }>> = {
  sound: { make: sound, status: 0 },
  superseded: { make: superseded, status: 0 },
  forked: { make: forked, status: 0 },
  compacted: { make: compacted, status: 0 },
  torn: { make: torn, status: 2 },
  corrupt: { make: corrupt, status: 3 },
  newer: { make: newer, status: 4 },
};
