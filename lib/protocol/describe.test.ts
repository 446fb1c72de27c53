/** One-line texts: what they say, and what they must never say. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { encodeCommand, encodeEntry } from "./codec.ts";
import { commands, type Command } from "./commands.ts";
import { describeCommand, describeEntry, describeFrame, describeRecord } from "./describe.ts";
import type { EntryPayload } from "./entries.ts";
import { frames, type Frame } from "./messages.ts";
import { encodeRecord, recordKind } from "./record.ts";
import { arbitraryValueOf } from "./samples.fixture.ts";

const session = "3f2a9c10-6d5e-4b7f-8a91-0c1d2e3f4a5b";
const send: Command = { type: "send", from: { session, seq: 1 }, to: { session, seq: 2 }, text: "see you" };
const op: EntryPayload = {
  type: "op",
  session,
  seq: 3,
  oldest: 2,
  at: 1790000000000,
  origAt: 1790000000000,
  digest: Uint8Array.fromHex("0011223344556677"),
  command: encodeCommand(send),
};

describe("one line of text", () => {
  test("of frames", () => {
    expect(describeFrame({ type: "send", request: 5, seq: 3, oldest: 3, to: "bob", text: "Grüße" })).toBe(
      'send request=5 seq=3 oldest=3 to="bob" text=(7 bytes)',
    );
    expect(
      describeFrame({
        type: "append",
        view: 769,
        previous: { index: 4, view: 514, chain: 255n },
        commit: 3,
        records: new Uint8Array(99),
      }),
    ).toBe("append view=3.1 previous=4@2.2:00000000000000ff commit=3 records=(99 bytes)");
    expect(describeFrame({ type: "appendOk", view: 769, durableIndex: 9, resendAfter: null })).toBe(
      "appendOk view=3.1 durableIndex=9 resendAfter=-",
    );
    expect(describeFrame({ type: "changed", what: "read", ids: [{ session, seq: 7 }] })).toBe(
      `changed what=read ids=[${session}/7]`,
    );
    expect(
      describeFrame({
        type: "heartbeat",
        role: "backup",
        installed: 0,
        formed: false,
        promised: 0,
        starting: 0,
        epoch: 0,
        lastActView: 0,
        lastIndex: 0,
        lastView: 0,
        commit: 0,
        durableIndex: 0,
        hears: [1, 3],
        stuck: false,
        hot: false,
        left: false,
        merged: true,
        stateIndex: 0,
        members: [{ pid: 1, uuid: session, incarnation: 5 }],
        connections: 0,
      }),
    ).toContain(`installed=0.0 formed=false promised=0.0`);
  });

  test("bodies only when asked for", () => {
    expect(describeCommand(send)).toBe(`send from=${session}/1 to=${session}/2 text=(7 bytes)`);
    expect(describeCommand(send, { bodies: true })).toEndWith('text="see you"');
    expect(describeEntry(op)).toBe(
      `op ${session}/3 oldest=2 at=1790000000000 origAt=1790000000000 digest=0011223344556677: ` +
        `send from=${session}/1 to=${session}/2 text=(7 bytes)`,
    );
    expect(describeEntry(op, { bodies: true })).toEndWith('text="see you"');
  });

  test("of long lists shows the first items", () => {
    const ids = Array.from({ length: 20 }, (_, seq) => ({ session, seq }));
    expect(describeFrame({ type: "changed", what: "read", ids })).toEndWith(`${session}/15, 4 more]`);
  });

  test("of records, also of those that cannot be read", () => {
    const fields = { clusterTag: 1, index: 0, view: 0 };
    const promise = encodeRecord(
      { ...fields, kind: recordKind.promise, payload: encodeEntry({ type: "promise", view: 769 }) },
      0n,
    );
    expect(describeRecord(promise)).toBe("promise view=3.1");
    const unknown = encodeRecord({ ...fields, kind: 77, payload: Uint8Array.of(0x80) }, 0n);
    expect(describeRecord(unknown)).toBe("kind 77, 1 byte, unreadable: record kind 77 is not known");
    const broken = encodeRecord({ ...fields, kind: recordKind.act, payload: Uint8Array.of(0x81) }, 0n);
    expect(describeRecord(broken)).toStartWith("kind 2, 1 byte, unreadable: act");
    expect(describeEntry({ ...op, command: Uint8Array.of(0x80) })).toEndWith(
      "command of 1 byte, unreadable: command is an empty array",
    );
  });
});

describe("what is never shown", () => {
  test("passwords, tokens and hashes, whatever is asked for", () => {
    const secret = "hunter2-hunter2";
    const lines = [
      describeFrame({ type: "login", request: 1, seq: 1, oldest: 1, user: "bob", password: secret }, { bodies: true }),
      describeFrame(
        { type: "createAccount", request: 1, seq: 1, oldest: 1, user: "bob", password: secret },
        { bodies: true },
      ),
      describeFrame({ type: "deleteAccount", request: 1, seq: 1, oldest: 1, password: secret }, { bodies: true }),
      describeCommand({ type: "createAccount", user: "bob", passwordHash: secret }, { bodies: true }),
    ];
    for (const line of lines) {
      expect(line).toContain("(secret)");
      expect(line).not.toContain("hunter2");
    }
    const token = new Uint8Array(16).fill(0xab);
    const open = describeFrame({
      type: "openSession",
      request: 1,
      session,
      token,
      create: true,
      lastView: 0,
      lastIndex: 0,
      lastMessageIndex: 0,
    });
    expect(open).not.toContain("abab");
  });

  test("every field that sounds like a secret is marked as one", () => {
    for (const table of [frames, commands]) {
      for (const definition of Object.values(table)) {
        for (const [name, schema] of Object.entries(definition.fields)) {
          if (!/password|token/i.test(name)) continue;
          expect("secret" in schema && schema.secret).toBe(true);
        }
      }
    }
  });

  test("anything that moves a terminal's cursor, breaks the line or turns its direction", () => {
    const text = "a\x1b[2J\n\u009b1A\u202e\u2066\u200f\u2028\ufeff\x7f\u061cz";
    expect(describeFrame({ type: "notice", text })).toBe(
      'notice text="a\\u001b[2J\\n\\u009b1A\\u202e\\u2066\\u200f\\u2028\\ufeff\\u007f\\u061cz"',
    );
    for (const [type, definition] of Object.entries(frames)) {
      fc.assert(
        fc.property(arbitraryValueOf(type, definition), (frame) => {
          const line = describeFrame(frame as Frame, { bodies: true });
          expect(line).toStartWith(type);
          // oxlint-disable-next-line no-control-regex
          expect(line).not.toMatch(/[\x00-\x1f\x7f-\x9f\u2028\u2029]/);
        }),
        { numRuns: 10 },
      );
    }
  });
});
