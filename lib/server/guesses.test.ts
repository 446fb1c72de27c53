/** How guessing is slowed down. */
import { expect, test } from "bun:test";
import { Guesses } from "./guesses.ts";

test("ten wrong passwords are free, then one in six seconds", () => {
  const guesses = new Guesses();
  const wrong = (count: number): void => {
    for (let at = 0; at < count; at++) guesses.count("alice", "10.0.0.1");
  };
  wrong(9);
  expect(guesses.isSlowed("alice", "10.0.0.1")).toBeFalse();
  wrong(1);
  expect(guesses.isSlowed("alice", "10.0.0.1")).toBeTrue();
  for (let seconds = 0; seconds < 6; seconds++) guesses.sweep();
  expect(guesses.isSlowed("alice", "10.0.0.1")).toBeFalse();
  wrong(1);
  expect(guesses.isSlowed("alice", "10.0.0.1")).toBeTrue();
  for (let seconds = 0; seconds < 60; seconds++) guesses.sweep();
  wrong(9);
  expect(guesses.isSlowed("alice", "10.0.0.1")).toBeFalse();
});

test("another host and another account are not slowed down; another spelling is the same account", () => {
  const guesses = new Guesses();
  for (let at = 0; at < 10; at++) guesses.count("Ma\u0308x", "10.0.0.1");
  expect(guesses.isSlowed("mÄX", "10.0.0.1")).toBeTrue();
  expect(guesses.isSlowed("mäx", "10.0.0.2")).toBeFalse();
  expect(guesses.isSlowed("max", "10.0.0.1")).toBeFalse();
});

test("what is remembered is bounded", () => {
  const guesses = new Guesses();
  for (let at = 0; at < 10; at++) guesses.count("first", "10.0.0.1");
  for (let at = 0; at < 10_000; at++) guesses.count(`user${at}`, "10.0.0.1");
  expect(guesses.isSlowed("first", "10.0.0.1")).toBeFalse();
});
