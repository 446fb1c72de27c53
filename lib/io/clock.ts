/**
 * The real `Clock`, and the way to be called again in another turn of the event loop. The only place of the server and
 * the client where time comes from.
 */
import type { Clock } from "../base/transport.ts";

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  setTimer(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

/** Calls `callback` in the next turn of the event loop, after the input that has arrived by then. */
export function nextTurn(callback: () => void): void {
  setImmediate(callback);
}
