/** Encoding and strict decoding of everything in the tables, against other CBOR libraries. */
import { describe, expect, test } from "bun:test";
import * as cborg from "cborg";
import { Decoder } from "cbor-x/index-no-eval";
import fc from "fast-check";
import { limits } from "../base/limits.ts";
import {
  decodeCommand,
  decodeEntry,
  decodeFrame,
  encodeCommand,
  encodeEntry,
  encodeFrame,
  framePrefixBytes,
  ProtocolError,
} from "./codec.ts";
import { commands, type Command } from "./commands.ts";
import { entries, type EntryPayload } from "./entries.ts";
import { frames, type Frame, type FrameOf } from "./messages.ts";
import { arbitraryValueOf } from "./samples.fixture.ts";
import type { Definition, Description } from "./schema.ts";

const session = "0a0b0c0d-0000-4000-8000-0123456789ab";
const send: FrameOf<"send"> = { type: "send", request: 1, seq: 2, oldest: 1, to: "bob", text: "hi" };
const payloadOf = (frame: Frame): Uint8Array => encodeFrame(frame).subarray(framePrefixBytes);

/** What a CBOR library that knows nothing of schemas must see. */
function plain(schema: Description, value: unknown): unknown {
  switch (schema.kind) {
    case "uuid":
      return Uint8Array.fromHex((value as string).replaceAll("-", ""));
    case "hash64":
      return Uint8Array.fromHex((value as bigint).toString(16).padStart(16, "0"));
    case "optional":
      return value === null ? null : plain(schema.of, value);
    case "list":
      return (value as unknown[]).map((item) => plain(schema.of, item));
    case "struct":
      return schema.fields.map((field) => plain(field.schema, (value as Record<string, unknown>)[field.name]));
    default:
      return value;
  }
}

function plainFields(definition: Definition, value: object): unknown[] {
  return Object.entries(definition.fields).map(([name, schema]) =>
    plain(schema, (value as Record<string, unknown>)[name]),
  );
}

interface TableUnderTest {
  readonly name: string;
  readonly table: Readonly<Record<string, Definition>>;
  readonly encode: (value: { readonly type: string }) => Uint8Array;
  readonly decode: (bytes: Uint8Array, definition: Definition) => unknown;
  readonly numbered: boolean;
}

const tables: readonly TableUnderTest[] = [
  { name: "frame", table: frames, encode: (value) => payloadOf(value as Frame), decode: decodeFrame, numbered: true },
  {
    name: "command",
    table: commands,
    encode: (value) => encodeCommand(value as Command),
    decode: decodeCommand,
    numbered: true,
  },
  {
    name: "entry",
    table: entries,
    encode: (value) => encodeEntry(value as EntryPayload),
    decode: (bytes, definition) => decodeEntry(definition.number, bytes),
    numbered: false,
  },
];

for (const { name, table, encode, decode, numbered } of tables) {
  describe(`every ${name}`, () => {
    for (const [type, definition] of Object.entries(table)) {
      const values = arbitraryValueOf(type, definition);
      const expected = (value: object): unknown[] => [
        ...(numbered ? [definition.number] : []),
        ...plainFields(definition, value),
      ];

      test(`${type}: comes back as it was, and is what another encoder writes`, () => {
        fc.assert(
          fc.property(values, (value) => {
            const bytes = encode(value);
            expect(decode(bytes, definition)).toEqual(value);
            // Shortest heads, no floats: canonical CBOR, byte for byte.
            expect(bytes.toHex()).toBe(cborg.encode(expected(value)).toHex());
            expect(cborg.decode(bytes, { strict: true, allowIndefinite: false, allowUndefined: false })).toEqual(
              expected(value),
            );
          }),
          { numRuns: 40 },
        );
      });

      test(`${type}: no prefix of it and nothing longer is accepted`, () => {
        fc.assert(
          fc.property(values, fc.nat(), (value, at) => {
            const bytes = encode(value);
            expect(() => decode(bytes.subarray(0, at % bytes.length), definition)).toThrow(ProtocolError);
            expect(() =>
              decode(Uint8Array.of(...bytes.subarray(0, 1000), ...bytes.subarray(1000), 0xf6), definition),
            ).toThrow(ProtocolError);
          }),
          { numRuns: 20 },
        );
      });

      test(`${type}: with any bytes changed it is refused as ProtocolError, or is another sound one`, () => {
        const change = fc.record({ at: fc.nat(), byte: fc.integer({ min: 0, max: 255 }) });
        fc.assert(
          fc.property(values, fc.array(change, { minLength: 1, maxLength: 3 }), (value, changes) => {
            const bytes = encode(value).slice();
            for (const { at, byte } of changes) bytes[at % bytes.length] = byte;
            let again: unknown;
            try {
              again = decode(bytes, definition);
            } catch (error) {
              expect(error).toBeInstanceOf(ProtocolError);
              return;
            }
            // What is accepted can be said again: ranges, limits and shape hold.
            expect(decode(encode(again as { type: string }), definition)).toEqual(again);
          }),
          { numRuns: 60 },
        );
      });
    }

    test("has a number of its own", () => {
      const numbers = Object.values(table).map((definition) => definition.number);
      expect(new Set(numbers).size).toBe(numbers.length);
    });
  });
}

