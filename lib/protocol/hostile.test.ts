/** What strict decoding refuses, with which words, and at what cost: malformed, oversized and malicious frames, hellos. */
import { describe, expect, test } from "bun:test";
import { limits } from "../base/limits.ts";
import {
  decodeCommand,
  decodeEntry,
  decodeFrame,
  encodeFrame,
  framePrefixBytes,
  ProtocolError,
  readHello,
} from "./codec.ts";
import type { Frame } from "./messages.ts";

const hexOf = (frame: Frame): string => encodeFrame(frame).subarray(framePrefixBytes).toHex();
const messageOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (error instanceof ProtocolError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return "accepted";
};
const refuse = (hex: string): string => messageOf(() => decodeFrame(Uint8Array.fromHex(hex)));

/** [34, request, seq, oldest, to, text]: `send` with one element exchanged. */
const sendWith = (element: string): string => refuse(`8618220102${element}63626f62626869`);

describe("what is not a frame is refused, with frame, field and fault named", () => {
  const cases: readonly [what: string, message: string, expected: string][] = [
    ["nothing", refuse(""), "frame: frame is missing: the bytes end before it"],
    ["an empty array", refuse("80"), "frame: frame is an empty array"],
    ["a map", refuse("a10102"), "frame: frame is a map where an array belongs"],
    ["text", refuse("6568656c6c6f"), "frame: frame is a text string where an array belongs"],
    [
      "an HTTP request",
      refuse(Buffer.from("GET / HTTP/1.1").toString("hex")),
      "frame: frame is a byte string where an array belongs",
    ],
    ["an indefinite array", refuse("9f0507ff"), "frame: frame has an indefinite length"],
    ["a reserved head", refuse("9c05"), "frame: frame is not CBOR"],
    [
      "a number that is text",
      refuse("826135616e"),
      "frame: frame number is a text string where an unsigned integer belongs",
    ],
    ["an unknown number", refuse("821903e700"), "frame: frame number 999 is not known"],
    [
      "a number that a table's prototype might know",
      refuse("82613507"),
      "frame: frame number is a text string where an unsigned integer belongs",
    ],
    ["too few elements", refuse("8105"), "frame: ping has 1 element; exactly 2 belong here"],
    ["too many elements", refuse("83050701"), "frame: ping has 3 elements; exactly 2 belong here"],
    ["bytes after the end", refuse("82050700"), "frame: ping is followed by 1 byte that belongs to nothing"],
    ["a stop code after the end", refuse("820507ff"), "frame: ping is followed by 1 byte that belongs to nothing"],
    [
      "a negative integer",
      sendWith("20"),
      "frame: send.oldest is a negative integer where an unsigned integer belongs",
    ],
    ["a half float", sendWith("f93c00"), "frame: send.oldest is a float where an unsigned integer belongs"],
    ["a double", sendWith("fb3ff0000000000000"), "frame: send.oldest is a float where an unsigned integer belongs"],
    ["a tag", sendWith("c101"), "frame: send.oldest is a tag where an unsigned integer belongs"],
    ["a bignum", sendWith("c24101"), "frame: send.oldest is a tag where an unsigned integer belongs"],
    ["undefined", sendWith("f7"), "frame: send.oldest is a simple value where an unsigned integer belongs"],
    ["null where nothing is optional", sendWith("f6"), "frame: send.oldest is null where an unsigned integer belongs"],
    ["a boolean", sendWith("f5"), "frame: send.oldest is a boolean where an unsigned integer belongs"],
    ["a stop code", sendWith("ff"), "frame: send.oldest is a stop code where an unsigned integer belongs"],
    ["2^53", sendWith("1b0020000000000000"), "frame: send.oldest is an integer above 2^53 - 1"],
    ["2^64 - 1", sendWith("1bffffffffffffffff"), "frame: send.oldest is an integer above 2^53 - 1"],
    ["a cut-off integer", refuse("861822011b000000"), "frame: send.seq is cut off"],
    ["text in pieces", refuse("861822010203" + "7f6162ff626869"), "frame: send.to has an indefinite length"],
    ["text longer than the frame", refuse("8618220102036a626f62626869"), "frame: send.to is cut off"],
    [
      "text of 2^53 - 1 bytes",
      refuse("8618220102037b001fffffffffffff626869"),
      "frame: send.to has 9007199254740991 bytes; at most 128 are allowed",
    ],
    [
      "bytes where text belongs",
      refuse("86182201020343626f62626869"),
      "frame: send.to is a byte string where a text string belongs",
    ],
    ["invalid UTF-8, short", refuse("86182201020363626fff626869"), "frame: send.to is not valid UTF-8"],
    ["overlong UTF-8", refuse("86182201020362c080626869"), "frame: send.to is not valid UTF-8"],
    ["a surrogate in UTF-8", refuse("86182201020363eda080626869"), "frame: send.to is not valid UTF-8"],
    ["a limit exceeded", refuse("85182301020318c9"), "frame: open.count is 201; at most 200 is allowed"],
    ["a number of items that cannot be", refuse("861824010101" + "9a00ffffff" + "f5"), "frame: mark.ids is cut off"],
    [
      "more items than allowed",
      refuse("861824010101" + "98c9" + "00".repeat(201) + "f5"),
      "frame: mark.ids has 201 items; at most 200 are allowed",
    ],
    [
      "a struct of another length",
      refuse("861824010101" + "818100" + "f5"),
      "frame: mark.ids[] has 1 field; exactly 2 belong here",
    ],
    [
      "a uuid of another length",
      refuse("861824010101" + "8182410001" + "f5"),
      "frame: mark.ids[].session has 1 byte; exactly 16 belong here",
    ],
    [
      "a boolean that is a number",
      refuse("861824010101" + "80" + "01"),
      "frame: mark.read is an unsigned integer where false or true belongs",
    ],
    [
      "a word that is none of the choices",
      refuse("83185b64726561648000"),
      "frame: changed is followed by 1 byte that belongs to nothing",
    ],
    ["another word", refuse("83185b617880"), "frame: changed.what is none of read, deleted, drafts, inbox"],
  ];
  for (const [what, message, expected] of cases) test(what, () => expect(message).toBe(expected));

  test("an unknown command, and an unknown kind of record", () => {
    expect(messageOf(() => decodeCommand(Uint8Array.fromHex("8118c8")))).toBe("frame: command number 200 is not known");
    expect(messageOf(() => decodeEntry(99, Uint8Array.fromHex("80")))).toBe("frame: record kind 99 is not known");
    expect(messageOf(() => decodeEntry(2, Uint8Array.fromHex("820101")))).toBe(
      "frame: act has 2 elements; exactly 1 belongs here",
    );
  });
});

