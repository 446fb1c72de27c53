/** Records: layout, every flipped byte, the chain, batches. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { AssertionError } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import {
  chainHolds,
  decodeRecord,
  encodeRecord,
  flagSkippable,
  joinRecords,
  recordBytes,
  recordKind,
  splitRecords,
  type LogRecord,
  type RecordFields,
} from "./record.ts";

const fields: fc.Arbitrary<RecordFields> = fc.record({
  kind: fc.integer({ min: 1, max: 255 }),
  flags: fc.integer({ min: 0, max: 0xffff }),
  clusterTag: fc.integer({ min: 0, max: 0xffff_ffff }),
  index: fc.oneof(fc.constant(0), fc.maxSafeNat()),
  view: fc.maxSafeNat(),
  payload: fc.uint8Array({ minLength: 1, maxLength: 80 }),
});
const hash = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });

const op = (index: number, text: string): RecordFields => ({
  kind: recordKind.op,
  clusterTag: 0xc0ffee,
  index,
  view: 3 * 256 + 1,
  payload: Buffer.from(text),
});

function decoded(bytes: Uint8Array, offset = 0): LogRecord {
  const record = decodeRecord(bytes, offset);
  if (typeof record === "string") throw new Error(`no record: ${record}`);
  return record;
}

describe("a record", () => {
  test("comes back as it was, at any offset", () => {
    fc.assert(
      fc.property(fields, hash, fc.integer({ min: 0, max: 40 }), (given, previous, offset) => {
        const encoded = encodeRecord(given, previous);
        const bytes = new Uint8Array(offset + encoded.bytes.length + 16);
        bytes.set(encoded.bytes, offset);
        expect(decoded(bytes, offset)).toEqual(encoded);
        expect(encoded).toMatchObject({ ...given, version: 1 });
        expect(encoded.bytes.length).toBe(recordBytes(given.payload.length));
        expect(encoded.bytes.length % 8).toBe(0);
      }),
    );
  });

  test("has the documented layout", () => {
    const { bytes } = encodeRecord({ ...op(2 ** 32 + 5, "abc"), flags: flagSkippable }, 0n);
    expect(bytes.length).toBe(48);
    const hex = bytes.toHex();
    expect(hex.slice(0, 8)).toBe("03000000");
    expect(hex.slice(16, 64)).toBe("03010100" + "eeffc000" + "0500000001000000" + "0103000000000000");
    expect(hex.slice(80)).toBe("6162630000000000");
  });

  test("with any single byte changed is not a record", () => {
    const { bytes } = encodeRecord(op(7, "hello, bob"), 99n);
    for (let at = 0; at < bytes.length; at++) {
      for (let mask = 1; mask < 256; mask++) {
        const changed = bytes.slice();
        changed[at] = (changed[at] as number) ^ mask;
        expect(["short", "length", "checksum"]).toContain(decodeRecord(changed, 0) as string);
      }
    }
  });

  test("cut short anywhere is short", () => {
    const { bytes } = encodeRecord(op(7, "hello, bob"), 99n);
    for (let length = 0; length < bytes.length; length++)
      expect(decodeRecord(bytes.subarray(0, length), 0)).toBe("short");
  });

  test("zeros are the end, an absurd length is told as such", () => {
    expect(decodeRecord(new Uint8Array(64), 0)).toBe("end");
    const bytes = new Uint8Array(64).fill(0xff);
    expect(decodeRecord(bytes, 0)).toBe("length");
  });

  test("holds the longest payload and no longer one", () => {
    const payload = new Uint8Array(limits.recordPayloadBytesMax);
    expect(decoded(encodeRecord({ ...op(1, ""), payload }, 0n).bytes).payload.length).toBe(payload.length);
    const longer = new Uint8Array(limits.recordPayloadBytesMax + 1);
    expect(() => encodeRecord({ ...op(1, ""), payload: longer }, 0n)).toThrow(AssertionError);
  });

  test("is encoded from any view of a buffer", () => {
    const around = Buffer.from("xxhello, bobxx");
    const inside = encodeRecord({ ...op(7, ""), payload: around.subarray(2, 12) }, 5n);
    expect(inside.bytes).toEqual(encodeRecord(op(7, "hello, bob"), 5n).bytes);
  });
});

describe("the chain", () => {
  test("holds for the previous chain and no other", () => {
    fc.assert(
      fc.property(fields, hash, hash, (given, previous, other) => {
        fc.pre(given.index !== 0 && previous !== other);
        const record = encodeRecord(given, previous);
        expect(chainHolds(record, previous)).toBe(true);
        expect(chainHolds(record, other)).toBe(false);
      }),
    );
  });

  test("is checked without touching the record, also in a Buffer", () => {
    const { bytes, chain } = encodeRecord(op(7, "hello"), 5n);
    const buffer = Buffer.from(bytes);
    const record = decoded(buffer);
    expect(chainHolds(record, 6n)).toBe(false);
    expect(chainHolds(record, 5n)).toBe(true);
    expect(buffer.equals(bytes)).toBe(true);
    expect(decoded(buffer).chain).toBe(chain);
  });

  test("depends on kind, flags, cluster, index, view and payload", () => {
    const given = op(7, "hello");
    const others: RecordFields[] = [
      { ...given, kind: 1 },
      { ...given, flags: 1 },
      { ...given, clusterTag: 1 },
      { ...given, index: 8 },
      { ...given, view: 1 },
      op(7, "hellp"),
      op(7, "hello\0"),
    ];
    const chains = new Set([given, ...others].map((each) => encodeRecord(each, 1n).chain));
    expect(chains.size).toBe(others.length + 1);
  });

  test("is 0 in local records", () => {
    expect(encodeRecord({ ...op(0, "x"), kind: recordKind.promise }, 123n).chain).toBe(0n);
  });

  test("equal chains mean equal prefixes: one change shows in everything after", () => {
    const chainsOf = (texts: readonly string[]): bigint[] => {
      let chain = 0n;
      return texts.map((text, at) => (chain = encodeRecord(op(at + 1, text), chain).chain));
    };
    const original = chainsOf(["a", "b", "c", "d"]);
    const changed = chainsOf(["a", "B", "c", "d"]);
    expect(changed[0]).toBe(original[0] as bigint);
    for (let at = 1; at < 4; at++) expect(changed[at]).not.toBe(original[at] as bigint);
  });
});

describe("batches", () => {
  test("split into the records that were joined", () => {
    fc.assert(
      fc.property(fc.array(fields, { maxLength: 6 }), (all) => {
        const records = all.map((each) => encodeRecord(each, 1n));
        expect(splitRecords(joinRecords(records.map((record) => record.bytes)))).toEqual(records);
      }),
    );
  });

  test("with a byte missing, added or changed are refused whole", () => {
    const batch = joinRecords([op(1, "one"), op(2, "two")].map((each) => encodeRecord(each, 0n).bytes));
    expect(splitRecords(batch.subarray(0, batch.length - 1))).toBeNull();
    expect(splitRecords(Uint8Array.of(...batch, 0))).toBeNull();
    expect(splitRecords(Uint8Array.of(...batch, ...new Uint8Array(64)))).toBeNull();
    for (let at = 0; at < batch.length; at++) {
      const changed = batch.slice();
      changed[at] = (changed[at] as number) ^ 0x10;
      expect(splitRecords(changed)).toBeNull();
    }
  });
});
