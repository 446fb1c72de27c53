/** How much is asked for at once, by how long the answers take. */
import { expect, test } from "bun:test";
import { Portion } from "./portion.ts";

const timeoutMs = 1_000;
const mostBytes = 128 * 1024;
const bounds = { most: mostBytes, first: mostBytes / 8, least: 2_048 };

/** Asks and is answered until it has come this far; a link that needs `roundTripMs`, and carries so much. */
function learn(portion: Portion, answers: number, roundTripMs: number, bytesPerSecond: number): void {
  for (let count = 0; count < answers; count++) {
    const tookMs = roundTripMs + (1_000 * portion.size) / bytesPerSecond;
    if (tookMs > timeoutMs / 2) portion.lost();
    else portion.answered(portion.size, tookMs, timeoutMs);
  }
}

test("where nothing is slow it is the most after a few answers, also far away", () => {
  for (const roundTripMs of [1, 400]) {
    const portion = new Portion(bounds);
    learn(portion, 4, roundTripMs, 1e8);
    expect(portion.size).toBe(mostBytes);
  }
});

test("over a narrow link it comes in less than half a timeout, and in no less than it must", () => {
  for (const bytesPerSecond of [16_000, 125_000, 300_000]) {
    const portion = new Portion(bounds);
    learn(portion, 50, 5, bytesPerSecond);
    const tookMs = (1_000 * portion.size) / bytesPerSecond;
    expect(tookMs).toBeLessThan(timeoutMs / 2);
    expect(tookMs).toBeGreaterThan(timeoutMs / 32);
  }
});

test("it is never nothing, and grows again when the way is good", () => {
  const portion = new Portion(bounds);
  learn(portion, 20, 5, 100);
  expect(portion.size).toBe(2_048);
  portion.begin();
  learn(portion, 10, 5, 1e8);
  expect(portion.size).toBe(mostBytes);
});

test("short answers say nothing of what a long one would take", () => {
  const portion = new Portion(bounds);
  for (let count = 0; count < 100; count++) portion.answered(100, 1, timeoutMs);
  expect(portion.size).toBe(mostBytes / 8);
});