describe("encoding", () => {
  test("a frame has its length in front, big-endian", () => {
    const bytes = encodeFrame({ type: "notice", text: "x".repeat(300) });
    expect(new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)).toBe(bytes.length - 4);
  });

  test("integers above 32 bits are CBOR integers, never floats", () => {
    const bytes = payloadOf({ type: "ping", nonce: 2 ** 40 });
    expect(bytes.toHex()).toBe("82051b0000010000000000");
    expect(payloadOf({ type: "ping", nonce: Number.MAX_SAFE_INTEGER }).toHex()).toBe("82051b001fffffffffffff");
  });

  test("texts of every length around the edges of heads and shortcuts come back", () => {
    for (const unit of ["x", "ß", "€", "😀"]) {
      for (let length = 0; length <= 300; length++) {
        const text = unit.repeat(Math.min(length, Math.floor(1000 / Buffer.byteLength(unit))));
        const payload = payloadOf({ type: "notice", text });
        expect(decodeFrame(payload)).toEqual({ type: "notice", text });
        expect(payload.toHex()).toBe(cborg.encode([frames.notice.number, text]).toHex());
      }
    }
  });

  test("a byte order mark is a character like any other", () => {
    const notice: Frame = { type: "notice", text: "\ufeffhello" };
    expect(decodeFrame(payloadOf(notice))).toEqual(notice);
  });

  test("also where texts are long and within lists", () => {
    for (const marks of ["\ufeff", "\ufeff\ufeff"]) {
      for (const length of [0, 60, 61, 62, 63, 64, 65, 66, 300]) {
        const text = marks + "x".repeat(length);
        const notice: Frame = { type: "notice", text };
        expect(decodeFrame(payloadOf(notice))).toEqual(notice);
        const fields = { id: { session, seq: 1 }, index: 1, from: "a", to: text.slice(0, 20), text, at: 1 };
        const messages = [
          { ...fields, text: "x".repeat(length), read: false, inbox: false },
          { ...fields, read: true, inbox: true },
        ];
        const opened: Frame = {
          type: "opened",
          request: 1,
          index: 1,
          view: 257,
          copies: 2,
          duplicate: false,
          messages,
        };
        expect(decodeFrame(payloadOf(opened))).toEqual(opened);
      }
    }
  });

  test("a lone surrogate becomes U+FFFD, so that what is sent is always valid UTF-8", () => {
    for (const rest of ["", "x".repeat(70)]) {
      for (const surrogate of ["\ud800", "\udc00", "\udc00\ud800"]) {
        const text = `a${surrogate}b${rest}${surrogate}`;
        expect(decodeFrame(payloadOf({ type: "notice", text }))).toEqual({ type: "notice", text: text.toWellFormed() });
      }
    }
  });

  test("frames do not share memory, however long they are", () => {
    const long = encodeFrame({ ...appendOf(new Uint8Array(200_000).fill(7)) });
    const short = encodeFrame(send);
    const copies = [long.slice(), short.slice()];
    encodeFrame({ ...appendOf(new Uint8Array(200_000).fill(9)) });
    encodeFrame({ type: "notice", text: "other" });
    expect([long, short]).toEqual(copies);
  });

  test("what breaks a schema is refused, and the encoder works on", () => {
    const wrong: readonly [Frame, string][] = [
      [{ ...send, to: "x".repeat(129) }, "send.to has 129 bytes or more; at most 128 are allowed"],
      [{ ...send, to: "ß".repeat(65) }, "send.to has 130 bytes or more; at most 128 are allowed"],
      [{ ...send, seq: -1 }, "send.seq must be an integer from 0 to 9007199254740991"],
      [{ ...send, seq: 1.5 }, "send.seq must be an integer from 0 to 9007199254740991"],
      [{ ...send, seq: 2 ** 53 }, "send.seq must be an integer from 0 to 9007199254740991"],
      [{ ...send, seq: NaN }, "send.seq must be an integer from 0 to 9007199254740991"],
      [{ type: "open", request: 1, seq: 1, oldest: 1, count: 201 }, "open.count must be an integer from 0 to 200"],
      [
        { type: "mark", request: 1, seq: 1, oldest: 1, read: true, ids: [{ session: session.toUpperCase(), seq: 1 }] },
        "mark.ids[].session must be a uuid in canonical form",
      ],
      [
        { type: "mark", request: 1, seq: 1, oldest: 1, read: true, ids: new Array(201).fill({ session, seq: 1 }) },
        "mark.ids has 201 items; at most 200 are allowed",
      ],
      [{ ...send, text: undefined } as unknown as Frame, "send.text must be text"],
      [{ type: "nonsense" } as unknown as Frame, "there is no frame named nonsense"],
      [{ type: "toString" } as unknown as Frame, "there is no frame named toString"],
    ];
    for (const [frame, message] of wrong) expect(() => encodeFrame(frame)).toThrow(new ProtocolError("frame", message));
    expect(decodeFrame(payloadOf(send))).toEqual(send);
  });

  test("a list is written as an array whatever it is made of, and may have no holes", () => {
    class Ids extends Array<{ session: string; seq: number }> {}
    const mark = (ids: { session: string; seq: number }[]): Frame => ({
      type: "mark",
      request: 1,
      seq: 1,
      oldest: 1,
      read: true,
      ids,
    });
    const id = { session, seq: 1 };
    expect(payloadOf(mark(Ids.of(id, id)))).toEqual(payloadOf(mark([id, id])));
    expect(() => encodeFrame(mark(new Array(2)))).toThrow(new ProtocolError("frame", "mark.ids[] must be an object"));
  });

  test("no uuid but the canonical text is written", () => {
    const withSession = (text: string) => () =>
      encodeFrame({ type: "mark", request: 1, seq: 1, oldest: 1, read: true, ids: [{ session: text, seq: 1 }] });
    expect(withSession(session)).not.toThrow();
    for (let at = 0; at < session.length; at++) {
      for (const unit of ["g", "A", "-", "0", " ", "/", ":", "`", "\u0130"]) {
        const text = session.slice(0, at) + unit + session.slice(at + 1);
        const canonical = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text);
        if (canonical) expect(withSession(text)).not.toThrow();
        else expect(withSession(text)).toThrow(ProtocolError);
      }
    }
    expect(withSession("")).toThrow(ProtocolError);
    expect(withSession(`${session}0`)).toThrow(ProtocolError);
  });

  test("a frame that no receiver would accept is not made", () => {
    const ops = Array.from({ length: 5 }, () => new Uint8Array(limits.recordPayloadBytesMax));
    expect(() => encodeFrame({ type: "forward", view: 1, stream: 1, first: 1, ops })).toThrow(
      "forward has 5242912 bytes; at most 4194304 are allowed",
    );
  });
});

