/** How guessing is slowed down. */
import { expect, test } from "bun:test";
import { Guesses } from "./guesses.ts";

const wrongPassword = { ok: false, code: "wrong-password", message: "" } as const;

test("ten wrong passwords are free, then one in six seconds", () => {
  const guesses = new Guesses();
  const wrong = (count: number): void => {
    for (let at = 0; at < count; at++) guesses.judge("alice", "10.0.0.1", wrongPassword);
  };
  wrong(9);
  expect(guesses.refusal("alice", "10.0.0.1")).toBeNull();
  wrong(1);
  expect(guesses.refusal("alice", "10.0.0.1")).toMatchObject({ code: "rate-limited" });
  for (let seconds = 0; seconds < 6; seconds++) guesses.sweep();
  expect(guesses.refusal("alice", "10.0.0.1")).toBeNull();
  wrong(1);
  expect(guesses.refusal("alice", "10.0.0.1")).toMatchObject({ code: "rate-limited" });
  for (let seconds = 0; seconds < 60; seconds++) guesses.sweep();
  wrong(9);
  expect(guesses.refusal("alice", "10.0.0.1")).toBeNull();
});

test("another host and another account are not slowed down; another spelling is the same account", () => {
  const guesses = new Guesses();
  for (let at = 0; at < 10; at++) guesses.judge("Ma\u0308x", "10.0.0.1", wrongPassword);
  expect(guesses.refusal("mÄX", "10.0.0.1")).toMatchObject({ code: "rate-limited" });
  expect(guesses.refusal("mäx", "10.0.0.2")).toBeNull();
  expect(guesses.refusal("max", "10.0.0.1")).toBeNull();
});

test("what is remembered is bounded", () => {
  const guesses = new Guesses();
  for (let at = 0; at < 10; at++) guesses.judge("first", "10.0.0.1", wrongPassword);
  for (let at = 0; at < 10_000; at++) guesses.judge(`user${at}`, "10.0.0.1", wrongPassword);
  expect(guesses.refusal("first", "10.0.0.1")).toBeNull();
});
