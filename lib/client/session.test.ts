/** The pure state of a session: ids, outbox, what was seen, saving and restoring. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { limits } from "../base/limits.ts";
import { continuedIds, hyperidIds } from "./ids.ts";
import { recentMessagesMax, Session } from "./session.ts";
import type { OpRequest } from "./types.ts";

const token = new Uint8Array(32).fill(1);
const uuid = "6f1c0a4e-8a52-4f0c-9a7e-0d5b3c2f1a10";
const op = (text: string): OpRequest => ({ type: "send", to: "bob", text });
const begin = () => Session.begin(continuedIds(uuid, 0), token);

test("hyperid's counter gives 0, 1, 2, 3 … without gaps, its uuid the session", () => {
  const ids = hyperidIds();
  expect(ids.session).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/);
  expect(Array.from({ length: 1000 }, () => ids.next())).toEqual(Array.from({ length: 1000 }, (_, seq) => seq));
  expect(hyperidIds().session).not.toBe(ids.session);
});

describe("the outbox", () => {
  test("acknowledged in any order, the oldest moves only over what is known", () => {
    const session = begin();
    for (let count = 1; count <= 5; count++) expect(session.add(op(String(count))).seq).toBe(count);
    expect(session.acknowledge(2)).toBe(true);
    expect(session.acknowledge(2)).toBe(false);
    expect(session.oldest).toBe(1);
    expect(session.acknowledge(1)).toBe(true);
    expect([session.oldest, session.next, session.outstanding]).toEqual([3, 6, 3]);
    for (const seq of [3, 4, 5]) session.acknowledge(seq);
    expect([session.oldest, session.next, session.outstanding]).toEqual([6, 6, 0]);
  });

  test("a session saved at any moment goes on as if it had not been", () => {
    const step = fc.oneof(fc.constant("add" as const), fc.nat(300));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), fc.nat(200), (steps, saveAt) => {
        const whole = begin();
        let saved = begin();
        for (const [at, what] of steps.entries()) {
          if (at === saveAt) saved = Session.restore(structuredClone(saved.save()));
          for (const session of [whole, saved]) {
            if (what === "add") session.add(op(String(at)));
            else session.acknowledge(what);
          }
          expect(saved.save()).toEqual(whole.save());
          expect(saved.oldest).toBe(whole.oldest);
          expect(whole.sendable).toBeLessThanOrEqual(whole.oldest + limits.sessionWindow);
          expect(whole.sendable).toBeLessThanOrEqual(whole.next);
        }
      }),
      { numRuns: 100 },
    );
  });

  test("knows whether an op may have left this process", () => {
    const session = begin();
    expect(session.used).toBe(false);
    const pending = session.add(op("x"));
    expect(session.used).toBe(false);
    pending.connections++;
    expect(session.used).toBe(true);
    session.acknowledge(pending.seq);
    expect(session.used).toBe(true);
  });
});

describe("what was seen", () => {
  const message = (index: number, seq: number) => {
    const id = { session: uuid, seq };
    return { id, index, from: "a", to: "b", text: "", at: 0, read: false, inbox: false };
  };

  test("the position is of one reply, the last in the log", () => {
    const session = begin();
    session.saw(10, 257);
    session.saw(12, 513);
    session.saw(11, 257);
    expect([session.lastIndex, session.lastView]).toEqual([12, 513]);
  });

  test("messages are admitted once, by index, and by id where the lineage changed", () => {
    const session = begin();
    session.resumed(5, 257);
    session.saw(20, 257);
    expect([message(10, 1), message(12, 2), message(12, 2), message(11, 3)].map((each) => session.admit(each))).toEqual(
      [true, true, false, false],
    );
    // Another lineage, shorter: its indices above 8 are new, but a message merged into it is not.
    session.resumed(8, 513);
    expect(session.admit(message(8, 4))).toBe(false);
    expect(session.admit(message(9, 5))).toBe(true);
    expect(session.admit(message(10, 1))).toBe(false);
    expect(session.admit(message(11, 6))).toBe(true);
  });

  test("a long fork that is merged is not told again: each message of it comes at another index", () => {
    const count = 20_000;
    const session = begin();
    for (let seq = 1; seq <= count; seq++) expect(session.admit(message(100 + seq, seq))).toBe(true);
    session.saw(100 + count, 257);
    session.resumed(103, 514);
    const again = Array.from({ length: count }, (_, at) => at + 1).filter((seq) =>
      session.admit(message(200 + seq, seq)),
    );
    expect(again).toEqual([]);
    expect(session.admit(message(count + 201, count + 1))).toBe(true);
  });

  test("remembers a bounded number of messages", () => {
    const session = begin();
    const last = recentMessagesMax + 5000;
    for (let index = 1; index <= last; index++) session.admit(message(index, index));
    expect(session.save().recentMessages.length).toBe(recentMessagesMax);
    expect(session.save().recentMessages.at(-1)).toBe(`${uuid}/${last}`);
  });
});
