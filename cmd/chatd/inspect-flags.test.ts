/** Which flags of `chatd inspect-log` go together, and what they may hold. */
import { describe, expect, test } from "bun:test";
import { makeView } from "../../lib/protocol/ids.ts";
import { CommandFailure } from "./failure.ts";
import { checkFlags, parseKinds, parseOp, parseView, type InspectFlags } from "./inspect-flags.ts";

const session = "aaaaaaaa-1111-4222-8333-444455556666";

describe("flags that make no sense together are refused with 64, and it is said why", () => {
  const refused: [flags: InspectFlags, why: RegExp][] = [
    [{ from: 5, to: 3 }, /--from 5 --to 3: .*must not be above/],
    [{ from: 5, kind: ["sync", "gap"] }, /--from with --kind sync,gap: only .* have an index/],
    [{ to: 5, kind: ["promise"] }, /--to with --kind promise/],
    [{ view: 257, kind: ["sync"] }, /--view with --kind sync/],
    [{ op: { session, seq: 3 }, kind: ["view"] }, /--op with --kind view: ops are of the kind op/],
    [{ compare: "x", stats: true }, /--compare with --stats/],
    [{ compare: "x", limit: 3 }, /--compare with --limit/],
    [{ compare: "x", showBodies: true }, /--compare with --show-bodies/],
    [{ verify: true, follow: true }, /--verify with --follow: it shows no records/],
    [{ stats: true, raw: true }, /--stats with --raw/],
    [{ views: true, showBodies: true }, /--views with --show-bodies/],
    [{ stats: true, limit: 1 }, /--stats with --limit/],
    [{ verify: true, stats: true, from: 3 }, /--verify with --from: it is about the whole log/],
    [{ views: true, view: 257 }, /--views with --view/],
    [{ follow: true, to: 9 }, /--follow with --to: /],
  ];
  test.each(refused)("%j", (flags, why) => {
    let thrown: unknown = null;
    try {
      checkFlags(flags);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(CommandFailure);
    expect(thrown).toMatchObject({ status: 64, message: expect.stringMatching(why) });
  });

  const taken: InspectFlags[] = [
    {},
    { from: 3, to: 3 },
    { from: 3, kind: ["sync", "op"] },
    { view: 257, kind: ["promise"] },
    { op: { session, seq: null }, kind: ["op"], limit: 1, json: true, raw: true, showBodies: true },
    { stats: true, verify: true, views: true, json: true },
    { stats: true, from: 3, kind: ["op"] },
    { follow: true, from: 3, limit: 2, raw: true },
    { compare: "x", json: true },
  ];
  test.each(taken.map((flags) => [flags] as const))("but not %j", (flags) => {
    expect(() => checkFlags(flags)).not.toThrow();
  });
});

describe("a value", () => {
  test("of --op is an op or a session, whole or shortened", () => {
    expect(parseOp(`${session}/12`)).toEqual({ session, seq: 12 });
    expect(parseOp(session.toUpperCase())).toEqual({ session, seq: null });
    expect(parseOp("aaaaaaaa/0")).toEqual({ session: "aaaaaaaa", seq: 0 });
    for (const text of ["", "aaaa/1", `${session}/`, `${session}/-1`, `${session}/1/2`, "zzzzzzzz/1"]) {
      expect(() => parseOp(text)).toThrow(/An op is named by/);
    }
  });

  test("of --view is a count and a pid", () => {
    expect(parseView("3.1")).toBe(makeView(3, 1));
    expect(parseView("12.255")).toBe(makeView(12, 255));
    for (const text of ["", "3", "3.0", "3.256", "3.1.1", "-3.1", "a.b"]) expect(() => parseView(text)).toThrow(/3\.1/);
  });

  test("of --kind is one or several, and it may be given again", () => {
    expect(parseKinds("view,act")).toEqual(["view", "act"]);
    expect(parseKinds("op", ["view"])).toEqual(["view", "op"]);
    for (const text of ["", "ops", "op,", "toString"]) expect(() => parseKinds(text)).toThrow(/The kinds are/);
  });
});
