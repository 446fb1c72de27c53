/** Op ids and views as text and numbers, there and back. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { AssertionError } from "../base/assert.ts";
import { formatOpId, formatView, makeView, parseOpId, viewCount, viewPid } from "./ids.ts";

const session = "0a0b0c0d-0000-4000-8000-0123456789ab";

describe("op ids", () => {
  test("are uuid/seq, there and back", () => {
    expect(formatOpId({ session, seq: 12 })).toBe(`${session}/12`);
    fc.assert(
      fc.property(fc.uuid(), fc.maxSafeNat(), (uuid, seq) => {
        expect(parseOpId(formatOpId({ session: uuid, seq }))).toEqual({ session: uuid, seq });
      }),
    );
  });

  test("nothing else is one", () => {
    const wrong = ["", session, `${session}/`, `${session}/01`, `${session}/-1`, `${session}/1.5`, `${session}/1 `];
    wrong.push(`${session.toUpperCase()}/1`, `x${session}/1`, `${session}/1/2`, `${session}/9007199254740992`);
    wrong.push(`${session}/1\n`, `${session.replaceAll("-", "")}/1`);
    for (const text of wrong) expect(parseOpId(text)).toBeNull();
    expect(parseOpId(`${session}/9007199254740991`)?.seq).toBe(Number.MAX_SAFE_INTEGER);
  });
});

describe("views", () => {
  test("are ordered as (count, pid) is, and come apart again", () => {
    const pair = fc.tuple(fc.integer({ min: 0, max: 2 ** 45 - 1 }), fc.integer({ min: 1, max: 255 }));
    fc.assert(
      fc.property(pair, pair, ([countA, pidA], [countB, pidB]) => {
        const a = makeView(countA, pidA);
        expect([viewCount(a), viewPid(a)]).toEqual([countA, pidA]);
        const b = makeView(countB, pidB);
        expect(Math.sign(a - b)).toBe(Math.sign(countA - countB) || Math.sign(pidA - pidB));
      }),
    );
  });

  test("read as count.pid", () => {
    expect(formatView(makeView(3, 1))).toBe("3.1");
    expect(formatView(0)).toBe("0.0");
  });

  test("have a pid", () => {
    expect(() => makeView(1, 0)).toThrow(AssertionError);
    expect(() => makeView(1, 256)).toThrow(AssertionError);
    expect(() => makeView(-1, 1)).toThrow(AssertionError);
    expect(() => makeView(2 ** 46, 1)).toThrow(AssertionError);
  });
});
