/** Assertions throw, and name the invariant. */
import { expect, test } from "bun:test";
import { assert, AssertionError } from "./assert.ts";

test("assert passes what holds and throws the invariant for what does not", () => {
  expect(() => assert("something", "there is something")).not.toThrow();
  for (const falsy of [false, 0, "", null, undefined]) {
    expect(() => assert(falsy, "the log has no gaps")).toThrow(
      new AssertionError("invariant broken: the log has no gaps"),
    );
  }
});