describe("hostile frames cost microseconds", () => {
  const filled = (length: number, head: string, byte: number): Uint8Array => {
    const bytes = new Uint8Array(length).fill(byte);
    bytes.set(Uint8Array.fromHex(head));
    return bytes;
  };
  const frames: readonly [what: string, payload: Uint8Array][] = [
    // A general decoder spends seconds on this one.
    ["a bignum of 100 kB as the number", filled(100_000, "82c25a0001869a", 0xff)],
    ["a bignum of 100 kB as a field", filled(100_000, "8205c25a00018690", 0xff)],
    ["100,000 nested arrays", filled(100_000, "82", 0x81)],
    ["100,000 nested arrays as a field", filled(100_000, "8205", 0x81)],
    ["100,000 nested tags", filled(100_000, "8205", 0xc1)],
    ["100,000 nested maps", filled(100_000, "8205", 0xa1)],
    ["a map of 2^32 entries", filled(100_000, "82baffffffff", 0)],
    ["an array of 2^53 - 1 items", filled(100_000, "9b001fffffffffffff", 0)],
    ["a list of 2^32 - 1 items", filled(64_000, "8618240101019affffffff", 0)],
    ["a list of 60,000 empty items", filled(64_000, "86182401010199ea60", 0x80)],
    ["text of 60,000 bytes", filled(64_000, "861822010203" + "79ea60", 0x61)],
    ["a byte string of 4 GiB", filled(64_000, "8618220102035affffffff", 0)],
    ["60,000 empty strings in indefinite text", filled(64_000, "8618220102037f", 0x60)],
  ];
  for (const [what, payload] of frames) {
    test(what, () => {
      expect(messageOf(() => decodeFrame(payload))).toStartWith("frame: ");
      // The best of some runs, so that a busy machine does not matter: what is quadratic or allocates stays slow.
      let best = Infinity;
      for (let run = 0; run < 50; run++) {
        const start = Bun.nanoseconds();
        try {
          decodeFrame(payload);
        } catch {
          // Refused, as shown above.
        }
        best = Math.min(best, Bun.nanoseconds() - start);
      }
      expect(best / 1000).toBeLessThan(100);
    });
  }
});