function appendOf(records: Uint8Array): FrameOf<"append"> {
  return { type: "append", view: 257, previous: { index: 0, view: 0, chain: 0n }, commit: 0, records };
}

describe("decoding", () => {
  test("longer heads than needed are understood", () => {
    expect(decodeFrame(Uint8Array.fromHex("98021800051b0000000000000007".replace("180005", "1805")))).toEqual({
      type: "ping",
      nonce: 7,
    });
  });

  test("what a general encoder writes is understood", () => {
    expect(decodeFrame(cborg.encode([34, 1, 2, 1, "bob", "hi"]))).toEqual(send);
  });

  test("what is written can be read by general decoders", () => {
    const decoder = new Decoder({ useRecords: false, tagUint8Array: false });
    expect(decoder.decode(payloadOf(send))).toEqual([34, 1, 2, 1, "bob", "hi"]);
  });

  test("short byte strings are copies; long ones are views into the payload", () => {
    const open: Frame = {
      type: "openSession",
      request: 1,
      session,
      token: new Uint8Array(16).fill(1),
      create: true,
      lastView: 0,
      lastIndex: 0,
      lastMessageIndex: 0,
    };
    // Sockets hand out Buffers, whose slice() is no copy.
    for (const payload of [payloadOf(open), Buffer.from(payloadOf(open))]) {
      const opened = decodeFrame(payload) as FrameOf<"openSession">;
      payload.fill(0);
      expect(opened).toEqual(open);
      expect(opened.token.constructor).toBe(Uint8Array);
    }

    const appended = payloadOf(appendOf(new Uint8Array(100).fill(1)));
    const { records } = decodeFrame(appended) as FrameOf<"append">;
    expect(records.buffer).toBe(appended.buffer);
  });

  test("uuids are told apart, also when many are seen", () => {
    for (let i = 0; i < 5000; i++) {
      const id = `${i.toString(16).padStart(8, "0")}-0000-4000-8000-${(i * 7919).toString(16).padStart(12, "0")}`;
      const frame: Frame = { type: "changed", what: "read", ids: [{ session: id, seq: i }] };
      expect(decodeFrame(payloadOf(frame))).toEqual(frame);
    }
  });
});