describe("hello", () => {
  const version = limits.protocolVersion;
  const hello = `8401656368617464${version.toString(16).padStart(2, "0")}`;

  test("of a client and of a replica", () => {
    const client: Frame = { type: "hello", magic: "chatd", version, software: "x" };
    expect(readHello(Uint8Array.fromHex(hexOf(client)))).toEqual(client);
    const replica: Frame = {
      type: "peerHello",
      magic: "chatd",
      version,
      cluster: new Uint8Array(16),
      pid: 1,
      uuid: "0a0b0c0d-0000-4000-8000-0123456789ab",
      incarnation: 2 ** 50,
      address: "127.0.0.1:1538",
      policy: "quorum",
      software: "x",
    };
    expect(readHello(Uint8Array.fromHex(hexOf(replica)))).toEqual(replica);
  });

  const readHex = (hex: string): string => messageOf(() => readHello(Uint8Array.fromHex(hex)));
  const theirs = (number: number | string): string =>
    `version: you speak protocol version ${number}; this replica speaks version 1`;

  test("of an unknown version is told by its first three elements, whatever follows", () => {
    expect(readHex("8401656368617464" + "07" + "6178")).toBe(theirs(7));
    expect(readHex("8402656368617464" + "07" + "6178")).toBe(theirs(7));
    expect(readHex("8401656368617464" + "00" + "6178")).toBe(theirs(0));
    expect(readHex("8301656368617464" + "1903e8")).toBe(theirs(1000));
    expect(readHex("8301656368617464" + "1b0000ffffffffffff")).toBe(theirs(2 ** 48 - 1));
    // Another length, a map, a tag, rubbish.
    expect(readHex("8a01656368617464" + "07" + "bf6178c1ff")).toBe(theirs(7));
    expect(readHex("8401656368617464" + "07")).toBe(theirs(7));
  });

  test("of this version is decoded strictly", () => {
    expect(readHex(hello + "6178" + "00")).toBe("frame: hello is followed by 1 byte that belongs to nothing");
    expect(readHex(hello + "07")).toBe("frame: hello.software is an unsigned integer where a text string belongs");
    expect(readHex("82016563686174640161")).toBe("frame: hello has 2 elements; it begins with three");
  });

  test("of another protocol, and anything else in its place", () => {
    expect(readHex("840165636861746501" + "6178")).toBe('protocol: hello.magic is not "chatd"');
    expect(readHex(hexOf({ type: "ping", nonce: 1 }))).toBe(
      "unexpected: the first frame on a connection must be hello or peerHello",
    );
    expect(readHex("80")).toBe("unexpected: the first frame on a connection must be hello or peerHello");
    expect(readHex("a0")).toBe("frame: hello is a map where an array belongs");
    expect(readHex("8301c2410107")).toBe("frame: hello.magic is a tag where a text string belongs");
  });
});
